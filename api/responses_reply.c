#include "api/responses_reply.h"

#include <stdio.h>
#include <string.h>

#include "api/responses_input.h"
#include "api/responses_item.h"
#include "api/sse.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

void responses_reply_init(struct responses_reply *r,
                          const struct responses_reply_settings *settings)
{
    *r = (struct responses_reply){ .settings = *settings,
                                   .status = settings->background ? RESPONSES_QUEUED
                                                                  : RESPONSES_IN_PROGRESS,
                                   .usage = BUF(1024),
                                   .out = BUF(RESPONSES_OUT_MAX) };
    (void)snprintf(r->id, sizeof r->id, "%s", settings->id);
}

void responses_reply_clear(struct responses_reply *r)
{
    for (size_t i = 0; i < r->items_n; i++)
        responses_item_free(r->items[i]);
    mem_free(r->items);
    r->items = NULL;
    r->items_n = 0;
    buf_clear(&r->usage);
    buf_clear(&r->out);
}

size_t responses_reply_size(const struct responses_reply *r)
{
    size_t size = r->out.cap + r->usage.cap;
    for (size_t i = 0; i < r->items_n; i++)
        size += responses_item_size(r->items[i]);
    return size;
}

/* ---- the object ---- */

static const char *const STATUS_WORDS[] = { "in_progress", "queued", "completed",
                                            "incomplete",  "failed", "cancelled" };

err responses_reply_output(const struct responses_reply *r, struct buf *out)
{
    bool any = false;
    for (size_t i = 0; i < r->items_n; i++) {
        if (!r->items[i]->closed)
            continue;
        if (any)
            TRY(buf_add_u8(out, ','));
        TRY(buf_add(out, buf_view(&r->items[i]->json)));
        any = true;
    }
    return OK;
}

static void put_error(struct json_out *j, const struct responses_reply *r)
{
    if (r->status != RESPONSES_FAILED) {
        json_put_null(j, "error");
        return;
    }
    json_begin_object(j, "error");
    json_put_str(j, "code", r->code);
    json_put_str(j, "message", r->message);
    json_close(j);
}

static void put_incomplete(struct json_out *j, const struct responses_reply *r)
{
    if (r->status != RESPONSES_INCOMPLETE || r->reason == NULL) {
        json_put_null(j, "incomplete_details");
        return;
    }
    json_begin_object(j, "incomplete_details");
    json_put_str(j, "reason", r->reason);
    json_close(j);
}

err responses_reply_write(const struct responses_reply *r, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_str(&j, "id", r->id);
    json_put_str(&j, "object", "response");
    json_put_i64(&j, "created_at", r->settings.created_at);
    if (r->completed_at != 0 && r->status == RESPONSES_COMPLETED)
        json_put_i64(&j, "completed_at", r->completed_at);
    else
        json_put_null(&j, "completed_at");
    json_put_str(&j, "status", STATUS_WORDS[r->status]);
    put_error(&j, r);
    put_incomplete(&j, r);
    if (r->usage.len > 0)
        json_put_raw(&j, "usage", buf_view(&r->usage));
    else
        json_put_null(&j, "usage");
    json_begin_array(&j, "output");
    TRY(responses_reply_output(r, out));
    json_close(&j);
    TRY(j.failed);
    TRY(buf_add(out, r->settings.echo));
    json_close(&j);
    return json_end(&j);
}

/* ---- events ---- */

/* An event with nothing in it but the object. */
static err say_object(struct responses_reply *r, const char *name)
{
    struct json_out j;
    BUF_AUTO object = BUF(RESPONSES_OUT_MAX);
    if (!r->settings.events)
        return OK;
    TRY(responses_reply_write(r, &object));
    TRY(responses_event_begin(r, &j, name));
    json_put_raw(&j, "response", buf_view(&object));
    return responses_event_end(r, &j);
}

err responses_reply_start(struct responses_reply *r)
{
    TRY(say_object(r, "response.created"));
    return say_object(r, r->settings.background ? "response.queued" : "response.in_progress");
}

err responses_reply_begin(struct responses_reply *r)
{
    if (r->status != RESPONSES_QUEUED)
        return OK;
    r->status = RESPONSES_IN_PROGRESS;
    return say_object(r, "response.in_progress");
}

static bool is_behind(bytes event, uint64_t number)
{
    uint64_t own = 0;
    return !sse_number(event, &own) || own > number;
}

