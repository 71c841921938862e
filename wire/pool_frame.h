/*
 * wire/pool_frame.h - what the workers of a pool and its keeper say to each other: frames of fixed
 * lengths, one behind the other, over a channel that only holders of the pool key can make.
 *
 * Pure. Numbers are big endian. PROTOCOL.md, section 6.1.
 *
 *     1 welcome  keeper to worker, first and whenever something of it changes
 *     2 ask      worker to keeper
 *     3 answer   keeper to worker, in the order of the questions
 */
#pragma once

#include "base/buf.h"
#include "crypto/hash.h"

enum {
    POOL_FRAME_CHAIN_LEN = 32,
    POOL_FRAME_TAG_LEN = 16,
    POOL_FRAME_WELCOME_LEN = 1 + 3 * 4 + 8 + 8 + 1 + POOL_FRAME_CHAIN_LEN,
    POOL_FRAME_ASK_LEN = 1 + 8 + 8 + POOL_FRAME_TAG_LEN + SHA256_LEN,
    POOL_FRAME_ANSWER_LEN = 1 + 8 + 1,
    POOL_FRAME_LEN_MAX = POOL_FRAME_ASK_LEN
};

/* Zero and whatever is not here is never sent, and refused when it comes. */
enum pool_verdict {
    POOL_NOTHING = 0,
    POOL_FRESH, /* and from now on seen */
    POOL_SEEN,
    POOL_STALE,   /* its date is out of the window */
    POOL_UNKNOWN, /* not a key of this pool now */
    POOL_FULL,
    POOL_VERDICTS
};

/* Its chain is secret. */
struct pool_welcome {
    uint32_t key_life_s, key_grace_s, date_window_s;
    int64_t now; /* the keeper's clock, Unix seconds */
    uint64_t epoch;
    uint8_t first_id;
    uint8_t link[POOL_FRAME_CHAIN_LEN];
};

struct pool_ask {
    uint64_t number; /* chosen by the worker, rising */
    int64_t date;    /* inside the request, Unix seconds */
    uint8_t tag[POOL_FRAME_TAG_LEN];
    uint8_t digest[SHA256_LEN]; /* of the encapsulated key */
};

struct pool_answer {
    uint64_t number;
    enum pool_verdict verdict;
};

/* They append. */
err pool_welcome_write(struct buf *to, const struct pool_welcome *w);
err pool_ask_write(struct buf *to, const struct pool_ask *a);
err pool_answer_write(struct buf *to, const struct pool_answer *a);

/* Slots may be NULL: such a frame is refused. An error ends the reading and is passed on. */
struct pool_frame_events {
    err (*welcome)(void *owner, const struct pool_welcome *w);
    err (*ask)(void *owner, const struct pool_ask *a);
    err (*answer)(void *owner, const struct pool_answer *a);
};

/* Zero is ready to read; holds at most one frame that is not complete, and nothing of it behind that. */
struct pool_frame_reader {
    uint8_t held[POOL_FRAME_LEN_MAX];
    size_t held_n;
    err dead;
};

/* Takes all of `in`, cut anywhere. ERR_MALFORMED for a frame that is none or is not expected; final, as
 * is every error. */
err pool_frame_put(struct pool_frame_reader *r, bytes in, const struct pool_frame_events *events,
                   void *owner);
void pool_frame_clear(struct pool_frame_reader *r);
