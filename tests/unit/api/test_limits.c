#include "api/limits.h"
#include "tests/lib/law.h"

static const char *value(const struct limits *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->fields[i].name, name) == 0)
            return l->fields[i].value;
    }
    return "";
}

static void writes_what_openai_writes(void **state)
{
    (void)state;
    const struct allowance_view v = { .requests = { 60, 59, 1000000 },
                                      .tokens = { 150000, 149984, 360000000 } };
    struct limits l;
    limits_write(&v, &l);
    CHECK(l.n == LIMITS_FIELDS_MAX);
    assert_string_equal(value(&l, "x-ratelimit-limit-requests"), "60");
    assert_string_equal(value(&l, "x-ratelimit-remaining-requests"), "59");
    assert_string_equal(value(&l, "x-ratelimit-reset-requests"), "1s");
    assert_string_equal(value(&l, "x-ratelimit-limit-tokens"), "150000");
    assert_string_equal(value(&l, "x-ratelimit-remaining-tokens"), "149984");
    assert_string_equal(value(&l, "x-ratelimit-reset-tokens"), "6m0s");
}

static void leaves_out_what_is_not_limited(void **state)
{
    (void)state;
    struct limits l;
    limits_write(&(struct allowance_view){ 0 }, &l);
    CHECK(l.n == 0);
    limits_write(&(struct allowance_view){ .tokens = { 1, 0, 0 } }, &l);
    CHECK(l.n == 3);
}

static void times_are_as_go_writes_them(void **state)
{
    (void)state;
    static const struct {
        uint64_t us;
        const char *text;
    } times[] = { { 0, "0ms" },
                  { 1, "1ms" },
                  { 12000, "12ms" },
                  { 999000, "999ms" },
                  { 999001, "1s" },
                  { 1500000, "1.500s" },
                  { 60000000, "1m0s" },
                  { 61002000, "1m1.002s" },
                  { UINT64_C(3661000000), "1h1m1s" } };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct limits l;
        limits_write(&(struct allowance_view){ .requests = { 1, 0, times[i].us } }, &l);
        assert_string_equal(value(&l, "x-ratelimit-reset-requests"), times[i].text);
    }
}

static void says_when_to_ask_again(void **state)
{
    (void)state;
    CHECK(limits_error(&(struct allowance_view){ .retry_us = 1 }).retry_after_s == 1);
    CHECK(limits_error(&(struct allowance_view){ .retry_us = 1000001 }).retry_after_s == 2);
    CHECK(limits_error(&(struct allowance_view){ .retry_us = UINT64_MAX / 2 }).retry_after_s == 60);
    CHECK(limits_error(&(struct allowance_view){ 0 }).cause == ERROR_RATE_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_openai_writes),
        cmocka_unit_test(leaves_out_what_is_not_limited),
        cmocka_unit_test(times_are_as_go_writes_them),
        cmocka_unit_test(says_when_to_ask_again),
    };
    return cmocka_run_group_tests_name("api/limits", tests, NULL, NULL);
}
