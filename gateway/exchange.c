/*
 * Callbacks of the front, of the worker's stream and of the store become events; the table says what
 * is done and which state follows. What comes in the same state again and again (pieces of bodies,
 * room to write) is no event.
 *
 * An exchange lives until the front's last call, and while its receipt is being stored until the
 * store's as well.
 */
#include "gateway/exchange.h"

#include "api/peek.h"
#include "base/clock.h"
#include "base/httpdate.h"
#include "base/mem.h"
#include "base/text.h"
#include "gateway/account.h"
#include "gateway/exchange_table.h"
#include "gateway/guest.h"
#include "gateway/outlet.h"
#include "gateway/seal.h"
#include "gateway/tracer.h"
#include "receipts/check.h"
#include "wire/names.h"
#include "wire/trace.h"

enum {
    FIRST_ROOM = 16 * 1024,   /* of a request, sealed when it is submitted */
    FRONT_AHEAD = 256 * 1024, /* bytes queued for the client */
    SKEW_S = 300,             /* a worker's clock against ours */
    TARGET_MAX = 16 * 1024,
    RESERVE_MAX = 1024 * 1024, /* of a body, on the word of its length alone */
    ANSWER_FIELDS_LEN = 4096,  /* of an answer's fields that are not ours */
    REQUEST_FIELDS_MAX = FRONT_HEADERS_MAX
};

struct exchange {
    struct guest guest;
    enum exchange_state state;
    enum error_cause cause; /* of the failure */

    bool resent;
    bool needs_fresh; /* the keys it was sealed to are stale: only newer ones will do */
    bool sealed_all;
    bool begun; /* the client has a status */
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

static void fire(struct exchange *x, enum exchange_event event);

static struct exchange *exchange_of(struct guest *g)
{
    return CONTAINER_OF(g, struct exchange, guest);
}

static const struct shard_common *common_of(const struct exchange *x)
{
    return x->guest.shard->common;
}

static const struct gateway_settings *settings_of(const struct exchange *x)
{
    return common_of(x)->settings;
}

static void fail_with(struct exchange *x, enum error_cause cause, enum exchange_event event)
{
    x->cause = cause;
    fire(x, event);
}

/* ---- the end ---- */

static void leave_list(struct exchange *x)
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

/* Who waits for a worker may find room now. */
static void give_up_stream(struct exchange *x)
{
    if (x->stream == NULL)
        return;
    link_stream_reset(x->stream, LINK_CANCEL);
    x->stream = NULL;
    exchange_wake(x->guest.shard);
}

static void leave_worker(struct exchange *x)
{
    if (x->worker != NULL)
        pool_worker_add(x->worker, -1);
    x->worker = NULL;
    seal_free(x->seal);
    x->seal = NULL;
}

static void drop_worker(struct exchange *x)
{
    give_up_stream(x);
    leave_worker(x);
}

/* Before the client can ask again. Nothing where the worker or the engine refused. */
static void pay(struct exchange *x)
{
    if (x->paid)
        return;
    x->paid = true;
    if (x->has_outlet)
        outlet_count(&x->outlet);
    if (x->trusted != NULL && x->answer.head.status < 400 && !x->failed)
        x->use = usage_sum(&x->outlet.usage, x->body.len);
    payer_leave(&x->guest.payer, &x->use);
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
        .us = clock_steady_us() - g->began_us,
        .first_us = x->first_us,
        .use = x->use,
    };
    account_note(common_of(x)->usage, common_of(x)->metering, g->shard->block, &facts);
    if ((x->trace.flags & TRACE_SAMPLED) == 0)
        return;
    struct otlp_span span;
    account_span(&facts, &x->trace, x->parent, (uint64_t)clock_wall_ms() * 1000000, &span);
    tracer_post(common_of(x)->tracer, &span);
}

static void exchange_free(struct exchange *x)
{
    pay(x);
    admit_unref(x->admit);
    leave_list(x);
    drop_worker(x);
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

/* ---- sealing and sending ---- */

static err on_inner_head(void *owner, const struct bhttp_head *head);
static err on_inner_content(void *owner, bytes piece);
static err on_inner_complete(void *owner, bytes receipt);

static const struct seal_events SEAL_EVENTS = { .head = on_inner_head,
                                                .content = on_inner_content,
                                                .complete = on_inner_complete };

static void on_timer(struct loop_timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, timer);
    if (x->state != EXCHANGE_WAITING)
        fail_with(x, ERROR_UPSTREAM_TIMEOUT, ON_TIMEOUT);
    else
        fail_with(x,
                  pool_is_full(x->guest.shard->pool) ? ERROR_OVERLOADED : ERROR_NO_ATTESTED_WORKER,
                  ON_TIMEOUT);
}

static void be_patient(struct exchange *x, uint64_t ms)
{
    loop_timer_start(x->guest.shard->loop, &x->timer, ms, on_timer);
}

