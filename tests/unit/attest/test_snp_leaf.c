/* Forms an extension may have, and those it may not. Genuine leaves are read by the vectors. */
#include "attest/snp_leaf.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/snp_forge.h"

static struct snp_forge forge;

static int open_forge(void **state)
{
    (void)state;
    snp_forge_open(&forge);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int close_forge(void **state)
{
    (void)state;
    snp_forge_close(&forge);
    return 0;
}

static err read_leaf(struct snp_leaf *out)
{
    struct x509_chain *chain = NULL;
    snp_forge_make(&forge);
    const bytes certs[] = { buf_view(&forge.leaf), buf_view(&forge.ask), buf_view(&forge.ark) };
    struct x509_query q = {
        .certs = certs, .certs_n = 3, .roots = &forge.root, .roots_n = 1, .at_s = SNP_FORGE_NOW
    };
    CHECK_OK(x509_verify(&chain, &q));
    err e = snp_leaf_read(chain, out);
    x509_free(chain);
    return e;
}

static err read_with(const char *tail, bytes content)
{
    struct snp_leaf leaf;
    forge.replaced = tail;
    forge.replacement = content;
    return read_leaf(&leaf);
}

static void all_that_a_vcek_says_is_read(void **state)
{
    (void)state;
    struct snp_leaf leaf;
    forge.leaf_tcb.raw[7] = 255;
    CHECK_OK(read_leaf(&leaf));
    CHECK(!leaf.vlek && leaf.product == SNP_MILAN && leaf.structure == 0);
    CHECK_BYTES(BYTES_ARRAY(leaf.tcb.raw), BYTES_ARRAY(forge.leaf_tcb.raw));
    CHECK_BYTES(bytes_of(leaf.hwid, leaf.hwid_len), bytes_of(forge.report + 0x1a0, 64));
    CHECK(leaf.csp_id[0] == '\0' && leaf.not_after == forge.leaf_until);
}

static void all_that_a_vlek_says_is_read(void **state)
{
    (void)state;
    struct snp_leaf leaf;
    forge.vlek = true;
    CHECK_OK(read_leaf(&leaf));
    CHECK(leaf.vlek && leaf.hwid_len == 0);
    assert_string_equal(leaf.csp_id, "CN=cloud.example");
    forge.left_out = "5";
    CHECK_ERR(read_leaf(&leaf), MALFORMED);
}

static void numbers_have_one_encoding(void **state)
{
    (void)state;
    CHECK_OK(read_with("3.8", BYTES_LIT("\x02\x01\x7f")));
    CHECK_OK(read_with("3.8", BYTES_LIT("\x02\x02\x00\x80")));
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02\x01\x80")), MALFORMED); /* negative */
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02\x02\x00\x7f")), MALFORMED);
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02\x02\x01\x00")), MALFORMED); /* 256 */
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02\x01\x01\x00")), MALFORMED);
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02\x00")), MALFORMED);
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x02")), MALFORMED);
    CHECK_ERR(read_with("3.8", BYTES_LIT("\x04\x01\x01")), MALFORMED);
    CHECK_ERR(read_with("3.5", BYTES_LIT("\x04\x01\x01")), MALFORMED); /* reserved, but there */
}

static void names_are_short_and_printable(void **state)
{
    (void)state;
    CHECK_OK(read_with("2", BYTES_LIT("\x16\x05Milan")));
    CHECK_ERR(read_with("2", BYTES_LIT("\x0c\x05Milan")), MALFORMED);
    CHECK_ERR(read_with("2", BYTES_LIT("\x16\x05Mil\0n")), MALFORMED);
    CHECK_ERR(read_with("2", BYTES_LIT("\x16\x00")), MALFORMED);
    CHECK_OK(read_with("2", BYTES_LIT("\x16\x1fMilan-AAAAAAAAAAAAAAAAAAAAAAAAA")));
    CHECK_ERR(read_with("2", BYTES_LIT("\x16\x20Milan-AAAAAAAAAAAAAAAAAAAAAAAAAA")), MALFORMED);
}

static void a_hwid_is_of_one_of_two_lengths(void **state)
{
    (void)state;
    CHECK_OK(read_with("4", BYTES_LIT("12345678")));
    CHECK_OK(read_with("4", BYTES_LIT("\x04\x08"
                                      "12345678")));
    CHECK_ERR(read_with("4", BYTES_LIT("123456789")), MALFORMED);
    CHECK_ERR(read_with("4", BYTES_LIT("\x04\x07"
                                       "1234567")),
              MALFORMED);
    CHECK_ERR(read_with("4", (bytes){ 0 }), MALFORMED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_forge, close_forge)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_a_vcek_says_is_read),    TEST(all_that_a_vlek_says_is_read),
        TEST(numbers_have_one_encoding),       TEST(names_are_short_and_printable),
        TEST(a_hwid_is_of_one_of_two_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
