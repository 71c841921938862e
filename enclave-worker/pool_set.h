/*
 * enclave-worker/pool_set.h - what the keeper of a pool remembers, and how it judges: which requests
 * the pool's workers have opened, and under which chain of keys.
 *
 * Without I/O. Whether a request is a replay depends on nothing but this memory and this clock: the
 * date inside a request is judged here too, so a worker whose clock was set back lets nothing in.
 *
 * Time here never goes back. When the machine's clock is set back, a new chain begins, as it does at
 * every start: keys from before open nothing any more, at no worker, and so nothing that was forgotten
 * can come again. Two keepers of one pool key have two chains, and no request opens under both.
 */
#pragma once

#include "enclave-worker/pool_keys.h"
#include "wire/pool_frame.h"

enum { POOL_SET_BACK_S = 5 };

struct pool_set;

struct pool_set_settings {
    const struct pool_key *key; /* copied */
    uint32_t key_life_s, key_grace_s, date_window_s;
    size_t entries_max; /* as replay_new() */
};

err pool_set_new(struct pool_set **out, const struct pool_set_settings *settings, int64_t wall_s);
/* NULL is allowed. */
void pool_set_free(struct pool_set *s);

enum pool_tick {
    POOL_TICK_SAME = 0,
    POOL_TICK_LEAP, /* time went ahead faster than steady_s: workers should know */
    POOL_TICK_ANEW, /* a new chain has begun: workers must know */
};

/* To be called with the time before anything is judged, and every second. When a new chain cannot be
 * made, for want of memory or randomness, everything is POOL_UNKNOWN until it can. */
enum pool_tick pool_set_tick(struct pool_set *s, int64_t wall_s, uint64_t steady_s);

enum pool_verdict pool_set_judge(struct pool_set *s, const struct pool_ask *ask);

/* For a worker; wipe it. */
void pool_set_welcome(const struct pool_set *s, struct pool_welcome *out);

size_t pool_set_count(const struct pool_set *s);
