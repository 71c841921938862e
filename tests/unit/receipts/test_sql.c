#include "receipts/sql.h"
#include "tests/lib/law.h"

enum { ADD, ALL, COUNT, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ADD] = "INSERT INTO t(n, name, body) VALUES(?1,?2,?3)",
    [ALL] = "SELECT n, name, body FROM t ORDER BY n",
    [COUNT] = "SELECT count(*) FROM t",
};

static struct sql *opened(void)
{
    struct sql *s = NULL;
    CHECK_OK(sql_open(&s, ":memory:"));
    CHECK_OK(sql_execute(s,
                         "CREATE TABLE t(n INTEGER UNIQUE NOT NULL, name TEXT NOT NULL,"
                         " body BLOB NOT NULL) STRICT"));
    CHECK_OK(sql_prepare(s, texts, STATEMENTS));
    return s;
}

static err add(struct sql *s, int64_t n, const char *name, bytes body)
{
    sql_bind_number(s, ADD, 1, n);
    sql_bind_text(s, ADD, 2, name);
    sql_bind_blob(s, ADD, 3, body);
    return sql_run(s, ADD);
}

static void values_come_back_as_they_went(void **state)
{
    (void)state;
    bool row;
    struct sql *s = opened();
    CHECK_OK(add(s, -5, "a 'quoted' name", BYTES_LIT("\0\xff")));
    assert_int_equal(sql_changes(s), 1);
    CHECK_OK(sql_step(s, ALL, &row));
    CHECK(row);
    assert_int_equal(sql_column_number(s, ALL, 0), -5);
    CHECK_BYTES(sql_column(s, ALL, 1), BYTES_LIT("a 'quoted' name"));
    CHECK_BYTES(sql_column(s, ALL, 2), BYTES_LIT("\0\xff"));
    CHECK_OK(sql_step(s, ALL, &row));
    CHECK(!row);
    sql_reset(s, ALL);
    sql_close(s);
}

static void a_failure_is_named_and_does_not_stick(void **state)
{
    (void)state;
    int64_t n;
    struct sql *s = opened();
    assert_int_equal(sql_error(s), 0);
    CHECK_OK(add(s, 1, "x", BYTES_LIT("y")));
    CHECK_ERR(add(s, 1, "x", BYTES_LIT("y")), SYSTEM);
    assert_int_equal(sql_error(s), 2067); /* SQLITE_CONSTRAINT_UNIQUE */
    CHECK_OK(add(s, 2, "x", BYTES_LIT("y")));
    CHECK_OK(sql_number(s, COUNT, &n));
    assert_int_equal(n, 2);
    sql_close(s);
}

static void nothing_bound_is_nothing_stored(void **state)
{
    (void)state;
    int64_t n;
    struct sql *s = opened();
    CHECK_ERR(sql_run(s, ADD), SYSTEM);
    CHECK_ERR(add(s, 1, NULL, BYTES_LIT("y")), SYSTEM);
    CHECK_ERR(add(s, 1, "x", (bytes){ 0 }), SYSTEM);
    CHECK_OK(sql_number(s, COUNT, &n));
    assert_int_equal(n, 0);
    sql_close(s);
}

static void a_rollback_needs_no_transaction_and_keeps_the_error(void **state)
{
    (void)state;
    int64_t n;
    struct sql *s = opened();
    sql_rollback(s);
    CHECK_OK(sql_execute(s, "BEGIN"));
    CHECK_OK(add(s, 1, "x", BYTES_LIT("y")));
    CHECK_ERR(sql_execute(s, "BEGIN"), SYSTEM);
    int error = sql_error(s);
    CHECK(error != 0);
    sql_rollback(s);
    assert_int_equal(sql_error(s), error);
    CHECK_OK(sql_ask(s, "SELECT count(*) FROM t", &n));
    assert_int_equal(n, 0);
    sql_close(s);
}

static void refuses_what_is_no_statement(void **state)
{
    (void)state;
    int64_t n;
    static const char *const wrong[] = { "SELECT nothing FROM nowhere" };
    struct sql *s = opened();
    CHECK_ERR(sql_execute(s, "NONSENSE"), SYSTEM);
    CHECK_ERR(sql_ask(s, "SELECT", &n), SYSTEM);
    sql_close(s);
    CHECK_OK(sql_open(&s, ":memory:"));
    CHECK_ERR(sql_prepare(s, wrong, 1), SYSTEM);
    CHECK_ERR(sql_prepare(s, texts, SQL_STATEMENTS_MAX + 1), INTERNAL);
    sql_close(s);
    sql_close(NULL);
}

static void reads_fail_where_there_is_no_folder(void **state)
{
    (void)state;
    struct sql *s = NULL;
    CHECK_ERR(sql_open(&s, "/nowhere/at/all.db"), SYSTEM);
    CHECK(s == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(a_failure_is_named_and_does_not_stick),
        cmocka_unit_test(nothing_bound_is_nothing_stored),
        cmocka_unit_test(a_rollback_needs_no_transaction_and_keeps_the_error),
        cmocka_unit_test(refuses_what_is_no_statement),
        cmocka_unit_test(reads_fail_where_there_is_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
