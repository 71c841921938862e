#include "api/responses_input.h"

#include <stdio.h>

#include "api/responses_parts.h"
#include "api/responses_tools.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

#define WRAPPED "sealgate1."

enum { AT_MAX = 80 };

/* What is being read, and where it stands in the request. */
struct place {
    struct responses_input *in;
    struct responses_fault *fault;
    const char *at; /* such as input[2].content[0] */
};

void responses_input_init(struct responses_input *in)
{
    *in = (struct responses_input){ .system = BUF(RESPONSES_MESSAGES_MAX),
                                    .messages = BUF(RESPONSES_MESSAGES_MAX),
                                    .reasoning = BUF(RESPONSES_MESSAGES_MAX),
                                    .content = BUF(RESPONSES_MESSAGES_MAX),
                                    .calls = BUF(RESPONSES_MESSAGES_MAX) };
}

void responses_input_clear(struct responses_input *in)
{
    buf_clear(&in->system);
    buf_clear(&in->messages);
    buf_clear(&in->reasoning);
    buf_clear(&in->content);
    buf_clear(&in->calls);
}

static err comma(struct buf *out)
{
    return out->len > 0 ? buf_add_u8(out, ',') : OK;
}

static err need_text(const struct place *p, const struct json *object, const char *key, bytes *out)
{
    const struct responses_place place = { p->fault, p->at };
    return responses_need_text(&place, object, key, out);
}

static err add_content(const struct place *p, const struct json *content, unsigned of,
                       struct buf *out)
{
    const struct responses_place place = { p->fault, p->at };
    return responses_content_write(&place, content, of, out);
}

/* ---- turns ---- */

/* The assistant's turn is over. */
static err flush(struct responses_input *in)
{
    struct buf *out = &in->messages;
    if (in->content.len + in->calls.len + in->reasoning.len == 0)
        return OK;
    TRY(comma(out));
    TRY(buf_add_str(out, "{\"role\":\"assistant\",\"content\":"));
    if (in->content.len > 0)
        TRY(buf_add(out, buf_view(&in->content)));
    else
        TRY(buf_add_str(out, in->calls.len > 0 ? "null" : "\"\""));
    if (in->reasoning.len > 0) {
        TRY(buf_add_str(out, ",\"reasoning_content\":"));
        TRY(text_json_quote(out, buf_view(&in->reasoning)));
    }
    if (in->calls.len > 0) {
        TRY(buf_add_str(out, ",\"tool_calls\":["));
        TRY(buf_add(out, buf_view(&in->calls)));
        TRY(buf_add_u8(out, ']'));
    }
    buf_clear(&in->content);
    buf_clear(&in->calls);
    buf_clear(&in->reasoning);
    return buf_add_u8(out, '}');
}

static err begin_message(struct responses_input *in, const char *role)
{
    TRY(flush(in));
    TRY(comma(&in->messages));
    TRY(buf_add_str(&in->messages, "{\"role\":\""));
    TRY(buf_add_str(&in->messages, role));
    return buf_add_str(&in->messages, "\",");
}

static err add_user(const struct place *p, const struct json *content)
{
    TRY(begin_message(p->in, "user"));
    TRY(buf_add_str(&p->in->messages, "\"content\":"));
    TRY(add_content(p, content, PART_OF_USER, &p->in->messages));
    return buf_add_u8(&p->in->messages, '}');
}

static err add_assistant(const struct place *p, const struct json *content)
{
    if (p->in->content.len > 0)
        TRY(flush(p->in));
    return add_content(p, content, PART_OF_ASSISTANT, &p->in->content);
}

err responses_input_system(struct responses_input *in, bytes text)
{
    if (in->system.len > 0 && text.len > 0)
        TRY(buf_add_str(&in->system, "\n\n"));
    return buf_add(&in->system, text);
}

