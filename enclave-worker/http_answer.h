/*
 * enclave-worker/http_answer.h - an engine's HTTP/1.1 answer (RFC 9112), from bytes to its parts.
 *
 * Pure and incremental: any cut of the input gives the same parts. Stricter than RFC 9112 where that
 * costs nothing with engines: no folded lines, one length, `chunked` as the only transfer coding.
 */
#pragma once

#include "enclave-worker/engine_http_head.h"

enum http_step {
    HTTP_MORE = 0, /* all of the input was taken */
    HTTP_HEAD,     /* the final head is complete; once */
    HTTP_BODY,     /* a piece of content, never empty */
    HTTP_END       /* the answer is complete; what is left of the input does not belong to it */
};

enum http_part {
    HTTP_STATUS_LINE = 0,
    HTTP_FIELD_LINE,
    HTTP_CONTENT, /* of a known length */
    HTTP_UNTIL_CLOSE,
    HTTP_CHUNK_LINE,
    HTTP_CHUNK,
    HTTP_CHUNK_END,
    HTTP_TRAILER,
    HTTP_OVER
};

struct http_answer {
    struct http_head head;
    bool no_body; /* an answer to HEAD */
    enum http_part part;
    struct buf line; /* the beginning of one that is not complete */
    uint64_t left;   /* of the content or the chunk */
    size_t trailers; /* bytes of them */
    bool keeps;      /* nothing spoke against using the connection again */
    bool old;        /* HTTP/1.0 */
    bool has_length;
    uint64_t length;
};

/* Any memory is released by http_answer_clear(). */
void http_answer_init(struct http_answer *a, bool no_body);
void http_answer_clear(struct http_answer *a);

/*
 * Takes from the front of *in up to the next step. *piece borrows from *in. ERR_LIMIT for a head (or
 * trailers) over ENGINE_HTTP_HEAD_MAX or with too many fields, ERR_MALFORMED for what is no HTTP;
 * an error is final.
 */
err http_answer_next(struct http_answer *a, bytes *in, bytes *piece, enum http_step *step);

/* The engine has closed its side. OK if that is how the answer ends, else ERR_CLOSED. */
err http_answer_close(const struct http_answer *a);

/* True when nothing of an answer has arrived. */
bool http_answer_is_untouched(const struct http_answer *a);

/* After HTTP_END: whether the connection may carry another request. */
bool http_answer_keeps(const struct http_answer *a);
