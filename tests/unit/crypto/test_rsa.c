#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/init.h"
#include "crypto/rsa.h"
#include "tests/lib/law.h"

static const uint8_t f4[] = { 1, 0, 1 };

/* A key pair made for the test, and a signature of "message" by it. */
struct scene {
    uint8_t n[RSA_BITS_MAX / 8];
    size_t n_len;
    uint8_t sig[RSA_BITS_MAX / 8];
    size_t sig_len;
};

static void scene_make(struct scene *s, unsigned bits, int padding, const EVP_MD *digest)
{
    BIGNUM *n = NULL;
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *key = EVP_RSA_gen(bits);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(key != NULL && md != NULL);
    CHECK(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1);
    s->n_len = (size_t)BN_bn2bin(n, s->n);
    s->sig_len = sizeof s->sig;
    CHECK(EVP_DigestSignInit(md, &ctx, digest, NULL, key) == 1);
    CHECK(EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1);
    CHECK(EVP_DigestSign(md, s->sig, &s->sig_len, (const uint8_t *)"message", 7) == 1);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    BN_free(n);
}

static err verify(const struct scene *s, bytes msg)
{
    struct rsa_key key = { bytes_of(s->n, s->n_len), BYTES_ARRAY(f4) };
    return rsa_verify_sha256(&key, msg, bytes_of(s->sig, s->sig_len));
}

static void its_own_signature_holds_and_no_other(void **state)
{
    (void)state;
    struct scene s;
    scene_make(&s, 2048, RSA_PKCS1_PADDING, EVP_sha256());
    CHECK_OK(verify(&s, BYTES_LIT("message")));
    CHECK_ERR(verify(&s, BYTES_LIT("massage")), CRYPTO);
    for (size_t bit = 0; bit < 8 * s.sig_len; bit++) {
        s.sig[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK_ERR(verify(&s, BYTES_LIT("message")), CRYPTO);
        s.sig[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    s.sig_len--;
    CHECK_ERR(verify(&s, BYTES_LIT("message")), CRYPTO);
    s.sig_len = 0;
    CHECK_ERR(verify(&s, BYTES_LIT("message")), CRYPTO);
}

static void another_padding_or_digest_is_refused(void **state)
{
    (void)state;
    struct scene s;
    scene_make(&s, 2048, RSA_PKCS1_PSS_PADDING, EVP_sha256());
    CHECK_ERR(verify(&s, BYTES_LIT("message")), CRYPTO);
    scene_make(&s, 2048, RSA_PKCS1_PADDING, EVP_sha1());
    CHECK_ERR(verify(&s, BYTES_LIT("message")), CRYPTO);
}

static void the_bounds_of_the_key_are_held(void **state)
{
    (void)state;
    static const uint8_t three[] = { 3 };
    static const uint8_t spelled[] = { 0, 1, 0, 1 };
    static uint8_t big[RSA_BITS_MAX / 8 + 1];
    struct scene s;
    scene_make(&s, 2040, RSA_PKCS1_PADDING, EVP_sha256());
    CHECK_ERR(verify(&s, BYTES_LIT("message")), UNSUPPORTED);
    scene_make(&s, 3072, RSA_PKCS1_PADDING, EVP_sha256());
    CHECK_OK(verify(&s, BYTES_LIT("message")));
    bytes sig = bytes_of(s.sig, s.sig_len);
    struct rsa_key key = { bytes_of(s.n, s.n_len), BYTES_ARRAY(three) };
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), UNSUPPORTED);
    key.e = BYTES_ARRAY(spelled);
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), UNSUPPORTED);
    key = (struct rsa_key){ BYTES_ARRAY(big), BYTES_ARRAY(f4) };
    memset(big, 0xff, sizeof big);
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), UNSUPPORTED);
    key.n.len--;
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), CRYPTO);
    big[0] = 0;
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), UNSUPPORTED);
    key = (struct rsa_key){ 0 };
    CHECK_ERR(rsa_verify_sha256(&key, BYTES_LIT("message"), sig), UNSUPPORTED);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_own_signature_holds_and_no_other),
        cmocka_unit_test(another_padding_or_digest_is_refused),
        cmocka_unit_test(the_bounds_of_the_key_are_held),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
