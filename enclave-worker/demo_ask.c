#include "enclave-worker/demo_ask.h"

#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/json.h"
#include "enclave-worker/engine_demo.h"

enum {
    BOOL = 1U << JSON_KIND_BOOL,
    INTEGER = 1U << JSON_KIND_INTEGER,
    NUMBER = 1U << JSON_KIND_INTEGER | 1U << JSON_KIND_REAL,
    TEXT = 1U << JSON_KIND_TEXT,
    ARRAY = 1U << JSON_KIND_ARRAY,
    OBJECT = 1U << JSON_KIND_OBJECT
};

/* What a member may be; null is allowed for each. The range is for numbers. */
struct rule {
    const char *name;
    unsigned kinds;
    double least;
    double most;
};

static const struct rule common_rules[] = {
    { "stream", BOOL, 0, 0 },
    { "stream_options", OBJECT, 0, 0 },
    { "n", INTEGER, 1, ENGINE_DEMO_CHOICES_MAX },
    { "max_tokens", INTEGER, 1, 1e15 },
    { "temperature", NUMBER, 0, 2 },
    { "top_p", NUMBER, 0, 1 },
    { "presence_penalty", NUMBER, -2, 2 },
    { "frequency_penalty", NUMBER, -2, 2 },
    { "seed", INTEGER, -9e18, 9e18 },
    { "stop", TEXT | ARRAY, 0, 0 },
    { "user", TEXT, 0, 0 },
    { "logit_bias", OBJECT, 0, 0 },
};

static const struct rule chat_rules[] = {
    { "max_completion_tokens", INTEGER, 1, 1e15 },
    { "logprobs", BOOL, 0, 0 },
    { "top_logprobs", INTEGER, 0, 20 },
    { "tools", ARRAY, 0, 0 },
    { "tool_choice", TEXT | OBJECT, 0, 0 },
    { "parallel_tool_calls", BOOL, 0, 0 },
    { "response_format", OBJECT, 0, 0 },
    { "metadata", OBJECT, 0, 0 },
    { "store", BOOL, 0, 0 },
};

static const struct rule completion_rules[] = {
    { "logprobs", INTEGER, 0, 5 },
    { "best_of", INTEGER, 1, 20 },
    { "echo", BOOL, 0, 0 },
    { "suffix", TEXT, 0, 0 },
};

bool demo_blame(struct demo_fault *fault, enum error_cause cause, const char *param)
{
    *fault = (struct demo_fault){ .cause = cause };
    (void)snprintf(fault->param, sizeof fault->param, "%s", param);
    return false;
}

/* The value of a member that is there and not null, else NULL. */
static const struct json *member(const struct json *root, const char *name)
{
    const struct json *v = json_get(root, name);
    return json_kind(v) == JSON_KIND_NULL ? NULL : v;
}

static bool keeps_rules(const struct json *root, const struct rule *rules, size_t n,
                        struct demo_fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        const struct json *v = member(root, rules[i].name);
        double number;
        if (v == NULL)
            continue;
        if ((rules[i].kinds & 1U << json_kind(v)) == 0)
            return demo_blame(fault, ERROR_INVALID_TYPE, rules[i].name);
        if (json_f64(v, &number) && (number < rules[i].least || number > rules[i].most))
            return demo_blame(fault, ERROR_INVALID_VALUE, rules[i].name);
    }
    return true;
}

void demo_ask_clear(struct demo_ask *ask)
{
    buf_clear(&ask->said);
    *ask = (struct demo_ask){ 0 };
}

bool demo_is_model(bytes name)
{
    return bytes_equal(name, BYTES_LIT("demo")) || bytes_equal(name, BYTES_LIT("demo/slash"));
}

bool demo_ask_model(const struct json *root, struct demo_ask *out, struct demo_fault *fault)
{
    if (json_kind(root) != JSON_KIND_OBJECT)
        return demo_blame(fault, ERROR_NOT_OBJECT, "");
    const struct json *model = member(root, "model");
    bytes name;
    if (model == NULL)
        return demo_blame(fault, ERROR_MISSING_FIELD, "model");
    if (!json_text(model, &name))
        return demo_blame(fault, ERROR_INVALID_TYPE, "model");
    if (!demo_is_model(name))
        return demo_blame(fault, ERROR_MODEL_NOT_FOUND, "");
    memcpy(out->model, name.at, name.len);
    return true;
}

