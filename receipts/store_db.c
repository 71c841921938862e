/*
 * Three tables. `receipts` is in the order of arrival: `seq` only grows, the oldest go first.
 *
 * `ids` finds them: for each id of a record 64 bits of its SHA-256, grouped by BUCKET_LEN consecutive
 * records. Ids are random: one big index would touch a page of its own for each of them, read it, and
 * write it twice. So they gather in memory first (fresh.h; on opening they are read back from the
 * latest receipts), are written many at a time, and into one bucket's few pages. The price is paid by
 * look-ups, which ask one bucket after the other, and that is the rare case. Whole buckets go when
 * the last of their records has gone.
 *
 * `evidence` holds each document once, with the latest seq that refers to it: a document may go when
 * that is below the oldest receipt left. So neither storing nor removing a receipt has to count
 * references.
 */
#include "receipts/store_db.h"

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"
#include "receipts/fresh.h"
#include "receipts/sql.h"

enum {
    FORMAT = 1,        /* user_version of the file */
    BUCKET_LEN = 4096, /* records; frozen with FORMAT */
    PAGE_LEN = 4096,
    CHECKPOINT_PAGES = 1000,
    IDS_PER_RECORD = 3,
    FRESH_RECORDS = 2048, /* so many gather before their ids are written */
    EVICT_MAX = 512,      /* records in one removal */
    EVICT_ROUNDS_MAX = 8, /* removals in one go */
    KNOWN_MAX = 8         /* evidence documents remembered to be there */
};

_Static_assert((FRESH_RECORDS + (int)STORE_BATCH_MAX) * IDS_PER_RECORD <= (int)FRESH_MAX,
               "a batch must fit behind what waits to be written");

static const char schema[] =
    "CREATE TABLE receipts(seq INTEGER PRIMARY KEY, receipt_id TEXT NOT NULL,"
    " request_id TEXT NOT NULL, completion_id TEXT NOT NULL, created INTEGER NOT NULL,"
    " key BLOB NOT NULL, evidence_hash BLOB NOT NULL, receipt BLOB NOT NULL) STRICT;"
    "CREATE TABLE ids(bucket INTEGER NOT NULL, hash INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY(bucket, hash, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE evidence(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
    " last_seq INTEGER NOT NULL, put_at INTEGER NOT NULL, document BLOB NOT NULL) STRICT;"
    "PRAGMA user_version=1;";

static const char last_indexed[] =
    "SELECT coalesce(max(seq), 0) FROM ids WHERE bucket = (SELECT max(bucket) FROM ids)";

#define RECORD "receipt_id, request_id, completion_id, created, key, evidence_hash, receipt"
/* The records of bucket ?1 with an id of hash ?2. */
#define IN_BUCKET                                                                                  \
    " FROM ids JOIN receipts ON receipts.seq = ids.seq WHERE ids.bucket=?1 AND ids.hash=?2"

enum query {
    BEGIN,
    COMMIT,
    PUT,
    PUT_ID,
    PUT_EVIDENCE,
    HAS_EVIDENCE,
    TOUCH_EVIDENCE,
    FIND_SEQ,
    FIND_RECEIPT,
    FIND_COMPLETION,
    FIND_REQUEST,
    FIND_EVIDENCE,
    AFTER,
    OLDEST,
    EVICT_AGED,
    EVICT_OLDEST,
    EVICT_IDS,
    EVICT_EVIDENCE,
    PAGES,
    FREE_PAGES,
    QUERIES
};

