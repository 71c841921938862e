#include "base/httpdate.h"
#include "tests/lib/law.h"

static void writes_the_example_of_rfc_9110(void **state)
{
    (void)state;
    char text[HTTPDATE_LEN + 1];
    httpdate_write(784111777, text);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    for (int64_t at = 0; at < 253402300799; at += 86399 * 977) {
        char text[HTTPDATE_LEN + 1];
        int64_t again;
        httpdate_write(at, text);
        CHECK_OK(httpdate_read(bytes_str(text), &again));
        CHECK(again == at);
    }
}

static void refuses_other_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMTx",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t at;
        CHECK_ERR(httpdate_read(bytes_str(bad[i]), &at), MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_example_of_rfc_9110),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(refuses_other_forms),
    };
    return cmocka_run_group_tests_name("base/httpdate", tests, NULL, NULL);
}
