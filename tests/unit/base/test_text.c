#include "base/attr.h"
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

/* Decoded as the last digit of a group, where it is the low six bits. */
static void base64_knows_its_64_digits_and_no_others(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (unsigned c = 0; c < 256; c++) {
        const uint8_t text[4] = { 'A', 'A', 'A', (uint8_t)c };
        const char *at = c != 0 ? strchr(digits, (int)c) : NULL;
        for (int url = 0; url < 2; url++) {
            struct buf b = BUF(4);
            size_t value = at != NULL               ? (size_t)(at - digits)
                           : c == (url ? '-' : '+') ? 62U
                           : c == (url ? '_' : '/') ? 63U
                                                    : 64U;
            bool padding = c == '=' && !url; /* a shorter group then */
            err e = url ? text_base64url_decode(&b, BYTES_ARRAY(text))
                        : text_base64_decode(&b, BYTES_ARRAY(text));
            CHECK(err_is_ok(e) == (value < 64 || padding));
            if (value < 64)
                CHECK(b.len == 3 && b.at[0] == 0 && b.at[1] == 0 && b.at[2] == value);
            buf_clear(&b);
        }
    }
}

static void base64_gives_back_what_it_was_given(void **state)
{
    (void)state;
    uint8_t data[67];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 73 + 11);
    for (size_t len = 0; len <= sizeof data; len++) {
        struct buf text = BUF(128), back = BUF(128);
        CHECK_OK(text_base64_encode(&text, bytes_of(data, len)));
        CHECK(text.len == (len + 2) / 3 * 4);
        CHECK_OK(text_base64_decode(&back, buf_view(&text)));
        CHECK_BYTES(buf_view(&back), bytes_of(data, len));
        buf_clear(&text);
        buf_clear(&back);
        CHECK_OK(text_base64url_encode(&text, bytes_of(data, len)));
        CHECK_OK(text_base64url_decode(&back, buf_view(&text)));
        CHECK_BYTES(buf_view(&back), bytes_of(data, len));
        buf_clear(&text);
        buf_clear(&back);
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

static void the_first_line_has_no_line_end_and_no_blanks_around_it(void **state)
{
    (void)state;
    static const struct {
        const char *in, *line;
    } cases[] = { { "", "" },        { "\n", "" },           { "a", "a" },     { "a\n", "a" },
                  { "a\r\nb", "a" }, { " a b\t\nc", "a b" }, { "\na", "" },    { "\r\n", "" },
                  { "a\r", "a" },    { "\ra", "\ra" },       { "a \r\n", "a" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_BYTES(text_first_line(bytes_str(cases[i].in)), bytes_str(cases[i].line));
}

static void an_asterisk_stands_for_anything(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool like;
    } cases[] = {
        { "", "", true },
        { "", "*", true },
        { "a", "", false },
        { "a", "a", true },
        { "a", "b", false },
        { "abc", "a*", true },
        { "abc", "*c", true },
        { "abc", "a*c", true },
        { "abc", "*b*", true },
        { "abc", "a*b", false },
        { "aab", "*ab", true },
        { "ababc", "*abc", true },
        { "abab", "a*ab", true },
        { "ab", "a*b*", true },
        { "a", "a**", true },
        { "mississippi", "m*iss*pi", true },
        { "mississippi", "m*iss*px", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK(text_is_like(bytes_str(cases[i].text), bytes_str(cases[i].pattern)) == cases[i].like);
}

/* The same set in the words of RFC 9110 section 5.6.2. */
static void knows_every_character_of_a_token(void **state)
{
    (void)state;
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (unsigned c = 0; c < 256; c++) {
        uint8_t at[] = { 'a', (uint8_t)c, '0' };
        bool digit = c >= '0' && c <= '9';
        bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool mark = c != 0 && c < 128 && strchr(marks, (int)c) != NULL;
        CHECK(text_is_token(BYTES_ARRAY(at)) == (digit || alpha || mark));
        CHECK(text_is_token(bytes_of(at + 1, 1)) == (digit || alpha || mark));
    }
    CHECK(!text_is_token(BYTES_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_asterisk_stands_for_anything),
        cmocka_unit_test(base64_matches_rfc_4648),
        cmocka_unit_test(base64_has_one_form),
        cmocka_unit_test(base64_knows_its_64_digits_and_no_others),
        cmocka_unit_test(base64_gives_back_what_it_was_given),
        cmocka_unit_test(hex_round_trips_and_refuses),
        cmocka_unit_test(knows_utf8),
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(quotes_json),
        cmocka_unit_test(the_first_line_has_no_line_end_and_no_blanks_around_it),
        cmocka_unit_test(knows_every_character_of_a_token),
    };
    return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
