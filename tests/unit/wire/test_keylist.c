#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "tests/lib/law.h"
#include "wire/keylist.h"

#define PK "ae64db13a94d0d400c64b4c2e0ec93f93116a077f8d9f2d7b89bd3a6a6b52d23"
#define BARE "010020" PK "00080001000100010003"
#define EHBP "000020" PK "000400010002"
#define UNKNOWN_KEM "097777aaaaaaaa"

static err read_hex(const char *hex, enum keylist_form form, struct key_config *out, size_t max,
                    size_t *n)
{
    static struct buf b = { .max = 1 << 20 };
    law_hex(&b, hex);
    return keylist_read(buf_view(&b), form, out, max, n);
}

static void reads_a_list(void **state)
{
    (void)state;
    BUF_AUTO pk = BUF(64);
    struct key_config got[4];
    size_t n = 0;
    law_hex(&pk, PK);
    CHECK_OK(read_hex("002d" BARE "0029" EHBP, KEYLIST_PREFIXED, got, 4, &n));
    CHECK(n == 2);
    CHECK(got[0].id == 1 && got[0].kem == KEM_X25519_HKDF_SHA256 && got[0].suites_n == 2);
    CHECK_BYTES(got[0].public_key, buf_view(&pk));
    CHECK(got[0].suites[1].kdf == 1 && got[0].suites[1].aead == 3);
    CHECK(got[1].id == 0 && got[1].suites_n == 1);
    CHECK(key_config_offers(&got[0], 1, 1) && key_config_offers(&got[0], 1, 3));
    CHECK(!key_config_offers(&got[0], 1, 2) && !key_config_offers(&got[0], 2, 1));
}

static void reads_the_bare_form_only_when_asked(void **state)
{
    (void)state;
    struct key_config got[2];
    size_t n = 7;
    CHECK_ERR(read_hex(BARE, KEYLIST_PREFIXED, got, 2, &n), MALFORMED);
    CHECK_ERR(read_hex(EHBP, KEYLIST_PREFIXED, got, 2, &n), MALFORMED);
    CHECK_ERR(read_hex("002d" BARE, KEYLIST_BARE, got, 2, &n), UNSUPPORTED);
    CHECK_ERR(read_hex(UNKNOWN_KEM, KEYLIST_BARE, got, 2, &n), UNSUPPORTED);
    CHECK(n == 7);
    CHECK_OK(read_hex(EHBP, KEYLIST_BARE, got, 2, &n));
    CHECK(n == 1 && got[0].id == 0);
}

static void steps_over_unknown_kems(void **state)
{
    (void)state;
    struct key_config got[2];
    size_t n;
    CHECK_OK(read_hex("0007" UNKNOWN_KEM "002d" BARE, KEYLIST_PREFIXED, got, 2, &n));
    CHECK(n == 1 && got[0].id == 1);
    CHECK_OK(read_hex("0007" UNKNOWN_KEM, KEYLIST_PREFIXED, got, 2, &n));
    CHECK(n == 0);
}

static void discards_everything_on_any_error(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "00",
        "0000",
        "0002"
        "0100",
        "002e" BARE,
        "002c" BARE,
        "002d" BARE "00",
        "002e" BARE "00",
        "002d" BARE "0029",
        "002d" BARE "0029000020",
        "0025"
        "010020" PK "0000",
        "002b"
        "010020" PK "0006000100010001",
        "0014"
        "010020ae64db13a94d0d400c64b4c2e0ec93f931",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct key_config got[4];
        size_t n = 9;
        CHECK_ERR(read_hex(bad[i], KEYLIST_PREFIXED, got, 4, &n), MALFORMED);
        CHECK(n == 9);
    }
}

static void refuses_every_prefix_of_a_list(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    law_hex(&b, "002d" BARE "0029" EHBP);
    for (size_t len = 0; len < b.len; len++) {
        struct key_config got[2];
        size_t n;
        if (len == 2 + 45)
            continue; /* a list of one */
        CHECK_ERR(keylist_read(bytes_slice(buf_view(&b), 0, len), KEYLIST_PREFIXED, got, 2, &n),
                  MALFORMED);
    }
}

static err write_sample(struct buf *b, size_t configs, size_t suites)
{
    static const uint8_t pk[32] = { 9 };
    struct key_config c[KEYLIST_CONFIGS_MAX + 1] = { 0 };
    for (size_t i = 0; i < configs; i++) {
        c[i] = (struct key_config){ .id = (uint8_t)(i + 250),
                                    .kem = KEM_X25519_HKDF_SHA256,
                                    .public_key = BYTES_ARRAY(pk),
                                    .suites_n = suites };
        for (size_t s = 0; s < suites && s < KEYLIST_SUITES_MAX; s++)
            c[i].suites[s] = (struct key_suite){ 1, (uint16_t)(s * 300) };
    }
    return keylist_write(b, c, configs, KEYLIST_PREFIXED);
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    for (size_t suites = 1; suites <= KEYLIST_SUITES_MAX; suites++) {
        BUF_AUTO b = BUF(1 << 16);
        BUF_AUTO again = BUF(1 << 16);
        struct key_config got[KEYLIST_CONFIGS_MAX];
        size_t n;
        CHECK_OK(write_sample(&b, KEYLIST_CONFIGS_MAX, suites));
        CHECK_OK(keylist_read(buf_view(&b), KEYLIST_PREFIXED, got, KEYLIST_CONFIGS_MAX, &n));
        CHECK_OK(keylist_write(&again, got, n, KEYLIST_PREFIXED));
        CHECK_BYTES(buf_view(&again), buf_view(&b));
    }
}