static err add_system(const struct place *p, const struct json *content)
{
    bytes text = { 0 };
    BUF_AUTO checked = BUF(RESPONSES_MESSAGES_MAX);
    TRY(add_content(p, content, PART_OF_SYSTEM, &checked));
    if (json_text(content, &text))
        return responses_input_system(p->in, text);
    for (size_t i = 0; i < json_len(content); i++)
        TRY(responses_input_system(p->in, json_text_of(json_at(content, i), "text")));
    return OK;
}

static err add_message(const struct place *p, const struct json *item)
{
    static const struct {
        const char *role;
        err (*add)(const struct place *p, const struct json *content);
    } roles[] = { { "user", add_user },
                  { "assistant", add_assistant },
                  { "system", add_system },
                  { "developer", add_system } };
    char at[AT_MAX];
    bytes role = { 0 };
    const struct place content = { p->in, p->fault, at };
    (void)snprintf(at, sizeof at, "%s.content", p->at);
    TRY(need_text(p, item, "role", &role));
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (bytes_equal(role, bytes_str(roles[i].role)))
            return roles[i].add(&content, json_get(item, "content"));
    }
    return responses_blame_word(p->fault, ERROR_INVALID_VALUE, role, "%s.role", p->at);
}

/* ---- calls ---- */

/* arguments: text that goes into quotes. */
static err add_call(const struct place *p, const struct json *item, bytes arguments)
{
    struct buf *out = &p->in->calls;
    BUF_AUTO chat_name = BUF(RESPONSES_MESSAGES_MAX);
    bytes id = { 0 };
    bytes name = { 0 };
    TRY(need_text(p, item, "call_id", &id));
    TRY(need_text(p, item, "name", &name));
    TRY(responses_tools_name(&chat_name, json_text_of(item, "namespace"), name));
    TRY(comma(out));
    TRY(buf_add_str(out, "{\"id\":"));
    TRY(text_json_quote(out, id));
    TRY(buf_add_str(out, ",\"type\":\"function\",\"function\":{\"name\":"));
    TRY(text_json_quote(out, buf_view(&chat_name)));
    TRY(buf_add_str(out, ",\"arguments\":"));
    TRY(text_json_quote(out, arguments));
    return buf_add_str(out, "}}");
}

static err add_function_call(const struct place *p, const struct json *item)
{
    bytes arguments = { 0 };
    TRY(need_text(p, item, "arguments", &arguments));
    return add_call(p, item, arguments);
}

static err add_custom_call(const struct place *p, const struct json *item)
{
    BUF_AUTO arguments = BUF(RESPONSES_MESSAGES_MAX);
    bytes input = { 0 };
    TRY(need_text(p, item, "input", &input));
    TRY(buf_add_str(&arguments, "{\"input\":"));
    TRY(text_json_quote(&arguments, input));
    TRY(buf_add_u8(&arguments, '}'));
    return add_call(p, item, buf_view(&arguments));
}

static err add_call_output(const struct place *p, const struct json *item)
{
    char at[AT_MAX];
    bytes id = { 0 };
    const struct place output = { p->in, p->fault, at };
    (void)snprintf(at, sizeof at, "%s.output", p->at);
    TRY(need_text(p, item, "call_id", &id));
    TRY(begin_message(p->in, "tool"));
    TRY(buf_add_str(&p->in->messages, "\"tool_call_id\":"));
    TRY(text_json_quote(&p->in->messages, id));
    TRY(buf_add_str(&p->in->messages, ",\"content\":"));
    TRY(add_content(&output, json_get(item, "output"), PART_OF_TOOL, &p->in->messages));
    return buf_add_u8(&p->in->messages, '}');
}

/* ---- reasoning ---- */

err responses_input_wrap(struct buf *out, bytes reasoning)
{
    TRY(buf_add_str(out, WRAPPED));
    return text_base64url_encode(out, reasoning);
}

static err unwrap(struct buf *out, bytes wrapped)
{
    bytes prefix = BYTES_LIT(WRAPPED);
    if (!bytes_starts(wrapped, prefix))
        return OK;
    return text_base64url_decode(out, bytes_slice(wrapped, prefix.len, wrapped.len));
}

