/*
 * receipts/air_types.h - measurement types: which registers a receipt of each platform holds.
 *
 *     type            profile   registers (* optional)
 *     nitro-pcr       AIR v1    pcr0 pcr1 pcr2 pcr3* pcr4* pcr8*, of 48 bytes
 *     tdx-mrtd-rtmr   AIR v1    pcr0 pcr1 pcr2 pcr3* pcr4*: MRTD, RTMR0 to RTMR3
 *     sev-snp         our own   image_id family_id (16 bytes) host_data (32)
 *                               measurement id_key_digest author_key_digest* (48)
 *     azure-sev-snp   our own   the same, of the paravisor; and at least one of pcr0 to pcr23 (32),
 *                               which measure the guest
 *
 *     gcp-confidential-space
 *                     our own   image_digest (32), of the container
 *
 * With the claim `gpu` all of them are of our own profile. chip_id is left out: it says whose machine it
 * was, not what ran there, and the evidence document has it.
 */
#pragma once

#include "receipts/air.h"

struct air_slot {
    enum air_register at;
    uint8_t len;
    bool required;
    const char *in_evidence; /* its name in evidence: "mrtd" */
};

struct air_type {
    const char *name;     /* "sev-snp" */
    const char *platform; /* as evidence documents call it */
    bool in_v1;           /* AIR v1 knows it */
    bool needs_pcr;       /* one of the numbered registers at least */
    const struct air_slot *slots;
    size_t slots_n;
};

/* NULL: there is none. */
const struct air_type *air_type_find(bytes name);
const struct air_type *air_type_of_platform(bytes platform);

/* The key of a register in a receipt: "pcr0". */
const char *air_register_name(enum air_register at);

/* AIR_REGISTERS: there is none of that name. */
enum air_register air_register_find(bytes name);

/* The slot of that register, or NULL: the type has none. */
const struct air_slot *air_type_slot(const struct air_type *type, enum air_register at);

/* The one profile for receipts of that type, with or without GPUs. */
enum air_profile air_type_profile(const struct air_type *type, bool with_gpu);

/* The first register that is missing, or one that may not be there; AIR_REGISTERS when there is none
 * such. Lengths are not looked at. */
enum air_register air_type_missing(const struct air_type *type, const struct air_claims *claims);
enum air_register air_type_surplus(const struct air_type *type, const struct air_claims *claims);

/* Every register that is there has its type's length. */
bool air_type_lengths_good(const struct air_type *type, const struct air_claims *claims);
