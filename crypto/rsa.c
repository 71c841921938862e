#include "crypto/rsa.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/attr.h"

/* What one verification needs of OpenSSL's objects, released together. */
struct work {
    BIGNUM *n;
    BIGNUM *e;
    OSSL_PARAM_BLD *builder;
    OSSL_PARAM *params;
    EVP_PKEY_CTX *maker;
    EVP_PKEY *key;
    EVP_MD_CTX *digest;
};

static void work_clear(struct work *w)
{
    EVP_MD_CTX_free(w->digest);
    EVP_PKEY_free(w->key);
    EVP_PKEY_CTX_free(w->maker);
    OSSL_PARAM_free(w->params);
    OSSL_PARAM_BLD_free(w->builder);
    BN_free(w->e);
    BN_free(w->n);
    ERR_clear_error();
}

static err check_key(const struct rsa_key *key)
{
    static const uint8_t f4[] = { 1, 0, 1 };
    ENSURE(key->n.len >= RSA_BITS_MIN / 8 && key->n.len <= RSA_BITS_MAX / 8, UNSUPPORTED);
    ENSURE((key->n.at[0] & 0x80) != 0, UNSUPPORTED);
    ENSURE(bytes_equal(key->e, BYTES_ARRAY(f4)), UNSUPPORTED);
    return OK;
}

static err make_key(struct work *w, const struct rsa_key *key)
{
    w->n = BN_bin2bn(key->n.at, (int)key->n.len, NULL);
    w->e = BN_bin2bn(key->e.at, (int)key->e.len, NULL);
    w->builder = OSSL_PARAM_BLD_new();
    ENSURE(w->n != NULL && w->e != NULL && w->builder != NULL, NOMEM);
    ENSURE(OSSL_PARAM_BLD_push_BN(w->builder, OSSL_PKEY_PARAM_RSA_N, w->n) == 1, NOMEM);
    ENSURE(OSSL_PARAM_BLD_push_BN(w->builder, OSSL_PKEY_PARAM_RSA_E, w->e) == 1, NOMEM);
    w->params = OSSL_PARAM_BLD_to_param(w->builder);
    w->maker = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    ENSURE(w->params != NULL && w->maker != NULL, NOMEM);
    ENSURE(EVP_PKEY_fromdata_init(w->maker) == 1, INTERNAL);
    ENSURE(EVP_PKEY_fromdata(w->maker, &w->key, EVP_PKEY_PUBLIC_KEY, w->params) == 1, CRYPTO);
    return OK;
}

err rsa_verify_sha256(const struct rsa_key *key, bytes msg, bytes sig)
{
    CLEANUP(work_clear) struct work w = { 0 };
    EVP_PKEY_CTX *padding = NULL;
    TRY(check_key(key));
    TRY(make_key(&w, key));
    w.digest = EVP_MD_CTX_new();
    ENSURE(w.digest != NULL, NOMEM);
    ENSURE(EVP_DigestVerifyInit(w.digest, &padding, EVP_sha256(), NULL, w.key) == 1, INTERNAL);
    ENSURE(EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PADDING) == 1, INTERNAL);
    ENSURE(EVP_DigestVerify(w.digest, sig.at, sig.len, msg.at, msg.len) == 1, CRYPTO);
    return OK;
}
