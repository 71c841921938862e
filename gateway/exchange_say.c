/*
 * An answer on its way to the client: its head, its pieces, comments where it is silent, errors, and
 * what is held back until the receipt is proved.
 */
#include "base/clock.h"
#include "base/text.h"
#include "gateway/exchange_private.h"
#include "wire/names.h"

enum {
    FRONT_AHEAD = 256 * 1024, /* bytes queued for the client */
    ANSWER_FIELDS_LEN = 4096, /* of an answer's fields that are not ours */
};

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
        metrics_observe_us(s->block, exchange_common(x)->metering->first, 0, 0,
                           x->first_us = now_us - x->guest.began_us);
    else if (x->sse)
        metrics_observe_us(s->block, exchange_common(x)->metering->gap, 0, 0,
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

void exchange_give_back(struct exchange *x)
{
    if (x->stream == NULL || x->owed == 0 || x->guest.request == NULL)
        return;
    if (x->begun && front_queued(x->guest.request) > FRONT_AHEAD)
        return;
    link_stream_consume(x->stream, x->owed);
    x->owed = 0;
}

err exchange_release_ready(struct exchange *x)
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
    const struct gateway_settings *set = exchange_settings(x);
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

void exchange_start_ticking(struct exchange *x)
{
    if (x->peek.stream && !loop_timer_active(&x->tick))
        loop_timer_start(x->guest.shard->loop, &x->tick, exchange_settings(x)->commit_after,
                         on_tick);
}

static err write_error_event(struct exchange *x)
{
    const struct api_error error = { .cause = x->cause, .retry_after_s = 1 };
    BUF_AUTO event = BUF(2 * ERROR_BODY_MAX);
    if (x->has_outlet && x->outlet.error)
        return OK;
    if (x->has_outlet && x->outlet.mid_event)
        TRY(buf_add_str(&event, "\n\n"));
    if (exchange_is_of_responses(x))
        TRY(error_write_responses_event(&event, &error, x->has_outlet ? x->outlet.next : 0));
    else
        TRY(error_write_event(&event, &error));
    return front_write(x->guest.request, buf_view(&event));
}

/* Before anything was said: a status and an error object. After: an error event if it is a stream,
 * and the framing is broken, so that nobody takes it for complete. */
void exchange_do_fail(struct exchange *x)
{
    const struct api_error error = { .cause = x->cause, .retry_after_s = 2 };
    x->failed = !x->has_outlet;
    exchange_pay(x);
    exchange_drop_worker(x);
    exchange_leave_list(x);
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
void exchange_do_begin(struct exchange *x)
{
    outlet_init(&x->outlet, x->sse);
    x->has_outlet = true;
    if (!x->sse)
        loop_timer_stop(&x->tick);
    else if (loop_timer_active(&x->tick)) /* which was for the status */
        loop_timer_start(x->guest.shard->loop, &x->tick, exchange_settings(x)->keepalive, on_tick);
    exchange_be_patient(x, exchange_settings(x)->stall_timeout);
}

/* ---- the end of the answer ---- */

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

void exchange_release(struct exchange *x)
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
        exchange_do_fail(x);
}

void exchange_do_release(struct exchange *x)
{
    loop_timer_stop(&x->tick);
    exchange_pay(x);
    x->cause = ERROR_INTERNAL;
    if (leaves_whole(x)) {
        release_whole(x);
        return;
    }
    x->releasing = begin_release(x).code == ERR_OK;
    if (x->releasing)
        exchange_release(x);
    else
        exchange_do_fail(x);
}
