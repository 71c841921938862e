/*
 * attest/enrolled.h - a statement about a machine, signed by a P-256 key that was enrolled before, in
 * the manner of programs that keep it in Apple's Secure Enclave (Mesh-LLM, se_attestation.rs).
 *
 * THIS IS NO HARDWARE EVIDENCE. Nothing ties the key to a Secure Enclave: the statement proves that
 * somebody holds a key that was enrolled, and every field is the word of the software that signed
 * it. So only enrolled keys count, the trust level is below hardware, and no policy that asks for a
 * TEE is met by it.
 *
 * JSON {"attestation": {fields below}, "signature": base64 of a DER ECDSA signature}. Signed, with
 * SHA-256, is the digest
 *
 *     SHA-256( domain f(chip_name) f(hardware_model) u64(unified_memory_bytes) b(sip_enabled)
 *              b(secure_boot_enabled) b(rdma_disabled) f(node_endpoint_id) f(inference_public_key)
 *              f(se_public_key) f(binary_hash) u64(timestamp) )
 *     domain = "mesh-llm-hardware-attestation-v1:"
 *     f(x) = length as four bytes, little endian, then x as it stands in the JSON; u64 little endian;
 *     b one byte, 0 or 1
 *
 * so the message is hashed twice. The form is after a description of that program, not after a
 * recorded statement: there is none at hand.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum {
    ENROLLED_STATEMENT_MAX = 16 * 1024,
    ENROLLED_TEXT_MAX = 1024,
    ENROLLED_KEY_LEN = 65, /* uncompressed point */
    ENROLLED_INFERENCE_KEY_LEN = 32,
    ENROLLED_BINARY_LEN = 32,
    ENROLLED_NODE_LEN = 64
};

#define ENROLLED_REASON_LIST(X)                                                                    \
    X(UNCHECKED, "unchecked")                                                                      \
    X(OK, "ok")                                                                                    \
    X(MALFORMED, "malformed")                                                                      \
    X(KEY, "key") /* not an enrolled one */                                                        \
    X(SIGNATURE, "signature")                                                                      \
    X(STALE, "stale")                                                                              \
    X(FUTURE, "future")                                                                            \
    X(SETTING, "setting") /* SIP, secure boot or RDMA is not as it should be */                    \
    X(BINARY, "binary-hash")                                                                       \
    X(INFERENCE_KEY, "inference-key")

enum enrolled_reason {
#define X(name, word) ENROLLED_##name,
    ENROLLED_REASON_LIST(X)
#undef X
};

const char *enrolled_reason_word(enum enrolled_reason r);

/* What a statement says, for whoever compares it himself: zero unless an enrolled key signed it. */
struct enrolled_said {
    bool has_binary; /* binary_hash is 64 hex digits */
    bool has_node;   /* node_endpoint_id is 128 hex digits */
    uint8_t binary[ENROLLED_BINARY_LEN];
    uint8_t node[ENROLLED_NODE_LEN];
    int64_t at_s;
};

struct enrolled_query {
    bytes statement;
    const bytes *keys; /* enrolled points of ENROLLED_KEY_LEN bytes; none: nothing is accepted */
    size_t keys_n;
    const bytes *binaries; /* acceptable values of binary_hash; none: nothing is accepted */
    size_t binaries_n;
    bool any_binary;     /* whoever asks compares it */
    bytes inference_key; /* the one expected, ENROLLED_INFERENCE_KEY_LEN bytes */
    int64_t at_s;        /* Unix seconds */
    int64_t max_age_s;
    int64_t skew_s;
    struct enrolled_said *said; /* NULL: not wanted */
};

/* *out is ENROLLED_OK only when all of it holds. An err is for memory only. */
err enrolled_verify(const struct enrolled_query *query, enum enrolled_reason *out);
