#include "api/responses_tools.h"

#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

void responses_tools_init(struct responses_tools *t)
{
    *t = (struct responses_tools){ .chat = BUF(RESPONSES_TOOLS_TEXT_MAX),
                                   .choice = BUF(RESPONSES_TOOLS_TEXT_MAX),
                                   .echo = BUF(RESPONSES_TOOLS_TEXT_MAX),
                                   .left_out = BUF(1024) };
}

void responses_tools_clear(struct responses_tools *t)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_clear(&t->list[i].name);
        buf_clear(&t->list[i].space);
        buf_clear(&t->list[i].chat_name);
    }
    mem_free(t->list);
    t->list = NULL;
    t->n = 0;
    buf_clear(&t->chat);
    buf_clear(&t->choice);
    buf_clear(&t->echo);
    buf_clear(&t->left_out);
}

const struct responses_tool *responses_tools_find(const struct responses_tools *t, bytes chat_name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (bytes_equal(buf_view(&t->list[i].chat_name), chat_name))
            return &t->list[i];
    }
    return NULL;
}

err responses_tools_name(struct buf *out, bytes space, bytes name)
{
    if (space.len > 0) {
        TRY(buf_add(out, space));
        TRY(buf_add_str(out, "__"));
    }
    return buf_add(out, name);
}

/* ---- one tool ---- */

/* What is being read, and where it stands in the request. */
struct place {
    struct responses_tools *t;
    struct responses_fault *fault;
    const char *at; /* such as tools[2] */
    bytes space;
    bool added; /* by an item: not one of the request's own */
};

static err put_raw(struct json_out *j, const char *key, const struct json *value)
{
    BUF_AUTO text = BUF(RESPONSES_TOOLS_TEXT_MAX);
    TRY(json_write(&text, value));
    json_put_raw(j, key, buf_view(&text));
    return OK;
}

static err put_or_null(struct json_out *j, const char *key, const struct json *value)
{
    if (json_is_set(value))
        return put_raw(j, key, value);
    json_put_null(j, key);
    return OK;
}

static err add_tool(struct place *p, bool custom, bytes name)
{
    struct responses_tools *t = p->t;
    ENSURE(t->n < RESPONSES_TOOLS_MAX, LIMIT);
    struct responses_tool *tool = &t->list[t->n++];
    tool->custom = custom;
    tool->name = tool->space = BUF(RESPONSES_TOOL_NAME_MAX);
    tool->chat_name = BUF(2 * RESPONSES_TOOL_NAME_MAX + 2);
    TRY(buf_add(&tool->name, name));
    TRY(buf_add(&tool->space, p->space));
    return responses_tools_name(&tool->chat_name, p->space, name);
}

/* allowed_tools narrows what the engine is told of; all else of a tool stays as it is. */
static bool is_allowed(const struct place *p, bytes name)
{
    const struct json *allowed = p->t->allowed;
    for (size_t i = 0; i < json_len(allowed); i++) {
        if (bytes_equal(json_text_of(json_at(allowed, i), "name"), name))
            return true;
    }
    return allowed == NULL;
}

/* A custom tool's format as words, since chat completions cannot hold a model to a grammar. */
static err write_custom_description(struct buf *out, const struct json *tool)
{
    const struct json *format = json_get(tool, "format");
    bytes syntax = json_text_of(format, "syntax");
    TRY(buf_add(out, json_text_of(tool, "description")));
    if (!bytes_equal(json_text_of(format, "type"), BYTES_LIT("grammar")))
        return OK;
    TRY(buf_add_str(out, "\n\nThe input must follow this grammar ("));
    TRY(buf_add(out, syntax));
    TRY(buf_add_str(out, "):\n"));
    return buf_add(out, json_text_of(format, "definition"));
}

static const char CUSTOM_PARAMETERS[] =
    "{\"type\":\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},"
    "\"required\":[\"input\"],\"additionalProperties\":false}";

