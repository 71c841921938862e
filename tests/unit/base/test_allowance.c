#include "base/allowance.h"
#include "base/text.h"
#include "tests/lib/law.h"

enum { SECOND = 1000000, MINUTE = 60 * SECOND, NOW = 5 * SECOND };

static struct allowance *make(uint64_t requests, uint64_t tokens, uint64_t concurrency)
{
    struct allowance *q;
    const struct allowance_limits limits = { requests, tokens, concurrency };
    CHECK_OK(allowance_new(&q, BYTES_LIT("alice"), &limits));
    return q;
}

static void lets_all_in_where_there_is_no_limit(void **state)
{
    (void)state;
    struct allowance *q = make(0, 0, 0);
    struct allowance_view v;
    for (int i = 0; i < 1000; i++)
        CHECK(allowance_enter(q, 0, &v));
    CHECK(v.requests.limit == 0 && v.tokens.limit == 0 && v.retry_us == 0);
    allowance_unref(q);
}

static void requests_come_back_evenly(void **state)
{
    (void)state;
    struct allowance *q = make(60, 0, 0);
    struct allowance_view v;
    for (unsigned i = 0; i < 60; i++) {
        CHECK(allowance_enter(q, NOW, &v));
        CHECK(v.requests.limit == 60 && v.requests.remaining == 59 - i);
        CHECK(v.requests.reset_us == (i + 1) * SECOND);
    }
    CHECK(!allowance_enter(q, NOW, &v));
    CHECK(v.requests.remaining == 0 && v.retry_us > SECOND - 2 && v.retry_us <= SECOND + 1);
    CHECK(!allowance_enter(q, NOW + SECOND - 1, &v));
    CHECK(allowance_enter(q, NOW + SECOND, &v));
    CHECK(!allowance_enter(q, NOW + SECOND, &v));
    CHECK(allowance_enter(q, NOW + 2 * MINUTE, &v));
    CHECK(v.requests.remaining == 59);
    allowance_unref(q);
}

static void every_limit_holds_exactly(void **state)
{
    (void)state;
    static const uint64_t limits[] = { 1, 7, 59, 61, 1000, 9999 };
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct allowance *q = make(limits[i], 0, 0);
        struct allowance_view v;
        for (uint64_t k = 0; k < limits[i]; k++)
            CHECK(allowance_enter(q, NOW, &v));
        CHECK(v.requests.remaining == 0);
        CHECK(!allowance_enter(q, NOW, &v));
        allowance_unref(q);
    }
}

static void tokens_are_paid_behind_and_may_be_owed(void **state)
{
    (void)state;
    struct allowance *q = make(0, 600, 0);
    struct allowance_view v;
    CHECK(allowance_enter(q, NOW, &v));
    CHECK(v.tokens.limit == 600 && v.tokens.remaining == 600);
    allowance_charge(q, NOW, &(struct allowance_use){ .prompt_tokens = 500, .answer_tokens = 99 });
    CHECK(allowance_enter(q, NOW, &v));
    CHECK(v.tokens.remaining == 1);
    allowance_charge(q, NOW, &(struct allowance_use){ .answer_tokens = 601 });
    CHECK(!allowance_enter(q, NOW, &v));
    CHECK(v.tokens.remaining == 0 && v.tokens.reset_us == 2 * MINUTE);
    CHECK(v.retry_us > MINUTE && v.retry_us < MINUTE + SECOND);
    CHECK(!allowance_enter(q, NOW + MINUTE, &v));
    CHECK(allowance_enter(q, NOW + MINUTE + SECOND, &v));
    allowance_unref(q);
}

static void a_debt_is_an_hour_at_most(void **state)
{
    (void)state;
    struct allowance *q = make(0, 1, 0);
    struct allowance_view v;
    for (int i = 0; i < 3; i++)
        allowance_charge(q, NOW, &(struct allowance_use){ .answer_tokens = UINT64_MAX / 2 });
    CHECK(!allowance_enter(q, NOW, &v));
    CHECK(v.tokens.reset_us == UINT64_C(60) * MINUTE);
    allowance_unref(q);
}

static void as_many_run_at_a_time_as_may(void **state)
{
    (void)state;
    struct allowance *q = make(10, 0, 2);
    struct allowance_view v;
    CHECK(allowance_enter(q, NOW, &v) && allowance_enter(q, NOW, &v));
    CHECK(!allowance_enter(q, NOW, &v));
    CHECK(v.retry_us == SECOND && v.requests.remaining == 8); /* who is refused uses nothing up */
    allowance_leave(q);
    CHECK(allowance_enter(q, NOW, &v) && !allowance_enter(q, NOW, &v));
    allowance_unref(q);
}

static void limits_change_while_it_is_used(void **state)
{
    (void)state;
    struct allowance *q = make(2, 0, 0);
    struct allowance_view v;
    CHECK(allowance_enter(q, NOW, &v) && allowance_enter(q, NOW, &v) &&
          !allowance_enter(q, NOW, &v));
    allowance_set(q, &(struct allowance_limits){ .concurrency = 3 });
    CHECK(allowance_enter(q, NOW, &v) && !allowance_enter(q, NOW, &v));
    CHECK(allowance_limits_of(q).concurrency == 3 &&
          allowance_limits_of(q).requests_per_minute == 0);
    allowance_unref(q);
}

static bool has(const struct buf *text, const char *line)
{
    return text_find(buf_view(text), bytes_str(line)) < text->len;
}

static void shows_what_was_used(void **state)
{
    (void)state;
    struct allowance *q = make(1, 0, 0);
    struct allowance_view v;
    BUF_AUTO out = BUF(65536);
    CHECK(allowance_enter(q, NOW, &v) && !allowance_enter(q, NOW, &v));
    allowance_charge(q, NOW, &(struct allowance_use){ 3, 4, true });
    CHECK_OK(allowance_render(&q, 1, &out));
    CHECK(has(&out, "# TYPE sealgate_key_tokens_total counter\n"));
    CHECK(has(&out, "\nsealgate_key_requests_total{key=\"alice\"} 1\n"));
    CHECK(has(&out, "\nsealgate_key_refused_total{key=\"alice\"} 1\n"));
    CHECK(has(&out, "\nsealgate_key_estimated_total{key=\"alice\"} 1\n"));
    CHECK(has(&out, "\nsealgate_key_tokens_total{key=\"alice\",type=\"input\"} 3\n"));
    CHECK(has(&out, "\nsealgate_key_tokens_total{key=\"alice\",type=\"output\"} 4\n"));
    CHECK(has(&out, "\nsealgate_key_requests_in_flight{key=\"alice\"} 1\n"));
    buf_clear(&out);
    CHECK_OK(allowance_render(&q, 0, &out));
    CHECK(out.len == 0);
    allowance_unref(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lets_all_in_where_there_is_no_limit),
        cmocka_unit_test(requests_come_back_evenly),
        cmocka_unit_test(every_limit_holds_exactly),
        cmocka_unit_test(tokens_are_paid_behind_and_may_be_owed),
        cmocka_unit_test(a_debt_is_an_hour_at_most),
        cmocka_unit_test(as_many_run_at_a_time_as_may),
        cmocka_unit_test(limits_change_while_it_is_used),
        cmocka_unit_test(shows_what_was_used),
    };
    return cmocka_run_group_tests_name("base/allowance", tests, NULL, NULL);
}
