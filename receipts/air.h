/*
 * receipts/air.h - the claims of an Attested Inference Receipt (AIR v1, third generation), written.
 *
 * One receipt is one answer: a tagged COSE_Sign1 around a closed CBOR map of claims, Ed25519. What
 * air_write() emits, the strict reader (air_read.h, check.h) accepts; what that would refuse is not
 * signed. No I/O, no clock. Texts and registers in struct air_claims are borrowed.
 *
 * What AIR v1 cannot express, AMD SEV-SNP, containers that a cloud vouches for and evidence of GPUs, is
 * said in a profile of our own: the
 * same envelope and claims under another eat_profile, with the measurement types of air_types.h and
 * the claim `gpu` (PROTOCOL.md section 9). A fact has one form: whatever AIR v1 can express is refused
 * in the other profile, both ways.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct signing_key;

#define AIR_PROFILE "https://spec.cyntrisec.com/air/v1"
#define AIR_PROFILE_OWN "urn:uuid:2c7f3bb5-9406-4da3-9905-328dcd6f31be" /* frozen */
#define AIR_MEDIA_TYPE "application/eat+cwt"

#define AIR_MODE_PRODUCTION "production"
#define AIR_MODE_EVALUATION "evaluation"
#define AIR_TYPE_NITRO "nitro-pcr"
#define AIR_TYPE_TDX "tdx-mrtd-rtmr"
#define AIR_TYPE_SNP "sev-snp"
#define AIR_TYPE_AZURE_SNP "azure-sev-snp"
#define AIR_TYPE_GCP "gcp-confidential-space"
#define AIR_SCHEME_SINGLE "sha256-single"
#define AIR_SCHEME_CONCAT "sha256-concat"
#define AIR_SCHEME_MANIFEST "sha256-manifest"

enum {
    AIR_RECEIPT_MAX = 65536, /* a whole receipt */
    AIR_HASH_LEN = 32,
    AIR_CTI_LEN = 16,
    AIR_KEY_LEN = 32,
    AIR_SIGNATURE_LEN = 64,
    AIR_REGISTER_LEN = 48, /* in AIR v1 */
    AIR_NONCE_MIN = 8,
    AIR_NONCE_MAX = 64,
    /* texts, in bytes of UTF-8; none may be empty */
    AIR_ISS_MAX = 256,
    AIR_MODEL_ID_MAX = 256,
    AIR_MODEL_VERSION_MAX = 128,
    AIR_POLICY_VERSION_MAX = 256,
    AIR_SECURITY_MODE_MAX = 64,
    AIR_MODEL_HASH_SCHEME_MAX = 64,
    AIR_ID_LEN = 2 * AIR_CTI_LEN /* a receipt id, without its NUL */
};

/* Every register that some receipt can hold, in the order of the wire. Which of them, and of what
 * length, depends on the measurement type (air_types.h). Numbered ones are named after Nitro. */
enum air_register {
    AIR_PCR0, /* of TDX: MRTD */
    AIR_PCR1, /* RTMR0 */
    AIR_PCR2, /* RTMR1 */
    AIR_PCR3, /* RTMR2 */
    AIR_PCR4, /* RTMR3 */
    AIR_PCR5, /* this one and those that follow, but PCR8: of a TPM */
    AIR_PCR6,
    AIR_PCR7,
    AIR_PCR8,
    AIR_PCR9,
    AIR_PCR10,
    AIR_PCR11,
    AIR_PCR12,
    AIR_PCR13,
    AIR_PCR14,
    AIR_PCR15,
    AIR_PCR16,
    AIR_PCR17,
    AIR_PCR18,
    AIR_PCR19,
    AIR_PCR20,
    AIR_PCR21,
    AIR_PCR22,
    AIR_PCR23,
    AIR_IMAGE_ID, /* this one and those that follow, but for one: of an SNP report */
    AIR_FAMILY_ID,
    AIR_HOST_DATA,
    AIR_MEASUREMENT,
    AIR_IMAGE_DIGEST, /* of a container, by its cloud's word */
    AIR_ID_KEY_DIGEST,
    AIR_AUTHOR_KEY_DIGEST,
    AIR_REGISTERS
};

enum air_profile { AIR_IN_V1 = 0, AIR_IN_OWN };

/* GPUs that the evidence document speaks for. In AIR v1 all of it is zero. */
enum { AIR_GPUS_MAX = 16 };
struct air_gpu {
    uint64_t gpus;                       /* 1 to AIR_GPUS_MAX; 0: no such claim */
    uint64_t switches;                   /* 0 to AIR_GPUS_MAX */
    uint8_t evidence_hash[AIR_HASH_LEN]; /* SHA-256 of the document's gpu_evidence */
};

struct air_claims {
    enum air_profile profile;
    bytes iss;
    uint64_t iat; /* Unix seconds, not 0 */
    uint8_t cti[AIR_CTI_LEN];
    uint8_t nonce[AIR_NONCE_MAX];
    size_t nonce_len; /* 0: no eat_nonce */
    bytes model_id;
    bytes model_version;
    uint8_t model_hash[AIR_HASH_LEN];
    uint8_t request_hash[AIR_HASH_LEN];
    uint8_t response_hash[AIR_HASH_LEN];
    uint8_t attestation_doc_hash[AIR_HASH_LEN];
    bytes measurement_type;
    bytes registers[AIR_REGISTERS]; /* .at NULL: absent */
    bytes policy_version;
    uint64_t sequence_number;
    uint64_t execution_time_ms;
    uint64_t memory_peak_mb;
    bytes security_mode;
    bytes model_hash_scheme; /* empty: absent */
    struct air_gpu gpu;
};

/* MALFORMED unless every rule of the format holds, so that a strict verifier accepts the result. */
err air_validate(const struct air_claims *claims);

/* Appends the claims map alone, validated as above. */
err air_write_payload(struct buf *out, const struct air_claims *claims);

/* Appends a whole signed receipt. MALFORMED as air_validate(). On failure *out is as before. */
err air_write(struct buf *out, const struct air_claims *claims, const struct signing_key *key);

/* The receipt id: lower-case hex of cti, with a NUL. */
void air_id(const struct air_claims *claims, char out[static AIR_ID_LEN + 1]);

/* Appends the claims as one JSON object for people; members as in the claims' names, bytes in hex
 * with names ending in _hex, absent claims null. */
err air_write_json(struct buf *out, const struct air_claims *claims);