static void takes_as_many_as_there_is_room_for_and_no_more(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(1 << 16);
    struct key_config got[KEYLIST_CONFIGS_MAX + 1];
    size_t n;
    CHECK_OK(write_sample(&b, KEYLIST_CONFIGS_MAX + 1, 1));
    CHECK_OK(keylist_read(buf_view(&b), KEYLIST_PREFIXED, got, KEYLIST_CONFIGS_MAX + 1, &n));
    CHECK_ERR(keylist_read(buf_view(&b), KEYLIST_PREFIXED, got, KEYLIST_CONFIGS_MAX, &n), LIMIT);
    CHECK_ERR(keylist_read(buf_view(&b), KEYLIST_BARE, got, 0, &n), LIMIT);
    buf_truncate(&b, 0);
    CHECK_ERR(write_sample(&b, 1, KEYLIST_SUITES_MAX + 1), MALFORMED);

    BUF_AUTO hex = BUF(4096);
    CHECK_OK(buf_add_str(&hex,
                         "0069"
                         "010020" PK "0044")); /* 17 pairs: 37 + 68 bytes */
    for (size_t i = 0; i < KEYLIST_SUITES_MAX + 1; i++)
        CHECK_OK(buf_add_str(&hex, "00010001"));
    CHECK_ERR(read_hex(buf_str(&hex), KEYLIST_PREFIXED, got, 1, &n), LIMIT);
}

static void refuses_to_write_what_is_no_configuration(void **state)
{
    (void)state;
    static const uint8_t pk[33] = { 9 };
    const struct key_config good = { .kem = KEM_X25519_HKDF_SHA256,
                                     .public_key = bytes_of(pk, 32),
                                     .suites_n = 1 };
    struct key_config bad[4] = { good, good, good, good };
    BUF_AUTO b = BUF(4096);
    bad[0].kem = 0x7777;
    bad[1].public_key = bytes_of(pk, 33);
    bad[2].suites_n = 0;
    bad[3].suites_n = KEYLIST_SUITES_MAX + 1;
    CHECK_OK(keylist_write(&b, &good, 1, KEYLIST_BARE));
    CHECK(b.len == 41);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct key_config pair[] = { good, bad[i] };
        CHECK_ERR(keylist_write(&b, &bad[i], 1, KEYLIST_BARE), MALFORMED);
        CHECK_ERR(keylist_write(&b, pair, 2, KEYLIST_PREFIXED), MALFORMED);
    }
    CHECK_ERR(keylist_write(&b, &good, 0, KEYLIST_PREFIXED), MALFORMED);
    CHECK_ERR(keylist_write(&b, &good, 2, KEYLIST_BARE), MALFORMED);
    CHECK(b.len == 41);
}

static void hints_at_a_configuration_by_its_digest(void **state)
{
    (void)state;
    BUF_AUTO bare = BUF(64);
    BUF_AUTO want = BUF(64);
    struct key_config c;
    size_t n;
    uint8_t digest[KEY_CONFIG_DIGEST_LEN];
    uint8_t of_bare[SHA256_LEN];
    char hint[KEY_CONFIG_HINT_LEN + 1];
    law_hex(&bare, BARE);
    sha256_of(buf_view(&bare), of_bare);
    CHECK_OK(keylist_read(buf_view(&bare), KEYLIST_BARE, &c, 1, &n));
    CHECK_OK(key_config_digest(&c, digest));
    CHECK_BYTES(BYTES_ARRAY(digest), BYTES_ARRAY(of_bare));
    CHECK_OK(key_config_hint(&c, hint));
    CHECK_OK(text_base64url_encode(&want, bytes_of(of_bare, 16)));
    assert_string_equal(hint, buf_str(&want));
    c.suites_n = 0;
    CHECK_ERR(key_config_hint(&c, hint), MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_list),
        cmocka_unit_test(reads_the_bare_form_only_when_asked),
        cmocka_unit_test(steps_over_unknown_kems),
        cmocka_unit_test(discards_everything_on_any_error),
        cmocka_unit_test(refuses_every_prefix_of_a_list),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(takes_as_many_as_there_is_room_for_and_no_more),
        cmocka_unit_test(refuses_to_write_what_is_no_configuration),
        cmocka_unit_test(hints_at_a_configuration_by_its_digest),
    };
    return cmocka_run_group_tests_name("wire/keylist", tests, NULL, NULL);
}
