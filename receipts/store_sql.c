/*
 * Three tables. `receipts` is in the order of arrival: `seq` only grows, the oldest go first. `ids`
 * finds them, see store_ids.c. `evidence` holds each document once, see store_evidence.h.
 */
#include "receipts/store_sql.h"

#include <string.h>

enum { FORMAT = 1 /* user_version of the file */ };

static const char schema[] =
    "CREATE TABLE receipts(seq INTEGER PRIMARY KEY, receipt_id TEXT NOT NULL,"
    " request_id TEXT NOT NULL, completion_id TEXT NOT NULL, created INTEGER NOT NULL,"
    " key BLOB NOT NULL, evidence_hash BLOB NOT NULL, receipt BLOB NOT NULL) STRICT;"
    "CREATE TABLE ids(bucket INTEGER NOT NULL, hash INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(bucket, hash, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE evidence(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    " last_seq INTEGER NOT NULL, put_at INTEGER NOT NULL, document BLOB NOT NULL) STRICT;"
    "PRAGMA user_version=1;";

#define RECORD "receipt_id, request_id, completion_id, created, key, evidence_hash, receipt"
/* The records of bucket ?1 with an id of hash ?2. */
#define IN_BUCKET                                                                                  \
    " FROM ids JOIN receipts ON receipts.seq = ids.seq WHERE ids.bucket=?1 AND ids.hash=?2"

static const char *const text_of[STORE_SQL_N] = {
    [STORE_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_SQL_COMMIT] = "COMMIT",
    [STORE_SQL_PUT] = "INSERT INTO receipts(" RECORD ", seq) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [STORE_SQL_PUT_ID] = "INSERT OR IGNORE INTO ids(bucket, hash, seq) VALUES(?1,?2,?3)",
    [STORE_SQL_PUT_EVIDENCE] =
        "INSERT INTO evidence(hash, last_seq, put_at, document) VALUES(?1,?2,?3,?4)"
        " ON CONFLICT(hash) DO UPDATE SET put_at=?3, last_seq=?2",
    [STORE_SQL_HAS_EVIDENCE] = "SELECT 1 FROM evidence WHERE hash=?1",
    [STORE_SQL_TOUCH_EVIDENCE] = "UPDATE evidence SET last_seq=?2 WHERE hash=?1",
    [STORE_SQL_FIND_SEQ] = "SELECT " RECORD " FROM receipts WHERE seq=?1",
    [STORE_SQL_FIND_RECEIPT] =
        "SELECT " RECORD IN_BUCKET " AND receipt_id=?3 ORDER BY ids.seq LIMIT 1",
    [STORE_SQL_FIND_COMPLETION] =
        "SELECT " RECORD IN_BUCKET " AND completion_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [STORE_SQL_FIND_REQUEST] =
        "SELECT " RECORD IN_BUCKET " AND request_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [STORE_SQL_FIND_EVIDENCE] = "SELECT document FROM evidence WHERE hash=?1",
    [STORE_SQL_AFTER] =
        "SELECT seq, receipt_id, request_id, completion_id FROM receipts WHERE seq > ?1"
        " ORDER BY seq LIMIT ?2",
    [STORE_SQL_OLDEST] = "SELECT seq, created FROM receipts ORDER BY seq LIMIT 1",
    [STORE_SQL_EVICT_AGED] =
        "DELETE FROM receipts WHERE created < ?2 AND seq IN"
        " (SELECT seq FROM receipts ORDER BY seq LIMIT ?1)",
    [STORE_SQL_EVICT_OLDEST] =
        "DELETE FROM receipts WHERE seq IN"
        " (SELECT seq FROM receipts ORDER BY seq LIMIT ?1)",
    [STORE_SQL_EVICT_IDS] = "DELETE FROM ids WHERE bucket < ?1",
    [STORE_SQL_EVICT_EVIDENCE] =
        "DELETE FROM evidence WHERE put_at < ?1 AND last_seq <"
        " (SELECT coalesce(min(seq), ?2) FROM receipts)",
    [STORE_SQL_PAGES] = "PRAGMA page_count",
    [STORE_SQL_FREE_PAGES] = "PRAGMA freelist_count",
};

