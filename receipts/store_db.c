/*
 * Three tables. `receipts` is in the order of arrival: `seq` only grows, the oldest go first.
 *
 * `ids` finds them: for each id of a record 64 bits of its SHA-256, grouped by BUCKET_LEN consecutive
 * records. Ids are random, so one big index would touch a page of its own for each of them, read it,
 * and write it twice; within the latest bucket all of them meet on a few hot pages. The price is paid
 * by look-ups, which ask one bucket after the other, and that is the rare case. Whole buckets go when
 * the last of their records has gone.
 *
 * `evidence` holds each document once, with the latest seq that refers to it: a document may go when
 * that is below the oldest receipt left. So neither storing nor removing a receipt has to count
 * references.
 *
 * The file belongs to this connection alone (locking_mode=EXCLUSIVE): no shared memory, no lock calls
 * per transaction, and a second process is told at once. Checkpoints are run by the owner after it
 * has answered, not inside a commit that somebody waits for.
 */
#include "receipts/store_db.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/hash.h"

enum {
    FORMAT = 1, /* user_version of the file */
    PAGE_LEN = 4096,
    CHECKPOINT_PAGES = 1000,
    EVICT_MAX = 512,      /* records in one removal */
    EVICT_ROUNDS_MAX = 8, /* removals in one go */
    KNOWN_MAX = 8,        /* evidence documents remembered to be there */
    BUCKET_LEN = 4096     /* records; frozen with FORMAT */
};

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
/* The records of bucket ?1 with an id of hash ?2 that is really ?3. */
#define IN_BUCKET                                                                                  \
    " FROM ids JOIN receipts ON receipts.seq = ids.seq WHERE ids.bucket=?1 AND ids.hash=?2"

enum query {
    BEGIN,
    COMMIT,
    ROLLBACK,
    PUT,
    PUT_ID,
    HAS_RECEIPT,
    PUT_EVIDENCE,
    HAS_EVIDENCE,
    TOUCH_EVIDENCE,
    FIND_RECEIPT,
    FIND_COMPLETION,
    FIND_REQUEST,
    FIND_EVIDENCE,
    OLDEST,
    EVICT_AGED,
    EVICT_OLDEST,
    EVICT_IDS,
    EVICT_EVIDENCE,
    PAGES,
    FREE_PAGES,
    QUERIES
};

static const char *const sql_of[QUERIES] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [PUT] = "INSERT INTO receipts(" RECORD ", seq) VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [PUT_ID] = "INSERT OR IGNORE INTO ids(bucket, hash, seq) VALUES(?1,?2,?3)",
    [HAS_RECEIPT] = "SELECT 1" IN_BUCKET " AND receipt_id=?3",
    [PUT_EVIDENCE] =
        "INSERT INTO evidence(hash, last_seq, put_at, document) VALUES(?1,?2,?3,?4)"
        " ON CONFLICT(hash) DO UPDATE SET put_at=?3, last_seq=?2",
    [HAS_EVIDENCE] = "SELECT 1 FROM evidence WHERE hash=?1",
    [TOUCH_EVIDENCE] = "UPDATE evidence SET last_seq=?2 WHERE hash=?1",
    [FIND_RECEIPT] = "SELECT " RECORD IN_BUCKET " AND receipt_id=?3 ORDER BY ids.seq LIMIT 1",
    [FIND_COMPLETION] =
        "SELECT " RECORD IN_BUCKET " AND completion_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [FIND_REQUEST] = "SELECT " RECORD IN_BUCKET " AND request_id=?3 ORDER BY ids.seq DESC LIMIT 1",
    [FIND_EVIDENCE] = "SELECT document FROM evidence WHERE hash=?1",
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
    sqlite3 *handle;
    sqlite3_stmt *queries[QUERIES];
    uint64_t max_bytes;
    uint64_t max_age_s;
    int64_t next_seq;
    uint64_t bytes;
    int wal_pages;
    int last_error;
    struct known known[KNOWN_MAX];
    size_t known_next; /* the slot that is given up next */
};