static err put_function(struct json_out *j, const struct json *tool)
{
    if (json_is_set(json_get(tool, "description")))
        TRY(put_raw(j, "description", json_get(tool, "description")));
    if (json_is_set(json_get(tool, "parameters")))
        TRY(put_raw(j, "parameters", json_get(tool, "parameters")));
    if (json_is_set(json_get(tool, "strict")))
        TRY(put_raw(j, "strict", json_get(tool, "strict")));
    return OK;
}

static err put_custom(struct json_out *j, const struct json *tool)
{
    BUF_AUTO description = BUF(RESPONSES_TOOLS_TEXT_MAX);
    TRY(write_custom_description(&description, tool));
    if (description.len > 0)
        json_put_text(j, "description", buf_view(&description));
    json_put_raw(j, "parameters", bytes_str(CUSTOM_PARAMETERS));
    return OK;
}

static err write_chat(struct place *p, const struct json *tool)
{
    struct responses_tools *t = p->t;
    const struct responses_tool *known = &t->list[t->n - 1];
    struct json_out j = JSON_OUT(&t->chat);
    if (t->offered++ > 0)
        TRY(buf_add_u8(&t->chat, ','));
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", "function");
    json_begin_object(&j, "function");
    json_put_text(&j, "name", buf_view(&known->chat_name));
    TRY(known->custom ? put_custom(&j, tool) : put_function(&j, tool));
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

/* A conversation may say again what it has said, or the request says. */
static err is_known(const struct place *p, bytes name, bool *out)
{
    BUF_AUTO chat_name = BUF(2 * RESPONSES_TOOL_NAME_MAX + 2);
    TRY(responses_tools_name(&chat_name, p->space, name));
    *out = p->added && responses_tools_find(p->t, buf_view(&chat_name)) != NULL;
    return OK;
}

static err add_callable(struct place *p, const struct json *tool, bool custom)
{
    bool known;
    static const struct {
        const char *key;
        enum json_kind kind;
    } members[] = { { "description", JSON_KIND_TEXT },
                    { "parameters", JSON_KIND_OBJECT },
                    { "strict", JSON_KIND_BOOL },
                    { "format", JSON_KIND_OBJECT } };
    bytes name = json_text_of(tool, "name");
    if (name.len == 0 || name.len > RESPONSES_TOOL_NAME_MAX)
        return responses_blame(p->fault, ERROR_MISSING_FIELD, "%s.name", p->at);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const struct json *value = json_get(tool, members[i].key);
        if (json_is_set(value) && json_kind(value) != members[i].kind)
            return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s.%s", p->at, members[i].key);
    }
    TRY(is_known(p, name, &known));
    if (known)
        return OK;
    TRY(add_tool(p, custom, name));
    return is_allowed(p, name) ? write_chat(p, tool) : OK;
}

/* In the form that answers must have: every member of a function, null where it is not set. */
static err write_echo(const struct place *p, const struct json *tool, bool function)
{
    static const char *const members[] = { "description", "parameters", "strict" };
    struct responses_tools *t = p->t;
    struct json_out j = JSON_OUT(&t->echo);
    if (p->added)
        return OK;
    if (t->echo.len > 1)
        TRY(buf_add_u8(&t->echo, ','));
    if (!function)
        return json_write(&t->echo, tool);
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", "function");
    json_put_text(&j, "name", json_text_of(tool, "name"));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        TRY(put_or_null(&j, members[i], json_get(tool, members[i])));
    json_close(&j);
    return json_end(&j);
}

static err leave_out(struct place *p, bytes type)
{
    struct responses_tools *t = p->t;
    if (t->refuse)
        return responses_blame_word(p->fault, ERROR_UNSUPPORTED_PARAMETER, type, "%s.type", p->at);
    bytes shown = bytes_slice(type, 0, 64);
    for (size_t i = 0; i < shown.len; i++) {
        if (shown.at[i] <= 0x20 || shown.at[i] >= 0x7f || shown.at[i] == ',')
            return OK;
    }
    if (t->left_out.len + shown.len + 2 > t->left_out.max)
        return OK;
    if (t->left_out.len > 0)
        TRY(buf_add_str(&t->left_out, ", "));
    return buf_add(&t->left_out, shown);
}

