/* Thousands of requests, at times that are made up. */
#include "base/attr.h"
#include "gateway/balance.h"
#include "tests/lib/law.h"

static const struct balance_settings SETTINGS = {
    .failures = 3, .out_ms = 1000, .out_max_ms = 30000, .slow_ms = 10000
};

enum { SOME = 4, FLEET = 8, MANY = 20000, WARM = 1000000 };

static uint64_t all_of(size_t n)
{
    return n == 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* n workers that came long ago. */
static void set_up(struct balance *b, size_t n, uint64_t seed)
{
    balance_init(b, &SETTINGS, seed);
    for (size_t i = 0; i < n; i++)
        balance_join(b, i, 0);
}

static size_t choose(struct balance *b, uint64_t usable, uint64_t now)
{
    const struct balance_want want = { .usable = usable };
    return balance_choose(b, &want, now);
}

static void fails(struct balance *b, size_t place, size_t times, uint64_t now)
{
    for (size_t i = 0; i < times; i++)
        balance_note(b, place, BALANCE_FAILED, now);
}

/* One request after the other, each over before the next: how many each worker got. */
static void one_by_one(struct balance *b, size_t n, size_t requests, uint64_t now, size_t *got)
{
    for (size_t r = 0; r < requests; r++) {
        size_t i = choose(b, all_of(n), now);
        CHECK(i < n);
        balance_begin(b, i, now);
        balance_end(b, i);
        balance_note(b, i, BALANCE_WELL, now);
        got[i]++;
    }
}

static void idle_workers_share_alike(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct balance b;
        size_t got[FLEET] = { 0 };
        set_up(&b, FLEET, seed);
        one_by_one(&b, FLEET, MANY, WARM, got);
        for (size_t i = 0; i < FLEET; i++)
            CHECK(got[i] > MANY / FLEET * 9 / 10 && got[i] < MANY / FLEET * 11 / 10);
    }
}

/* Seven workers of weights that add up to 64. */
static const uint16_t WEIGHTS[] = { 1, 2, 3, 10, 16, 16, 16 };
enum { UNEVEN = ARRAY_LEN(WEIGHTS), WEIGHTS_SUM = 64 };

static void set_up_uneven(struct balance *b, uint64_t seed)
{
    set_up(b, UNEVEN, seed);
    for (size_t i = 0; i < UNEVEN; i++)
        balance_set_weight(b, i, WEIGHTS[i]);
}

static void idle_workers_share_by_weight(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct balance b;
        size_t got[UNEVEN] = { 0 };
        set_up_uneven(&b, seed);
        one_by_one(&b, UNEVEN, MANY, WARM, got);
        for (size_t i = 0; i < UNEVEN; i++) {
            size_t fair = (size_t)MANY * WEIGHTS[i] / WEIGHTS_SUM;
            CHECK(got[i] > fair * 8 / 10 && got[i] < fair * 12 / 10);
        }
    }
}

static void requests_under_way_are_spread_by_weight(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct balance b;
        set_up_uneven(&b, seed);
        for (size_t r = 0; r < MANY; r++)
            balance_begin(&b, choose(&b, all_of(UNEVEN), WARM), WARM);
        for (size_t i = 0; i < UNEVEN; i++) {
            size_t fair = (size_t)MANY * WEIGHTS[i] / WEIGHTS_SUM;
            CHECK(b.workers[i].load > fair * 95 / 100 && b.workers[i].load < fair * 105 / 100);
        }
    }
}

/* Of two, both are always looked at: the larger has its three before the smaller has two. */
static void a_larger_one_fills_up_beside_a_smaller_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct balance b;
        set_up(&b, 2, seed);
        balance_set_weight(&b, 0, 60);
        balance_set_weight(&b, 1, 20);
        for (size_t r = 0; r < 400; r++) {
            balance_begin(&b, choose(&b, 3, WARM), WARM);
            CHECK(b.workers[1].load <= b.workers[0].load / 3 + 1);
            CHECK(b.workers[0].load <= 3 * b.workers[1].load + 3);
        }
        CHECK(b.workers[0].load == 300 && b.workers[1].load == 100);
    }
}

