/*
 * base/allowance.h - how much somebody may ask for, and how much he did.
 *
 * Two rates per minute, of requests and of tokens, and a number of requests at a time. A rate is a
 * bucket that holds a minute's worth and fills evenly (GCRA): one word each, changed by
 * compare-and-swap, so that threads share a allowance without a lock. Requests are taken before they
 * run; what tokens they cost is known only behind, so a request is let in while any are left and
 * may leave a debt, of an hour's worth at most. All times are clock_steady_us().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    ALLOWANCE_NAME_MAX = 63,
    ALLOWANCE_LIMIT_MAX = 1000000000 /* of each number */
};

/* 0 is no limit. */
struct allowance_limits {
    uint64_t requests_per_minute;
    uint64_t tokens_per_minute;
    uint64_t concurrency;
};

/* Counted by reference; all functions below may be called by any thread. */
struct allowance;

/* The name is copied, and cut to ALLOWANCE_NAME_MAX. */
err allowance_new(struct allowance **out, bytes name, const struct allowance_limits *limits);
struct allowance *allowance_ref(struct allowance *q); /* NULL gives NULL */
void allowance_unref(struct allowance *q);            /* NULL is allowed */

const char *allowance_name(const struct allowance *q);
struct allowance_limits allowance_limits_of(const struct allowance *q);

/* Whether a limit is of what is not over yet: tokens, or requests at a time. */
bool allowance_limits_running(const struct allowance *q);

/* From now on; what was used so far stays used. */
void allowance_set(struct allowance *q, const struct allowance_limits *limits);

struct allowance_window {
    uint64_t limit; /* 0: there is none, and the rest is 0 */
    uint64_t remaining;
    uint64_t reset_us; /* until all of it is there again */
};

struct allowance_view {
    struct allowance_window requests;
    struct allowance_window tokens;
    uint64_t
        retry_us; /* refused: until asking again makes sense; of concurrency nobody knows: 1 s */
};

/* True: the request is in, and allowance_leave() is owed. */
bool allowance_enter(struct allowance *q, uint64_t now_us, struct allowance_view *view);
void allowance_leave(struct allowance *q);

/* What a request came to. estimated: nobody said so, we guessed. */
struct allowance_use {
    uint64_t prompt_tokens;
    uint64_t answer_tokens;
    bool estimated;
};

void allowance_charge(struct allowance *q, uint64_t now_us, const struct allowance_use *use);

/* Metrics as Prometheus text, of all of the n allowances; names are label values. */
err allowance_render(struct allowance *const *allowances, size_t n, struct buf *out);
