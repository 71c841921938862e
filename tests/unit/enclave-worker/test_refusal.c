#include "enclave-worker/refusal.h"
#include "tests/lib/law.h"

#define WANT(message)                                                                              \
    "{\"error\":{\"message\":\"" message "\",\"type\":\"t\",\"param\":null,\"code\":null}}"

static void check(const char *body, const char *want)
{
    BUF_AUTO out = BUF(65536);
    CHECK(!refusal_is_nested(bytes_str(body)));
    CHECK_OK(refusal_nest(bytes_str(body), "t", &out));
    assert_string_equal(buf_str(&out), want);
    CHECK(refusal_is_nested(buf_view(&out)));
}

static void knows_the_forms_that_engines_use(void **state)
{
    (void)state;
    check("{\"error\":\"no\"}", WANT("no"));
    check("{\"object\":\"error\",\"message\":\"too long\",\"type\":\"B\",\"code\":400}",
          WANT("too long"));
    check("{\"detail\":\"Not \\u00fc\\\"\"}", WANT("Not \xc3\xbc\\\""));
    check("{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"Field required\"},{\"msg\":\"b\"}]}",
          WANT("Field required"));
    check("{\"error\":\"\",\"message\":\"m\"}", WANT("m"));
}

static void leaves_what_is_nested_already(void **state)
{
    (void)state;
    CHECK(refusal_is_nested(BYTES_LIT("{\"error\":{\"message\":\"x\"}}")));
    CHECK(refusal_is_nested(BYTES_LIT("{\"type\":\"error\",\"error\":{}}")));
}

static void finds_no_message_where_there_is_none(void **state)
{
    (void)state;
    static const char *const bodies[] = { "",
                                          "<html>",
                                          "{}",
                                          "[]",
                                          "\"error\"",
                                          "{\"error\":null}",
                                          "{\"error\":5}",
                                          "{\"detail\":[]}",
                                          "{\"detail\":[{\"msg\":1}]}",
                                          "{\"detail\":\"Not Found\"}",
                                          "{\"detail\":\"Method Not Allowed\"}",
                                          "{\"error\":\"cut" };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        BUF_AUTO out = BUF(4096);
        CHECK_OK(buf_add_str(&out, "before"));
        CHECK(!refusal_is_nested(bytes_str(bodies[i])));
        CHECK_ERR(refusal_nest(bytes_str(bodies[i]), "t", &out), MALFORMED);
        assert_string_equal(buf_str(&out), "before");
    }
}

static void check_length(size_t ahead, size_t want)
{
    BUF_AUTO body = BUF(65536);
    BUF_AUTO out = BUF(65536);
    CHECK_OK(buf_add_str(&body, "{\"error\":\""));
    for (size_t i = 0; i < ahead; i++)
        CHECK_OK(buf_add_u8(&body, 'x'));
    CHECK_OK(buf_add_str(&body, "\xf0\x9f\x99\x82\"}"));
    CHECK_OK(refusal_nest(buf_view(&body), "t", &out));
    CHECK(out.len - (sizeof WANT("") - 1) == want);
}

static void cuts_long_messages_between_characters(void **state)
{
    (void)state;
    check_length(REFUSAL_MESSAGE_MAX - 4, REFUSAL_MESSAGE_MAX);
    for (size_t more = 1; more <= 3; more++)
        check_length(REFUSAL_MESSAGE_MAX - 4 + more, REFUSAL_MESSAGE_MAX - 4 + more);
    check_length(REFUSAL_MESSAGE_MAX, REFUSAL_MESSAGE_MAX);
    check_length(REFUSAL_MESSAGE_MAX + 9, REFUSAL_MESSAGE_MAX);
}

static err nest_once(void *owner)
{
    (void)owner;
    BUF_AUTO out = BUF(4096);
    return refusal_nest(BYTES_LIT("{\"detail\":[{\"msg\":\"Field required\"}]}"), "t", &out);
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(nest_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_forms_that_engines_use),
        cmocka_unit_test(leaves_what_is_nested_already),
        cmocka_unit_test(finds_no_message_where_there_is_none),
        cmocka_unit_test(cuts_long_messages_between_characters),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
