#include "enclave-worker/demo_reply.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "enclave-worker/demo_schema.h"
#include "enclave-worker/engine_demo.h"

static const char greeting[] =
    "Hello! I am the demo engine built into Sealgate, not a language model. Sealgate carries your "
    "prompt sealed to an attested worker, streams the answer back sealed, and signs a receipt that "
    "anyone can check later. ";

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

size_t demo_token_len(bytes text)
{
    size_t i = 0;
    while (i < text.len && is_blank(text.at[i]))
        i++;
    size_t word = i;
    while (i < text.len && is_word(text.at[i]))
        i++;
    if (i > word || i == text.len)
        return i;
    for (i++; i < text.len && (text.at[i] & 0xc0) == 0x80;)
        i++;
    return i;
}

/* Cuts the text to at most *left tokens and takes them off; true when nothing had to go. */
static bool spend(struct buf *text, uint64_t *left, uint64_t *spent)
{
    bytes rest = buf_view(text);
    while (rest.len > 0 && *left > 0) {
        size_t n = demo_token_len(rest);
        rest = bytes_slice(rest, n, rest.len);
        --*left;
        ++*spent;
    }
    buf_truncate(text, text->len - rest.len);
    return rest.len == 0;
}

/* ---- what to say ---- */

/* The beginning of what was said, not cut inside a character. */
static bytes echo_of(bytes said)
{
    if (said.len <= DEMO_ECHO_MAX)
        return said;
    size_t len = DEMO_ECHO_MAX;
    while (len > 0 && (said.at[len] & 0xc0) == 0x80)
        len--;
    return bytes_slice(said, 0, len);
}

/* "count to 1000": a stream as long as one likes. */
static bool wants_counting(bytes said, uint64_t *to)
{
    const bytes words = BYTES_LIT("count to ");
    return text_equal_nocase(bytes_slice(said, 0, words.len), words) &&
           text_u64(text_trim(bytes_slice(said, words.len, said.len)), to) && *to > 0 &&
           *to <= ENGINE_DEMO_TOKENS_MAX;
}

static err say(const struct demo_ask *ask, struct buf *text)
{
    bytes said = buf_view(&ask->said);
    uint64_t to;
    if (wants_counting(said, &to)) {
        for (uint64_t i = 1; i <= to; i++)
            TRY(buf_addf(text, i > 1 ? " %llu" : "%llu", (unsigned long long)i));
        return OK;
    }
    bytes echo = echo_of(said);
    TRY(buf_add_str(text, greeting));
    TRY(buf_add_str(text, ask->answering_tool ? "The tool said: \xe2\x80\x9c"
                                              : "You said: \xe2\x80\x9c"));
    TRY(buf_add(text, echo));
    return buf_add_str(text, echo.len < said.len ? "\xe2\x80\xa6\xe2\x80\x9d" : "\xe2\x80\x9d");
}

static err say_json(const struct demo_ask *ask, struct buf *text)
{
    const struct json *schema = json_get(json_get(ask->response_format, "json_schema"), "schema");
    if (schema != NULL)
        return demo_schema_write(text, schema, schema);
    BUF_AUTO plain = BUF(DEMO_TEXT_MAX);
    TRY(say(ask, &plain));
    struct json_out j = JSON_OUT(text);
    json_begin_object(&j, NULL);
    json_put_text(&j, "message", buf_view(&plain));
    json_close(&j);
    return json_end(&j);
}

static bool wants_json(const struct demo_ask *ask)
{
    bytes type;
    return json_text(json_get(ask->response_format, "type"), &type) &&
           !bytes_equal(type, BYTES_LIT("text"));
}

/* Where and how long the first stop text is in what is said. */
static void stop_at(const struct json *stop, struct buf *text)
{
    bytes word;
    size_t at = text->len;
    size_t n = json_len(stop);
    if (json_text(stop, &word) && word.len > 0)
        at = text_find(buf_view(text), word);
    for (size_t i = 0; i < n; i++) {
        if (!json_text(json_at(stop, i), &word) || word.len == 0)
            continue;
        size_t found = text_find(buf_view(text), word);
        at = found < at ? found : at;
    }
    buf_truncate(text, at);
}

/* ---- which tools to call ---- */

enum calling { CALL_NONE, CALL_MENTIONED, CALL_AT_LEAST_ONE, CALL_NAMED };

