#include "api/responses_fault.h"
#include "tests/unit/api/responses_case.h"

static void notes_where_and_what(void **state)
{
    (void)state;
    struct responses_fault fault = { 0 };
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    err e = responses_blame_word(&fault, ERROR_UNSUPPORTED_PARAMETER, BYTES_LIT("web_search_call"),
                                 "input[%d].type", 3);
    CHECK_ERR(e, MALFORMED);
    const struct api_error error = responses_error(&fault, e);
    CHECK_OK(error_write_body(&body, &error));
    assert_string_equal(shown(&body),
                        "{'error':{'message':'Unsupported parameter: 'input[3].type' "
                        "'web_search_call' cannot be honoured here.','type':"
                        "'invalid_request_error','param':'input[3].type','code':"
                        "'unsupported_parameter'}}");
}

static void shows_no_word_that_is_not_plain(void **state)
{
    (void)state;
    struct responses_fault fault = { 0 };
    CHECK_ERR(responses_blame_word(&fault, ERROR_INVALID_VALUE, BYTES_LIT("a\nb"), "x"), MALFORMED);
    assert_string_equal(fault.about, "");
    char longest[RESPONSES_ABOUT_MAX + 2];
    memset(longest, 'a', sizeof longest);
    CHECK_ERR(
        responses_blame_word(&fault, ERROR_INVALID_VALUE, bytes_of(longest, sizeof longest), "x"),
        MALFORMED);
    assert_int_equal(strlen(fault.about), RESPONSES_ABOUT_MAX);
    CHECK_ERR(responses_blame(&fault, ERROR_INVALID_VALUE, "y"), MALFORMED);
    assert_string_equal(fault.about, "");
}

static void knows_failures_that_are_nobodys_fault(void **state)
{
    (void)state;
    const struct responses_fault fault = { 0 };
    CHECK(responses_error(&fault, (err){ ERR_NOMEM }).cause == ERROR_OVERLOADED);
    CHECK(responses_error(&fault, (err){ ERR_LIMIT }).cause == ERROR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_where_and_what),
        cmocka_unit_test(shows_no_word_that_is_not_plain),
        cmocka_unit_test(knows_failures_that_are_nobodys_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
