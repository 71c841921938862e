#include "enclave-worker/pool.h"

#include "base/log.h"
#include "base/mem.h"
#include "crypto/secret.h"

struct pool {
    struct keys *keys;
    struct log *log;
    struct pool_keeper *keeper; /* one of the two */
    struct pool_member *member;
};

static void on_welcome(void *owner, const struct pool_welcome *w)
{
    const struct pool *p = owner;
    SECRET(struct pool_chain, chain);
    chain.epoch = w->epoch;
    chain.first_id = w->first_id;
    memcpy(chain.link, w->link, sizeof chain.link);
    err e = keys_join(p->keys, &chain, w->now);
    if (e.code != ERR_OK)
        LOG_ERROR(p->log, "pool: there are no keys", F_ERR(e));
}

static err keep(struct pool *p, struct loop *loop, const struct pool_settings *settings)
{
    const struct pool_keeper_settings keeper = { .set = settings->set,
                                                 .listen = settings->listen,
                                                 .log = settings->log,
                                                 .welcome = on_welcome,
                                                 .owner = p };
    ENSURE(settings->keeper == NULL, CONFIG);
    return pool_keeper_new(&p->keeper, loop, &keeper);
}

static err join(struct pool *p, struct loop *loop, const struct pool_settings *settings)
{
    const struct pool_member_settings member = { .key = settings->set.key,
                                                 .keeper = settings->keeper,
                                                 .welcome = on_welcome,
                                                 .key_life_s = settings->set.key_life_s,
                                                 .key_grace_s = settings->set.key_grace_s,
                                                 .date_window_s = settings->set.date_window_s,
                                                 .owner = p,
                                                 .log = settings->log };
    ENSURE(settings->keeper != NULL, CONFIG);
    return pool_member_new(&p->member, loop, &member);
}

err pool_new(struct pool **out, struct loop *loop, const struct pool_settings *settings)
{
    struct pool *p;
    TRY(mem_new(&p));
    p->keys = settings->keys;
    p->log = settings->log;
    err e = settings->listen != NULL ? keep(p, loop, settings) : join(p, loop, settings);
    if (e.code != ERR_OK) {
        mem_free(p);
        return e;
    }
    *out = p;
    return OK;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    pool_keeper_free(p->keeper);
    pool_member_free(p->member);
    mem_free(p);
}

bool pool_ready(const struct pool *p)
{
    return keys_ready(p->keys) && (p->keeper != NULL || pool_member_ready(p->member));
}

bool pool_judge(struct pool *p, struct pool_question *q, struct pool_ask *ask, pool_answer_fn *fn,
                enum pool_verdict *verdict)
{
    *verdict = POOL_NOTHING;
    if (p->keeper != NULL) {
        *verdict = pool_keeper_judge(p->keeper, ask);
        return true;
    }
    return pool_member_ask(p->member, q, ask, fn).code != ERR_OK;
}

/* ---- numbers ---- */

static const char *const VERDICT_WORDS[POOL_VERDICTS] = { "none",  "fresh",   "seen",
                                                          "stale", "unknown", "full" };
static const uint64_t BUCKETS_US[] = { 100,   250,   500,    1000,   2500,   5000,   10000,
                                       25000, 50000, 100000, 250000, 500000, 1000000 };

static const struct metric_spec SPECS[] = {
    { .name = "sealgate_worker_pool_asked_total",
      .help = "Requests that the pool's keeper was asked about, by its answer.",
      .labels = { { "answer", VERDICT_WORDS, POOL_VERDICTS } } },
    { .name = "sealgate_worker_pool_answer_seconds",
      .help = "From the question to the pool's keeper to its answer.",
      .kind = METRIC_HISTOGRAM,
      .unit = METRIC_SECONDS,
      .buckets_us = BUCKETS_US,
      .buckets_n = ARRAY_LEN(BUCKETS_US) },
    { .name = "sealgate_worker_pool_ready",
      .help = "1 while this worker has the pool's keys and its keeper answers.",
      .kind = METRIC_GAUGE },
    { .name = "sealgate_worker_pool_members",
      .help = "Workers that are connected to this one as the pool's keeper.",
      .kind = METRIC_GAUGE },
    { .name = "sealgate_worker_pool_entries",
      .help = "Requests that this worker remembers as the pool's keeper.",
      .kind = METRIC_GAUGE },
};

err pool_metrics_register(struct metrics *set, struct pool_metrics *out)
{
    struct metric *const metrics[] = { &out->asked, &out->seconds, &out->ready, &out->members,
                                       &out->entries };
    for (size_t i = 0; i < ARRAY_LEN(SPECS); i++)
        TRY(metrics_register(set, &SPECS[i], metrics[i]));
    return OK;
}

void pool_measure(const struct pool *p, struct metrics_block *block,
                  const struct pool_metrics *metrics)
{
    metrics_gauge_set(block, metrics->ready, 0, 0, pool_ready(p));
    if (p->keeper == NULL)
        return;
    metrics_gauge_set(block, metrics->members, 0, 0, (int64_t)pool_keeper_members(p->keeper));
    metrics_gauge_set(block, metrics->entries, 0, 0, (int64_t)pool_keeper_entries(p->keeper));
}