static void who_weighs_nothing_gets_little_beside_others_and_his_share_beside_his_like(void **state)
{
    (void)state;
    struct balance b;
    size_t got[3] = { 0 };
    size_t alike[2] = { 0 };
    set_up(&b, 3, 5);
    balance_set_weight(&b, 0, 10);
    one_by_one(&b, 3, MANY, WARM, got);
    CHECK(got[1] > 0 && got[1] < MANY / 50 && got[2] > 0 && got[2] < MANY / 50);
    for (size_t r = 0; r < 100; r++) /* and no more for being idle */
        balance_begin(&b, choose(&b, 7, WARM), WARM);
    CHECK(b.workers[0].load > 90);
    balance_leave(&b, 0);
    b.workers[1].load = b.workers[2].load = 0;
    for (size_t r = 0; r < 1000; r++)
        alike[choose(&b, 6, WARM) - 1]++;
    CHECK(alike[0] > 400 && alike[1] > 400);
}

/* With requests that stay, the law of two choices: no worker is far from the mean. */
static void requests_under_way_are_spread_evenly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct balance b;
        set_up(&b, FLEET, seed);
        for (size_t r = 0; r < MANY; r++)
            balance_begin(&b, choose(&b, all_of(FLEET), WARM), WARM);
        for (size_t i = 0; i < FLEET; i++)
            CHECK(b.workers[i].load > MANY / FLEET - 10 && b.workers[i].load < MANY / FLEET + 10);
    }
}

/* Each worker ends as many as it can in a turn; the slow one is given less, not a queue. */
static void a_slow_worker_gets_less(void **state)
{
    (void)state;
    struct balance b;
    size_t got[SOME] = { 0 };
    size_t most = 0;
    set_up(&b, SOME, 7);
    for (uint64_t turn = 0; turn < 5000; turn++) {
        for (size_t k = 0; k < 4; k++) {
            size_t i = choose(&b, all_of(SOME), WARM + turn);
            balance_begin(&b, i, WARM + turn);
            got[i]++;
        }
        for (size_t i = 0; i < SOME; i++) {
            for (size_t k = 0; b.workers[i].load > 0 && k < (i == 0 ? turn % 4 == 0 : 2); k++)
                balance_end(&b, i);
            most = b.workers[i].load > most ? b.workers[i].load : most;
        }
    }
    CHECK(got[0] < got[1] / 2 && got[0] > 1000);
    CHECK(most < 30);
}

static void nobody_is_chosen_where_nobody_is_wanted(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    CHECK(choose(&b, 0, WARM) == SIZE_MAX);
    CHECK(choose(&b, 0xf0, WARM) == SIZE_MAX);
    for (size_t r = 0; r < 100; r++)
        CHECK(choose(&b, 1 << 2, WARM) == 2);
    balance_leave(&b, 2);
    CHECK(choose(&b, 1 << 2, WARM) == SIZE_MAX);
    CHECK(balance_state(&b, 2, WARM) == BALANCE_GONE);
}

static void every_place_can_be_used(void **state)
{
    (void)state;
    struct balance b;
    size_t got[BALANCE_PLACES_MAX] = { 0 };
    set_up(&b, BALANCE_PLACES_MAX, 3);
    one_by_one(&b, BALANCE_PLACES_MAX, MANY, WARM, got);
    for (size_t i = 0; i < BALANCE_PLACES_MAX; i++)
        CHECK(got[i] > 0);
}

static void the_worker_just_tried_is_avoided_unless_it_is_the_only_one(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, 3, 1);
    for (size_t r = 0; r < 200; r++) {
        const struct balance_want two = { .usable = 7, .avoid = 5 };
        const struct balance_want none = { .usable = 1, .avoid = 1 };
        CHECK(balance_choose(&b, &two, WARM) == 1);
        CHECK(balance_choose(&b, &none, WARM) == 0);
    }
}

static void a_newcomer_gets_little_at_first_and_its_share_in_the_end(void **state)
{
    (void)state;
    struct balance b;
    uint32_t last = 0;
    set_up(&b, 2, 9);
    balance_join(&b, 2, WARM);
    for (uint64_t age = 0; age <= SETTINGS.slow_ms; age += SETTINGS.slow_ms / 4) {
        for (size_t i = 0; i < 3; i++)
            b.workers[i].load = 0;
        for (size_t r = 0; r < 3000; r++)
            balance_begin(&b, choose(&b, 7, WARM + age), WARM + age);
        CHECK(b.workers[2].load > last);
        last = b.workers[2].load;
        if (age == 0)
            CHECK(last < 300);
    }
    CHECK(last > 950);
}

