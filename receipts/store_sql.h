/*
 * receipts/store_sql.h - the store's tables, the statements on them, records as rows; for
 * receipts/store_db.c and its parts, on their one thread.
 *
 * SYSTEM is any failure of SQLite; which one is in sql_error().
 */
#pragma once

#include "receipts/sql.h"
#include "receipts/store_record.h"

enum { STORE_SQL_PAGE_LEN = 4096 };

/* Numbers of the statements, for sql_*(). */
enum store_sql {
    STORE_SQL_BEGIN,
    STORE_SQL_COMMIT,
    STORE_SQL_PUT,
    STORE_SQL_PUT_ID,
    STORE_SQL_PUT_EVIDENCE,
    STORE_SQL_HAS_EVIDENCE,
    STORE_SQL_TOUCH_EVIDENCE,
    STORE_SQL_FIND_SEQ,
    STORE_SQL_FIND_RECEIPT,
    STORE_SQL_FIND_COMPLETION,
    STORE_SQL_FIND_REQUEST,
    STORE_SQL_FIND_EVIDENCE,
    STORE_SQL_AFTER,
    STORE_SQL_OLDEST,
    STORE_SQL_EVICT_AGED,
    STORE_SQL_EVICT_OLDEST,
    STORE_SQL_EVICT_IDS,
    STORE_SQL_EVICT_EVIDENCE,
    STORE_SQL_PAGES,
    STORE_SQL_FREE_PAGES,
    STORE_SQL_N
};

/* Opens or makes the file with its tables, at most pages_max pages of it (0: any number), and
 * prepares the statements. UNSUPPORTED for a newer format. */
err store_sql_open(struct sql **out, const char *path, uint32_t pages_max);

/* The record becomes row `seq` of the receipts. */
err store_sql_put(struct sql *sql, const struct store_record *r, int64_t seq);

/* The record that one of STORE_SQL_FIND_*, bound, finds, but for evidence; NULL when none. Resets the
 * statement. */
err store_sql_get(struct sql *sql, enum store_sql find, struct store_record **out);

/* Number and date of the oldest receipt; `none` and INT64_MAX when there is none. */
err store_sql_oldest(struct sql *sql, int64_t none, int64_t *seq, int64_t *created);
