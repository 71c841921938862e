/*
 * jansson parses by recursion, bounded by a constant of its own that is far above what we allow. So
 * the depth is counted over the raw bytes first, without recursion, and only what passes is given to
 * jansson. A struct json is a json_t under another name; nothing else sees that.
 */
#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"

enum { DEPTH_BITS = 64, F64_TEXT_MAX = 32, F64_DIGITS_MIN = 15, F64_DIGITS_MAX = 17 };

_Static_assert((int)JSON_DEPTH_MAX <= (int)DEPTH_BITS, "the writer keeps one bit per level");
_Static_assert((int)JSON_DEPTH_MAX < (int)JSON_PARSER_MAX_DEPTH, "jansson must bear our depth");

static pthread_once_t prepared = PTHREAD_ONCE_INIT;

/*
 * jansson does not tell want of memory from bad input in every case; this does. Once there was none,
 * there is none for the rest of the text: jansson 2.14 goes on after a byte of a string that it could
 * not keep, and would then look for the string's end, which it may have lost, in memory beyond it.
 * What it asks for first is the room for that string, and without it gives up.
 */
static _Thread_local bool starved;

static void *allocate(size_t size)
{
    void *at = starved ? NULL : mem_alloc(size);
    if (at == NULL)
        starved = true;
    return at;
}

static void prepare(void)
{
    json_set_alloc_funcs(allocate, mem_free);
    json_object_seed(0);
}

static const json_t *tree(const struct json *value)
{
    return (const json_t *)(const void *)value;
}

static const struct json *view(const json_t *value)
{
    return (const struct json *)(const void *)value;
}

/* The first byte behind the string whose opening quote is at `at`; in.len when it does not end. */
static size_t skip_string(bytes in, size_t at)
{
    for (at++; at < in.len && in.at[at] != '"'; at++) {
        if (in.at[at] == '\\')
            at++;
    }
    return at < in.len ? at + 1 : in.len;
}

static bool is_too_deep(bytes in, size_t depth_max)
{
    size_t depth = 0;
    for (size_t i = 0; i < in.len;) {
        uint8_t c = in.at[i];
        if (c == '"') {
            i = skip_string(in, i);
            continue;
        }
        if ((c == '[' || c == '{') && ++depth > depth_max)
            return true;
        if ((c == ']' || c == '}') && depth > 0)
            depth--;
        i++;
    }
    return false;
}

err json_read(struct json **out, bytes text, size_t depth_max)
{
    ENSURE(depth_max > 0 && depth_max <= JSON_DEPTH_MAX, INTERNAL);
    ENSURE(text.len <= JSON_TEXT_MAX, LIMIT);
    ENSURE(text.len > 0, MALFORMED);
    ENSURE(!is_too_deep(text, depth_max), LIMIT);
    (void)pthread_once(&prepared, prepare);

    starved = false;
    json_t *root = json_loadb((const char *)text.at, text.len,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (starved) {
        /* jansson 2.14 may give a tree with a part left out */
        json_decref(root);
        FAIL(NOMEM);
    }
    ENSURE(root != NULL, MALFORMED);
    *out = (struct json *)(void *)root;
    return OK;
}

void json_free(struct json *root)
{
    json_decref((json_t *)(void *)root);
}

enum json_kind json_kind(const struct json *value)
{
    if (value == NULL)
        return JSON_KIND_NONE;
    switch (json_typeof(tree(value))) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_TEXT;
    case JSON_INTEGER:
        return JSON_KIND_INTEGER;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_NULL:
        return JSON_KIND_NULL;
    }
    return JSON_KIND_NONE;
}

const struct json *json_get(const struct json *object, const char *key)
{
    return view(json_object_get(tree(object), key));
}

const struct json *json_at(const struct json *array, size_t i)
{
    return view(json_array_get(tree(array), i));
}

size_t json_len(const struct json *value)
{
    if (json_kind(value) == JSON_KIND_ARRAY)
        return json_array_size(tree(value));
    return json_kind(value) == JSON_KIND_OBJECT ? json_object_size(tree(value)) : 0;
}

bool json_text(const struct json *value, bytes *out)
{
    if (json_kind(value) != JSON_KIND_TEXT)
        return false;
    *out = bytes_of(json_string_value(tree(value)), json_string_length(tree(value)));
    return true;
}

bytes json_text_of(const struct json *object, const char *key)
{
    bytes text = { 0 };
    (void)json_text(json_get(object, key), &text);
    return text;
}

bool json_is_set(const struct json *value)
{
    return json_kind(value) != JSON_KIND_NONE && json_kind(value) != JSON_KIND_NULL;
}

bool json_bool(const struct json *value, bool *out)
{
    if (json_kind(value) != JSON_KIND_BOOL)
        return false;
    *out = json_is_true(tree(value));
    return true;
}

bool json_i64(const struct json *value, int64_t *out)
{
    if (json_kind(value) != JSON_KIND_INTEGER)
        return false;
    *out = json_integer_value(tree(value));
    return true;
}

bool json_u64(const struct json *value, uint64_t *out)
{
    int64_t v;
    if (!json_i64(value, &v) || v < 0)
        return false;
    *out = (uint64_t)v;
    return true;
}

bool json_f64(const struct json *value, double *out)
{
    if (json_kind(value) != JSON_KIND_INTEGER && json_kind(value) != JSON_KIND_REAL)
        return false;
    *out = json_number_value(tree(value));
    return true;
}

