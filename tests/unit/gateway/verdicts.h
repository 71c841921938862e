/* tests/unit/gateway/verdicts.h - verdicts as a verification would give them. */
#pragma once

#include "attest/verdict.h"
#include "base/clock.h"
#include "crypto/aead.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/keylist.h"

/* One key configuration of that id; public_key of the KEM's length. */
static inline struct key_config verdict_config(uint8_t id, uint16_t kem, bytes public_key)
{
    return (struct key_config){ .id = id,
                                .kem = kem,
                                .public_key = public_key,
                                .suites = { { HPKE_KDF_HKDF_SHA256, AEAD_AES_256_GCM } },
                                .suites_n = 1 };
}

/* Accepted, simulated, with the given configurations; valid for life_s from now. */
static inline void verdict_of(struct verdict *v, const struct key_config *configs, size_t n,
                              int64_t life_s)
{
    memset(v, 0, sizeof *v);
    v->accepted = true;
    v->trust = TRUST_SIMULATED;
    memcpy(v->worker, "w1", sizeof "w1");
    v->identity[0] = 7;
    v->key_list = BUF(4096);
    v->not_before = clock_wall_s() - 60;
    v->not_after = clock_wall_s() + life_s;
    CHECK_OK(keylist_write(&v->key_list, configs, n, KEYLIST_PREFIXED));
}

static const uint8_t verdict_x25519[32] = { 9, 1, 2, 3 };

static inline void verdict_plain(struct verdict *v, int64_t life_s)
{
    const struct key_config config =
        verdict_config(1, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(verdict_x25519));
    verdict_of(v, &config, 1, life_s);
}