static const char *const text_of[QUERIES] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [PUT] = "INSERT INTO receipts(" RECORD ", seq) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [PUT_ID] = "INSERT OR IGNORE INTO ids(bucket, hash, seq) VALUES(?1,?2,?3)",
    [PUT_EVIDENCE] =
        "INSERT INTO evidence(hash, last_seq, put_at, document) VALUES(?1,?2,?3,?4)"
        " ON CONFLICT(hash) DO UPDATE SET put_at=?3, last_seq=?2",
    [HAS_EVIDENCE] = "SELECT 1 FROM evidence WHERE hash=?1",
    [TOUCH_EVIDENCE] = "UPDATE evidence SET last_seq=?2 WHERE hash=?1",
    [FIND_SEQ] = "SELECT " RECORD " FROM receipts WHERE seq=?1",
    [FIND_RECEIPT] = "SELECT " RECORD IN_BUCKET " AND receipt_id=?3 ORDER BY ids.seq LIMIT 1",
    [FIND_COMPLETION] =
        "SELECT " RECORD IN_BUCKET " AND completion_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [FIND_REQUEST] = "SELECT " RECORD IN_BUCKET " AND request_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [FIND_EVIDENCE] = "SELECT document FROM evidence WHERE hash=?1",
    [AFTER] =
        "SELECT seq, receipt_id, request_id, completion_id FROM receipts WHERE seq > ?1"
        " ORDER BY seq LIMIT ?2",
    [OLDEST] = "SELECT seq, created FROM receipts ORDER BY seq LIMIT 1",
    [EVICT_AGED] =
        "DELETE FROM receipts WHERE created < ?2 AND seq IN"
        " (SELECT seq FROM receipts ORDER BY seq LIMIT ?1)",
    [EVICT_OLDEST] =
        "DELETE FROM receipts WHERE seq IN"
        " (SELECT seq FROM receipts ORDER BY seq LIMIT ?1)",
    [EVICT_IDS] = "DELETE FROM ids WHERE bucket < ?1",
    [EVICT_EVIDENCE] =
        "DELETE FROM evidence WHERE put_at < ?1 AND last_seq <"
        " (SELECT coalesce(min(seq), ?2) FROM receipts)",
    [PAGES] = "PRAGMA page_count",
    [FREE_PAGES] = "PRAGMA freelist_count",
};

/* A document that is stored; `seq` is the latest record of this transaction that refers to it. */
struct known {
    uint8_t hash[32];
    int64_t seq; /* 0: none */
    bool used;
};

struct store_db {
    struct sql *sql;
    uint64_t max_bytes;
    uint64_t max_age_s;
    uint64_t bytes;
    int64_t next_seq;
    struct fresh *fresh;    /* ids that are not in the table yet */
    struct fresh *previous; /* those written last, to notice what is repeated */
    size_t fresh_before;    /* length of `fresh` when the transaction began */
    struct known known[KNOWN_MAX];
    size_t known_next; /* the slot that is given up next */
};

/* ---- ids ---- */

/* Each kind of id has a space of its own, so that a client's id cannot stand in a receipt's way. */
struct way {
    enum query in_bucket;
    char kind;
    bool newest_first;
    size_t at; /* the id in struct store_record */
};

static const struct way by_receipt = { FIND_RECEIPT, 'r', false,
                                       offsetof(struct store_record, receipt_id) };
static const struct way by_completion = { FIND_COMPLETION, 'c', true,
                                          offsetof(struct store_record, completion_id) };