static err add_lines(struct buf *out, const struct json *parts)
{
    for (size_t i = 0; i < json_len(parts); i++) {
        bytes text = json_text_of(json_at(parts, i), "text");
        if (out->len > 0 && text.len > 0)
            TRY(buf_add_str(out, "\n\n"));
        TRY(buf_add(out, text));
    }
    return OK;
}

/* The fullest form of it that can be read. */
static err add_reasoning(const struct place *p, const struct json *item)
{
    BUF_AUTO text = BUF(RESPONSES_MESSAGES_MAX);
    struct responses_input *in = p->in;
    TRY(add_lines(&text, json_get(item, "content")));
    if (text.len == 0 && unwrap(&text, json_text_of(item, "encrypted_content")).code != ERR_OK)
        return responses_blame(p->fault, ERROR_INVALID_VALUE, "%s.encrypted_content", p->at);
    if (text.len == 0)
        TRY(add_lines(&text, json_get(item, "summary")));
    if (text.len > 0 && in->content.len > 0 && in->calls.len == 0)
        TRY(flush(in));
    if (text.len > 0 && in->reasoning.len > 0)
        TRY(buf_add_str(&in->reasoning, "\n\n"));
    return buf_add(&in->reasoning, buf_view(&text));
}

/* ---- all of them ---- */

/* Tools that a conversation brings are no message: api/responses_tools has read them. */
static err add_tools(const struct place *p, const struct json *item)
{
    (void)p;
    (void)item;
    return OK;
}

static const struct {
    const char *type;
    err (*add)(const struct place *p, const struct json *item);
} ITEMS[] = {
    { "message", add_message },
    { "function_call", add_function_call },
    { "function_call_output", add_call_output },
    { "custom_tool_call", add_custom_call },
    { "custom_tool_call_output", add_call_output },
    { "reasoning", add_reasoning },
    { "additional_tools", add_tools },
};

static err add_item(const struct place *p, const struct json *item)
{
    bytes type = json_text_of(item, "type");
    if (json_kind(item) != JSON_KIND_OBJECT)
        return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s", p->at);
    if (!json_is_set(json_get(item, "type")))
        return add_message(p, item);
    for (size_t i = 0; i < ARRAY_LEN(ITEMS); i++) {
        if (bytes_equal(type, bytes_str(ITEMS[i].type)))
            return ITEMS[i].add(p, item);
    }
    return responses_blame_word(p->fault, ERROR_UNSUPPORTED_PARAMETER, type, "%s.type", p->at);
}

err responses_input_add(struct responses_input *in, const struct json *items, const char *param,
                        struct responses_fault *fault)
{
    char at[48];
    bytes text = { 0 };
    const struct place whole = { in, fault, param };
    const struct place one = { in, fault, at };
    if (json_text(items, &text))
        return add_user(&whole, items);
    if (json_kind(items) != JSON_KIND_ARRAY)
        return responses_blame(
            fault, !json_is_set(items) ? ERROR_MISSING_FIELD : ERROR_INVALID_TYPE, "%s", param);
    for (size_t i = 0; i < json_len(items); i++) {
        (void)snprintf(at, sizeof at, "%s[%zu]", param, i);
        TRY(add_item(&one, json_at(items, i)));
    }
    return OK;
}

err responses_input_write(struct responses_input *in, struct buf *out)
{
    TRY(flush(in));
    TRY(buf_add_u8(out, '['));
    if (in->system.len > 0) {
        TRY(buf_add_str(out, "{\"role\":\"system\",\"content\":"));
        TRY(text_json_quote(out, buf_view(&in->system)));
        TRY(buf_add_u8(out, '}'));
        if (in->messages.len > 0)
            TRY(buf_add_u8(out, ','));
    }
    TRY(buf_add(out, buf_view(&in->messages)));
    return buf_add_u8(out, ']');
}