/* Seals as much as there is room for; the rest when the connection asks for it. */
static err send_more(struct exchange *x, size_t room)
{
    struct buf sealed = BUF(LINK_QUEUE_MAX);
    err e = seal_next(x->seal, room, &sealed, &x->sealed_all);
    if (e.code == ERR_OK)
        e = link_stream_take(x->stream, &sealed, x->sealed_all);
    buf_clear(&sealed);
    return e;
}

static size_t add_field(struct bhttp_field *fields, size_t n, const char *name, bytes value)
{
    if (value.len == 0 || n >= BHTTP_FIELDS_MAX)
        return n;
    fields[n] = (struct bhttp_field){ bytes_str(name), value };
    return n + 1;
}

/* The client's own credentials go on only if nobody here used them up or replaces them. */
static bytes authorization_of(const struct exchange *x)
{
    if (common_of(x)->worker_authorization.len > 0)
        return common_of(x)->worker_authorization;
    if (x->guest.shard->admit->tokens.n > 0)
        return (bytes){ 0 };
    return kept_field(&x->request, FIELD_AUTHORIZATION);
}

/* What was read is written anew; both must stay in place as long as the fields. */
static size_t add_trace(struct bhttp_field *fields, size_t n, const struct trace_found *trace,
                        char parent[static TRACE_PARENT_LEN + 1])
{
    if (!trace_is_set(&trace->trace))
        return n;
    trace_write(&trace->trace, parent);
    n = add_field(fields, n, FIELD_TRACEPARENT, bytes_of(parent, TRACE_PARENT_LEN));
    return add_field(fields, n, FIELD_TRACESTATE, bytes_of(trace->state, trace->state_len));
}

static bool is_of_responses(const struct exchange *x)
{
    return x->guest.route == ROUTE_RESPONSES || x->guest.route == ROUTE_RESPONSE;
}

/* Responses are kept for whoever asked; where credentials do not go on, a digest of them does, inside
 * the seal. Empty where they do, or there are none. */
static err write_caller(const struct exchange *x, struct buf *out)
{
    struct sha256 hash;
    uint8_t digest[SHA256_LEN];
    bytes own = kept_field(&x->request, FIELD_AUTHORIZATION);
    bytes sent = authorization_of(x);
    if (!is_of_responses(x) || own.len == 0 || (sent.at == own.at && sent.len == own.len))
        return OK;
    sha256_init(&hash);
    sha256_add(&hash, BYTES_LIT("sealgate caller\n"));
    sha256_add(&hash, own);
    sha256_end(&hash, digest);
    return text_hex_encode(out, BYTES_ARRAY(digest));
}

static err make_seal(struct exchange *x)
{
    BUF_AUTO caller = BUF(2 * SHA256_LEN);
    struct trace_found trace;
    char parent[TRACE_PARENT_LEN + 1];
    char date[HTTPDATE_LEN + 1];
    struct bhttp_field fields[BHTTP_FIELDS_MAX];
    size_t n = 0;
    httpdate_write(clock_wall_s(), date);
    n = add_field(fields, n, FIELD_DATE, bytes_str(date));
    n = add_field(fields, n, FIELD_REQUEST_ID, bytes_str(x->guest.id));
    n = add_field(fields, n, FIELD_AUTHORIZATION, authorization_of(x));
    TRY(write_caller(x, &caller));
    n = add_field(fields, n, FIELD_CALLER, buf_view(&caller));
    n = add_field(fields, n, FIELD_RECEIPT_NONCE, kept_field(&x->request, FIELD_RECEIPT_NONCE));
    trace_find(x->request.head.fields, x->request.head.fields_n, &trace);
    if (trace_is_set(&x->trace))
        trace.trace = x->trace;
    n = add_trace(fields, n, &trace, parent);
    for (size_t i = 0; i < x->request.head.fields_n && n < BHTTP_FIELDS_MAX; i++) {
        if (kept_passes(x->request.head.fields[i].name))
            fields[n++] = x->request.head.fields[i];
    }
    const struct seal_request request = { .method = x->request.head.method,
                                          .path = x->request.head.path,
                                          .fields = fields,
                                          .fields_n = n,
                                          .content = buf_view(&x->body) };
    return seal_new(&x->seal, x->trusted, &request, &SEAL_EVENTS, x);
}

static err submit(struct exchange *x)
{
    const struct link_field fields[] = {
        { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_OHTTP_CHUNKED_REQ) },
        { BYTES_LIT(FIELD_INCREMENTAL), BYTES_LIT(INCREMENTAL_YES) },
        { BYTES_LIT(FIELD_OHTTP_KEY), bytes_str(x->trusted->hint) },
    };
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .authority = bytes_str(x->trusted->name),
                                          .path = BYTES_LIT(PATH_OHTTP_GATEWAY),
                                          .fields = fields,
                                          .fields_n = ARRAY_LEN(fields) };
    TRY(make_seal(x));
    TRY(link_submit(pool_worker_link(x->worker), &request, &x->stream, x));
    return send_more(x, FIRST_ROOM);
}

