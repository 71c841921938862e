#include "enclave-worker/share.h"
#include "tests/lib/law.h"

enum { ALL = 20, EACH = 5, NOW = 5000, SECONDS = 60 };

static uint64_t take_all(struct share *s, uint64_t asker, uint64_t now)
{
    uint64_t got = 0;
    while (share_take(s, asker, now))
        got++;
    return got;
}

static void one_asker_gets_his_share_and_no_more(void **state)
{
    (void)state;
    struct share s;
    uint64_t got = 0;
    share_init(&s, ALL, EACH, 1);
    CHECK(take_all(&s, 7, NOW) == EACH);
    CHECK(take_all(&s, 7, NOW) == 0);
    CHECK(take_all(&s, 7, NOW + 199) == 0 && take_all(&s, 7, NOW + 200) == 1);
    for (uint64_t ms = 1000; ms < SECONDS * 1000; ms++)
        got += take_all(&s, 7, NOW + ms);
    CHECK(got >= (SECONDS - 1) * EACH && got <= SECONDS * EACH);
}

static void all_together_get_what_is_for_all(void **state)
{
    (void)state;
    struct share s;
    uint64_t got = 0;
    share_init(&s, ALL, EACH, 2);
    for (uint64_t ms = 0; ms < SECONDS * 1000; ms++) {
        for (uint64_t asker = 0; asker < 8; asker++)
            got += take_all(&s, asker, NOW + ms);
    }
    /* A second's worth was saved up, and each is owed one a second. */
    CHECK(got >= SECONDS * ALL && got <= (SECONDS + 1) * ALL + SECONDS * 8);
}

/* Two who ask for ever, beside one who asks once a second: he gets it each time. */
static void nobody_is_starved_by_those_who_ask_for_ever(void **state)
{
    (void)state;
    for (uint64_t greedy = 1; greedy <= 10; greedy++) {
        struct share s;
        uint64_t got = 0;
        share_init(&s, ALL, EACH, 3);
        for (uint64_t ms = 0; ms < SECONDS * 1000; ms++) {
            for (uint64_t asker = 1; asker <= greedy; asker++)
                (void)take_all(&s, asker, NOW + ms);
            if (ms % 1000 == 500)
                got += share_take(&s, 99, NOW + ms);
        }
        CHECK(got == SECONDS);
    }
}

static void many_who_ask_once_all_get_it(void **state)
{
    (void)state;
    struct share s;
    uint64_t got = 0;
    share_init(&s, ALL, EACH, 4);
    for (uint64_t asker = 0; asker < SHARE_SLOTS; asker++)
        got += share_take(&s, asker, NOW);
    CHECK(got > SHARE_SLOTS / 2);
}

static void nothing_is_saved_up_for_long(void **state)
{
    (void)state;
    struct share s;
    share_init(&s, ALL, EACH, 5);
    CHECK(take_all(&s, 1, NOW) == EACH);
    CHECK(take_all(&s, 1, NOW + 3600000) == EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_asker_gets_his_share_and_no_more),
        cmocka_unit_test(all_together_get_what_is_for_all),
        cmocka_unit_test(nobody_is_starved_by_those_who_ask_for_ever),
        cmocka_unit_test(many_who_ask_once_all_get_it),
        cmocka_unit_test(nothing_is_saved_up_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
