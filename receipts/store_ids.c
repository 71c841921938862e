/*
 * For each id of a record the table has 64 bits of its SHA-256, grouped by BUCKET_LEN consecutive
 * records. Ids are random: one big index would touch a page of its own for each of them, read it, and
 * write it twice. So they gather in memory first (fresh.h; on opening they are read back from the
 * latest receipts), are written many at a time, and into one bucket's few pages. The price is paid by
 * look-ups, which ask one bucket after the other, and that is the rare case. Whole buckets go when
 * the last of their records has gone.
 */
#include "receipts/store_ids.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/hash.h"
#include "receipts/fresh.h"
#include "receipts/store.h"
#include "receipts/store_sql.h"

enum {
    BUCKET_LEN = 4096, /* records; frozen with the file's format */
    PER_RECORD = 3,
    FRESH_RECORDS = 2048 /* so many gather before their ids are written */
};

_Static_assert((FRESH_RECORDS + (int)STORE_BATCH_MAX) * PER_RECORD <= (int)FRESH_MAX,
               "a batch must fit behind what waits to be written");

static const char last_indexed[] =
    "SELECT coalesce(max(seq), 0) FROM ids WHERE bucket = (SELECT max(bucket) FROM ids)";

struct store_ids {
    struct sql *sql;
    struct fresh *fresh;    /* ids that are not in the table yet */
    struct fresh *previous; /* those written last, to notice what is repeated */
    size_t fresh_before;    /* length of `fresh` when the transaction began */
};

/* Each kind of id has a space of its own, so that a client's id cannot stand in a receipt's way. */
struct way {
    enum store_sql in_bucket;
    char kind;
    bool newest_first;
    size_t at; /* the id in struct store_record */
};

static const struct way by_receipt = { STORE_SQL_FIND_RECEIPT, 'r', false,
                                       offsetof(struct store_record, receipt_id) };
static const struct way by_completion = { STORE_SQL_FIND_COMPLETION, 'c', true,
                                          offsetof(struct store_record, completion_id) };
static const struct way by_request = { STORE_SQL_FIND_REQUEST, 'q', true,
                                       offsetof(struct store_record, request_id) };

static int64_t id_hash(const struct way *way, bytes id)
{
    struct sha256 h;
    uint8_t digest[SHA256_LEN];
    int64_t out;
    sha256_init(&h);
    sha256_add(&h, bytes_of(&way->kind, 1));
    sha256_add(&h, id);
    sha256_end(&h, digest);
    memcpy(&out, digest, sizeof out);
    return out;
}

/* ---- gathering ---- */

static err gather(struct store_ids *ids, const struct way *way, bytes id, int64_t seq)
{
    return id.len == 0 ? OK : fresh_add(ids->fresh, id_hash(way, id), seq);
}

void store_ids_begin(struct store_ids *ids)
{
    ids->fresh_before = fresh_len(ids->fresh);
}

err store_ids_add(struct store_ids *ids, const struct store_record *r, int64_t seq)
{
    TRY(gather(ids, &by_receipt, bytes_str(r->receipt_id), seq));
    TRY(gather(ids, &by_request, bytes_str(r->request_id), seq));
    return gather(ids, &by_completion, bytes_str(r->completion_id), seq);
}

void store_ids_rollback(struct store_ids *ids)
{
    fresh_cut(ids->fresh, ids->fresh_before);
}

/* ---- the table ---- */

static err put_id(struct store_ids *ids, size_t i)
{
    int64_t hash, seq;
    fresh_entry(ids->fresh, i, &hash, &seq);
    sql_bind_number(ids->sql, STORE_SQL_PUT_ID, 1, seq / BUCKET_LEN);
    sql_bind_number(ids->sql, STORE_SQL_PUT_ID, 2, hash);
    sql_bind_number(ids->sql, STORE_SQL_PUT_ID, 3, seq);
    return sql_run(ids->sql, STORE_SQL_PUT_ID);
}

static err put_all(struct store_ids *ids)
{
    for (size_t i = 0; i < fresh_len(ids->fresh); i++)
        TRY(put_id(ids, i));
    return sql_run(ids->sql, STORE_SQL_COMMIT);
}

static err write_ids(struct store_ids *ids)
{
    TRY(sql_run(ids->sql, STORE_SQL_BEGIN));
    err e = put_all(ids);
    if (!err_is_ok(e)) {
        sql_rollback(ids->sql);
        return e;
    }
    struct fresh *written = ids->fresh;
    ids->fresh = ids->previous;
    ids->previous = written;
    fresh_cut(ids->fresh, 0);
    return OK;
}

err store_ids_settle(struct store_ids *ids)
{
    if (fresh_len(ids->fresh) < (size_t)FRESH_RECORDS * PER_RECORD)
        return OK;
    return write_ids(ids);
}

err store_ids_forget(struct store_ids *ids, int64_t oldest)
{
    sql_bind_number(ids->sql, STORE_SQL_EVICT_IDS, 1, oldest / BUCKET_LEN);
    return sql_run(ids->sql, STORE_SQL_EVICT_IDS);
}

/* ---- opening ---- */

