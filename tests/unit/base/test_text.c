#include "base/text.h"
#include "tests/lib/law.h"

static void base64_matches_rfc_4648(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        { "", "", "" },
        { "f", "Zg==", "Zg" },
        { "fo", "Zm8=", "Zm8" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" },
        { "fooba", "Zm9vYmE=", "Zm9vYmE" },
        { "\xfb\xff", "+/8=", "-_8" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        BUF_AUTO b = BUF(64);
        CHECK_OK(text_base64_encode(&b, bytes_str(cases[i][0])));
        CHECK_BYTES(buf_view(&b), bytes_str(cases[i][1]));
        buf_truncate(&b, 0);
        CHECK_OK(text_base64url_encode(&b, bytes_str(cases[i][0])));
        CHECK_BYTES(buf_view(&b), bytes_str(cases[i][2]));
        buf_truncate(&b, 0);
        CHECK_OK(text_base64_decode(&b, bytes_str(cases[i][1])));
        CHECK_BYTES(buf_view(&b), bytes_str(cases[i][0]));
        buf_truncate(&b, 0);
        CHECK_OK(text_base64url_decode(&b, bytes_str(cases[i][2])));
        CHECK_BYTES(buf_view(&b), bytes_str(cases[i][0]));
    }
}

static void base64_has_one_form(void **state)
{
    (void)state;
    static const char *const bad[] = { "Zg",   "Zg=",    "Zh==", "Z===",    "Zm9=",
                                       "Zm 9", "Zm9v\n", "====", "Zg==Zg==" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO b = BUF(64);
        CHECK_ERR(text_base64_decode(&b, bytes_str(bad[i])), MALFORMED);
    }
}

static void hex_round_trips_and_refuses(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(64);
    law_hex(&b, "00fFa5");
    BUF_AUTO h = BUF(64);
    CHECK_OK(text_hex_encode(&h, buf_view(&b)));
    CHECK_BYTES(buf_view(&h), BYTES_LIT("00ffa5"));
    CHECK_ERR(text_hex_decode(&b, BYTES_LIT("0")), MALFORMED);
    CHECK_ERR(text_hex_decode(&b, BYTES_LIT("0g")), MALFORMED);
}

static void knows_utf8(void **state)
{
    (void)state;
    CHECK(text_is_utf8(BYTES_LIT("")));
    CHECK(text_is_utf8(BYTES_LIT("plain ascii that is longer than eight")));
    CHECK(text_is_utf8(BYTES_LIT("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 \xe4\xb8\xad\xe6\x96\x87")));
    CHECK(!text_is_utf8(BYTES_LIT("\xc0\xaf")));
    CHECK(!text_is_utf8(BYTES_LIT("\xed\xa0\x80")));
    CHECK(!text_is_utf8(BYTES_LIT("\xf4\x90\x80\x80")));
    CHECK(!text_is_utf8(BYTES_LIT("12345678\xe4\xb8")));
    CHECK(!text_is_utf8(BYTES_LIT("\xff")));
}

static void numbers_are_digits_that_fit(void **state)
{
    (void)state;
    uint64_t v;
    CHECK(text_u64(BYTES_LIT("18446744073709551615"), &v) && v == UINT64_MAX);
    CHECK(!text_u64(BYTES_LIT("18446744073709551616"), &v));
    CHECK(!text_u64(BYTES_LIT(""), &v));
    CHECK(!text_u64(BYTES_LIT("+1"), &v));
    CHECK(!text_u64(BYTES_LIT("1 "), &v));
}

static void quotes_json(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    CHECK_OK(text_json_quote(&b, BYTES_LIT("a\"b\\\n\x01\xff\xc3\xbc")));
    CHECK_BYTES(buf_view(&b), BYTES_LIT("\"a\\\"b\\\\\\n\\u0001\xef\xbf\xbd\xc3\xbc\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_matches_rfc_4648),     cmocka_unit_test(base64_has_one_form),
        cmocka_unit_test(hex_round_trips_and_refuses), cmocka_unit_test(knows_utf8),
        cmocka_unit_test(numbers_are_digits_that_fit), cmocka_unit_test(quotes_json),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
