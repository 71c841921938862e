#include "crypto/hkdf.h"
#include "tests/lib/law.h"

static bytes view(struct buf *b, const char *hex)
{
    law_hex(b, hex);
    return buf_view(b);
}

/* RFC 5869, appendix A.1 and A.3. */
static void agrees_with_rfc_5869(void **state)
{
    (void)state;
    BUF_AUTO ikm = BUF(64);
    BUF_AUTO salt = BUF(64);
    BUF_AUTO info = BUF(64);
    BUF_AUTO want = BUF(64);
    uint8_t prk[HKDF_PRK_LEN], okm[42];
    bytes key = view(&ikm, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    hkdf_extract(view(&salt, "000102030405060708090a0b0c"), key, prk);
    CHECK_BYTES(BYTES_ARRAY(prk),
                view(&want, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    CHECK_OK(hkdf_expand(prk, view(&info, "f0f1f2f3f4f5f6f7f8f9"), okm, sizeof okm));
    CHECK_BYTES(BYTES_ARRAY(okm), view(&want,
                                       "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c"
                                       "5db02d56ecc4c5bf34007208d5b887185865"));
    hkdf_extract((bytes){ 0 }, key, prk);
    CHECK_OK(hkdf_expand(prk, (bytes){ 0 }, okm, sizeof okm));
    CHECK_BYTES(BYTES_ARRAY(okm), view(&want,
                                       "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e"
                                       "c3454e5f3c738d2d9d201395faa4b61a96c8"));
}

static void an_empty_salt_is_thirty_two_zeros(void **state)
{
    (void)state;
    static const uint8_t zeros[SHA256_LEN];
    uint8_t a[HKDF_PRK_LEN], b[HKDF_PRK_LEN];
    hkdf_extract((bytes){ 0 }, BYTES_LIT("ikm"), a);
    hkdf_extract(BYTES_ARRAY(zeros), BYTES_LIT("ikm"), b);
    CHECK_BYTES(BYTES_ARRAY(a), BYTES_ARRAY(b));
}

static void the_longest_output_is_given_and_one_byte_more_is_refused(void **state)
{
    (void)state;
    uint8_t prk[HKDF_PRK_LEN] = { 1 };
    static uint8_t out[HKDF_OUT_MAX + 1];
    CHECK_OK(hkdf_expand(prk, BYTES_LIT("info"), out, HKDF_OUT_MAX));
    CHECK(out[HKDF_OUT_MAX] == 0);
    out[0] = 0x5a;
    CHECK_ERR(hkdf_expand(prk, BYTES_LIT("other"), out, HKDF_OUT_MAX + 1), LIMIT);
    CHECK(out[0] == 0x5a);
}

static void a_shorter_output_is_the_head_of_a_longer_one(void **state)
{
    (void)state;
    uint8_t prk[HKDF_PRK_LEN] = { 7 }, whole[130], part[131];
    CHECK_OK(hkdf_expand(prk, BYTES_LIT("info"), whole, sizeof whole));
    for (size_t len = 0; len <= sizeof whole; len++) {
        part[len] = 0x77;
        CHECK_OK(hkdf_expand(prk, BYTES_LIT("info"), part, len));
        CHECK_BYTES(bytes_of(part, len), bytes_of(whole, len));
        CHECK(part[len] == 0x77);
    }
}

static void pieces_are_taken_as_one_string(void **state)
{
    (void)state;
    bytes text = BYTES_LIT("one string in three pieces");
    uint8_t whole[HKDF_PRK_LEN], parts[HKDF_PRK_LEN], a[70], b[70];
    hkdf_extract(BYTES_LIT("salt"), text, whole);
    CHECK_OK(hkdf_expand(whole, text, a, sizeof a));
    for (size_t i = 0; i <= text.len; i++) {
        for (size_t j = i; j <= text.len; j++) {
            const bytes three[] = { bytes_of(text.at, i), bytes_of(text.at + i, j - i),
                                    bytes_of(text.at + j, text.len - j) };
            hkdf_extract_parts(BYTES_LIT("salt"), three, 3, parts);
            CHECK_BYTES(BYTES_ARRAY(parts), BYTES_ARRAY(whole));
            CHECK_OK(hkdf_expand_parts(whole, three, 3, b, sizeof b));
            CHECK_BYTES(BYTES_ARRAY(a), BYTES_ARRAY(b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_rfc_5869),
        cmocka_unit_test(an_empty_salt_is_thirty_two_zeros),
        cmocka_unit_test(the_longest_output_is_given_and_one_byte_more_is_refused),
        cmocka_unit_test(a_shorter_output_is_the_head_of_a_longer_one),
        cmocka_unit_test(pieces_are_taken_as_one_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