static const struct way by_request = { FIND_REQUEST, 'q', true,
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

static err gather_id(struct store_db *db, const struct way *way, bytes id, int64_t seq)
{
    return id.len == 0 ? OK : fresh_add(db->fresh, id_hash(way, id), seq);
}

static err put_id(struct store_db *db, size_t i)
{
    int64_t hash, seq;
    fresh_entry(db->fresh, i, &hash, &seq);
    sql_bind_number(db->sql, PUT_ID, 1, seq / BUCKET_LEN);
    sql_bind_number(db->sql, PUT_ID, 2, hash);
    sql_bind_number(db->sql, PUT_ID, 3, seq);
    return sql_run(db->sql, PUT_ID);
}

static err put_ids(struct store_db *db)
{
    for (size_t i = 0; i < fresh_len(db->fresh); i++)
        TRY(put_id(db, i));
    return sql_run(db->sql, COMMIT);
}

/* On failure all stay in memory, and the next call tries again. */
static err write_ids(struct store_db *db)
{
    TRY(sql_run(db->sql, BEGIN));
    err e = put_ids(db);
    if (!err_is_ok(e)) {
        sql_rollback(db->sql);
        return e;
    }
    struct fresh *written = db->fresh;
    db->fresh = db->previous;
    db->previous = written;
    fresh_cut(db->fresh, 0);
    return OK;
}

/* One slice of the records behind *seq, whose ids no table holds. */
static err gather_after(struct store_db *db, int64_t *seq, bool *more)
{
    err e = OK;
    struct sql *sql = db->sql;
    sql_bind_number(sql, AFTER, 1, *seq);
    sql_bind_number(sql, AFTER, 2, FRESH_RECORDS);
    *more = false;
    for (bool row; err_is_ok(e) && err_is_ok(e = sql_step(sql, AFTER, &row)) && row;) {
        *seq = sql_column_number(sql, AFTER, 0);
        *more = true;
        e = gather_id(db, &by_receipt, sql_column(sql, AFTER, 1), *seq);
        if (err_is_ok(e))
            e = gather_id(db, &by_request, sql_column(sql, AFTER, 2), *seq);
        if (err_is_ok(e))
            e = gather_id(db, &by_completion, sql_column(sql, AFTER, 3), *seq);
    }
    sql_reset(sql, AFTER);
    return e;
}

static bool enough_gathered(const struct store_db *db)
{
    return fresh_len(db->fresh) >= (size_t)FRESH_RECORDS * IDS_PER_RECORD;
}

static err gather_on_opening(struct store_db *db, int64_t seq)
{
    for (bool more = true; more;) {
        TRY(gather_after(db, &seq, &more));
        if (enough_gathered(db))
            TRY(write_ids(db));
    }
    return OK;
}

/* ---- opening ---- */

static err set_format(struct store_db *db)
{
    int64_t format;
    TRY(sql_ask(db->sql, "PRAGMA user_version", &format));
    ENSURE(format == 0 || format == FORMAT, UNSUPPORTED);
    if (format == FORMAT)
        return OK;
    TRY(sql_execute(db->sql, "BEGIN IMMEDIATE"));
    TRY(sql_execute(db->sql, schema));
    return sql_execute(db->sql, "COMMIT");
}

static err limit_pages(struct store_db *db, uint32_t pages_max)
{
    BUF_AUTO text = BUF(64);
    if (pages_max == 0)
        return OK;
    TRY(buf_addf(&text, "PRAGMA max_page_count=%u", pages_max));
    return sql_execute(db->sql, buf_str(&text));
}

/* Numbers are never used twice while anything still refers to them. */
static err find_numbers(struct store_db *db, int64_t *indexed)
{
    int64_t used;
    TRY(sql_ask(db->sql, last_indexed, indexed));
    TRY(sql_ask(db->sql,
                "SELECT max(coalesce((SELECT max(seq) FROM receipts), 0),"
                " coalesce((SELECT max(last_seq) FROM evidence), 0))",
                &used));
    db->next_seq = 1 + (used > *indexed ? used : *indexed);
    return OK;
}

static err measure(struct store_db *db)
{
    int64_t pages, unused;
    TRY(sql_number(db->sql, PAGES, &pages));
    TRY(sql_number(db->sql, FREE_PAGES, &unused));
    db->bytes = (uint64_t)(pages - unused) * PAGE_LEN;
    return OK;
}

static err set_up(struct store_db *db, const struct store_settings *settings)
{
    int64_t indexed;
    TRY(sql_open(&db->sql, settings->path));
    TRY(set_format(db));
    TRY(limit_pages(db, settings->pages_max));
    TRY(sql_prepare(db->sql, text_of, QUERIES));
    TRY(fresh_new(&db->fresh));
    TRY(fresh_new(&db->previous));
    TRY(find_numbers(db, &indexed));
    TRY(gather_on_opening(db, indexed));
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
    sql_close(db->sql);
    fresh_free(db->fresh);
    fresh_free(db->previous);
    mem_free(db);
}

/* ---- evidence remembered ---- */

static void forget_known(struct store_db *db)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        db->known[i] = (struct known){ 0 };
}