static bool read_tool_choice(const struct demo_ask *ask, enum calling *out, bytes *name)
{
    bytes word;
    *out = CALL_MENTIONED;
    if (ask->tool_choice == NULL)
        return true;
    if (json_text(json_get(json_get(ask->tool_choice, "function"), "name"), name)) {
        *out = CALL_NAMED;
        return true;
    }
    if (!json_text(ask->tool_choice, &word))
        return false;
    if (bytes_equal(word, BYTES_LIT("none")))
        *out = CALL_NONE;
    else if (bytes_equal(word, BYTES_LIT("required")))
        *out = CALL_AT_LEAST_ONE;
    else if (!bytes_equal(word, BYTES_LIT("auto")))
        return false;
    return true;
}

static err add_call(struct demo_reply *r, const struct json *tool)
{
    bytes name = { 0 };
    const struct json *function = json_get(tool, "function");
    const struct json *parameters = json_get(function, "parameters");
    (void)json_text(json_get(function, "name"), &name);
    struct demo_call *call = &r->calls[r->calls_n++];
    *call = (struct demo_call){ .name = BUF(DEMO_TEXT_MAX), .arguments = BUF(DEMO_TEXT_MAX) };
    TRY(buf_add(&call->name, name));
    if (json_kind(parameters) != JSON_KIND_OBJECT)
        return buf_add_str(&call->arguments, "{}");
    TRY(demo_schema_write(&call->arguments, parameters, parameters));
    if (bytes_starts(buf_view(&call->arguments), BYTES_LIT("{")))
        return OK;
    buf_truncate(&call->arguments, 0);
    return buf_add_str(&call->arguments, "{}");
}

static bool is_wanted(const struct demo_ask *ask, enum calling how, bytes named, bytes name)
{
    if (how == CALL_NAMED)
        return bytes_equal(name, named);
    bytes said = buf_view(&ask->said);
    return name.len > 0 && !ask->answering_tool && text_find(said, name) < said.len;
}

static err add_calls(struct demo_reply *r, const struct demo_ask *ask, enum calling how,
                     bytes named)
{
    size_t most = ask->parallel && how != CALL_NAMED ? DEMO_CALLS_MAX : 1;
    for (size_t i = 0; i < json_len(ask->tools) && r->calls_n < most; i++) {
        const struct json *tool = json_at(ask->tools, i);
        bytes name = { 0 };
        (void)json_text(json_get(json_get(tool, "function"), "name"), &name);
        if (is_wanted(ask, how, named, name))
            TRY(add_call(r, tool));
    }
    if (r->calls_n == 0 && how == CALL_AT_LEAST_ONE)
        return add_call(r, json_at(ask->tools, 0));
    return OK;
}

static bool choose_calls(struct demo_reply *r, const struct demo_ask *ask, struct demo_fault *fault)
{
    enum calling how;
    bytes named = { 0 };
    if (!read_tool_choice(ask, &how, &named))
        return demo_blame(fault, ERROR_INVALID_VALUE, "tool_choice");
    bool must = how == CALL_NAMED || how == CALL_AT_LEAST_ONE;
    if (must && json_len(ask->tools) == 0)
        return demo_blame(fault, ERROR_INVALID_VALUE, "tool_choice");
    if (how == CALL_NONE)
        return true;
    if (add_calls(r, ask, how, named).code != ERR_OK)
        return demo_blame(fault, ERROR_OVERLOADED, "");
    if (how == CALL_NAMED && r->calls_n == 0)
        return demo_blame(fault, ERROR_INVALID_VALUE, "tool_choice");
    return true;
}

static void apply_limit(struct demo_reply *r, uint64_t left)
{
    uint64_t spent = 0;
    bool whole = spend(&r->text, &left, &spent);
    for (size_t i = 0; i < r->calls_n; i++)
        whole &= spend(&r->calls[i].arguments, &left, &spent);
    r->finish = !whole ? "length" : r->calls_n > 0 ? "tool_calls" : "stop";
    r->tokens = spent * r->choices;
}

bool demo_reply_make(const struct demo_ask *ask, bool chat, struct demo_reply *out,
                     struct demo_fault *fault)
{
    *out = (struct demo_reply){ .chat = chat,
                                .include_usage = ask->include_usage,
                                .choices = chat ? ask->n : ask->n * ask->prompts_n,
                                .prompt_tokens = ask->prompt_len / 4 + 1,
                                .text = BUF(DEMO_TEXT_MAX),
                                .prefix = BUF(1024) };
    memcpy(out->model, ask->model, sizeof out->model);
    if (!choose_calls(out, ask, fault))
        return false;
    err e = OK;
    if (out->calls_n == 0)
        e = wants_json(ask) ? say_json(ask, &out->text) : say(ask, &out->text);
    if (e.code != ERR_OK)
        return demo_blame(fault, ERROR_OVERLOADED, "");
    stop_at(ask->stop, &out->text);
    apply_limit(out, ask->tokens_max);
    return true;
}