static void wait_in_list(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    if (x->prev_waiting != NULL)
        return;
    x->prev_waiting = s->waiting != NULL ? s->waiting_end : &s->waiting;
    *x->prev_waiting = x;
    s->waiting_end = &x->next_waiting;
    if (!loop_timer_active(&x->timer))
        be_patient(x, settings_of(x)->worker_timeout);
}

static void start_ticking(struct exchange *x);

/* What a request is about that only one worker can have: a kept response, or an item of one. */
static bytes kept_id(const struct exchange *x)
{
    struct route_match match;
    if (x->guest.route == ROUTE_RESPONSES)
        return peek_previous(&x->peek);
    if (x->guest.route != ROUTE_RESPONSE)
        return (bytes){ 0 };
    route_find(x->request.head.method, x->request.head.path, &match);
    return match.id;
}

/* The worker that keeps what the request is about, and no other while that one is there; else any:
 * it will say that it has no such thing. */
static struct pool_worker *choose(const struct exchange *x, size_t avoid)
{
    struct pool *pool = x->guest.shard->pool;
    bytes id = kept_id(x);
    size_t prefix = text_find(id, BYTES_LIT("_"));
    if (prefix < id.len) {
        struct pool_worker *w = pool_find(pool, bytes_slice(id, prefix + 1, POOL_TAG_LEN));
        if (w != NULL)
            return pool_worker_usable(w) ? w : NULL;
    }
    return pool_choose(pool, avoid);
}

static void do_send(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    size_t avoid = x->resent && x->trusted != NULL ? x->trusted->place : SIZE_MAX;
    struct pool_worker *w = choose(x, avoid);
    if (w == NULL || (x->needs_fresh && pool_worker_trusted(w) == x->trusted)) {
        size_t place;
        if (pool_has_expired(s->pool, &place))
            shard_report_stale(s, place);
        wait_in_list(x);
        return;
    }
    leave_list(x);
    x->worker = w;
    pool_worker_add(w, 1);
    trusted_unref(x->trusted);
    x->trusted = trusted_ref(pool_worker_trusted(w));
    x->sealed_all = false;
    err e = submit(x);
    if (e.code != ERR_OK) {
        drop_worker(x);
        fail_with(x, error_from(e, false), ON_BROKEN);
        return;
    }
    metrics_observe_us(s->block, common_of(x)->metering->overhead, 0, 0,
                       clock_steady_us() - x->received_us);
    be_patient(x, settings_of(x)->answer_timeout);
    start_ticking(x);
    fire(x, ON_SUBMITTED);
}

static void do_again(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    drop_worker(x);
    loop_timer_stop(&x->timer);
    if (x->resent) {
        fire(x, ON_BROKEN);
        return;
    }
    x->resent = true;
    metrics_add(s->block, common_of(x)->metering->resent, 0, 0, 1);
    /* After this turn: by then a dead connection is known to be one. */
    wait_in_list(x);
    exchange_wake(s);
}

static void on_wake(struct loop_task *t)
{
    struct shard *s = CONTAINER_OF(t, struct shard, wake);
    struct exchange *next;
    for (struct exchange *x = s->waiting; x != NULL; x = next) {
        next = x->next_waiting;
        if (pool_choose(s->pool, SIZE_MAX) == NULL)
            return;
        fire(x, ON_WORKER);
    }
}

void exchange_wake(struct shard *s)
{
    if (s->waiting != NULL)
        loop_defer(s->loop, &s->wake, on_wake);
}

/* ---- to the client ---- */

/* What the front would not take is left out, and so is what is over the room: a worker's fields may
 * cost nobody an answer. Our own limits hide theirs. */
static bool takes_field(const struct bhttp_field *f, bool limited, size_t *room)
{
    const struct front_field field = { f->name, f->value };
    size_t len = f->name.len + f->value.len;
    if (!kept_passes(f->name) || bytes_equal(f->name, BYTES_LIT(FIELD_CONTENT_TYPE)) ||
        bytes_equal(f->name, BYTES_LIT(FIELD_OPENAI_VERSION)) ||
        (limited && bytes_starts(f->name, BYTES_LIT("x-ratelimit-"))) || len > *room ||
        !front_takes(&field))
        return false;
    *room -= len;
    return true;
}

static size_t answer_fields(const struct exchange *x, struct front_field *out, bytes url, bytes ms)
{
    size_t n = guest_fields(&x->guest, out);
    size_t room = ANSWER_FIELDS_LEN;
    if (kept_field(&x->answer, FIELD_PROCESSING_MS).len == 0)
        out[n++] = (struct front_field){ BYTES_LIT(FIELD_PROCESSING_MS), ms };
    bytes id = kept_field(&x->answer, FIELD_RECEIPT_ID);
    for (size_t i = 0; i < x->answer.head.fields_n && n < FRONT_FIELDS_MAX - 8; i++) {
        const struct bhttp_field *f = &x->answer.head.fields[i];
        if (takes_field(f, x->guest.payer.limits.n > 0, &room))
            out[n++] = (struct front_field){ f->name, f->value };
    }
    bytes type = kept_field(&x->answer, FIELD_CONTENT_TYPE);
    if (x->sse) {
        type = BYTES_LIT(MEDIA_SSE "; charset=utf-8");
        out[n++] = (struct front_field){ BYTES_LIT(FIELD_CACHE_CONTROL),
                                         BYTES_LIT("no-cache, no-transform") };
        out[n++] =
            (struct front_field){ BYTES_LIT(FIELD_ACCEL_BUFFERING), BYTES_LIT(ACCEL_BUFFERING_NO) };
        out[n++] = (struct front_field){ BYTES_LIT("trailer"), BYTES_LIT(TRAILER_PUBLIC_RECEIPT) };
    }
    if (type.len > 0)
        out[n++] = (struct front_field){ BYTES_LIT(FIELD_CONTENT_TYPE), type };
    if (id.len > 0) {
        out[n++] = (struct front_field){ BYTES_LIT(FIELD_RECEIPT_ID), id };
        out[n++] = (struct front_field){ BYTES_LIT(FIELD_RECEIPT_URL), url };
    }
    return n;
}

