/*
 * gateway/exchange_private.h - what exchange*.c share. Nobody else includes it.
 */
#pragma once

#include "api/peek.h"
#include "gateway/exchange.h"
#include "gateway/exchange_table.h"
#include "gateway/guest.h"
#include "gateway/outlet.h"
#include "gateway/seal.h"
#include "wire/trace.h"

/* Of one request, after it was provably not processed. */
enum { EXCHANGE_RESENDS_MAX = 3 };

struct exchange {
    struct guest guest;
    enum exchange_state state;
    enum error_cause cause; /* of the failure */

    unsigned resends;
    bool needs_fresh; /* the keys it was sealed to are stale: only newer ones will do */
    bool sealed_all;
    bool noted;  /* how it went at the worker */
    bool undone; /* the worker says that it did not act on it, and another may */
    bool begun;  /* the client has a status */
    bool sse;
    bool has_outlet;
    bool releasing; /* proved; the rest goes out as fast as the client takes it */
    bool cut;       /* we broke the answer off */
    bool failed;    /* before an answer came */
    bool paid;
    struct allowance_use use; /* what it came to, once paid */
    struct trace trace;       /* our span in it; zero: nobody traces */
    uint8_t parent[TRACE_SPAN_LEN];
    uint64_t first_us; /* to the first byte of content; 0: none yet */

    struct admit *admit; /* holds the key; NULL: there is none */
    struct kept request; /* what of the client's head goes on */
    struct buf body;
    struct peek peek;
    struct exchange *next_waiting, **prev_waiting; /* NULL: waits for nobody */

    struct pool_worker *worker;
    struct trusted *trusted;
    struct seal *seal;
    struct link_stream *stream;
    size_t owed; /* bytes of the answer not yet given back to the worker's window */

    struct kept answer; /* its head */
    struct outlet outlet;
    size_t released;
    struct buf receipt;
    uint8_t response_hash[TRANSCRIPT_LEN];
    struct store_record *record; /* the store's, while PROVING or ORPHANED */

    struct loop_timer timer; /* patience of the present state */
    struct loop_timer tick;  /* keep-alive comments */
    uint64_t said_ms;        /* last bytes to the client */
    uint64_t received_us;    /* the request's last byte */
};

static inline const struct shard_common *exchange_common(const struct exchange *x)
{
    return x->guest.shard->common;
}

static inline const struct gateway_settings *exchange_settings(const struct exchange *x)
{
    return exchange_common(x)->settings;
}

static inline bool exchange_is_of_responses(const struct exchange *x)
{
    return x->guest.route == ROUTE_RESPONSES || x->guest.route == ROUTE_RESPONSE;
}

/* ---- exchange.c ---- */

/* Carries out what the table says; x may be freed when this returns. */
void exchange_fire(struct exchange *x, enum exchange_event event);
/* The same, with the cause of the failure, should the table call it one. */
void exchange_fail(struct exchange *x, enum error_cause cause, enum exchange_event event);
/* The present state may last so long. */
void exchange_be_patient(struct exchange *x, uint64_t ms);
/* Waits for a worker behind all who do, for worker_timeout. Does nothing when it waits already. */
void exchange_wait(struct exchange *x);
void exchange_leave_list(struct exchange *x);
void exchange_give_up_stream(struct exchange *x);
void exchange_leave_worker(struct exchange *x);
/* How it went at the worker, if there is one. */
void exchange_note(struct exchange *x, enum balance_outcome outcome);
/* Both of them. */
void exchange_drop_worker(struct exchange *x);
/* Before the client can ask again. Nothing where the worker or the engine refused. */
void exchange_pay(struct exchange *x);

/* ---- exchange_head.c: the client's head ---- */

/* What of it goes on, into x->request. */
err exchange_keep_request(struct exchange *x);
/* ERROR_CAUSES: none. */
enum error_cause exchange_objection(const struct exchange *x);
bool exchange_wants_json(const struct exchange *x);

/* ---- exchange_ask.c: to the worker, and what comes from there ---- */

void exchange_do_send(struct exchange *x);
/* Before its worker is dropped: it may be sent once more, to whoever is there then. */
bool exchange_may_resend(struct exchange *x);

/* ---- exchange_say.c: to the client ---- */

void exchange_do_begin(struct exchange *x);
void exchange_do_fail(struct exchange *x);
void exchange_do_release(struct exchange *x);
/* Comments where nothing is said for a while, for who wants a stream. */
void exchange_start_ticking(struct exchange *x);
/* What of the answer may be said already. */
err exchange_release_ready(struct exchange *x);
/* The rest, once proved, as fast as the client takes it. */
void exchange_release(struct exchange *x);
/* Room for more of the answer, if the client has taken enough. */
void exchange_give_back(struct exchange *x);

/* ---- exchange_prove.c: the receipt ---- */

void exchange_do_prove(struct exchange *x);
