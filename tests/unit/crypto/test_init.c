#include "crypto/hpke_test.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

static const struct hpke_suite suite = { KEM_X25519_HKDF_SHA256, HPKE_KDF_HKDF_SHA256,
                                         AEAD_AES_256_GCM };

static void before_it_nothing_can_be_sealed(void **state)
{
    (void)state;
    uint8_t key[32] = { 1 }, enc[HPKE_ENC_MAX];
    size_t enc_len;
    struct aead *a = NULL;
    struct hpke *h = NULL;
    CHECK_ERR(aead_new(&a, AEAD_AES_256_GCM, true, BYTES_ARRAY(key)), INTERNAL);
    CHECK(!hpke_suite_known(suite));
    CHECK_ERR(hpke_sender_new(&h, suite, BYTES_ARRAY(key), (bytes){ 0 }, NULL, enc, &enc_len),
              UNSUPPORTED);
    CHECK(a == NULL && h == NULL);
}

static void after_it_every_algorithm_is_there_and_it_may_be_called_again(void **state)
{
    (void)state;
    uint8_t key[32] = { 1 };
    for (int round = 0; round < 2; round++) {
        CHECK_OK(crypto_init());
        CHECK(hpke_suite_known(suite));
        for (int id = AEAD_AES_128_GCM; id <= AEAD_CHACHA20_POLY1305; id++) {
            struct aead *a = NULL;
            CHECK_OK(aead_new(&a, (enum aead_id)id, true,
                              bytes_of(key, aead_key_len((enum aead_id)id))));
            aead_free(a);
        }
    }
}

/* The sanitizers see whatever it leaves behind. */
static void a_thread_may_end_often_and_go_on(void **state)
{
    (void)state;
    crypto_thread_end();
    CHECK_OK(hpke_pool_fill(2));
    crypto_thread_end();
    crypto_thread_end();
    CHECK(hpke_pool_len() == 0);
    after_it_every_algorithm_is_there_and_it_may_be_called_again(state);
    crypto_thread_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_it_nothing_can_be_sealed),
        cmocka_unit_test(after_it_every_algorithm_is_there_and_it_may_be_called_again),
        cmocka_unit_test(a_thread_may_end_often_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