static err judge(struct store_db *db, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return OK;
    db->last_error = sqlite3_extended_errcode(db->handle);
    ENSURE(code != SQLITE_NOMEM, NOMEM);
    FAIL(SYSTEM);
}

/* One step; *row says whether there is a row, which stays readable until the next reset. */
static err step(struct store_db *db, enum query q, bool *row)
{
    int code = sqlite3_step(db->queries[q]);
    *row = code == SQLITE_ROW;
    return judge(db, code);
}

static void reset(struct store_db *db, enum query q)
{
    (void)sqlite3_reset(db->queries[q]);
    (void)sqlite3_clear_bindings(db->queries[q]);
}

/* A statement that is of interest for its effect only. */
static err run(struct store_db *db, enum query q)
{
    bool row;
    err e = step(db, q, &row);
    reset(db, q);
    return e;
}

/* The one number that a statement gives; 0 when it gives no row. */
static err number(struct store_db *db, enum query q, int64_t *out)
{
    bool row;
    err e = step(db, q, &row);
    *out = row ? sqlite3_column_int64(db->queries[q], 0) : 0;
    reset(db, q);
    return e;
}

/* Bound values are borrowed: every statement is reset before its caller returns. A failed bind shows
 * as NULL, which no column takes. */
static void bind_blob(struct store_db *db, enum query q, int at, bytes v)
{
    (void)sqlite3_bind_blob64(db->queries[q], at, v.at, v.len, SQLITE_STATIC);
}

static void bind_text(struct store_db *db, enum query q, int at, const char *v)
{
    (void)sqlite3_bind_text(db->queries[q], at, v, -1, SQLITE_STATIC);
}

static void bind_number(struct store_db *db, enum query q, int at, int64_t v)
{
    (void)sqlite3_bind_int64(db->queries[q], at, v);
}

static int on_commit(void *owner, sqlite3 *handle, const char *name, int pages)
{
    struct store_db *db = owner;
    (void)handle;
    (void)name;
    db->wal_pages = pages;
    return SQLITE_OK;
}

static err execute(struct store_db *db, const char *sql)
{
    return judge(db, sqlite3_exec(db->handle, sql, NULL, NULL, NULL));
}

/* A PRAGMA or SELECT that gives one number, outside the prepared ones. */
static err ask(struct store_db *db, const char *sql, int64_t *out)
{
    sqlite3_stmt *q = NULL;
    err e = judge(db, sqlite3_prepare_v2(db->handle, sql, -1, &q, NULL));
    if (err_is_ok(e))
        e = judge(db, sqlite3_step(q));
    if (err_is_ok(e))
        *out = sqlite3_column_int64(q, 0);
    (void)sqlite3_finalize(q);
    return e;
}

static err set_format(struct store_db *db)
{
    int64_t format;
    TRY(ask(db, "PRAGMA user_version", &format));
    ENSURE(format == 0 || format == FORMAT, UNSUPPORTED);
    if (format == FORMAT)
        return OK;
    TRY(execute(db, "BEGIN IMMEDIATE"));
    TRY(execute(db, schema));
    return execute(db, "COMMIT");
}

static err set_up(struct store_db *db, uint32_t pages_max)
{
    TRY(execute(db,
                "PRAGMA trusted_schema=OFF; PRAGMA page_size=4096; PRAGMA cache_size=-1024;"
                "PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0; PRAGMA locking_mode=EXCLUSIVE;"
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
                "PRAGMA journal_size_limit=8388608;"));
    TRY(set_format(db));
    (void)sqlite3_wal_hook(db->handle, on_commit, db);
    if (pages_max > 0) {
        BUF_AUTO sql = BUF(64);
        TRY(buf_addf(&sql, "PRAGMA max_page_count=%u", pages_max));
        TRY(execute(db, buf_str(&sql)));
    }
    for (unsigned q = 0; q < QUERIES; q++)
        TRY(judge(db, sqlite3_prepare_v3(db->handle, sql_of[q], -1, SQLITE_PREPARE_PERSISTENT,
                                         &db->queries[q], NULL)));
    return ask(db,
               "SELECT 1 + max(coalesce((SELECT max(seq) FROM receipts), 0),"
               " coalesce((SELECT max(last_seq) FROM evidence), 0))",
               &db->next_seq);
}

