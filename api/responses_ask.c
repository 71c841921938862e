#include "api/responses_ask.h"

#include "api/responses_check.h"
#include "api/responses_input.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/text.h"

void responses_ask_clear(struct responses_ask *a)
{
    responses_tools_clear(&a->tools);
    buf_clear(&a->echo);
    json_free(a->root);
    json_free(a->input);
    a->root = a->input = NULL;
}

/* Words of `include`; those about tools that no answer of ours can have ask for nothing. */
static err read_include(struct responses_ask *a, struct responses_fault *fault)
{
    static const char *const nothing[] = { "file_search_call.results",
                                           "web_search_call.results",
                                           "web_search_call.action.sources",
                                           "message.input_image.image_url",
                                           "computer_call_output.output.image_url",
                                           "code_interpreter_call.outputs" };
    const struct json *include = json_get(a->root, "include");
    for (size_t i = 0; i < json_len(include); i++) {
        bytes word = { 0 };
        bool known = false;
        if (!json_text(json_at(include, i), &word))
            return responses_blame(fault, ERROR_INVALID_TYPE, "include[%zu]", i);
        for (size_t k = 0; k < ARRAY_LEN(nothing); k++)
            known = known || bytes_equal(word, bytes_str(nothing[k]));
        if (bytes_equal(word, BYTES_LIT("reasoning.encrypted_content")))
            a->encrypted = known = true;
        if (bytes_equal(word, BYTES_LIT("message.output_text.logprobs")))
            a->logprobs = known = true;
        if (!known)
            return responses_blame_word(fault, ERROR_INVALID_VALUE, word, "include[%zu]", i);
    }
    return OK;
}

/* What is kept for later, and made meanwhile, must be kept. */
static err check_keeping(const struct responses_ask *a, bool stores, struct responses_fault *fault)
{
    if (a->background && !stores)
        return responses_blame(fault, ERROR_UNSUPPORTED_PARAMETER, "background");
    if (a->background && !a->store)
        return responses_blame(fault, ERROR_INVALID_VALUE, "background");
    return OK;
}

/* ---- the echo ---- */

static err add_key(struct buf *out, const char *key)
{
    return buf_addf(out, ",\"%s\":", key);
}

static err add_or(struct buf *out, const struct json *value, const char *otherwise)
{
    return !json_is_set(value) ? buf_add_str(out, otherwise) : json_write(out, value);
}

static err echo_format(struct buf *out, const struct json *format)
{
    if (!bytes_equal(json_text_of(format, "type"), BYTES_LIT("json_schema")))
        return add_or(out, format, "{\"type\":\"text\"}");
    TRY(buf_add_str(out, "{\"type\":\"json_schema\",\"name\":"));
    TRY(json_write(out, json_get(format, "name")));
    TRY(add_key(out, "description"));
    TRY(add_or(out, json_get(format, "description"), "null"));
    TRY(add_key(out, "schema"));
    TRY(json_write(out, json_get(format, "schema")));
    TRY(add_key(out, "strict"));
    TRY(add_or(out, json_get(format, "strict"), "false"));
    return buf_add_u8(out, '}');
}

static err echo_text(struct buf *out, const struct json *text)
{
    TRY(buf_add_str(out, ",\"text\":{\"format\":"));
    TRY(echo_format(out, json_get(text, "format")));
    TRY(add_key(out, "verbosity"));
    TRY(add_or(out, json_get(text, "verbosity"), "\"medium\""));
    return buf_add_u8(out, '}');
}

static err echo_reasoning(struct buf *out, const struct json *reasoning)
{
    TRY(buf_add_str(out, ",\"reasoning\":{\"effort\":"));
    TRY(add_or(out, json_get(reasoning, "effort"), "null"));
    TRY(add_key(out, "summary"));
    TRY(add_or(out, json_get(reasoning, "summary"), "null"));
    return buf_add_u8(out, '}');
}

static err write_echo(struct responses_ask *a)
{
    struct buf *out = &a->echo;
    size_t n;
    const struct responses_row *rows = responses_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].echo == NULL)
            continue;
        TRY(add_key(out, rows[i].name));
        TRY(add_or(out, json_get(a->root, rows[i].name), rows[i].echo));
    }
    TRY(add_key(out, "truncation"));
    TRY(buf_add_str(out, "\"disabled\""));
    TRY(add_key(out, "store"));
    TRY(buf_add_str(out, a->store ? "true" : "false"));
    TRY(add_key(out, "tools"));
    TRY(buf_add(out, buf_view(&a->tools.echo)));
    TRY(echo_text(out, json_get(a->root, "text")));
    return echo_reasoning(out, json_get(a->root, "reasoning"));
}

