#include "attest/azure_hcl_parse.h"

#include "base/json.h"
#include "base/text.h"

enum {
    HEADER_LEN = 32,
    RUNTIME_AT = HEADER_LEN + SNP_REPORT_LEN,
    RUNTIME_HEADER_LEN = 20,
    REQUEST_TYPE = 2
};

static uint32_t u32le(bytes in, size_t at)
{
    const uint8_t *p = in.at + at;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static err read_header(bytes in, struct azure_hcl *out)
{
    ENSURE(in.len <= AZURE_HCL_MAX, LIMIT);
    ENSURE(in.len >= (size_t)RUNTIME_AT + RUNTIME_HEADER_LEN, TRUNCATED);
    ENSURE(bytes_starts(in, BYTES_LIT("HCLA")), MALFORMED);
    out->version = u32le(in, 4);
    ENSURE(out->version == 1 || out->version == 2, UNSUPPORTED);
    ENSURE(u32le(in, 12) == REQUEST_TYPE, UNSUPPORTED);
    out->report = bytes_slice(in, HEADER_LEN, SNP_REPORT_LEN);
    return OK;
}

static err read_runtime(bytes in, struct azure_hcl *out)
{
    size_t whole = u32le(in, RUNTIME_AT);
    size_t json = u32le(in, RUNTIME_AT + 16);
    ENSURE(u32le(in, RUNTIME_AT + 4) == 1, UNSUPPORTED);
    out->report_type = u32le(in, RUNTIME_AT + 8);
    out->hash_type = u32le(in, RUNTIME_AT + 12);
    ENSURE(json > 0 && json <= AZURE_JSON_MAX, LIMIT);
    ENSURE(whole == json + RUNTIME_HEADER_LEN, MALFORMED);
    ENSURE(u32le(in, 8) == RUNTIME_AT + whole, MALFORMED);
    ENSURE(in.len >= RUNTIME_AT + whole, TRUNCATED);
    out->json = bytes_slice(in, RUNTIME_AT + RUNTIME_HEADER_LEN, json);
    return OK;
}

static err read_all(bytes in, struct azure_hcl *out)
{
    TRY(read_header(in, out));
    return read_runtime(in, out);
}

err azure_hcl_read(bytes in, struct azure_hcl *out)
{
    *out = (struct azure_hcl){ 0 };
    err e = read_all(in, out);
    if (!err_is_ok(e))
        *out = (struct azure_hcl){ 0 };
    return e;
}

/* --- the runtime data ------------------------------------------------------------------------ */

static bool is_text(const struct json *value, const char *text)
{
    bytes have;
    return json_text(value, &have) && bytes_equal(have, bytes_str(text));
}

static err read_number(const struct json *key, const char *name, struct buf *out)
{
    bytes text;
    ENSURE(json_text(json_get(key, name), &text), MALFORMED);
    err e = text_base64url_decode(out, text);
    ENSURE(err_is_ok(e) || e.code == ERR_NOMEM, MALFORMED);
    return e;
}

/* The one key of that name. */
static err find_ak(const struct json *keys, const struct json **out)
{
    ENSURE(json_kind(keys) == JSON_KIND_ARRAY, MALFORMED);
    for (size_t i = 0; i < json_len(keys); i++) {
        const struct json *key = json_at(keys, i);
        if (!is_text(json_get(key, "kid"), "HCLAkPub"))
            continue;
        ENSURE(*out == NULL, MALFORMED);
        *out = key;
    }
    ENSURE(*out != NULL, MALFORMED);
    return OK;
}

static err read_ak(const struct json *root, struct azure_runtime *out)
{
    const struct json *ak = NULL;
    TRY(find_ak(json_get(root, "keys"), &ak));
    ENSURE(is_text(json_get(ak, "kty"), "RSA"), MALFORMED);
    TRY(read_number(ak, "n", &out->ak_n));
    return read_number(ak, "e", &out->ak_e);
}

static err read_user_data(const struct json *root, struct azure_runtime *out)
{
    BUF_AUTO data = BUF(AZURE_USER_DATA_LEN);
    bytes text;
    ENSURE(json_text(json_get(root, "user-data"), &text), MALFORMED);
    err e = text_hex_decode(&data, text);
    ENSURE(err_is_ok(e) || e.code == ERR_NOMEM, MALFORMED);
    TRY(e);
    ENSURE(data.len == AZURE_USER_DATA_LEN, MALFORMED);
    memcpy(out->user_data, data.at, AZURE_USER_DATA_LEN);
    return OK;
}

static err read_settings(const struct json *root, struct azure_runtime *out)
{
    const struct json *vm = json_get(root, "vm-configuration");
    ENSURE(json_kind(root) == JSON_KIND_OBJECT && json_kind(vm) == JSON_KIND_OBJECT, MALFORMED);
    (void)json_bool(json_get(vm, "secure-boot"), &out->secure_boot);
    (void)json_bool(json_get(vm, "tpm-enabled"), &out->tpm_enabled);
    return OK;
}

static err read_tree(const struct json *root, struct azure_runtime *out)
{
    TRY(read_settings(root, out));
    TRY(read_ak(root, out));
    return read_user_data(root, out);
}

err azure_runtime_read(bytes json, struct azure_runtime *out)
{
    struct json *root = NULL;
    *out = (struct azure_runtime){ .ak_n = BUF(AZURE_RSA_MAX), .ak_e = BUF(AZURE_RSA_MAX) };
    ENSURE(json.len <= AZURE_JSON_MAX, LIMIT);
    err e = json_read(&root, json, AZURE_JSON_DEPTH);
    ENSURE(err_is_ok(e) || e.code == ERR_NOMEM, MALFORMED);
    TRY(e);
    e = read_tree(root, out);
    json_free(root);
    return e;
}

void azure_runtime_clear(struct azure_runtime *r)
{
    buf_clear(&r->ak_n);
    buf_clear(&r->ak_e);
    *r = (struct azure_runtime){ 0 };
}
