#include <stdio.h>
#include <string.h>

#include "api/scan.h"
#include "tests/lib/law.h"

/* A text as its tokens, one letter each; '!' for bad, '~' for too deep, '.' for the end. */
static const char *tokens(const char *text)
{
    static char out[64];
    static const char letters[] = "!~.{}[]ksntf0";
    struct scan s;
    scan_init(&s, bytes_str(text));
    size_t n = 0;
    enum scan_token t;
    do {
        t = scan_next(&s);
        out[n++] = letters[t];
    } while (t > SCAN_END && n < sizeof out - 1);
    out[n] = '\0';
    assert_int_equal(scan_next(&s), t); /* the last word stays the last */
    return out;
}

static void reads_every_kind_of_value(void **state)
{
    (void)state;
    assert_string_equal(tokens("{}"), "{}.");
    assert_string_equal(tokens(" [ ] \n"), "[].");
    assert_string_equal(tokens("{\"a\":1,\"b\":[true,false,null,\"x\",-1.5e+3]}"), "{knk[tf0sn]}.");
    assert_string_equal(tokens("0"), "n.");
    assert_string_equal(tokens("\"\""), "s.");
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[1}",
        "{\"a\":1]",
        "1 2",
        "{}{}",
        "tru",
        "trueX",
        "nul",
        "True",
        "'a'",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\n\"",
        "\"\t\"",
        "\"\x1f\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc1\xbf\"",
        "\"\xe0\x9f\xbf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf0\x8f\xbf\xbf\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xe2\x82\"",
        "\"\xe2\x82",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800x\"",
        "\xef\xbb\xbf{}",
        "{\"a\" 1}",
        "[1 2]",
        "//\n1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *t = tokens(bad[i]);
        if (t[strlen(t) - 1] != '!')
            fail_msg("%s was read as %s", bad[i], t);
    }
}

static void accepts_the_edges_of_utf8_and_escapes(void **state)
{
    (void)state;
    static const char *const good[] = {
        "\"\x7f\"",
        "\"\xc2\x80\"",
        "\"\xdf\xbf\"",
        "\"\xe0\xa0\x80\"",
        "\"\xed\x9f\xbf\"",
        "\"\xee\x80\x80\"",
        "\"\xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80\"",
        "\"\xf4\x8f\xbf\xbf\"",
        "\"\\u0000\"",
        "\"\\ud83d\\ude00\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "-0",
        "1E5",
        "0.0e-0",
        "123456789012345678901234567890",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(tokens(good[i])[1], '.');
}

/* A fault at any place of a long string is seen, whatever the alignment. */
static void sees_a_fault_at_every_place_of_a_long_string(void **state)
{
    (void)state;
    char text[80];
    for (size_t at = 1; at < sizeof text - 2; at++) {
        memset(text, 'a', sizeof text);
        text[0] = text[sizeof text - 1] = '"';
        text[at] = '\x01';
        struct scan s;
        scan_init(&s, bytes_of(text, sizeof text));
        assert_int_equal(scan_next(&s), SCAN_BAD);
        assert_int_equal(s.at - s.start, at);
        text[at] = '"';
        scan_init(&s, bytes_of(text, sizeof text));
        assert_int_equal(scan_next(&s), SCAN_STRING);
        assert_int_equal(s.text.len, at - 1);
        assert_int_equal(scan_next(&s), SCAN_BAD);
    }
}

static void nests_up_to_the_limit_and_not_above(void **state)
{
    (void)state;
    for (size_t depth = SCAN_DEPTH_MAX; depth <= SCAN_DEPTH_MAX + 1; depth++) {
        char text[2 * SCAN_DEPTH_MAX + 2];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        struct scan s;
        scan_init(&s, bytes_of(text, 2 * depth));
        enum scan_token t;
        while ((t = scan_next(&s)) > SCAN_END)
            ;
        assert_int_equal(t, depth == SCAN_DEPTH_MAX ? SCAN_END : SCAN_DEEP);
    }
}

static void unescapes_text(void **state)
{
    (void)state;
    struct scan s;
    uint8_t out[16];
    size_t len;
    scan_init(&s, BYTES_LIT("\"a\\u0062\\n\\u00e9\\u20ac\\ud83d\\ude00\""));
    assert_int_equal(scan_next(&s), SCAN_STRING);
    CHECK(s.escaped);
    CHECK(scan_text_copy(&s, out, 12, &len));
    CHECK_BYTES(bytes_of(out, len), BYTES_LIT("ab\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
    CHECK(!scan_text_copy(&s, out, 11, &len));

    scan_init(&s, BYTES_LIT("\"m\\u006fdel\""));
    assert_int_equal(scan_next(&s), SCAN_STRING);
    CHECK(scan_text_is(&s, BYTES_LIT("model")));
    CHECK(!scan_text_is(&s, BYTES_LIT("models")));
}

static void skips_a_value_and_measures_the_first_one(void **state)
{
    (void)state;
    struct scan s;
    scan_init(&s, BYTES_LIT("[{\"a\":[1,{}]},2]"));
    assert_int_equal(scan_next(&s), SCAN_ARRAY);
    CHECK(scan_skip(&s, scan_next(&s)));
    assert_int_equal(scan_next(&s), SCAN_NUMBER);
    assert_int_equal(scan_next(&s), SCAN_ARRAY_END);

    assert_int_equal(scan_first_value(BYTES_LIT("{\"a\":1}data: {}")), 7);
    assert_int_equal(scan_first_value(BYTES_LIT(" 12 ")), 3);
    assert_int_equal(scan_first_value(BYTES_LIT("{\"a\":1")), 0);
    assert_int_equal(scan_first_value((bytes){ 0 }), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind_of_value),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(accepts_the_edges_of_utf8_and_escapes),
        cmocka_unit_test(sees_a_fault_at_every_place_of_a_long_string),
        cmocka_unit_test(nests_up_to_the_limit_and_not_above),
        cmocka_unit_test(unescapes_text),
        cmocka_unit_test(skips_a_value_and_measures_the_first_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