/* ---- reading ---- */

static err read_root(struct responses_ask *a, bytes body, struct responses_fault *fault)
{
    err e = json_read(&a->root, body, JSON_DEPTH_MAX);
    if (e.code == ERR_NOMEM)
        return e;
    if (e.code != ERR_OK)
        return responses_blame(fault, ERROR_INVALID_JSON, "%s", "");
    if (json_kind(a->root) != JSON_KIND_OBJECT)
        return responses_blame(fault, ERROR_NOT_OBJECT, "%s", "");
    return OK;
}

static void read_switches(struct responses_ask *a, bool stores)
{
    int64_t top = 0;
    a->store = true;
    (void)json_bool(json_get(a->root, "stream"), &a->stream);
    (void)json_bool(json_get(a->root, "store"), &a->store);
    (void)json_bool(json_get(a->root, "background"), &a->background);
    (void)json_i64(json_get(a->root, "top_logprobs"), &top);
    a->logprobs = a->logprobs || top > 0;
    a->store = a->store && stores;
    a->summary = json_is_set(json_get(json_get(a->root, "reasoning"), "summary"));
    a->previous = json_text_of(a->root, "previous_response_id");
}

err responses_ask_read(struct responses_ask *out, bytes body,
                       const struct responses_ask_settings *settings, struct responses_fault *fault)
{
    *out = (struct responses_ask){ .echo = BUF(RESPONSES_ECHO_MAX) };
    *fault = (struct responses_fault){ 0 };
    responses_tools_init(&out->tools);
    TRY(read_root(out, body, fault));
    TRY(responses_check(out->root, fault));
    TRY(read_include(out, fault));
    read_switches(out, settings->stores);
    TRY(check_keeping(out, settings->stores, fault));
    TRY(responses_tools_read(&out->tools, json_get(out->root, "tools"),
                             json_get(out->root, "tool_choice"), settings->refuse_tools, fault));
    return write_echo(out);
}

const struct json *responses_ask_input(const struct responses_ask *a)
{
    return a->input != NULL ? a->input : json_get(a->root, "input");
}

/* ---- references ---- */

static bool is_reference(const struct json *item)
{
    return bytes_equal(json_text_of(item, "type"), BYTES_LIT("item_reference"));
}

static bool has_references(const struct json *input)
{
    for (size_t i = 0; json_kind(input) == JSON_KIND_ARRAY && i < json_len(input); i++) {
        if (is_reference(json_at(input, i)))
            return true;
    }
    return false;
}

static err resolve_one(const struct json *item, size_t i, const struct responses_lookup *lookup,
                       struct buf *out, struct responses_fault *fault)
{
    if (!is_reference(item))
        return json_write(out, item);
    bytes id = json_text_of(item, "id");
    err e = lookup->find(lookup->owner, id, out);
    if (e.code == ERR_NOT_FOUND)
        return responses_blame_word(fault, ERROR_NOT_FOUND, id, "input[%zu].id", i);
    return e;
}

err responses_ask_resolve(struct responses_ask *a, const struct responses_lookup *lookup,
                          struct responses_fault *fault)
{
    const struct json *input = json_get(a->root, "input");
    BUF_AUTO array = BUF(RESPONSES_CHAT_MAX);
    if (!has_references(input))
        return OK;
    TRY(buf_add_u8(&array, '['));
    for (size_t i = 0; i < json_len(input); i++) {
        if (i > 0)
            TRY(buf_add_u8(&array, ','));
        TRY(resolve_one(json_at(input, i), i, lookup, &array, fault));
    }
    TRY(buf_add_u8(&array, ']'));
    return json_read(&a->input, buf_view(&array), JSON_DEPTH_MAX);
}

/* ---- writing ---- */