static err measure(struct store_db *db)
{
    int64_t pages, unused;
    TRY(number(db, PAGES, &pages));
    TRY(number(db, FREE_PAGES, &unused));
    db->bytes = (uint64_t)(pages - unused) * PAGE_LEN;
    return OK;
}

/* The library keeps global statistics under a lock by default. Nobody reads them here. */
static void configure_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* SQLite would make the file as the umask says. Receipts are nobody else's business. */
static err make_private(const char *path)
{
    if (bytes_equal(bytes_str(path), BYTES_LIT(":memory:")))
        return OK;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    ENSURE(fd >= 0, SYSTEM);
    (void)close(fd);
    return OK;
}

static err open_handle(struct store_db *db, const struct store_settings *settings)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    TRY(judge(db, sqlite3_open_v2(settings->path, &db->handle, flags, NULL)));
    (void)sqlite3_extended_result_codes(db->handle, 1);
    TRY(set_up(db, settings->pages_max));
    return measure(db);
}

err store_db_open(struct store_db **out, const struct store_settings *settings)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct store_db *db;
    (void)pthread_once(&once, configure_library);
    ENSURE(settings->max_bytes == 0 || settings->max_bytes >= STORE_BYTES_MIN, CONFIG);
    TRY(make_private(settings->path));
    TRY(mem_new(&db));
    db->max_bytes = settings->max_bytes;
    db->max_age_s = settings->max_age_s;
    err e = open_handle(db, settings);
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
    for (unsigned q = 0; q < QUERIES; q++)
        (void)sqlite3_finalize(db->queries[q]);
    (void)sqlite3_close(db->handle);
    mem_free(db);
}

err store_db_begin(struct store_db *db)
{
    return run(db, BEGIN);
}

static void forget_known(struct store_db *db)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        db->known[i] = (struct known){ 0 };
}

static err touch(struct store_db *db, struct known *k)
{
    if (k->seq == 0)
        return OK;
    bind_blob(db, TOUCH_EVIDENCE, 1, BYTES_ARRAY(k->hash));
    bind_number(db, TOUCH_EVIDENCE, 2, k->seq);
    k->seq = 0;
    return run(db, TOUCH_EVIDENCE);
}

err store_db_commit(struct store_db *db)
{
    for (size_t i = 0; i < KNOWN_MAX; i++)
        TRY(touch(db, &db->known[i]));
    TRY(run(db, COMMIT));
    return measure(db);
}

/* SQLite may have rolled back by itself already, in which case this fails harmlessly. */
void store_db_rollback(struct store_db *db)
{
    int error = db->last_error;
    (void)run(db, ROLLBACK);
    db->last_error = error;
    forget_known(db);
}

/* The slot of a document that is stored, or NULL. The usual case asks nobody. */
static err know(struct store_db *db, const uint8_t hash[static 32], struct known **out)
{
    int64_t there;
    *out = NULL;
    for (size_t i = 0; i < KNOWN_MAX && *out == NULL; i++)
        if (db->known[i].used && bytes_equal(BYTES_ARRAY(db->known[i].hash), bytes_of(hash, 32)))
            *out = &db->known[i];
    if (*out != NULL)
        return OK;
    bind_blob(db, HAS_EVIDENCE, 1, bytes_of(hash, 32));
    TRY(number(db, HAS_EVIDENCE, &there));
    if (there == 0)
        return OK;
    struct known *k = &db->known[db->known_next++ % KNOWN_MAX];
    TRY(touch(db, k));
    *k = (struct known){ .used = true };
    memcpy(k->hash, hash, sizeof k->hash);
    *out = k;
    return OK;
}

/* 64 bits of the id's SHA-256, each kind of id in a space of its own. */
static int64_t id_hash(char kind, const char *id)
{
    struct sha256 h;
    uint8_t digest[SHA256_LEN];
    int64_t out;
    sha256_init(&h);
    sha256_add(&h, bytes_of(&kind, 1));
    sha256_add(&h, bytes_str(id));
    sha256_end(&h, digest);
    memcpy(&out, digest, sizeof out);
    return out;
}

