/*
 * attest/snp_verify.h - is this an attestation report of genuine AMD SEV-SNP hardware, and is the
 * platform in a state the policy accepts?
 *
 * A pure function of report, collateral, policy and time. It does not compare measurements or report
 * data: that is the same for all platforms and done by attest/verify.h. The checks are made in the
 * order of SNP_CHECK_LIST, each one named by the word it fails with; at the first failure the rest
 * are skipped.
 *
 * Sources: AMD 56860 (firmware ABI), AMD 57230 (VCEK and KDS). Choices where those leave room:
 * - A report whose S was replaced by n - S is accepted: ECDSA signs it all the same and the content
 *   is that of the report, so nothing is gained by it. A hash of a report is therefore no identity.
 * - What is in no field of the table, but signed, is not looked at. Behind the signature only zeros.
 * - Guest policy bits that this program does not know refuse, since they may allow anything.
 * - A current revocation list of the ARK is required. It covers the ASK or ASVK; there is no list of
 *   single chips.
 * - Reports of version 2 do not say their product line; it is then that of the leaf.
 */
#pragma once

#include "attest/snp_leaf.h"
#include "attest/snp_policy.h"
#include "attest/snp_table.h"
#include "attest/verifier.h"

/* id, word, what it stands for, reason of failure, which check of the verdict it is part of */
#define SNP_CHECK_LIST(X)                                                                          \
    X(LENGTH, "length", MALFORMED, FORM)                    /* 1184 bytes */                       \
    X(VERSION, "version", UNSUPPORTED, FORM)                /* 2 to 5 */                           \
    X(SIG_ALGO, "sig-algo", UNSUPPORTED, FORM)              /* ECDSA P-384 with SHA-384 */         \
    X(SIGNING_KEY, "signing-key", UNSUPPORTED, FORM)        /* VCEK or VLEK */                     \
    X(MASKED, "masked", SETTING, FORM)                      /* MASK_CHIP_KEY is not set */         \
    X(SIGNATURE_FORM, "malformed", MALFORMED, FORM)         /* R, S of 384 bits, then zeros */     \
    X(COLLATERAL, "collateral", NO_COLLATERAL, SIGNATURE)   /* there is a leaf certificate */      \
    X(ROOT, "untrusted-ark", BAD_CHAIN, SIGNATURE)          /* a pinned root is given */           \
    X(CHAIN, "chain-signature", BAD_CHAIN, SIGNATURE)       /* leaf, ASK or ASVK, ARK */           \
    X(CHAIN_VALIDITY, "chain-validity", EXPIRED, SIGNATURE) /* all of it at that time */           \
    X(LEAF_FORM, "leaf-form", MALFORMED, SIGNATURE)         /* extensions can be read */           \
    X(LEAF_KIND, "leaf-kind", MISMATCH, SIGNATURE)          /* is of the SIGNING_KEY's kind */     \
    X(CRL, "crl", NO_COLLATERAL, SIGNATURE)                 /* there is a list */                  \
    X(CRL_SIGNATURE, "crl-signature", BAD_CHAIN, SIGNATURE) /* of and by the ARK */                \
    X(CRL_VALIDITY, "crl-validity", STALE_COLLATERAL, SIGNATURE)                                   \
    X(REVOKED, "revoked", REVOKED, SIGNATURE) /* ASK or ASVK is not in it */                       \
    X(REPORT_SIGNATURE, "report-signature", BAD_SIGNATURE, SIGNATURE)                              \
    X(PRODUCT, "product", MISMATCH, SIGNATURE)      /* CPUID, leaf and chain agree */              \
    X(TCB_LEAF, "tcb-vs-leaf", MISMATCH, SIGNATURE) /* REPORTED_TCB is the leaf's */               \
    X(CHIP_ID, "chip-id", MISMATCH, SIGNATURE)      /* CHIP_ID is the VCEK's HWID */               \
    X(GUEST_POLICY, "guest-policy", SETTING, DEBUG) /* bit 17 set, no unknown bit */               \
    X(DEBUG, "debug", DEBUG_ENABLED, DEBUG)                                                        \
    X(MIGRATE_MA, "migrate-ma", SETTING, DEBUG)                                                    \
    X(ABI, "abi", TCB_LOW, TCB)           /* firmware is what policy asks */                       \
    X(LINE, "product-line", SETTING, TCB) /* the policy accepts the line */                        \
    X(KEY, "key-kind", SETTING, TCB)      /* the policy accepts that kind */                       \
    X(CSP_ID, "csp-id", SETTING, TCB)     /* the cloud of a VLEK */                                \
    X(VMPL, "vmpl", SETTING, TCB)                                                                  \
    X(GUEST_SVN, "guest-svn", TCB_LOW, TCB)                                                        \
    X(MINIMUM_TCB, "minimum-tcb", TCB_LOW, TCB) /* reported, launch, committed */                  \
    X(SMT, "smt", SETTING, TCB)                                                                    \
    X(CXL, "cxl", SETTING, TCB)                                                                    \
    X(PLATFORM_INFO, "platform-info", SETTING, TCB) /* what the policy requires */

enum snp_check_id {
#define X(id, word, reason, part) SNP_CHECK_##id,
    SNP_CHECK_LIST(X)
#undef X
        SNP_CHECKS
};

struct snp_check {
    const char *name; /* static */
    enum verdict_status status;
    enum reason reason;
};

/* No memory of its own. */
struct snp_result {
    bool accepted; /* every check passed or did not apply */
    struct snp_check checks[SNP_CHECKS];
    const char *failed; /* name of the check that failed, or NULL */

    /* For people, and believed only when REPORT_SIGNATURE passed. report borrows from the bytes. */
    bool has_report;
    struct snp_report report;
    bool has_leaf; /* believed: its chain was verified */
    struct snp_leaf leaf;
    enum snp_product product;
    int64_t crl_until; /* Unix seconds; 0: not known */
};

struct snp_settings {
    const struct snp_policy *policy;    /* NULL: the strict defaults */
    int64_t now;                        /* Unix seconds */
    const struct x509_root *more_roots; /* trusted beside AMD's, for tests and own hardware */
    size_t more_roots_n;
};

/* The pinned roots of AMD, by SHA-256 of the certificate: Milan, Genoa, Turin. */
enum { SNP_ROOTS = 3 };
extern const struct x509_root snp_amd_roots[SNP_ROOTS];

/* An err is for memory only, and *out is then a refusal. */
err snp_verify(bytes report, const struct snp_collateral *collateral,
               const struct snp_settings *settings, struct snp_result *out);

/* Puts a result into the terms of the frame: outcomes, report data and registers. */
void snp_facts(const struct snp_result *r, struct verifier_facts *out);

/* The same of a report that its own machine has just read, unproved (verifier.h, examine_own). */
void snp_own_facts(const struct snp_report *report, struct verifier_facts *out);

/* Registers, for other platforms that carry an SNP report. */
enum { SNP_REGISTERS = 8 };
extern const struct verifier_register snp_registers[SNP_REGISTERS];

#define SNP_PLATFORM "sev-snp"

/* Evidence is the report, collateral the host's certificate table with a revocation list added
 * (attest/snp_table.h). */
extern const struct verifier *const snp_verifier;
