/*
 * attest/tdx_fault.h - what a verification of TDX evidence checks, and all that can be wrong.
 *
 * Every check is made that can be made, whatever failed before: the faults are a set, one bit each,
 * and belong to one check each. The words are for logs, scripts and test vectors, and stay as they
 * are.
 */
#pragma once

#include <stdint.h>

/* In the order of the report. */
#define TDX_CHECK_LIST(X)                                                                          \
    X(HEADER, "header")                                                                            \
    X(FORM, "form")                                                                                \
    X(CERT_DATA, "certification-data")                                                             \
    X(TRAILING, "trailing-data")                                                                   \
    X(PCK_CHAIN, "pck-chain")                                                                      \
    X(ROOT_CRL, "root-crl")                                                                        \
    X(PCK_CRL, "pck-crl")                                                                          \
    X(QE_SIGNATURE, "qe-report-signature")                                                         \
    X(QE_DATA, "qe-report-data")                                                                   \
    X(QUOTE_SIGNATURE, "quote-signature")                                                          \
    X(DEBUG, "debug")                                                                              \
    X(ATTRIBUTES, "td-attributes")                                                                 \
    X(TCB_SIGNER, "tcb-signing-chain")                                                             \
    X(TCB_INFO, "tcb-info")                                                                        \
    X(QE_IDENTITY, "qe-identity")                                                                  \
    X(QE_TCB, "qe-tcb")                                                                            \
    X(MODULE, "tdx-module")                                                                        \
    X(PLATFORM, "platform-tcb")                                                                    \
    X(STATUS, "tcb-status")                                                                        \
    X(ADVISORIES, "advisories")                                                                    \
    X(MACHINE, "machine")                                                                          \
    X(EVENT_LOG, "event-log")

enum tdx_check {
#define X(name, word) TDX_CHECK_##name,
    TDX_CHECK_LIST(X)
#undef X
        TDX_CHECKS
};

