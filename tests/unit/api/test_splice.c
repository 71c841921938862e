#include "api/peek.h"
#include "api/splice.h"
#include "tests/lib/law.h"

static const struct splice_edit EDITS[] = {
    { SPLICE_REPLACE, BYTES_LIT("model"), BYTES_LIT("\"real\"") },
    { SPLICE_SET, BYTES_LIT("cache_salt"), BYTES_LIT("\"s\"") },
    { SPLICE_ADD, BYTES_LIT("stream_options"), BYTES_LIT("{\"include_usage\":true}") },
};

static void check(const char *in, const char *want)
{
    BUF_AUTO out = BUF(4096);
    CHECK_OK(splice_object(&out, bytes_str(in), EDITS, ARRAY_LEN(EDITS)));
    CHECK_BYTES(buf_view(&out), bytes_str(want));
    CHECK(peek_is_json(buf_view(&out)));
}

static void changes_members_and_nothing_else(void **state)
{
    (void)state;
    check(
        " { \"a\" : 1.50e1 ,\"model\" : \"x\" , "
        "\"cache_salt\":[1,{\"b\":2}],\"stream_options\":null}\n",
        " { \"a\" : 1.50e1 ,\"model\" : \"real\" , "
        "\"cache_salt\":\"s\",\"stream_options\":null}\n");
}

static void adds_what_is_missing_at_the_end(void **state)
{
    (void)state;
    check("{}", "{\"cache_salt\":\"s\",\"stream_options\":{\"include_usage\":true}}");
    check("{\"x\":{\"model\":1}}",
          "{\"x\":{\"model\":1},\"cache_salt\":\"s\",\"stream_options\":{\"include_usage\":true}}");
}

static void changes_a_member_wherever_it_stands_and_however_it_is_written(void **state)
{
    (void)state;
    check(
        "{\"model\":1,\"m\\u006fdel\":\"y\",\"cache\\u005fsalt\":\"mine\",\"cache_salt\":0,"
        "\"stream_options\":{}}",
        "{\"model\":\"real\",\"m\\u006fdel\":\"real\",\"cache\\u005fsalt\":\"s\","
        "\"cache_salt\":\"s\",\"stream_options\":{}}");
}

static void refuses_what_is_not_one_object(void **state)
{
    (void)state;
    static const char *const bad[] = { "",         "[]",   "1",          "{",
                                       "{\"a\":}", "{}{}", "{\"a\":1,}", "{\"model\":tru}" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO out = BUF(4096);
        CHECK_OK(buf_add_str(&out, "kept"));
        CHECK_ERR(splice_object(&out, bytes_str(bad[i]), EDITS, ARRAY_LEN(EDITS)), MALFORMED);
        CHECK_BYTES(buf_view(&out), BYTES_LIT("kept"));
    }
}

static void has_limits(void **state)
{
    (void)state;
    struct splice_edit many[SPLICE_EDITS_MAX + 1];
    BUF_AUTO out = BUF(4096);
    BUF_AUTO small = BUF(4);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = EDITS[0];
    CHECK_OK(splice_object(&out, BYTES_LIT("{}"), many, SPLICE_EDITS_MAX));
    CHECK_ERR(splice_object(&out, BYTES_LIT("{}"), many, SPLICE_EDITS_MAX + 1), LIMIT);
    CHECK_ERR(splice_object(&small, BYTES_LIT("{\"a\":1}"), EDITS, 1), LIMIT);
    CHECK(small.len == 0);
}

static err splice_once(void *arg)
{
    (void)arg;
    BUF_AUTO out = BUF(4096);
    return splice_object(&out, BYTES_LIT("{\"model\":\"x\"}"), EDITS, ARRAY_LEN(EDITS));
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(splice_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_members_and_nothing_else),
        cmocka_unit_test(adds_what_is_missing_at_the_end),
        cmocka_unit_test(changes_a_member_wherever_it_stands_and_however_it_is_written),
        cmocka_unit_test(refuses_what_is_not_one_object),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("api/splice", tests, NULL, NULL);
}
