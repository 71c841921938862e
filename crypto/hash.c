/* The low-level functions are marked as deprecated in OpenSSL 3 in favour of EVP, which costs 1.7
 * times as much for a short message and allocates. They are kept through all of 3.x, take the same
 * SHA-NI code path, and cannot fail. This file is the only one that may use them. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/hash.h"

#include <openssl/sha.h>
#include <string.h>

#include "crypto/secret.h"
#include "crypto/sha256_pair.h"

_Static_assert(sizeof(SHA256_CTX) == sizeof(struct sha256), "struct sha256 holds a SHA256_CTX");
_Static_assert(sizeof(SHA512_CTX) == sizeof(struct sha512), "struct sha512 holds a SHA512_CTX");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct sha256), "and is aligned for one");
_Static_assert(_Alignof(SHA512_CTX) <= _Alignof(struct sha512), "and is aligned for one");

static SHA256_CTX *ctx256(struct sha256 *h)
{
    return (SHA256_CTX *)(void *)h->state;
}

static SHA512_CTX *ctx512(struct sha512 *h)
{
    return (SHA512_CTX *)(void *)h->state;
}

void sha256_init(struct sha256 *h)
{
    (void)SHA256_Init(ctx256(h));
}

void sha256_add(struct sha256 *h, bytes data)
{
    if (data.len > 0)
        (void)SHA256_Update(ctx256(h), data.at, data.len);
}

void sha256_end(struct sha256 *h, uint8_t out[static SHA256_LEN])
{
    (void)SHA256_Final(out, ctx256(h));
    secret_wipe(h, sizeof *h);
}

void sha256_of(bytes data, uint8_t out[static SHA256_LEN])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, data);
    sha256_end(&h, out);
}

static void lane_begin(struct sha256_lane *lane, struct sha256 *h, bytes data)
{
    sha256_init(h);
    _Static_assert(sizeof lane->state == sizeof ctx256(h)->h, "eight words of four bytes");
    memcpy(lane->state, ctx256(h)->h, sizeof lane->state);
    lane->at = data.at;
}

/* Goes on with the bytes behind what the lane has done. */
static void lane_end(const struct sha256_lane *lane, struct sha256 *h, bytes data,
                     uint8_t out[static SHA256_LEN])
{
    size_t done = (size_t)(lane->at - data.at);
    uint64_t bits = (uint64_t)done * 8;
    memcpy(ctx256(h)->h, lane->state, sizeof lane->state);
    ctx256(h)->Nl = (SHA_LONG)bits;
    ctx256(h)->Nh = (SHA_LONG)(bits >> 32);
    sha256_add(h, bytes_slice(data, done, data.len));
    sha256_end(h, out);
}

void sha256_of_two(bytes a, bytes b, uint8_t out_a[static SHA256_LEN],
                   uint8_t out_b[static SHA256_LEN])
{
    struct sha256_lane lanes[2];
    struct sha256 h[2];
    size_t blocks = (a.len < b.len ? a.len : b.len) / SHA256_BLOCK_LEN;
    if (blocks == 0 || !sha256_pair_usable()) {
        sha256_of(a, out_a);
        sha256_of(b, out_b);
        return;
    }
    lane_begin(&lanes[0], &h[0], a);
    lane_begin(&lanes[1], &h[1], b);
    sha256_pair_blocks(lanes, blocks);
    lane_end(&lanes[0], &h[0], a, out_a);
    lane_end(&lanes[1], &h[1], b, out_b);
    secret_wipe(lanes, sizeof lanes);
}

void sha512_init(struct sha512 *h)
{
    (void)SHA512_Init(ctx512(h));
}

void sha512_add(struct sha512 *h, bytes data)
{
    if (data.len > 0)
        (void)SHA512_Update(ctx512(h), data.at, data.len);
}

void sha512_end(struct sha512 *h, uint8_t out[static SHA512_LEN])
{
    (void)SHA512_Final(out, ctx512(h));
    secret_wipe(h, sizeof *h);
}

void sha512_of(bytes data, uint8_t out[static SHA512_LEN])
{
    struct sha512 h;
    sha512_init(&h);
    sha512_add(&h, data);
    sha512_end(&h, out);
}

void sha384_init(struct sha512 *h)
{
    (void)SHA384_Init(ctx512(h));
}

void sha384_end(struct sha512 *h, uint8_t out[static SHA384_LEN])
{
    (void)SHA384_Final(out, ctx512(h));
    secret_wipe(h, sizeof *h);
}

void sha384_of(bytes data, uint8_t out[static SHA384_LEN])
{
    struct sha512 h;
    sha384_init(&h);
    sha512_add(&h, data);
    sha384_end(&h, out);
}

/* HMAC(K, m) = H((K ^ opad) || H((K ^ ipad) || m)), K padded with zeros to a block, and hashed first
 * when it is longer than one. */
void hmac_init(struct hmac *m, bytes key)
{
    enum { IPAD = 0x36, OPAD = 0x5c };
    SECRET_BYTES(pad, SHA256_BLOCK_LEN);
    if (key.len > SHA256_BLOCK_LEN)
        sha256_of(key, pad);
    else if (key.len > 0)
        memcpy(pad, key.at, key.len);

    for (size_t i = 0; i < SHA256_BLOCK_LEN; i++)
        pad[i] ^= IPAD;
    sha256_init(&m->inner);
    sha256_add(&m->inner, BYTES_ARRAY(pad));

    for (size_t i = 0; i < SHA256_BLOCK_LEN; i++)
        pad[i] ^= IPAD ^ OPAD;
    sha256_init(&m->outer);
    sha256_add(&m->outer, BYTES_ARRAY(pad));
}

void hmac_add(struct hmac *m, bytes data)
{
    sha256_add(&m->inner, data);
}

void hmac_end(struct hmac *m, uint8_t out[static SHA256_LEN])
{
    SECRET_BYTES(inner, SHA256_LEN);
    sha256_end(&m->inner, inner);
    sha256_add(&m->outer, BYTES_ARRAY(inner));
    sha256_end(&m->outer, out);
}

void hmac_sha256(bytes key, bytes data, uint8_t out[static SHA256_LEN])
{
    struct hmac m;
    hmac_init(&m, key);
    hmac_add(&m, data);
    hmac_end(&m, out);
}
