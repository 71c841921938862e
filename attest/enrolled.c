#include "attest/enrolled.h"

#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

#define DOMAIN "mesh-llm-hardware-attestation-v1:"

enum { DEPTH_MAX = 4, FIELDS = 11, SIGNATURE_MAX = 80 };

enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_FLAG };

/* In the order in which they are hashed. */
static const struct {
    const char *name;
    enum field_kind kind;
} fields[FIELDS] = {
    { "chip_name", FIELD_TEXT },
    { "hardware_model", FIELD_TEXT },
    { "unified_memory_bytes", FIELD_NUMBER },
    { "sip_enabled", FIELD_FLAG },
    { "secure_boot_enabled", FIELD_FLAG },
    { "rdma_disabled", FIELD_FLAG },
    { "node_endpoint_id", FIELD_TEXT },
    { "inference_public_key", FIELD_TEXT },
    { "se_public_key", FIELD_TEXT },
    { "binary_hash", FIELD_TEXT },
    { "timestamp", FIELD_NUMBER },
};

struct run {
    const struct enrolled_query *query;
    struct json *root;
    const struct json *body;
    struct buf key;
    struct buf inference_key;
    struct buf signature;
    uint8_t digest[SHA256_LEN];
};

const char *enrolled_reason_word(enum enrolled_reason r)
{
    static const char *const words[] = {
#define X(name, word) [ENROLLED_##name] = (word),
        ENROLLED_REASON_LIST(X)
#undef X
    };
    return (size_t)r < ARRAY_LEN(words) ? words[r] : words[ENROLLED_UNCHECKED];
}

/* --- reading ----------------------------------------------------------------------------------- */

static void add_number(struct sha256 *h, uint64_t v, size_t len)
{
    uint8_t le[8];
    for (size_t i = 0; i < len; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    sha256_add(h, bytes_of(le, len));
}

static err add_field(struct sha256 *h, const struct json *value, enum field_kind kind)
{
    bytes text;
    uint64_t number;
    bool flag;
    switch (kind) {
    case FIELD_TEXT:
        ENSURE(json_text(value, &text) && text.len <= ENROLLED_TEXT_MAX, MALFORMED);
        add_number(h, text.len, 4);
        sha256_add(h, text);
        return OK;
    case FIELD_NUMBER:
        ENSURE(json_u64(value, &number), MALFORMED);
        add_number(h, number, 8);
        return OK;
    case FIELD_FLAG:
        ENSURE(json_bool(value, &flag), MALFORMED);
        add_number(h, flag, 1);
        return OK;
    }
    FAIL(INTERNAL);
}

/* The map is closed: a field that nobody signs must not be read. */
static err hash_fields(struct run *r)
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, BYTES_LIT(DOMAIN));
    ENSURE(json_len(r->body) == FIELDS, MALFORMED);
    for (size_t i = 0; i < FIELDS; i++)
        TRY(add_field(&h, json_get(r->body, fields[i].name), fields[i].kind));
    sha256_end(&h, r->digest);
    return OK;
}

static err take_base64(const struct json *object, const char *name, struct buf *out)
{
    bytes text;
    ENSURE(json_text(json_get(object, name), &text), MALFORMED);
    return text_base64_decode(out, text);
}

static err read_statement(struct run *r)
{
    ENSURE(r->query->statement.len <= ENROLLED_STATEMENT_MAX, LIMIT);
    TRY(json_read(&r->root, r->query->statement, DEPTH_MAX));
    ENSURE(json_len(r->root) == 2, MALFORMED);
    r->body = json_get(r->root, "attestation");
    TRY(hash_fields(r));
    TRY(take_base64(r->body, "se_public_key", &r->key));
    TRY(take_base64(r->body, "inference_public_key", &r->inference_key));
    return take_base64(r->root, "signature", &r->signature);
}

/* --- checks ------------------------------------------------------------------------------------ */