/* name, check, word, reason of attest/reason.h */
#define TDX_FAULT_LIST(X)                                                                          \
    X(VERSION, HEADER, "header-version", MALFORMED)                                                \
    X(TEE_TYPE, HEADER, "header-tee-type", MALFORMED)                                              \
    X(KEY_TYPE, HEADER, "header-key-type", MALFORMED)                                              \
    X(VENDOR, HEADER, "header-vendor", MALFORMED)                                                  \
    X(TOO_LARGE, FORM, "malformed-too-large", TOO_LARGE)                                           \
    X(TRUNCATED, FORM, "malformed-truncated", MALFORMED)                                           \
    X(LENGTHS, FORM, "malformed-lengths", MALFORMED)                                               \
    X(BODY_TYPE, FORM, "malformed-body-type", MALFORMED)                                           \
    X(NO_CERT_DATA, FORM, "malformed-no-certification-data", MALFORMED)                            \
    X(CERT_DATA_TYPE, CERT_DATA, "unsupported-certification-data", MALFORMED)                      \
    X(CERT_ENCODING, CERT_DATA, "unsupported-certificate-encoding", MALFORMED)                     \
    X(TRAILING_DATA, TRAILING, "trailing-data", SURPLUS)                                           \
    X(PCK_CHAIN_LENGTH, PCK_CHAIN, "pck-chain-length", BAD_CHAIN)                                  \
    X(PCK_CHAIN_ORDER, PCK_CHAIN, "pck-chain-order", BAD_CHAIN)                                    \
    X(PCK_CHAIN_FORM, PCK_CHAIN, "pck-chain-form", BAD_CHAIN)                                      \
    X(PCK_CHAIN_SIGNATURE, PCK_CHAIN, "pck-chain-signature", BAD_CHAIN)                            \
    X(PCK_CHAIN_VALIDITY, PCK_CHAIN, "pck-chain-validity", EXPIRED)                                \
    X(PCK_CHAIN_NAMES, PCK_CHAIN, "pck-chain-names", BAD_CHAIN)                                    \
    X(UNTRUSTED_ROOT, PCK_CHAIN, "untrusted-root", BAD_CHAIN)                                      \
    X(PCK_EXTENSION, PCK_CHAIN, "pck-extension", BAD_CHAIN)                                        \
    X(NO_COLLATERAL, TCB_INFO, "no-collateral", ABSENT)                                            \
    X(ROOT_CRL_FORM, ROOT_CRL, "root-crl-form", BAD_CHAIN)                                         \
    X(ROOT_CRL_ISSUER, ROOT_CRL, "root-crl-issuer", BAD_CHAIN)                                     \
    X(ROOT_CRL_SIGNATURE, ROOT_CRL, "root-crl-signature", BAD_CHAIN)                               \
    X(ROOT_CRL_VALIDITY, ROOT_CRL, "root-crl-validity", EXPIRED)                                   \
    X(CA_REVOKED, ROOT_CRL, "pck-ca-revoked", BAD_CHAIN)                                           \
    X(SIGNER_REVOKED, ROOT_CRL, "tcb-signer-revoked", BAD_CHAIN)                                   \
    X(PCK_CRL_FORM, PCK_CRL, "pck-crl-form", BAD_CHAIN)                                            \
    X(PCK_CRL_ISSUER, PCK_CRL, "pck-crl-issuer", BAD_CHAIN)                                        \
    X(PCK_CRL_SIGNATURE, PCK_CRL, "pck-crl-signature", BAD_CHAIN)                                  \
    X(PCK_CRL_VALIDITY, PCK_CRL, "pck-crl-validity", EXPIRED)                                      \
    X(PCK_REVOKED, PCK_CRL, "pck-revoked", BAD_CHAIN)                                              \
    X(QE_SIGNATURE, QE_SIGNATURE, "qe-report-signature", BAD_SIGNATURE)                            \
    X(QE_DATA, QE_DATA, "qe-report-data", BAD_SIGNATURE)                                           \
    X(QUOTE_SIGNATURE, QUOTE_SIGNATURE, "quote-signature", BAD_SIGNATURE)                          \
    X(DEBUG, DEBUG, "debug", DEBUG_ENABLED)                                                        \
    X(RESERVED_BITS, ATTRIBUTES, "td-attributes-reserved", MISMATCH)                               \
    X(SEPT_VE, ATTRIBUTES, "td-attributes-sept-ve", MISMATCH)                                      \
    X(MIGRATABLE, ATTRIBUTES, "td-attributes-migratable", MISMATCH)                                \
    X(TCB_CHAIN_FORM, TCB_SIGNER, "tcb-signing-chain-form", BAD_CHAIN)                             \
    X(TCB_CHAIN_ROOT, TCB_SIGNER, "tcb-signing-chain-untrusted-root", BAD_CHAIN)                   \
    X(TCB_CHAIN_SIGNATURE, TCB_SIGNER, "tcb-signing-chain-signature", BAD_CHAIN)                   \
    X(TCB_CHAIN_VALIDITY, TCB_SIGNER, "tcb-signing-chain-validity", EXPIRED)                       \
    X(TCB_SIGNER_SUBJECT, TCB_SIGNER, "signer-subject", BAD_CHAIN)                                 \
    X(TCB_INFO_SIGNATURE, TCB_INFO, "tcb-info-signature", BAD_SIGNATURE)                           \
    X(TCB_INFO_FORM, TCB_INFO, "tcb-info-form", MALFORMED)                                         \
    X(TCB_INFO_TYPE, TCB_INFO, "tcb-info-type", MISMATCH)                                          \
    X(TCB_INFO_VALIDITY, TCB_INFO, "tcb-info-validity", EXPIRED)                                   \
    X(TCB_INFO_NUMBER, TCB_INFO, "tcb-info-evaluation-number", TCB_LOW)                            \
    X(FMSPC, TCB_INFO, "fmspc-mismatch", MISMATCH)                                                 \
    X(PCE_ID, TCB_INFO, "pce-id-mismatch", MISMATCH)                                               \
    X(QE_IDENTITY_SIGNATURE, QE_IDENTITY, "qe-identity-signature", BAD_SIGNATURE)                  \
    X(QE_IDENTITY_FORM, QE_IDENTITY, "qe-identity-form", MALFORMED)                                \
    X(QE_IDENTITY_TYPE, QE_IDENTITY, "qe-identity-type", MISMATCH)                                 \
    X(QE_IDENTITY_VALIDITY, QE_IDENTITY, "qe-identity-validity", EXPIRED)                          \
    X(QE_IDENTITY_NUMBER, QE_IDENTITY, "qe-identity-evaluation-number", TCB_LOW)                   \
    X(QE_MISMATCH, QE_IDENTITY, "qe-identity-mismatch", MISMATCH)                                  \
    X(QE_NOT_SUPPORTED, QE_TCB, "qe-tcb-not-supported", TCB_LOW)                                   \
    X(MODULE_UNKNOWN, MODULE, "tdx-module-identity-missing", MISMATCH)                             \
    X(MODULE_MISMATCH, MODULE, "tdx-module-mismatch", MISMATCH)                                    \
    X(MODULE_NOT_SUPPORTED, MODULE, "tdx-module-tcb-not-supported", TCB_LOW)                       \
    X(TCB_NOT_SUPPORTED, PLATFORM, "tcb-not-supported", TCB_LOW)                                   \
    X(TCB_STATUS, STATUS, "tcb-status", TCB_LOW)                                                   \
    X(ADVISORY, ADVISORIES, "advisory-not-allowed", TCB_LOW)                                       \
    X(PPID, MACHINE, "ppid-not-listed", MISMATCH)                                                  \
    X(LOG_FORM, EVENT_LOG, "event-log-malformed", MALFORMED)                                       \
    X(LOG_REPLAY, EVENT_LOG, "event-log-replay", MISMATCH)                                         \
    X(LOG_DIGEST, EVENT_LOG, "event-log-digest", MISMATCH)                                         \
    X(LOG_ABSENT, EVENT_LOG, "event-log-absent", ABSENT)                                           \
    X(LOG_EVENT, EVENT_LOG, "event-not-as-expected", MISMATCH)

enum tdx_fault {
#define X(name, check, word, reason) TDX_FAULT_##name,
    TDX_FAULT_LIST(X)
#undef X
        TDX_FAULTS
};

enum { TDX_FAULT_WORDS = (TDX_FAULTS + 63) / 64 };

/* A set of faults. Zero: none. */
struct tdx_faults {
    uint64_t bits[TDX_FAULT_WORDS];
};

static inline void tdx_fault_add(struct tdx_faults *set, enum tdx_fault f)
{
    set->bits[f / 64] |= (uint64_t)1 << f % 64;
}

static inline int tdx_fault_has(const struct tdx_faults *set, enum tdx_fault f)
{
    return (set->bits[f / 64] >> f % 64 & 1) != 0;
}

/* The first fault of that check, or TDX_FAULTS. */
enum tdx_fault tdx_fault_of(const struct tdx_faults *set, enum tdx_check check);

const char *tdx_check_word(enum tdx_check check);
const char *tdx_fault_word(enum tdx_fault fault);
enum tdx_check tdx_fault_check(enum tdx_fault fault);
