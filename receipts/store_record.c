#include "receipts/store_record.h"

#include <string.h>

#include "base/mem.h"

err store_record_new(struct store_record **out)
{
    struct store_record *r;
    TRY(mem_new(&r));
    r->receipt = BUF(STORE_RECEIPT_MAX);
    *out = r;
    return OK;
}

void store_record_free(struct store_record *record)
{
    if (record == NULL)
        return;
    buf_clear(&record->receipt);
    mem_free(record);
}

err store_query_new(struct store_query **out)
{
    struct store_query *q;
    TRY(mem_new(&q));
    q->evidence = BUF(STORE_EVIDENCE_MAX);
    *out = q;
    return OK;
}

void store_query_free(struct store_query *query)
{
    if (query == NULL)
        return;
    store_record_free(query->found);
    buf_clear(&query->evidence);
    mem_free(query);
}

bool store_id_set(char to[static STORE_ID_MAX + 1], bytes id)
{
    if (id.len == 0 || id.len > STORE_ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.at[i] <= ' ' || id.at[i] >= 0x7f)
            return false;
    memcpy(to, id.at, id.len);
    to[id.len] = '\0';
    return true;
}
