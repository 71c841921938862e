/*
 * api/limits.h - what a key may still ask for, in the fields that OpenAI's clients read:
 * x-ratelimit-{limit,remaining,reset}-{requests,tokens}. Times are as Go writes them ("6m0s").
 */
#pragma once

#include "api/error.h"
#include "base/allowance.h"

enum { LIMITS_FIELDS_MAX = 6 };

struct limits_field {
    const char *name; /* static, lower case */
    char value[24];
};

struct limits {
    size_t n;
    struct limits_field fields[LIMITS_FIELDS_MAX];
};

/* Those of the windows that have a limit. */
void limits_write(const struct allowance_view *view, struct limits *out);

/* The 429, with Retry-After. */
struct api_error limits_error(const struct allowance_view *view);
