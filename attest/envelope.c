#include "attest/envelope.h"

#include "base/cbor.h"

enum { HEADER_MAX = ENVELOPE_TYPE_MAX + 16, LABEL_ALG = 1, LABEL_CONTENT_TYPE = 3, ALG_EDDSA = -8 };

static err put_header(struct buf *out, const char *content_type)
{
    ENSURE(strlen(content_type) <= ENVELOPE_TYPE_MAX, LIMIT);
    TRY(cbor_put_map(out, 2));
    TRY(cbor_put_uint(out, LABEL_ALG));
    TRY(cbor_put_int(out, ALG_EDDSA));
    TRY(cbor_put_uint(out, LABEL_CONTENT_TYPE));
    return cbor_put_text(out, bytes_str(content_type));
}

err envelope_write(struct buf *out, const char *content_type, bytes payload,
                   const struct signing_key *key)
{
    BUF_AUTO header = BUF(HEADER_MAX);
    TRY(put_header(&header, content_type));
    return cose_sign1_write(out, buf_view(&header), payload, key);
}

err envelope_read(bytes in, const char *content_type, struct cose_sign1 *out)
{
    static const uint8_t empty_map[] = { 0xa0 };
    BUF_AUTO header = BUF(HEADER_MAX);
    TRY(put_header(&header, content_type));
    TRY(cose_sign1_read(in, out));
    ENSURE(bytes_equal(out->protected_map, buf_view(&header)), UNSUPPORTED);
    ENSURE(bytes_equal(out->unprotected_map, BYTES_ARRAY(empty_map)), MALFORMED);
    ENSURE(out->payload.len > 0, MALFORMED);
    ENSURE(out->signature.len == ED25519_SIG_LEN, MALFORMED);
    return OK;
}