void demo_reply_clear(struct demo_reply *r)
{
    for (size_t i = 0; i < r->calls_n; i++) {
        buf_clear(&r->calls[i].name);
        buf_clear(&r->calls[i].arguments);
    }
    buf_clear(&r->text);
    buf_clear(&r->prefix);
    *r = (struct demo_reply){ 0 };
}

/* ---- as one object ---- */

static void put_head(struct json_out *j, const struct demo_reply *r, const char *object)
{
    json_put_str(j, "id", r->id);
    json_put_str(j, "object", object);
    json_put_i64(j, "created", r->created);
    json_put_str(j, "model", r->model);
}

static void put_usage(struct json_out *j, const struct demo_reply *r)
{
    json_begin_object(j, "usage");
    json_put_u64(j, "prompt_tokens", r->prompt_tokens);
    json_put_u64(j, "completion_tokens", r->tokens);
    json_put_u64(j, "total_tokens", r->prompt_tokens + r->tokens);
    json_close(j);
}

static void put_call_id(struct json_out *j, const struct demo_reply *r, size_t choice, size_t call)
{
    char id[DEMO_ID_MAX + 32];
    (void)snprintf(id, sizeof id, "call_%s_%zu_%zu", r->id, choice, call);
    json_put_str(j, "id", id);
}

static void put_calls(struct json_out *j, const struct demo_reply *r, size_t choice)
{
    if (r->calls_n == 0)
        return;
    json_begin_array(j, "tool_calls");
    for (size_t i = 0; i < r->calls_n; i++) {
        json_begin_object(j, NULL);
        put_call_id(j, r, choice, i);
        json_put_str(j, "type", "function");
        json_begin_object(j, "function");
        json_put_text(j, "name", buf_view(&r->calls[i].name));
        json_put_text(j, "arguments", buf_view(&r->calls[i].arguments));
        json_close(j);
        json_close(j);
    }
    json_close(j);
}

static void put_message(struct json_out *j, const struct demo_reply *r, size_t choice)
{
    if (!r->chat) {
        json_put_text(j, "text", buf_view(&r->text));
        return;
    }
    json_begin_object(j, "message");
    json_put_str(j, "role", "assistant");
    if (r->calls_n > 0)
        json_put_null(j, "content");
    else
        json_put_text(j, "content", buf_view(&r->text));
    json_put_null(j, "refusal");
    put_calls(j, r, choice);
    json_close(j);
}

err demo_reply_write(struct demo_reply *r, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    put_head(&j, r, r->chat ? "chat.completion" : "text_completion");
    json_begin_array(&j, "choices");
    for (size_t i = 0; i < r->choices; i++) {
        json_begin_object(&j, NULL);
        json_put_u64(&j, "index", i);
        put_message(&j, r, i);
        json_put_null(&j, "logprobs");
        json_put_str(&j, "finish_reason", r->finish);
        json_close(&j);
    }
    json_close(&j);
    put_usage(&j, r);
    json_close(&j);
    return json_end(&j);
}

/* ---- as a stream ---- */

/* What comes next within a choice; behind the last choice comes PHASE_LAST. */
enum { PHASE_ROLE = 0, PHASE_TEXT, PHASE_CALL, PHASE_ARGUMENTS, PHASE_FINISH, PHASE_LAST };

/* The part of each event that is always the same. */
static err write_prefix(struct demo_reply *r)
{
    BUF_AUTO head = BUF(512);
    struct json_out j = JSON_OUT(&head);
    json_begin_object(&j, NULL);
    put_head(&j, r, r->chat ? "chat.completion.chunk" : "text_completion");
    json_close(&j);
    TRY(json_end(&j));
    TRY(buf_add_str(&r->prefix, "data: "));
    return buf_add(&r->prefix, bytes_slice(buf_view(&head), 0, head.len - 1));
}

static err begin_event(struct demo_reply *r, struct buf *out)
{
    if (r->prefix.len == 0)
        TRY(write_prefix(r));
    return buf_add(out, buf_view(&r->prefix));
}

static err begin_choice(struct demo_reply *r, struct buf *out)
{
    TRY(begin_event(r, out));
    return buf_addf(out, ",\"choices\":[{\"index\":%zu,", r->choice);
}

static err end_choice(struct demo_reply *r, struct buf *out, const char *finish)
{
    TRY(buf_add_str(out, ",\"logprobs\":null,\"finish_reason\":"));
    if (finish != NULL)
        TRY(buf_addf(out, "\"%s\"", finish));
    else
        TRY(buf_add_str(out, "null"));
    TRY(buf_add_str(out, "}]"));
    if (r->include_usage)
        TRY(buf_add_str(out, ",\"usage\":null"));
    return buf_add_str(out, "}\n\n");
}