enum { RECEIPT_KIND = 'r', COMPLETION_KIND = 'c', REQUEST_KIND = 'q' };

static void bind_bucket(struct store_db *db, enum query q, int64_t bucket, int64_t hash,
                        const char *id)
{
    bind_number(db, q, 1, bucket);
    bind_number(db, q, 2, hash);
    bind_text(db, q, 3, id);
}

/* In the latest two buckets only: enough against a slip, and receipt ids are random. An older record
 * with the same id cannot be hidden by a new one, since look-ups by receipt id find the oldest. */
static err refuse_repeated(struct store_db *db, const char *receipt_id, int64_t hash)
{
    int64_t latest = db->next_seq / BUCKET_LEN;
    for (int64_t bucket = latest; bucket >= 0 && bucket >= latest - 1; bucket--) {
        int64_t there;
        bind_bucket(db, HAS_RECEIPT, bucket, hash, receipt_id);
        TRY(number(db, HAS_RECEIPT, &there));
        ENSURE(there == 0, EXISTS);
    }
    return OK;
}

static err insert_id(struct store_db *db, int64_t hash)
{
    bind_number(db, PUT_ID, 1, db->next_seq / BUCKET_LEN);
    bind_number(db, PUT_ID, 2, hash);
    bind_number(db, PUT_ID, 3, db->next_seq);
    return run(db, PUT_ID);
}

static err insert(struct store_db *db, const struct store_record *r)
{
    bind_text(db, PUT, 1, r->receipt_id);
    bind_text(db, PUT, 2, r->request_id);
    bind_text(db, PUT, 3, r->completion_id);
    bind_number(db, PUT, 4, r->created);
    bind_blob(db, PUT, 5, BYTES_ARRAY(r->key));
    bind_blob(db, PUT, 6, BYTES_ARRAY(r->evidence_hash));
    bind_blob(db, PUT, 7, buf_view(&r->receipt));
    bind_number(db, PUT, 8, db->next_seq);
    return run(db, PUT);
}

static err insert_with_ids(struct store_db *db, const struct store_record *r)
{
    int64_t hash = id_hash(RECEIPT_KIND, r->receipt_id);
    TRY(refuse_repeated(db, r->receipt_id, hash));
    TRY(insert(db, r));
    TRY(insert_id(db, hash));
    if (r->request_id[0] != '\0')
        TRY(insert_id(db, id_hash(REQUEST_KIND, r->request_id)));
    if (r->completion_id[0] != '\0')
        TRY(insert_id(db, id_hash(COMPLETION_KIND, r->completion_id)));
    return OK;
}

err store_db_put(struct store_db *db, struct store_record *record)
{
    struct known *known;
    if (record->created == 0)
        record->created = clock_wall_s();
    TRY(insert_with_ids(db, record));
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
    bind_blob(db, PUT_EVIDENCE, 1, bytes_of(hash, 32));
    bind_number(db, PUT_EVIDENCE, 2, db->next_seq - 1);
    bind_number(db, PUT_EVIDENCE, 3, clock_wall_s());
    bind_blob(db, PUT_EVIDENCE, 4, document);
    return run(db, PUT_EVIDENCE);
}

static bytes column(sqlite3_stmt *q, int at)
{
    const void *v = sqlite3_column_blob(q, at);
    return bytes_of(v, (size_t)sqlite3_column_bytes(q, at));
}

static void copy_digest(uint8_t to[static 32], bytes from)
{
    memcpy(to, from.at, from.len < 32 ? from.len : 32);
}

static err read_record(sqlite3_stmt *q, struct store_record *r)
{
    (void)store_id_set(r->receipt_id, column(q, 0));
    (void)store_id_set(r->request_id, column(q, 1));
    (void)store_id_set(r->completion_id, column(q, 2));
    r->created = sqlite3_column_int64(q, 3);
    copy_digest(r->key, column(q, 4));
    copy_digest(r->evidence_hash, column(q, 5));
    return buf_add(&r->receipt, column(q, 6));
}

