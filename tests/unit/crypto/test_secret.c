#include "crypto/secret.h"
#include "tests/lib/law.h"

static void equality_sees_every_bit_and_the_length(void **state)
{
    (void)state;
    uint8_t a[40], b[40];
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = b[i] = (uint8_t)(i * 7);
    CHECK(secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(!secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
        b[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t len = 0; len < sizeof a; len++)
        CHECK(!secret_equal(BYTES_ARRAY(a), bytes_of(b, len)));
    CHECK(secret_equal((bytes){ 0 }, (bytes){ 0 }));
    CHECK(secret_equal(bytes_of(a, 0), (bytes){ 0 }));
}

static void wiping_leaves_only_zeros(void **state)
{
    (void)state;
    uint8_t a[33], zeros[33] = { 0 };
    CHECK_OK(crypto_random(a, sizeof a));
    secret_wipe(a, 32);
    CHECK_BYTES(bytes_of(a, 32), bytes_of(zeros, 32));
    secret_wipe(NULL, 0);
}

static void secret_memory_comes_zeroed_and_is_writable(void **state)
{
    (void)state;
    void *at = NULL;
    CHECK_OK(secret_new(&at, 5000));
    uint8_t *b = at;
    for (size_t i = 0; i < 5000; i++) {
        CHECK(b[i] == 0);
        b[i] = 0xa5;
    }
    secret_free(at);
    secret_free(NULL);
}

static void what_can_never_be_had_is_an_error_and_sets_nothing(void **state)
{
    (void)state;
    void *at = NULL;
    CHECK_ERR(secret_new(&at, SIZE_MAX - 1), NOMEM);
    CHECK(at == NULL);
}

/* Two draws of 32 bytes are the same once in 2^256; all lengths are filled to their last byte. */
static void random_bytes_differ_and_fill_all_of_it(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    CHECK_OK(crypto_random(a, sizeof a));
    CHECK_OK(crypto_random(b, sizeof b));
    CHECK(!secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
    CHECK_OK(crypto_random(NULL, 0));

    uint8_t seen[300] = { 0 }, draw[300];
    for (int round = 0; round < 40; round++) {
        CHECK_OK(crypto_random(draw, sizeof draw));
        for (size_t i = 0; i < sizeof draw; i++)
            seen[i] |= draw[i];
    }
    for (size_t i = 0; i < sizeof seen; i++)
        CHECK(seen[i] != 0);
}

static void a_guard_wipes_what_it_guards(void **state)
{
    (void)state;
    uint8_t key[32];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = 0x77;
    {
        CLEANUP(secret_guard_end) const struct secret_guard guard = { key, 16 };
        CHECK(key[0] == 0x77 && guard.len == 16);
    }
    for (size_t i = 0; i < sizeof key; i++)
        CHECK(key[i] == (i < 16 ? 0 : 0x77));
}

static void a_declared_secret_starts_as_zeros_and_guards_all_of_itself(void **state)
{
    (void)state;
    SECRET_BYTES(key, 24);
    SECRET(uint64_t, word);
    for (size_t i = 0; i < sizeof key; i++)
        CHECK(key[i] == 0);
    CHECK(word == 0);
    CHECK(key_guard.at == key && key_guard.len == 24);
    CHECK(word_guard.at == &word && word_guard.len == sizeof word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_sees_every_bit_and_the_length),
        cmocka_unit_test(wiping_leaves_only_zeros),
        cmocka_unit_test(secret_memory_comes_zeroed_and_is_writable),
        cmocka_unit_test(what_can_never_be_had_is_an_error_and_sets_nothing),
        cmocka_unit_test(random_bytes_differ_and_fill_all_of_it),
        cmocka_unit_test(a_guard_wipes_what_it_guards),
        cmocka_unit_test(a_declared_secret_starts_as_zeros_and_guards_all_of_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
