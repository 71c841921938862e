/*
 * One transaction at a time over three tables: the records themselves and their numbers here, the ids
 * that find them in store_ids, the documents that they refer to in store_evidence.
 */
#include "receipts/store_db.h"

#include "base/clock.h"
#include "base/mem.h"
#include "receipts/store_evidence.h"
#include "receipts/store_ids.h"
#include "receipts/store_sql.h"

enum {
    CHECKPOINT_PAGES = 1000,
    EVICT_MAX = 512,     /* records in one removal */
    EVICT_ROUNDS_MAX = 8 /* removals in one go */
};

struct store_db {
    struct sql *sql;
    struct store_ids *ids;
    struct store_evidence evidence;
    uint64_t max_bytes;
    uint64_t max_age_s;
    uint64_t bytes;
    int64_t next_seq;
};

/* ---- opening ---- */

/* Numbers are never used twice while anything still refers to them. */
static err find_next_seq(struct store_db *db, int64_t indexed)
{
    int64_t used;
    TRY(sql_ask(db->sql,
                "SELECT max(coalesce((SELECT max(seq) FROM receipts), 0),"
                " coalesce((SELECT max(last_seq) FROM evidence), 0))",
                &used));
    db->next_seq = 1 + (used > indexed ? used : indexed);
    return OK;
}

static err measure(struct store_db *db)
{
    int64_t pages, unused;
    TRY(sql_number(db->sql, STORE_SQL_PAGES, &pages));
    TRY(sql_number(db->sql, STORE_SQL_FREE_PAGES, &unused));
    db->bytes = (uint64_t)(pages - unused) * STORE_SQL_PAGE_LEN;
    return OK;
}

static err set_up(struct store_db *db, const struct store_settings *settings)
{
    int64_t indexed;
    TRY(store_sql_open(&db->sql, settings->path, settings->pages_max));
    db->evidence.sql = db->sql;
    TRY(store_ids_new(&db->ids, db->sql, &indexed));
    TRY(find_next_seq(db, indexed));
    return measure(db);
}

err store_db_open(struct store_db **out, const struct store_settings *settings)
{
    struct store_db *db;
    ENSURE(settings->max_bytes == 0 || settings->max_bytes >= STORE_BYTES_MIN, CONFIG);
    TRY(mem_new(&db));
    db->max_bytes = settings->max_bytes;
    db->max_age_s = settings->max_age_s;
    err e = set_up(db, settings);
    if (!err_is_ok(e)) {
        store_db_close(db);
        return e;
    }
    *out = db;
    return OK;
}

void store_db_close(struct store_db *db)
{
    if (db == NULL)
        return;
    store_ids_free(db->ids);
    sql_close(db->sql);
    mem_free(db);
}

/* ---- transactions ---- */

err store_db_begin(struct store_db *db)
{
    store_ids_begin(db->ids);
    return sql_run(db->sql, STORE_SQL_BEGIN);
}

err store_db_commit(struct store_db *db)
{
    TRY(store_evidence_flush(&db->evidence));
    TRY(sql_run(db->sql, STORE_SQL_COMMIT));
    return measure(db);
}

void store_db_rollback(struct store_db *db)
{
    sql_rollback(db->sql);
    store_ids_rollback(db->ids);
    store_evidence_forget(&db->evidence);
}

/* ---- reading and writing ---- */

err store_db_find(struct store_db *db, const char *id, struct store_record **out)
{
    struct store_record *r;
    ENSURE(id[0] != '\0', NOT_FOUND);
    TRY(store_ids_find(db->ids, id, db->next_seq, &r));
    ENSURE(r != NULL, NOT_FOUND);
    *out = r;
    return OK;
}

err store_db_find_evidence(struct store_db *db, const uint8_t hash[static 32], struct buf *out)
{
    return store_evidence_find(&db->evidence, hash, out);
}

err store_db_put(struct store_db *db, struct store_record *record)
{
    bool there;
    if (record->created == 0)
        record->created = clock_wall_s();
    TRY(store_ids_refuse_repeated(db->ids, record->receipt_id));
    TRY(store_sql_put(db->sql, record, db->next_seq));
    TRY(store_ids_add(db->ids, record, db->next_seq));
    TRY(store_evidence_refer(&db->evidence, record->evidence_hash, db->next_seq, &there));
    record->evidence_missing = !there;
    db->next_seq++;
    return OK;
}

/* Records before this one may refer to the document as well, so it counts for all of them. */
err store_db_put_evidence(struct store_db *db, const uint8_t hash[static 32], bytes document)
{
    return store_evidence_put(&db->evidence, hash, document, db->next_seq - 1);
}

/* ---- removing ---- */

static err remove_some(struct store_db *db, enum store_sql q, int64_t limit, uint64_t *n)
{
    sql_bind_number(db->sql, q, 1, limit);
    TRY(sql_run(db->sql, q));
    *n += sql_changes(db->sql);
    return OK;
}

static err evict_aged(struct store_db *db, int64_t before, uint64_t *n)
{
    uint64_t all_before;
    do {
        int64_t seq, created;
        all_before = *n;
        TRY(store_sql_oldest(db->sql, db->next_seq, &seq, &created));
        if (created >= before)
            return OK;
        sql_bind_number(db->sql, STORE_SQL_EVICT_AGED, 2, before);
        TRY(remove_some(db, STORE_SQL_EVICT_AGED, EVICT_MAX, n));
    } while (*n > all_before && *n < (uint64_t)EVICT_MAX * EVICT_ROUNDS_MAX);
    return OK;
}

static err evict_surplus(struct store_db *db, uint64_t *n)
{
    for (unsigned i = 0; i < EVICT_ROUNDS_MAX; i++) {
        uint64_t before = *n;
        TRY(measure(db));
        if (db->bytes <= db->max_bytes)
            return OK;
        TRY(remove_some(db, STORE_SQL_EVICT_OLDEST, EVICT_MAX / 4, n));
        if (*n == before)
            return OK;
    }
    return OK;
}

static err evict_ids(struct store_db *db)
{
    int64_t seq, created;
    TRY(store_sql_oldest(db->sql, db->next_seq, &seq, &created));
    return store_ids_forget(db->ids, seq);
}

static err evict(struct store_db *db, uint64_t *n)
{
    int64_t now = clock_wall_s();
    if (db->max_age_s > 0 && now > 0 && (uint64_t)now > db->max_age_s)
        TRY(evict_aged(db, now - (int64_t)db->max_age_s, n));
    TRY(store_evidence_evict(&db->evidence, now - STORE_EVIDENCE_GRACE_S, db->next_seq));
    if (db->max_bytes > 0 && db->bytes > db->max_bytes)
        TRY(evict_surplus(db, n));
    if (*n > 0)
        TRY(evict_ids(db));
    return sql_run(db->sql, STORE_SQL_COMMIT);
}

err store_db_evict(struct store_db *db, uint64_t *n)
{
    *n = 0;
    TRY(store_db_begin(db));
    err e = evict(db, n);
    if (!err_is_ok(e)) {
        *n = 0;
        store_db_rollback(db);
        return e;
    }
    return measure(db);
}

err store_db_settle(struct store_db *db)
{
    TRY(store_ids_settle(db->ids));
    return sql_checkpoint(db->sql, CHECKPOINT_PAGES);
}

/* ---- numbers ---- */

uint64_t store_db_bytes(const struct store_db *db)
{
    return db->bytes;
}

int store_db_error(const struct store_db *db)
{
    return sql_error(db->sql);
}