static err write_messages(const struct responses_ask *a, const struct json *past, struct buf *out,
                          struct responses_fault *fault)
{
    struct responses_input in;
    const struct json *input = responses_ask_input(a);
    responses_input_init(&in);
    err e = responses_input_system(&in, json_text_of(a->root, "instructions"));
    if (e.code == ERR_OK && past != NULL)
        e = responses_input_add(&in, past, "previous_response_id", fault);
    if (e.code == ERR_OK && json_is_set(input))
        e = responses_input_add(&in, input, "input", fault);
    if (e.code == ERR_OK)
        e = responses_input_write(&in, out);
    responses_input_clear(&in);
    return e;
}

static err write_format(const struct json *format, struct buf *out)
{
    static const char *const members[] = { "name", "description", "schema", "strict" };
    struct json_out j = JSON_OUT(out);
    bytes type = json_text_of(format, "type");
    if (type.len == 0 || bytes_equal(type, BYTES_LIT("text")))
        return OK;
    TRY(add_key(out, "response_format"));
    if (!bytes_equal(type, BYTES_LIT("json_schema")))
        return buf_add_str(out, "{\"type\":\"json_object\"}");
    json_begin_object(&j, NULL);
    json_put_str(&j, "type", "json_schema");
    json_begin_object(&j, "json_schema");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const struct json *value = json_get(format, members[i]);
        BUF_AUTO text = BUF(RESPONSES_CHAT_MAX);
        if (!json_is_set(value))
            continue;
        TRY(json_write(&text, value));
        json_put_raw(&j, members[i], buf_view(&text));
    }
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

static err write_member(struct buf *out, const char *key, const struct json *value)
{
    if (!json_is_set(value))
        return OK;
    TRY(add_key(out, key));
    return json_write(out, value);
}

/* Engines know one or the other name; those that know both take the same from either. */
static err write_limits(const struct responses_ask *a, struct buf *out)
{
    TRY(write_member(out, "max_completion_tokens", json_get(a->root, "max_output_tokens")));
    TRY(write_member(out, "max_tokens", json_get(a->root, "max_output_tokens")));
    if (!a->logprobs)
        return OK;
    TRY(buf_add_str(out, ",\"logprobs\":true"));
    return write_member(out, "top_logprobs", json_get(a->root, "top_logprobs"));
}

static err write_tools(const struct responses_ask *a, struct buf *out)
{
    if (a->tools.offered == 0)
        return OK;
    TRY(add_key(out, "tools"));
    TRY(buf_add(out, buf_view(&a->tools.chat)));
    if (a->tools.choice.len > 0) {
        TRY(add_key(out, "tool_choice"));
        TRY(buf_add(out, buf_view(&a->tools.choice)));
    }
    return write_member(out, "parallel_tool_calls", json_get(a->root, "parallel_tool_calls"));
}

/* Members that are passed on, under the engine's name or as they are. */
static err write_others(const struct responses_ask *a, struct buf *out)
{
    for (struct json_pair p = { 0 }; json_next(a->root, &p);) {
        const struct responses_row *row = responses_row_find(p.key);
        if (!json_is_set(p.value) || (row != NULL && row->chat == NULL))
            continue;
        TRY(buf_add_u8(out, ','));
        TRY(text_json_quote(out, row != NULL ? bytes_str(row->chat) : p.key));
        TRY(buf_add_u8(out, ':'));
        TRY(json_write(out, p.value));
    }
    return OK;
}

/* Tools may come with the conversation; only now is all of it known. */
static err end_tools(struct responses_ask *a, const struct json *past,
                     struct responses_fault *fault)
{
    TRY(responses_tools_add(&a->tools, past, "previous_response_id", fault));
    TRY(responses_tools_add(&a->tools, responses_ask_input(a), "input", fault));
    return responses_tools_end(&a->tools, json_get(a->root, "tool_choice"), fault);
}

err responses_ask_write(struct responses_ask *a, const struct json *past, struct buf *out,
                        struct responses_fault *fault)
{
    const struct json *text = json_get(a->root, "text");
    TRY(end_tools(a, past, fault));
    TRY(buf_add_str(out, "{\"messages\":"));
    TRY(write_messages(a, past, out, fault));
    TRY(write_others(a, out));
    TRY(write_limits(a, out));
    TRY(write_tools(a, out));
    TRY(write_format(json_get(text, "format"), out));
    TRY(write_member(out, "verbosity", json_get(text, "verbosity")));
    TRY(write_member(out, "reasoning_effort", json_get(json_get(a->root, "reasoning"), "effort")));
    if (a->stream)
        TRY(buf_add_str(out, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    return buf_add_u8(out, '}');
}