/* With the whole content, which is taken, or to be followed by it piece by piece. */
static err begin_with(struct exchange *x, unsigned status, int64_t content_length,
                      struct buf *content)
{
    struct front_field fields[FRONT_FIELDS_MAX];
    BUF_AUTO url = BUF(256);
    char ms[GUEST_MS_LEN + 1];
    TRY(buf_add_str(&url, PATH_RECEIPTS "/"));
    TRY(buf_add(&url, kept_field(&x->answer, FIELD_RECEIPT_ID)));
    size_t n = answer_fields(x, fields, buf_view(&url), guest_ms(&x->guest, ms));
    if (content != NULL)
        TRY(front_respond_take(x->guest.request, status, fields, n, content));
    else
        TRY(front_begin(x->guest.request, status, fields, n, content_length));
    x->begun = true;
    x->guest.status = status;
    return OK;
}

static err begin(struct exchange *x, unsigned status, int64_t content_length)
{
    return begin_with(x, status, content_length, NULL);
}

static void note_said(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    uint64_t now_us = clock_steady_us();
    if (x->said_ms == 0)
        metrics_observe_us(s->block, common_of(x)->metering->first, 0, 0,
                           x->first_us = now_us - x->guest.began_us);
    else if (x->sse)
        metrics_observe_us(s->block, common_of(x)->metering->gap, 0, 0,
                           now_us > x->said_ms * 1000 ? now_us - x->said_ms * 1000 : 0);
    x->said_ms = now_us / 1000;
}

static err say(struct exchange *x, bytes data)
{
    if (data.len == 0)
        return OK;
    note_said(x);
    return front_write(x->guest.request, data);
}

/* The head of a stream goes at once, that of anything else when the first of its content may. */
static err begin_if_due(struct exchange *x)
{
    const struct bhttp_head *head = &x->answer.head;
    if (x->begun || (!x->sse && outlet_ready(&x->outlet).len == 0))
        return OK;
    bool known = !x->sse && head->content_known;
    return begin(x, head->status, known ? (int64_t)head->content_len : FRONT_CHUNKED);
}

static void give_back(struct exchange *x)
{
    if (x->stream == NULL || x->owed == 0 || x->guest.request == NULL)
        return;
    if (x->begun && front_queued(x->guest.request) > FRONT_AHEAD)
        return;
    link_stream_consume(x->stream, x->owed);
    x->owed = 0;
}

static err release_ready(struct exchange *x)
{
    TRY(begin_if_due(x));
    bytes ready = outlet_ready(&x->outlet);
    TRY(say(x, ready));
    outlet_release(&x->outlet, ready.len);
    return OK;
}

/* A comment where nothing was said for a while, and the status when the worker keeps us waiting:
 * proxies and clients give up on silence. */
static void on_tick(struct loop_timer *t)
{
    struct exchange *x = CONTAINER_OF(t, struct exchange, tick);
    const struct gateway_settings *set = settings_of(x);
    uint64_t now_ms = clock_steady_us() / 1000;
    bool quiet = now_ms - x->said_ms >= set->keepalive;
    if (x->guest.request == NULL)
        return;
    if (!x->begun) {
        x->sse = true;
        if (begin(x, 200, FRONT_CHUNKED).code != ERR_OK)
            return;
        quiet = true;
    }
    if (quiet && x->sse && !(x->has_outlet && x->outlet.mid_event)) {
        x->said_ms = now_ms;
        (void)front_write(x->guest.request, BYTES_LIT(": keep-alive\n\n"));
    }
    uint64_t silent_ms = now_ms - x->said_ms;
    loop_timer_start(x->guest.shard->loop, &x->tick,
                     silent_ms < set->keepalive ? set->keepalive - silent_ms : 1, on_tick);
}

static void start_ticking(struct exchange *x)
{
    if (x->peek.stream && !loop_timer_active(&x->tick))
        loop_timer_start(x->guest.shard->loop, &x->tick, settings_of(x)->commit_after, on_tick);
}

