#include "gateway/blame.h"

#include "base/text.h"
#include "wire/names.h"

static bool is_own(const struct bhttp_head *head)
{
    const struct bhttp_field *f = bhttp_find(head->fields, head->fields_n, FIELD_RECEIPT_ID);
    return f == NULL || f->value.len == 0;
}

enum balance_outcome blame_head(const struct bhttp_head *head)
{
    if (head->status < 500)
        return BALANCE_WELL;
    return is_own(head) || head->status == 503 ? BALANCE_FAILED : BALANCE_POOR;
}

static bool is_final(const struct bhttp_head *head)
{
    const struct bhttp_field *f = bhttp_find(head->fields, head->fields_n, FIELD_SHOULD_RETRY);
    return f != NULL && text_equal_nocase(f->value, BYTES_LIT("false"));
}

bool blame_is_undone(const struct bhttp_head *head)
{
    return (head->status == 503 || (head->status == 502 && is_own(head))) && !is_final(head);
}
