#include "api/responses_check.h"

#include "base/attr.h"
#include "base/json.h"

/* ---- the table ---- */

enum { IS_ANY = 0, IS_TEXT, IS_NUMBER, IS_INTEGER, IS_BOOL, IS_OBJECT, IS_ARRAY };

/* What may be said at the top of a request. */
static const struct responses_row ROWS[] = {
    { .name = "model", .kind = IS_TEXT, .echo = "null", .chat = "model" },
    { .name = "input" },
    { .name = "instructions", .kind = IS_TEXT, .echo = "null" },
    { .name = "previous_response_id", .kind = IS_TEXT, .echo = "null" },
    { .name = "conversation", .unsupported = true },
    { .name = "prompt", .unsupported = true },
    { .name = "context_management", .unsupported = true },
    { .name = "store", .kind = IS_BOOL },
    { .name = "background", .kind = IS_BOOL, .echo = "false" },
    { .name = "stream", .kind = IS_BOOL },
    { .name = "stream_options", .kind = IS_OBJECT },
    { .name = "include", .kind = IS_ARRAY },
    { .name = "tools", .kind = IS_ARRAY },
    { .name = "tool_choice", .echo = "\"auto\"" },
    { .name = "parallel_tool_calls", .kind = IS_BOOL, .echo = "true" },
    { .name = "max_tool_calls", .kind = IS_INTEGER, .echo = "null" },
    { .name = "text", .kind = IS_OBJECT },
    { .name = "reasoning", .kind = IS_OBJECT },
    { .name = "temperature", .kind = IS_NUMBER, .echo = "1.0", .chat = "temperature" },
    { .name = "top_p", .kind = IS_NUMBER, .echo = "1.0", .chat = "top_p" },
    { .name = "presence_penalty", .kind = IS_NUMBER, .echo = "0.0", .chat = "presence_penalty" },
    { .name = "frequency_penalty", .kind = IS_NUMBER, .echo = "0.0", .chat = "frequency_penalty" },
    { .name = "top_logprobs", .kind = IS_INTEGER, .echo = "0" },
    { .name = "max_output_tokens", .kind = IS_INTEGER, .echo = "null" },
    { .name = "truncation", .kind = IS_TEXT },
    { .name = "metadata", .kind = IS_OBJECT, .echo = "{}" },
    { .name = "service_tier", .kind = IS_TEXT, .echo = "\"default\"", .chat = "service_tier" },
    { .name = "prompt_cache_key", .kind = IS_TEXT, .echo = "null" },
    { .name = "prompt_cache_retention", .kind = IS_TEXT },
    { .name = "safety_identifier", .kind = IS_TEXT, .echo = "null" },
    { .name = "user", .kind = IS_TEXT, .echo = "null", .chat = "user" },
};

/* What we write ourselves; a request of the Responses API has no business with it. */
static const char *const OURS[] = {
    "messages", "response_format", "max_tokens",    "max_completion_tokens", "logprobs",
    "n",        "functions",       "function_call", "reasoning_effort",      "verbosity"
};

const struct responses_row *responses_row_find(bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        if (bytes_equal(name, bytes_str(ROWS[i].name)))
            return &ROWS[i];
    }
    return NULL;
}

const struct responses_row *responses_rows(size_t *n)
{
    *n = ARRAY_LEN(ROWS);
    return ROWS;
}

static bool is_ours(bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++) {
        if (bytes_equal(name, bytes_str(OURS[i])))
            return true;
    }
    return false;
}

static bool is_of_kind(const struct json *value, int kind)
{
    enum json_kind have = json_kind(value);
    switch (kind) {
    case IS_TEXT:
        return have == JSON_KIND_TEXT;
    case IS_NUMBER:
        return have == JSON_KIND_INTEGER || have == JSON_KIND_REAL;
    case IS_INTEGER:
        return have == JSON_KIND_INTEGER;
    case IS_BOOL:
        return have == JSON_KIND_BOOL;
    case IS_OBJECT:
        return have == JSON_KIND_OBJECT;
    case IS_ARRAY:
        return have == JSON_KIND_ARRAY;
    default:
        return true;
    }
}

/* ---- checks ---- */