size_t responses_reply_skip(bytes events, uint64_t number)
{
    size_t at = 0;
    while (at < events.len) {
        bytes rest = bytes_slice(events, at, events.len);
        size_t end = text_find(rest, BYTES_LIT("\n\n"));
        if (end == rest.len || is_behind(bytes_slice(rest, 0, end), number))
            break;
        at += end + 2;
    }
    return at;
}

/* ---- items ---- */

static err new_item(struct responses_reply *r, enum responses_kind kind,
                    struct responses_item **out)
{
    ENSURE(r->items_n < RESPONSES_ITEMS_MAX, LIMIT);
    if ((r->items_n & (r->items_n - 1)) == 0) {
        size_t room = r->items_n > 0 ? 2 * r->items_n : 1;
        void *more = mem_realloc(r->items, room * sizeof(struct responses_item *));
        ENSURE(more != NULL, NOMEM);
        r->items = more;
    }
    TRY(responses_item_new(out, kind, r->items_n));
    r->items[r->items_n++] = *out;
    return OK;
}

static err stop_speaking(struct responses_reply *r)
{
    struct responses_item *item = r->speaking;
    r->speaking = NULL;
    return item != NULL ? responses_item_close(r, item) : OK;
}

/* The open item, if it is of that kind; else a new one in its place. */
static err speak(struct responses_reply *r, enum responses_kind kind, struct responses_item **out)
{
    if (r->speaking == NULL || r->speaking->kind != kind) {
        struct responses_item *item;
        TRY(stop_speaking(r));
        TRY(new_item(r, kind, &item));
        r->speaking = item;
        TRY(responses_item_announce(r, item));
    }
    *out = r->speaking;
    return OK;
}

static err say(struct responses_reply *r, enum responses_kind kind, enum responses_part part,
               bytes text, const struct json *logprobs)
{
    struct responses_item *item;
    if (text.len == 0 || r->finished || r->ended)
        return OK;
    TRY(speak(r, kind, &item));
    return responses_item_say(r, item, part, text, logprobs);
}

err responses_reply_reason(struct responses_reply *r, bytes text)
{
    return say(r, RESPONSES_REASONING, RESPONSES_THOUGHT, text, NULL);
}

err responses_reply_text(struct responses_reply *r, bytes text, const struct json *logprobs)
{
    return say(r, RESPONSES_MESSAGE, RESPONSES_TEXT, text, r->settings.logprobs ? logprobs : NULL);
}

err responses_reply_refuse(struct responses_reply *r, bytes text)
{
    return say(r, RESPONSES_MESSAGE, RESPONSES_REFUSAL, text, NULL);
}

/* A new id begins a new call even under an old number: some engines number all calls 0. */
static bool is_same_call(const struct responses_item *item,
                         const struct responses_call_piece *piece)
{
    bool other = piece->id.len > 0 && item->call_id.len > 0 &&
                 !bytes_equal(piece->id, buf_view(&item->call_id));
    return !other && (piece->index < 0 || item->chat_index == piece->index);
}

/* The latest call that the piece belongs to. */
static struct responses_item *find_call(const struct responses_reply *r,
                                        const struct responses_call_piece *piece)
{
    for (size_t i = r->items_n; i > 0; i--) {
        struct responses_item *item = r->items[i - 1];
        if (item->kind == RESPONSES_CALL && !item->closed && is_same_call(item, piece))
            return item;
    }
    return NULL;
}

err responses_reply_call(struct responses_reply *r, const struct responses_call_piece *piece)
{
    if (r->finished || r->ended)
        return OK;
    struct responses_item *item = find_call(r, piece);
    if (item == NULL) {
        TRY(stop_speaking(r));
        TRY(new_item(r, RESPONSES_CALL, &item));
        item->chat_index = piece->index;
    }
    return responses_item_call(r, item, piece);
}

/* ---- the end ---- */

static err close_all(struct responses_reply *r)
{
    r->speaking = NULL;
    for (size_t i = 0; i < r->items_n; i++) {
        if (!r->items[i]->closed)
            TRY(responses_item_close(r, r->items[i]));
    }
    return OK;
}

err responses_reply_finish(struct responses_reply *r, bytes reason)
{
    if (r->finished || r->ended)
        return OK;
    if (bytes_equal(reason, BYTES_LIT("length")))
        r->reason = "max_output_tokens";
    else if (bytes_equal(reason, BYTES_LIT("content_filter")))
        r->reason = "content_filter";
    r->cut = r->reason != NULL;
    for (size_t i = 0; i < r->items_n; i++)
        ENSURE(r->items[i]->announced, MALFORMED);
    TRY(close_all(r));
    r->finished = true;
    return OK;
}

