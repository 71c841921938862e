#include "crypto/sign.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/secret.h"

_Static_assert(crypto_sign_SEEDBYTES == ED25519_SEED_LEN, "seed");
_Static_assert(crypto_sign_PUBLICKEYBYTES == ED25519_PK_LEN, "public key");
_Static_assert(crypto_sign_BYTES == ED25519_SIG_LEN, "signature");

struct signing_key {
    uint8_t sk[crypto_sign_SECRETKEYBYTES];
    uint8_t pk[crypto_sign_PUBLICKEYBYTES];
};

err signing_key_from_seed(struct signing_key **out, bytes seed)
{
    ENSURE(seed.len == ED25519_SEED_LEN, CRYPTO);
    void *at;
    TRY(secret_new(&at, sizeof **out));
    struct signing_key *key = at;
    (void)crypto_sign_seed_keypair(key->pk, key->sk, seed.at);
    *out = key;
    return OK;
}

err signing_key_generate(struct signing_key **out)
{
    SECRET_BYTES(seed, ED25519_SEED_LEN);
    TRY(crypto_random(seed, sizeof seed));
    return signing_key_from_seed(out, BYTES_ARRAY(seed));
}

void signing_key_free(struct signing_key *key)
{
    secret_free(key);
}

const uint8_t *signing_key_public(const struct signing_key *key)
{
    return key->pk;
}

err sign_ed25519(const struct signing_key *key, bytes msg, uint8_t sig[static ED25519_SIG_LEN])
{
    ENSURE(crypto_sign_detached(sig, NULL, msg.at, msg.len, key->sk) == 0, INTERNAL);
    return OK;
}

/* libsodium checks all that the header promises, and R against its recomputed encoding. */
err verify_ed25519(bytes pk, bytes msg, bytes sig)
{
    ENSURE(pk.len == ED25519_PK_LEN && sig.len == ED25519_SIG_LEN, CRYPTO);
    ENSURE(crypto_sign_verify_detached(sig.at, msg.at, msg.len, pk.at) == 0, CRYPTO);
    return OK;
}

enum { SCALAR_MAX = 48, DER_SIG_MAX = 2 + 2 * (2 + 1 + SCALAR_MAX) };

struct curve_row {
    enum ec_curve curve;
    char name[8]; /* OpenSSL's */
    size_t scalar_len;
    size_t digest_len;
    void (*digest)(bytes data, uint8_t *out);
    bytes spki_prefix; /* RFC 5480: everything before the point, of which there is one encoding */
};

static void digest_sha256(bytes data, uint8_t *out)
{
    sha256_of(data, out);
}

static void digest_sha384(bytes data, uint8_t *out)
{
    sha384_of(data, out);
}

static const uint8_t p256_spki[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                     0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00 };
static const uint8_t p384_spki[] = { 0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                     0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                     0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00 };

static const struct curve_row curves[] = {
    { EC_P256, "P-256", 32, SHA256_LEN, digest_sha256, { p256_spki, sizeof p256_spki } },
    { EC_P384, "P-384", 48, SHA384_LEN, digest_sha384, { p384_spki, sizeof p384_spki } },
};

static const struct curve_row *curve_find(enum ec_curve curve)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        if (curves[i].curve == curve)
            return &curves[i];
    }
    return NULL;
}

size_t ec_point_len(enum ec_curve curve)
{
    const struct curve_row *row = curve_find(curve);
    return row ? 1 + 2 * row->scalar_len : 0;
}

/* The uncompressed point in pk, or nothing. */
static bytes point_view(const struct curve_row *row, bytes pk)
{
    if (bytes_starts(pk, row->spki_prefix))
        pk = bytes_slice(pk, row->spki_prefix.len, pk.len);
    bool good = pk.at != NULL && pk.len == 1 + 2 * row->scalar_len && pk.at[0] == 0x04;
    return good ? pk : (bytes){ 0 };
}

