#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/init.h"
#include "enclave-worker/responses_store.h"
#include "tests/lib/law.h"

static const uint8_t ALICE[STORE_OWNER_LEN] = { 1 };
static const uint8_t BOB[STORE_OWNER_LEN] = { 2 };
enum { LIFE_MS = 1000, SIZE = 16 * 1024 };

static const bytes *parts_of(const char *object)
{
    static bytes parts[STORE_PARTS];
    parts[STORE_OBJECT] = bytes_str(object);
    parts[STORE_INPUT] = BYTES_LIT("in");
    parts[STORE_CONTEXT] = BYTES_LIT("context");
    parts[STORE_EVENTS] = (bytes){ 0 };
    return parts;
}

static struct responses_store *open_store(uint64_t size)
{
    const struct responses_store_settings settings = { .size_max = size, .life_ms = LIFE_MS };
    struct responses_store *s = NULL;
    CHECK_OK(responses_store_new(&s, &settings));
    return s;
}

static void put(struct responses_store *s, const char *id, const uint8_t *owner, const char *object,
                uint64_t now)
{
    CHECK_OK(responses_store_put(s, bytes_str(id), owner, parts_of(object), now));
}

/* What is there, or the word of the error. */
static void check(struct responses_store *s, const char *id, const uint8_t *owner, uint64_t now,
                  const char *want)
{
    struct store_found found;
    err e = responses_store_get(s, bytes_str(id), owner, now, &found);
    if (e.code == ERR_OK) {
        CHECK_BYTES(found.parts[STORE_OBJECT], bytes_str(want));
        CHECK_BYTES(found.parts[STORE_INPUT], BYTES_LIT("in"));
        CHECK_BYTES(found.parts[STORE_CONTEXT], BYTES_LIT("context"));
        assert_int_equal(found.parts[STORE_EVENTS].len, 0);
    } else {
        assert_string_equal(err_word(e), want);
    }
    buf_clear(&found.plain);
}

static void gives_back_what_was_put_in(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    put(s, "a", ALICE, "one", 0);
    put(s, "b", ALICE, "two", 0);
    check(s, "a", ALICE, 1, "one");
    check(s, "b", ALICE, 1, "two");
    put(s, "a", ALICE, "three", 1);
    check(s, "a", ALICE, 1, "three");
    assert_int_equal(responses_store_count(s), 2);
    responses_store_free(s);
}

static void tells_strangers_the_same_as_of_nothing(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    put(s, "a", ALICE, "one", 0);
    check(s, "a", BOB, 1, "NOT_FOUND");
    check(s, "z", ALICE, 1, "NOT_FOUND");
    CHECK_ERR(responses_store_drop(s, BYTES_LIT("a"), BOB, 1), NOT_FOUND);
    check(s, "a", ALICE, 1, "one");
    responses_store_free(s);
}

static void forgets_after_its_time(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    put(s, "a", ALICE, "one", 0);
    check(s, "a", ALICE, LIFE_MS - 1, "one");
    check(s, "a", ALICE, LIFE_MS, "NOT_FOUND");
    assert_int_equal(responses_store_size(s), 0);
    responses_store_free(s);
}

static void lets_the_oldest_go_when_there_is_no_room(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    char id[16];
    size_t n = 0;
    for (; responses_store_count(s) == n; n++) {
        (void)snprintf(id, sizeof id, "id%zu", n);
        put(s, id, ALICE, "x", 0);
        CHECK(responses_store_size(s) <= SIZE);
    }
    CHECK(n > 20);
    check(s, "id0", ALICE, 1, "NOT_FOUND");
    check(s, "id1", ALICE, 1, "x");
    check(s, id, ALICE, 1, "x");
    responses_store_free(s);
}

