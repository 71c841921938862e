/*
 * crypto/hash.h - SHA-2 and HMAC (FIPS 180-4, RFC 2104).
 *
 * The running states are embedded by value and hold no pointer: copying the struct forks the hash.
 * Nothing here allocates or fails.
 */
#pragma once

#include "base/bytes.h"

enum { SHA256_LEN = 32, SHA384_LEN = 48, SHA512_LEN = 64, SHA256_BLOCK_LEN = 64 };

/* The content is the library's. Use sha256_init() first; a zeroed one is not ready. */
struct sha256 {
    uint32_t state[28];
};

struct sha512 {
    uint64_t state[27];
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, bytes data);
/* Writes the digest and wipes the state. */
void sha256_end(struct sha256 *h, uint8_t out[static SHA256_LEN]);
void sha256_of(bytes data, uint8_t out[static SHA256_LEN]);

/* The digests of two messages, which may be one. On processors with SHA instructions what both have
 * of length takes about half the time that it takes one after the other. */
void sha256_of_two(bytes a, bytes b, uint8_t out_a[static SHA256_LEN],
                   uint8_t out_b[static SHA256_LEN]);

void sha512_init(struct sha512 *h);
void sha512_add(struct sha512 *h, bytes data);
void sha512_end(struct sha512 *h, uint8_t out[static SHA512_LEN]);
void sha512_of(bytes data, uint8_t out[static SHA512_LEN]);

/* The same state: sha512_add() in between. */
void sha384_init(struct sha512 *h);
void sha384_end(struct sha512 *h, uint8_t out[static SHA384_LEN]);
void sha384_of(bytes data, uint8_t out[static SHA384_LEN]);

/* HMAC-SHA256. Keys of any length. */
struct hmac {
    struct sha256 inner;
    struct sha256 outer;
};

void hmac_init(struct hmac *m, bytes key);
void hmac_add(struct hmac *m, bytes data);
/* Writes the tag and wipes the state. Compare tags with secret_equal(). */
void hmac_end(struct hmac *m, uint8_t out[static SHA256_LEN]);
void hmac_sha256(bytes key, bytes data, uint8_t out[static SHA256_LEN]);
