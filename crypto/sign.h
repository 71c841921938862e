/*
 * crypto/sign.h - Ed25519 both ways (RFC 8032), ECDSA verification (FIPS 186-5) for evidence.
 *
 * One encoding each: a signature that would verify in a second spelling does not.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { ED25519_SEED_LEN = 32, ED25519_PK_LEN = 32, ED25519_SIG_LEN = 64 };

/* An Ed25519 key pair in secret memory. Immutable: may be used by many threads. */
struct signing_key;

err signing_key_generate(struct signing_key **out);

/* Copies seed. ERR_CRYPTO: not 32 bytes. */
err signing_key_from_seed(struct signing_key **out, bytes seed);

/* Wipes. NULL is allowed. */
void signing_key_free(struct signing_key *key);

/* ED25519_PK_LEN bytes, borrowed from the key. */
const uint8_t *signing_key_public(const struct signing_key *key);

err sign_ed25519(const struct signing_key *key, bytes msg, uint8_t sig[static ED25519_SIG_LEN]);

/* Strict: S below the group order, neither pk nor R of small order, pk canonical, no cofactor.
 * ERR_CRYPTO for anything else, wrong lengths included. */
err verify_ed25519(bytes pk, bytes msg, bytes sig);

enum ec_curve { EC_P256 = 1, EC_P384 = 2 };

enum ecdsa_form {
    ECDSA_DER = 1, /* SEQUENCE of two INTEGERs, as in X.509 */
    ECDSA_RAW = 2  /* r || s, big-endian, 64 or 96 bytes, as in COSE and quotes */
};

enum { EC_POINT_MAX = 97 };

/* Length of an uncompressed point, 0x04 || x || y; 0 when the curve is unknown. */
size_t ec_point_len(enum ec_curve curve);

/* ERR_CRYPTO unless it is an uncompressed point on the curve. */
err ec_point_check(enum ec_curve curve, bytes point);

/* SHA-256 with P-256, SHA-384 with P-384. pk is the uncompressed point, or the DER of a
 * SubjectPublicKeyInfo with the named curve and that point. ERR_CRYPTO for anything that does not
 * verify: a point off the curve, another encoding, r or s out of range. */
err verify_ecdsa(enum ec_curve curve, bytes pk, bytes msg, bytes sig, enum ecdsa_form form);
