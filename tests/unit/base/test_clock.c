#include <string.h>

#include "base/clock.h"
#include "tests/lib/law.h"

static void writes_dates(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.042Z" },
        { -1, "1969-12-31T23:59:59.042Z" },
        { 951782399, "2000-02-28T23:59:59.042Z" },
        { 951782400, "2000-02-29T00:00:00.042Z" },
        { 951868800, "2000-03-01T00:00:00.042Z" },
        { 4107542399, "2100-02-28T23:59:59.042Z" },
        { 4107542400, "2100-03-01T00:00:00.042Z" },
        { 1795164673, "2026-11-20T08:51:13.042Z" },
        { -62167219200, "0000-01-01T00:00:00.042Z" },
        { 253402300799, "9999-12-31T23:59:59.042Z" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_UTC_TEXT_LEN];
        clock_utc_text(cases[i].s * 1000 + 42, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void clamps_dates_of_more_than_four_digits(void **state)
{
    (void)state;
    char text[CLOCK_UTC_TEXT_LEN];
    clock_utc_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_utc_text(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void never_steps_back(void **state)
{
    (void)state;
    uint64_t before = clock_steady_us();
    uint64_t cpu = clock_cpu_us();
    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_steady_us();
        CHECK(now >= before);
        before = now;
    }
    CHECK(clock_cpu_us() >= cpu);
    CHECK(clock_steady_ms() >= before / 1000);
}

static void is_turned_by_hand(void **state)
{
    (void)state;
    int64_t s = clock_wall_s();
    int64_t ms = clock_wall_ms();
    clock_shift_wall_s(1000000);
    CHECK(clock_wall_s() >= s + 1000000);
    CHECK(clock_wall_ms() >= ms + 1000000000);
    clock_shift_wall_s(0);
    CHECK(clock_wall_s() < s + 1000000);
}

/* Whole seconds of two clocks: what is seen of a step may be one second off. */
static void notices_once_that_the_clock_was_set(void **state)
{
    (void)state;
    struct clock_watch w;
    clock_watch_begin(&w);
    CHECK(!clock_watch_was_set(&w));
    clock_shift_wall_s(CLOCK_SET_S - 1);
    CHECK(!clock_watch_was_set(&w));
    clock_shift_wall_s(3 * CLOCK_SET_S);
    CHECK(clock_watch_was_set(&w));
    CHECK(!clock_watch_was_set(&w));
    clock_shift_wall_s(0); /* back */
    CHECK(clock_watch_was_set(&w));
    clock_shift_wall_s(1000);
    clock_watch_begin(&w);
    CHECK(!clock_watch_was_set(&w));
    clock_shift_wall_s(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_dates),
        cmocka_unit_test(clamps_dates_of_more_than_four_digits),
        cmocka_unit_test(never_steps_back),
        cmocka_unit_test(is_turned_by_hand),
        cmocka_unit_test(notices_once_that_the_clock_was_set),
    };
    return cmocka_run_group_tests_name("base/clock", tests, NULL, NULL);
}
