/*
 * crypto/rsa.h - RSA signatures with SHA-256 by a key given as two numbers (TPM quotes, JWS).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 8192 };

/* Big-endian, as a JSON Web Key has them. */
struct rsa_key {
    bytes n;
    bytes e;
};

/* RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). ERR_UNSUPPORTED: a modulus outside the
 * bounds or with leading zeros, or an exponent that is not 65537. ERR_CRYPTO: it does not verify. */
err rsa_verify_sha256(const struct rsa_key *key, bytes msg, bytes sig);