static err touch(struct store_db *db, struct known *k)
{
    if (k->seq == 0)
        return OK;
    sql_bind_blob(db->sql, TOUCH_EVIDENCE, 1, BYTES_ARRAY(k->hash));
    sql_bind_number(db->sql, TOUCH_EVIDENCE, 2, k->seq);
    k->seq = 0;
    return sql_run(db->sql, TOUCH_EVIDENCE);
}

static struct known *recall(struct store_db *db, bytes hash)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        if (db->known[i].used && bytes_equal(BYTES_ARRAY(db->known[i].hash), hash))
            return &db->known[i];
    return NULL;
}

/* The slot of a document that is stored, or NULL. The usual case asks nobody. */
static err know(struct store_db *db, const uint8_t hash[static 32], struct known **out)
{
    int64_t there;
    *out = recall(db, bytes_of(hash, 32));
    if (*out != NULL)
        return OK;
    sql_bind_blob(db->sql, HAS_EVIDENCE, 1, bytes_of(hash, 32));
    TRY(sql_number(db->sql, HAS_EVIDENCE, &there));
    if (there == 0)
        return OK;
    struct known *k = &db->known[db->known_next++ % KNOWN_MAX];
    TRY(touch(db, k));
    *k = (struct known){ .used = true };
    memcpy(k->hash, hash, sizeof k->hash);
    *out = k;
    return OK;
}

/* ---- transactions ---- */

err store_db_begin(struct store_db *db)
{
    db->fresh_before = fresh_len(db->fresh);
    return sql_run(db->sql, BEGIN);
}

err store_db_commit(struct store_db *db)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        TRY(touch(db, &db->known[i]));
    TRY(sql_run(db->sql, COMMIT));
    return measure(db);
}

void store_db_rollback(struct store_db *db)
{
    sql_rollback(db->sql);
    fresh_cut(db->fresh, db->fresh_before);
    forget_known(db);
}

/* ---- reading ---- */

static void copy_digest(uint8_t to[static 32], bytes from)
{
    memcpy(to, from.at, from.len < 32 ? from.len : 32);
}

static err read_record(struct sql *sql, enum query q, struct store_record *r)
{
    (void)store_id_set(r->receipt_id, sql_column(sql, q, 0));
    (void)store_id_set(r->request_id, sql_column(sql, q, 1));
    (void)store_id_set(r->completion_id, sql_column(sql, q, 2));
    r->created = sql_column_number(sql, q, 3);
    copy_digest(r->key, sql_column(sql, q, 4));
    copy_digest(r->evidence_hash, sql_column(sql, q, 5));
    return buf_add(&r->receipt, sql_column(sql, q, 6));
}

/* The record that the bound statement gives, or NULL. */
static err find_bound(struct store_db *db, enum query q, struct store_record **out)
{
    bool row;
    struct store_record *r = NULL;
    err e = sql_step(db->sql, q, &row);
    if (err_is_ok(e) && row)
        e = store_record_new(&r);
    if (err_is_ok(e) && row)
        e = read_record(db->sql, q, r);
    sql_reset(db->sql, q);
    if (!err_is_ok(e)) {
        store_record_free(r);
        return e;
    }
    *out = r;
    return OK;
}

/* The oldest record that is left: its seq (next_seq if there is none) and date. */
static err oldest(struct store_db *db, int64_t *seq, int64_t *created)
{
    bool row;
    err e = sql_step(db->sql, OLDEST, &row);
    *seq = row ? sql_column_number(db->sql, OLDEST, 0) : db->next_seq;
    *created = row ? sql_column_number(db->sql, OLDEST, 1) : INT64_MAX;
    sql_reset(db->sql, OLDEST);
    return e;
}

static bool has_id(const struct store_record *r, const struct way *way, const char *id)
{
    return bytes_equal(bytes_str((const char *)r + way->at), bytes_str(id));
}

/* The record of that number if it has that id, or NULL. */
static err find_seq(struct store_db *db, const struct way *way, int64_t seq, const char *id,
                    struct store_record **out)
{
    sql_bind_number(db->sql, FIND_SEQ, 1, seq);
    TRY(find_bound(db, FIND_SEQ, out));
    if (*out == NULL || has_id(*out, way, id))
        return OK;
    store_record_free(*out);
    *out = NULL;
    return OK;
}

