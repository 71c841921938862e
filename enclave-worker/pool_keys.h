/*
 * enclave-worker/pool_keys.h - the sealing keys of workers that share a pool key.
 *
 * Pure. Two secrets make them: the pool key, which an operator gave to every worker, and a chain that
 * the pool's keeper began at random and hands to whoever has the pool key. The chain goes on by one
 * step each epoch and never back, so keys that are gone cannot be made again, not even by somebody who
 * gets hold of the pool key later. PROTOCOL.md, section 6.1.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { POOL_KEY_LEN = 32, POOL_CHAIN_LEN = 32, POOL_TAG_LEN = 16, POOL_IKM_LEN = 32 };

/* Secret. */
struct pool_key {
    uint8_t bytes[POOL_KEY_LEN];
};

/* Secret. Zero is none. */
struct pool_chain {
    uint64_t epoch; /* that `link` belongs to */
    uint8_t first_id;
    uint8_t link[POOL_CHAIN_LEN];
};

/* What belongs to one epoch; ikm is secret. */
struct pool_epoch {
    uint64_t epoch;
    uint8_t id;                /* of the key configuration */
    uint8_t tag[POOL_TAG_LEN]; /* by which a keeper is told which key a request was opened with */
    uint8_t ikm[POOL_IKM_LEN]; /* of DeriveKeyPair, RFC 9180 section 7.1.3 */
};

/* 64 hex digits; ERR_MALFORMED else, and for all zeros. */
err pool_key_read(bytes text, struct pool_key *out);

/* The key that proves to a keeper that one has the pool key, and the other way round. */
void pool_key_psk(const struct pool_key *key, uint8_t psk[static POOL_KEY_LEN]);

/* To the next epoch; what was before is overwritten. */
void pool_chain_step(struct pool_chain *chain);

/* Of the chain's own epoch. */
void pool_epoch_of(const struct pool_chain *chain, const struct pool_key *key,
                   struct pool_epoch *out);

/* Times in Unix seconds of the keeper's clock, spans in seconds. */
struct pool_span {
    uint64_t oldest; /* still opens */
    uint64_t present;
    uint64_t newest; /* the next one: opens already, since clocks are never quite the same */
};

/* life_s is not 0. */
struct pool_span pool_span_at(int64_t now, uint32_t life_s, uint32_t grace_s);

/* Unix seconds when that epoch is over. */
int64_t pool_epoch_end(uint64_t epoch, uint32_t life_s);

enum { POOL_STEPS_MAX = 4096 };

/* To that epoch. False, and nothing changed, when it lies behind or more than POOL_STEPS_MAX ahead. */
bool pool_chain_reach(struct pool_chain *chain, uint64_t epoch);
