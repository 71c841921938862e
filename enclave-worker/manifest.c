#include "enclave-worker/manifest.h"

#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"

enum { ID_MAX = 256, VERSION_MAX = 128, SCHEME_MAX = 64, DEPTH_MAX = 16 };

static err refuse(struct buf *message, const char *what)
{
    TRY(buf_add_str(message, what));
    FAIL(CONFIG);
}

static err take_text(const struct json *root, const char *key, struct buf *to)
{
    bytes v;
    ENSURE(json_text(json_get(root, key), &v) && v.len > 0, CONFIG);
    return buf_add(to, v);
}

static bool is_scheme(bytes v)
{
    return bytes_equal(v, BYTES_LIT("sha256-single")) ||
           bytes_equal(v, BYTES_LIT("sha256-concat")) ||
           bytes_equal(v, BYTES_LIT("sha256-manifest"));
}

static err take_hash(const struct json *root, uint8_t out[static MANIFEST_HASH_LEN])
{
    BUF_AUTO raw = BUF(MANIFEST_HASH_LEN);
    bytes hex;
    ENSURE(json_text(json_get(root, "model_hash"), &hex), CONFIG);
    TRY(text_hex_decode(&raw, hex));
    ENSURE(raw.len == MANIFEST_HASH_LEN, CONFIG);
    memcpy(out, raw.at, MANIFEST_HASH_LEN);
    return OK;
}

static err fill(struct manifest *m, const struct json *root, struct buf *message)
{
    if (take_text(root, "model_id", &m->model_id).code != ERR_OK)
        return refuse(message, "model_id must be a text of 1 to 256 bytes");
    if (take_text(root, "model_version", &m->model_version).code != ERR_OK)
        return refuse(message, "model_version must be a text of 1 to 128 bytes");
    if (take_text(root, "model_hash_scheme", &m->scheme).code != ERR_OK ||
        !is_scheme(buf_view(&m->scheme)))
        return refuse(message,
                      "model_hash_scheme must be sha256-single, sha256-concat or "
                      "sha256-manifest");
    if (take_hash(root, m->model_hash).code != ERR_OK)
        return refuse(message, "model_hash must be 64 hex digits: the SHA-256 of the weights");
    m->present = true;
    return OK;
}

err manifest_read(struct manifest *out, bytes text, struct buf *message)
{
    struct json *root = NULL;
    *out = (struct manifest){ .model_id = BUF(ID_MAX),
                              .model_version = BUF(VERSION_MAX),
                              .scheme = BUF(SCHEME_MAX) };
    if (text.len > MANIFEST_MAX || json_read(&root, text, DEPTH_MAX).code != ERR_OK)
        return refuse(message, "the manifest is not a JSON object of at most 256 KiB");
    err e = fill(out, root, message);
    json_free(root);
    if (e.code != ERR_OK) {
        manifest_clear(out);
        return e;
    }
    sha256_of(text, out->digest);
    return OK;
}

void manifest_clear(struct manifest *m)
{
    buf_clear(&m->model_id);
    buf_clear(&m->model_version);
    buf_clear(&m->scheme);
    *m = (struct manifest){ 0 };
}
