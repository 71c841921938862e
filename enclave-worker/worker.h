/*
 * enclave-worker/worker.h - one worker: its listeners, its keys, its engine, and who is being served.
 *
 * One thread, one loop. A stream on a link is served by a `visit`: a session for sealed requests, a
 * page for everything that is public.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "crypto/hash_batch.h"
#include "crypto/token.h"
#include "enclave-worker/engine.h"
#include "enclave-worker/issue.h"
#include "enclave-worker/keys.h"
#include "enclave-worker/pool.h"
#include "enclave-worker/prove.h"
#include "enclave-worker/settings.h"
#include "wire/link.h"
#include "wire/replay.h"

enum { WORKER_LISTENERS_MAX = 8 };

/* Which end a session came to; also the label values of the metric. */
enum worker_outcome {
    WORKER_ANSWERED = 0, /* complete, with a receipt */
    WORKER_REFUSED,      /* not opened, stale, replayed or not allowed */
    WORKER_ENGINE_FAILED,
    WORKER_CLIENT_GONE,
    WORKER_OUTCOMES
};

struct worker_metrics {
    struct metrics *set;
    struct metrics_block *block;
    struct metric sessions; /* by outcome */
    struct metric in_flight;
    struct metric receipts;
    struct metric first_byte; /* from opened to the engine's first byte */
    struct metric duration;
    struct metric attestations;
    struct pool_metrics pool;
};

struct worker {
    struct loop *loop;
    struct log *log;
    struct log *usage; /* NULL: none is kept */
    const struct worker_settings *settings;
    struct worker_metrics metrics;
    struct engine *engine;
    struct keys *keys;
    struct prove *prove;
    struct issuer *issuer;
    struct replay *replay;
    struct replay *ehbp_replay; /* NULL: no such door */
    struct pool *pool;          /* NULL: it shares its keys with nobody */
    struct token_set tokens;    /* empty: none needed */
    struct buf engine_authorization;
    size_t sessions_n;          /* those included that only wait for their engine to close */
    size_t streams_n;           /* sealed requests with somebody at the other end */
    uint64_t held;              /* bytes of request contents of all sessions */
    struct hash_batch contents; /* whose answers are awaited */
    bool draining;
};

/* Whoever serves a stream: the first field of its struct, and the stream's owner. */
struct visit;
struct visit_ops {
    void (*data)(struct visit *v, bytes in);
    void (*end)(struct visit *v);
    void (*writable)(struct visit *v);
    /* The stream is gone; so is the visit, when this returns or later. */
    void (*closed)(struct visit *v, enum link_close why);
};
struct visit {
    const struct visit_ops *ops;
    struct worker *worker;
    struct link_stream *stream; /* NULL once it is gone */
};

/* The table for link_listen(); the owner is the struct worker. */
extern const struct link_events worker_link_events;

/* Answers with a JSON object {"error":...} in the clear: only for what could not be opened. */
err worker_refuse(struct link_stream *s, unsigned status, const char *type, const char *title);
