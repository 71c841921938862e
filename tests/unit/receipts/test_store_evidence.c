#include "base/clock.h"
#include "receipts/store_evidence.h"
#include "tests/unit/receipts/store_rows.h"

struct fixture {
    struct sql *sql;
    struct store_evidence evidence;
};

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .sql = rows_open() };
    f.evidence.sql = f.sql;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    sql_close(f->sql);
    return 0;
}

/* Stands for a digest: nobody computes one here. */
struct name {
    uint8_t hash[32];
};

static struct name named(unsigned i)
{
    struct name n = { .hash = { (uint8_t)i, (uint8_t)(i >> 8) } };
    return n;
}

static bool refer(struct fixture *f, unsigned i, int64_t seq)
{
    bool there;
    CHECK_OK(store_evidence_refer(&f->evidence, named(i).hash, seq, &there));
    return there;
}

static void put(struct fixture *f, unsigned i, int64_t last_seq)
{
    CHECK_OK(store_evidence_put(&f->evidence, named(i).hash, BYTES_LIT("document"), last_seq));
}

static int64_t last_seq(struct fixture *f)
{
    int64_t seq = -1;
    CHECK_OK(sql_ask(f->sql, "SELECT max(last_seq) FROM evidence", &seq));
    return seq;
}

static void a_document_is_found_by_its_hash(void **state)
{
    struct fixture *f = *state;
    BUF_AUTO out = BUF(64);
    CHECK_ERR(store_evidence_find(&f->evidence, named(1).hash, &out), NOT_FOUND);
    put(f, 1, 0);
    CHECK_OK(store_evidence_find(&f->evidence, named(1).hash, &out));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("document"));
    CHECK_ERR(store_evidence_find(&f->evidence, named(2).hash, &out), NOT_FOUND);
}

static void a_record_learns_whether_its_document_is_there(void **state)
{
    struct fixture *f = *state;
    CHECK(!refer(f, 1, 1));
    put(f, 1, 1);
    CHECK(refer(f, 1, 2) && refer(f, 1, 3) && !refer(f, 2, 4));
}

static void putting_it_again_counts_for_later_records(void **state)
{
    struct fixture *f = *state;
    put(f, 1, 1);
    put(f, 1, 5);
    assert_int_equal(rows_count(f->sql, "evidence"), 1);
    assert_int_equal(last_seq(f), 5);
}

static void the_latest_record_is_written_once_for_all(void **state)
{
    struct fixture *f = *state;
    put(f, 1, 0);
    CHECK(refer(f, 1, 1) && refer(f, 1, 2));
    assert_int_equal(last_seq(f), 0);
    CHECK_OK(store_evidence_flush(&f->evidence));
    assert_int_equal(last_seq(f), 2);
}

/* A slot that is given up is written at once. */
static void more_documents_than_are_remembered_are_all_counted(void **state)
{
    struct fixture *f = *state;
    enum { N = 3 * STORE_EVIDENCE_KNOWN_MAX };
    int64_t counted = 0;
    for (unsigned i = 0; i < N; i++)
        put(f, i, 0);
    for (unsigned i = 0; i < N; i++)
        CHECK(refer(f, i, 7));
    CHECK_OK(store_evidence_flush(&f->evidence));
    CHECK_OK(sql_ask(f->sql, "SELECT count(*) FROM evidence WHERE last_seq = 7", &counted));
    assert_int_equal(counted, N);
}

static void what_was_forgotten_is_asked_for_again(void **state)
{
    struct fixture *f = *state;
    put(f, 1, 0);
    CHECK(refer(f, 1, 1));
    CHECK_OK(sql_execute(f->sql, "DELETE FROM evidence"));
    CHECK(refer(f, 1, 2)); /* remembered: nobody was asked */
    store_evidence_forget(&f->evidence);
    CHECK(!refer(f, 1, 3));
}

/* Documents 1, 2, 3 are of the records 1, 2, 3, and 2 is the oldest left. */
static void only_what_is_old_and_nobody_refers_to_goes(void **state)
{
    struct fixture *f = *state;
    struct store_record *r = rows_record(2);
    int64_t now = clock_wall_s();
    for (unsigned i = 1; i <= 3; i++)
        put(f, i, i);
    CHECK(refer(f, 1, 1));
    CHECK_OK(store_sql_put(f->sql, r, 2));
    store_record_free(r);
    CHECK_OK(store_evidence_evict(&f->evidence, now - 100, 4));
    assert_int_equal(rows_count(f->sql, "evidence"), 3);
    CHECK_OK(store_evidence_evict(&f->evidence, now + 100, 4));
    assert_int_equal(rows_count(f->sql, "evidence"), 2);
    CHECK(!refer(f, 1, 4)); /* not remembered either */
}

static void without_records_all_that_is_old_goes(void **state)
{
    struct fixture *f = *state;
    put(f, 1, 3);
    CHECK_OK(store_evidence_evict(&f->evidence, clock_wall_s() + 100, 3));
    assert_int_equal(rows_count(f->sql, "evidence"), 1);
    CHECK_OK(store_evidence_evict(&f->evidence, clock_wall_s() + 100, 4));
    assert_int_equal(rows_count(f->sql, "evidence"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_document_is_found_by_its_hash),
        TEST(a_record_learns_whether_its_document_is_there),
        TEST(putting_it_again_counts_for_later_records),
        TEST(the_latest_record_is_written_once_for_all),
        TEST(more_documents_than_are_remembered_are_all_counted),
        TEST(what_was_forgotten_is_asked_for_again),
        TEST(only_what_is_old_and_nobody_refers_to_goes),
        TEST(without_records_all_that_is_old_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
