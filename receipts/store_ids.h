/*
 * receipts/store_ids.h - which records have an id; for receipts/store_db.c, on its one thread.
 *
 * Ids of the latest records are in memory (receipts/fresh.h), the others' in the table. SYSTEM is
 * any failure of SQLite; LIMIT, more records than STORE_BATCH_MAX since store_ids_settle().
 */
#pragma once

#include "receipts/sql.h"
#include "receipts/store_record.h"

struct store_ids;

/* Borrows sql, which store_sql_open() has opened. Gathers the ids of records that are not in the
 * table. *last is the greatest number that the table knew, also of a record that has gone; 0: none. */
err store_ids_new(struct store_ids **out, struct sql *sql, int64_t *last);
void store_ids_free(struct store_ids *ids);

/* In a transaction: what is added after store_ids_begin() goes again with store_ids_rollback(). */
void store_ids_begin(struct store_ids *ids);
err store_ids_add(struct store_ids *ids, const struct store_record *r, int64_t seq);
void store_ids_rollback(struct store_ids *ids);

/* EXISTS when one of the latest records has this receipt id: enough against a slip, and receipt ids
 * are random. An older record with the same id cannot be hidden by a new one, since look-ups by
 * receipt id find the oldest. */
err store_ids_refuse_repeated(struct store_ids *ids, const char *receipt_id);

/* The record with that receipt, completion or request id, in this order; of a receipt id the oldest,
 * of the others the newest. All numbers are under next_seq. NULL when there is none. */
err store_ids_find(struct store_ids *ids, const char *id, int64_t next_seq,
                   struct store_record **out);

/* Outside a transaction: writes the ids in memory to the table when there are enough of them. On
 * failure they stay in memory, and the next call tries again. */
err store_ids_settle(struct store_ids *ids);

/* In a transaction: removes ids of records under `oldest`, as far as they fill whole buckets. */
err store_ids_forget(struct store_ids *ids, int64_t oldest);
