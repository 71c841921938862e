#include "receipts/store_ids.h"
#include "tests/unit/receipts/store_rows.h"

enum { BUCKET_LEN = 4096, FRESH_RECORDS = 2048 }; /* as in store_ids.c; the first is for ever */

struct fixture {
    struct sql *sql;
    struct store_ids *ids;
    int64_t next_seq;
};

static void begin_ids(struct fixture *f)
{
    int64_t last;
    CHECK_OK(store_ids_new(&f->ids, f->sql, &last));
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .sql = rows_open(), .next_seq = 1 };
    begin_ids(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_ids_free(f->ids);
    store_ids_free(NULL);
    sql_close(f->sql);
    return 0;
}

/* Takes r. */
static void put(struct fixture *f, struct store_record *r)
{
    CHECK_OK(store_sql_put(f->sql, r, f->next_seq));
    CHECK_OK(store_ids_add(f->ids, r, f->next_seq));
    f->next_seq++;
    store_record_free(r);
}

/* Numbers from..to-1, with a chance to write after each. */
static void put_many(struct fixture *f, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        put(f, rows_record(i));
        CHECK_OK(store_ids_settle(f->ids));
    }
}

/* When the record with that id was made, which tells which it is; -1: there is none. */
static int64_t found(struct fixture *f, const char *id)
{
    struct store_record *r = NULL;
    CHECK_OK(store_ids_find(f->ids, id, f->next_seq, &r));
    int64_t created = r != NULL ? r->created : -1;
    store_record_free(r);
    return created;
}

static void a_record_is_found_by_each_of_its_ids(void **state)
{
    struct fixture *f = *state;
    put_many(f, 1, 4);
    CHECK(found(f, "receipt-2") == 2 && found(f, "request-2") == 2);
    CHECK(found(f, "completion-3") == 3);
    CHECK(found(f, "receipt-4") == -1 && found(f, "receipt-") == -1);
}

static void ids_are_written_together_and_found_in_the_table_too(void **state)
{
    struct fixture *f = *state;
    put_many(f, 1, FRESH_RECORDS);
    assert_int_equal(rows_count(f->sql, "ids"), 0);
    put_many(f, FRESH_RECORDS, FRESH_RECORDS + 10);
    assert_int_equal(rows_count(f->sql, "ids"), 3 * FRESH_RECORDS);
    CHECK(found(f, "request-1") == 1);
    CHECK(found(f, "receipt-2048") == 2048 && found(f, "completion-2049") == 2049);
}

static void ids_not_written_yet_are_gathered_again(void **state)
{
    struct fixture *f = *state;
    int64_t last = -1;
    put_many(f, 1, FRESH_RECORDS + 10);
    store_ids_free(f->ids);
    CHECK_OK(store_ids_new(&f->ids, f->sql, &last));
    assert_int_equal(last, FRESH_RECORDS);
    CHECK(found(f, "receipt-5") == 5 && found(f, "receipt-2057") == 2057);
    assert_int_equal(rows_count(f->sql, "ids"), 3 * FRESH_RECORDS);
}

static void many_ids_are_written_while_they_are_gathered(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i < FRESH_RECORDS + 100; i++) {
        struct store_record *r = rows_record(i);
        CHECK_OK(store_sql_put(f->sql, r, i));
        store_record_free(r);
    }
    f->next_seq = FRESH_RECORDS + 100;
    store_ids_free(f->ids);
    begin_ids(f);
    assert_int_equal(rows_count(f->sql, "ids"), 3 * FRESH_RECORDS);
    CHECK(found(f, "receipt-1") == 1 && found(f, "receipt-2147") == 2147);
}

/* Of a receipt id the first counts, of what a client may repeat the last. */
static void of_several_the_right_one_is_found(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= 3; i++) {
        struct store_record *r = rows_record(0);
        r->created = i;
        put(f, r);
    }
    for (int i = 0; i < 2; i++) { /* in memory, and then in the table */
        CHECK(found(f, "receipt-0") == 1 && found(f, "request-0") == 3);
        CHECK(found(f, "completion-0") == 3);
        put_many(f, 10, FRESH_RECORDS + 10);
    }
}

static void a_receipt_id_is_refused_while_it_is_among_the_latest(void **state)
{
    struct fixture *f = *state;
    put_many(f, 1, 2);
    CHECK_ERR(store_ids_refuse_repeated(f->ids, "receipt-1"), EXISTS);
    CHECK_OK(store_ids_refuse_repeated(f->ids, "request-1"));
    put_many(f, 2, FRESH_RECORDS + 1); /* written now, and still remembered */
    CHECK_ERR(store_ids_refuse_repeated(f->ids, "receipt-1"), EXISTS);
    put_many(f, FRESH_RECORDS + 1, 2 * FRESH_RECORDS + 1);
    CHECK_OK(store_ids_refuse_repeated(f->ids, "receipt-1"));
}

static void what_is_rolled_back_is_forgotten(void **state)
{
    struct fixture *f = *state;
    put_many(f, 1, 2);
    store_ids_begin(f->ids);
    put(f, rows_record(2));
    store_ids_rollback(f->ids);
    CHECK(found(f, "receipt-1") == 1 && found(f, "receipt-2") == -1);
    CHECK_OK(store_ids_refuse_repeated(f->ids, "receipt-2"));
}

static void ids_go_by_whole_buckets(void **state)
{
    struct fixture *f = *state;
    f->next_seq = BUCKET_LEN - 100; /* so that the batch fills two of them */
    put_many(f, 1, FRESH_RECORDS + 1);
    CHECK_OK(store_ids_forget(f->ids, BUCKET_LEN - 1));
    assert_int_equal(rows_count(f->sql, "ids"), 3 * FRESH_RECORDS);
    CHECK_OK(store_ids_forget(f->ids, BUCKET_LEN));
    assert_int_equal(rows_count(f->sql, "ids"), 3 * (FRESH_RECORDS - 100));
    CHECK(found(f, "receipt-100") == -1 && found(f, "receipt-101") == 101);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_found_by_each_of_its_ids),
        TEST(ids_are_written_together_and_found_in_the_table_too),
        TEST(ids_not_written_yet_are_gathered_again),
        TEST(many_ids_are_written_while_they_are_gathered),
        TEST(of_several_the_right_one_is_found),
        TEST(a_receipt_id_is_refused_while_it_is_among_the_latest),
        TEST(what_is_rolled_back_is_forgotten),
        TEST(ids_go_by_whole_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