/* One slice of the records behind *seq, whose ids no table holds. */
static err gather_after(struct store_ids *ids, int64_t *seq, bool *more)
{
    err e = OK;
    struct sql *sql = ids->sql;
    sql_bind_number(sql, STORE_SQL_AFTER, 1, *seq);
    sql_bind_number(sql, STORE_SQL_AFTER, 2, FRESH_RECORDS);
    *more = false;
    for (bool row; err_is_ok(e) && err_is_ok(e = sql_step(sql, STORE_SQL_AFTER, &row)) && row;) {
        *seq = sql_column_number(sql, STORE_SQL_AFTER, 0);
        *more = true;
        e = gather(ids, &by_receipt, sql_column(sql, STORE_SQL_AFTER, 1), *seq);
        if (err_is_ok(e))
            e = gather(ids, &by_request, sql_column(sql, STORE_SQL_AFTER, 2), *seq);
        if (err_is_ok(e))
            e = gather(ids, &by_completion, sql_column(sql, STORE_SQL_AFTER, 3), *seq);
    }
    sql_reset(sql, STORE_SQL_AFTER);
    return e;
}

static err set_up(struct store_ids *ids, int64_t *last)
{
    TRY(fresh_new(&ids->fresh));
    TRY(fresh_new(&ids->previous));
    TRY(sql_ask(ids->sql, last_indexed, last));
    int64_t seq = *last;
    for (bool more = true; more;) {
        TRY(gather_after(ids, &seq, &more));
        TRY(store_ids_settle(ids));
    }
    return OK;
}

err store_ids_new(struct store_ids **out, struct sql *sql, int64_t *last)
{
    struct store_ids *ids;
    TRY(mem_new(&ids));
    ids->sql = sql;
    err e = set_up(ids, last);
    if (!err_is_ok(e)) {
        store_ids_free(ids);
        return e;
    }
    *out = ids;
    return OK;
}

void store_ids_free(struct store_ids *ids)
{
    if (ids == NULL)
        return;
    fresh_free(ids->fresh);
    fresh_free(ids->previous);
    mem_free(ids);
}

/* ---- finding ---- */

static bool has_id(const struct store_record *r, const struct way *way, const char *id)
{
    return bytes_equal(bytes_str((const char *)r + way->at), bytes_str(id));
}

/* The record of that number if it has that id, or NULL. */
static err find_seq(struct store_ids *ids, const struct way *way, int64_t seq, const char *id,
                    struct store_record **out)
{
    sql_bind_number(ids->sql, STORE_SQL_FIND_SEQ, 1, seq);
    TRY(store_sql_get(ids->sql, STORE_SQL_FIND_SEQ, out));
    if (*out == NULL || has_id(*out, way, id))
        return OK;
    store_record_free(*out);
    *out = NULL;
    return OK;
}

/* Among the ids in memory; the newest or, by going on to the end, the oldest. */
static err find_fresh(struct store_ids *ids, const struct way *way, const char *id,
                      struct store_record **out)
{
    int64_t hash = id_hash(way, bytes_str(id)), seq;
    for (size_t at = 0; fresh_next(ids->fresh, hash, &at, &seq);) {
        struct store_record *r = NULL;
        TRY(find_seq(ids, way, seq, id, &r));
        if (r == NULL)
            continue;
        store_record_free(*out);
        *out = r;
        if (way->newest_first)
            break;
    }
    return OK;
}

static err find_in_buckets(struct store_ids *ids, const struct way *way, const char *id,
                           int64_t next_seq, struct store_record **out)
{
    int64_t hash = id_hash(way, bytes_str(id)), seq, created;
    TRY(store_sql_oldest(ids->sql, next_seq, &seq, &created));
    int64_t first = seq / BUCKET_LEN, last = next_seq / BUCKET_LEN;
    for (int64_t i = 0; i <= last - first && *out == NULL; i++) {
        sql_bind_number(ids->sql, way->in_bucket, 1, way->newest_first ? last - i : first + i);
        sql_bind_number(ids->sql, way->in_bucket, 2, hash);
        sql_bind_text(ids->sql, way->in_bucket, 3, id);
        TRY(store_sql_get(ids->sql, way->in_bucket, out));
    }
    return OK;
}

/* Memory has the newest records, the table the oldest. */
static err find_by(struct store_ids *ids, const struct way *way, const char *id, int64_t next_seq,
                   struct store_record **out)
{
    if (way->newest_first)
        TRY(find_fresh(ids, way, id, out));
    if (*out == NULL)
        TRY(find_in_buckets(ids, way, id, next_seq, out));
    return *out != NULL || way->newest_first ? OK : find_fresh(ids, way, id, out);
}

err store_ids_find(struct store_ids *ids, const char *id, int64_t next_seq,
                   struct store_record **out)
{
    static const struct way *const ways[] = { &by_receipt, &by_completion, &by_request };
    struct store_record *r = NULL;
    err e = OK;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && err_is_ok(e) && r == NULL; i++)
        e = find_by(ids, ways[i], id, next_seq, &r);
    if (!err_is_ok(e)) {
        store_record_free(r);
        return e;
    }
    *out = r;
    return OK;
}

static err refuse_if_in(struct store_ids *ids, const struct fresh *f, int64_t hash, const char *id)
{
    int64_t seq;
    for (size_t at = 0; fresh_next(f, hash, &at, &seq);) {
        struct store_record *r = NULL;
        TRY(find_seq(ids, &by_receipt, seq, id, &r));
        bool there = r != NULL;
        store_record_free(r);
        ENSURE(!there, EXISTS);
    }
    return OK;
}

err store_ids_refuse_repeated(struct store_ids *ids, const char *receipt_id)
{
    int64_t hash = id_hash(&by_receipt, bytes_str(receipt_id));
    TRY(refuse_if_in(ids, ids->fresh, hash, receipt_id));
    return refuse_if_in(ids, ids->previous, hash, receipt_id);
}
