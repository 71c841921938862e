/*
 * tests/unit/receipts/golden.h - the published golden claims and their key, and a payload taken
 * apart so that a test can spoil one entry of it.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "crypto/cose.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "receipts/air_types.h"
#include "tests/lib/law.h"

/* Filled once by golden_claims(). */
static uint8_t golden_registers[AIR_REGISTERS][AIR_REGISTER_LEN];

static inline struct signing_key *golden_key(uint8_t seed_byte)
{
    uint8_t seed[ED25519_SEED_LEN];
    struct signing_key *key = NULL;
    memset(seed, seed_byte, sizeof seed);
    CHECK_OK(signing_key_from_seed(&key, BYTES_ARRAY(seed)));
    return key;
}

static inline struct air_claims golden_claims(void)
{
    struct air_claims c = { .iss = BYTES_LIT("cyntrisec.com"),
                            .iat = 1740500000,
                            .model_id = BYTES_LIT("minilm-l6-v2"),
                            .model_version = BYTES_LIT("1.0.0"),
                            .measurement_type = BYTES_LIT(AIR_TYPE_NITRO),
                            .policy_version = BYTES_LIT("policy-2026.02"),
                            .sequence_number = 42,
                            .execution_time_ms = 116,
                            .memory_peak_mb = 512,
                            .security_mode = BYTES_LIT(AIR_MODE_PRODUCTION) };
    for (unsigned i = 0; i < AIR_CTI_LEN; i++)
        c.cti[i] = (uint8_t)(i + 1);
    memset(c.model_hash, 0xaa, AIR_HASH_LEN);
    memset(c.request_hash, 0xbb, AIR_HASH_LEN);
    memset(c.response_hash, 0xcc, AIR_HASH_LEN);
    memset(c.attestation_doc_hash, 0xdd, AIR_HASH_LEN);
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        memset(golden_registers[i], (int)i + 1, AIR_REGISTER_LEN);
    for (unsigned i = AIR_PCR0; i <= AIR_PCR2; i++)
        c.registers[i] = BYTES_ARRAY(golden_registers[i]);
    return c;
}

/* The same of another platform: every register that its type has, and its profile. */
static inline struct air_claims golden_claims_of(const char *type_name, bool with_gpu)
{
    struct air_claims c = golden_claims();
    const struct air_type *type = air_type_find(bytes_str(type_name));
    CHECK(type != NULL);
    c.measurement_type = bytes_str(type->name);
    c.profile = air_type_profile(type, with_gpu);
    memset(c.registers, 0, sizeof c.registers);
    for (size_t i = 0; i < type->slots_n; i++)
        c.registers[type->slots[i].at] =
            bytes_of(golden_registers[type->slots[i].at], type->slots[i].len);
    if (with_gpu) {
        c.gpu = (struct air_gpu){ .gpus = 8, .switches = 4 };
        memset(c.gpu.evidence_hash, 0xee, AIR_HASH_LEN);
    }
    return c;
}

/* ---- a map, entry by entry ---- */

enum { ENTRIES_MAX = 40 };

struct entry {
    bytes key;
    bytes value; /* both with their heads */
};

struct map {
    struct entry entries[ENTRIES_MAX];
    size_t n;
};

static inline struct map map_apart(bytes encoded)
{
    struct map m = { 0 };
    uint64_t n;
    CHECK_OK(cbor_take_map(&encoded, &n));
    CHECK(n < ENTRIES_MAX);
    for (m.n = 0; m.n < n; m.n++) {
        CHECK_OK(cbor_take_raw(&encoded, &m.entries[m.n].key));
        CHECK_OK(cbor_take_raw(&encoded, &m.entries[m.n].value));
    }
    return m;
}

static inline void map_together(struct buf *out, const struct map *m)
{
    CHECK_OK(cbor_put_map(out, m->n));
    for (size_t i = 0; i < m->n; i++) {
        CHECK_OK(buf_add(out, m->entries[i].key));
        CHECK_OK(buf_add(out, m->entries[i].value));
    }
}

static inline size_t map_place(const struct map *m, int64_t key)
{
    for (size_t i = 0; i < m->n; i++) {
        bytes b = m->entries[i].key;
        int64_t k;
        if (err_is_ok(cbor_take_int(&b, &k)) && k == key)
            return i;
    }
    fail_msg("no claim %ld", (long)key);
    return 0;
}

static inline void map_remove(struct map *m, size_t at)
{
    for (m->n--; at < m->n; at++)
        m->entries[at] = m->entries[at + 1];
}

static inline void map_insert(struct map *m, size_t at, struct entry e)
{
    for (size_t i = m->n++; i > at; i--)
        m->entries[i] = m->entries[i - 1];
    m->entries[at] = e;
}

static inline void map_swap(struct map *m, size_t a, size_t b)
{
    struct entry e = m->entries[a];
    m->entries[a] = m->entries[b];
    m->entries[b] = e;
}