/* What is in the making counts, and the oldest go for it. */
static void reserves_room_for_what_is_in_the_making(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    uint64_t one = 0;
    uint64_t two = 0;
    put(s, "a", ALICE, "old", 0);
    put(s, "b", ALICE, "new", 0);
    uint64_t each = responses_store_size(s) / 2;
    CHECK_OK(responses_store_reserve(s, &one, 1000));
    CHECK_OK(responses_store_reserve(s, &two, SIZE - 1000 - 2 * each));
    CHECK(one == 1000 && responses_store_size(s) == SIZE && responses_store_count(s) == 2);
    CHECK_OK(responses_store_reserve(s, &one, 1001));
    check(s, "a", ALICE, 1, "NOT_FOUND");
    check(s, "b", ALICE, 1, "new");
    /* More than there is changes nothing, and takes no record away. */
    CHECK_ERR(responses_store_reserve(s, &one, SIZE - two + 1), LIMIT);
    CHECK(one == 1001);
    check(s, "b", ALICE, 1, "new");
    CHECK_OK(responses_store_reserve(s, &one, SIZE - two));
    CHECK(responses_store_count(s) == 0 && responses_store_size(s) == SIZE);
    CHECK_ERR(responses_store_put(s, BYTES_LIT("c"), ALICE, parts_of("x"), 1), LIMIT);
    CHECK_OK(responses_store_reserve(s, &one, 0));
    put(s, "c", ALICE, "x", 1);
    CHECK_OK(responses_store_reserve(s, &two, 0));
    CHECK(responses_store_size(s) < 2 * each);
    responses_store_free(s);
}

static void takes_what_just_fits_and_nothing_more(void **state)
{
    (void)state;
    static char text[SIZE + 1];
    memset(text, 'a', SIZE);
    struct responses_store *s = open_store(SIZE);
    put(s, "small", ALICE, "x", 0);
    size_t fits = SIZE;
    while (responses_store_put(s, BYTES_LIT("big"), ALICE, parts_of(text + SIZE - fits), 0).code !=
           ERR_OK)
        fits--;
    CHECK(fits > SIZE - STORE_RECORD_COST - 128);
    CHECK(responses_store_size(s) == SIZE);
    CHECK_ERR(responses_store_put(s, BYTES_LIT("big"), ALICE, parts_of(text + SIZE - fits - 1), 0),
              LIMIT);
    assert_int_equal(responses_store_count(s), 1);
    responses_store_free(s);
}

static void wipes_what_is_deleted(void **state)
{
    (void)state;
    struct responses_store *s = open_store(SIZE);
    put(s, "a", ALICE, "one", 0);
    CHECK_OK(responses_store_drop(s, BYTES_LIT("a"), ALICE, 1));
    check(s, "a", ALICE, 1, "NOT_FOUND");
    assert_int_equal(responses_store_size(s), 0);
    CHECK_ERR(responses_store_drop(s, BYTES_LIT("a"), ALICE, 1), NOT_FOUND);
    responses_store_free(s);
    responses_store_free(NULL);
}

static err run(void *arg)
{
    const struct responses_store_settings settings = { .size_max = SIZE, .life_ms = LIFE_MS };
    struct responses_store *s = NULL;
    struct store_found found = { 0 };
    (void)arg;
    TRY(responses_store_new(&s, &settings));
    err e = responses_store_put(s, BYTES_LIT("a"), ALICE, parts_of("one"), 0);
    if (e.code == ERR_OK)
        e = responses_store_get(s, BYTES_LIT("a"), ALICE, 0, &found);
    buf_clear(&found.plain);
    responses_store_free(s);
    return e;
}

static void survives_every_allocation_that_fails(void **state)
{
    (void)state;
    law_every_allocation_fails_once(run, NULL);
}

static int start(void **state)
{
    (void)state;
    return crypto_init().code != ERR_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_in),
        cmocka_unit_test(tells_strangers_the_same_as_of_nothing),
        cmocka_unit_test(forgets_after_its_time),
        cmocka_unit_test(lets_the_oldest_go_when_there_is_no_room),
        cmocka_unit_test(reserves_room_for_what_is_in_the_making),
        cmocka_unit_test(takes_what_just_fits_and_nothing_more),
        cmocka_unit_test(wipes_what_is_deleted),
        cmocka_unit_test(survives_every_allocation_that_fails),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