/* Among the ids in memory; the newest or, by going on to the end, the oldest. */
static err find_fresh(struct store_db *db, const struct way *way, const char *id,
                      struct store_record **out)
{
    int64_t hash = id_hash(way, bytes_str(id)), seq;
    for (size_t at = 0; fresh_next(db->fresh, hash, &at, &seq);) {
        struct store_record *r = NULL;
        TRY(find_seq(db, way, seq, id, &r));
        if (r == NULL)
            continue;
        store_record_free(*out);
        *out = r;
        if (way->newest_first)
            break;
    }
    return OK;
}

static err find_in_buckets(struct store_db *db, const struct way *way, const char *id,
                           struct store_record **out)
{
    int64_t hash = id_hash(way, bytes_str(id)), seq, created;
    TRY(oldest(db, &seq, &created));
    int64_t first = seq / BUCKET_LEN, last = db->next_seq / BUCKET_LEN;
    for (int64_t i = 0; i <= last - first && *out == NULL; i++) {
        sql_bind_number(db->sql, way->in_bucket, 1, way->newest_first ? last - i : first + i);
        sql_bind_number(db->sql, way->in_bucket, 2, hash);
        sql_bind_text(db->sql, way->in_bucket, 3, id);
        TRY(find_bound(db, way->in_bucket, out));
    }
    return OK;
}

static err find_by(struct store_db *db, const struct way *way, const char *id,
                   struct store_record **out)
{
    TRY(way->newest_first ? find_fresh(db, way, id, out) : find_in_buckets(db, way, id, out));
    if (*out != NULL)
        return OK;
    return way->newest_first ? find_in_buckets(db, way, id, out) : find_fresh(db, way, id, out);
}

err store_db_find(struct store_db *db, const char *id, struct store_record **out)
{
    static const struct way *const ways[] = { &by_receipt, &by_completion, &by_request };
    struct store_record *r = NULL;
    ENSURE(id[0] != '\0', NOT_FOUND);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && r == NULL; i++)
        TRY(find_by(db, ways[i], id, &r));
    ENSURE(r != NULL, NOT_FOUND);
    *out = r;
    return OK;
}

err store_db_find_evidence(struct store_db *db, const uint8_t hash[static 32], struct buf *out)
{
    bool row;
    sql_bind_blob(db->sql, FIND_EVIDENCE, 1, bytes_of(hash, 32));
    err e = sql_step(db->sql, FIND_EVIDENCE, &row);
    if (err_is_ok(e) && row)
        e = buf_add(out, sql_column(db->sql, FIND_EVIDENCE, 0));
    sql_reset(db->sql, FIND_EVIDENCE);
    TRY(e);
    ENSURE(row, NOT_FOUND);
    return OK;
}

/* ---- writing ---- */

static err refuse_if_in(struct store_db *db, const struct fresh *f, int64_t hash, const char *id)
{
    int64_t seq;
    for (size_t at = 0; fresh_next(f, hash, &at, &seq);) {
        struct store_record *r = NULL;
        TRY(find_seq(db, &by_receipt, seq, id, &r));
        bool there = r != NULL;
        store_record_free(r);
        ENSURE(!there, EXISTS);
    }
    return OK;
}

/* Among the latest records only: enough against a slip, and receipt ids are random. An older record
 * with the same id cannot be hidden by a new one, since look-ups by receipt id find the oldest. */
static err refuse_repeated(struct store_db *db, const char *receipt_id)
{
    int64_t hash = id_hash(&by_receipt, bytes_str(receipt_id));
    TRY(refuse_if_in(db, db->fresh, hash, receipt_id));
    return refuse_if_in(db, db->previous, hash, receipt_id);
}

