#include "base/mem.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "tests/lib/law.h"

static bytes view(struct buf *b, const char *hex)
{
    law_hex(b, hex);
    return buf_view(b);
}

/* FIPS 180-4's examples: "abc" and the empty message. */
static void agrees_with_the_standards_examples(void **state)
{
    (void)state;
    BUF_AUTO want = BUF(64);
    uint8_t d[SHA512_LEN];
    sha256_of(BYTES_LIT("abc"), d);
    CHECK_BYTES(bytes_of(d, SHA256_LEN),
                view(&want, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    sha256_of((bytes){ 0 }, d);
    CHECK_BYTES(bytes_of(d, SHA256_LEN),
                view(&want, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    sha384_of(BYTES_LIT("abc"), d);
    CHECK_BYTES(bytes_of(d, SHA384_LEN),
                view(&want,
                     "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                     "8086072ba1e7cc2358baeca134c825a7"));
    struct sha512 pieces;
    uint8_t again[SHA384_LEN];
    sha384_init(&pieces);
    sha512_add(&pieces, BYTES_LIT("a"));
    sha512_add(&pieces, BYTES_LIT("bc"));
    sha384_end(&pieces, again);
    CHECK_BYTES(BYTES_ARRAY(again), bytes_of(d, SHA384_LEN));
    sha384_of((bytes){ 0 }, d);
    CHECK_BYTES(bytes_of(d, SHA384_LEN),
                view(&want,
                     "38b060a751ac96384cd9327eb1b1e36a21fdb71114be07434c0cc7bf63f6e1da"
                     "274edebfe76f65fbd51ad2f14898b95b"));
    sha512_of(BYTES_LIT("abc"), d);
    CHECK_BYTES(BYTES_ARRAY(d),
                view(&want,
                     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                     "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"));
}

/* RFC 4231, cases 1, 2, 6 (key longer than a block). */
static void hmac_agrees_with_rfc_4231(void **state)
{
    (void)state;
    BUF_AUTO want = BUF(64);
    uint8_t d[SHA256_LEN], key[131];
    for (size_t i = 0; i < 20; i++)
        key[i] = 0x0b;
    hmac_sha256(bytes_of(key, 20), BYTES_LIT("Hi There"), d);
    CHECK_BYTES(BYTES_ARRAY(d),
                view(&want, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    hmac_sha256(BYTES_LIT("Jefe"), BYTES_LIT("what do ya want for nothing?"), d);
    CHECK_BYTES(BYTES_ARRAY(d),
                view(&want, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = 0xaa;
    hmac_sha256(BYTES_ARRAY(key),
                BYTES_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), d);
    CHECK_BYTES(BYTES_ARRAY(d),
                view(&want, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

static void fill(uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(i * 31 + i / 64);
}

static void every_split_gives_the_same_digest(void **state)
{
    (void)state;
    uint8_t data[200], whole[SHA512_LEN], part[SHA512_LEN];
    fill(data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        bytes a = bytes_of(data, cut), b = bytes_of(data + cut, sizeof data - cut);
        struct sha256 h;
        sha256_init(&h);
        sha256_add(&h, a);
        sha256_add(&h, b);
        sha256_end(&h, part);
        sha256_of(BYTES_ARRAY(data), whole);
        CHECK_BYTES(bytes_of(part, SHA256_LEN), bytes_of(whole, SHA256_LEN));

        struct sha512 g;
        sha512_init(&g);
        sha512_add(&g, a);
        sha512_add(&g, b);
        sha512_end(&g, part);
        sha512_of(BYTES_ARRAY(data), whole);
        CHECK_BYTES(BYTES_ARRAY(part), BYTES_ARRAY(whole));

        struct hmac m;
        hmac_init(&m, BYTES_LIT("key"));
        hmac_add(&m, a);
        hmac_add(&m, b);
        hmac_end(&m, part);
        hmac_sha256(BYTES_LIT("key"), BYTES_ARRAY(data), whole);
        CHECK_BYTES(bytes_of(part, SHA256_LEN), bytes_of(whole, SHA256_LEN));
    }
}

/* Around every edge: nothing, less than a block, exactly one, one that both have not. */
static void two_at_once_give_what_each_gives_alone(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 200, 1000, 1024, 1999 };
    uint8_t data[2000], got_a[SHA256_LEN], got_b[SHA256_LEN], want[SHA256_LEN];
    fill(data, sizeof data);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
            bytes a = bytes_of(data, lens[i]), b = bytes_of(data + 1, lens[k]);
            sha256_of_two(a, b, got_a, got_b);
            sha256_of(a, want);
            CHECK_BYTES(BYTES_ARRAY(got_a), BYTES_ARRAY(want));
            sha256_of(b, want);
            CHECK_BYTES(BYTES_ARRAY(got_b), BYTES_ARRAY(want));
        }
    }
}

/* The long example of FIPS 180-2, B.3, beside itself but for its last byte. */
static void two_long_ones_agree_with_the_standards_example(void **state)
{
    (void)state;
    enum { MILLION = 1000000 };
    BUF_AUTO want = BUF(SHA256_LEN);
    uint8_t whole[SHA256_LEN], less[SHA256_LEN], one[SHA256_LEN];
    uint8_t *text = mem_alloc(MILLION);
    CHECK(text != NULL);
    memset(text, 'a', MILLION);
    sha256_of_two(bytes_of(text, MILLION), bytes_of(text, MILLION - 1), whole, less);
    CHECK_BYTES(BYTES_ARRAY(whole),
                view(&want, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
    sha256_of(bytes_of(text, MILLION - 1), one);
    CHECK_BYTES(BYTES_ARRAY(less), BYTES_ARRAY(one));
    mem_free(text);
}

static void a_copy_is_a_fork(void **state)
{
    (void)state;
    uint8_t a[SHA256_LEN], b[SHA256_LEN], want[SHA256_LEN];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, BYTES_LIT("common "));
    struct sha256 fork = h;
    sha256_add(&fork, BYTES_LIT("left"));
    sha256_add(&h, BYTES_LIT("right"));
    sha256_end(&fork, a);
    sha256_end(&h, b);
    sha256_of(BYTES_LIT("common left"), want);
    CHECK_BYTES(BYTES_ARRAY(a), BYTES_ARRAY(want));
    sha256_of(BYTES_LIT("common right"), want);
    CHECK_BYTES(BYTES_ARRAY(b), BYTES_ARRAY(want));
}

static void the_end_wipes_the_state(void **state)
{
    (void)state;
    uint8_t d[SHA512_LEN];
    static const uint8_t zeros[sizeof(struct hmac)];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, BYTES_LIT("prompt"));
    sha256_end(&h, d);
    CHECK_BYTES(bytes_of(&h, sizeof h), bytes_of(zeros, sizeof h));
    struct sha512 g;
    sha512_init(&g);
    sha512_add(&g, BYTES_LIT("prompt"));
    sha512_end(&g, d);
    CHECK_BYTES(bytes_of(&g, sizeof g), bytes_of(zeros, sizeof g));
    struct hmac m;
    hmac_init(&m, BYTES_LIT("key"));
    hmac_end(&m, d);
    CHECK_BYTES(bytes_of(&m, sizeof m), bytes_of(zeros, sizeof m));
}

/* RFC 2104: a key longer than a block is hashed, one of exactly a block is not. */
static void hmac_hashes_only_keys_longer_than_a_block(void **state)
{
    (void)state;
    uint8_t key[65], hashed[SHA256_LEN], a[SHA256_LEN], b[SHA256_LEN];
    fill(key, sizeof key);
    sha256_of(BYTES_ARRAY(key), hashed);
    hmac_sha256(BYTES_ARRAY(key), BYTES_LIT("m"), a);
    hmac_sha256(BYTES_ARRAY(hashed), BYTES_LIT("m"), b);
    CHECK(secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
    sha256_of(bytes_of(key, 64), hashed);
    hmac_sha256(bytes_of(key, 64), BYTES_LIT("m"), a);
    hmac_sha256(BYTES_ARRAY(hashed), BYTES_LIT("m"), b);
    CHECK(!secret_equal(BYTES_ARRAY(a), BYTES_ARRAY(b)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_standards_examples),
        cmocka_unit_test(hmac_agrees_with_rfc_4231),
        cmocka_unit_test(every_split_gives_the_same_digest),
        cmocka_unit_test(two_at_once_give_what_each_gives_alone),
        cmocka_unit_test(two_long_ones_agree_with_the_standards_example),
        cmocka_unit_test(a_copy_is_a_fork),
        cmocka_unit_test(the_end_wipes_the_state),
        cmocka_unit_test(hmac_hashes_only_keys_longer_than_a_block),
    };
    if (crypto_init().code != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
