/*
 * gateway/relay_shard.h - one thread of a relay, with its own sockets, connections and passes.
 *
 * What shards share is constant but for the quotas, and for how many of them are ready. Clients come over HTTP/1.1 (gateway/front.h) and
 * HTTP/2 (wire/link.h), in the clear or in TLS.
 */
#pragma once

#include <stdatomic.h>

#include "base/metrics.h"
#include "gateway/admit.h"
#include "gateway/front.h"
#include "gateway/quota.h"
#include "gateway/relay_pass.h"
#include "gateway/settings.h"
#include "gateway/standing.h"

/* Questions for evidence of each address, to each worker that it names: workers give all who come
 * through a relay's connection one share (enclave-worker/prove.h), which nobody is to use up alone. */
enum { RELAY_PROOFS_PER_SECOND = 2 };

struct log;
struct tls_context;

struct relay_metrics {
    struct metrics *set;
    struct metric requests; /* by kind and end */
    struct metric in_flight;
    struct metric refused; /* by cause */
    struct metric bytes;   /* by direction */
    struct metric workers;
    struct metric sources; /* by state */
    struct standing standing;
};

enum relay_refusal {
    RELAY_NOT_SEALED = 0,
    RELAY_NO_TOKEN,
    RELAY_TOO_MANY,
    RELAY_NOT_HTTP,
    RELAY_DRAINING,
    RELAY_REFUSALS
};

/* Constant while shards run. */
struct relay_common {
    const struct gateway_settings *settings;
    struct token_set tokens;
    struct quota *by_token;   /* NULL: no limit */
    struct quota *by_address; /* likewise */
    struct quota *by_asker;   /* of evidence, an address again */
    struct log *log;
    struct relay_metrics metrics;
    struct worker_set *workers; /* to begin with; borrowed */
    atomic_size_t *ready; /* shards that have a worker and do not drain; borrowed, 0 at first */
    size_t shards;        /* a client's next connection may come to any of them */
    struct tls_context *worker_tls;
    struct tls_context *listen_tls;
    struct loop *control;
    void (*ended)(void *owner); /* a shard has; called on the control thread */
    void *owner;
};

struct relay_shard;

/* Listens at once, serves from relay_shard_start() on. ERR_CONFIG: the certificate; else the
 * address. */
err relay_shard_new(struct relay_shard **out, const struct relay_common *common);
err relay_shard_start(struct relay_shard *s);
/* Any thread: another set of workers, counted. No effect when out of memory: the next one will do. */
void relay_shard_post_workers(struct relay_shard *s, struct worker_set *workers);
/* Any thread: finish what runs, at most drain_timeout. A second call ends at once. */
void relay_shard_post_drain(struct relay_shard *s);
/* On the control thread. Waits for its thread, and delivers what that has posted. NULL is allowed. */
void relay_shard_free(struct relay_shard *s);

/* ---- for the clients' ends: gateway/relay_h1.h, gateway/relay_h2.h ---- */

/* A client's request, before anything is done about it. */
struct relay_caller {
    bytes authorization;                     /* borrowed for relay_enter() */
    const struct sockaddr *peer;             /* likewise */
    const uint8_t *token;                    /* its digest; NULL: none was asked for */
    uint64_t by_token, by_address, by_asker; /* tickets */
    bool admitted;
};

/* Refuses (then the pass has its answer) or starts it. p->client is set by the caller of this, the
 * rest of *p is zero. relay_leave() follows once. */
void relay_enter(struct relay_shard *s, struct relay_pass *p, struct relay_caller *caller,
                 const struct link_request *request);
void relay_leave(struct relay_shard *s, struct relay_caller *caller);

/* Counts what never became a request. */
void relay_count_refused(struct relay_shard *s, enum relay_refusal why);

/* The front has no connection any more. */
void relay_on_front_drained(void *owner);

/* What is counted together: an IPv4 address, an IPv6 network of 64 bits, all others. */
bytes relay_address(const struct sockaddr *peer);

/* A number for a connection, by its peer's address and port. */
uint64_t relay_near(const struct sockaddr *peer);
