/*
 * crypto/hpke.h - HPKE base mode (RFC 9180), both roles.
 *
 * Base mode authenticates the recipient to the sender and not the other way round. A sender's
 * context seals and never opens, a recipient's opens and never seals; the way back uses export. A
 * context belongs to one thread at a time.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/kem.h"

enum { HPKE_KDF_HKDF_SHA256 = 0x0001, HPKE_AEAD_EXPORT_ONLY = 0xffff };

enum {
    HPKE_ENC_MAX = KEM_ENC_MAX,
    HPKE_PK_MAX = KEM_PK_MAX,
    HPKE_EXPORT_MAX = HKDF_OUT_MAX,
    HPKE_POOL_MAX = 64 /* ephemeral key pairs made ahead, per thread */
};

/* The numbers of the IANA registry, host order. */
struct hpke_suite {
    uint16_t kem;
    uint16_t kdf;
    uint16_t aead;
};

/* True when this program can run it, export-only included. */
bool hpke_suite_known(struct hpke_suite suite);

/* A recipient's key pair, in secret memory. Immutable: may be used by many threads. */
struct hpke_private_key;

/* ERR_UNSUPPORTED: unknown KEM. */
err hpke_key_generate(struct hpke_private_key **out, uint16_t kem);

/* Copies sk. ERR_CRYPTO: wrong length. */
err hpke_key_load(struct hpke_private_key **out, uint16_t kem, bytes sk);

/* Borrowed from the key. */
bytes hpke_key_public(const struct hpke_private_key *key);
uint16_t hpke_key_kem(const struct hpke_private_key *key);

/* Wipes. NULL is allowed. */
void hpke_key_free(struct hpke_private_key *key);

/* Tests only: the randomness of one encapsulation; for X25519 the ephemeral secret key. */
struct hpke_ephemeral {
    bytes sk;
};

struct hpke;

/* SetupBaseS. enc has room for HPKE_ENC_MAX; *enc_len is set. `given` is NULL outside tests.
 * ERR_UNSUPPORTED: suite unknown. ERR_CRYPTO: pk of the wrong length or of low order. */
err hpke_sender_new(struct hpke **out, struct hpke_suite suite, bytes pk, bytes info,
                    const struct hpke_ephemeral *given, uint8_t *enc, size_t *enc_len);

/* SetupBaseR. ERR_UNSUPPORTED: suite unknown, or its KEM is not the key's. ERR_CRYPTO: enc of the
 * wrong length or of low order. */
err hpke_receiver_new(struct hpke **out, struct hpke_suite suite,
                      const struct hpke_private_key *key, bytes enc, bytes info);

/* Writes pt.len + AEAD_TAG_LEN bytes and moves to the next sequence number. out may be pt.at, but
 * may not overlap otherwise. ERR_LIMIT: all 2^64 sequence numbers are used up, or pt too large.
 * ERR_DENIED: a recipient's context. ERR_UNSUPPORTED: export-only. */
err hpke_seal(struct hpke *h, bytes aad, bytes pt, uint8_t *out);

/* Writes ct.len - AEAD_TAG_LEN bytes and moves on. On ERR_CRYPTO the sequence number stays and out
 * is wiped. Otherwise as hpke_seal(), with the roles exchanged. */
err hpke_open(struct hpke *h, bytes aad, bytes ct, uint8_t *out);

/* RFC 9180 section 5.3. ERR_LIMIT: len over HPKE_EXPORT_MAX. */
err hpke_export(const struct hpke *h, bytes context, uint8_t *out, size_t len);

/* Wipes. NULL is allowed. */
void hpke_free(struct hpke *h);

/* Makes ephemeral X25519 key pairs for this thread's next senders, until it has n (at most
 * HPKE_POOL_MAX), so that a request does not wait for one, nor for the agreement if the latest
 * senders all had one recipient. Each is used once. Call when idle, and for many at a time: that is
 * cheaper. A pair takes 18 us, an agreement 30; a call makes at most 32 of these. */
err hpke_pool_fill(size_t n);

/* Key pairs that this thread holds ready. */
size_t hpke_pool_len(void);