static err insert(struct store_db *db, const struct store_record *r)
{
    sql_bind_text(db->sql, PUT, 1, r->receipt_id);
    sql_bind_text(db->sql, PUT, 2, r->request_id);
    sql_bind_text(db->sql, PUT, 3, r->completion_id);
    sql_bind_number(db->sql, PUT, 4, r->created);
    sql_bind_blob(db->sql, PUT, 5, BYTES_ARRAY(r->key));
    sql_bind_blob(db->sql, PUT, 6, BYTES_ARRAY(r->evidence_hash));
    sql_bind_blob(db->sql, PUT, 7, buf_view(&r->receipt));
    sql_bind_number(db->sql, PUT, 8, db->next_seq);
    return sql_run(db->sql, PUT);
}

static err gather_ids(struct store_db *db, const struct store_record *r)
{
    TRY(gather_id(db, &by_receipt, bytes_str(r->receipt_id), db->next_seq));
    TRY(gather_id(db, &by_request, bytes_str(r->request_id), db->next_seq));
    return gather_id(db, &by_completion, bytes_str(r->completion_id), db->next_seq);
}

err store_db_put(struct store_db *db, struct store_record *record)
{
    struct known *known;
    if (record->created == 0)
        record->created = clock_wall_s();
    TRY(refuse_repeated(db, record->receipt_id));
    TRY(insert(db, record));
    TRY(gather_ids(db, record));
    TRY(know(db, record->evidence_hash, &known));
    record->evidence_missing = known == NULL;
    if (known != NULL)
        known->seq = db->next_seq;
    db->next_seq++;
    return OK;
}

/* Records before this one may refer to the document as well, so it counts for all of them. */
err store_db_put_evidence(struct store_db *db, const uint8_t hash[static 32], bytes document)
{
    sql_bind_blob(db->sql, PUT_EVIDENCE, 1, bytes_of(hash, 32));
    sql_bind_number(db->sql, PUT_EVIDENCE, 2, db->next_seq - 1);
    sql_bind_number(db->sql, PUT_EVIDENCE, 3, clock_wall_s());
    sql_bind_blob(db->sql, PUT_EVIDENCE, 4, document);
    return sql_run(db->sql, PUT_EVIDENCE);
}

/* ---- removing ---- */

static err remove_some(struct store_db *db, enum query q, int64_t limit, uint64_t *n)
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
        TRY(oldest(db, &seq, &created));
        if (created >= before)
            return OK;
        sql_bind_number(db->sql, EVICT_AGED, 2, before);
        TRY(remove_some(db, EVICT_AGED, EVICT_MAX, n));
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
        TRY(remove_some(db, EVICT_OLDEST, EVICT_MAX / 4, n));
        if (*n == before)
            return OK;
    }
    return OK;
}

static err evict_ids(struct store_db *db)
{
    int64_t seq, created;
    TRY(oldest(db, &seq, &created));
    sql_bind_number(db->sql, EVICT_IDS, 1, seq / BUCKET_LEN);
    return sql_run(db->sql, EVICT_IDS);
}

static err evict_evidence(struct store_db *db, int64_t now)
{
    sql_bind_number(db->sql, EVICT_EVIDENCE, 1, now - STORE_EVIDENCE_GRACE_S);
    sql_bind_number(db->sql, EVICT_EVIDENCE, 2, db->next_seq);
    TRY(sql_run(db->sql, EVICT_EVIDENCE));
    if (sql_changes(db->sql) > 0)
        forget_known(db);
    return OK;
}

static err evict(struct store_db *db, uint64_t *n)
{
    int64_t now = clock_wall_s();
    if (db->max_age_s > 0 && now > 0 && (uint64_t)now > db->max_age_s)
        TRY(evict_aged(db, now - (int64_t)db->max_age_s, n));
    TRY(evict_evidence(db, now));
    if (db->max_bytes > 0 && db->bytes > db->max_bytes)
        TRY(evict_surplus(db, n));
    if (*n > 0)
        TRY(evict_ids(db));
    return sql_run(db->sql, COMMIT);
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
    if (enough_gathered(db))
        TRY(write_ids(db));
    return sql_checkpoint(db->sql, CHECKPOINT_PAGES);
}

uint64_t store_db_bytes(const struct store_db *db)
{
    return db->bytes;
}

int store_db_error(const struct store_db *db)
{
    return sql_error(db->sql);
}
