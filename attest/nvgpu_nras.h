/*
 * attest/nvgpu_nras.h - answers of NVIDIA's Remote Attestation Service: signed tokens about GPUs.
 *
 * The answer is [["JWT", overall], {"GPU-0": token, ...}] (a detached EAT). The overall token names
 * each device token by its SHA-256, and the same service signs both. A second opinion: who trusts it
 * lets NVIDIA's service decide, and keys that came over the network are as good as that connection.
 *
 * Choices: eat_nonce is one text and is compared as bytes, so in either case of hex; an array is
 * refused, since the service sends none. A warning is refused. A token that brings a key is refused.
 * Of the service's own findings those that a good answer always has are looked at again: nonce,
 * signature, architecture, FWID, and the state of each certificate chain.
 */
#pragma once

#include "crypto/jws.h"

#define NRAS_SERVICE "https://nras.attestation.nvidia.com"

enum { NRAS_ANSWER_MAX = 256 * 1024, NRAS_DEVICES_MAX = 16, NRAS_NONCE_LEN = 32 };

/* One word each, which stays as it is. */
#define NRAS_REASON_LIST(X)                                                                        \
    X(UNCHECKED, "unchecked")                                                                      \
    X(OK, "ok")                                                                                    \
    X(MALFORMED, "malformed")                                                                      \
    X(ALG, "alg")                                                                                  \
    X(CRIT, "crit")                                                                                \
    X(OWN_KEY, "key")                                                                              \
    X(KID, "kid")                                                                                  \
    X(JWKS, "jwks")                                                                                \
    X(SIGNATURE, "signature")                                                                      \
    X(ISSUER, "issuer")                                                                            \
    X(NBF, "nbf")                                                                                  \
    X(EXP, "exp")                                                                                  \
    X(NONCE, "nonce")                                                                              \
    X(OVERALL_MISSING, "overall-missing")                                                          \
    X(OVERALL_FALSE, "overall-false")                                                              \
    X(SUBMODS, "submods")                                                                          \
    X(DIGEST, "digest")                                                                            \
    X(MEASRES, "measres")                                                                          \
    X(SECBOOT, "secboot")                                                                          \
    X(DBGSTAT, "dbgstat")                                                                          \
    X(HWMODEL, "hwmodel")                                                                          \
    X(REVOKED, "revoked")                                                                          \
    X(WARNING, "warning")                                                                          \
    X(DUPLICATE_DEVICE, "duplicate-device")                                                        \
    X(COUNT, "count")

enum nras_reason {
#define X(name, word) NRAS_##name,
    NRAS_REASON_LIST(X)
#undef X
};

const char *nras_reason_word(enum nras_reason r);

struct nras_query {
    bytes answer; /* JSON as received */
    bytes jwks;   /* JSON, from whoever is trusted with it */
    bytes issuer; /* compared in full */
    bytes nonce;  /* NRAS_NONCE_LEN, as it was sent */
    int64_t at_s; /* Unix seconds */
    size_t expected_gpus;
    const bytes *models; /* what hwmodel may start with; models_n 0: not asked */
    size_t models_n;
};

struct nras_device {
    bytes name; /* borrowed from the answer's tree */
    struct jws *token;
};

/* Zero is refused. */
struct nras_result {
    enum nras_reason reason;
    bytes subject; /* the device it was found at; empty: the whole */
    struct json *answer;
    struct jws *overall;
    struct nras_device devices[NRAS_DEVICES_MAX];
    size_t devices_n;
};

/* *out is always set and is for nras_clear(); accepted is out->reason == NRAS_OK and nothing else. An
 * err means only that it could not be worked out. */
err nras_verify(const struct nras_query *query, struct nras_result *out);
void nras_clear(struct nras_result *r);
