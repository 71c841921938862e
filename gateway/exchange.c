/*
 * Callbacks of the front, of the worker's stream and of the store become events; the table says what
 * is done and which state follows. What comes in the same state again and again (pieces of bodies,
 * room to write) is no event.
 *
 * An exchange lives until the front's last call, and while its receipt is being stored until the
 * store's as well.
 *
 * Here are its start and its end, its waiting, and the client's request; the head of that is in
 * exchange_head.c, the worker's side in exchange_ask.c, the answer in exchange_say.c, its receipt in
 * exchange_prove.c.
 */
#include "gateway/exchange.h"

#include "base/clock.h"
#include "base/mem.h"
#include "gateway/account.h"
#include "gateway/exchange_private.h"
#include "gateway/tracer.h"
#include "wire/names.h"

enum { RESERVE_MAX = 1024 * 1024 /* of a body, on the word of its length alone */ };

static struct exchange *exchange_of(struct guest *g)
{
    return CONTAINER_OF(g, struct exchange, guest);
}

void exchange_fail(struct exchange *x, enum error_cause cause, enum exchange_event event)
{
    x->cause = cause;
    exchange_fire(x, event);
}

/* ---- the end ---- */

/* Who waits for a worker may find room now. */
void exchange_give_up_stream(struct exchange *x)
{
    if (x->stream == NULL)
        return;
    link_stream_reset(x->stream, LINK_CANCEL);
    x->stream = NULL;
    exchange_wake(x->guest.shard);
}

void exchange_note(struct exchange *x, enum balance_outcome outcome)
{
    x->noted = true;
    if (x->worker != NULL)
        pool_worker_note(x->worker, outcome);
}

void exchange_leave_worker(struct exchange *x)
{
    if (!x->noted)
        exchange_note(x, BALANCE_NOTHING);
    if (x->worker != NULL)
        pool_worker_add(x->worker, -1);
    x->worker = NULL;
    seal_free(x->seal);
    x->seal = NULL;
}

void exchange_drop_worker(struct exchange *x)
{
    exchange_give_up_stream(x);
    exchange_leave_worker(x);
}

void exchange_pay(struct exchange *x)
{
    if (x->paid)
        return;
    x->paid = true;
    if (x->has_outlet)
        outlet_count(&x->outlet);
    /* Without a body nothing was asked of a model: what is said of tokens then was paid for before. */
    if (x->trusted != NULL && x->body.len > 0 && x->answer.head.status < 400 && !x->failed)
        x->use = usage_sum(&x->outlet.usage, x->body.len);
    payer_leave(&x->guest.payer, &x->use);
}

/* Its answer goes on being made when the client has been answered. */
static bool is_background(const struct exchange *x)
{
    return x->guest.route == ROUTE_RESPONSES && x->peek.background;
}

static void note(struct exchange *x, bool gone)
{
    const struct guest *g = &x->guest;
    const struct account_facts facts = {
        .route = g->route,
        .request_id = g->id,
        .key = g->payer.key != NULL ? allowance_name(g->payer.key->allowance) : NULL,
        .status = g->status,
        .gone = gone && !x->cut,
        .cut = x->cut,
        .background = is_background(x),
        .us = clock_steady_us() - g->began_us,
        .first_us = x->first_us,
        .use = x->use,
    };
    account_note(exchange_common(x)->usage, exchange_common(x)->metering, g->shard->block, &facts);
    if ((x->trace.flags & TRACE_SAMPLED) == 0)
        return;
    struct otlp_span span;
    account_span(&facts, &x->trace, x->parent, (uint64_t)clock_wall_ms() * 1000000, &span);
    tracer_post(exchange_common(x)->tracer, &span);
}

static void exchange_free(struct exchange *x)
{
    exchange_pay(x);
    admit_unref(x->admit);
    exchange_leave_list(x);
    exchange_drop_worker(x);
    loop_timer_stop(&x->timer);
    loop_timer_stop(&x->tick);
    trusted_unref(x->trusted);
    kept_clear(&x->request);
    kept_clear(&x->answer);
    if (x->has_outlet)
        outlet_clear(&x->outlet);
    x->guest.shard->held -= x->body.len;
    buf_clear(&x->body);
    buf_clear(&x->receipt);
    mem_free(x);
}

static void do_settle(struct exchange *x)
{
    exchange_free(x);
}

static void do_cancel(struct exchange *x)
{
    exchange_free(x);
}

