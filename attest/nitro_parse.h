/*
 * attest/nitro_parse.h - an AWS Nitro attestation document: bytes to struct, nothing proved.
 *
 * COSE_Sign1 without a tag: array(4) of protected {1: -35 (ES384)}, unprotected {}, payload and a
 * signature of 96 bytes. The payload is a CBOR map with text keys, of definite length in documents
 * up to 2025 and of indefinite length in later ones; nothing else may be encoded in two ways.
 *
 * Choices where others are possible: a tag, an outer array or payload of indefinite length and heads
 * that are longer than needed are refused, since no hardware writes them. So are unprotected headers
 * (nobody signs them), PCRs that are not SHA-384, an empty public_key (no key is bound by it), and
 * more than NITRO_CABUNDLE_MAX certificates. A map key that is not known is skipped: it is signed,
 * and later hardware may have more to say. The three optional fields may be up to 1024 bytes,
 * which the hardware accepts, although the published text says 512 for two of them.
 */
#pragma once

#include <stdint.h>

#include "crypto/cose.h"

enum {
    NITRO_DOCUMENT_MAX = 16 * 1024,
    NITRO_PCRS_MAX = 32,
    NITRO_PCR_LEN = 48,
    NITRO_CABUNDLE_MAX = 9,
    NITRO_FIELD_MAX = 1024, /* public_key, user_data, nonce */
    NITRO_MODULE_ID_MAX = 256,
    NITRO_KEYS_MAX = 32 /* of the payload's map */
};

/* Why a document is refused: one word each, which stays as it is. */
#define NITRO_REASON_LIST(X)                                                                       \
    X(UNCHECKED, "unchecked")                                                                      \
    X(OK, "ok")                                                                                    \
    X(MALFORMED, "malformed")                                                                      \
    X(ALGORITHM, "algorithm")                                                                      \
    X(UNPROTECTED, "unprotected")                                                                  \
    X(DUPLICATE_KEY, "duplicate-key")                                                              \
    X(MISSING_MODULE_ID, "missing-module_id")                                                      \
    X(MISSING_DIGEST, "missing-digest")                                                            \
    X(MISSING_TIMESTAMP, "missing-timestamp")                                                      \
    X(MISSING_PCRS, "missing-pcrs")                                                                \
    X(MISSING_CERTIFICATE, "missing-certificate")                                                  \
    X(MISSING_CABUNDLE, "missing-cabundle")                                                        \
    X(MODULE_ID, "module_id")                                                                      \
    X(DIGEST, "digest")                                                                            \
    X(TIMESTAMP, "timestamp")                                                                      \
    X(PCRS, "pcrs")                                                                                \
    X(CERTIFICATE, "certificate")                                                                  \
    X(CABUNDLE, "cabundle")                                                                        \
    X(PUBLIC_KEY, "public-key")                                                                    \
    X(USER_DATA, "user-data")                                                                      \
    X(NONCE, "nonce")                                                                              \
    X(UNTRUSTED_ROOT, "untrusted-root")                                                            \
    X(LEAF_SIGNATURE, "leaf-signature")                                                            \
    X(CHAIN_SIGNATURE, "chain-signature")                                                          \
    X(CHAIN, "chain")                                                                              \
    X(TIME, "time")                                                                                \
    X(COSE_SIGNATURE, "cose-signature")                                                            \
    X(DEBUG_MODE, "debug-mode")                                                                    \
    X(MEASUREMENT, "measurement")                                                                  \
    X(STALE, "stale")                                                                              \
    X(FUTURE, "future")

enum nitro_reason {
#define X(name, word) NITRO_##name,
    NITRO_REASON_LIST(X)
#undef X
};

const char *nitro_reason_word(enum nitro_reason r);

/* A field that may be absent or null, which are the same and differ from empty. */
struct nitro_field {
    bool present;
    bytes value;
};

/* All borrowed from the document. */
struct nitro_doc {
    struct cose_sign1 cose;
    bytes module_id;
    bytes digest;
    uint64_t timestamp_ms;
    bytes pcrs[NITRO_PCRS_MAX]; /* empty: not in the document */
    bytes certificate;          /* DER; the leaf */
    bytes cabundle[NITRO_CABUNDLE_MAX];
    size_t cabundle_n;
    struct nitro_field public_key;
    struct nitro_field user_data;
    struct nitro_field nonce;
};

/* NITRO_OK, or why not; *out is then zero. Certificates are not looked into. */
enum nitro_reason nitro_parse(bytes in, struct nitro_doc *out);
