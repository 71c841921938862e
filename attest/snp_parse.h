/*
 * attest/snp_parse.h - the attestation report of AMD SEV-SNP, from bytes to a struct, nothing else.
 *
 * Layout: "SEV Secure Nested Paging Firmware ABI" (AMD 56860), table ATTESTATION_REPORT, versions
 * 2 to 5. Little endian. What is read here is not yet believed: see attest/snp_verify.h.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    SNP_REPORT_LEN = 1184, /* frozen */
    SNP_SIGNED_LEN = 672,  /* what the signature covers: all in front of it */
    SNP_SIGNATURE_LEN = 96,
    SNP_VERSION_MIN = 2,
    SNP_VERSION_MAX = 5,
    SNP_TCB_LEN = 8,
    SNP_CHIP_ID_LEN = 64,
    SNP_HWID_TURIN_LEN = 8,
    SNP_REPORT_DATA_LEN = 64,
    SNP_MEASUREMENT_LEN = 48
};

/* Product lines: Genoa stands for Bergamo and Siena too. */
enum snp_product { SNP_UNKNOWN = 0, SNP_MILAN, SNP_GENOA, SNP_TURIN, SNP_PRODUCTS };

const char *snp_product_name(enum snp_product p); /* "Milan"; "unknown" */

/* Bits of POLICY. */
#define SNP_POLICY_SMT (UINT64_C(1) << 16)
#define SNP_POLICY_ONE (UINT64_C(1) << 17) /* reserved, must be one */
#define SNP_POLICY_MIGRATE_MA (UINT64_C(1) << 18)
#define SNP_POLICY_DEBUG (UINT64_C(1) << 19)
#define SNP_POLICY_SINGLE_SOCKET (UINT64_C(1) << 20)
#define SNP_POLICY_CXL (UINT64_C(1) << 21)
#define SNP_POLICY_AES_256_XTS (UINT64_C(1) << 22)
#define SNP_POLICY_RAPL_DIS (UINT64_C(1) << 23)
#define SNP_POLICY_CIPHERTEXT_HIDING (UINT64_C(1) << 24)
#define SNP_POLICY_PAGE_SWAP_DISABLE (UINT64_C(1) << 25)
#define SNP_POLICY_KNOWN ((UINT64_C(1) << 26) - 1)

/* Bits of PLATFORM_INFO. */
#define SNP_PLATFORM_SMT (UINT64_C(1) << 0)
#define SNP_PLATFORM_TSME (UINT64_C(1) << 1)
#define SNP_PLATFORM_ECC (UINT64_C(1) << 2)
#define SNP_PLATFORM_RAPL_DIS (UINT64_C(1) << 3)
#define SNP_PLATFORM_CIPHERTEXT_HIDING (UINT64_C(1) << 4)
#define SNP_PLATFORM_ALIAS_CHECK (UINT64_C(1) << 5)

enum { SNP_SIG_ALGO_ECDSA_P384_SHA384 = 1 };

/* SIGNING_KEY, as it stands in the report. */
enum { SNP_KEY_VCEK = 0, SNP_KEY_VLEK = 1, SNP_KEY_NONE = 7 };

/* Security version numbers of the firmware's parts, as the bytes stand in a report: their order
 * differs by product line. */
struct snp_tcb {
    uint8_t raw[SNP_TCB_LEN];
};

enum snp_part { SNP_FMC, SNP_BOOTLOADER, SNP_TEE, SNP_SNP, SNP_MICROCODE, SNP_PARTS };

/* The place of that part in raw, or -1 where the product line has none. An unknown line has the
 * order of Milan. */
int snp_tcb_place(enum snp_product p, enum snp_part part);

/* Its number; 0 where the product line has none. */
uint8_t snp_tcb_part(const struct snp_tcb *tcb, enum snp_product p, enum snp_part part);

struct snp_firmware {
    uint8_t major, minor, build;
};

/* All `bytes` borrow from what was read. */
struct snp_report {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint32_t vmpl;
    uint32_t sig_algo;
    uint64_t platform_info;
    uint8_t signing_key; /* three bits */
    bool mask_chip_key;
    bool author_key_en;
    bool has_cpuid; /* from version 3 on */
    uint8_t family, model, stepping;
    enum snp_product product; /* by CPUID; unknown without */
    struct snp_tcb current, reported, committed, launch;
    struct snp_firmware current_version, committed_version;
    uint64_t launch_mit, current_mit; /* from version 5 on, else 0 */
    bytes family_id, image_id, report_data, measurement, host_data, id_key_digest,
        author_key_digest, report_id, report_id_ma, chip_id;
    bytes signed_part;
    bool signature_fits;                  /* R and S have at most 384 bits, and zeros follow */
    uint8_t signature[SNP_SIGNATURE_LEN]; /* R || S, big endian */
};

/* ERR_MALFORMED: not SNP_REPORT_LEN bytes. ERR_UNSUPPORTED: another version; *out then has only
 * that. Nothing else is judged. */
err snp_report_read(bytes in, struct snp_report *out);

/* The product line that CPUID family and model belong to. */
enum snp_product snp_product_of_cpuid(uint8_t family, uint8_t model);

/* The same of a name such as "Milan-B0", "Genoa", "Siena". */
enum snp_product snp_product_of_name(bytes name);
