/*
 * attest/azure_hcl_parse.h - the report of Azure's paravisor (Host Compatibility Layer), and the
 * runtime data in it: bytes to structs, nothing else.
 *
 * Little endian: "HCLA", version u32 (1, 2), length of what counts u32, request type u32, 16 reserved;
 * at 32 the hardware's report of 1184 bytes; at 1216 the runtime data: its length u32 (with this
 * header of 20), version u32 (1), report type u32, hash type u32, length of the JSON u32, the JSON.
 */
#pragma once

#include <stdint.h>

#include "attest/snp_parse.h"
#include "base/buf.h"

enum {
    AZURE_HCL_MAX = 16 * 1024,
    AZURE_JSON_MAX = 8 * 1024,
    AZURE_JSON_DEPTH = 8,
    AZURE_USER_DATA_LEN = 64,
    AZURE_RSA_MAX = 1024
};

enum azure_report_type { AZURE_REPORT_SNP = 2, AZURE_REPORT_TDX = 4 };
enum azure_hash { AZURE_SHA256 = 1, AZURE_SHA384 = 2, AZURE_SHA512 = 3 };

/* All borrowed. */
struct azure_hcl {
    uint32_t version;
    uint32_t report_type;
    uint32_t hash_type;
    bytes report; /* SNP_REPORT_LEN bytes */
    bytes json;   /* to be hashed as it stands here */
};

/* Lengths have to fit each other; bytes behind them are ignored, as the TPM's index is larger.
 * ERR_MALFORMED, ERR_TRUNCATED; ERR_UNSUPPORTED: another version of one of the headers; ERR_LIMIT. */
err azure_hcl_read(bytes in, struct azure_hcl *out);

/* What is in the JSON. Owned: azure_runtime_clear(). */
struct azure_runtime {
    struct buf ak_n; /* attestation key of the vTPM, big endian */
    struct buf ak_e;
    uint8_t user_data[AZURE_USER_DATA_LEN];
    bool secure_boot;
    bool tpm_enabled;
};

/* *out need not be initialised; give it to azure_runtime_clear() whatever comes back. ERR_MALFORMED:
 * not JSON, a key twice, no key or more than one called HCLAkPub, no RSA, or no user-data of 64
 * bytes. Settings that are not there are false. */
err azure_runtime_read(bytes json, struct azure_runtime *out);
void azure_runtime_clear(struct azure_runtime *r);
