/*
 * api/responses_check.h - what may be said at the top of a request to /v1/responses. Only for
 * api/responses_ask. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/responses_fault.h"

struct json;

enum {
    RESPONSES_METADATA_MAX = 16, /* pairs */
    RESPONSES_TOP_LOGPROBS_MAX = 20
};

struct responses_row {
    const char *name;
    const char *echo; /* JSON that the answer says when the request does not; NULL: no echo */
    const char *chat; /* the engine's name for it; NULL: not passed on as it is */
    int kind;         /* what it must be, unless it is null; private */
    bool unsupported; /* refused unless it is null */
};

const struct responses_row *responses_rows(size_t *n);
const struct responses_row *responses_row_find(bytes name); /* NULL: none */

/* Types and ranges of all that needs no look at anything else. */
err responses_check(const struct json *root, struct responses_fault *fault);
