#include "api/responses_chat.h"

#include "api/error.h"
#include "base/json.h"

/* ---- failures ---- */

/* The codes that a failed answer may have, and the one that makes agents cut their conversation; an
 * engine's own are mostly none of them. */
static const char *code_of(bytes code)
{
    static const char *const codes[] = { "rate_limit_exceeded", "invalid_prompt",
                                         "context_length_exceeded", "server_error" };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (bytes_equal(code, bytes_str(codes[i])))
            return codes[i];
    }
    return "server_error";
}

static err fail_with_object(struct responses_chat *c, const struct json *error)
{
    bytes message = json_text_of(error, "message");
    if (message.len == 0 && !json_text(error, &message))
        message = BYTES_LIT("The model server said an error.");
    return responses_reply_fail(c->reply, code_of(json_text_of(error, "code")), message, c->now);
}

err responses_chat_break(struct responses_chat *c, enum error_cause cause)
{
    struct json *root = NULL;
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    const struct api_error error = { .cause = cause };
    TRY(error_write_body(&body, &error));
    TRY(json_read(&root, buf_view(&body), 4));
    err e = fail_with_object(c, json_get(root, "error"));
    json_free(root);
    return e;
}

/* What was half written when something went wrong is taken back. */
static err recover(struct responses_chat *c, size_t whole, uint64_t sequence, err why)
{
    if (why.code == ERR_OK || why.code == ERR_NOMEM)
        return why;
    buf_truncate(&c->reply->out, whole);
    c->reply->sequence = sequence;
    return responses_chat_break(c, why.code == ERR_TRUNCATED ? ERROR_UPSTREAM_BROKEN
                                                             : ERROR_UPSTREAM_MALFORMED);
}

/* ---- what the model says ---- */

/* index: the call's place in a whole message, or -1 for the delta of one. */
static err take_call(struct responses_reply *r, const struct json *call, int64_t index)
{
    const struct json *function = json_get(call, "function");
    const struct json *arguments = json_get(function, "arguments");
    BUF_AUTO written = BUF(RESPONSES_TEXT_MAX);
    struct responses_call_piece piece = { .index = index,
                                          .id = json_text_of(call, "id"),
                                          .name = json_text_of(function, "name") };
    if (index < 0)
        (void)json_i64(json_get(call, "index"), &piece.index);
    if (json_kind(arguments) == JSON_KIND_OBJECT) {
        TRY(json_write(&written, arguments));
        piece.arguments = buf_view(&written);
    } else {
        (void)json_text(arguments, &piece.arguments);
    }
    return responses_reply_call(r, &piece);
}

/* A message, or the delta of one. */
static err take_message(struct responses_reply *r, const struct json *message,
                        const struct json *logprobs, bool whole)
{
    const struct json *calls = json_get(message, "tool_calls");
    bytes thought = json_text_of(message, "reasoning_content");
    if (thought.len == 0)
        thought = json_text_of(message, "reasoning");
    TRY(responses_reply_reason(r, thought));
    TRY(responses_reply_text(r, json_text_of(message, "content"), json_get(logprobs, "content")));
    TRY(responses_reply_refuse(r, json_text_of(message, "refusal")));
    for (size_t i = 0; i < json_len(calls); i++)
        TRY(take_call(r, json_at(calls, i), whole ? (int64_t)i : -1));
    return OK;
}

static err take_root(struct responses_chat *c, const struct json *root, bool whole)
{
    struct responses_reply *r = c->reply;
    const struct json *choice = json_at(json_get(root, "choices"), 0);
    const struct json *error = json_get(root, "error");
    if (json_is_set(error))
        return fail_with_object(c, error);
    TRY(take_message(r, json_get(choice, whole ? "message" : "delta"), json_get(choice, "logprobs"),
                     whole));
    bytes reason = json_text_of(choice, "finish_reason");
    if (reason.len > 0)
        TRY(responses_reply_finish(r, reason));
    return responses_reply_usage(r, json_get(root, "usage"));
}

/* ---- the stream ---- */

/* Its data, with tool calls as they should be. */
static err mended(struct responses_chat *c, const struct sse_event *event, bytes *data)
{
    size_t head = (size_t)(event->data.at - event->wire.at);
    size_t tail = event->wire.len - head - event->data.len;
    bytes wire;
    TRY(tool_deltas_put(&c->deltas, event, &wire));
    *data = bytes_slice(wire, head, wire.len - head - tail);
    return OK;
}

static err on_event(void *owner, const struct sse_event *event)
{
    struct responses_chat *c = owner;
    struct json *root = NULL;
    if (c->reply->ended)
        return OK;
    if (event->flags & SSE_DONE)
        return responses_reply_end(c->reply, c->now);
    ENSURE(!(event->flags & SSE_NOT_JSON), MALFORMED);
    usage_see(&c->usage, event->answer, event->answer->choices != 0);
    bytes data;
    TRY(mended(c, event, &data));
    TRY(json_read(&root, data, JSON_DEPTH_MAX));
    size_t whole = c->reply->out.len;
    uint64_t sequence = c->reply->sequence;
    err e = recover(c, whole, sequence, take_root(c, root, false));
    json_free(root);
    return e;
}

void responses_chat_init(struct responses_chat *c, struct responses_reply *reply)
{
    *c = (struct responses_chat){ .reply = reply };
    sse_init(&c->events, false, on_event, c);
    tool_deltas_init(&c->deltas, (bytes){ 0 });
}

void responses_chat_clear(struct responses_chat *c)
{
    sse_clear(&c->events);
    tool_deltas_clear(&c->deltas);
}

/* An error here stands between two events: all that was written is whole. */
static err settle(struct responses_chat *c, err e)
{
    return recover(c, c->reply->out.len, c->reply->sequence, e);
}

err responses_chat_put(struct responses_chat *c, bytes piece)
{
    return c->reply->ended ? OK : settle(c, sse_put(&c->events, piece));
}

err responses_chat_end(struct responses_chat *c)
{
    if (c->reply->ended)
        return OK;
    err e = sse_end(&c->events);
    if (e.code == ERR_OK)
        e = responses_reply_end(c->reply, c->now);
    return settle(c, e);
}

err responses_chat_whole(struct responses_chat *c, bytes body)
{
    struct json *root = NULL;
    struct peek_answer seen;
    err e = json_read(&root, body, JSON_DEPTH_MAX);
    peek_answer(body, &seen);
    usage_see(&c->usage, &seen, false);
    size_t whole = c->reply->out.len;
    uint64_t sequence = c->reply->sequence;
    if (e.code == ERR_OK)
        e = recover(c, whole, sequence, take_root(c, root, true));
    json_free(root);
    if (e.code == ERR_OK)
        e = responses_reply_end(c->reply, c->now);
    return settle(c, e);
}

err responses_chat_refused(struct responses_chat *c, bytes body)
{
    struct json *root = NULL;
    err e = json_read(&root, body, JSON_DEPTH_MAX);
    if (e.code == ERR_OK)
        e = fail_with_object(c, json_get(root, "error"));
    json_free(root);
    return e.code == ERR_MALFORMED ? responses_chat_break(c, ERROR_UPSTREAM_MALFORMED) : e;
}
