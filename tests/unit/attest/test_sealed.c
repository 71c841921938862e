#include "attest/sealed.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

static const uint8_t ROOT[SEALED_ROOT_LEN] = { 1, 2, 3 };

static struct sealed_key *key_of(const char *vendor, const char *key_id)
{
    struct sealed_key *k = NULL;
    CHECK_OK(sealed_key_new(&k, bytes_str(vendor), bytes_str(key_id), BYTES_ARRAY(ROOT)));
    return k;
}

static void what_is_sealed_opens_and_is_never_the_same_twice(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 16, 4096, SEALED_SECRET_MAX };
    struct sealed_key *k = key_of("sev-snp", "worker");
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        BUF_AUTO secret = BUF(SEALED_SECRET_MAX);
        BUF_AUTO sealed = BUF(2 * (SEALED_SECRET_MAX + SEALED_OVERHEAD));
        BUF_AUTO opened = BUF(SEALED_SECRET_MAX + 6);
        CHECK_OK(buf_add_zeros(&secret, lengths[i]));
        CHECK_OK(sealed_write(k, buf_view(&secret), &sealed));
        CHECK(sealed.len == lengths[i] + SEALED_OVERHEAD);
        CHECK_OK(buf_add_str(&opened, "before"));
        CHECK_OK(sealed_read(k, buf_view(&sealed), &opened));
        CHECK(opened.len == 6 + lengths[i]);
        CHECK_BYTES(bytes_slice(buf_view(&opened), 6, opened.len), buf_view(&secret));
        CHECK_OK(sealed_write(k, buf_view(&secret), &sealed));
        CHECK(memcmp(sealed.at, sealed.at + sealed.len / 2, 12) != 0);
    }
    sealed_key_free(k);
}

static void a_secret_has_its_limit(void **state)
{
    (void)state;
    struct sealed_key *k = key_of("tdx", "k");
    BUF_AUTO secret = BUF(SEALED_SECRET_MAX + 1);
    BUF_AUTO sealed = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD + 1);
    CHECK_OK(buf_add_zeros(&secret, SEALED_SECRET_MAX + 1));
    CHECK_ERR(sealed_write(k, buf_view(&secret), &sealed), LIMIT);
    CHECK(sealed.len == 0);
    CHECK_OK(buf_add_zeros(&sealed, SEALED_SECRET_MAX + SEALED_OVERHEAD + 1));
    CHECK_ERR(sealed_read(k, buf_view(&sealed), &secret), CRYPTO);
    sealed_key_free(k);
}

static void check_refused(const struct sealed_key *k, bytes sealed)
{
    BUF_AUTO opened = BUF(SEALED_SECRET_MAX);
    CHECK_OK(buf_add_str(&opened, "before"));
    CHECK_ERR(sealed_read(k, sealed, &opened), CRYPTO);
    CHECK_BYTES(buf_view(&opened), BYTES_LIT("before"));
}

static void every_flipped_bit_and_every_cut_is_refused_alike(void **state)
{
    (void)state;
    struct sealed_key *k = key_of("nitro", "k");
    BUF_AUTO sealed = BUF(256);
    CHECK_OK(sealed_write(k, BYTES_LIT("a secret"), &sealed));
    for (size_t i = 0; i < 8 * sealed.len; i++) {
        sealed.at[i / 8] ^= (uint8_t)(1U << i % 8);
        check_refused(k, buf_view(&sealed));
        sealed.at[i / 8] ^= (uint8_t)(1U << i % 8);
    }
    for (size_t len = 0; len < sealed.len; len++)
        check_refused(k, bytes_of(sealed.at, len));
    CHECK_OK(buf_add_u8(&sealed, 0));
    check_refused(k, buf_view(&sealed));
    sealed_key_free(k);
}

