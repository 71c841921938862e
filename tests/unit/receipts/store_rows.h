/* tests/unit/receipts/store_rows.h - a store's tables in memory, and records for them. */
#pragma once

#include <stdio.h>

#include "receipts/store_sql.h"
#include "tests/lib/law.h"

static inline struct sql *rows_open(void)
{
    struct sql *sql = NULL;
    CHECK_OK(store_sql_open(&sql, ":memory:", 0));
    return sql;
}

/* The three ids share a number, and differ in kind. The caller frees it. */
static inline struct store_record *rows_record(unsigned number)
{
    struct store_record *r = NULL;
    CHECK_OK(store_record_new(&r));
    (void)snprintf(r->receipt_id, sizeof r->receipt_id, "receipt-%u", number);
    (void)snprintf(r->request_id, sizeof r->request_id, "request-%u", number);
    (void)snprintf(r->completion_id, sizeof r->completion_id, "completion-%u", number);
    r->created = number;
    CHECK_OK(buf_addf(&r->receipt, "receipt number %u", number));
    return r;
}

static inline int64_t rows_count(struct sql *sql, const char *table)
{
    BUF_AUTO text = BUF(64);
    int64_t n = -1;
    CHECK_OK(buf_addf(&text, "SELECT count(*) FROM %s", table));
    CHECK_OK(sql_ask(sql, buf_str(&text), &n));
    return n;
}
