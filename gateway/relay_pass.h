/*
 * gateway/relay_pass.h - one request on its way through a relay: bytes from a client to a worker and
 * back, each way as fast as the slower side takes them.
 *
 * Knows neither HTTP/1.1 nor sockets: the client's end is a small table of functions
 * (gateway/relay_h1.h, gateway/relay_h2.h), the worker's end a stream. A worker is asked at the end of
 * the turn in which a request began. From then on bodies are passed on as they come, never kept; none is
 * looked into: of a sealed request only its first byte, the key id, is read when no field names the key
 * (RFC 9458 section 4.3).
 *
 * What breaks on one side is broken on the other, never ended: an answer that was cut cannot look
 * finished.
 */
#pragma once

#include "base/loop.h"
#include "gateway/relay_route.h"
#include "gateway/relay_workers.h"

struct relay_pass;

enum {
    RELAY_FIELDS_MAX = 24,      /* of a head, that are passed on */
    RELAY_HEAD_MAX = 16 * 1024, /* bytes of them, with method and target */
    RELAY_HELD_MAX = LINK_LOW,  /* queued for one side: above, the other side waits */
};

/* The client's end. It calls relay_pass_gone() exactly once, later than out of one of these. */
struct relay_client_ops {
    err (*respond)(struct relay_pass *p, unsigned status, const struct link_field *fields,
                   size_t n);
    /* More of the answer; the last piece may be empty. */
    err (*write)(struct relay_pass *p, bytes data, bool end);
    /* Bytes of it that the client has not taken. */
    size_t (*queued)(const struct relay_pass *p);
    /* n bytes of the request's body are on their way: as many more may come. */
    void (*taken)(struct relay_pass *p, size_t n);
    /* Breaks the answer off, or the connection when there is none yet. */
    void (*abort)(struct relay_pass *p);
    /* The last call: the pass is over. */
    void (*free)(struct relay_pass *p);
};

/* What all passes of a thread have in common. */
struct relay_host {
    struct loop *loop;
    struct relay_workers *workers;
    uint64_t body_max;
    uint64_t idle_ms;  /* no byte moves either way for so long: broken off */
    bool takes_tokens; /* credentials are the relay's, and end here */
    /* Once for every pass, when it is over. */
    void (*settled)(void *owner, const struct relay_pass *p);
    void *owner;
};

enum relay_end { RELAY_UNDER_WAY = 0, RELAY_COMPLETE, RELAY_BROKEN, RELAY_LEFT };

/* Embedded in the client's end. For settled(): kind, end, status, in, out; the rest is private. */
struct relay_pass {
    const struct relay_client_ops *client;
    const struct relay_host *host;
    enum relay_kind kind;
    struct worker_tag tag; /* whom it is for; zero: not said */
    uint64_t near; /* the client's connection: what it asks of any worker, it asks of the same */
    enum relay_end end;
    unsigned status;  /* 0: not answered */
    uint64_t in, out; /* bytes of the two bodies */

    struct relay_up up;
    bool chosen;     /* it is known how to choose a worker */
    bool asked;      /* a worker has been */
    bool body_ended; /* the client has said all */
    bool answered;   /* the answer is complete */
    size_t seat;     /* the worker's */
    uint64_t tried;  /* seats, a bit each */
    size_t owed_up;  /* bytes of the answer that the worker is not yet told of */
    size_t owed_down;
    uint64_t moved_ms;
    struct loop_timer timer;
    struct loop_task turn; /* until then no worker is asked */
    struct buf early;      /* of the body, before that */
    int key_id;            /* or -1 */
    struct buf head;       /* what the following borrow from */
    struct link_request request;
    struct link_field fields[RELAY_FIELDS_MAX];
};

/* client, host, kind, tag and near are set by the caller, the rest is zero. `fields` are all of the client's;
 * only some are passed on. Borrows for the call. */
void relay_pass_start(struct relay_pass *p, const struct link_request *request);

/* What the client does. */
void relay_pass_body(struct relay_pass *p, bytes piece);
void relay_pass_body_end(struct relay_pass *p);
void relay_pass_writable(struct relay_pass *p);
/* It has the whole answer, or has left. Releases the pass. */
void relay_pass_gone(struct relay_pass *p, bool complete);

/* A short answer of our own: a problem (RFC 9457). */
void relay_pass_problem(struct relay_pass *p, unsigned status, const char *title);
/* Any short answer of our own; at most RELAY_FIELDS_MAX - 2 fields more than its media type. */
void relay_pass_answer(struct relay_pass *p, unsigned status, const char *media,
                       const struct link_field *more, size_t n, bytes body);