static err write_error_event(struct exchange *x)
{
    const struct api_error error = { .cause = x->cause, .retry_after_s = 1 };
    BUF_AUTO event = BUF(2 * ERROR_BODY_MAX);
    if (x->has_outlet && x->outlet.error)
        return OK;
    if (x->has_outlet && x->outlet.mid_event)
        TRY(buf_add_str(&event, "\n\n"));
    if (is_of_responses(x))
        TRY(error_write_responses_event(&event, &error, x->has_outlet ? x->outlet.next : 0));
    else
        TRY(error_write_event(&event, &error));
    return front_write(x->guest.request, buf_view(&event));
}

/* Before anything was said: a status and an error object. After: an error event if it is a stream,
 * and the framing is broken, so that nobody takes it for complete. */
static void do_fail(struct exchange *x)
{
    const struct api_error error = { .cause = x->cause, .retry_after_s = 2 };
    x->failed = !x->has_outlet;
    pay(x);
    drop_worker(x);
    leave_list(x);
    loop_timer_stop(&x->timer);
    loop_timer_stop(&x->tick);
    if (!x->begun) {
        guest_error(&x->guest, &error);
        return;
    }
    x->cut = true;
    if (x->sse)
        (void)write_error_event(x);
    front_abort(x->guest.request);
}

/* Comes out of seal_open(): nothing here may end the exchange. What is no stream is not told one. */
static void do_begin(struct exchange *x)
{
    outlet_init(&x->outlet, x->sse);
    x->has_outlet = true;
    if (!x->sse)
        loop_timer_stop(&x->tick);
    else if (loop_timer_active(&x->tick)) /* which was for the status */
        loop_timer_start(x->guest.shard->loop, &x->tick, settings_of(x)->keepalive, on_tick);
    be_patient(x, settings_of(x)->stall_timeout);
}

/* ---- the receipt ---- */

static err hold_receipt(struct buf *comment, bytes receipt)
{
    TRY(buf_add_str(comment, SSE_RECEIPT_PREFIX));
    TRY(text_base64url_encode(comment, receipt));
    return buf_add_str(comment, "\n\n");
}

static err end_chunked(struct exchange *x)
{
    BUF_AUTO text = BUF(2 * AIR_RECEIPT_MAX);
    struct front_field trailer = { .name = BYTES_LIT(TRAILER_PUBLIC_RECEIPT) };
    if (x->receipt.len == 0 || !x->sse)
        return front_end(x->guest.request, NULL, 0);
    TRY(text_base64url_encode(&text, buf_view(&x->receipt)));
    trailer.value = buf_view(&text);
    return front_end(x->guest.request, &trailer, text.len <= FRONT_FIELD_MAX ? 1 : 0);
}

static err begin_release(struct exchange *x)
{
    BUF_AUTO comment = BUF(2 * AIR_RECEIPT_MAX);
    if (!x->begun)
        TRY(begin(x, x->answer.head.status, (int64_t)x->outlet.total));
    if (!x->sse || x->receipt.len == 0)
        return OK;
    TRY(hold_receipt(&comment, buf_view(&x->receipt)));
    return say(x, buf_view(&comment));
}

/* The last piece and the end of the body leave in one write. */
static err release_more(struct exchange *x)
{
    while (x->releasing && front_queued(x->guest.request) < FRONT_AHEAD) {
        bytes piece = bytes_slice(outlet_rest(&x->outlet), x->released, FRONT_AHEAD);
        TRY(say(x, piece));
        x->released += piece.len;
        if (x->released < outlet_rest(&x->outlet).len)
            continue;
        x->releasing = false;
        TRY(end_chunked(x));
    }
    return OK;
}

static void release(struct exchange *x)
{
    if (release_more(x).code == ERR_OK)
        return;
    x->releasing = false;
    x->cut = true;
    front_abort(x->guest.request);
}

/* Nothing was said yet, and there is something to say. */
static bool leaves_whole(const struct exchange *x)
{
    unsigned status = x->answer.head.status;
    return !x->begun && !x->sse && x->outlet.content.len > 0 && status != 204 && status != 304;
}

static void release_whole(struct exchange *x)
{
    note_said(x);
    if (begin_with(x, x->answer.head.status, 0, &x->outlet.content).code != ERR_OK)
        do_fail(x);
}

static void do_release(struct exchange *x)
{
    loop_timer_stop(&x->tick);
    pay(x);
    x->cause = ERROR_INTERNAL;
    if (leaves_whole(x)) {
        release_whole(x);
        return;
    }
    x->releasing = begin_release(x).code == ERR_OK;
    if (x->releasing)
        release(x);
    else
        do_fail(x);
}

