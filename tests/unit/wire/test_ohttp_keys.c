#include "crypto/hpke.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/ohttp_keys.h"

static struct hpke_private_key *new_key(void)
{
    struct hpke_private_key *key;
    CHECK_OK(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256));
    return key;
}

static struct ohttp_key_settings settings_of(uint8_t id, int64_t not_after)
{
    return (struct ohttp_key_settings){
        .id = id,
        .suites = { { 1, AEAD_AES_256_GCM }, { 1, AEAD_AES_128_GCM } },
        .suites_n = 2,
        .not_after = not_after,
    };
}

static void add(struct ohttp_keys *keys, uint8_t id, int64_t not_after)
{
    struct ohttp_key_settings s = settings_of(id, not_after);
    CHECK_OK(ohttp_keys_add(keys, &s, new_key()));
}

static void shows_the_public_side_of_what_it_holds(void **state)
{
    (void)state;
    struct ohttp_keys *keys;
    struct key_config c;
    CHECK_OK(ohttp_keys_new(&keys));
    add(keys, 7, 100);
    CHECK(ohttp_keys_find(keys, 7, &c));
    CHECK(c.id == 7 && c.kem == KEM_X25519_HKDF_SHA256 && c.suites_n == 2);
    CHECK(c.suites[0].aead == AEAD_AES_256_GCM);
    CHECK_BYTES(c.public_key, hpke_key_public(ohttp_keys_private(keys, 7)));
    CHECK(!ohttp_keys_find(keys, 8, &c));
    CHECK(ohttp_keys_private(keys, 8) == NULL);
    ohttp_keys_free(keys);
}

static void retires_what_is_past_its_time_and_keeps_the_rest(void **state)
{
    (void)state;
    struct ohttp_keys *keys;
    CHECK_OK(ohttp_keys_new(&keys));
    add(keys, 1, 100);
    add(keys, 2, 200);
    add(keys, 3, 100);
    CHECK(ohttp_keys_retire(keys, 100) == 0);
    CHECK(ohttp_keys_retire(keys, 101) == 2);
    CHECK(ohttp_keys_count(keys) == 1);
    CHECK(ohttp_keys_private(keys, 1) == NULL && ohttp_keys_private(keys, 3) == NULL);
    CHECK(ohttp_keys_private(keys, 2) != NULL);
    add(keys, 1, 300); /* the id is free again */
    ohttp_keys_free(keys);
}

static void holds_as_many_as_allowed_and_refuses_one_more(void **state)
{
    (void)state;
    struct ohttp_keys *keys;
    CHECK_OK(ohttp_keys_new(&keys));
    for (int id = 0; id < OHTTP_KEYS_MAX; id++)
        add(keys, (uint8_t)id, 100);
    struct hpke_private_key *key = new_key();
    struct ohttp_key_settings s = settings_of(OHTTP_KEYS_MAX, 100);
    CHECK_ERR(ohttp_keys_add(keys, &s, key), LIMIT);
    s.id = 3;
    CHECK_ERR(ohttp_keys_add(keys, &s, key), EXISTS);
    hpke_key_free(key);
    CHECK(ohttp_keys_count(keys) == OHTTP_KEYS_MAX);
    ohttp_keys_free(keys);
    ohttp_keys_free(NULL);
}

static void refuses_suites_that_cannot_be_served(void **state)
{
    (void)state;
    struct ohttp_keys *keys;
    struct hpke_private_key *key = new_key();
    CHECK_OK(ohttp_keys_new(&keys));
    struct ohttp_key_settings bad[4];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = settings_of(1, 100);
    bad[0].suites_n = 0;
    bad[1].suites_n = KEYLIST_SUITES_MAX + 1;
    bad[2].suites[1].aead = HPKE_AEAD_EXPORT_ONLY;
    bad[3].suites[1].kdf = 3;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(ohttp_keys_add(keys, &bad[i], key), UNSUPPORTED);
    hpke_key_free(key);
    ohttp_keys_free(keys);
}

static int set_up(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_the_public_side_of_what_it_holds),
        cmocka_unit_test(retires_what_is_past_its_time_and_keeps_the_rest),
        cmocka_unit_test(holds_as_many_as_allowed_and_refuses_one_more),
        cmocka_unit_test(refuses_suites_that_cannot_be_served),
    };
    return cmocka_run_group_tests_name("wire/ohttp_keys", tests, set_up, NULL);
}