/* ---- the file ---- */

static err set_format(struct sql *sql)
{
    int64_t format;
    TRY(sql_ask(sql, "PRAGMA user_version", &format));
    ENSURE(format == 0 || format == FORMAT, UNSUPPORTED);
    if (format == FORMAT)
        return OK;
    TRY(sql_execute(sql, "BEGIN IMMEDIATE"));
    TRY(sql_execute(sql, schema));
    return sql_execute(sql, "COMMIT");
}

static err limit_pages(struct sql *sql, uint32_t pages_max)
{
    BUF_AUTO text = BUF(64);
    if (pages_max == 0)
        return OK;
    TRY(buf_addf(&text, "PRAGMA max_page_count=%u", pages_max));
    return sql_execute(sql, buf_str(&text));
}

static err set_up(struct sql *sql, uint32_t pages_max)
{
    TRY(set_format(sql));
    TRY(limit_pages(sql, pages_max));
    return sql_prepare(sql, text_of, STORE_SQL_N);
}

err store_sql_open(struct sql **out, const char *path, uint32_t pages_max)
{
    struct sql *sql;
    TRY(sql_open(&sql, path));
    err e = set_up(sql, pages_max);
    if (!err_is_ok(e)) {
        sql_close(sql);
        return e;
    }
    *out = sql;
    return OK;
}

/* ---- records as rows ---- */

err store_sql_put(struct sql *sql, const struct store_record *r, int64_t seq)
{
    sql_bind_text(sql, STORE_SQL_PUT, 1, r->receipt_id);
    sql_bind_text(sql, STORE_SQL_PUT, 2, r->request_id);
    sql_bind_text(sql, STORE_SQL_PUT, 3, r->completion_id);
    sql_bind_number(sql, STORE_SQL_PUT, 4, r->created);
    sql_bind_blob(sql, STORE_SQL_PUT, 5, BYTES_ARRAY(r->key));
    sql_bind_blob(sql, STORE_SQL_PUT, 6, BYTES_ARRAY(r->evidence_hash));
    sql_bind_blob(sql, STORE_SQL_PUT, 7, buf_view(&r->receipt));
    sql_bind_number(sql, STORE_SQL_PUT, 8, seq);
    return sql_run(sql, STORE_SQL_PUT);
}

static void copy_digest(uint8_t to[static 32], bytes from)
{
    memcpy(to, from.at, from.len < 32 ? from.len : 32);
}

static err read_row(struct sql *sql, enum store_sql find, struct store_record *r)
{
    (void)store_id_set(r->receipt_id, sql_column(sql, find, 0));
    (void)store_id_set(r->request_id, sql_column(sql, find, 1));
    (void)store_id_set(r->completion_id, sql_column(sql, find, 2));
    r->created = sql_column_number(sql, find, 3);
    copy_digest(r->key, sql_column(sql, find, 4));
    copy_digest(r->evidence_hash, sql_column(sql, find, 5));
    return buf_add(&r->receipt, sql_column(sql, find, 6));
}

err store_sql_get(struct sql *sql, enum store_sql find, struct store_record **out)
{
    bool row;
    struct store_record *r = NULL;
    err e = sql_step(sql, find, &row);
    if (err_is_ok(e) && row)
        e = store_record_new(&r);
    if (err_is_ok(e) && row)
        e = read_row(sql, find, r);
    sql_reset(sql, find);
    if (!err_is_ok(e)) {
        store_record_free(r);
        return e;
    }
    *out = r;
    return OK;
}

err store_sql_oldest(struct sql *sql, int64_t none, int64_t *seq, int64_t *created)
{
    bool row;
    err e = sql_step(sql, STORE_SQL_OLDEST, &row);
    *seq = row ? sql_column_number(sql, STORE_SQL_OLDEST, 0) : none;
    *created = row ? sql_column_number(sql, STORE_SQL_OLDEST, 1) : INT64_MAX;
    sql_reset(sql, STORE_SQL_OLDEST);
    return e;
}