static void failures_in_a_row_take_a_worker_out_and_an_answer_between_them_does_not(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    for (size_t r = 0; r < 9; r++) {
        fails(&b, 0, 2, WARM);
        balance_note(&b, 0, BALANCE_WELL, WARM);
        balance_note(&b, 0, BALANCE_WELL, WARM);
        balance_note(&b, 0, BALANCE_WELL, WARM);
    }
    CHECK(balance_state(&b, 0, WARM) == BALANCE_IN_USE);
    fails(&b, 0, 2, WARM);
    CHECK(balance_state(&b, 0, WARM) == BALANCE_IN_USE);
    fails(&b, 0, 1, WARM);
    CHECK(balance_state(&b, 0, WARM) == BALANCE_OPEN);
    for (size_t r = 0; r < 1000; r++)
        CHECK(choose(&b, all_of(SOME), WARM) != 0);
}

static void half_of_all_requests_failing_takes_a_worker_out(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, 1, 1); /* alone, so that it can be no outlier */
    for (size_t r = 0; r < BALANCE_RATIO_MIN; r++) {
        CHECK(balance_state(&b, 0, WARM) == BALANCE_IN_USE);
        balance_note(&b, 0, r % 2 == 0 ? BALANCE_WELL : BALANCE_FAILED, WARM);
    }
    CHECK(balance_state(&b, 0, WARM) == BALANCE_OPEN);
}

static void old_outcomes_are_forgotten(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, 1, 1);
    for (size_t r = 0; r < 10 * BALANCE_RATIO_MIN; r++)
        balance_note(&b, 0, r % 2 == 0 ? BALANCE_WELL : BALANCE_FAILED,
                     WARM + r * BALANCE_WINDOW_MS / 5);
    CHECK(balance_state(&b, 0, WARM + 40 * BALANCE_WINDOW_MS) == BALANCE_IN_USE);
}

static void one_request_tries_a_worker_that_was_out(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    fails(&b, 0, 3, WARM);
    uint64_t due = WARM + SETTINGS.out_ms;
    CHECK(balance_state(&b, 0, due - 1) == BALANCE_OPEN);
    CHECK(balance_state(&b, 0, due) == BALANCE_HALF_OPEN);
    CHECK(choose(&b, all_of(SOME), due) == 0);
    CHECK(balance_is_well(&b, 0, due) && !balance_is_well(&b, 0, due - 1));
    balance_begin(&b, 0, due);
    CHECK(!balance_is_well(&b, 0, due) && balance_is_well(&b, 1, due));
    for (size_t r = 0; r < 1000; r++)
        CHECK(choose(&b, all_of(SOME), due) != 0);
    balance_note(&b, 0, BALANCE_WELL, due + 5);
    CHECK(balance_state(&b, 0, due + 5) == BALANCE_IN_USE);
}

static void a_request_that_failed_once_tries_nobody_out(void **state)
{
    (void)state;
    struct balance b;
    const struct balance_want again = { .usable = 7, .avoid = 2 };
    set_up(&b, 3, 1);
    fails(&b, 0, 3, WARM);
    for (size_t r = 0; r < 100; r++)
        CHECK(balance_choose(&b, &again, WARM + SETTINGS.out_ms) == 2);
}

static void a_trial_that_says_nothing_leaves_room_for_another(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    fails(&b, 0, 3, WARM);
    uint64_t due = WARM + SETTINGS.out_ms;
    balance_begin(&b, 0, due);
    CHECK(choose(&b, all_of(SOME), due) != 0);
    balance_end(&b, 0);
    balance_note(&b, 0, BALANCE_NOTHING, due);
    CHECK(choose(&b, all_of(SOME), due) == 0);
    balance_begin(&b, 0, due); /* and one of which nothing is heard is not waited for for ever */
    CHECK(choose(&b, all_of(SOME), due + SETTINGS.out_max_ms) == 0);
}

static void each_time_out_is_longer_until_the_most(void **state)
{
    (void)state;
    struct balance b;
    uint64_t now = WARM;
    set_up(&b, 2, 1);
    fails(&b, 0, 3, now);
    for (uint64_t ms = SETTINGS.out_ms; ms < 8 * SETTINGS.out_max_ms; ms *= 2) {
        uint64_t out = ms < SETTINGS.out_max_ms ? ms : SETTINGS.out_max_ms;
        CHECK(balance_state(&b, 0, now + out - 1) == BALANCE_OPEN);
        CHECK(balance_state(&b, 0, now + out) == BALANCE_HALF_OPEN);
        now += out;
        fails(&b, 0, 1, now);
    }
    now += SETTINGS.out_max_ms;
    balance_note(&b, 0, BALANCE_WELL, now);
    now += SETTINGS.out_max_ms + 1; /* well for so long: a clean record */
    fails(&b, 0, 3, now);
    CHECK(balance_state(&b, 0, now + SETTINGS.out_ms) == BALANCE_HALF_OPEN);
}