static uint64_t count_of(const struct json *usage, const char *key)
{
    uint64_t n = 0;
    (void)json_u64(json_get(usage, key), &n);
    return n;
}

err responses_reply_usage(struct responses_reply *r, const struct json *usage)
{
    struct json_out j = JSON_OUT(&r->usage);
    uint64_t in = count_of(usage, "prompt_tokens");
    uint64_t out = count_of(usage, "completion_tokens");
    const struct json *details = json_get(usage, "prompt_tokens_details");
    if (json_kind(usage) != JSON_KIND_OBJECT)
        return OK;
    buf_truncate(&r->usage, 0);
    json_begin_object(&j, NULL);
    json_put_u64(&j, "input_tokens", in);
    json_begin_object(&j, "input_tokens_details");
    json_put_u64(&j, "cached_tokens", count_of(details, "cached_tokens"));
    json_put_u64(&j, "cache_write_tokens", count_of(details, "cache_write_tokens"));
    json_close(&j);
    json_put_u64(&j, "output_tokens", out);
    json_begin_object(&j, "output_tokens_details");
    json_put_u64(&j, "reasoning_tokens",
                 count_of(json_get(usage, "completion_tokens_details"), "reasoning_tokens"));
    json_close(&j);
    json_put_u64(&j, "total_tokens", in + out);
    json_close(&j);
    return json_end(&j);
}

static err say_last(struct responses_reply *r, enum responses_status status, const char *event)
{
    r->status = status;
    TRY(say_object(r, event));
    if (r->settings.events)
        TRY(buf_add_str(&r->out, "data: [DONE]\n\n"));
    r->ended = true;
    return OK;
}

err responses_reply_end(struct responses_reply *r, int64_t now)
{
    if (r->ended)
        return OK;
    ENSURE(r->finished, TRUNCATED);
    r->completed_at = now;
    return r->cut ? say_last(r, RESPONSES_INCOMPLETE, "response.incomplete")
                  : say_last(r, RESPONSES_COMPLETED, "response.completed");
}

/* Flat and nested at once: some clients read the one, some the other. */
static err say_error(struct responses_reply *r)
{
    struct json_out j;
    if (!r->settings.events)
        return OK;
    TRY(responses_event_begin(r, &j, "error"));
    json_put_str(&j, "code", r->code);
    json_put_str(&j, "message", r->message);
    json_put_null(&j, "param");
    json_begin_object(&j, "error");
    json_put_str(&j, "message", r->message);
    json_put_str(&j, "type", "server_error");
    json_put_null(&j, "param");
    json_put_str(&j, "code", r->code);
    json_close(&j);
    return responses_event_end(r, &j);
}

/* A message as long as we keep one, not cut inside a character. */
static void keep_message(struct responses_reply *r, bytes message)
{
    size_t len = message.len;
    if (len > RESPONSES_MESSAGE_MAX) {
        len = RESPONSES_MESSAGE_MAX;
        while (len > 0 && (message.at[len] & 0xc0) == 0x80)
            len--;
    }
    if (len > 0)
        memcpy(r->message, message.at, len);
    r->message[len] = '\0';
}

/* Without their events: agents take an item that is done for one that they may act on, and run half a
 * call. The object has them as they are, incomplete. A call whose name never came is none. */
static err close_quietly(struct responses_reply *r)
{
    bool events = r->settings.events;
    err e = OK;
    r->speaking = NULL;
    r->cut = true;
    r->settings.events = false;
    for (size_t i = 0; i < r->items_n && e.code == ERR_OK; i++) {
        if (r->items[i]->announced && !r->items[i]->closed)
            e = responses_item_close(r, r->items[i]);
    }
    r->settings.events = events;
    return e;
}

err responses_reply_fail(struct responses_reply *r, const char *code, bytes message, int64_t now)
{
    if (r->ended)
        return OK;
    (void)snprintf(r->code, sizeof r->code, "%s", code);
    keep_message(r, message);
    r->completed_at = now;
    TRY(close_quietly(r));
    TRY(say_error(r));
    return say_last(r, RESPONSES_FAILED, "response.failed");
}

err responses_reply_cancel(struct responses_reply *r, int64_t now)
{
    if (r->ended)
        return OK;
    r->completed_at = now;
    TRY(close_quietly(r));
    return say_last(r, RESPONSES_CANCELLED, "response.incomplete");
}