/* The store still has the record, and reads from here. */
static void do_let_go(struct exchange *x)
{
    loop_timer_stop(&x->timer);
    loop_timer_stop(&x->tick);
}

static void do_none(struct exchange *x)
{
    (void)x;
}

/* ---- waiting ---- */

static void on_timer(struct loop_timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    /* A worker that was not given back its window waits for the client. */
    if (x->owed == 0)
        exchange_note(x, BALANCE_FAILED);
    if (x->state != EXCHANGE_WAITING)
        exchange_fail(x, ERROR_UPSTREAM_TIMEOUT, ON_TIMEOUT);
    else
        exchange_fail(
            x, pool_is_full(x->guest.shard->pool) ? ERROR_OVERLOADED : ERROR_NO_ATTESTED_WORKER,
            ON_TIMEOUT);
}

void exchange_be_patient(struct exchange *x, uint64_t ms)
{
    loop_timer_start(x->guest.shard->loop, &x->timer, ms, on_timer);
}

void exchange_leave_list(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    if (x->prev_waiting == NULL)
        return;
    *x->prev_waiting = x->next_waiting;
    if (x->next_waiting != NULL)
        x->next_waiting->prev_waiting = x->prev_waiting;
    else
        s->waiting_end = x->prev_waiting;
    x->next_waiting = NULL;
    x->prev_waiting = NULL;
}

void exchange_wait(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    if (x->prev_waiting != NULL)
        return;
    x->prev_waiting = s->waiting != NULL ? s->waiting_end : &s->waiting;
    *x->prev_waiting = x;
    s->waiting_end = &x->next_waiting;
    if (!loop_timer_active(&x->timer))
        exchange_be_patient(x, exchange_settings(x)->worker_timeout);
}

static void do_again(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    bool may = exchange_may_resend(x);
    exchange_drop_worker(x);
    loop_timer_stop(&x->timer);
    if (!may) {
        exchange_fire(x, ON_BROKEN);
        return;
    }
    x->resends++;
    metrics_add(s->block, exchange_common(x)->metering->resent, 0, 0, 1);
    /* After this turn: by then a dead connection is known to be one. */
    exchange_wait(x);
    exchange_wake(s);
}

static void on_wake(struct loop_task *t)
{
    struct shard *s = CONTAINER_OF(t, struct shard, wake);
    struct exchange *next;
    for (struct exchange *x = s->waiting; x != NULL; x = next) {
        next = x->next_waiting;
        if (!pool_has_room(s->pool))
            return;
        exchange_fire(x, ON_WORKER);
    }
}

void exchange_wake(struct shard *s)
{
    if (s->waiting != NULL)
        loop_defer(s->loop, &s->wake, on_wake);
}

/* ---- the client's request ---- */

/* ERR_NOMEM also when the shard's share of bodies is used up. */
static err hold(struct exchange *x, bytes piece)
{
    struct shard *s = x->guest.shard;
    ENSURE(piece.len <= exchange_common(x)->held_max - s->held, NOMEM);
    TRY(buf_add(&x->body, piece));
    s->held += piece.len;
    return OK;
}

static void on_body(struct guest *g, bytes piece)
{
    struct exchange *x = exchange_of(g);
    err e = hold(x, piece);
    if (e.code != ERR_OK) {
        const struct api_error error = { .cause = error_from(e, false), .retry_after_s = 1 };
        guest_error(g, &error);
    }
}

static bytes deleted_model(const struct exchange *x)
{
    struct route_match match;
    if (x->guest.route != ROUTE_PASS)
        return (bytes){ 0 };
    route_find(x->request.head.method, x->request.head.path, &match);
    return match.id;
}

/* A response may get its model from a stored prompt, or from the engine's own choice. */
static bool is_understood(const struct exchange *x)
{
    return x->peek.verdict == PEEK_OK ||
           (x->peek.verdict == PEEK_MODEL_MISSING && x->guest.route == ROUTE_RESPONSES);
}

static void on_body_end(struct guest *g)
{
    struct exchange *x = exchange_of(g);
    x->received_us = clock_steady_us();
    if (g->status != 0)
        return;
    if (exchange_wants_json(x)) {
        peek_request(buf_view(&x->body), &x->peek);
        if (!is_understood(x)) {
            const struct api_error error = peek_error(&x->peek);
            guest_error(g, &error);
            return;
        }
    } else if (x->body.len > 0) {
        peek_request(buf_view(&x->body), &x->peek);
        x->peek.stream = x->peek.stream && x->peek.verdict == PEEK_OK;
    }
    struct api_error error;
    if (payer_may_delete(&g->payer, deleted_model(x), &error) &&
        payer_may_background(&g->payer, is_background(x), &error) &&
        (x->body.len == 0 || payer_enter(&g->payer, peek_model(&x->peek), &error)))
        exchange_fire(x, ON_BODY);
    else
        guest_error(g, &error);
}

