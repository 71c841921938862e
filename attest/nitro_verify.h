/*
 * attest/nitro_verify.h - is this AWS Nitro document genuine, and what the caller asked for?
 *
 * A pure function of the document, what is expected, and a time. Nothing is fetched: the whole chain
 * is inside, up to a root that is pinned here.
 *
 * Choices where others are possible: the certificates must be exactly one path, the pinned root first
 * in cabundle and each one issued by the one before it; a leaf that is marked as a CA is refused, or
 * one enclave could issue for another; no document counts as bound to an empty nonce or key. The
 * dates are those at `at_s`, or at the document's own time when that is at most skew_s ahead.
 */
#pragma once

#include "attest/nitro_parse.h"
#include "attest/verdict.h"
#include "crypto/x509.h"

/* "CN=aws.nitro-enclaves, C=US, O=Amazon, OU=AWS", 2019-10-28 to 2049-10-28. From AWS's
 * AWS_NitroEnclaves_Root-G1.zip; the value is printed in AWS's "Verifying the root of trust". */
extern const struct x509_root nitro_aws_root;

/* The checks in their fixed order; the first that fails ends it, and the rest are skipped. */
#define NITRO_CHECK_LIST(X)                                                                        \
    X(FORM, "form")                                                                                \
    X(CHAIN, "chain")                                                                              \
    X(SIGNATURE, "signature")                                                                      \
    X(DEBUG, "debug")                                                                              \
    X(FRESHNESS, "freshness")                                                                      \
    X(NONCE, "nonce")                                                                              \
    X(PUBLIC_KEY, "public-key")                                                                    \
    X(USER_DATA, "user-data")                                                                      \
    X(MEASUREMENTS, "measurements")

enum nitro_check_id {
#define X(name, word) NITRO_CHECK_##name,
    NITRO_CHECK_LIST(X)
#undef X
        NITRO_CHECKS
};

struct nitro_check {
    enum verdict_status status; /* VERDICT_SKIP with NITRO_OK: nobody asked */
    enum nitro_reason reason;
};

/* Compared in full. Asked for with an empty value refuses. */
struct nitro_expected {
    bool asked;
    bytes value;
};

struct nitro_settings {
    const struct x509_root *roots; /* roots_n 0: only nitro_aws_root */
    size_t roots_n;
    int64_t at_s; /* Unix seconds */
    uint32_t skew_s;
    int64_t max_age_s; /* distance of the document's time from at_s; 0: not asked */
    bool allow_debug;  /* for those who study documents of debug enclaves; never from a policy */
    struct nitro_expected nonce;
    struct nitro_expected public_key;
    struct nitro_expected user_data;
    bytes pcrs[NITRO_PCRS_MAX]; /* empty: not asked */
};

/* Large: not for the stack. Borrows from the document. */
struct nitro_result {
    bool accepted;
    enum nitro_reason reason; /* of the check that failed, or NITRO_OK */
    struct nitro_check checks[NITRO_CHECKS];
    struct nitro_doc doc; /* zero unless `form` passed; proved by `signature` */
    bool debug;           /* a PCR that measures the image is zero */
    struct x509_about certs[NITRO_CABUNDLE_MAX + 1]; /* leaf first; proved by `chain` */
    size_t certs_n;
};

/* *out is always set. An err means only that it could not be worked out. */
err nitro_verify(bytes document, const struct nitro_settings *settings, struct nitro_result *out);

const char *nitro_check_name(enum nitro_check_id id);
