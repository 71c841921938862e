#include <sodium.h>
#include <string.h>

#include "crypto/init.h"
#include "crypto/x25519_batch.h"
#include "tests/lib/law.h"

static struct x25519_pair pairs[X25519_BATCH_MAX + 1];

static void every_public_key_is_that_of_its_secret_key(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 8, X25519_BATCH_MAX };
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        CHECK_OK(x25519_batch(pairs, sizes[k]));
        for (size_t i = 0; i < sizes[k]; i++) {
            uint8_t pk[32];
            CHECK(crypto_scalarmult_curve25519_base(pk, pairs[i].sk) == 0);
            CHECK_BYTES(BYTES_ARRAY(pk), BYTES_ARRAY(pairs[i].pk));
        }
    }
}

static void no_two_are_alike(void **state)
{
    (void)state;
    CHECK_OK(x25519_batch(pairs, X25519_BATCH_MAX));
    for (size_t i = 0; i < X25519_BATCH_MAX; i++) {
        for (size_t k = 0; k < i; k++) {
            CHECK(!bytes_equal(BYTES_ARRAY(pairs[i].sk), BYTES_ARRAY(pairs[k].sk)));
            CHECK(!bytes_equal(BYTES_ARRAY(pairs[i].pk), BYTES_ARRAY(pairs[k].pk)));
        }
    }
}

static void writes_no_more_than_asked_for(void **state)
{
    (void)state;
    memset(pairs, 0, sizeof pairs);
    struct x25519_pair none = { 0 };
    CHECK_OK(x25519_batch(pairs, 0));
    CHECK(memcmp(&pairs[0], &none, sizeof none) == 0);
    CHECK_OK(x25519_batch(pairs, 5));
    CHECK(memcmp(&pairs[4], &none, sizeof none) != 0);
    CHECK(memcmp(&pairs[5], &none, sizeof none) == 0);
    CHECK_OK(x25519_batch(pairs, X25519_BATCH_MAX));
    CHECK_ERR(x25519_batch(pairs, X25519_BATCH_MAX + 1), LIMIT);
    CHECK(memcmp(&pairs[X25519_BATCH_MAX], &none, sizeof none) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_key_is_that_of_its_secret_key),
        cmocka_unit_test(no_two_are_alike),
        cmocka_unit_test(writes_no_more_than_asked_for),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
