/*
 * gateway/relay_h2.h - the HTTP/2 end of a relay: a listener's streams become passes.
 */
#pragma once

#include "wire/link.h"

/* For link_listen(); the owner is a struct relay_shard. */
extern const struct link_events relay_h2_events;
