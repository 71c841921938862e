#include "attest/bundle.h"

#include "attest/claims.h"
#include "attest/map.h"
#include "crypto/hash.h"

_Static_assert((int)BUNDLE_DIGEST_LEN == (int)SHA256_LEN, "the digest is SHA-256");

#define AT(member) offsetof(struct bundle, member)

static const struct map_field fields[] = {
    { "nonce", MAP_BYTES, false, AT(nonce), BUNDLE_NONCE_MIN, BUNDLE_NONCE_MAX },
    { "claims", MAP_BYTES, false, AT(claims), 1, CLAIMS_MAX },
    { "version", MAP_UINT, false, AT(version), BUNDLE_VERSION, BUNDLE_VERSION },
    { "evidence", MAP_BYTES, false, AT(evidence), 1, BUNDLE_EVIDENCE_MAX },
    { "identity", MAP_BYTES, false, AT(identity), BUNDLE_IDENTITY_LEN, BUNDLE_IDENTITY_LEN },
    { "platform", MAP_NAME, false, AT(platform), 1, BUNDLE_PLATFORM_MAX },
    { "collateral", MAP_BYTES, true, AT(collateral), 1, BUNDLE_COLLATERAL_MAX },
    { "gpu_evidence", MAP_BYTES, true, AT(gpu_evidence), 1, BUNDLE_GPU_EVIDENCE_MAX },
    { "key_statement", MAP_BYTES, false, AT(key_statement), 1, BUNDLE_STATEMENT_MAX },
};

/* The key statement is last, so the evidence document is the table without its end. */
enum { BUNDLE_FIELDS = ARRAY_LEN(fields), DOCUMENT_FIELDS = BUNDLE_FIELDS - 1 };

err bundle_read(bytes in, struct bundle *out)
{
    ENSURE(in.len <= BUNDLE_MAX, LIMIT);
    return map_read(in, fields, BUNDLE_FIELDS, out, sizeof *out);
}

err bundle_write(struct buf *out, const struct bundle *b)
{
    return map_write(out, fields, BUNDLE_FIELDS, b);
}

err evidence_document_read(bytes in, struct bundle *out)
{
    ENSURE(in.len <= BUNDLE_MAX, LIMIT);
    return map_read(in, fields, DOCUMENT_FIELDS, out, sizeof *out);
}

err evidence_document_write(struct buf *out, const struct bundle *b)
{
    return map_write(out, fields, DOCUMENT_FIELDS, b);
}

err evidence_document_digest(const struct bundle *b, uint8_t out[static BUNDLE_DIGEST_LEN])
{
    BUF_AUTO document = BUF(BUNDLE_MAX);
    TRY(evidence_document_write(&document, b));
    sha256_of(buf_view(&document), out);
    return OK;
}

err bundle_join(struct buf *out, bytes evidence_document, bytes key_statement)
{
    struct bundle b;
    TRY(evidence_document_read(evidence_document, &b));
    b.key_statement = key_statement;
    return bundle_write(out, &b);
}