/* The tools of a namespace are functions and custom tools, never namespaces again. */
static err add_namespace(struct place *p, const struct json *tool)
{
    char at[128];
    const struct json *tools = json_get(tool, "tools");
    struct place inner = { p->t, p->fault, at, json_text_of(tool, "name"), p->added };
    if (inner.space.len == 0 || inner.space.len > RESPONSES_TOOL_NAME_MAX)
        return responses_blame(p->fault, ERROR_MISSING_FIELD, "%s.name", p->at);
    for (size_t i = 0; i < json_len(tools); i++) {
        const struct json *one = json_at(tools, i);
        bytes type = json_text_of(one, "type");
        (void)snprintf(at, sizeof at, "%s.tools[%zu]", p->at, i);
        if (bytes_equal(type, BYTES_LIT("function")))
            TRY(add_callable(&inner, one, false));
        else if (bytes_equal(type, BYTES_LIT("custom")))
            TRY(add_callable(&inner, one, true));
        else
            TRY(leave_out(&inner, type));
    }
    return write_echo(p, tool, false);
}

static err add_one(struct place *p, const struct json *tool)
{
    bytes type = json_text_of(tool, "type");
    if (json_kind(tool) != JSON_KIND_OBJECT)
        return responses_blame(p->fault, ERROR_INVALID_TYPE, "%s", p->at);
    if (type.len == 0)
        return responses_blame(p->fault, ERROR_MISSING_FIELD, "%s.type", p->at);
    if (bytes_equal(type, BYTES_LIT("namespace")))
        return add_namespace(p, tool);
    bool function = bytes_equal(type, BYTES_LIT("function"));
    if (!function && !bytes_equal(type, BYTES_LIT("custom")))
        return leave_out(p, type);
    TRY(add_callable(p, tool, !function));
    return write_echo(p, tool, function);
}

/* ---- all of them ---- */

static size_t count_tools(const struct json *tools)
{
    size_t n = 0;
    for (size_t i = 0; i < json_len(tools) && n <= RESPONSES_TOOLS_MAX; i++) {
        size_t inner = json_len(json_get(json_at(tools, i), "tools"));
        n += inner > 0 ? inner : 1;
    }
    return n;
}

static err make_room(struct responses_tools *t, size_t more)
{
    if (more == 0)
        return OK;
    void *list = mem_realloc(t->list, (t->n + more) * sizeof *t->list);
    ENSURE(list != NULL, NOMEM);
    t->list = list;
    return OK;
}

/* param: where the array stands. */
static err add_all(struct responses_tools *t, const struct json *tools, const char *param,
                   bool added, struct responses_fault *fault)
{
    char at[80];
    size_t more = count_tools(tools);
    if (json_is_set(tools) && json_kind(tools) != JSON_KIND_ARRAY)
        return responses_blame(fault, ERROR_INVALID_TYPE, "%s", param);
    if (t->n + more > RESPONSES_TOOLS_MAX)
        return responses_blame(fault, ERROR_INVALID_VALUE, "%s", param);
    TRY(make_room(t, more));
    for (size_t i = 0; i < json_len(tools); i++) {
        struct place p = { .t = t, .fault = fault, .at = at, .added = added };
        (void)snprintf(at, sizeof at, "%s[%zu]", param, i);
        TRY(add_one(&p, json_at(tools, i)));
    }
    return OK;
}

err responses_tools_add(struct responses_tools *t, const struct json *items, const char *param,
                        struct responses_fault *fault)
{
    char at[64];
    for (size_t i = 0; json_kind(items) == JSON_KIND_ARRAY && i < json_len(items); i++) {
        const struct json *item = json_at(items, i);
        if (!bytes_equal(json_text_of(item, "type"), BYTES_LIT("additional_tools")))
            continue;
        (void)snprintf(at, sizeof at, "%s[%zu].tools", param, i);
        TRY(add_all(t, json_get(item, "tools"), at, true, fault));
    }
    return OK;
}

