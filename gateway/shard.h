/*
 * gateway/shard.h - one thread and all it owns: a loop, a front, a pool of workers, its exchanges.
 *
 * Shards share nothing that changes. They hear of workers and of the end by mail.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "gateway/admit.h"
#include "gateway/front.h"
#include "gateway/judge.h"
#include "gateway/metering.h"
#include "gateway/pool.h"
#include "gateway/settings.h"
#include "receipts/store.h"

struct shard;
struct exchange;

/* What all shards have in common; constant while they run. */
struct shard_common {
    const struct gateway_settings *settings;
    struct admit *admit; /* to begin with; counted */
    struct log *log;
    struct log *usage;     /* NULL: none */
    struct tracer *tracer; /* NULL: none */
    struct metering *metering;
    struct store *store;
    struct tls_context *worker_tls;
    bytes worker_authorization; /* "Bearer ...", or empty */
    uint64_t held_max;          /* bytes of request bodies that one shard holds */
    struct loop *control;       /* for mail to the control thread */
    /* Mail the control thread gets: a worker's key was found stale; a shard has ended. */
    void (*stale)(void *owner, size_t place); /* called on the control thread */
    void (*ended)(void *owner);               /* called on the control thread */
    void *owner;
};

/* A shard's insides, for its exchanges; only the shard's thread looks at them. */
struct shard {
    const struct shard_common *common;
    struct loop *loop;
    struct admit *admit; /* who may ask now */
    struct front *front;
    struct pool *pool;
    struct metrics_block *block;
    struct exchange *waiting, **waiting_end; /* for a worker; in the order they came */
    struct loop_task wake;
    struct loop_task proved; /* receipts of this turn are with the store */
    struct judge judge;
    uint64_t held; /* bytes of request bodies */
    bool draining;
};

/* Listens at once (ERR_SYSTEM, ERR_EXISTS: it cannot), serves from shard_start() on. */
err shard_new(struct shard **out, const struct shard_common *common);
err shard_start(struct shard *s);
/* Any thread: a new view; keeps a reference. No effect when out of memory: the next one will do. */
void shard_post_view(struct shard *s, struct trust_view *view);
/* Any thread: what probes found out; keeps a reference. No effect when out of memory. */
void shard_post_findings(struct shard *s, struct findings *findings);
/* Any thread: who may ask from now on; keeps a reference. ERR_NOMEM: those of before stay. */
err shard_post_admit(struct shard *s, struct admit *admit);
/* Any thread: finish what runs, at most drain_timeout, then end. A second call ends at once. */
void shard_post_drain(struct shard *s);
/* On the control thread. Waits for its thread if it was started, and delivers what that has posted.
 * NULL is allowed. */
void shard_free(struct shard *s);

/* From exchanges: tell the control thread that a worker's key is stale. */
void shard_report_stale(struct shard *s, size_t place);