/* jansson's iterator wants a pointer it could change through; it does not. */
bool json_next(const struct json *object, struct json_pair *pair)
{
    if (json_kind(object) != JSON_KIND_OBJECT)
        return false;
    json_t *o = unconst(object);
    pair->at = pair->at == NULL ? json_object_iter(o) : json_object_iter_next(o, pair->at);
    if (pair->at == NULL)
        return false;
    pair->key = bytes_of(json_object_iter_key(pair->at), json_object_iter_key_len(pair->at));
    pair->value = view(json_object_iter_value(pair->at));
    return true;
}

struct appender {
    struct buf *to;
    err failed;
};

static int append(const char *part, size_t len, void *owner)
{
    struct appender *a = owner;
    a->failed = buf_add(a->to, bytes_of(part, len));
    return err_is_ok(a->failed) ? 0 : -1;
}

/* When no append failed, the walk itself did: it needs a little memory to look for loops. */
err json_write(struct buf *out, const struct json *value)
{
    ENSURE(value != NULL, INTERNAL);
    struct appender a = { .to = out };
    size_t before = out->len;
    if (json_dump_callback(tree(value), append, &a, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return OK;
    buf_truncate(out, before);
    TRY(a.failed);
    FAIL(NOMEM);
}

static void stick(struct json_out *j, err e)
{
    if (err_is_ok(j->failed))
        j->failed = e;
}

static void misuse(struct json_out *j)
{
    stick(j, err_raise(ERR_INTERNAL, __FILE__, __func__, __LINE__));
}

static bool in_array(const struct json_out *j)
{
    return j->depth > 0 && (j->arrays >> (j->depth - 1) & 1) != 0;
}

static bool in_object(const struct json_out *j)
{
    return j->depth > 0 && !in_array(j);
}

static void put(struct json_out *j, bytes raw)
{
    if (err_is_ok(j->failed))
        stick(j, buf_add(j->to, raw));
}

static void put_comma(struct json_out *j)
{
    if (j->comma)
        put(j, BYTES_LIT(","));
    j->comma = false;
}

void json_key(struct json_out *j, bytes key)
{
    if (!in_object(j) || j->keyed) {
        misuse(j);
        return;
    }
    put_comma(j);
    if (err_is_ok(j->failed))
        stick(j, text_json_quote(j->to, key));
    put(j, BYTES_LIT(":"));
    j->keyed = true;
}

/* What stands before each value: its key, or the comma behind the last. */
static void start(struct json_out *j, const char *key)
{
    if (key != NULL)
        json_key(j, bytes_str(key));
    if (j->keyed != in_object(j) || (j->depth == 0 && j->comma)) {
        misuse(j);
        return;
    }
    put_comma(j);
    j->keyed = false;
    j->comma = true;
}

static void begin(struct json_out *j, const char *key, bool array)
{
    start(j, key);
    if (j->depth == JSON_DEPTH_MAX) {
        stick(j, err_raise(ERR_LIMIT, __FILE__, __func__, __LINE__));
        return;
    }
    uint64_t bit = (uint64_t)1 << j->depth;
    j->arrays = array ? j->arrays | bit : j->arrays & ~bit;
    j->depth++;
    put(j, array ? BYTES_LIT("[") : BYTES_LIT("{"));
    j->comma = false;
}

void json_begin_object(struct json_out *j, const char *key)
{
    begin(j, key, false);
}

void json_begin_array(struct json_out *j, const char *key)
{
    begin(j, key, true);
}

void json_close(struct json_out *j)
{
    if (j->depth == 0 || j->keyed) {
        misuse(j);
        return;
    }
    put(j, in_array(j) ? BYTES_LIT("]") : BYTES_LIT("}"));
    j->depth--;
    j->comma = true;
}

void json_put_text(struct json_out *j, const char *key, bytes v)
{
    start(j, key);
    if (err_is_ok(j->failed))
        stick(j, text_json_quote(j->to, v));
}

void json_put_str(struct json_out *j, const char *key, const char *v)
{
    if (v == NULL)
        json_put_null(j, key);
    else
        json_put_text(j, key, bytes_str(v));
}

void json_put_u64(struct json_out *j, const char *key, uint64_t v)
{
    start(j, key);
    if (err_is_ok(j->failed))
        stick(j, buf_addf(j->to, "%llu", (unsigned long long)v));
}

void json_put_i64(struct json_out *j, const char *key, int64_t v)
{
    start(j, key);
    if (err_is_ok(j->failed))
        stick(j, buf_addf(j->to, "%lld", (long long)v));
}

/* The fewest digits that read back as the same number. */
void json_put_f64(struct json_out *j, const char *key, double v)
{
    char text[F64_TEXT_MAX];
    if (!isfinite(v)) {
        json_put_null(j, key);
        return;
    }
    for (int digits = F64_DIGITS_MIN; digits <= F64_DIGITS_MAX; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    start(j, key);
    put(j, bytes_str(text));
}

void json_put_bool(struct json_out *j, const char *key, bool v)
{
    start(j, key);
    put(j, v ? BYTES_LIT("true") : BYTES_LIT("false"));
}

void json_put_null(struct json_out *j, const char *key)
{
    start(j, key);
    put(j, BYTES_LIT("null"));
}

void json_put_hex(struct json_out *j, const char *key, bytes v)
{
    start(j, key);
    put(j, BYTES_LIT("\""));
    if (err_is_ok(j->failed))
        stick(j, text_hex_encode(j->to, v));
    put(j, BYTES_LIT("\""));
}

void json_put_raw(struct json_out *j, const char *key, bytes v)
{
    start(j, key);
    put(j, v);
}

err json_end(const struct json_out *j)
{
    TRY(j->failed);
    ENSURE(j->depth == 0 && !j->keyed && j->comma, INTERNAL);
    return OK;
}
