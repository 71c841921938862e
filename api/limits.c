#include "api/limits.h"

#include <inttypes.h>
#include <stdio.h>

/* Milliseconds below a second, else hours, minutes and seconds, to the millisecond. */
static void put_time(char *out, size_t max, uint64_t us)
{
    uint64_t ms = (us + 999) / 1000;
    uint64_t s = ms / 1000;
    int len = 0;
    if (s == 0) {
        (void)snprintf(out, max, "%" PRIu64 "ms", ms);
        return;
    }
    if (s >= 3600)
        len = snprintf(out, max, "%" PRIu64 "h", s / 3600);
    if (s >= 60)
        len += snprintf(out + len, max - (size_t)len, "%" PRIu64 "m", s / 60 % 60);
    if (ms % 1000 == 0)
        (void)snprintf(out + len, max - (size_t)len, "%" PRIu64 "s", s % 60);
    else
        (void)snprintf(out + len, max - (size_t)len, "%" PRIu64 ".%03" PRIu64 "s", s % 60,
                       ms % 1000);
}

static char *add(struct limits *out, const char *name)
{
    struct limits_field *f = &out->fields[out->n++];
    f->name = name;
    return f->value;
}

static void put_number(struct limits *out, const char *name, uint64_t v)
{
    (void)snprintf(add(out, name), sizeof out->fields[0].value, "%" PRIu64, v);
}

static void put_reset(struct limits *out, const char *name, uint64_t us)
{
    put_time(add(out, name), sizeof out->fields[0].value, us);
}

void limits_write(const struct allowance_view *view, struct limits *out)
{
    out->n = 0;
    if (view->requests.limit > 0) {
        put_number(out, "x-ratelimit-limit-requests", view->requests.limit);
        put_number(out, "x-ratelimit-remaining-requests", view->requests.remaining);
        put_reset(out, "x-ratelimit-reset-requests", view->requests.reset_us);
    }
    if (view->tokens.limit > 0) {
        put_number(out, "x-ratelimit-limit-tokens", view->tokens.limit);
        put_number(out, "x-ratelimit-remaining-tokens", view->tokens.remaining);
        put_reset(out, "x-ratelimit-reset-tokens", view->tokens.reset_us);
    }
}

struct api_error limits_error(const struct allowance_view *view)
{
    uint64_t s = (view->retry_us + 999999) / 1000000;
    return (struct api_error){ .cause = ERROR_RATE_LIMIT,
                               .retry_after_s = s < ERROR_RETRY_AFTER_MAX ? (unsigned)s
                                                                          : ERROR_RETRY_AFTER_MAX };
}
