/*
 * crypto/aead.h - the three AEADs of RFC 9180, with one kept context per key and direction.
 *
 * The ids are those of the HPKE AEAD registry. A context belongs to one thread at a time. It either
 * seals or opens. Nonces are the caller's: never the same one twice under one key.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum aead_id { /* frozen: RFC 9180 section 7.3 */
               AEAD_AES_128_GCM = 1,
               AEAD_AES_256_GCM = 2,
               AEAD_CHACHA20_POLY1305 = 3
};

enum {
    AEAD_NONCE_LEN = 12,
    AEAD_TAG_LEN = 16,
    AEAD_KEY_MAX = 32,
    AEAD_INPUT_MAX = 1 << 30, /* bytes of one message, and of one aad */
    AEAD_KEPT_MAX = 64        /* contexts kept for reuse, per thread, algorithm and direction */
};

/* 0 when the id is unknown. */
size_t aead_key_len(enum aead_id id);

struct aead;

/* Copies key. ERR_UNSUPPORTED: unknown id. ERR_CRYPTO: key of the wrong length. */
err aead_new(struct aead **out, enum aead_id id, bool seals, bytes key);

/* Overwrites the key; the context may be kept for this thread's next aead_new(). NULL is allowed. */
void aead_free(struct aead *a);

/* Writes pt.len + AEAD_TAG_LEN bytes. out may be pt.at itself, but may not overlap otherwise.
 * ERR_LIMIT: over AEAD_INPUT_MAX. */
err aead_seal(struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], bytes aad, bytes pt,
              uint8_t *out);

/* Writes ct.len - AEAD_TAG_LEN bytes. out may be ct.at itself, but may not overlap otherwise.
 * ERR_CRYPTO when it is not exactly what was sealed, also when it is too short; out is then wiped. */
err aead_open(struct aead *a, const uint8_t nonce[static AEAD_NONCE_LEN], bytes aad, bytes ct,
              uint8_t *out);
