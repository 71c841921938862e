#include "base/mem.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "enclave-worker/pool_set.h"
#include "tests/lib/law.h"

enum { LIFE_S = 100, GRACE_S = 10, WINDOW_S = 20, START = 100000 };

static const struct pool_key KEY = { { 9 } };
static const struct pool_set_settings SETTINGS = { .key = &KEY,
                                                   .key_life_s = LIFE_S,
                                                   .key_grace_s = GRACE_S,
                                                   .date_window_s = WINDOW_S,
                                                   .entries_max = 1000 };

/* A keeper's memory and its two clocks. */
struct scene {
    struct pool_set *set;
    int64_t wall;
    uint64_t steady;
};

static struct scene scene_at(int64_t wall)
{
    struct scene c = { .wall = wall, .steady = 5000 };
    CHECK_OK(pool_set_new(&c.set, &SETTINGS, wall));
    CHECK(pool_set_tick(c.set, c.wall, c.steady) == POOL_TICK_SAME);
    return c;
}

static enum pool_tick pass(struct scene *c, int64_t wall_s, uint64_t steady_s)
{
    c->wall += wall_s;
    c->steady += steady_s;
    return pool_set_tick(c->set, c->wall, c->steady);
}

/* What a worker would ask that has joined this chain, of a request to the key of `ahead` epochs from
 * the oldest one. */
static struct pool_ask ask_for(const struct pool_welcome *w, unsigned ahead, uint8_t who,
                               int64_t date)
{
    struct pool_chain chain = { .epoch = w->epoch, .first_id = w->first_id };
    struct pool_epoch epoch;
    struct pool_ask ask = { .date = date, .digest = { who } };
    memcpy(chain.link, w->link, sizeof chain.link);
    for (unsigned i = 0; i < ahead; i++)
        pool_chain_step(&chain);
    pool_epoch_of(&chain, &KEY, &epoch);
    memcpy(ask.tag, epoch.tag, sizeof ask.tag);
    return ask;
}

static struct pool_welcome welcome_of(const struct scene *c)
{
    struct pool_welcome w;
    pool_set_welcome(c->set, &w);
    return w;
}

static enum pool_verdict judge(struct scene *c, const struct pool_ask *ask)
{
    return pool_set_judge(c->set, ask);
}

static void a_request_is_fresh_once(void **state)
{
    (void)state;
    struct scene c = scene_at(START);
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask ask = ask_for(&w, 0, 1, START);
    struct pool_ask other = ask_for(&w, 0, 2, START);
    CHECK(judge(&c, &ask) == POOL_FRESH);
    CHECK(judge(&c, &ask) == POOL_SEEN);
    CHECK(judge(&c, &other) == POOL_FRESH);
    CHECK(pool_set_count(c.set) == 2);
    pool_set_free(c.set);
}

/* Under whichever of the open keys it comes, and whenever: the law that replays rest on. */
static void no_request_is_ever_fresh_twice(void **state)
{
    (void)state;
    for (int64_t off = -WINDOW_S; off <= WINDOW_S; off += 5) {
        for (int64_t wait = 0; wait <= 3 * LIFE_S; wait += 7) {
            struct scene c = scene_at(START + 50);
            struct pool_welcome w = welcome_of(&c);
            struct pool_ask ask = ask_for(&w, 0, 1, c.wall + off);
            CHECK(judge(&c, &ask) == POOL_FRESH);
            (void)pass(&c, wait, (uint64_t)wait);
            CHECK(judge(&c, &ask) != POOL_FRESH);
            pool_set_free(c.set);
        }
    }
}

static void dates_are_judged_by_the_keepers_clock(void **state)
{
    (void)state;
    struct scene c = scene_at(START);
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask ask = ask_for(&w, 0, 1, START - WINDOW_S - 1);
    CHECK(judge(&c, &ask) == POOL_STALE);
    ask.date = START + WINDOW_S + 1;
    CHECK(judge(&c, &ask) == POOL_STALE);
    CHECK(pool_set_count(c.set) == 0);
    ask.date = START + WINDOW_S;
    CHECK(judge(&c, &ask) == POOL_FRESH);
    pool_set_free(c.set);
}