static err write_role(struct demo_reply *r, struct buf *out)
{
    TRY(begin_choice(r, out));
    TRY(buf_addf(out, "\"delta\":{\"role\":\"assistant\",\"content\":%s,\"refusal\":null}",
                 r->calls_n > 0 ? "null" : "\"\""));
    return end_choice(r, out, NULL);
}

static err write_text(struct demo_reply *r, struct buf *out, bytes token)
{
    TRY(begin_choice(r, out));
    TRY(buf_add_str(out, r->chat ? "\"delta\":{\"content\":" : "\"text\":"));
    TRY(text_json_quote(out, token));
    if (r->chat)
        TRY(buf_add_u8(out, '}'));
    return end_choice(r, out, NULL);
}

static err write_call(struct demo_reply *r, struct buf *out)
{
    TRY(begin_choice(r, out));
    TRY(buf_addf(out,
                 "\"delta\":{\"tool_calls\":[{\"index\":%zu,\"id\":\"call_%s_%zu_%zu\","
                 "\"type\":\"function\",\"function\":{\"name\":",
                 r->call, r->id, r->choice, r->call));
    TRY(text_json_quote(out, buf_view(&r->calls[r->call].name)));
    TRY(buf_add_str(out, ",\"arguments\":\"\"}}]}"));
    return end_choice(r, out, NULL);
}

static err write_arguments(struct demo_reply *r, struct buf *out, bytes token)
{
    TRY(begin_choice(r, out));
    TRY(buf_addf(
        out, "\"delta\":{\"tool_calls\":[{\"index\":%zu,\"function\":{\"arguments\":", r->call));
    TRY(text_json_quote(out, token));
    TRY(buf_add_str(out, "}}]}"));
    return end_choice(r, out, NULL);
}

static err write_finish(struct demo_reply *r, struct buf *out)
{
    TRY(begin_choice(r, out));
    TRY(buf_add_str(out, r->chat ? "\"delta\":{}" : "\"text\":\"\""));
    return end_choice(r, out, r->finish);
}

static err write_last(struct demo_reply *r, struct buf *out)
{
    if (r->include_usage) {
        TRY(begin_event(r, out));
        TRY(buf_addf(out,
                     ",\"choices\":[],\"usage\":{\"prompt_tokens\":%llu,"
                     "\"completion_tokens\":%llu,\"total_tokens\":%llu}}\n\n",
                     (unsigned long long)r->prompt_tokens, (unsigned long long)r->tokens,
                     (unsigned long long)(r->prompt_tokens + r->tokens)));
    }
    return buf_add_str(out, "data: [DONE]\n\n");
}

static unsigned phase_behind_role(const struct demo_reply *r)
{
    return r->calls_n > 0 ? PHASE_CALL : r->text.len > 0 ? PHASE_TEXT : PHASE_FINISH;
}

/* One token of what is being written; the phase after it when it was the last. */
static bytes next_token(struct demo_reply *r, const struct buf *from, unsigned behind)
{
    bytes rest = bytes_slice(buf_view(from), r->at, from->len);
    bytes token = bytes_slice(rest, 0, demo_token_len(rest));
    r->at += token.len;
    if (r->at == from->len) {
        r->at = 0;
        r->phase = behind;
    }
    return token;
}

static err next_arguments(struct demo_reply *r, struct buf *out)
{
    size_t call = r->call;
    bool last = call + 1 == r->calls_n;
    bytes token = next_token(r, &r->calls[call].arguments, last ? PHASE_FINISH : PHASE_CALL);
    TRY(write_arguments(r, out, token));
    if (r->phase == PHASE_CALL)
        r->call++;
    return OK;
}

static void next_choice(struct demo_reply *r)
{
    r->choice++;
    r->call = 0;
    r->phase = r->choice == r->choices ? PHASE_LAST : PHASE_ROLE;
}

err demo_reply_next(struct demo_reply *r, struct buf *out, bool *done)
{
    *done = false;
    if (r->phase == PHASE_ROLE && !r->chat)
        r->phase = phase_behind_role(r);
    switch (r->phase) {
    case PHASE_ROLE:
        r->phase = phase_behind_role(r);
        return write_role(r, out);
    case PHASE_TEXT:
        return write_text(r, out, next_token(r, &r->text, PHASE_FINISH));
    case PHASE_CALL:
        r->phase = PHASE_ARGUMENTS;
        return write_call(r, out);
    case PHASE_ARGUMENTS:
        return next_arguments(r, out);
    case PHASE_FINISH:
        TRY(write_finish(r, out));
        next_choice(r);
        return OK;
    default:
        *done = true;
        return write_last(r, out);
    }
}
