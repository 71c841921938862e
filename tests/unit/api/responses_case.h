/* tests/unit/api/responses_case.h - JSON in tests is written with ' for ", which it never holds. */
#pragma once

#include <stdio.h>
#include <string.h>

#include "api/responses_ask.h"
#include "base/json.h"
#include "tests/lib/law.h"

enum { CASE_MAX = 1024 * 1024 };

static inline bytes quoted(struct buf *out, const char *text)
{
    buf_truncate(out, 0);
    for (const char *p = text; *p != '\0'; p++)
        CHECK_OK(buf_add_u8(out, *p == '\'' ? '"' : (uint8_t)*p));
    return buf_view(out);
}

/* What is in `have`, with ' for ". Valid until the buf changes. */
static inline const char *shown(struct buf *have)
{
    for (size_t i = 0; i < have->len; i++)
        have->at[i] = have->at[i] == '"' ? '\'' : have->at[i];
    return have->len > 0 ? buf_str(have) : "";
}

static inline struct json *parsed(const char *text)
{
    struct json *root = NULL;
    BUF_AUTO json = BUF(CASE_MAX);
    CHECK_OK(json_read(&root, quoted(&json, text), JSON_DEPTH_MAX));
    return root;
}