/* What an engine answers with 5xx, beside others that do not. */
static void spoil(struct balance *b, size_t n, uint64_t bad, size_t rounds, uint64_t now)
{
    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < n; i++)
            balance_note(b, i, (bad >> i & 1) != 0 ? BALANCE_POOR : BALANCE_WELL, now);
    }
}

static void a_worker_much_worse_than_the_others_gets_none_and_comes_back(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    spoil(&b, SOME, 1, BALANCE_RATIO_MIN, WARM);
    CHECK(balance_state(&b, 0, WARM) == BALANCE_EJECTED);
    for (size_t r = 0; r < 1000; r++)
        CHECK(choose(&b, all_of(SOME), WARM + SETTINGS.out_ms - 1) != 0);
    uint64_t back = WARM + SETTINGS.out_ms;
    CHECK(balance_state(&b, 0, back) == BALANCE_IN_USE);
    size_t got[SOME] = { 0 };
    one_by_one(&b, SOME, MANY, back + SETTINGS.slow_ms, got);
    CHECK(got[0] > MANY / SOME * 9 / 10);
}

static void all_that_do_alike_stay(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    spoil(&b, SOME, all_of(SOME), 10 * BALANCE_RATIO_MIN, WARM);
    for (size_t i = 0; i < SOME; i++)
        CHECK(balance_state(&b, i, WARM) == BALANCE_IN_USE);
}

static void no_more_than_half_are_ejected(void **state)
{
    (void)state;
    for (size_t n = 1; n <= FLEET; n++) {
        struct balance b;
        size_t out = 0;
        set_up(&b, n, n);
        spoil(&b, n, all_of(n / 2 + 1), 10 * BALANCE_RATIO_MIN, WARM);
        for (size_t i = 0; i < n; i++)
            out += balance_state(&b, i, WARM) == BALANCE_EJECTED;
        CHECK(out <= n / 2);
        CHECK(n < 3 || out > 0);
    }
}

static void when_all_are_out_the_least_bad_get_the_requests(void **state)
{
    (void)state;
    struct balance b;
    size_t got[SOME] = { 0 };
    set_up(&b, SOME, 1);
    for (size_t i = 0; i < SOME; i++)
        fails(&b, i, 3, WARM);
    for (size_t r = 0; r < 1000; r++)
        got[choose(&b, all_of(SOME), WARM)]++;
    for (size_t i = 0; i < SOME; i++)
        CHECK(got[i] > 150);
    b.workers[3].state = BALANCE_EJECTED;
    CHECK(choose(&b, all_of(SOME), WARM) == 3);
}

static void an_answer_while_a_worker_is_out_makes_its_trial_due(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    fails(&b, 0, 3, WARM);
    balance_note(&b, 0, BALANCE_WELL, WARM + 1);
    CHECK(balance_state(&b, 0, WARM + 1) == BALANCE_HALF_OPEN);
}

static void what_a_probe_finds_sick_is_out_until_it_finds_it_well(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    balance_set_sick(&b, 0, true, WARM);
    CHECK(balance_state(&b, 0, WARM) == BALANCE_SICK);
    for (size_t r = 0; r < 1000; r++)
        CHECK(choose(&b, all_of(SOME), WARM * 2) != 0);
    CHECK(choose(&b, 1, WARM) == 0); /* but better than nobody */
    balance_set_sick(&b, 0, false, 2 * WARM);
    CHECK(balance_state(&b, 0, 2 * WARM) == BALANCE_IN_USE);
    CHECK(b.workers[0].since_ms == 2 * WARM); /* slowly */
}

static void a_lost_connection_forgets_nothing_and_another_worker_everything(void **state)
{
    (void)state;
    struct balance b;
    set_up(&b, SOME, 1);
    balance_set_weight(&b, 0, 7);
    balance_begin(&b, 0, WARM);
    fails(&b, 0, 3, WARM);
    balance_leave(&b, 0);
    balance_join(&b, 0, WARM + 10);
    CHECK(balance_state(&b, 0, WARM + 10) == BALANCE_OPEN);
    balance_forget(&b, 0);
    CHECK(balance_state(&b, 0, WARM + 10) == BALANCE_GONE && b.workers[0].weight == 7);
    balance_join(&b, 0, WARM + 10);
    CHECK(balance_state(&b, 0, WARM + 10) == BALANCE_IN_USE);
    CHECK(b.workers[0].load == 1);
    balance_end(&b, 0);
    balance_end(&b, 0);
    CHECK(b.workers[0].load == 0);
}