/* On the store's thread; nobody changes what is read here while the record is there. */
static err check_receipt(struct store_record *record)
{
    const struct exchange *x = record->owner;
    struct air_report report;
    uint8_t raw[AIR_NONCE_MAX];
    char id[AIR_ID_LEN + 1];
    struct buf nonce = { .max = sizeof raw };
    TRY(text_base64url_decode(&nonce, kept_field(&x->request, FIELD_RECEIPT_NONCE)));
    const struct air_policy policy = {
        .now = clock_wall_s(),
        .clock_skew_s = SKEW_S,
        .max_age_s = SKEW_S,
        .request_hash = BYTES_ARRAY(record->message_hash),
        .response_hash = BYTES_ARRAY(x->response_hash),
        .attestation_doc_hash = BYTES_ARRAY(x->trusted->document),
        .allow_evaluation = x->trusted->evaluation,
        .nonce = buf_view(&nonce),
    };
    air_check(buf_view(&record->receipt), BYTES_ARRAY(x->trusted->identity), &policy, &report);
    buf_clear(&nonce);
    ENSURE(report.verified, UNTRUSTED);
    ENSURE(trusted_mismatch(x->trusted, &report.claims) == NULL, UNTRUSTED);
    air_id(&report.claims, id);
    ENSURE(bytes_equal(bytes_str(id), kept_field(&x->answer, FIELD_RECEIPT_ID)), UNTRUSTED);
    memcpy(record->receipt_id, id, sizeof id);
    return OK;
}

static void on_stored(struct loop_mail *mail)
{
    struct store_record *record = CONTAINER_OF(mail, struct store_record, mail);
    struct exchange *x = record->owner;
    struct shard *s = x->guest.shard;
    const struct shard_common *common = s->common;
    err result = record->result;
    enum metering_receipt outcome = result.code == ERR_OK ? METERING_STORED
                                    : record->refused     ? METERING_NOT_VERIFIED
                                                          : METERING_NOT_STORED;
    metrics_add(s->block, common->metering->receipts, outcome, 0, 1);
    if (result.code != ERR_OK)
        LOG_ERROR(common->log, "receipt failed", F_BOOL("refused", record->refused), F_ERR(result));
    x->record = NULL;
    store_record_free(record);
    fail_with(x, ERROR_RECEIPT_FAILED, result.code == ERR_OK ? ON_PROVED : ON_UNPROVED);
}

static err hand_to_store(struct exchange *x)
{
    struct store_record *record;
    TRY(store_record_new(&record));
    record->mail.deliver = on_stored;
    record->loop = x->guest.shard->loop;
    record->check = check_receipt;
    record->owner = x;
    record->message = buf_view(&x->body);
    memcpy(record->key, x->trusted->identity, sizeof record->key);
    memcpy(record->evidence_hash, x->trusted->document, sizeof record->evidence_hash);
    (void)store_id_set(record->request_id, bytes_str(x->guest.id));
    /* A response's id finds the receipt of its making, not those of its reading. */
    if (x->guest.route != ROUTE_RESPONSE)
        (void)store_id_set(record->completion_id, outlet_id(&x->outlet));
    err e = buf_add(&record->receipt, buf_view(&x->receipt));
    if (e.code != ERR_OK) {
        store_record_free(record);
        return e;
    }
    x->record = record;
    store_put(common_of(x)->store, record);
    return OK;
}

/* Errors of the worker's own making come without a receipt, and say so by having no id of one. */
static bool needs_no_receipt(const struct exchange *x)
{
    return x->answer.head.status >= 400 && x->receipt.len == 0 &&
           kept_field(&x->answer, FIELD_RECEIPT_ID).len == 0;
}

/* A stream that has said all on both sides closes by itself, in a moment. When the worker answered
 * before it had the whole request, the rest is not sent any more. */
static void do_prove(struct exchange *x)
{
    if (!x->sealed_all)
        give_up_stream(x);
    leave_worker(x);
    loop_timer_stop(&x->timer);
    transcript_end(&x->outlet.transcript, x->response_hash);
    if (needs_no_receipt(x)) {
        fire(x, ON_PROVED);
        return;
    }
    if (x->receipt.len == 0 || hand_to_store(x).code != ERR_OK) {
        metrics_add(x->guest.shard->block, common_of(x)->metering->receipts, METERING_NOT_VERIFIED,
                    0, 1);
        LOG_ERROR(common_of(x)->log, "receipt missing");
        fail_with(x, ERROR_RECEIPT_FAILED, ON_UNPROVED);
    }
}

/* ---- the worker's answer ---- */

static err on_inner_head(void *owner, const struct bhttp_head *head)
{
    struct exchange *x = owner;
    TRY(kept_head(&x->answer, head));
    bytes type = kept_field(&x->answer, FIELD_CONTENT_TYPE);
    bool sse = text_equal_nocase(bytes_slice(type, 0, sizeof MEDIA_SSE - 1), BYTES_LIT(MEDIA_SSE));
    /* The client was told 200 and a stream already. */
    ENSURE(!x->begun || sse, UNAVAILABLE);
    x->sse = sse;
    fire(x, ON_HEAD);
    return OK;
}

static err on_inner_content(void *owner, bytes piece)
{
    struct exchange *x = owner;
    ENSURE(x->has_outlet, MALFORMED);
    return outlet_add(&x->outlet, piece);
}

static err on_inner_complete(void *owner, bytes receipt)
{
    struct exchange *x = owner;
    ENSURE(x->has_outlet, MALFORMED);
    return buf_add(&x->receipt, receipt);
}

