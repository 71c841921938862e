/*
 * receipts/sql.h - SQLite with our conventions: one connection, one thread, numbered statements.
 *
 * SYSTEM is any failure of SQLite; which one is in sql_error(). All functions but sql_bind_*() and
 * the plain getters may block on the disk.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum { SQL_STATEMENTS_MAX = 32 };

struct sql;

/* Write-ahead log, synchronous=FULL, the file for this process alone and with mode 0600, a page
 * cache of 1 MiB. Checkpoints are the caller's. A symbolic link is refused. */
err sql_open(struct sql **out, const char *path);
void sql_close(struct sql *s); /* NULL is allowed */

/* Statements given as text, outside the numbered ones. */
err sql_execute(struct sql *s, const char *text);
err sql_ask(struct sql *s, const char *text, int64_t *out); /* one number */

/* From here on statement i is texts[i]. Once. */
err sql_prepare(struct sql *s, const char *const *texts, unsigned n);

/* Places count from 1. Values are borrowed until sql_reset(). */
void sql_bind_blob(struct sql *s, unsigned i, int at, bytes v);
void sql_bind_text(struct sql *s, unsigned i, int at, const char *v);
void sql_bind_number(struct sql *s, unsigned i, int at, int64_t v);

/* One step; with a row, its columns can be read until the next step or reset. Every statement that
 * was stepped or bound is reset before its user returns. */
err sql_step(struct sql *s, unsigned i, bool *row);
void sql_reset(struct sql *s, unsigned i);

/* Columns count from 0. The bytes are borrowed from the row. */
bytes sql_column(struct sql *s, unsigned i, int at);
int64_t sql_column_number(struct sql *s, unsigned i, int at);

/* Step and reset: for the effect only, or for the first column of the first row (0 if none). */
err sql_run(struct sql *s, unsigned i);
err sql_number(struct sql *s, unsigned i, int64_t *out);

/* Ends the transaction, if one is open: SQLite may have done so by itself. sql_error() stays. */
void sql_rollback(struct sql *s);

/* Rows changed by the latest statement. */
uint64_t sql_changes(const struct sql *s);

/* Moves the write-ahead log into the database, outside a transaction, once it has over `pages`. */
err sql_checkpoint(struct sql *s, unsigned pages);

/* SQLite's extended code of the latest failure; 0: none. */
int sql_error(const struct sql *s);