static void every_change_is_told_once(void **state)
{
    (void)state;
    struct balance b;
    struct balance_change c;
    set_up(&b, 2, 1);
    CHECK(balance_change(&b, WARM, &c) && c.place == 0 && c.to == BALANCE_IN_USE);
    CHECK(balance_change(&b, WARM, &c) && c.place == 1 && c.from == BALANCE_GONE);
    CHECK(!balance_change(&b, WARM, &c));
    fails(&b, 1, 3, WARM);
    CHECK(balance_change(&b, WARM, &c) && c.place == 1 && c.to == BALANCE_OPEN);
    CHECK(!balance_change(&b, WARM, &c));
    CHECK(balance_change(&b, WARM + SETTINGS.out_ms, &c) && c.from == BALANCE_OPEN &&
          c.to == BALANCE_HALF_OPEN);
    balance_leave(&b, 1);
    CHECK(balance_change(&b, WARM, &c) && c.to == BALANCE_GONE);
    CHECK(!balance_change(&b, WARM, &c));
}

/* A fleet in which workers break and heal by chance, every request tried at most twice, as exchanges
 * do: as long as half are well, nearly none fails, and whoever healed gets work again. */
static void a_fleet_that_breaks_and_heals_loses_next_to_nothing(void **state)
{
    (void)state;
    struct balance b;
    uint64_t broken = 0;
    size_t lost = 0;
    size_t got[FLEET] = { 0 };
    uint64_t dice = 1;
    set_up(&b, FLEET, 11);
    for (uint64_t r = 0; r < MANY; r++) {
        uint64_t now = WARM + r * 10;
        if (r % 500 == 0) {
            dice = dice * 6364136223846793005U + 1442695040888963407U;
            broken = r < MANY * 3 / 4 ? (dice >> 40 & 0x55) : 0;
        }
        uint64_t tried = 0;
        bool done = false;
        for (int attempt = 0; attempt < 2 && !done; attempt++) {
            const struct balance_want want = { .usable = all_of(FLEET), .avoid = tried };
            size_t i = balance_choose(&b, &want, now);
            tried = (uint64_t)1 << i;
            done = (broken & tried) == 0;
            balance_begin(&b, i, now);
            balance_note(&b, i, done ? BALANCE_WELL : BALANCE_FAILED, now);
            balance_end(&b, i);
            got[i] += r >= MANY * 7 / 8;
        }
        lost += !done;
    }
    CHECK(lost < MANY / 1000);
    for (size_t i = 0; i < FLEET; i++)
        CHECK(got[i] > MANY / 8 / FLEET / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(idle_workers_share_alike),
        cmocka_unit_test(requests_under_way_are_spread_evenly),
        cmocka_unit_test(idle_workers_share_by_weight),
        cmocka_unit_test(requests_under_way_are_spread_by_weight),
        cmocka_unit_test(a_larger_one_fills_up_beside_a_smaller_one),
        cmocka_unit_test(
            who_weighs_nothing_gets_little_beside_others_and_his_share_beside_his_like),
        cmocka_unit_test(a_slow_worker_gets_less),
        cmocka_unit_test(nobody_is_chosen_where_nobody_is_wanted),
        cmocka_unit_test(every_place_can_be_used),
        cmocka_unit_test(the_worker_just_tried_is_avoided_unless_it_is_the_only_one),
        cmocka_unit_test(a_newcomer_gets_little_at_first_and_its_share_in_the_end),
        cmocka_unit_test(failures_in_a_row_take_a_worker_out_and_an_answer_between_them_does_not),
        cmocka_unit_test(half_of_all_requests_failing_takes_a_worker_out),
        cmocka_unit_test(old_outcomes_are_forgotten),
        cmocka_unit_test(one_request_tries_a_worker_that_was_out),
        cmocka_unit_test(a_request_that_failed_once_tries_nobody_out),
        cmocka_unit_test(a_trial_that_says_nothing_leaves_room_for_another),
        cmocka_unit_test(each_time_out_is_longer_until_the_most),
        cmocka_unit_test(a_worker_much_worse_than_the_others_gets_none_and_comes_back),
        cmocka_unit_test(all_that_do_alike_stay),
        cmocka_unit_test(no_more_than_half_are_ejected),
        cmocka_unit_test(when_all_are_out_the_least_bad_get_the_requests),
        cmocka_unit_test(an_answer_while_a_worker_is_out_makes_its_trial_due),
        cmocka_unit_test(what_a_probe_finds_sick_is_out_until_it_finds_it_well),
        cmocka_unit_test(a_lost_connection_forgets_nothing_and_another_worker_everything),
        cmocka_unit_test(every_change_is_told_once),
        cmocka_unit_test(a_fleet_that_breaks_and_heals_loses_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