/* The bound bucket's record, or NULL. */
static err find_bound(struct store_db *db, enum query q, struct store_record **out)
{
    bool row;
    struct store_record *r = NULL;
    err e = step(db, q, &row);
    if (err_is_ok(e) && row)
        e = store_record_new(&r);
    if (err_is_ok(e) && row)
        e = read_record(db->queries[q], r);
    reset(db, q);
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
    err e = step(db, OLDEST, &row);
    *seq = row ? sqlite3_column_int64(db->queries[OLDEST], 0) : db->next_seq;
    *created = row ? sqlite3_column_int64(db->queries[OLDEST], 1) : INT64_MAX;
    reset(db, OLDEST);
    return e;
}

struct way {
    enum query query;
    char kind;
    bool newest_first;
};

static err find_by(struct store_db *db, const struct way *way, const char *id,
                   struct store_record **out)
{
    int64_t hash = id_hash(way->kind, id), seq, created;
    TRY(oldest(db, &seq, &created));
    int64_t first = seq / BUCKET_LEN, last = db->next_seq / BUCKET_LEN;
    for (int64_t i = 0; i <= last - first && *out == NULL; i++) {
        bind_bucket(db, way->query, way->newest_first ? last - i : first + i, hash, id);
        TRY(find_bound(db, way->query, out));
    }
    return OK;
}

err store_db_find(struct store_db *db, const char *id, struct store_record **out)
{
    static const struct way ways[] = { { FIND_RECEIPT, RECEIPT_KIND, false },
                                       { FIND_COMPLETION, COMPLETION_KIND, true },
                                       { FIND_REQUEST, REQUEST_KIND, true } };
    struct store_record *r = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && r == NULL; i++)
        TRY(find_by(db, &ways[i], id, &r));
    ENSURE(r != NULL, NOT_FOUND);
    *out = r;
    return OK;
}

err store_db_find_evidence(struct store_db *db, const uint8_t hash[static 32], struct buf *out)
{
    bool row;
    bind_blob(db, FIND_EVIDENCE, 1, bytes_of(hash, 32));
    err e = step(db, FIND_EVIDENCE, &row);
    if (err_is_ok(e) && row)
        e = buf_add(out, column(db->queries[FIND_EVIDENCE], 0));
    reset(db, FIND_EVIDENCE);
    TRY(e);
    ENSURE(row, NOT_FOUND);
    return OK;
}

static err remove_some(struct store_db *db, enum query q, int64_t limit, uint64_t *n)
{
    bind_number(db, q, 1, limit);
    TRY(run(db, q));
    *n += (uint64_t)sqlite3_changes64(db->handle);
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
        bind_number(db, EVICT_AGED, 2, before);
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
    bind_number(db, EVICT_IDS, 1, seq / BUCKET_LEN);
    return run(db, EVICT_IDS);
}

static err evict_evidence(struct store_db *db, int64_t now)
{
    bind_number(db, EVICT_EVIDENCE, 1, now - STORE_EVIDENCE_GRACE_S);
    bind_number(db, EVICT_EVIDENCE, 2, db->next_seq);
    TRY(run(db, EVICT_EVIDENCE));
    if (sqlite3_changes64(db->handle) > 0)
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
    return OK;
}

err store_db_evict(struct store_db *db, uint64_t *n)
{
    *n = 0;
    TRY(run(db, BEGIN));
    err e = evict(db, n);
    if (err_is_ok(e))
        e = run(db, COMMIT);
    if (!err_is_ok(e)) {
        *n = 0;
        store_db_rollback(db);
        return e;
    }
    return measure(db);
}

err store_db_checkpoint(struct store_db *db)
{
    if (db->wal_pages < CHECKPOINT_PAGES)
        return OK;
    db->wal_pages = 0;
    return judge(
        db, sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

uint64_t store_db_bytes(const struct store_db *db)
{
    return db->bytes;
}

int store_db_error(const struct store_db *db)
{
    return db->last_error;
}