static err check_kinds(const struct json *root, struct responses_fault *fault)
{
    for (struct json_pair p = { 0 }; json_next(root, &p);) {
        const struct responses_row *row = responses_row_find(p.key);
        if (is_ours(p.key))
            return responses_blame(fault, ERROR_UNSUPPORTED_PARAMETER, "%.*s", (int)p.key.len,
                                   (const char *)p.key.at);
        if (row == NULL || !json_is_set(p.value))
            continue;
        if (row->unsupported)
            return responses_blame(fault, ERROR_UNSUPPORTED_PARAMETER, "%s", row->name);
        if (!is_of_kind(p.value, row->kind))
            return responses_blame(fault, ERROR_INVALID_TYPE, "%s", row->name);
    }
    return OK;
}

static err check_number(const struct json *root, const char *name, int64_t least, int64_t most,
                        struct responses_fault *fault)
{
    int64_t value;
    if (json_i64(json_get(root, name), &value) && (value < least || value > most))
        return responses_blame(fault, ERROR_INVALID_VALUE, "%s", name);
    return OK;
}

static err check_metadata(const struct json *metadata, struct responses_fault *fault)
{
    if (json_len(metadata) > RESPONSES_METADATA_MAX)
        return responses_blame(fault, ERROR_INVALID_VALUE, "metadata");
    for (struct json_pair p = { 0 }; json_next(metadata, &p);) {
        if (json_kind(p.value) != JSON_KIND_TEXT)
            return responses_blame(fault, ERROR_INVALID_TYPE, "metadata");
    }
    return OK;
}

/* Chat has no word for dropping the middle of a conversation. One that fits needs none, and of one that
 * does not the engine says so: answers to `auto` say `disabled`, as it is. */
static err check_truncation(const struct json *root, struct responses_fault *fault)
{
    bytes word = json_text_of(root, "truncation");
    if (word.len == 0 || bytes_equal(word, BYTES_LIT("disabled")) ||
        bytes_equal(word, BYTES_LIT("auto")))
        return OK;
    return responses_blame_word(fault, ERROR_INVALID_VALUE, word, "truncation");
}

static err check_text(const struct json *text, struct responses_fault *fault)
{
    const struct json *format = json_get(text, "format");
    bytes type = json_text_of(format, "type");
    if (!json_is_set(format))
        return OK;
    if (json_kind(format) != JSON_KIND_OBJECT)
        return responses_blame(fault, ERROR_INVALID_TYPE, "text.format");
    if (bytes_equal(type, BYTES_LIT("text")) || bytes_equal(type, BYTES_LIT("json_object")))
        return OK;
    if (!bytes_equal(type, BYTES_LIT("json_schema")))
        return responses_blame_word(fault, ERROR_INVALID_VALUE, type, "text.format.type");
    if (json_text_of(format, "name").len == 0)
        return responses_blame(fault, ERROR_MISSING_FIELD, "text.format.name");
    if (json_kind(json_get(format, "schema")) != JSON_KIND_OBJECT)
        return responses_blame(fault, ERROR_MISSING_FIELD, "text.format.schema");
    return OK;
}

static err check_words(const struct json *object, const char *param, const char *const *keys,
                       struct responses_fault *fault)
{
    for (; *keys != NULL; keys++) {
        const struct json *value = json_get(object, *keys);
        if (json_is_set(value) && json_kind(value) != JSON_KIND_TEXT)
            return responses_blame(fault, ERROR_INVALID_TYPE, "%s.%s", param, *keys);
    }
    return OK;
}

err responses_check(const struct json *root, struct responses_fault *fault)
{
    static const char *const verbosity[] = { "verbosity", NULL };
    static const char *const reasoning[] = { "effort", "summary", NULL };
    TRY(check_kinds(root, fault));
    TRY(check_number(root, "top_logprobs", 0, RESPONSES_TOP_LOGPROBS_MAX, fault));
    TRY(check_number(root, "max_output_tokens", 1, INT64_MAX, fault));
    TRY(check_number(root, "max_tool_calls", 0, INT64_MAX, fault));
    TRY(check_metadata(json_get(root, "metadata"), fault));
    TRY(check_truncation(root, fault));
    TRY(check_text(json_get(root, "text"), fault));
    TRY(check_words(json_get(root, "text"), "text", verbosity, fault));
    TRY(check_words(json_get(root, "reasoning"), "reasoning", reasoning, fault));
    if (!json_is_set(json_get(root, "model")))
        return responses_blame(fault, ERROR_MISSING_FIELD, "model");
    if (!json_is_set(json_get(root, "input")) &&
        json_text_of(root, "previous_response_id").len == 0)
        return responses_blame(fault, ERROR_MISSING_FIELD, "input");
    return OK;
}
