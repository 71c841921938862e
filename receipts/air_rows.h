/*
 * receipts/air_rows.h - the closed map of claims as one table, for the writer and the reader.
 *
 * Rows stand in the order of the wire (length of the encoded key, then its bytes), so walking the
 * table writes a deterministic map. Never reuse or renumber a key.
 */
#pragma once

#include <stddef.h>

#include "receipts/air.h"

enum air_kind {
    AIR_KIND_TEXT,         /* bytes at .at; least..most bytes of UTF-8 */
    AIR_KIND_UINT,         /* uint64_t at .at, not under .least */
    AIR_KIND_FIXED,        /* an array of .most bytes at .at */
    AIR_KIND_NONCE,        /* .nonce and .nonce_len */
    AIR_KIND_PROFILE,      /* .profile, by its name */
    AIR_KIND_MEASUREMENTS, /* .measurement_type and .registers */
    AIR_KIND_GPU           /* .gpu; in our own profile only */
};

struct air_row {
    int64_t key; /* frozen */
    const char *name;
    enum air_kind kind;
    uint16_t least;
    uint16_t most;
    bool optional;
    size_t at; /* in struct air_claims */
};

enum { AIR_ROWS = 19, AIR_ROWS_REQUIRED = 16 };

extern const struct air_row air_table[AIR_ROWS];

#define AIR_MEASUREMENT_TYPE "measurement_type"

/* The keys of the claim `gpu`, in the order of the wire. */
#define AIR_GPU_GPUS "gpus"
#define AIR_GPU_SWITCHES "switches"
#define AIR_GPU_EVIDENCE_HASH "evidence_hash"
enum { AIR_GPU_KEYS = 3 };

bytes air_profile_name(enum air_profile profile);

/* The protected header, {1: -8, 3: 61}: EdDSA, application/cwt. Frozen. */
enum { AIR_PROTECTED_LEN = 6 };
extern const uint8_t air_protected[AIR_PROTECTED_LEN];

/* True for an optional claim that is not there. */
bool air_row_absent(const struct air_row *row, const struct air_claims *claims);

bool air_mode_known(bytes mode);
bool air_scheme_known(bytes scheme);
bool air_all_zero(bytes b);
