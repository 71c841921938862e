#include "attest/nvgpu_bundle.h"

#include "base/cbor.h"

#define NONCE_LABEL "sealgate/gpu-nonce/v1"

enum { KEYS = 3, ADDED_KEYS = 4, DEVICE_PARTS = 3 };

/* --- reading ----------------------------------------------------------------------------------- */

static err take_key(bytes *in, const char *wanted)
{
    bytes key;
    TRY(cbor_take_text(in, &key));
    ENSURE(bytes_equal(key, bytes_str(wanted)), MALFORMED);
    return OK;
}

/* Behind the *out that the list has. */
static err take_list(bytes *in, bytes *list, size_t most, size_t *out)
{
    uint64_t n;
    TRY(cbor_take_array(in, &n));
    ENSURE(n <= most - *out, LIMIT);
    for (uint64_t i = 0; i < n; i++) {
        TRY(cbor_take_bytes(in, &list[*out]));
        ENSURE(list[*out].len > 0, MALFORMED);
        ++*out;
    }
    return OK;
}

static err take_device(bytes *in, struct nvgpu_device *out)
{
    uint64_t n, kind;
    TRY(cbor_take_array(in, &n));
    ENSURE(n == DEVICE_PARTS, MALFORMED);
    TRY(cbor_take_uint(in, &kind));
    ENSURE(kind == NVGPU_GPU || kind == NVGPU_SWITCH, MALFORMED);
    out->kind = (enum nvgpu_kind)kind;
    TRY(cbor_take_bytes(in, &out->evidence));
    TRY(take_list(in, out->certs, NVGPU_CHAIN_MAX, &out->certs_n));
    ENSURE(out->evidence.len > 0 && out->certs_n > 0, MALFORMED);
    return OK;
}

static err take_lists(bytes *in, struct nvgpu_bundle *b)
{
    TRY(take_key(in, "ocsp"));
    TRY(take_list(in, b->ocsp, NVGPU_OCSP_MAX, &b->ocsp_n));
    TRY(take_key(in, "rims"));
    return take_list(in, b->rims, NVGPU_RIMS_MAX, &b->rims_n);
}

static err read_all(bytes in, struct nvgpu_bundle *b)
{
    uint64_t n;
    TRY(cbor_take_map(&in, &n));
    ENSURE(n == KEYS, MALFORMED);
    TRY(take_lists(&in, b));
    TRY(take_key(&in, "devices"));
    TRY(cbor_take_array(&in, &n));
    ENSURE(n > 0, MALFORMED);
    ENSURE(n <= NVGPU_DEVICES_MAX, LIMIT);
    while (b->devices_n < n)
        TRY(take_device(&in, &b->devices[b->devices_n++]));
    ENSURE(in.len == 0, MALFORMED);
    return OK;
}

err nvgpu_bundle_read(bytes in, struct nvgpu_bundle *out)
{
    *out = (struct nvgpu_bundle){ 0 };
    err e = read_all(in, out);
    if (!err_is_ok(e))
        *out = (struct nvgpu_bundle){ 0 };
    return e;
}

static err read_added(bytes in, struct nvgpu_bundle *b)
{
    uint64_t n;
    TRY(cbor_take_map(&in, &n));
    ENSURE(n == ADDED_KEYS, MALFORMED);
    TRY(take_key(&in, "jwks"));
    TRY(cbor_take_bytes(&in, &b->jwks));
    TRY(take_key(&in, "nras"));
    TRY(cbor_take_bytes(&in, &b->nras));
    TRY(take_lists(&in, b));
    ENSURE(in.len == 0, MALFORMED);
    return OK;
}

err nvgpu_collateral_add(bytes in, struct nvgpu_bundle *b)
{
    size_t ocsp_n = b->ocsp_n, rims_n = b->rims_n;
    bytes nras = b->nras, jwks = b->jwks;
    err e = read_added(in, b);
    if (!err_is_ok(e)) {
        b->ocsp_n = ocsp_n;
        b->rims_n = rims_n;
        b->nras = nras;
        b->jwks = jwks;
    }
    return e;
}

/* --- writing ----------------------------------------------------------------------------------- */

static err put_list(struct buf *out, const bytes *list, size_t n, size_t most)
{
    ENSURE(n <= most, LIMIT);
    TRY(cbor_put_array(out, n));
    for (size_t i = 0; i < n; i++) {
        ENSURE(list[i].len > 0, MALFORMED);
        TRY(cbor_put_bytes(out, list[i]));
    }
    return OK;
}

static err put_lists(struct buf *out, const struct nvgpu_bundle *b)
{
    TRY(cbor_put_text(out, BYTES_LIT("ocsp")));
    TRY(put_list(out, b->ocsp, b->ocsp_n, NVGPU_OCSP_MAX));
    TRY(cbor_put_text(out, BYTES_LIT("rims")));
    return put_list(out, b->rims, b->rims_n, NVGPU_RIMS_MAX);
}

static err put_device(struct buf *out, const struct nvgpu_device *d)
{
    ENSURE(d->kind == NVGPU_GPU || d->kind == NVGPU_SWITCH, MALFORMED);
    ENSURE(d->evidence.len > 0 && d->certs_n > 0, MALFORMED);
    TRY(cbor_put_array(out, DEVICE_PARTS));
    TRY(cbor_put_uint(out, (uint64_t)d->kind));
    TRY(cbor_put_bytes(out, d->evidence));
    return put_list(out, d->certs, d->certs_n, NVGPU_CHAIN_MAX);
}

err nvgpu_bundle_write(struct buf *out, const struct nvgpu_bundle *b)
{
    ENSURE(b->devices_n > 0, MALFORMED);
    ENSURE(b->devices_n <= NVGPU_DEVICES_MAX, LIMIT);
    TRY(cbor_put_map(out, KEYS));
    TRY(put_lists(out, b));
    TRY(cbor_put_text(out, BYTES_LIT("devices")));
    TRY(cbor_put_array(out, b->devices_n));
    for (size_t i = 0; i < b->devices_n; i++)
        TRY(put_device(out, &b->devices[i]));
    return OK;
}

err nvgpu_collateral_write(struct buf *out, const struct nvgpu_bundle *b)
{
    TRY(cbor_put_map(out, ADDED_KEYS));
    TRY(cbor_put_text(out, BYTES_LIT("jwks")));
    TRY(cbor_put_bytes(out, b->jwks));
    TRY(cbor_put_text(out, BYTES_LIT("nras")));
    TRY(cbor_put_bytes(out, b->nras));
    return put_lists(out, b);
}

/* --- nonce ------------------------------------------------------------------------------------- */

static void add_part(struct sha256 *h, bytes part)
{
    uint8_t len[4] = { (uint8_t)(part.len >> 24), (uint8_t)(part.len >> 16),
                       (uint8_t)(part.len >> 8), (uint8_t)part.len };
    sha256_add(h, BYTES_ARRAY(len));
    sha256_add(h, part);
}

void nvgpu_nonce(bytes nonce, bytes identity, uint8_t out[static NVGPU_NONCE_LEN])
{
    struct sha256 h;
    _Static_assert((int)NVGPU_NONCE_LEN == (int)SHA256_LEN, "a nonce is one SHA-256");
    sha256_init(&h);
    add_part(&h, BYTES_LIT(NONCE_LABEL));
    add_part(&h, nonce);
    add_part(&h, identity);
    sha256_end(&h, out);
}
