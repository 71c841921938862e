#include "base/mem.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "wire/replay.h"

enum { WINDOW_S = 10 };
static const int64_t two_windows_s = 20;

static enum replay_verdict check(struct replay *r, uint32_t n, int64_t now)
{
    uint8_t enc[32] = { 0 };
    memcpy(enc, &n, sizeof n);
    return replay_check_insert(r, BYTES_ARRAY(enc), now);
}

static void refuses_what_it_saw_for_the_whole_window(void **state)
{
    (void)state;
    /* wherever in its generation an entry comes in */
    for (int64_t start = 0; start < two_windows_s; start++) {
        struct replay *r;
        CHECK_OK(replay_new(&r, WINDOW_S, 100));
        CHECK(check(r, 0, 1000) == REPLAY_FRESH);
        CHECK(check(r, 1, 1000 + start) == REPLAY_FRESH);
        for (int64_t t = 0; t <= WINDOW_S; t++)
            CHECK(check(r, 1, 1000 + start + t) == REPLAY_SEEN);
        replay_free(r);
    }
}

static void forgets_after_two_windows_at_the_latest(void **state)
{
    (void)state;
    for (int64_t start = 0; start < two_windows_s; start++) {
        struct replay *r;
        CHECK_OK(replay_new(&r, WINDOW_S, 100));
        CHECK(check(r, 0, 1000) == REPLAY_FRESH);
        CHECK(check(r, 1, 1000 + start) == REPLAY_FRESH);
        for (int64_t t = 1; t < two_windows_s; t++)
            CHECK(check(r, 7, 1000 + start + t) != REPLAY_FULL);
        CHECK(check(r, 1, 1000 + start + two_windows_s) == REPLAY_FRESH);
        replay_free(r);
    }
}

static void forgets_all_after_a_long_silence(void **state)
{
    (void)state;
    struct replay *r;
    CHECK_OK(replay_new(&r, WINDOW_S, 100));
    CHECK(check(r, 1, 0) == REPLAY_FRESH);
    CHECK(check(r, 2, INT64_MAX) == REPLAY_FRESH);
    CHECK(replay_count(r) == 1);
    replay_free(r);
}

static void forgets_nothing_when_time_runs_backwards(void **state)
{
    (void)state;
    struct replay *r;
    CHECK_OK(replay_new(&r, WINDOW_S, 100));
    CHECK(check(r, 1, 1000) == REPLAY_FRESH);
    CHECK(check(r, 1, INT64_MIN) == REPLAY_SEEN);
    CHECK(check(r, 1, 999) == REPLAY_SEEN);
    replay_free(r);
}

static void holds_as_many_as_allowed_and_refuses_one_more(void **state)
{
    (void)state;
    enum { MAX = 5000 };
    struct replay *r;
    CHECK_OK(replay_new(&r, WINDOW_S, MAX));
    for (uint32_t i = 0; i < MAX; i++)
        CHECK(check(r, i, 0) == REPLAY_FRESH);
    CHECK(check(r, MAX, 0) == REPLAY_FULL);
    CHECK(check(r, MAX, 0) == REPLAY_FULL);
    for (uint32_t i = 0; i < MAX; i++)
        CHECK(check(r, i, 0) == REPLAY_SEEN);
    CHECK(replay_count(r) == MAX);
    /* the next generation has room of its own, and the last one is still known */
    CHECK(check(r, MAX, WINDOW_S) == REPLAY_FRESH);
    CHECK(check(r, MAX - 1, WINDOW_S) == REPLAY_SEEN);
    replay_free(r);
}

static void bounds_what_it_may_be_asked_for(void **state)
{
    (void)state;
    struct replay *r = NULL;
    CHECK_OK(replay_new(&r, 1, REPLAY_ENTRIES_MAX));
    replay_free(r);
    r = NULL;
    CHECK_ERR(replay_new(&r, 1, (size_t)REPLAY_ENTRIES_MAX + 1), LIMIT);
    CHECK_ERR(replay_new(&r, 1, 0), LIMIT);
    CHECK_ERR(replay_new(&r, 0, 1), LIMIT);
    CHECK(r == NULL);
    replay_free(NULL);
}

static void tells_keys_of_every_length_apart(void **state)
{
    (void)state;
    uint8_t zeros[1200] = { 0 };
    struct replay *r;
    CHECK_OK(replay_new(&r, WINDOW_S, 2000));
    for (size_t len = 0; len < sizeof zeros; len++)
        CHECK(replay_check_insert(r, bytes_of(zeros, len), 0) == REPLAY_FRESH);
    for (size_t len = 0; len < sizeof zeros; len++)
        CHECK(replay_check_insert(r, bytes_of(zeros, len), 0) == REPLAY_SEEN);
    replay_free(r);
}

static void refuses_when_memory_is_out(void **state)
{
    (void)state;
    struct replay *r;
    CHECK_OK(replay_new(&r, WINDOW_S, 5000));
    mem_fail_at(0);
    CHECK(check(r, 1, 0) == REPLAY_FULL);
    CHECK(check(r, 1, 0) == REPLAY_FRESH);
    mem_fail_at(-1);
    replay_free(r);
}

static int set_up(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_it_saw_for_the_whole_window),
        cmocka_unit_test(forgets_after_two_windows_at_the_latest),
        cmocka_unit_test(forgets_all_after_a_long_silence),
        cmocka_unit_test(forgets_nothing_when_time_runs_backwards),
        cmocka_unit_test(holds_as_many_as_allowed_and_refuses_one_more),
        cmocka_unit_test(bounds_what_it_may_be_asked_for),
        cmocka_unit_test(tells_keys_of_every_length_apart),
        cmocka_unit_test(refuses_when_memory_is_out),
    };
    return cmocka_run_group_tests_name("wire/replay", tests, set_up, NULL);
}
