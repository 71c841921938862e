/*
 * enclave-worker/pool.h - a worker's part in a pool: the keys that it shares, and whether a request was
 * seen at any of the pool's workers.
 *
 * One worker of a pool is its keeper (pool_keeper.h); the others ask it (pool_member.h).
 */
#pragma once

#include "base/metrics.h"
#include "enclave-worker/keys.h"
#include "enclave-worker/pool_member.h"

struct pool;

struct pool_settings {
    struct pool_set_settings set;
    const struct sock_addr *listen; /* the keeper's; NULL: it is another worker */
    const struct sock_addr *keeper; /* the keeper, for another worker */
    struct keys *keys;              /* made for that pool key; must outlive it */
    struct log *log;
};

/* Of the page with the metrics. */
struct pool_metrics {
    struct metric asked; /* by enum pool_verdict; POOL_NOTHING: the keeper did not answer */
    struct metric seconds;
    struct metric ready, members, entries;
};

/* Exactly one of listen and keeper is given, ERR_CONFIG else. Errors of the two. */
err pool_new(struct pool **out, struct loop *loop, const struct pool_settings *settings);
/* Questions have been forgotten before. NULL is allowed. The loop has to turn once more before it is
 * freed. */
void pool_free(struct pool *p);

/* Requests can be opened and judged. */
bool pool_ready(const struct pool *p);

/* True: *verdict is the answer, and fn is not called. False: fn is called later, unless the question is
 * forgotten. The number in *ask is filled in. */
bool pool_judge(struct pool *p, struct pool_question *q, struct pool_ask *ask, pool_answer_fn *fn,
                enum pool_verdict *verdict);

err pool_metrics_register(struct metrics *set, struct pool_metrics *out);
/* What is counted when somebody looks. */
void pool_measure(const struct pool *p, struct metrics_block *block,
                  const struct pool_metrics *metrics);
