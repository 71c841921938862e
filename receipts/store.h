/*
 * receipts/store.h - receipts kept on disk, durable before anybody is told so.
 *
 * One thread owns the database (SQLite, write-ahead log, synchronous=FULL) and does all reading and
 * writing. Whatever is queued when it looks becomes one transaction; only when that is on disk are
 * its records handed back. Callers never wait, except in store_get() and store_close().
 *
 * A record or query is handed over whole: from store_put()/store_find() on it belongs to the store,
 * until its mail is delivered; then it belongs to the receiver again. With .loop set the mail arrives
 * on that loop's thread; with .loop NULL `deliver` runs on the store's thread and must be brief.
 * Any failure, a full disk included, arrives in .result: a caller releases an answer only on OK.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "receipts/store_record.h"

enum {
    STORE_QUEUE_MAX = 16384,       /* records waiting; the next one fails with LIMIT */
    STORE_QUERIES_MAX = 1024,      /* look-ups waiting; the next one fails with LIMIT */
    STORE_BATCH_MAX = 512,         /* records in one transaction */
    STORE_EVIDENCE_QUEUE_MAX = 64, /* documents waiting; the next one fails with LIMIT */
    STORE_EVIDENCE_GRACE_S = 3600, /* evidence nobody refers to yet is kept that long */
    STORE_BYTES_MIN = 1024 * 1024  /* the least max_bytes that is accepted */
};

struct store;

struct store_settings {
    const char *path;   /* file, made with mode 0600; ":memory:" keeps nothing */
    uint64_t max_bytes; /* of the database file in use, oldest go first; 0: no bound */
    uint64_t max_age_s; /* older ones go; 0: no bound */
    uint32_t
        pages_max; /* hard limit of the file in pages of 4096 bytes; 0: none. Reached: SYSTEM */
};

/* Numbers since the store was opened. */
struct store_stats {
    uint64_t stored;     /* records made durable */
    uint64_t failed;     /* records that the disk or the database refused */
    uint64_t refused;    /* records that their check refused */
    uint64_t batches;    /* transactions */
    uint64_t evicted;    /* records removed by age or size */
    uint64_t found;      /* look-ups with an answer */
    uint64_t missed;     /* look-ups without one */
    uint64_t bytes_used; /* of the database file, at the latest commit */
    uint64_t queued;     /* records waiting now */
    int last_error;      /* SQLite's extended result code of the latest failure; 0: none */
};

/* Opens or makes the database and starts the thread. CONFIG for a max_bytes under STORE_BYTES_MIN,
 * SYSTEM when the file cannot be had (another process holding
 * the file, no permission, not a database), UNSUPPORTED for a newer format. */
err store_open(struct store **out, const struct store_settings *settings);

/* Everything queued is stored and delivered first; then the thread ends. Later puts are not allowed.
 * Blocks for as long as that takes. NULL is allowed. */
void store_close(struct store *store);

/* Takes record. Never waits, never fails: see .result in the delivered record. Any thread; with
 * .loop NULL and a full queue `deliver` runs on the caller's. The record may lie there until
 * store_wake(). */
void store_put(struct store *store, struct store_record *record);

/* Behind the last of the records that are put together: woken by the first of them, the thread would
 * write that one alone, and the others would wait for the disk twice. Any thread. */
void store_wake(struct store *store);

/* Copies the document; kept once by its SHA-256, which is computed here and returned in hash. It goes
 * when no receipt refers to it any more. Stored before any record that is put later. LIMIT above
 * STORE_EVIDENCE_MAX. An SQL failure shows in evidence_missing of later records. Any thread. */
err store_put_evidence(struct store *store, bytes document, uint8_t hash[static 32]);

/* Takes query. Sees every record put before it by the same thread. Any thread. */
void store_find(struct store *store, struct store_query *query);

/* The same, waiting for the disk: not for a loop's thread. NOT_FOUND, SYSTEM, LIMIT. */
err store_get(struct store *store, bytes any_id, struct store_record **out);

void store_stats(struct store *store, struct store_stats *out);