/* Keeps the beginning of what was said when it is too long. */
static bool add_said(struct demo_ask *out, bytes text)
{
    out->prompt_len += text.len;
    size_t room = DEMO_SAID_MAX - out->said.len;
    return err_is_ok(buf_add(&out->said, bytes_slice(text, 0, room)));
}

static bool take_common(const struct json *root, struct demo_ask *out, struct demo_fault *fault)
{
    if (!keeps_rules(root, common_rules, ARRAY_LEN(common_rules), fault))
        return false;
    uint64_t n = 1;
    uint64_t most = ENGINE_DEMO_TOKENS_MAX;
    uint64_t v;
    (void)json_bool(json_get(root, "stream"), &out->stream);
    (void)json_u64(json_get(root, "n"), &n);
    if (json_u64(json_get(root, "max_tokens"), &v) && v < most)
        most = v;
    if (json_u64(json_get(root, "max_completion_tokens"), &v) && v < most)
        most = v;
    out->n = n;
    out->tokens_max = most;
    out->stop = member(root, "stop");
    const struct json *options = member(root, "stream_options");
    if (options != NULL && !out->stream)
        return demo_blame(fault, ERROR_INVALID_VALUE, "stream_options");
    const struct json *usage = member(options, "include_usage");
    if (usage != NULL && !json_bool(usage, &out->include_usage))
        return demo_blame(fault, ERROR_INVALID_TYPE, "stream_options.include_usage");
    return true;
}

static bool blame_message(struct demo_fault *fault, size_t i, const char *name,
                          enum error_cause cause)
{
    char param[64];
    (void)snprintf(param, sizeof param, "messages[%zu]%s%s", i, name[0] ? "." : "", name);
    return demo_blame(fault, cause, param);
}

/* The content of one message: text, parts of which those of type text count, or null. */
static bool take_content(const struct json *content, struct demo_ask *out)
{
    bytes text;
    if (json_text(content, &text))
        return add_said(out, text);
    for (size_t i = 0; i < json_len(content); i++) {
        if (json_text(json_get(json_at(content, i), "text"), &text) && !add_said(out, text))
            return false;
    }
    return true;
}

static bool is_role(bytes role)
{
    static const char *const roles[] = { "system",    "developer", "user",
                                         "assistant", "tool",      "function" };
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (bytes_equal(role, bytes_str(roles[i])))
            return true;
    }
    return false;
}

static bool take_message(const struct json *message, size_t i, struct demo_ask *out,
                         struct demo_fault *fault)
{
    bytes role;
    if (json_kind(message) != JSON_KIND_OBJECT)
        return blame_message(fault, i, "", ERROR_INVALID_TYPE);
    if (json_get(message, "role") == NULL)
        return blame_message(fault, i, "role", ERROR_MISSING_FIELD);
    if (!json_text(json_get(message, "role"), &role))
        return blame_message(fault, i, "role", ERROR_INVALID_TYPE);
    if (!is_role(role))
        return blame_message(fault, i, "role", ERROR_INVALID_VALUE);
    const struct json *content = member(message, "content");
    unsigned kind = 1U << json_kind(content);
    bool assistant = bytes_equal(role, BYTES_LIT("assistant"));
    if (content == NULL && !assistant)
        return blame_message(fault, i, "content", ERROR_MISSING_FIELD);
    if (content != NULL && (kind & (TEXT | ARRAY)) == 0)
        return blame_message(fault, i, "content", ERROR_INVALID_TYPE);
    out->answering_tool = bytes_equal(role, BYTES_LIT("tool"));
    bool counts = out->answering_tool || bytes_equal(role, BYTES_LIT("user"));
    if (counts)
        buf_truncate(&out->said, 0);
    size_t before = out->said.len;
    if (!take_content(content, out))
        return demo_blame(fault, ERROR_OVERLOADED, "");
    if (!counts)
        buf_truncate(&out->said, before);
    return true;
}

static bool checks_tools(const struct json *tools, struct demo_fault *fault)
{
    for (size_t i = 0; i < json_len(tools); i++) {
        const struct json *function = json_get(json_at(tools, i), "function");
        bytes name;
        char param[64];
        (void)snprintf(param, sizeof param, "tools[%zu].function%s", i,
                       json_kind(function) == JSON_KIND_OBJECT ? ".name" : "");
        if (function == NULL || json_get(function, "name") == NULL)
            return demo_blame(fault, ERROR_MISSING_FIELD, param);
        if (!json_text(json_get(function, "name"), &name))
            return demo_blame(fault, ERROR_INVALID_TYPE, param);
    }
    return true;
}

