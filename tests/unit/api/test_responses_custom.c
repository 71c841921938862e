#include "api/responses_custom.h"
#include "tests/unit/api/responses_case.h"

/* At every cut in two, and byte by byte. */
static void check(const char *arguments, const char *want, enum responses_custom_state state)
{
    bytes in = bytes_str(arguments);
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct responses_custom c = { 0 };
        BUF_AUTO out = BUF(4096);
        CHECK_OK(responses_custom_put(&c, bytes_slice(in, 0, cut), &out));
        CHECK_OK(responses_custom_put(&c, bytes_slice(in, cut, in.len), &out));
        CHECK_BYTES(buf_view(&out), bytes_str(want));
        CHECK(c.state == state);
    }
    struct responses_custom c = { 0 };
    BUF_AUTO out = BUF(4096);
    for (size_t i = 0; i < in.len; i++)
        CHECK_OK(responses_custom_put(&c, bytes_slice(in, i, 1), &out));
    CHECK_BYTES(buf_view(&out), bytes_str(want));
}

static void takes_the_input_out_of_its_object(void **state)
{
    (void)state;
    check("{\"input\":\"abc\"}", "abc", CUSTOM_DONE);
    check(" {\n \"input\" : \"abc\" } ", "abc", CUSTOM_DONE);
    check("{\"input\":\"\"}", "", CUSTOM_DONE);
}

static void undoes_every_escape(void **state)
{
    (void)state;
    check("{\"input\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC\"}",
          "\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac", CUSTOM_DONE);
    check("{\"input\":\"\\ud83d\\ude42 \xf0\x9f\x99\x82\"}", "\xf0\x9f\x99\x82 \xf0\x9f\x99\x82",
          CUSTOM_DONE);
    check("{\"input\":\"\\ud83dx\\ude42\"}", "\xef\xbf\xbdx\xef\xbf\xbd", CUSTOM_DONE);
}

static void says_what_has_come_so_far(void **state)
{
    (void)state;
    check("{\"input\":\"abc", "abc", CUSTOM_TEXT);
    check("{\"inp", "", CUSTOM_HEAD);
    check("{\"input\":\"a\\", "a", CUSTOM_ESCAPE);
    check("{\"input\":\"a\\u00", "a", CUSTOM_HEX);
}

static void knows_what_has_another_form(void **state)
{
    (void)state;
    check("*** Begin Patch", "", CUSTOM_OTHER);
    check("{\"other\":\"x\"}", "", CUSTOM_OTHER);
    check("{\"in put\":\"x\"}", "", CUSTOM_OTHER);
    check("{\"input\":\"a\\x\"}", "a", CUSTOM_OTHER);
    check("{\"input\":\"a\\u00g0\"}", "a", CUSTOM_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_input_out_of_its_object),
        cmocka_unit_test(undoes_every_escape),
        cmocka_unit_test(says_what_has_come_so_far),
        cmocka_unit_test(knows_what_has_another_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
