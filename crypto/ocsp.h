/*
 * crypto/ocsp.h - answers of OCSP responders (RFC 6960), checked at a given time.
 *
 * A pure function: the answer, the certificate it should be about, the certificate's issuer, which
 * the caller has verified. Nothing but OCSP_IS_GOOD is good. The responder is the issuer itself, or has
 * a certificate in the answer that the issuer signed for OCSP signing.
 *
 * Choices: an answer without the nonce that was asked for is taken, since vendors answer from caches
 * and the dates bound its age; a nonce that differs is refused. An answer without nextUpdate is
 * refused unless the caller gives an age. More than one answer about the certificate is refused.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

enum { OCSP_RESPONSE_MAX = 64 * 1024, OCSP_REQUEST_MAX = 1024 };

/* One word for each, in the order in which they are looked for. */
#define OCSP_OUTCOME_LIST(X)                                                                       \
    X(REFUSED, "refused")                                                                          \
    X(GOOD, "good")                                                                                \
    X(MALFORMED, "malformed")                                                                      \
    X(STATUS, "status")   /* the responder says that it has no answer; nobody signs that */        \
    X(CERT_ID, "cert-id") /* about another certificate */                                          \
    X(RESPONDER, "responder")                                                                      \
    X(SIGNATURE, "signature")                                                                      \
    X(NONCE, "nonce")                                                                              \
    X(THIS_UPDATE, "thisUpdate")                                                                   \
    X(NEXT_UPDATE, "nextUpdate")                                                                   \
    X(REVOKED, "revoked") /* on hold too */                                                        \
    X(UNKNOWN, "unknown")

enum ocsp_outcome {
#define X(name, word) OCSP_IS_##name,
    OCSP_OUTCOME_LIST(X)
#undef X
};

const char *ocsp_outcome_word(enum ocsp_outcome o);

struct ocsp_query {
    bytes response;    /* DER */
    bytes certificate; /* DER */
    bytes issuer;      /* DER */
    bytes nonce;       /* empty: not asked */
    int64_t at_s;      /* Unix seconds */
    int64_t max_age_s; /* of an answer without nextUpdate; 0: such an answer is refused */
    int64_t *until_s;  /* set to nextUpdate, if any, when the answer is good or revoked; or NULL */
};

/* *out is always set; an err is for memory only. */
err ocsp_check(const struct ocsp_query *query, enum ocsp_outcome *out);

/* Appends a request for one certificate (both in DER): no nonce, not signed, CertID by SHA-384. */
err ocsp_request_write(struct buf *out, bytes certificate, bytes issuer);
