/*
 * gateway/relay_h1.h - the HTTP/1.1 end of a relay: a front's requests become passes.
 */
#pragma once

#include "gateway/front.h"

/* For front_new(); the owner is a struct relay_shard. */
extern const struct front_events relay_h1_events;
