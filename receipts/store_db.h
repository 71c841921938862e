/*
 * receipts/store_db.h - the store's database; for receipts/store.c and its thread only.
 *
 * Every function but store_db_open() may block on the disk. SYSTEM is any failure of SQLite; which
 * one is in store_db_error(). After a failure inside a transaction only store_db_rollback() helps.
 */
#pragma once

#include "receipts/store.h"

struct store_db;

err store_db_open(struct store_db **out, const struct store_settings *settings);
void store_db_close(struct store_db *db);

err store_db_begin(struct store_db *db);
err store_db_commit(struct store_db *db);
void store_db_rollback(struct store_db *db);

/* In a transaction. EXISTS leaves it usable. Sets .evidence_missing and a zero .created. */
err store_db_put(struct store_db *db, struct store_record *record);
err store_db_put_evidence(struct store_db *db, const uint8_t hash[static 32], bytes document);

/* NOT_FOUND when there is none. */
err store_db_find(struct store_db *db, const char *id, struct store_record **out);
err store_db_find_evidence(struct store_db *db, const uint8_t hash[static 32], struct buf *out);

/* Outside a transaction: removes what is too old or too much, a bounded number at a time; *n is how
 * many records went. */
err store_db_evict(struct store_db *db, uint64_t *n);

/* Outside a transaction, after the records were answered for: writes the ids that have gathered in
 * memory, and moves the write-ahead log into the database, when there is enough of either. */
err store_db_settle(struct store_db *db);

uint64_t store_db_bytes(const struct store_db *db);

/* SQLite's extended code of the latest failure. */
int store_db_error(const struct store_db *db);
