/*
 * enclave-worker/session.h - one sealed request's life: open, ask, seal, sign, wipe.
 *
 *     OPENING    sealed bytes arrive; nothing acts before the last of them has opened
 *     CHECKING   all has opened; whether it was seen at another worker of the pool is not known yet
 *     ASKING     the engine was asked
 *     ANSWERING  its answer is being sealed
 *     LINGERING  the answer is complete; the engine may still close its side cleanly
 */
#pragma once

#include "enclave-worker/door.h"

enum {
    SESSION_LINGER_MS = 1000,        /* then the engine's connection is closed */
    SESSION_QUEUE_HIGH = 256 * 1024, /* bytes waiting for the gateway: the engine is held back */
    SESSION_TURN_MAX = 32 * 1024     /* of an answer in one turn: the others want theirs too */
};

/* Becomes the stream's owner. On an error the stream is still the caller's. */
err session_start(struct worker *w, struct link_stream *s, enum door_kind kind,
                  const struct link_request *req);
