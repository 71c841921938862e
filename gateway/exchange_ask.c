/*
 * The worker's side of an exchange: choosing one, sealing and sending, opening what comes back.
 */
#include "base/clock.h"
#include "base/httpdate.h"
#include "base/text.h"
#include "gateway/blame.h"
#include "gateway/exchange_private.h"
#include "wire/names.h"

enum { FIRST_ROOM = 16 * 1024 /* of a request, sealed when it is submitted */ };

static err on_inner_head(void *owner, const struct bhttp_head *head);
static err on_inner_content(void *owner, bytes piece);
static err on_inner_complete(void *owner, bytes receipt);

static const struct seal_events SEAL_EVENTS = { .head = on_inner_head,
                                                .content = on_inner_content,
                                                .complete = on_inner_complete };

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
    if (exchange_common(x)->worker_authorization.len > 0)
        return exchange_common(x)->worker_authorization;
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

/* Responses are kept for whoever asked; where credentials do not go on, a digest of them does, inside
 * the seal. Empty where they do, or there are none. */
static err write_caller(const struct exchange *x, struct buf *out)
{
    struct sha256 hash;
    uint8_t digest[SHA256_LEN];
    bytes own = kept_field(&x->request, FIELD_AUTHORIZATION);
    bytes sent = authorization_of(x);
    if (!exchange_is_of_responses(x) || own.len == 0 || (sent.at == own.at && sent.len == own.len))
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
    TRY(make_seal(x));
    TRY(seal_submit(x->trusted, pool_worker_link(x->worker), &x->stream, x));
    return send_more(x, FIRST_ROOM);
}

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

/* The model that is asked for; *name is for one in the path. Empty: none, or any. */
static bytes model_of(const struct exchange *x, struct buf *name)
{
    struct route_match match;
    if (x->guest.route != ROUTE_MODEL)
        return peek_model(&x->peek);
    route_find(x->request.head.method, x->request.head.path, &match);
    return route_decode_id(name, match.id).code == ERR_OK ? buf_view(name) : (bytes){ 0 };
}

/* The worker that keeps what the request is about, and no other while that one is there; else any:
 * it will say that it has no such thing. */
static struct pool_worker *choose(const struct exchange *x, size_t avoid)
{
    struct pool *pool = x->guest.shard->pool;
    bytes id = kept_id(x);
    size_t prefix = text_find(id, BYTES_LIT("_"));
    if (prefix < id.len) {
        struct pool_worker *w = pool_find(pool, bytes_slice(id, prefix + 1, POOL_TAG_LEN), avoid);
        if (w != NULL)
            return pool_worker_usable(w) ? w : NULL;
    }
    BUF_AUTO name = BUF(ROUTE_ID_MAX);
    const struct pool_want want = { .avoid = avoid,
                                    .model = model_of(x, &name),
                                    .all_models = x->guest.route == ROUTE_MODELS };
    return pool_choose(pool, &want);
}

void exchange_do_send(struct exchange *x)
{
    struct shard *s = x->guest.shard;
    size_t avoid = x->resends > 0 && x->trusted != NULL ? x->trusted->place : SIZE_MAX;
    struct pool_worker *w = choose(x, avoid);
    if (w == NULL || (x->needs_fresh && pool_worker_trusted(w) == x->trusted)) {
        size_t place;
        if (pool_has_expired(s->pool, &place))
            shard_report_stale(s, place);
        exchange_wait(x);
        return;
    }
    exchange_leave_list(x);
    x->worker = w;
    pool_worker_add(w, 1);
    trusted_unref(x->trusted);
    x->trusted = trusted_ref(pool_worker_trusted(w));
    x->sealed_all = x->noted = x->undone = false;
    x->owed = 0;
    err e = submit(x);
    if (e.code != ERR_OK) {
        exchange_drop_worker(x);
        exchange_fail(x, error_from(e, false), ON_BROKEN);
        return;
    }
    metrics_observe_us(s->block, exchange_common(x)->metering->overhead, 0, 0,
                       clock_steady_us() - x->received_us);
    exchange_be_patient(x, exchange_settings(x)->answer_timeout);
    exchange_start_ticking(x);
    exchange_fire(x, ON_SUBMITTED);
}

bool exchange_may_resend(struct exchange *x)
{
    if (x->resends == 0 || x->resends == EXCHANGE_RESENDS_MAX)
        return x->resends == 0;
    return choose(x, x->trusted->place) != x->worker;
}

/* ---- the worker's answer ---- */

/* For a request that was not sent elsewhere before, when there is an elsewhere that is better: where all
 * are overloaded, nobody is to be asked twice as much. */
