/*
 * attest/gcp_token.h - attestation tokens of Google's Confidential Space.
 *
 * A token is Google's word on a virtual machine and the container in it, signed RS256: it is no
 * evidence of hardware, and says nothing of firmware levels. Of its two kinds, the PKI one carries its
 * chain (x5c) to a root that is pinned here, so it can be checked offline; the OIDC one is signed by a
 * key of a JWKS that whoever fetched it is trusted with.
 *
 * Choices: nonces are compared as text, and one that is not asked for refuses, as does an audience;
 * the image's digest has to be listed; an operator's overrides of the container's command or
 * environment are refused; a machine that may be debugged, or whose image is not STABLE, is refused.
 */
#pragma once

#include "crypto/jws.h"
#include "crypto/x509.h"

#define GCP_TOKEN_ISSUER "https://confidentialcomputing.googleapis.com"

/* "CN=Confidential Space Root CA, OU=Google Cloud, O=Google LLC", 2024-01-19 to 2034-01-16. From
 * confidentialcomputing.googleapis.com/.well-known/confidential_space_root.crt. */
extern const struct x509_root gcp_token_root;

/* One word each, which stays as it is; in the order in which they are looked for. */
#define GCP_REASON_LIST(X)                                                                         \
    X(UNCHECKED, "unchecked")                                                                      \
    X(OK, "ok")                                                                                    \
    X(MALFORMED, "malformed")                                                                      \
    X(ALG, "alg")                                                                                  \
    X(CRIT, "crit")                                                                                \
    X(OWN_KEY, "key")                                                                              \
    X(KID, "kid")                                                                                  \
    X(JWKS, "jwks")                                                                                \
    X(CHAIN, "chain")                                                                              \
    X(TIME, "time")                                                                                \
    X(SIGNATURE, "signature")                                                                      \
    X(ISSUER, "issuer")                                                                            \
    X(AUDIENCE, "audience")                                                                        \
    X(IAT, "iat")                                                                                  \
    X(NBF, "nbf")                                                                                  \
    X(EXP, "exp")                                                                                  \
    X(NONCE, "nonce")                                                                              \
    X(DBGSTAT, "dbgstat")                                                                          \
    X(SWNAME, "swname")                                                                            \
    X(SUPPORT, "support")                                                                          \
    X(HWMODEL, "hwmodel")                                                                          \
    X(SECBOOT, "secboot")                                                                          \
    X(IMAGE, "image")                                                                              \
    X(OVERRIDE, "override")

enum gcp_reason {
#define X(name, word) GCP_##name,
    GCP_REASON_LIST(X)
#undef X
};

const char *gcp_reason_word(enum gcp_reason r);

struct gcp_query {
    bytes token;                   /* compact form */
    bytes jwks;                    /* empty: the PKI kind */
    const struct x509_root *roots; /* of the PKI kind; roots_n 0: only gcp_token_root */
    size_t roots_n;
    bytes audience;
    bytes nonce;         /* the text that was asked for */
    int64_t at_s;        /* Unix seconds */
    int64_t skew_s;      /* how far their clock may be ahead */
    const bytes *images; /* "sha256:<hex>"; at least one */
    size_t images_n;
    bool any_image; /* whoever asks compares image_digest */
};

/* Zero is refused. Texts borrow from the token and are proved only by reason GCP_OK. */
struct gcp_result {
    enum gcp_reason reason;
    struct jws *token;
    bytes hwmodel;
    bytes image_digest;
    bytes subject; /* which virtual machine */
};

/* *out is always set and is for gcp_clear(). An err means only that it could not be worked out. */
err gcp_token_verify(const struct gcp_query *query, struct gcp_result *out);
void gcp_clear(struct gcp_result *r);
