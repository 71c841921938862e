/*
 * api/error.h - every way a request can go wrong, as OpenAI's clients are told about it.
 *
 * The only place where a cause becomes a status, an error object and hints for retrying. Messages
 * are fixed; at most one checked word (a path, a parameter's name, a model) is put into them,
 * quoted and shortened. Pure; safe from any thread.
 *
 * The body is always {"error":{"message":...,"type":...,"param":...,"code":...}} with all four
 * members, because the SDKs read nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

enum {
    ERROR_ABOUT_MAX = 200,      /* bytes of `about` and `param` that are shown */
    ERROR_RETRY_AFTER_MAX = 60, /* openai-node obeys no more than that */
    ERROR_FIELDS_MAX = 6,
    ERROR_BODY_MAX = 4096, /* bytes of the longest body and event */
};

enum error_cause {
    ERROR_INTERNAL = 0,          /* 500, and what a zeroed error says */
    ERROR_BAD_REQUEST,           /* 400 not HTTP as we accept it; the connection closes */
    ERROR_INVALID_JSON,          /* 400 */
    ERROR_NOT_OBJECT,            /* 400 the body is JSON but no object */
    ERROR_MISSING_FIELD,         /* 400 param */
    ERROR_INVALID_TYPE,          /* 400 param */
    ERROR_INVALID_VALUE,         /* 400 param */
    ERROR_UNSUPPORTED_PARAMETER, /* 400 param */
    ERROR_BACKGROUND,            /* 400 what is made in the background cannot be charged */
    ERROR_CONTEXT_LENGTH,        /* 400 */
    ERROR_STALE_DATE,            /* 400 the sealed request's date is outside the window */
    ERROR_NO_API_KEY,            /* 401 */
    ERROR_BAD_API_KEY,           /* 401 */
    ERROR_MODEL_NOT_ALLOWED,     /* 403 about = model */
    ERROR_HOST_NOT_ALLOWED,      /* 403 the Host field is not one of ours */
    ERROR_ORIGIN_NOT_ALLOWED,    /* 403 a web page's, and not one of those in the settings */
    ERROR_SEAL_REQUIRED,         /* 403 an API request came unsealed */
    ERROR_MODEL_NOT_FOUND,       /* 404 about = model */
    ERROR_UNKNOWN_URL,           /* 404 about = METHOD and path */
    ERROR_NOT_FOUND,             /* 404 about = id */
    ERROR_NO_PREVIOUS,           /* 404 about = id; param */
    ERROR_METHOD,                /* 405 about = METHOD and path; allow */
    ERROR_REQUEST_TIMEOUT,       /* 408 the request did not arrive in time */
    ERROR_REPLAYED,              /* 409 the sealed request was seen before */
    ERROR_TOO_LARGE,             /* 413 */
    ERROR_MEDIA_TYPE,            /* 415 */
    ERROR_CONTENT_ENCODING,      /* 415 */
    ERROR_HEAD_TOO_LARGE,        /* 431 */
    ERROR_RATE_LIMIT,            /* 429 */
    ERROR_QUOTA,                 /* 429 */
    ERROR_NO_ATTESTED_WORKER,    /* 503 */
    ERROR_OVERLOADED,            /* 503 */
    ERROR_SHUTTING_DOWN,         /* 503 */
    ERROR_ATTESTATION_FAILED,    /* 502 fail closed */
    ERROR_RECEIPT_FAILED,        /* 502 fail closed */
    ERROR_UPSTREAM_UNREACHABLE,  /* 502 before any byte went to the model */
    ERROR_UPSTREAM_BROKEN,       /* 502 work was started, then the connection or stream broke */
    ERROR_UPSTREAM_MALFORMED,    /* 502 the engine's answer is not what it should be */
    ERROR_UPSTREAM_TIMEOUT,      /* 504 work was started */
    ERROR_CAUSES
};

struct api_error {
    enum error_cause cause;
    bytes param;            /* shown as "param"; empty = null */
    bytes about;            /* put into the message where the cause has a place for it */
    const char *allow;      /* ERROR_METHOD: the Allow field */
    unsigned retry_after_s; /* for causes that carry Retry-After; cut to 1..60 */
};

struct error_field {
    const char *name; /* static, lower case */
    char value[64];
};

unsigned error_status(enum error_cause cause);
const char *error_type(enum error_cause cause);
const char *error_code(enum error_cause cause);
/* The code for logs and metrics. */
struct word error_word(enum error_cause cause);

/* The cause that fits a failure of ours or of an engine; `started` says that the model was already
 * asked, so that a client should not ask again by itself. */
enum error_cause error_from(err e, bool started);

/* The JSON body; content type application/json. At most ERROR_BODY_MAX bytes. */
err error_write_body(struct buf *out, const struct api_error *e);

/* The same as an event of the Responses API: flat, as it is documented, and nested, as many clients
 * want it. */
err error_write_responses_event(struct buf *out, const struct api_error *e, uint64_t sequence);

/* The same object as one whole SSE event: `data: {"error":{...}}` and an empty line. */
err error_write_event(struct buf *out, const struct api_error *e);

/* Fields that go with the status: content-type first, then of www-authenticate, allow, retry-after,
 * retry-after-ms, x-should-retry and connection those that apply. Returns how many. */
size_t error_fields(const struct api_error *e, struct error_field out[static ERROR_FIELDS_MAX]);
