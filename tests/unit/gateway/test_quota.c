#include "crypto/init.h"
#include "gateway/quota.h"
#include "tests/lib/law.h"

static const uint8_t ANN[] = { 1, 2, 3, 4 };
static const uint8_t BOB[] = { 1, 2, 3, 5 };

static enum quota_verdict ask(struct quota *q, bytes who, uint64_t now_ms, uint64_t *ticket)
{
    return quota_enter(q, who, now_ms, ticket);
}

static void so_many_per_second_and_callers_are_told_apart(void **state)
{
    (void)state;
    struct quota *q;
    uint64_t t;
    CHECK_OK(quota_new(&q, 5, 0));
    for (int i = 0; i < 5 * QUOTA_BURST_S; i++) {
        CHECK(ask(q, BYTES_ARRAY(ANN), 1000, &t) == QUOTA_FINE);
        quota_leave(q, t);
    }
    CHECK(ask(q, BYTES_ARRAY(ANN), 1000, &t) == QUOTA_TOO_FAST);
    CHECK(ask(q, BYTES_ARRAY(BOB), 1000, &t) == QUOTA_FINE);
    CHECK(ask(q, BYTES_ARRAY(ANN), 1199, &t) == QUOTA_TOO_FAST);
    CHECK(ask(q, BYTES_ARRAY(ANN), 1200, &t) == QUOTA_FINE);
    CHECK(ask(q, BYTES_ARRAY(ANN), 1200, &t) == QUOTA_TOO_FAST);
    CHECK(ask(q, BYTES_ARRAY(ANN), UINT64_MAX, &t) == QUOTA_FINE);
    quota_free(q);
}

/* Threads look at the clock before they come to the table. */
static void a_clock_that_is_a_little_behind_earns_nothing(void **state)
{
    (void)state;
    struct quota *q;
    uint64_t t;
    CHECK_OK(quota_new(&q, 1, 0));
    for (int i = 0; i < QUOTA_BURST_S; i++) {
        CHECK(ask(q, BYTES_ARRAY(ANN), 10000, &t) == QUOTA_FINE);
        quota_leave(q, t);
    }
    CHECK(ask(q, BYTES_ARRAY(ANN), 9999, &t) == QUOTA_TOO_FAST);
    CHECK(ask(q, BYTES_ARRAY(ANN), 10999, &t) == QUOTA_TOO_FAST);
    CHECK(ask(q, BYTES_ARRAY(ANN), 11000, &t) == QUOTA_FINE);
    quota_free(q);
}

static void so_many_at_a_time(void **state)
{
    (void)state;
    struct quota *q;
    uint64_t first, second, third;
    CHECK_OK(quota_new(&q, 0, 2));
    CHECK(ask(q, BYTES_ARRAY(ANN), 0, &first) == QUOTA_FINE);
    CHECK(ask(q, BYTES_ARRAY(ANN), 0, &second) == QUOTA_FINE);
    CHECK(ask(q, BYTES_ARRAY(ANN), 100000, &third) == QUOTA_FULL);
    CHECK(ask(q, BYTES_ARRAY(BOB), 100000, &third) == QUOTA_FINE);
    quota_leave(q, first);
    CHECK(ask(q, BYTES_ARRAY(ANN), 100000, &third) == QUOTA_FINE);
    CHECK(ask(q, BYTES_ARRAY(ANN), 100000, &third) == QUOTA_FULL);
    quota_free(q);
}

/* More callers than fit, all with a request under way: some are refused, none is forgotten. */
static void a_full_table_refuses_and_forgets_nobody(void **state)
{
    (void)state;
    enum { CALLERS = 2 * QUOTA_CALLERS_MAX };
    struct quota *q;
    size_t fine = 0;
    uint64_t t;
    CHECK_OK(quota_new(&q, 0, 1));
    for (uint32_t i = 0; i < CALLERS; i++)
        fine += ask(q, bytes_of((const uint8_t *)&i, sizeof i), 0, &t) == QUOTA_FINE;
    CHECK(fine <= QUOTA_CALLERS_MAX && fine > QUOTA_CALLERS_MAX / 2);
    for (uint32_t i = 0; i < CALLERS; i++)
        CHECK(ask(q, bytes_of((const uint8_t *)&i, sizeof i), 1000000, &t) == QUOTA_FULL);
    quota_free(q);
}

static void callers_who_left_make_room(void **state)
{
    (void)state;
    struct quota *q;
    uint64_t t;
    CHECK_OK(quota_new(&q, 1, 1));
    for (uint32_t i = 0; i < 4 * QUOTA_CALLERS_MAX; i++) {
        CHECK(ask(q, bytes_of((const uint8_t *)&i, sizeof i), i * 1000ULL, &t) == QUOTA_FINE);
        quota_leave(q, t);
    }
    quota_free(q);
}

static void no_quota_has_no_limits(void **state)
{
    (void)state;
    uint64_t t = 7;
    CHECK(quota_enter(NULL, BYTES_ARRAY(ANN), 0, &t) == QUOTA_FINE && t == 0);
    quota_leave(NULL, t);
    quota_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_per_second_and_callers_are_told_apart),
        cmocka_unit_test(a_clock_that_is_a_little_behind_earns_nothing),
        cmocka_unit_test(so_many_at_a_time),
        cmocka_unit_test(a_full_table_refuses_and_forgets_nobody),
        cmocka_unit_test(callers_who_left_make_room),
        cmocka_unit_test(no_quota_has_no_limits),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