static bool checks_format(const struct json *format, struct demo_fault *fault)
{
    bytes type;
    if (format == NULL)
        return true;
    if (!json_text(json_get(format, "type"), &type))
        return demo_blame(fault, ERROR_MISSING_FIELD, "response_format.type");
    if (bytes_equal(type, BYTES_LIT("text")) || bytes_equal(type, BYTES_LIT("json_object")))
        return true;
    if (!bytes_equal(type, BYTES_LIT("json_schema")))
        return demo_blame(fault, ERROR_INVALID_VALUE, "response_format.type");
    const struct json *schema = json_get(json_get(format, "json_schema"), "schema");
    if (json_kind(schema) != JSON_KIND_OBJECT)
        return demo_blame(fault, ERROR_MISSING_FIELD, "response_format.json_schema.schema");
    return true;
}

bool demo_ask_chat(const struct json *root, struct demo_ask *out, struct demo_fault *fault)
{
    out->said = BUF(DEMO_SAID_MAX);
    if (!demo_ask_model(root, out, fault) || !take_common(root, out, fault) ||
        !keeps_rules(root, chat_rules, ARRAY_LEN(chat_rules), fault))
        return false;
    const struct json *messages = member(root, "messages");
    if (messages == NULL)
        return demo_blame(fault, ERROR_MISSING_FIELD, "messages");
    if (json_kind(messages) != JSON_KIND_ARRAY)
        return demo_blame(fault, ERROR_INVALID_TYPE, "messages");
    if (json_len(messages) == 0)
        return demo_blame(fault, ERROR_INVALID_VALUE, "messages");
    for (size_t i = 0; i < json_len(messages); i++) {
        if (!take_message(json_at(messages, i), i, out, fault))
            return false;
    }
    out->parallel = true;
    (void)json_bool(json_get(root, "parallel_tool_calls"), &out->parallel);
    out->tools = member(root, "tools");
    out->tool_choice = member(root, "tool_choice");
    out->response_format = member(root, "response_format");
    return checks_tools(out->tools, fault) && checks_format(out->response_format, fault);
}

/* Tokens given as numbers: each counts like a word. */
static bool is_tokens(const struct json *v)
{
    int64_t token;
    for (size_t i = 0; i < json_len(v); i++) {
        if (!json_i64(json_at(v, i), &token))
            return false;
    }
    return json_kind(v) == JSON_KIND_ARRAY && json_len(v) > 0;
}

static bool take_prompt(const struct json *v, struct demo_ask *out, struct demo_fault *fault)
{
    bytes text;
    if (json_text(v, &text)) {
        if (out->prompts_n++ > 0)
            out->prompt_len += text.len;
        else if (!add_said(out, text))
            return demo_blame(fault, ERROR_OVERLOADED, "");
        return true;
    }
    if (!is_tokens(v))
        return demo_blame(fault, ERROR_INVALID_TYPE, "prompt");
    out->prompts_n++;
    out->prompt_len += 4 * json_len(v);
    return true;
}

bool demo_ask_completion(const struct json *root, struct demo_ask *out, struct demo_fault *fault)
{
    out->said = BUF(DEMO_SAID_MAX);
    if (!demo_ask_model(root, out, fault) || !take_common(root, out, fault) ||
        !keeps_rules(root, completion_rules, ARRAY_LEN(completion_rules), fault))
        return false;
    const struct json *prompt = member(root, "prompt");
    if (prompt == NULL)
        return demo_blame(fault, ERROR_MISSING_FIELD, "prompt");
    bool several = json_kind(prompt) == JSON_KIND_ARRAY && !is_tokens(prompt);
    if (!several)
        return take_prompt(prompt, out, fault);
    if (json_len(prompt) == 0 || json_len(prompt) * out->n > DEMO_PROMPTS_MAX)
        return demo_blame(fault, ERROR_INVALID_VALUE, "prompt");
    for (size_t i = 0; i < json_len(prompt); i++) {
        if (!take_prompt(json_at(prompt, i), out, fault))
            return false;
    }
    return true;
}
