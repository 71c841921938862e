/*
 * crypto/cose.h - COSE_Sign1 (RFC 9052 section 4.2): its shape, and what is signed.
 *
 * What the header parameters and the payload mean is for the caller; it must look at the protected
 * map before it trusts a signature. Signatures cover the received bytes, never bytes encoded again.
 */
#pragma once

#include "base/buf.h"
#include "crypto/sign.h"

enum { COSE_HEADERS_MAX = 16 /* entries of one header map */ };

/* Borrowed from the input. */
struct cose_sign1 {
    bytes protected_map;   /* the content of the byte string: one map, or nothing */
    bytes unprotected_map; /* with its head: a0 when empty */
    bytes payload;         /* .at == NULL: nil, carried elsewhere */
    bytes signature;
};

/* Tag 18 in its one-byte form is mandatory; array of four; nothing behind; the CBOR of base/cbor
 * only. ERR_MALFORMED, also when a header label comes twice or is neither integer nor text, or
 * ERR_TRUNCATED. ERR_LIMIT: over COSE_HEADERS_MAX, or nested too deeply. Checks no signature. */
err cose_sign1_read(bytes in, struct cose_sign1 *out);

/* The same for the form without a tag, as enclave hardware writes it. */
err cose_sign1_read_untagged(bytes in, struct cose_sign1 *out);

/* Appends the tagged form. An empty unprotected_map is written as a0. */
err cose_sign1_put(struct buf *out, const struct cose_sign1 *c);

/* Signs and appends: empty unprotected map, empty external data. protected_map is an encoded map. */
err cose_sign1_write(struct buf *out, bytes protected_map, bytes payload,
                     const struct signing_key *key);

/* Appends what is signed: ["Signature1", protected, external, payload]. */
err cose_sign1_tbs(struct buf *out, bytes protected_map, bytes external, bytes payload);

/* Empty external data. ERR_CRYPTO when it does not verify, or has no payload. Says nothing about
 * the algorithm that the header names. */
err cose_sign1_verify_ed25519(const struct cose_sign1 *c, bytes pk);
err cose_sign1_verify_ecdsa(const struct cose_sign1 *c, enum ec_curve curve, bytes pk);