static bool may_try_another(struct exchange *x)
{
    const struct pool_worker *w = x->resends > 0 ? NULL : choose(x, x->trusted->place);
    return w != NULL && w != x->worker && pool_worker_is_well(w);
}

static err on_inner_head(void *owner, const struct bhttp_head *head)
{
    struct exchange *x = owner;
    exchange_note(x, blame_head(head));
    x->undone = blame_is_undone(head) && may_try_another(x);
    ENSURE(!x->undone, UNAVAILABLE);
    TRY(kept_head(&x->answer, head));
    bytes type = kept_field(&x->answer, FIELD_CONTENT_TYPE);
    bool sse = text_equal_nocase(bytes_slice(type, 0, sizeof MEDIA_SSE - 1), BYTES_LIT(MEDIA_SSE));
    /* The client was told 200 and a stream already, which is no fault of the worker's. */
    ENSURE(!x->begun || sse, CANCELLED);
    x->sse = sse;
    exchange_fire(x, ON_HEAD);
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
    if (x->undone) {
        exchange_fail(x, ERROR_UPSTREAM_UNREACHABLE, ON_UNDONE);
        return;
    }
    err sent = x->has_outlet ? exchange_release_ready(x) : OK;
    if (e.code != ERR_OK || sent.code != ERR_OK) {
        if (e.code != ERR_OK && e.code != ERR_CANCELLED)
            exchange_note(x, BALANCE_FAILED);
        exchange_fail(x, error_from(e.code != ERR_OK ? e : sent, true), ON_BROKEN);
        return;
    }
    if (end)
        exchange_fire(x, ON_COMPLETE);
    else
        exchange_give_back(x);
}

static bool is_sealed_answer(const struct link_field *fields, size_t n)
{
    return bytes_equal(link_field(fields, n, FIELD_CONTENT_TYPE),
                       BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES));
}

/* A proxy on the way says 408, 429 and 503 of requests, too, that it has passed on: HAProxy and Envoy say
 * 503 when who had the request is gone. Theirs are no JSON. */
static bool is_of_ours(const struct link_field *fields, size_t n)
{
    bytes type = link_field(fields, n, FIELD_CONTENT_TYPE);
    return bytes_equal(type, BYTES_LIT(MEDIA_PROBLEM_JSON)) ||
           bytes_equal(type, BYTES_LIT(MEDIA_JSON));
}

/* What a worker that cannot open a request, or takes no more, and a relay that has nobody to pass it to
 * would say. With anything else it may have been passed on. */
static bool says_undone(unsigned status, const struct link_field *fields, size_t n)
{
    if (status == 408 || status == 429 || status == 503)
        return is_of_ours(fields, n);
    return status == 400 || status == 421 || status == 422;
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
    exchange_note(x, x->needs_fresh ? BALANCE_NOTHING : BALANCE_FAILED);
    if (x->needs_fresh)
        shard_report_stale(x->guest.shard, x->trusted->place);
    if (says_undone(status, fields, n))
        exchange_fail(
            x, status == 503 || status == 429 ? ERROR_OVERLOADED : ERROR_UPSTREAM_UNREACHABLE,
            ON_UNDONE);
    else
        exchange_fail(x, ERROR_UPSTREAM_BROKEN, ON_BROKEN);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct exchange *x = link_stream_owner(s);
    x->owed += in.len;
    if (x->state == EXCHANGE_ANSWERING)
        exchange_be_patient(x, exchange_settings(x)->stall_timeout);
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
        exchange_fail(x, error_from(e, true), ON_BROKEN);
}

/* The request may be sent again when it was provably not processed: refused, or lost before its end
 * was sealed, without which no worker acts on it. */
static void on_stream_closed(struct link_stream *s, enum link_close why)
{
    struct exchange *x = link_stream_owner(s);
    bool undone = why == LINK_REFUSED || (why == LINK_LOST && !x->sealed_all);
    x->stream = NULL;
    /* A worker that refuses a stream is going away, as workers do. */
    if (x->state == EXCHANGE_ASKED || x->state == EXCHANGE_ANSWERING)
        exchange_note(x, why == LINK_REFUSED ? BALANCE_NOTHING : BALANCE_FAILED);
    exchange_wake(x->guest.shard);
    if (x->state == EXCHANGE_ASKED && undone)
        exchange_fail(x, ERROR_UPSTREAM_UNREACHABLE, ON_UNDONE);
    else if (x->state == EXCHANGE_ASKED || x->state == EXCHANGE_ANSWERING)
        exchange_fail(x, ERROR_UPSTREAM_BROKEN, ON_BROKEN);
}

const struct link_events exchange_link_events = { .head = on_head,
                                                  .data = on_data,
                                                  .end = on_end,
                                                  .hungry = on_stream_hungry,
                                                  .closed = on_stream_closed };
