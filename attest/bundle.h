/*
 * attest/bundle.h - the attestation bundle, and the evidence document that receipts refer to.
 *
 * A bundle is a deterministic CBOR map, at most 1 MiB, text keys in this order:
 *
 *     "nonce"          bytes 16..64     what the verifier sent
 *     "claims"         bytes 1..2048    the encoded deployment claims (attest/claims.h)
 *     "version"        uint  1
 *     "evidence"       bytes 1..64 KiB  the platform's own document
 *     "identity"       bytes 32         Ed25519 public key made inside the TEE
 *     "platform"       name  1..32      "simulated", ...
 *     "collateral"     bytes 1..768 KiB optional; what the vendor publishes to check it with
 *     "gpu_evidence"   bytes 1..160 KiB optional
 *     "key_statement"  bytes 1..16 KiB  COSE_Sign1 by the identity (attest/statement.h)
 *
 * The EVIDENCE DOCUMENT is the same map without "key_statement". It is what a worker serves at
 * GET /attestation/{sha256} and what the receipts' attestation_doc_hash is the SHA-256 of. It says
 * by itself which identity the evidence binds, so a receipt's signing key can be checked offline,
 * and it stays the same when the sealing keys rotate. Both forms have one encoding, so a bundle
 * minus its statement, written again, is that document byte for byte.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum {
    BUNDLE_VERSION = 1, /* frozen */
    BUNDLE_MAX = 1024 * 1024,
    BUNDLE_NONCE_MIN = 16,
    BUNDLE_NONCE_MAX = 64,
    BUNDLE_IDENTITY_LEN = 32,
    BUNDLE_PLATFORM_MAX = 32,
    BUNDLE_EVIDENCE_MAX = 64 * 1024,
    BUNDLE_COLLATERAL_MAX = 768 * 1024,
    BUNDLE_GPU_EVIDENCE_MAX = 160 * 1024,
    BUNDLE_STATEMENT_MAX = 16 * 1024,
    BUNDLE_DIGEST_LEN = 32
};

/* All borrowed. In an evidence document key_statement is empty. */
struct bundle {
    bytes nonce;
    bytes claims;
    uint64_t version;
    bytes evidence;
    bytes identity;
    bytes platform;
    bytes collateral;
    bytes gpu_evidence;
    bytes key_statement;
};

/* The claims inside are not looked into here. */
err bundle_read(bytes in, struct bundle *out);
err bundle_write(struct buf *out, const struct bundle *b);

/* The same without the key statement, which is ignored when writing. */
err evidence_document_read(bytes in, struct bundle *out);
err evidence_document_write(struct buf *out, const struct bundle *b);

/* SHA-256 of the evidence document of this bundle. */
err evidence_document_digest(const struct bundle *b, uint8_t out[static BUNDLE_DIGEST_LEN]);

/* Appends the bundle made of an evidence document and a key statement: for a worker that keeps one
 * quote and signs new statements as its sealing keys rotate. */
err bundle_join(struct buf *out, bytes evidence_document, bytes key_statement);
