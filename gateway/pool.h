/*
 * gateway/pool.h - the workers one shard may use: a connection to each that is trusted.
 *
 * Belongs to the shard's thread. Connections are made only to workers that the control thread
 * verified; which of them gets a request is gateway/balance.h's to say, by what is noted here.
 */
#pragma once

#include "base/loop.h"
#include "gateway/balance.h"
#include "gateway/findings.h"
#include "gateway/trusted.h"
#include "wire/link.h"

/* A worker that restarts is found again within this time; requests wait longer than that. */
enum { POOL_REDIAL_MAX_MS = 1000, POOL_TAG_LEN = 8 };

struct pool;

struct pool_settings {
    struct tls_context *tls; /* for tls:// workers; borrowed */
    /* The callbacks for streams; up, down and request are the pool's own and stay NULL here. */
    const struct link_events *streams;
    struct balance_settings balance;
    uint64_t seed;        /* of the choices; not a secret */
    uint32_t streams_max; /* requests at a time to each worker; 0: LINK_STREAMS_DEFAULT */
    /* Silence after which a worker is asked for a sign, for as long again; 0: 5000. */
    uint64_t ping_ms;
    /* A worker can be used now that could not before. */
    void (*ready)(void *owner);
    /* What is thought of a worker has changed; place: SIZE_MAX when nobody is there any more. NULL:
     * nobody cares. */
    void (*changed)(void *owner, const struct balance_change *change);
    void *owner;
};

err pool_new(struct pool **out, struct loop *loop, const struct pool_settings *settings);
void pool_free(struct pool *p);

/* What the control thread says. Keeps a reference. A worker that is not in its set any more gets no
 * more requests; those it has may finish, then its connection is closed. */
void pool_update(struct pool *p, struct trust_view *view);
const struct trust_view *pool_view(const struct pool *p); /* NULL before the first */

/* What probes found out. Keeps a reference. */
void pool_use_findings(struct pool *p, struct findings *findings);

struct pool_want {
    size_t avoid;    /* the place that is not wanted, if there is another; SIZE_MAX: none */
    bytes model;     /* that is asked for; empty: no matter which */
    bool all_models; /* who lists the most models */
};

/*
 * A worker that is trusted, whose keys have not expired, and whose connection takes a request; of the
 * well ones among these, which do not owe a sign of life, the best of those that come first by their
 * priority. NULL: none.
 *
 * Where some worker lists the model, one that does, or of which no list is known; NULL when no such can
 * be used now. Where none lists it, any: lists may be old, and engines may have models that they do not
 * list, so the one that is asked says what there is.
 */
struct pool_worker;
struct pool_worker *pool_choose(struct pool *p, const struct pool_want *want);
/* Whether there would be one for somebody. */
bool pool_has_room(const struct pool *p);

/* The worker that gave ids with this tag, whether or not it can be used now; of several ways to it, as by
 * two relays, one that can, and rather not the place to avoid. NULL: none that is trusted. tag: the first hex digits of its identity, at least eight. */
struct pool_worker *pool_find(struct pool *p, bytes tag, size_t avoid);
/* The same worker as pool_choose() would want one. */
bool pool_worker_usable(const struct pool_worker *w);
/* Nothing is known against it, or it is due to be tried. */
bool pool_worker_is_well(const struct pool_worker *w);

struct link *pool_worker_link(const struct pool_worker *w);
struct trusted *pool_worker_trusted(const struct pool_worker *w); /* borrowed */

/* A request begins or ends there. */
void pool_worker_add(struct pool_worker *w, int n);
/* How it went there. */
void pool_worker_note(struct pool_worker *w, enum balance_outcome outcome);

/* True when some worker is trusted now and connected, whether or not it takes more requests. */
bool pool_is_ready(const struct pool *p);

/* True when workers could be used but for the number of requests they already have. */
bool pool_is_full(const struct pool *p);

/* True with the place of a worker whose keys have expired before they were asked for anew: the wall
 * clock was set, or the machine slept. */
bool pool_has_expired(const struct pool *p, size_t *place);
