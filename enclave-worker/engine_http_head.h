/*
 * enclave-worker/engine_http_head.h - the head of an engine's HTTP/1.1 answer, line by line.
 *
 * Keeps only the fields that mean something to a client at the other end: content-*, openai-*,
 * x-ratelimit-*, retry hints. All others belong to the hop between us and the engine. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "enclave-worker/engine.h"
#include "enclave-worker/engine_http.h"

struct http_head {
    bool whole;             /* the final head (not 1xx) is complete */
    unsigned status;        /* of the head that came last */
    int64_t content_length; /* -1: not known, or the body comes in chunks */
    bool chunked;
    size_t seen; /* bytes of lines so far, at most ENGINE_HTTP_HEAD_MAX */
    struct buf text;
    struct http_head_field {
        size_t name, name_len, value, value_len; /* offsets into text */
    } fields[ENGINE_FIELDS_MAX];
    size_t fields_n;
};

void http_head_init(struct http_head *h);
void http_head_clear(struct http_head *h);

/* One line with its line end; the status line of an interim or final head begins anew. ERR_LIMIT
 * for a head too large or with too many fields that are kept, ERR_MALFORMED for a status that is
 * none. */
err http_head_line(struct http_head *h, bytes line);

/* The kept fields, names in lower case; borrowed from h. Returns how many. */
size_t http_head_fields(const struct http_head *h,
                        struct engine_field out[static ENGINE_FIELDS_MAX]);