static bool is_listed(const bytes *list, size_t n, bytes value)
{
    bool found = false;
    for (size_t i = 0; i < n; i++)
        found = found || (list[i].len > 0 && secret_equal(list[i], value));
    return found;
}

static bool flag_is_set(const struct run *r, const char *name)
{
    bool flag;
    return json_bool(json_get(r->body, name), &flag) && flag;
}

static enum enrolled_reason check_time(const struct run *r)
{
    int64_t at, age;
    const struct enrolled_query *q = r->query;
    if (!json_i64(json_get(r->body, "timestamp"), &at) || __builtin_sub_overflow(q->at_s, at, &age))
        return ENROLLED_MALFORMED;
    if (age < -q->skew_s)
        return ENROLLED_FUTURE;
    return age <= q->max_age_s ? ENROLLED_OK : ENROLLED_STALE;
}

static enum enrolled_reason check_fields(const struct run *r)
{
    bytes binary = { 0 };
    const struct enrolled_query *q = r->query;
    enum enrolled_reason why = check_time(r);
    if (why != ENROLLED_OK)
        return why;
    if (!flag_is_set(r, "sip_enabled") || !flag_is_set(r, "secure_boot_enabled") ||
        !flag_is_set(r, "rdma_disabled"))
        return ENROLLED_SETTING;
    (void)json_text(json_get(r->body, "binary_hash"), &binary);
    if (!q->any_binary && !is_listed(q->binaries, q->binaries_n, binary))
        return ENROLLED_BINARY;
    bool same = q->inference_key.len == ENROLLED_INFERENCE_KEY_LEN &&
                secret_equal(q->inference_key, buf_view(&r->inference_key));
    return same ? ENROLLED_OK : ENROLLED_INFERENCE_KEY;
}

static bool take_hex(const struct run *r, const char *name, uint8_t *out, size_t len)
{
    bytes text = { 0 };
    BUF_AUTO value = BUF(len);
    (void)json_text(json_get(r->body, name), &text);
    if (!err_is_ok(text_hex_decode(&value, text)) || value.len != len)
        return false;
    memcpy(out, value.at, len);
    return true;
}

static void hand_out(const struct run *r, struct enrolled_said *out)
{
    out->has_binary = take_hex(r, "binary_hash", out->binary, sizeof out->binary);
    out->has_node = take_hex(r, "node_endpoint_id", out->node, sizeof out->node);
    (void)json_i64(json_get(r->body, "timestamp"), &out->at_s);
}

static err run_checks(struct run *r, enum enrolled_reason *why)
{
    err e = read_statement(r);
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    *why = ENROLLED_MALFORMED;
    if (!err_is_ok(e) || r->key.len != ENROLLED_KEY_LEN)
        return OK;
    *why = ENROLLED_KEY;
    if (!is_listed(r->query->keys, r->query->keys_n, buf_view(&r->key)))
        return OK;
    e = verify_ecdsa(EC_P256, buf_view(&r->key), BYTES_ARRAY(r->digest), buf_view(&r->signature),
                     ECDSA_DER);
    if (e.code == ERR_NOMEM)
        return e;
    *why = err_is_ok(e) ? check_fields(r) : ENROLLED_SIGNATURE;
    if (err_is_ok(e) && r->query->said != NULL)
        hand_out(r, r->query->said);
    return OK;
}

err enrolled_verify(const struct enrolled_query *query, enum enrolled_reason *out)
{
    struct run r = { .query = query,
                     .key = BUF(ENROLLED_TEXT_MAX),
                     .inference_key = BUF(ENROLLED_TEXT_MAX),
                     .signature = BUF(SIGNATURE_MAX) };
    *out = ENROLLED_UNCHECKED;
    if (query->said != NULL)
        *query->said = (struct enrolled_said){ 0 };
    err e = run_checks(&r, out);
    json_free(r.root);
    buf_clear(&r.key);
    buf_clear(&r.inference_key);
    buf_clear(&r.signature);
    return e;
}
