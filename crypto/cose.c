#include "crypto/cose.h"

#include "base/cbor.h"

enum {
    COSE_TAG_SIGN1 = 18,
    COSE_PARTS = 4,
    COSE_NIL = 22,     /* CBOR null */
    TBS_HEADS_MAX = 64 /* heads of four items, and the context string */
};

/* Labels are integers or text, each once; the values are anybody's. */
static err headers_check(bytes map)
{
    bytes labels[COSE_HEADERS_MAX], rest = map, value;
    uint64_t n;
    TRY(cbor_take_map(&rest, &n));
    ENSURE(n <= COSE_HEADERS_MAX, LIMIT);
    for (size_t i = 0; i < n; i++) {
        struct cbor_item label;
        bytes at = rest;
        TRY(cbor_take(&at, &label));
        ENSURE(label.kind == CBOR_UINT || label.kind == CBOR_NINT || label.kind == CBOR_TEXT,
               MALFORMED);
        TRY(cbor_take_raw(&rest, &labels[i]));
        TRY(cbor_take_raw(&rest, &value));
        for (size_t j = 0; j < i; j++)
            ENSURE(!bytes_equal(labels[j], labels[i]), MALFORMED);
    }
    ENSURE(rest.len == 0, MALFORMED);
    return OK;
}

static err take_payload(bytes *in, bytes *out)
{
    struct cbor_item item;
    TRY(cbor_take(in, &item));
    bool nil = item.kind == CBOR_SIMPLE && item.value == COSE_NIL;
    ENSURE(nil || item.kind == CBOR_BYTES, MALFORMED);
    *out = nil ? (bytes){ 0 } : item.body;
    return OK;
}

err cose_sign1_read_untagged(bytes in, struct cose_sign1 *out)
{
    struct cose_sign1 c;
    uint64_t n;
    TRY(cbor_take_array(&in, &n));
    ENSURE(n == COSE_PARTS, MALFORMED);
    TRY(cbor_take_bytes(&in, &c.protected_map));
    if (c.protected_map.len > 0)
        TRY(headers_check(c.protected_map));
    TRY(cbor_take_raw(&in, &c.unprotected_map));
    TRY(headers_check(c.unprotected_map));
    TRY(take_payload(&in, &c.payload));
    TRY(cbor_take_bytes(&in, &c.signature));
    ENSURE(in.len == 0, MALFORMED);
    *out = c;
    return OK;
}

err cose_sign1_read(bytes in, struct cose_sign1 *out)
{
    uint64_t tag;
    TRY(cbor_take_tag(&in, &tag));
    ENSURE(tag == COSE_TAG_SIGN1, MALFORMED);
    return cose_sign1_read_untagged(in, out);
}

err cose_sign1_put(struct buf *out, const struct cose_sign1 *c)
{
    TRY(cbor_put_tag(out, COSE_TAG_SIGN1));
    TRY(cbor_put_array(out, COSE_PARTS));
    TRY(cbor_put_bytes(out, c->protected_map));
    if (c->unprotected_map.len > 0)
        TRY(buf_add(out, c->unprotected_map));
    else
        TRY(cbor_put_map(out, 0));
    if (c->payload.at != NULL)
        TRY(cbor_put_bytes(out, c->payload));
    else
        TRY(cbor_put_null(out));
    return cbor_put_bytes(out, c->signature);
}

//= rfc9052#section-4.4
//# Create the value ToBeSigned by encoding the Sig_structure to a byte string
err cose_sign1_tbs(struct buf *out, bytes protected_map, bytes external, bytes payload)
{
    TRY(cbor_put_array(out, 4));
    TRY(cbor_put_text(out, BYTES_LIT("Signature1")));
    TRY(cbor_put_bytes(out, protected_map));
    TRY(cbor_put_bytes(out, external));
    return cbor_put_bytes(out, payload);
}

static size_t tbs_max(bytes protected_map, bytes payload)
{
    return TBS_HEADS_MAX + protected_map.len + payload.len;
}

err cose_sign1_write(struct buf *out, bytes protected_map, bytes payload,
                     const struct signing_key *key)
{
    uint8_t sig[ED25519_SIG_LEN];
    BUF_AUTO tbs = BUF(tbs_max(protected_map, payload));
    TRY(cose_sign1_tbs(&tbs, protected_map, (bytes){ 0 }, payload));
    TRY(sign_ed25519(key, buf_view(&tbs), sig));
    const struct cose_sign1 c = {
        .protected_map = protected_map,
        .payload = payload.at != NULL ? payload : bytes_of(sig, 0), /* empty, and not nil */
        .signature = BYTES_ARRAY(sig),
    };
    return cose_sign1_put(out, &c);
}

static err tbs_of(const struct cose_sign1 *c, struct buf *tbs)
{
    ENSURE(c->payload.at != NULL, CRYPTO);
    return cose_sign1_tbs(tbs, c->protected_map, (bytes){ 0 }, c->payload);
}

err cose_sign1_verify_ed25519(const struct cose_sign1 *c, bytes pk)
{
    BUF_AUTO tbs = BUF(tbs_max(c->protected_map, c->payload));
    TRY(tbs_of(c, &tbs));
    return verify_ed25519(pk, buf_view(&tbs), c->signature);
}

err cose_sign1_verify_ecdsa(const struct cose_sign1 *c, enum ec_curve curve, bytes pk)
{
    BUF_AUTO tbs = BUF(tbs_max(c->protected_map, c->payload));
    TRY(tbs_of(c, &tbs));
    return verify_ecdsa(curve, pk, buf_view(&tbs), c->signature, ECDSA_RAW);
}
