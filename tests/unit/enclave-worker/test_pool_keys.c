#include "crypto/init.h"
#include "crypto/secret.h"
#include "enclave-worker/pool_keys.h"
#include "tests/lib/law.h"

static const struct pool_key KEY_A = { { 1 } };
static const struct pool_key KEY_B = { { 2 } };
static const struct pool_chain CHAIN = { .epoch = 100, .first_id = 250, .link = { 3 } };

static struct pool_epoch epoch_of(const struct pool_chain *chain, const struct pool_key *key)
{
    struct pool_epoch e;
    pool_epoch_of(chain, key, &e);
    return e;
}

static bool same_ikm(const struct pool_epoch *a, const struct pool_epoch *b)
{
    return secret_equal(BYTES_ARRAY(a->ikm), BYTES_ARRAY(b->ikm));
}

static bool same_tag(const struct pool_epoch *a, const struct pool_epoch *b)
{
    return secret_equal(BYTES_ARRAY(a->tag), BYTES_ARRAY(b->tag));
}

static void a_pool_key_is_64_hex_digits_and_not_zero(void **state)
{
    (void)state;
    struct pool_key k = { { 0 } };
    BUF_AUTO text = BUF(256);
    for (size_t i = 0; i < POOL_KEY_LEN; i++)
        CHECK_OK(buf_add_str(&text, "a7"));
    CHECK_OK(pool_key_read(buf_view(&text), &k));
    CHECK(k.bytes[0] == 0xa7 && k.bytes[POOL_KEY_LEN - 1] == 0xa7);
    CHECK_ERR(pool_key_read(bytes_slice(buf_view(&text), 0, 62), &k), MALFORMED);
    CHECK_ERR(pool_key_read(bytes_slice(buf_view(&text), 0, 63), &k), MALFORMED);
    CHECK_ERR(pool_key_read((bytes){ 0 }, &k), MALFORMED);
    CHECK_OK(buf_add_str(&text, "a7"));
    CHECK_ERR(pool_key_read(buf_view(&text), &k), MALFORMED);
    memset(text.at, 'x', 64);
    CHECK_ERR(pool_key_read(bytes_slice(buf_view(&text), 0, 64), &k), MALFORMED);
    memset(text.at, '0', 64);
    CHECK_ERR(pool_key_read(bytes_slice(buf_view(&text), 0, 64), &k), MALFORMED);
}

static void the_same_secrets_give_the_same_keys_and_any_other_bit_others(void **state)
{
    (void)state;
    struct pool_epoch want = epoch_of(&CHAIN, &KEY_A);
    struct pool_epoch again = epoch_of(&CHAIN, &KEY_A);
    struct pool_epoch other = epoch_of(&CHAIN, &KEY_B);
    CHECK(same_ikm(&want, &again) && same_tag(&want, &again));
    CHECK(!same_ikm(&want, &other) && !same_tag(&want, &other));
    CHECK(want.epoch == 100 && want.id == (uint8_t)(250 + 100));
    for (size_t bit = 0; bit < POOL_CHAIN_LEN * 8; bit++) {
        struct pool_chain c = CHAIN;
        c.link[bit / 8] ^= (uint8_t)(1U << bit % 8);
        other = epoch_of(&c, &KEY_A);
        CHECK(!same_ikm(&want, &other) && !same_tag(&want, &other));
    }
}

static void each_step_gives_new_keys_and_the_next_id(void **state)
{
    (void)state;
    struct pool_chain chain = CHAIN;
    struct pool_epoch seen[8];
    for (size_t i = 0; i < 8; i++) {
        seen[i] = epoch_of(&chain, &KEY_A);
        CHECK(seen[i].epoch == CHAIN.epoch + i);
        for (size_t k = 0; k < i; k++)
            CHECK(!same_ikm(&seen[i], &seen[k]) && !same_tag(&seen[i], &seen[k]) &&
                  seen[i].id != seen[k].id);
        pool_chain_step(&chain);
    }
}

static void a_chain_goes_forward_only_and_not_too_far(void **state)
{
    (void)state;
    struct pool_chain chain = CHAIN;
    struct pool_chain stepped = CHAIN;
    CHECK(pool_chain_reach(&chain, CHAIN.epoch));
    CHECK(secret_equal(BYTES_ARRAY(chain.link), BYTES_ARRAY(CHAIN.link)));
    CHECK(!pool_chain_reach(&chain, CHAIN.epoch - 1));
    CHECK(!pool_chain_reach(&chain, CHAIN.epoch + POOL_STEPS_MAX + 1));
    CHECK(chain.epoch == CHAIN.epoch);
    CHECK(pool_chain_reach(&chain, CHAIN.epoch + POOL_STEPS_MAX));
    for (int i = 0; i < POOL_STEPS_MAX; i++)
        pool_chain_step(&stepped);
    CHECK(chain.epoch == stepped.epoch);
    CHECK(secret_equal(BYTES_ARRAY(chain.link), BYTES_ARRAY(stepped.link)));
}

static void epochs_follow_each_other_without_gap(void **state)
{
    (void)state;
    for (int64_t now = 36000; now < 36000 + 7300; now++) {
        struct pool_span s = pool_span_at(now, 3600, 120);
        CHECK(s.newest == s.present + 1);
        CHECK(now < pool_epoch_end(s.present, 3600));
        CHECK(now >= pool_epoch_end(s.present - 1, 3600));
        /* The oldest is within its grace, and the one before it is not. */
        CHECK(now < pool_epoch_end(s.oldest, 3600) + 120);
        CHECK(now >= pool_epoch_end(s.oldest - 1, 3600) + 120);
    }
    CHECK(pool_span_at(-5, 3600, 120).oldest == 0 && pool_span_at(60, 3600, 120).oldest == 0);
}

static void the_key_of_the_channel_tells_pools_apart(void **state)
{
    (void)state;
    uint8_t a[POOL_KEY_LEN];
    uint8_t again[POOL_KEY_LEN];
    uint8_t b[POOL_KEY_LEN];
    pool_key_psk(&KEY_A, a);
    pool_key_psk(&KEY_A, again);
    pool_key_psk(&KEY_B, b);
    CHECK(secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(again)));
    CHECK(!secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
    CHECK(!secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(KEY_A.bytes)));
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pool_key_is_64_hex_digits_and_not_zero),
        cmocka_unit_test(the_same_secrets_give_the_same_keys_and_any_other_bit_others),
        cmocka_unit_test(each_step_gives_new_keys_and_the_next_id),
        cmocka_unit_test(a_chain_goes_forward_only_and_not_too_far),
        cmocka_unit_test(epochs_follow_each_other_without_gap),
        cmocka_unit_test(the_key_of_the_channel_tells_pools_apart),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
