#include "receipts/store_evidence.h"

#include <string.h>

#include "base/clock.h"
#include "receipts/store_sql.h"

void store_evidence_forget(struct store_evidence *e)
{
    for (size_t i = 0; i < STORE_EVIDENCE_KNOWN_MAX; i++)
        e->known[i] = (struct store_evidence_known){ 0 };
}

static err touch(struct store_evidence *e, struct store_evidence_known *k)
{
    if (k->seq == 0)
        return OK;
    sql_bind_blob(e->sql, STORE_SQL_TOUCH_EVIDENCE, 1, BYTES_ARRAY(k->hash));
    sql_bind_number(e->sql, STORE_SQL_TOUCH_EVIDENCE, 2, k->seq);
    k->seq = 0;
    return sql_run(e->sql, STORE_SQL_TOUCH_EVIDENCE);
}

err store_evidence_flush(struct store_evidence *e)
{
    for (size_t i = 0; i < STORE_EVIDENCE_KNOWN_MAX; i++)
        TRY(touch(e, &e->known[i]));
    return OK;
}

static struct store_evidence_known *recall(struct store_evidence *e, bytes hash)
{
    for (size_t i = 0; i < STORE_EVIDENCE_KNOWN_MAX; i++)
        if (e->known[i].used && bytes_equal(BYTES_ARRAY(e->known[i].hash), hash))
            return &e->known[i];
    return NULL;
}

/* The slot of a document that is stored, or NULL. The usual case asks nobody. */
static err know(struct store_evidence *e, const uint8_t hash[static 32],
                struct store_evidence_known **out)
{
    int64_t there;
    *out = recall(e, bytes_of(hash, 32));
    if (*out != NULL)
        return OK;
    sql_bind_blob(e->sql, STORE_SQL_HAS_EVIDENCE, 1, bytes_of(hash, 32));
    TRY(sql_number(e->sql, STORE_SQL_HAS_EVIDENCE, &there));
    if (there == 0)
        return OK;
    struct store_evidence_known *k = &e->known[e->next++ % STORE_EVIDENCE_KNOWN_MAX];
    TRY(touch(e, k));
    *k = (struct store_evidence_known){ .used = true };
    memcpy(k->hash, hash, sizeof k->hash);
    *out = k;
    return OK;
}

err store_evidence_refer(struct store_evidence *e, const uint8_t hash[static 32], int64_t seq,
                         bool *there)
{
    struct store_evidence_known *k;
    TRY(know(e, hash, &k));
    if (k != NULL)
        k->seq = seq;
    *there = k != NULL;
    return OK;
}

err store_evidence_put(struct store_evidence *e, const uint8_t hash[static 32], bytes document,
                       int64_t last_seq)
{
    sql_bind_blob(e->sql, STORE_SQL_PUT_EVIDENCE, 1, bytes_of(hash, 32));
    sql_bind_number(e->sql, STORE_SQL_PUT_EVIDENCE, 2, last_seq);
    sql_bind_number(e->sql, STORE_SQL_PUT_EVIDENCE, 3, clock_wall_s());
    sql_bind_blob(e->sql, STORE_SQL_PUT_EVIDENCE, 4, document);
    return sql_run(e->sql, STORE_SQL_PUT_EVIDENCE);
}

err store_evidence_evict(struct store_evidence *e, int64_t before, int64_t next_seq)
{
    sql_bind_number(e->sql, STORE_SQL_EVICT_EVIDENCE, 1, before);
    sql_bind_number(e->sql, STORE_SQL_EVICT_EVIDENCE, 2, next_seq);
    TRY(sql_run(e->sql, STORE_SQL_EVICT_EVIDENCE));
    if (sql_changes(e->sql) > 0)
        store_evidence_forget(e);
    return OK;
}

err store_evidence_find(struct store_evidence *e, const uint8_t hash[static 32], struct buf *out)
{
    bool row;
    sql_bind_blob(e->sql, STORE_SQL_FIND_EVIDENCE, 1, bytes_of(hash, 32));
    err step = sql_step(e->sql, STORE_SQL_FIND_EVIDENCE, &row);
    if (err_is_ok(step) && row)
        step = buf_add(out, sql_column(e->sql, STORE_SQL_FIND_EVIDENCE, 0));
    sql_reset(e->sql, STORE_SQL_FIND_EVIDENCE);
    TRY(step);
    ENSURE(row, NOT_FOUND);
    return OK;
}