/* Handing pieces to seal_open() must not free the seal under it: events fire afterwards. */
static void open_more(struct exchange *x, bytes in, bool end)
{
    err e = seal_open(x->seal, in, end);
    if (x->state != EXCHANGE_ASKED && x->state != EXCHANGE_ANSWERING)
        return;
    err sent = x->has_outlet ? release_ready(x) : OK;
    if (e.code != ERR_OK || sent.code != ERR_OK) {
        fail_with(x, error_from(e.code != ERR_OK ? e : sent, true), ON_BROKEN);
        return;
    }
    if (end)
        fire(x, ON_COMPLETE);
    else
        give_back(x);
}

static bool is_sealed_answer(const struct link_field *fields, size_t n)
{
    return bytes_equal(link_field(fields, n, FIELD_CONTENT_TYPE),
                       BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES));
}

/* An answer in the clear is nobody's word: at most a hint that our key is stale or the worker full.
 */
static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    struct exchange *x = link_stream_owner(s);
    if (status == 200 && is_sealed_answer(fields, n))
        return;
    x->needs_fresh = status == 400 || status == 421 || status == 422;
    if (x->needs_fresh)
        shard_report_stale(x->guest.shard, x->trusted->place);
    fail_with(x, status == 503 || status == 429 ? ERROR_OVERLOADED : ERROR_UPSTREAM_UNREACHABLE,
              ON_UNDONE);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct exchange *x = link_stream_owner(s);
    x->owed += in.len;
    if (x->state == EXCHANGE_ANSWERING)
        be_patient(x, settings_of(x)->stall_timeout);
    open_more(x, in, false);
}

static void on_end(struct link_stream *s)
{
    open_more(link_stream_owner(s), (bytes){ 0 }, true);
}

static void on_stream_hungry(struct link_stream *s, size_t room)
{
    struct exchange *x = link_stream_owner(s);
    err e = x->seal != NULL && !x->sealed_all ? send_more(x, room) : OK;
    if (e.code != ERR_OK)
        fail_with(x, error_from(e, true), ON_BROKEN);
}

/* Before the first byte the request may be sent again: either it was provably not processed, or the
 * worker is gone, and with it whatever it had begun. */
static void on_stream_closed(struct link_stream *s, enum link_close why)
{
    struct exchange *x = link_stream_owner(s);
    x->stream = NULL;
    exchange_wake(x->guest.shard);
    if (x->state == EXCHANGE_ASKED && (why == LINK_REFUSED || why == LINK_LOST))
        fail_with(x, ERROR_UPSTREAM_UNREACHABLE, ON_UNDONE);
    else if (x->state == EXCHANGE_ASKED || x->state == EXCHANGE_ANSWERING)
        fail_with(x, ERROR_UPSTREAM_BROKEN, ON_BROKEN);
}

const struct link_events exchange_link_events = { .head = on_head,
                                                  .data = on_data,
                                                  .end = on_end,
                                                  .hungry = on_stream_hungry,
                                                  .closed = on_stream_closed };

/* ---- the client's request ---- */

/* ERR_NOMEM also when the shard's share of bodies is used up. */
static err hold(struct exchange *x, bytes piece)
{
    struct shard *s = x->guest.shard;
    ENSURE(piece.len <= common_of(x)->held_max - s->held, NOMEM);
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

static bool wants_json(const struct exchange *x)
{
    return x->guest.route == ROUTE_CHAT_COMPLETIONS || x->guest.route == ROUTE_COMPLETIONS ||
           x->guest.route == ROUTE_EMBEDDINGS || x->guest.route == ROUTE_RESPONSES;
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
    if (wants_json(x)) {
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
        (x->body.len == 0 || payer_enter(&g->payer, peek_model(&x->peek), &error)))
        fire(x, ON_BODY);
    else
        guest_error(g, &error);
}

static void on_writable(struct guest *g)
{
    struct exchange *x = exchange_of(g);
    if (x->releasing)
        release(x);
    else
        give_back(x);
}

static void leave(struct guest *g, bool gone)
{
    struct exchange *x = exchange_of(g);
    pay(x);
    note(x, gone);
    guest_settle(g, gone && !x->cut, x->cut);
    g->request = NULL;
    /* Answered with an error before it was complete: then it is still receiving. */
    fire(x, gone || x->state == EXCHANGE_RECEIVING ? ON_GONE : ON_SENT);
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
    [DO_NONE] = do_none,     [DO_SEND] = do_send,     [DO_AGAIN] = do_again,
    [DO_BEGIN] = do_begin,   [DO_PROVE] = do_prove,   [DO_RELEASE] = do_release,
    [DO_FAIL] = do_fail,     [DO_CANCEL] = do_cancel, [DO_LET_GO] = do_let_go,
    [DO_SETTLE] = do_settle,
};

static void fire(struct exchange *x, enum exchange_event event)
{
    struct exchange_cell cell = exchange_cell(x->state, event);
    if (cell.action == DO_IMPOSSIBLE) {
        LOG_ERROR(common_of(x)->log, "impossible event", F_U64("state", x->state),
                  F_U64("event", event));
        if (x->guest.request != NULL)
            front_abort(x->guest.request);
        return;
    }
    x->state = cell.next;
    ACTIONS[cell.action](x);
}

/* ---- the start ---- */

struct collected {
    struct bhttp_field fields[REQUEST_FIELDS_MAX];
    uint8_t names[FRONT_HEAD_MAX]; /* in lower case */
    size_t names_len;
    size_t n;
};

/* Of what does not simply pass, what make_seal() reads. */
static bool is_for_us(bytes name)
{
    static const char *const names[] = { FIELD_AUTHORIZATION, FIELD_RECEIPT_NONCE,
                                         FIELD_TRACEPARENT, FIELD_TRACESTATE };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal(name, bytes_str(names[i])))
            return true;
    }
    return false;
}

