/*
 * Secret scalars are seen by libsodium alone, in constant time. The field arithmetic works on points
 * that are as public as the keys made of them, so it need not be.
 */
#include "crypto/x25519_batch.h"

#include <openssl/bn.h>
#include <sodium.h>

#include "crypto/secret.h"

enum { LEN = 32, SIGN = 0x80 };

_Static_assert(crypto_scalarmult_ed25519_BYTES == LEN, "a point is its y and the sign of its x");

/* 2^255 - 19 */
static const uint8_t prime[LEN] = { 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };

struct field {
    BN_CTX *ctx;
    BIGNUM *p;
    BIGNUM *inverse;                       /* of what is left of the product */
    BIGNUM *y[X25519_BATCH_MAX];           /* then 1 + y */
    BIGNUM *below[X25519_BATCH_MAX];       /* 1 - y */
    BIGNUM *product[X25519_BATCH_MAX + 1]; /* of those before */
};

/* The last of a frame is NULL when any of it failed. */
static err take_numbers(struct field *f, size_t n)
{
    f->p = BN_CTX_get(f->ctx);
    f->inverse = BN_CTX_get(f->ctx);
    f->product[0] = BN_CTX_get(f->ctx);
    for (size_t i = 0; i < n; i++) {
        f->y[i] = BN_CTX_get(f->ctx);
        f->below[i] = BN_CTX_get(f->ctx);
        f->product[i + 1] = BN_CTX_get(f->ctx);
    }
    ENSURE(f->product[n] != NULL, NOMEM);
    ENSURE(BN_lebin2bn(prime, LEN, f->p) != NULL && BN_one(f->product[0]) == 1, NOMEM);
    return OK;
}

static err read_point(struct field *f, size_t i, const uint8_t *y)
{
    ENSURE(BN_lebin2bn(y, LEN, f->y[i]) != NULL, NOMEM);
    ENSURE(BN_mod_sub(f->below[i], BN_value_one(), f->y[i], f->p, f->ctx) == 1, NOMEM);
    ENSURE(BN_mod_add(f->y[i], f->y[i], BN_value_one(), f->p, f->ctx) == 1, NOMEM);
    ENSURE(BN_mod_mul(f->product[i + 1], f->product[i], f->below[i], f->p, f->ctx) == 1, NOMEM);
    return OK;
}

/* From the last to the first: product[i] times the inverse of product[i + 1] inverts below[i]. */
static err write_point(struct field *f, size_t i, uint8_t *u)
{
    BIGNUM *one_below = f->product[i + 1];
    ENSURE(BN_mod_mul(one_below, f->inverse, f->product[i], f->p, f->ctx) == 1, NOMEM);
    ENSURE(BN_mod_mul(f->inverse, f->inverse, f->below[i], f->p, f->ctx) == 1, NOMEM);
    ENSURE(BN_mod_mul(one_below, one_below, f->y[i], f->p, f->ctx) == 1, NOMEM);
    ENSURE(BN_bn2lebinpad(one_below, u, LEN) == LEN, INTERNAL);
    return OK;
}

static err map_all(struct field *f, struct x25519_pair *pairs, size_t n)
{
    TRY(take_numbers(f, n));
    for (size_t i = 0; i < n; i++)
        TRY(read_point(f, i, pairs[i].pk));
    /* No multiple of the base point by one of these scalars has y = 1. */
    ENSURE(BN_mod_inverse(f->inverse, f->product[n], f->p, f->ctx) != NULL, INTERNAL);
    for (size_t i = n; i > 0; i--)
        TRY(write_point(f, i - 1, pairs[i - 1].pk));
    return OK;
}

static err map_to_montgomery(struct x25519_pair *pairs, size_t n)
{
    struct field f = { .ctx = BN_CTX_new() };
    ENSURE(f.ctx != NULL, NOMEM);
    BN_CTX_start(f.ctx);
    err e = map_all(&f, pairs, n);
    BN_CTX_end(f.ctx);
    BN_CTX_free(f.ctx);
    return e;
}

static err make_points(struct x25519_pair *pairs, size_t n)
{
    /* One system call for all; what is in the public keys' places is written over. */
    TRY(crypto_random(pairs, n * sizeof *pairs));
    for (size_t i = 0; i < n; i++) {
        ENSURE(crypto_scalarmult_ed25519_base(pairs[i].pk, pairs[i].sk) == 0, INTERNAL);
        pairs[i].pk[LEN - 1] &= (uint8_t)~SIGN;
    }
    return map_to_montgomery(pairs, n);
}

err x25519_batch(struct x25519_pair *out, size_t n)
{
    ENSURE(n <= X25519_BATCH_MAX, LIMIT);
    if (n == 0)
        return OK;
    err e = make_points(out, n);
    if (!err_is_ok(e))
        secret_wipe(out, n * sizeof *out);
    return e;
}