static void keys_that_are_not_open_are_unknown(void **state)
{
    (void)state;
    /* 100000 is where an epoch begins; the one before still has its grace. */
    struct scene c = scene_at(START);
    struct pool_welcome w = welcome_of(&c);
    CHECK(w.epoch == START / LIFE_S - 1);
    for (unsigned ahead = 0; ahead < 5; ahead++) {
        struct pool_ask ask = ask_for(&w, ahead, (uint8_t)ahead, START);
        CHECK(judge(&c, &ask) == (ahead <= 2 ? POOL_FRESH : POOL_UNKNOWN));
    }
    (void)pass(&c, GRACE_S, GRACE_S);
    struct pool_ask old = ask_for(&w, 0, 100, c.wall);
    CHECK(judge(&c, &old) == POOL_UNKNOWN);
    CHECK(welcome_of(&c).epoch == w.epoch + 1);
    /* Each bit of a tag counts. */
    for (size_t bit = 0; bit < POOL_TAG_LEN * 8; bit++) {
        struct pool_ask ask = ask_for(&w, 1, 101, c.wall);
        ask.tag[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(judge(&c, &ask) == POOL_UNKNOWN);
    }
    pool_set_free(c.set);
}

static void the_chain_goes_on_by_the_clock(void **state)
{
    (void)state;
    struct scene c = scene_at(START);
    struct pool_welcome w = welcome_of(&c);
    for (unsigned n = 1; n < 20; n++) {
        CHECK(pass(&c, LIFE_S, LIFE_S) == POOL_TICK_SAME);
        struct pool_ask ask = ask_for(&w, n, (uint8_t)n, c.wall);
        CHECK(judge(&c, &ask) == POOL_FRESH);
        CHECK(welcome_of(&c).epoch == w.epoch + n && welcome_of(&c).now == c.wall);
    }
    pool_set_free(c.set);
}

static void a_clock_set_back_begins_a_new_chain(void **state)
{
    (void)state;
    for (int64_t by = 1; by < 4 * LIFE_S; by++) {
        struct scene c = scene_at(START + 50);
        struct pool_welcome w = welcome_of(&c);
        struct pool_ask ask = ask_for(&w, 0, 1, c.wall);
        CHECK(judge(&c, &ask) == POOL_FRESH);
        enum pool_tick t = pass(&c, -by, 1);
        CHECK(t == (by > POOL_SET_BACK_S ? POOL_TICK_ANEW : POOL_TICK_SAME));
        CHECK(judge(&c, &ask) == (by > POOL_SET_BACK_S ? POOL_UNKNOWN : POOL_SEEN));
        /* Service goes on under the new keys, by the clock as it is now. */
        w = welcome_of(&c);
        struct pool_ask next = ask_for(&w, 0, 2, c.wall);
        CHECK(judge(&c, &next) == POOL_FRESH);
        pool_set_free(c.set);
    }
}

/* Set back bit by bit, each unnoticed; what was forgotten would come again if time went with it. */
static void a_clock_that_creeps_back_brings_nothing_back(void **state)
{
    (void)state;
    struct scene c = scene_at(START + 50);
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask ask = ask_for(&w, 0, 1, c.wall - WINDOW_S + 2);
    CHECK(judge(&c, &ask) == POOL_FRESH);
    for (int i = 0; i < 200; i++) {
        (void)pass(&c, i % 2 == 0 ? -POOL_SET_BACK_S : 1, 1);
        CHECK(judge(&c, &ask) != POOL_FRESH);
    }
    pool_set_free(c.set);
}

static void a_leap_ahead_is_told_and_brings_nothing_back(void **state)
{
    (void)state;
    struct scene c = scene_at(START + 50);
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask ask = ask_for(&w, 0, 1, c.wall);
    CHECK(judge(&c, &ask) == POOL_FRESH);
    CHECK(pass(&c, 20 * LIFE_S, 1) == POOL_TICK_LEAP);
    CHECK(judge(&c, &ask) == POOL_UNKNOWN);
    /* Back to the right time: new keys, and service. */
    CHECK(pass(&c, -20 * LIFE_S, 1) == POOL_TICK_ANEW);
    CHECK(judge(&c, &ask) == POOL_UNKNOWN);
    w = welcome_of(&c);
    struct pool_ask next = ask_for(&w, 0, 1, c.wall);
    CHECK(judge(&c, &next) == POOL_FRESH);
    /* So far that following the chain would take for ever. */
    CHECK(pass(&c, (int64_t)LIFE_S * POOL_STEPS_MAX * 2, 1) == POOL_TICK_ANEW);
    CHECK(judge(&c, &next) == POOL_UNKNOWN);
    pool_set_free(c.set);
}

static void two_keepers_of_one_pool_key_have_nothing_in_common(void **state)
{
    (void)state;
    struct scene a = scene_at(START);
    struct scene b = scene_at(START);
    struct pool_welcome wa = welcome_of(&a);
    for (unsigned ahead = 0; ahead < 3; ahead++) {
        struct pool_ask ask = ask_for(&wa, ahead, 1 + (uint8_t)ahead, START);
        CHECK(judge(&a, &ask) == POOL_FRESH);
        CHECK(judge(&b, &ask) == POOL_UNKNOWN);
    }
    pool_set_free(a.set);
    pool_set_free(b.set);
}

static void a_full_memory_is_told_from_a_replay(void **state)
{
    (void)state;
    struct pool_set_settings settings = SETTINGS;
    struct scene c = { .wall = START };
    settings.entries_max = 1;
    CHECK_OK(pool_set_new(&c.set, &settings, START));
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask first = ask_for(&w, 0, 1, START);
    struct pool_ask second = ask_for(&w, 0, 2, START);
    CHECK(judge(&c, &first) == POOL_FRESH);
    CHECK(judge(&c, &second) == POOL_FULL);
    CHECK(judge(&c, &first) == POOL_SEEN);
    pool_set_free(c.set);
}

static void settings_out_of_range_are_refused(void **state)
{
    (void)state;
    struct pool_set *s = NULL;
    struct pool_set_settings settings = SETTINGS;
    settings.key_life_s = 0;
    CHECK_ERR(pool_set_new(&s, &settings, START), LIMIT);
    settings = SETTINGS;
    settings.entries_max = 0;
    CHECK_ERR(pool_set_new(&s, &settings, START), LIMIT);
    CHECK(s == NULL);
    pool_set_free(NULL);
}

static err live(void *arg)
{
    struct pool_set *s;
    (void)arg;
    TRY(pool_set_new(&s, &SETTINGS, START));
    struct scene c = { .set = s, .wall = START };
    struct pool_welcome w = welcome_of(&c);
    struct pool_ask ask = ask_for(&w, 0, 1, START);
    enum pool_verdict v = judge(&c, &ask);
    pool_set_free(s);
    CHECK(v == POOL_FRESH || v == POOL_FULL);
    ENSURE(v == POOL_FRESH, NOMEM);
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(live, NULL);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_fresh_once),
        cmocka_unit_test(no_request_is_ever_fresh_twice),
        cmocka_unit_test(dates_are_judged_by_the_keepers_clock),
        cmocka_unit_test(keys_that_are_not_open_are_unknown),
        cmocka_unit_test(the_chain_goes_on_by_the_clock),
        cmocka_unit_test(a_clock_set_back_begins_a_new_chain),
        cmocka_unit_test(a_clock_that_creeps_back_brings_nothing_back),
        cmocka_unit_test(a_leap_ahead_is_told_and_brings_nothing_back),
        cmocka_unit_test(two_keepers_of_one_pool_key_have_nothing_in_common),
        cmocka_unit_test(a_full_memory_is_told_from_a_replay),
        cmocka_unit_test(settings_out_of_range_are_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