static void pkey_free(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void pkey_ctx_free(EVP_PKEY_CTX **p)
{
    EVP_PKEY_CTX_free(*p);
}

/* Refuses a point that is not on the curve. Not d2i_PUBKEY(): six times the price, and it takes more
 * than one encoding. */
static err key_from_point(const struct curve_row *row, bytes point, EVP_PKEY **out)
{
    char group[sizeof row->name];
    uint8_t copy[EC_POINT_MAX];
    memcpy(group, row->name, sizeof group);
    memcpy(copy, point.at, point.len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, point.len),
        OSSL_PARAM_construct_end(),
    };

    CLEANUP(pkey_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    ENSURE(ctx != NULL, NOMEM);
    ENSURE(EVP_PKEY_fromdata_init(ctx) == 1, CRYPTO);
    ENSURE(EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) == 1, CRYPTO);
    return OK;
}

err ec_point_check(enum ec_curve curve, bytes point)
{
    const struct curve_row *row = curve_find(curve);
    ENSURE(row != NULL && point.len == ec_point_len(curve) && point.at[0] == 0x04, CRYPTO);
    CLEANUP(pkey_free) EVP_PKEY *key = NULL;
    return key_from_point(row, point, &key);
}

/* One INTEGER of X.690: no needless leading zero, and one where the top bit would mean a sign. */
static size_t der_put_integer(uint8_t *to, const uint8_t *be, size_t len)
{
    while (len > 1 && be[0] == 0) {
        be++;
        len--;
    }
    size_t pad = be[0] >> 7;
    to[0] = 0x02;
    to[1] = (uint8_t)(len + pad);
    to[2] = 0;
    memcpy(to + 2 + pad, be, len);
    return 2 + pad + len;
}

static err raw_to_der(const struct curve_row *row, bytes raw, uint8_t der[static DER_SIG_MAX],
                      size_t *der_len)
{
    ENSURE(raw.len == 2 * row->scalar_len, CRYPTO);
    size_t len = 2;
    len += der_put_integer(der + len, raw.at, row->scalar_len);
    len += der_put_integer(der + len, raw.at + row->scalar_len, row->scalar_len);
    der[0] = 0x30;
    der[1] = (uint8_t)(len - 2);
    *der_len = len;
    return OK;
}

static err verify_der(const struct curve_row *row, bytes point, bytes msg, bytes sig)
{
    uint8_t digest[SHA384_LEN];
    CLEANUP(pkey_free) EVP_PKEY *key = NULL;
    TRY(key_from_point(row, point, &key));
    row->digest(msg, digest);

    CLEANUP(pkey_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    ENSURE(ctx != NULL, NOMEM);
    ENSURE(EVP_PKEY_verify_init(ctx) == 1, CRYPTO);
    ENSURE(EVP_PKEY_verify(ctx, sig.at, sig.len, digest, row->digest_len) == 1, CRYPTO);
    return OK;
}

static err verify_form(const struct curve_row *row, bytes point, bytes msg, bytes sig,
                       enum ecdsa_form form)
{
    uint8_t der[DER_SIG_MAX];
    size_t der_len = 0;
    switch (form) {
    case ECDSA_DER:
        return verify_der(row, point, msg, sig);
    case ECDSA_RAW:
        TRY(raw_to_der(row, sig, der, &der_len));
        return verify_der(row, point, msg, bytes_of(der, der_len));
    }
    FAIL(UNSUPPORTED);
}

/* What OpenSSL says about a refusal must not be found later by somebody else of this thread. */
err verify_ecdsa(enum ec_curve curve, bytes pk, bytes msg, bytes sig, enum ecdsa_form form)
{
    const struct curve_row *row = curve_find(curve);
    ENSURE(row != NULL, UNSUPPORTED);
    bytes point = point_view(row, pk);
    ENSURE(point.len > 0, CRYPTO);
    err e = verify_form(row, point, msg, sig, form);
    if (e.code != ERR_OK)
        ERR_clear_error();
    return e;
}
