/*
 * crypto/hkdf.h - HKDF with SHA-256 (RFC 5869).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"

enum { HKDF_PRK_LEN = SHA256_LEN, HKDF_OUT_MAX = 255 * SHA256_LEN };

/* An empty salt is read as 32 zero bytes (RFC 5869 section 2.2). */
void hkdf_extract(bytes salt, bytes ikm, uint8_t prk[static HKDF_PRK_LEN]);

/* ERR_LIMIT, and *out untouched, when len is over HKDF_OUT_MAX. */
err hkdf_expand(const uint8_t prk[static HKDF_PRK_LEN], bytes info, uint8_t *out, size_t len);

/*
 * The same with input in pieces, for the labelled forms of RFC 9180: the pieces are taken as one
 * string, without being copied together.
 */
void hkdf_extract_parts(bytes salt, const bytes *ikm, size_t n, uint8_t prk[static HKDF_PRK_LEN]);
err hkdf_expand_parts(const uint8_t prk[static HKDF_PRK_LEN], const bytes *info, size_t n,
                      uint8_t *out, size_t len);
