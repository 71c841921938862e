/*
 * gateway/relay_h2.h - the HTTP/2 end of a relay: a listener's streams become passes.
 */
#pragma once

#include "wire/link.h"

enum {
    RELAY_PAGE_COST = 4096,        /* what an answer of the relay's own is taken to need besides */
    RELAY_UNREAD_MAX = 1024 * 1024 /* of these on one connection, unread, before the last of them */
};

/* For link_listen(); the owner is a struct relay_shard. Streams are refused while too much is unread. */
extern const struct link_events relay_h2_events;
