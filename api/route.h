/*
 * api/route.h - which of our endpoints a request line means.
 *
 * The path of a request target is matched after its repeated and trailing slashes are thought away
 * ("/v1//models/" is "/v1/models"). Pure; no allocation; safe from any thread.
 *
 * A target that is not an absolute path in visible ASCII, is longer than ROUTE_TARGET_MAX, or has a
 * segment "." or ".." (also percent-encoded, also behind an encoded slash) matches nothing: what is
 * passed through must not reach above /v1.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/log.h"

enum {
    ROUTE_TARGET_MAX = 8192, /* bytes of a request target, with query */
    ROUTE_ID_MAX = 512,      /* bytes of a decoded id */
};

enum route_kind {
    ROUTE_NONE = 0,
    ROUTE_CHAT_COMPLETIONS, /* POST /v1/chat/completions */
    ROUTE_COMPLETIONS,      /* POST /v1/completions */
    ROUTE_EMBEDDINGS,       /* POST /v1/embeddings */
    ROUTE_RESPONSES,        /* POST /v1/responses */
    ROUTE_RESPONSE,         /* GET, DELETE, POST /v1/responses/{id}... */
    ROUTE_MODELS,           /* GET /v1/models */
    ROUTE_MODEL,            /* GET /v1/models/{id}; ids may contain slashes */
    ROUTE_RECEIPT,          /* GET /v1/receipts/{id} */
    ROUTE_ATTESTATION,      /* GET /v1/attestation */
    ROUTE_EVIDENCE,         /* POST /v1/attestation/verify */
    ROUTE_HEALTHZ,          /* GET /healthz */
    ROUTE_READYZ,           /* GET /readyz */
    ROUTE_METRICS,          /* GET /metrics */
    ROUTE_OPENAPI,          /* GET /openapi.json */
    ROUTE_PASS,             /* anything else under /v1/ */
    ROUTE_KINDS
};

enum route_verdict {
    ROUTE_UNKNOWN = 0,  /* 404 unknown_url */
    ROUTE_WRONG_METHOD, /* 405; `allow` says what would do */
    ROUTE_FOUND
};

struct route_match {
    enum route_verdict verdict;
    enum route_kind kind; /* also set for ROUTE_WRONG_METHOD */
    struct word word;     /* the kind for logs and metrics; "none" if unknown */
    const char *allow;    /* value of the Allow field, static; NULL if unknown */
    const char *path;     /* canonical path when the route has only one, else NULL */
    bytes id;    /* as in the target, still encoded; of ROUTE_PASS: a model to be deleted */
    bytes query; /* behind the '?', or empty */
};

/* HEAD is accepted wherever GET is. */
void route_find(bytes method, bytes target, struct route_match *out);

/*
 * Appends the target as it may be sent on: one slash where there were several, none at the end,
 * query kept. Only for a target that route_find() found.
 */
err route_write_target(struct buf *out, bytes target);

/* Appends the id with its percent-encoding undone. ERR_MALFORMED for a bad escape, a NUL, or what
 * is not UTF-8; ERR_LIMIT over ROUTE_ID_MAX. */
err route_decode_id(struct buf *out, bytes id);

/* The value of a query's parameter, undecoded; false when it is not there. The first one counts. */
bool route_query_get(bytes query, const char *name, bytes *value);

/* Whether requests of that kind go sealed to a worker's engine; the others the gateway answers. */
bool route_is_sealed(enum route_kind kind);
