/*
 * attest/azure_hcl_verify.h - platform "azure-sev-snp": a confidential VM on Azure, below whose guest
 * a paravisor runs at VMPL 0 and holds the guest's TPM.
 *
 * Two links: AMD's report covers the paravisor and, by its report data, the runtime data; these name
 * the attestation key of the TPM, and that key quotes the PCRs, which measure the guest. Evidence is a
 * deterministic CBOR map (attest/map.h):
 *
 *     "hcl"        bytes 1236..16384   the paravisor's report, NV index 0x01400001
 *     "pcrs"       bytes 32..768       SHA-256 values of the quoted PCRs, ascending
 *     "quote"      bytes 1..1024       TPMS_ATTEST
 *     "signature"  bytes 256..1024     RSASSA-PKCS1-v1_5 with SHA-256 over it
 *
 * Collateral is that of "sev-snp". The binding is in `user-data` of the runtime data, which the guest
 * writes to NV index 0x01400002. The quote has to be of the same challenge: its qualifying data are
 * the first 32 to 64 bytes of user-data (a TPM takes at most 50 or so), so PCRs of another time do
 * not pass. All registers of the report are there, but `measurement` measures the paravisor: what
 * says which guest runs are pcr0 to pcr23.
 *
 * Everything attest/snp_verify.h checks is checked, with the policy's section `snp`. After that, in
 * this order and named by these words: "report-type" (SNP), "hash-type" (known), "runtime-data"
 * (REPORT_DATA is its hash, then zeros), "runtime-form", "quote-form", "quote-signature" (by the AK,
 * RSA of at least 2048 bits), "quote-nonce", "pcr-digest", "secure-boot" (secure boot and TPM on).
 */
#pragma once

#include "attest/azure_hcl_parse.h"
#include "attest/snp_verify.h"
#include "attest/tpm_quote.h"

enum { AZURE_PCRS_MAX = TPM_PCRS * TPM_PCR_LEN, AZURE_NONCE_MIN = 32 };

/* All borrowed. */
struct azure_evidence {
    bytes hcl;
    bytes pcrs;
    bytes quote;
    bytes signature;
};

err azure_evidence_read(bytes in, struct azure_evidence *out);
err azure_evidence_write(struct buf *out, const struct azure_evidence *e);

#define AZURE_CHECK_LIST(X)                                                                        \
    X(HCL_FORM, "hcl-form", MALFORMED, FORM)                                                       \
    X(SNP, "snp", BAD_SIGNATURE, SIGNATURE) /* the report is AMD's; see snp for what failed */     \
    X(REPORT_TYPE, "report-type", UNSUPPORTED, SIGNATURE)                                          \
    X(HASH_TYPE, "hash-type", UNSUPPORTED, SIGNATURE)                                              \
    X(RUNTIME_DATA, "runtime-data", MISMATCH, SIGNATURE)                                           \
    X(RUNTIME_FORM, "runtime-form", MALFORMED, SIGNATURE)                                          \
    X(QUOTE_FORM, "quote-form", MALFORMED, SIGNATURE)                                              \
    X(QUOTE_SIGNATURE, "quote-signature", BAD_SIGNATURE, SIGNATURE)                                \
    X(QUOTE_NONCE, "quote-nonce", MISMATCH, SIGNATURE)                                             \
    X(PCR_DIGEST, "pcr-digest", MISMATCH, SIGNATURE)                                               \
    X(SECURE_BOOT, "secure-boot", SETTING, TCB)                                                    \
    X(STATE, "snp-state", SETTING, TCB) /* what else snp_verify() checks; see snp */

enum azure_check_id {
#define X(id, word, reason, part) AZURE_CHECK_##id,
    AZURE_CHECK_LIST(X)
#undef X
        AZURE_CHECKS
};

/* No memory of its own; views borrow from the evidence. */
struct azure_result {
    bool accepted;
    struct snp_check checks[AZURE_CHECKS];
    const char *failed; /* one of ours, or one of the report's; NULL: none */
    struct snp_result snp;
    struct azure_hcl hcl;
    struct tpm_quote quote;
    uint8_t user_data[AZURE_USER_DATA_LEN];
    bool secure_boot;
};

/* An err is for memory only, and *out is then a refusal. */
err azure_verify(const struct azure_evidence *e, const struct snp_collateral *collateral,
                 const struct snp_settings *settings, struct azure_result *out);

#define AZURE_PLATFORM "azure-sev-snp"

extern const struct verifier *const azure_verifier;
