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

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const int64_t days[] = { 0, 364, 365, 789, 11016, 11017, 20454, 20512, 2932896 };
    for (size_t i = 0; i < ARRAY_LEN(days); i++) {
        int64_t at = days[i] * 86400 + 86399 - (int64_t)i;
        int64_t got = 0;
        BUF_AUTO text = BUF(UTC_LEN);
        CHECK_OK(utc_write(&text, at));
        CHECK(utc_read(buf_view(&text), &got) && got == at);
    }
    BUF_AUTO text = BUF(UTC_LEN);
    CHECK_ERR(utc_write(&text, -1), MALFORMED);
    CHECK_ERR(utc_write(&text, 253402300800), MALFORMED);
    CHECK_OK(utc_write(&text, 1767225600));
    CHECK_BYTES(buf_view(&text), BYTES_LIT("2026-01-01T00:00:00Z"));
}

static void every_day_of_a_few_years_is_written_as_it_is_read(void **state)
{
    (void)state;
    for (int64_t day = 10900; day < 10900 + 5 * 366; day++) {
        int64_t got = 0;
        BUF_AUTO text = BUF(UTC_LEN);
        CHECK_OK(utc_write(&text, day * 86400));
        CHECK(utc_read(buf_view(&text), &got) && got == day * 86400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_of_the_calendar_are_read),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(every_day_of_a_few_years_is_written_as_it_is_read),
        cmocka_unit_test(other_forms_and_days_that_are_not_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