static void another_platform_key_id_or_root_is_refused_alike(void **state)
{
    (void)state;
    static const struct {
        const char *vendor, *key_id;
    } others[] = {
        { "sev-snp", "worker-2" }, { "azure-sev-snp", "worker" }, { "tdx", "worker" },
        { "sev-snp", "Worker" },   { "sev-snpw", "orker" },       { "sev-sn", "pworker" }
    };
    uint8_t root[SEALED_ROOT_LEN];
    struct sealed_key *k = key_of("sev-snp", "worker"), *other;
    BUF_AUTO sealed = BUF(256);
    CHECK_OK(sealed_write(k, BYTES_LIT("a secret"), &sealed));
    sealed_key_free(k);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        other = key_of(others[i].vendor, others[i].key_id);
        check_refused(other, buf_view(&sealed));
        sealed_key_free(other);
    }
    for (size_t i = 0; i < sizeof root; i++) {
        memcpy(root, ROOT, sizeof root);
        root[i] ^= 0x80;
        CHECK_OK(
            sealed_key_new(&other, BYTES_LIT("sev-snp"), BYTES_LIT("worker"), BYTES_ARRAY(root)));
        check_refused(other, buf_view(&sealed));
        sealed_key_free(other);
    }
}

static void key_ids_are_short_plain_names(void **state)
{
    (void)state;
    uint8_t longest[SEALED_KEY_ID_MAX + 1];
    memset(longest, 'k', sizeof longest);
    CHECK(sealed_key_id_good(BYTES_LIT("Worker_1.a-b")));
    CHECK(sealed_key_id_good(bytes_of(longest, SEALED_KEY_ID_MAX)));
    CHECK(!sealed_key_id_good(BYTES_ARRAY(longest)) && !sealed_key_id_good((bytes){ 0 }));
    CHECK(!sealed_key_id_good(BYTES_LIT("a b")) && !sealed_key_id_good(BYTES_LIT("a\n")));
    CHECK(!sealed_key_id_good(BYTES_LIT("a/b")) && !sealed_key_id_good(BYTES_LIT("\xc3\xa4")));
}

static void a_key_needs_all_that_it_is_made_of(void **state)
{
    (void)state;
    static const uint8_t zeros[SEALED_ROOT_LEN], vendor[SEALED_VENDOR_MAX + 1] = { 'v' };
    struct sealed_key *k = NULL;
    bytes root = BYTES_ARRAY(ROOT), id = BYTES_LIT("k"), tdx = BYTES_LIT("tdx");
    CHECK_ERR(sealed_key_new(&k, tdx, id, BYTES_ARRAY(zeros)), MALFORMED);
    CHECK_ERR(sealed_key_new(&k, tdx, id, bytes_of(ROOT, SEALED_ROOT_LEN - 1)), MALFORMED);
    CHECK_ERR(sealed_key_new(&k, tdx, (bytes){ 0 }, root), MALFORMED);
    CHECK_ERR(sealed_key_new(&k, (bytes){ 0 }, id, root), MALFORMED);
    CHECK_ERR(sealed_key_new(&k, BYTES_ARRAY(vendor), id, root), MALFORMED);
    CHECK(k == NULL);
    CHECK_OK(sealed_key_new(&k, bytes_of(vendor, SEALED_VENDOR_MAX), id, root));
    sealed_key_free(k);
    sealed_key_free(NULL);
}

static err once(void *arg)
{
    struct sealed_key *k;
    BUF_AUTO sealed = BUF(256);
    BUF_AUTO opened = BUF(256);
    (void)arg;
    TRY(sealed_key_new(&k, BYTES_LIT("tdx"), BYTES_LIT("k"), BYTES_ARRAY(ROOT)));
    err e = sealed_write(k, BYTES_LIT("a secret"), &sealed);
    if (err_is_ok(e))
        e = sealed_read(k, buf_view(&sealed), &opened);
    sealed_key_free(k);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(once, NULL);
}

int main(void)
{
    CHECK_OK(crypto_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens_and_is_never_the_same_twice),
        cmocka_unit_test(a_secret_has_its_limit),
        cmocka_unit_test(every_flipped_bit_and_every_cut_is_refused_alike),
        cmocka_unit_test(another_platform_key_id_or_root_is_refused_alike),
        cmocka_unit_test(key_ids_are_short_plain_names),
        cmocka_unit_test(a_key_needs_all_that_it_is_made_of),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("attest/sealed", tests, NULL, NULL);
}