static void on_writable(struct guest *g)
{
    struct exchange *x = exchange_of(g);
    if (x->releasing)
        exchange_release(x);
    else
        exchange_give_back(x);
}

static void leave(struct guest *g, bool gone)
{
    struct exchange *x = exchange_of(g);
    exchange_pay(x);
    note(x, gone);
    guest_settle(g, gone && !x->cut, x->cut);
    g->request = NULL;
    /* Answered with an error before it was complete: then it is still receiving. */
    exchange_fire(x, gone || x->state == EXCHANGE_RECEIVING ? ON_GONE : ON_SENT);
}

static void on_gone(struct guest *g)
{
    leave(g, true);
}

static void on_done(struct guest *g)
{
    leave(g, false);
}

static const struct guest_ops OPS = { .body = on_body,
                                      .body_end = on_body_end,
                                      .writable = on_writable,
                                      .gone = on_gone,
                                      .done = on_done };

/* ---- the table's actions ---- */

static void (*const ACTIONS[EXCHANGE_ACTION_COUNT])(struct exchange *x) = {
    [DO_NONE] = do_none,
    [DO_SEND] = exchange_do_send,
    [DO_AGAIN] = do_again,
    [DO_BEGIN] = exchange_do_begin,
    [DO_PROVE] = exchange_do_prove,
    [DO_RELEASE] = exchange_do_release,
    [DO_FAIL] = exchange_do_fail,
    [DO_CANCEL] = do_cancel,
    [DO_LET_GO] = do_let_go,
    [DO_SETTLE] = do_settle,
};

void exchange_fire(struct exchange *x, enum exchange_event event)
{
    struct exchange_cell cell = exchange_cell(x->state, event);
    if (cell.action == DO_IMPOSSIBLE) {
        LOG_ERROR(exchange_common(x)->log, "impossible event", F_U64("state", x->state),
                  F_U64("event", event));
        if (x->guest.request != NULL)
            front_abort(x->guest.request);
        return;
    }
    x->state = cell.next;
    ACTIONS[cell.action](x);
}

/* ---- the start ---- */

/* Where spans are collected, ours is the parent of what comes behind. */
static err begin_span(struct exchange *x)
{
    struct trace_found found;
    if (exchange_common(x)->tracer == NULL)
        return OK;
    trace_find(x->request.head.fields, x->request.head.fields_n, &found);
    memcpy(x->parent, found.trace.span, sizeof x->parent);
    return trace_begin(&found.trace, &x->trace);
}

static err prepare(struct exchange *x)
{
    bool known;
    uint8_t *room;
    uint64_t length = front_content_length(x->guest.request, &known);
    x->body = BUF(exchange_settings(x)->body_max);
    x->receipt = BUF(AIR_RECEIPT_MAX);
    x->cause = ERROR_UPSTREAM_UNREACHABLE;
    TRY(exchange_keep_request(x));
    TRY(begin_span(x));
    if (!known || length > x->body.max)
        return OK;
    return buf_reserve(&x->body, length < RESERVE_MAX ? (size_t)length : RESERVE_MAX, &room);
}

void exchange_start(struct shard *s, struct front_request *r, const struct route_match *match,
                    const struct token *key)
{
    struct exchange *x;
    if (mem_new(&x).code != ERR_OK) {
        front_abort(r);
        return;
    }
    x->guest.ops = &OPS;
    x->guest.payer.key = key;
    x->admit = key != NULL ? admit_ref(s->admit) : NULL;
    err e = guest_init(&x->guest, s, r, match);
    if (e.code == ERR_OK)
        e = prepare(x);
    enum error_cause cause = e.code == ERR_OK ? exchange_objection(x) : error_from(e, false);
    if (cause == ERROR_CAUSES)
        return;
    const struct api_error error = { .cause = cause,
                                     .param = cause == ERROR_INVALID_VALUE
                                                  ? BYTES_LIT(FIELD_RECEIPT_NONCE)
                                                  : (bytes){ 0 } };
    guest_error(&x->guest, &error);
}
