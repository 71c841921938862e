/*
 * crypto/kem.h - key encapsulation for HPKE: a table of KEMs and their sizes.
 *
 * Everyone above asks the table for sizes; nobody writes 32. A further KEM is one more row.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { /* frozen: RFC 9180 section 7.1, draft-ietf-hpke-pq */
       KEM_X25519_HKDF_SHA256 = 0x0020,
       KEM_MLKEM768_X25519 = 0x647a /* reserved: not in the table yet */
};

/* Room for every KEM that is in the table or foreseen; the last two are those of X-Wing. */
enum { KEM_SK_MAX = 32, KEM_SECRET_MAX = 32, KEM_ENC_MAX = 1120, KEM_PK_MAX = 1216 };

struct kem {
    uint16_t id;
    const char *name;
    size_t enc_len;
    size_t pk_len;
    size_t sk_len;
    size_t ephemeral_len; /* of the randomness that one encapsulation uses */
    size_t secret_len;

    /* Called by the functions below only, with every length checked. */
    err (*public_key)(const uint8_t *sk, uint8_t *pk);
    err (*derive)(bytes ikm, uint8_t *sk);
    err (*encap)(const uint8_t *pk, const uint8_t *ephemeral, uint8_t *enc, uint8_t *secret);
    err (*decap)(const uint8_t *sk, const uint8_t *pk, const uint8_t *enc, uint8_t *secret);
};

/* NULL when it is not offered. */
const struct kem *kem_find(uint16_t id);

/* A fresh key pair. sk and pk have room for sk_len and pk_len. */
err kem_generate(const struct kem *k, uint8_t *sk, uint8_t *pk);

/* DeriveKeyPair of RFC 9180 section 7.1.3: the same pair for the same ikm. ERR_CRYPTO: ikm shorter
 * than the secret key. */
err kem_derive(const struct kem *k, bytes ikm, uint8_t *sk, uint8_t *pk);

/* The public key of sk. ERR_CRYPTO: wrong length. */
err kem_public(const struct kem *k, bytes sk, uint8_t *pk);

/* Writes enc_len and secret_len bytes. `ephemeral` is empty, for fresh randomness, outside tests.
 * ERR_CRYPTO: pk of the wrong length or one that gives no secret (low order). */
err kem_encap(const struct kem *k, bytes pk, bytes ephemeral, uint8_t *enc, uint8_t *secret);

/* pk belongs to sk and spares computing it again. ERR_CRYPTO: enc of the wrong length or one that
 * gives no secret (low order). */
err kem_decap(const struct kem *k, bytes sk, bytes pk, bytes enc, uint8_t *secret);

/* X25519 alone (RFC 7748). ERR_CRYPTO when the result is all zero. */
err kem_x25519(const uint8_t sk[static 32], const uint8_t pk[static 32], uint8_t out[static 32]);
