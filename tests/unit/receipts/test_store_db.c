#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "receipts/store_db.h"
#include "tests/lib/law.h"

static struct store_db *memory_db(uint64_t max_age_s)
{
    struct store_db *db = NULL;
    const struct store_settings settings = { .path = ":memory:", .max_age_s = max_age_s };
    CHECK_OK(store_db_open(&db, &settings));
    return db;
}

static err put(struct store_db *db, const char *id)
{
    struct store_record *r;
    TRY(store_record_new(&r));
    (void)snprintf(r->receipt_id, sizeof r->receipt_id, "%s", id);
    err e = buf_add_str(&r->receipt, "a receipt");
    if (err_is_ok(e))
        e = store_db_put(db, r);
    store_record_free(r);
    return e;
}

static bool is_there(struct store_db *db, const char *id)
{
    struct store_record *r = NULL;
    err e = store_db_find(db, id, &r);
    CHECK(err_is_ok(e) || e.code == ERR_NOT_FOUND);
    store_record_free(r);
    return err_is_ok(e);
}

static void a_transaction_is_kept_or_dropped_as_one(void **state)
{
    (void)state;
    struct store_db *db = memory_db(0);
    CHECK_OK(store_db_begin(db));
    CHECK_OK(put(db, "a"));
    CHECK_OK(put(db, "b"));
    store_db_rollback(db);
    CHECK(!is_there(db, "a") && !is_there(db, "b"));
    CHECK_OK(store_db_begin(db));
    CHECK_OK(put(db, "a"));
    CHECK_ERR(put(db, "a"), EXISTS);
    CHECK_OK(put(db, "c"));
    CHECK_OK(store_db_commit(db));
    CHECK(is_there(db, "a") && is_there(db, "c") && !is_there(db, "b"));
    store_db_close(db);
    store_db_close(NULL);
}

static void a_transaction_begins_once(void **state)
{
    (void)state;
    struct store_db *db = memory_db(0);
    CHECK_OK(store_db_begin(db));
    CHECK_ERR(store_db_begin(db), SYSTEM);
    CHECK(store_db_error(db) != 0);
    store_db_rollback(db);
    CHECK_OK(store_db_begin(db));
    CHECK_OK(store_db_commit(db));
    store_db_close(db);
}

/* What was remembered of a dropped transaction is not believed. */
static void a_dropped_document_is_not_remembered(void **state)
{
    (void)state;
    uint8_t hash[SHA256_LEN];
    bytes document = BYTES_LIT("document");
    struct store_record *r;
    BUF_AUTO out = BUF(64);
    struct store_db *db = memory_db(0);
    sha256_of(document, hash);
    CHECK_OK(store_record_new(&r));
    (void)snprintf(r->receipt_id, sizeof r->receipt_id, "id");
    memcpy(r->evidence_hash, hash, sizeof hash);
    CHECK_OK(buf_add_str(&r->receipt, "a receipt"));
    CHECK_OK(store_db_begin(db));
    CHECK_OK(store_db_put_evidence(db, hash, document));
    CHECK_OK(store_db_put(db, r));
    CHECK(!r->evidence_missing);
    store_db_rollback(db);
    CHECK_ERR(store_db_find_evidence(db, hash, &out), NOT_FOUND);
    CHECK_OK(store_db_begin(db));
    CHECK_OK(store_db_put(db, r));
    CHECK(r->evidence_missing);
    CHECK_OK(store_db_commit(db));
    store_record_free(r);
    store_db_close(db);
}

static void removing_counts_what_went(void **state)
{
    (void)state;
    uint64_t n;
    struct store_db *db = memory_db(100);
    CHECK_OK(store_db_begin(db));
    CHECK_OK(put(db, "a"));
    CHECK_OK(put(db, "b"));
    CHECK_OK(store_db_commit(db));
    CHECK_OK(store_db_evict(db, &n));
    assert_int_equal(n, 0);
    clock_shift_wall_s(200);
    CHECK_OK(store_db_begin(db));
    CHECK_OK(put(db, "c"));
    CHECK_OK(store_db_commit(db));
    CHECK_OK(store_db_evict(db, &n));
    assert_int_equal(n, 2);
    CHECK(!is_there(db, "a") && !is_there(db, "b") && is_there(db, "c"));
    clock_shift_wall_s(400);
    CHECK_OK(store_db_evict(db, &n));
    assert_int_equal(n, 1);
    CHECK(!is_there(db, "c"));
    CHECK_OK(store_db_begin(db));
    CHECK_OK(put(db, "d")); /* numbers go on where they were */
    CHECK_OK(store_db_commit(db));
    CHECK(is_there(db, "d"));
    clock_shift_wall_s(0);
    store_db_close(db);
}

static err everything_once(void *arg)
{
    struct store_db *db = NULL;
    struct store_record *r = NULL;
    const struct store_settings settings = { .path = ":memory:" };
    (void)arg;
    TRY(store_db_open(&db, &settings));
    err e = store_db_begin(db);
    if (err_is_ok(e))
        e = put(db, "id");
    if (err_is_ok(e))
        e = store_db_commit(db);
    if (err_is_ok(e))
        e = store_db_find(db, "id", &r);
    store_record_free(r);
    store_db_close(db);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(everything_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_kept_or_dropped_as_one),
        cmocka_unit_test(a_transaction_begins_once),
        cmocka_unit_test(a_dropped_document_is_not_remembered),
        cmocka_unit_test(removing_counts_what_went),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