static bool collect(void *ctx, bytes name, bytes value)
{
    struct collected *c = ctx;
    if (c->n == REQUEST_FIELDS_MAX || c->names_len + name.len > sizeof c->names)
        return false;
    uint8_t *lower = c->names + c->names_len;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = name.at[i] >= 'A' && name.at[i] <= 'Z' ? (uint8_t)(name.at[i] + 32) : name.at[i];
    c->names_len += name.len;
    bytes kept = bytes_of(lower, name.len);
    if (kept_passes(kept) || is_for_us(kept))
        c->fields[c->n++] = (struct bhttp_field){ kept, value };
    return true;
}

static void drop_field(struct collected *c, bytes name)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!text_equal_nocase(c->fields[i].name, name))
            c->fields[n++] = c->fields[i];
    }
    c->n = n;
}

/* What Connection names belongs to this hop only (RFC 9110 section 7.6.1). */
static bool drop_named(void *ctx, bytes name, bytes value)
{
    if (!text_equal_nocase(name, BYTES_LIT("connection")))
        return true;
    while (value.len > 0) {
        size_t comma = text_find(value, BYTES_LIT(","));
        drop_field(ctx, text_trim(bytes_slice(value, 0, comma)));
        value = bytes_slice(value, comma + 1, value.len);
    }
    return true;
}

static err keep_request(struct exchange *x)
{
    struct front_request *r = x->guest.request;
    BUF_AUTO target = BUF(TARGET_MAX);
    BUF_AUTO clean = BUF(TARGET_MAX);
    struct collected *c;
    TRY(buf_add(&target, front_path(r)));
    if (front_query(r).len > 0) {
        TRY(buf_add_u8(&target, '?'));
        TRY(buf_add(&target, front_query(r)));
    }
    TRY(route_write_target(&clean, buf_view(&target)));
    TRY(mem_new(&c));
    front_headers(r, collect, c);
    front_headers(r, drop_named, c);
    const struct bhttp_head head = {
        .is_request = true,
        .method = front_is_head(r) ? BYTES_LIT("GET") : front_method(r),
        .path = buf_view(&clean),
        .fields = c->fields,
        .fields_n = c->n,
    };
    err e = kept_head(&x->request, &head);
    mem_free(c);
    return e;
}

static enum error_cause objection(const struct exchange *x)
{
    uint8_t raw[AIR_NONCE_MAX];
    struct buf nonce = { .max = sizeof raw };
    bytes encoding = kept_field(&x->request, "content-encoding");
    bytes type = kept_field(&x->request, FIELD_CONTENT_TYPE);
    bytes text = kept_field(&x->request, FIELD_RECEIPT_NONCE);
    err e = text_base64url_decode(&nonce, text);
    size_t len = nonce.len;
    buf_clear(&nonce);
    if (encoding.len > 0 && !text_equal_nocase(encoding, BYTES_LIT("identity")))
        return ERROR_CONTENT_ENCODING;
    if (wants_json(x) && type.len > 0 &&
        !text_equal_nocase(bytes_slice(type, 0, sizeof MEDIA_JSON - 1), BYTES_LIT(MEDIA_JSON)))
        return ERROR_MEDIA_TYPE;
    if (text.len > 0 && (e.code != ERR_OK || len < AIR_NONCE_MIN || len > AIR_NONCE_MAX))
        return ERROR_INVALID_VALUE;
    return ERROR_CAUSES;
}

/* Where spans are collected, ours is the parent of what comes behind. */
static err begin_span(struct exchange *x)
{
    struct trace_found found;
    if (common_of(x)->tracer == NULL)
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
    x->body = BUF(settings_of(x)->body_max);
    x->receipt = BUF(AIR_RECEIPT_MAX);
    x->cause = ERROR_UPSTREAM_UNREACHABLE;
    TRY(keep_request(x));
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
    enum error_cause cause = e.code == ERR_OK ? objection(x) : error_from(e, false);
    if (cause == ERROR_CAUSES)
        return;
    const struct api_error error = { .cause = cause,
                                     .param = cause == ERROR_INVALID_VALUE
                                                  ? BYTES_LIT(FIELD_RECEIPT_NONCE)
                                                  : (bytes){ 0 } };
    guest_error(&x->guest, &error);
}
