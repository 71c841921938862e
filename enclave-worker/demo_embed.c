#include "enclave-worker/demo_embed.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "enclave-worker/engine_demo.h"

enum { DIMENSIONS = 256, INPUT_LEN_MAX = 1024 * 1024 };

struct request {
    char model[DEMO_MODEL_MAX];
    const struct json *input;
    bool single; /* input is one text or one list of tokens */
    size_t inputs;
    size_t dimensions;
    bool base64;
    uint64_t tokens;
};

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t h, bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        h = (h ^ b.at[i]) * 0x100000001b3;
    return h;
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static uint64_t seed_of(const struct json *input)
{
    uint64_t h = 0xcbf29ce484222325;
    bytes text;
    int64_t token;
    if (json_text(input, &text))
        return hash_bytes(h, text);
    for (size_t i = 0; i < json_len(input); i++) {
        if (json_i64(json_at(input, i), &token))
            h = hash_bytes(h, bytes_of(&token, sizeof token));
    }
    return h;
}

static void fill(float *out, size_t n, uint64_t seed)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double v = (double)(next_random(&seed) >> 11) / (double)(1ULL << 52) - 1.0;
        out[i] = (float)v;
        sum += v * v;
    }
    double length = sqrt(sum);
    for (size_t i = 0; i < n && length > 0; i++)
        out[i] = (float)((double)out[i] / length);
}

static bool is_tokens(const struct json *v, struct request *q)
{
    int64_t token;
    for (size_t i = 0; i < json_len(v); i++) {
        if (!json_i64(json_at(v, i), &token))
            return false;
    }
    q->tokens += json_len(v);
    return json_kind(v) == JSON_KIND_ARRAY && json_len(v) > 0;
}

static bool take_one(const struct json *v, struct request *q, struct demo_fault *fault)
{
    bytes text;
    if (!json_text(v, &text))
        return is_tokens(v, q) || demo_blame(fault, ERROR_INVALID_TYPE, "input");
    if (text.len == 0 || text.len > INPUT_LEN_MAX)
        return demo_blame(fault, ERROR_INVALID_VALUE, "input");
    q->tokens += text.len / 4 + 1;
    return true;
}

static bool take_input(const struct json *root, struct request *q, struct demo_fault *fault)
{
    const struct json *input = json_get(root, "input");
    if (json_kind(input) <= JSON_KIND_NULL)
        return demo_blame(fault, ERROR_MISSING_FIELD, "input");
    q->input = input;
    q->inputs = 1;
    q->single =
        json_kind(input) != JSON_KIND_ARRAY || json_kind(json_at(input, 0)) == JSON_KIND_INTEGER;
    if (q->single)
        return take_one(input, q, fault);
    q->inputs = json_len(input);
    if (q->inputs == 0 || q->inputs > ENGINE_DEMO_INPUTS_MAX)
        return demo_blame(fault, ERROR_INVALID_VALUE, "input");
    for (size_t i = 0; i < q->inputs; i++) {
        if (!take_one(json_at(input, i), q, fault))
            return false;
    }
    return true;
}

static bool take_dimensions(const struct json *root, struct request *q, struct demo_fault *fault)
{
    const struct json *given = json_get(root, "dimensions");
    uint64_t n = DIMENSIONS;
    if (json_kind(given) > JSON_KIND_NULL && json_kind(given) != JSON_KIND_INTEGER)
        return demo_blame(fault, ERROR_INVALID_TYPE, "dimensions");
    if (json_kind(given) == JSON_KIND_INTEGER &&
        (!json_u64(given, &n) || n < 1 || n > ENGINE_DEMO_DIMENSIONS_MAX))
        return demo_blame(fault, ERROR_INVALID_VALUE, "dimensions");
    if (n * q->inputs > DEMO_VALUES_MAX)
        return demo_blame(fault, ERROR_INVALID_VALUE, "input");
    q->dimensions = n;
    return true;
}

static bool take_format(const struct json *root, struct request *q, struct demo_fault *fault)
{
    const struct json *given = json_get(root, "encoding_format");
    bytes word = BYTES_LIT("float");
    if (json_kind(given) > JSON_KIND_NULL && !json_text(given, &word))
        return demo_blame(fault, ERROR_INVALID_TYPE, "encoding_format");
    q->base64 = bytes_equal(word, BYTES_LIT("base64"));
    if (!q->base64 && !bytes_equal(word, BYTES_LIT("float")))
        return demo_blame(fault, ERROR_INVALID_VALUE, "encoding_format");
    return true;
}

static bool take(const struct json *root, struct request *q, struct demo_fault *fault)
{
    struct demo_ask ask = { 0 };
    if (!demo_ask_model(root, &ask, fault))
        return false;
    memcpy(q->model, ask.model, sizeof q->model);
    return take_input(root, q, fault) && take_dimensions(root, q, fault) &&
           take_format(root, q, fault);
}

/* Nine digits bring every float back exactly. */
static err write_floats(struct buf *out, const float *v, size_t n)
{
    TRY(buf_add_u8(out, '['));
    for (size_t i = 0; i < n; i++)
        TRY(buf_addf(out, i ? ",%.9g" : "%.9g", (double)v[i]));
    return buf_add_u8(out, ']');
}

/* Little-endian float32, as the SDKs decode it. */
static err write_base64(struct buf *out, const float *v, size_t n)
{
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(float) == 4, "as in memory");
    TRY(buf_add_u8(out, '"'));
    TRY(text_base64_encode(out, bytes_of(v, n * sizeof *v)));
    return buf_add_u8(out, '"');
}

/* `values` has room for q->dimensions. */
static err write_one(struct buf *out, const struct request *q, size_t i, float *values)
{
    fill(values, q->dimensions, seed_of(q->single ? q->input : json_at(q->input, i)));
    TRY(buf_addf(out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i));
    if (q->base64)
        TRY(write_base64(out, values, q->dimensions));
    else
        TRY(write_floats(out, values, q->dimensions));
    return buf_add_u8(out, '}');
}

static err write_all(struct buf *out, const struct request *q)
{
    float *values = mem_alloc_array(q->dimensions, sizeof *values);
    ENSURE(values != NULL, NOMEM);
    err e = buf_add_str(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < q->inputs && err_is_ok(e); i++)
        e = write_one(out, q, i, values);
    mem_free(values);
    TRY(e);
    return buf_addf(out,
                    "],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}",
                    q->model, (unsigned long long)q->tokens, (unsigned long long)q->tokens);
}

bool demo_embed(const struct json *root, struct buf *out, struct demo_fault *fault)
{
    struct request q = { 0 };
    if (!take(root, &q, fault))
        return false;
    return err_is_ok(write_all(out, &q)) || demo_blame(fault, ERROR_OVERLOADED, "");
}