/* ---- tool_choice ---- */

/* auto, none or required; nothing may be required of nobody. */
static err choose_mode(struct responses_tools *t, bytes mode, const char *param,
                       struct responses_fault *fault)
{
    bool required = bytes_equal(mode, BYTES_LIT("required"));
    bool none = bytes_equal(mode, BYTES_LIT("none"));
    if (!required && !none && !bytes_equal(mode, BYTES_LIT("auto")))
        return responses_blame_word(fault, ERROR_INVALID_VALUE, mode, "%s", param);
    if (required && t->offered == 0)
        return responses_blame(fault, ERROR_INVALID_VALUE, "%s", param);
    return t->offered > 0 ? text_json_quote(&t->choice, mode) : OK;
}

static err choose_one(struct responses_tools *t, const struct json *choice,
                      struct responses_fault *fault)
{
    BUF_AUTO name = BUF(2 * RESPONSES_TOOL_NAME_MAX + 2);
    bytes wanted = json_text_of(choice, "name");
    if (wanted.len == 0 || wanted.len > RESPONSES_TOOL_NAME_MAX)
        return responses_blame(fault, ERROR_MISSING_FIELD, "tool_choice.name");
    TRY(responses_tools_name(
        &name, bytes_slice(json_text_of(choice, "namespace"), 0, RESPONSES_TOOL_NAME_MAX), wanted));
    if (responses_tools_find(t, buf_view(&name)) == NULL)
        return responses_blame_word(fault, ERROR_INVALID_VALUE, wanted, "tool_choice.name");
    TRY(buf_add_str(&t->choice, "{\"type\":\"function\",\"function\":{\"name\":"));
    TRY(text_json_quote(&t->choice, buf_view(&name)));
    return buf_add_str(&t->choice, "}}");
}

static err read_choice(struct responses_tools *t, const struct json *choice,
                       struct responses_fault *fault)
{
    bytes word = { 0 };
    bytes type = json_text_of(choice, "type");
    if (!json_is_set(choice))
        return OK;
    if (json_text(choice, &word))
        return choose_mode(t, word, "tool_choice", fault);
    if (json_kind(choice) != JSON_KIND_OBJECT)
        return responses_blame(fault, ERROR_INVALID_TYPE, "tool_choice");
    if (bytes_equal(type, BYTES_LIT("function")) || bytes_equal(type, BYTES_LIT("custom")))
        return choose_one(t, choice, fault);
    if (bytes_equal(type, BYTES_LIT("allowed_tools")))
        return choose_mode(t, json_text_of(choice, "mode"), "tool_choice.mode", fault);
    return responses_blame_word(fault, ERROR_UNSUPPORTED_PARAMETER, type, "tool_choice.type");
}

err responses_tools_read(struct responses_tools *t, const struct json *tools,
                         const struct json *choice, bool refuse, struct responses_fault *fault)
{
    t->refuse = refuse;
    if (bytes_equal(json_text_of(choice, "type"), BYTES_LIT("allowed_tools"))) {
        t->allowed = json_get(choice, "tools");
        if (json_kind(t->allowed) != JSON_KIND_ARRAY)
            return responses_blame(fault, ERROR_INVALID_TYPE, "tool_choice.tools");
        if (json_len(t->allowed) > RESPONSES_TOOLS_MAX)
            return responses_blame(fault, ERROR_INVALID_VALUE, "tool_choice.tools");
    }
    TRY(buf_add_u8(&t->echo, '['));
    TRY(buf_add_u8(&t->chat, '['));
    TRY(add_all(t, tools, "tools", false, fault));
    return buf_add_u8(&t->echo, ']');
}

err responses_tools_end(struct responses_tools *t, const struct json *choice,
                        struct responses_fault *fault)
{
    TRY(buf_add_u8(&t->chat, ']'));
    if (t->offered == 0)
        buf_truncate(&t->chat, 0);
    return read_choice(t, choice, fault);
}
