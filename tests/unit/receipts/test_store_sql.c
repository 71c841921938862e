#include <stdio.h>

#include "base/clock.h"
#include "tests/unit/receipts/store_rows.h"

static void a_record_comes_back_as_it_went(void **state)
{
    (void)state;
    struct sql *sql = rows_open();
    struct store_record *in = rows_record(7), *out = NULL;
    memset(in->key, 1, sizeof in->key);
    memset(in->evidence_hash, 2, sizeof in->evidence_hash);
    CHECK_OK(store_sql_put(sql, in, 41));
    sql_bind_number(sql, STORE_SQL_FIND_SEQ, 1, 41);
    CHECK_OK(store_sql_get(sql, STORE_SQL_FIND_SEQ, &out));
    CHECK(out != NULL);
    assert_string_equal(out->receipt_id, "receipt-7");
    assert_string_equal(out->request_id, "request-7");
    assert_string_equal(out->completion_id, "completion-7");
    CHECK(out->created == 7);
    CHECK_BYTES(BYTES_ARRAY(out->key), BYTES_ARRAY(in->key));
    CHECK_BYTES(BYTES_ARRAY(out->evidence_hash), BYTES_ARRAY(in->evidence_hash));
    CHECK_BYTES(buf_view(&out->receipt), buf_view(&in->receipt));
    store_record_free(in);
    store_record_free(out);
    sql_close(sql);
}

static void what_is_not_there_is_null(void **state)
{
    (void)state;
    struct sql *sql = rows_open();
    struct store_record *r = rows_record(1), *out = r;
    sql_bind_number(sql, STORE_SQL_FIND_SEQ, 1, 1);
    CHECK_OK(store_sql_get(sql, STORE_SQL_FIND_SEQ, &out));
    CHECK(out == NULL);
    store_record_free(r);
    sql_close(sql);
}

static void a_number_is_given_once(void **state)
{
    (void)state;
    struct sql *sql = rows_open();
    struct store_record *r = rows_record(1);
    CHECK_OK(store_sql_put(sql, r, 5));
    CHECK_ERR(store_sql_put(sql, r, 5), SYSTEM);
    assert_int_equal(rows_count(sql, "receipts"), 1);
    store_record_free(r);
    sql_close(sql);
}

static void the_oldest_is_the_one_of_the_least_number(void **state)
{
    (void)state;
    int64_t seq, created;
    struct sql *sql = rows_open();
    struct store_record *r = rows_record(100);
    CHECK_OK(store_sql_oldest(sql, 33, &seq, &created));
    CHECK(seq == 33 && created == INT64_MAX);
    CHECK_OK(store_sql_put(sql, r, 9));
    r->created = 50;
    CHECK_OK(store_sql_put(sql, r, 10));
    CHECK_OK(store_sql_oldest(sql, 33, &seq, &created));
    CHECK(seq == 9 && created == 100);
    store_record_free(r);
    sql_close(sql);
}

static void the_file_grows_to_its_limit_only(void **state)
{
    (void)state;
    struct sql *sql = NULL;
    err e = OK;
    unsigned n = 0;
    CHECK_OK(store_sql_open(&sql, ":memory:", 20));
    for (; n < 10000 && err_is_ok(e); n++) {
        struct store_record *r = rows_record(n);
        e = store_sql_put(sql, r, n);
        store_record_free(r);
    }
    CHECK_ERR(e, SYSTEM);
    CHECK(n > 1);
    sql_close(sql);
}

static void a_newer_format_is_refused(void **state)
{
    (void)state;
    char path[64];
    struct sql *sql = NULL;
    (void)snprintf(path, sizeof path, "/tmp/test-store-sql-%lu.db",
                   (unsigned long)clock_steady_us());
    for (int i = 0; i < 2; i++) { /* made, and found as it was made */
        CHECK_OK(store_sql_open(&sql, path, 0));
        sql_close(sql);
    }
    FILE *f = fopen(path, "r+b");
    CHECK(f != NULL);
    CHECK(fseek(f, 63, SEEK_SET) == 0); /* user_version is the big-endian word at 60 */
    CHECK(fputc(2, f) == 2);
    (void)fclose(f);
    CHECK_ERR(store_sql_open(&sql, path, 0), UNSUPPORTED);
    CHECK(remove(path) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_comes_back_as_it_went),
        cmocka_unit_test(what_is_not_there_is_null),
        cmocka_unit_test(a_number_is_given_once),
        cmocka_unit_test(the_oldest_is_the_one_of_the_least_number),
        cmocka_unit_test(the_file_grows_to_its_limit_only),
        cmocka_unit_test(a_newer_format_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
