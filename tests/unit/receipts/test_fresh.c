#include "receipts/fresh.h"
#include "tests/lib/law.h"

static void check_found(const struct fresh *f, int64_t hash, const int64_t *seqs, size_t n)
{
    size_t at = 0;
    int64_t seq;
    for (size_t i = 0; i < n; i++) {
        CHECK(fresh_next(f, hash, &at, &seq));
        assert_int_equal(seq, seqs[i]);
    }
    CHECK(!fresh_next(f, hash, &at, &seq));
}

static struct fresh *made(void)
{
    struct fresh *f = NULL;
    CHECK_OK(fresh_new(&f));
    return f;
}

static void finds_all_of_a_hash_newest_first(void **state)
{
    (void)state;
    struct fresh *f = made();
    int64_t near = 7, far = 7 + (1 << 20); /* the same slot, another hash */
    CHECK_OK(fresh_add(f, near, 1));
    CHECK_OK(fresh_add(f, far, 2));
    CHECK_OK(fresh_add(f, near, 3));
    CHECK_OK(fresh_add(f, -near, 4));
    check_found(f, near, (int64_t[]){ 3, 1 }, 2);
    check_found(f, far, (int64_t[]){ 2 }, 1);
    check_found(f, -near, (int64_t[]){ 4 }, 1);
    check_found(f, 8, NULL, 0);
    fresh_free(f);
    fresh_free(NULL);
}

static void entries_keep_their_order(void **state)
{
    (void)state;
    struct fresh *f = made();
    for (int64_t i = 0; i < 100; i++)
        CHECK_OK(fresh_add(f, i * 7919, i));
    assert_int_equal(fresh_len(f), 100);
    for (size_t i = 0; i < 100; i++) {
        int64_t hash, seq;
        fresh_entry(f, i, &hash, &seq);
        assert_int_equal(hash, (int64_t)i * 7919);
        assert_int_equal(seq, i);
    }
    fresh_free(f);
}

static void what_is_cut_off_is_gone_and_the_rest_stays(void **state)
{
    (void)state;
    struct fresh *f = made();
    for (int64_t i = 0; i < 50; i++)
        CHECK_OK(fresh_add(f, i % 5, i));
    fresh_cut(f, 7);
    assert_int_equal(fresh_len(f), 7);
    check_found(f, 0, (int64_t[]){ 5, 0 }, 2);
    check_found(f, 1, (int64_t[]){ 6, 1 }, 2);
    check_found(f, 4, (int64_t[]){ 4 }, 1);
    CHECK_OK(fresh_add(f, 4, 99));
    check_found(f, 4, (int64_t[]){ 99, 4 }, 2);
    fresh_cut(f, 0);
    check_found(f, 4, NULL, 0);
    fresh_free(f);
}

static void is_bounded(void **state)
{
    (void)state;
    struct fresh *f = made();
    for (int64_t i = 0; i < FRESH_MAX; i++)
        CHECK_OK(fresh_add(f, i, i));
    CHECK_ERR(fresh_add(f, 1, 1), LIMIT);
    check_found(f, FRESH_MAX - 1, (int64_t[]){ FRESH_MAX - 1 }, 1);
    fresh_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_all_of_a_hash_newest_first),
        cmocka_unit_test(entries_keep_their_order),
        cmocka_unit_test(what_is_cut_off_is_gone_and_the_rest_stays),
        cmocka_unit_test(is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
