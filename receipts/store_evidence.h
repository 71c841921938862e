/*
 * receipts/store_evidence.h - evidence documents in the store, each once by its SHA-256; for
 * receipts/store_db.c, on its one thread.
 *
 * Each has the number of the latest record that refers to it: it may go when that is below the oldest
 * receipt left, so neither storing nor removing a receipt has to count references. Which of a few
 * documents are there is remembered, and their numbers are written once per transaction. SYSTEM is
 * any failure of SQLite.
 */
#pragma once

#include "receipts/sql.h"

enum { STORE_EVIDENCE_KNOWN_MAX = 8 /* documents remembered to be there */ };

struct store_evidence_known {
    uint8_t hash[32];
    int64_t seq; /* the latest record of this transaction that refers to it; 0: none */
    bool used;
};

struct store_evidence {
    struct sql *sql; /* borrowed; store_sql_open() has opened it. The owner sets it */
    struct store_evidence_known known[STORE_EVIDENCE_KNOWN_MAX];
    size_t next; /* the slot that is given up next */
};

/* All but the look-up in a transaction. */

/* Every record up to last_seq may refer to the document already. */
err store_evidence_put(struct store_evidence *e, const uint8_t hash[static 32], bytes document,
                       int64_t last_seq);

/* Record seq refers to the document. *there: whether that is stored. */
err store_evidence_refer(struct store_evidence *e, const uint8_t hash[static 32], int64_t seq,
                         bool *there);

/* Before the transaction is committed: writes what records have referred to. */
err store_evidence_flush(struct store_evidence *e);

/* Nothing that was remembered is believed any more, such as after a rollback. */
void store_evidence_forget(struct store_evidence *e);

/* Removes what was put before that date (Unix seconds) and no receipt left refers to. All numbers
 * are under next_seq. */
err store_evidence_evict(struct store_evidence *e, int64_t before, int64_t next_seq);

/* Appends the document. NOT_FOUND when there is none. */
err store_evidence_find(struct store_evidence *e, const uint8_t hash[static 32], struct buf *out);
