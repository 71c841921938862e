#include "attest/utc.h"
#include "tests/lib/law.h"

static void dates_of_the_calendar_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } rows[] = { { "1970-01-01T00:00:00Z", 0 },          { "2026-02-01T14:49:26Z", 1769957366 },
                 { "2024-02-29T23:59:59Z", 1709251199 }, { "2024-03-01T00:00:00Z", 1709251200 },
                 { "2000-02-29T00:00:00Z", 951782400 },  { "9999-12-31T23:59:59Z", 253402300799 },
                 { "1969-12-31T23:59:59Z", -1 } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t got = 0;
        CHECK(utc_read(bytes_str(rows[i].text), &got));
        CHECK(got == rows[i].want);
    }
}

static void other_forms_and_days_that_are_not_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-02-01T14:49:26",
        "2026-02-01T14:49:26z",
        "2026-02-01 14:49:26Z",
        "2026-02-01T14:49:26.0Z",
        "2026-02-01T14:49:26+00:00",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:60Z",
        "+026-01-01T00:00:00Z",
        "2026-1 -01T00:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t got = 0;
        CHECK(!utc_read(bytes_str(bad[i]), &got));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_of_the_calendar_are_read),
        cmocka_unit_test(other_forms_and_days_that_are_not_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
