/*
 * api/scan.h - reads JSON token by token and checks all of it, without a tree.
 *
 * RFC 8259: exactly one value, UTF-8 (RFC 3629), no lone surrogates in \u escapes, no byte order
 * mark. No allocation, no recursion; long strings go by sixteen bytes at a time. Only for api/peek,
 * api/splice and api/sse; safe from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { SCAN_DEPTH_MAX = 128 };

enum scan_token {
    SCAN_BAD = 0, /* not JSON at scan->at; every further call says so again */
    SCAN_DEEP,    /* nested deeper than SCAN_DEPTH_MAX; likewise */
    SCAN_END,     /* the one value was complete and nothing came behind it; likewise */
    SCAN_OBJECT,
    SCAN_OBJECT_END,
    SCAN_ARRAY,
    SCAN_ARRAY_END,
    SCAN_KEY,
    SCAN_STRING,
    SCAN_NUMBER,
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL
};

struct scan {
    const uint8_t *start;
    const uint8_t *end;
    const uint8_t *at;
    unsigned expect;                      /* what may come next; private */
    enum scan_token stopped;              /* the last word, once it was said; private */
    unsigned depth;                       /* containers that are open */
    uint64_t arrays[SCAN_DEPTH_MAX / 64]; /* one bit per open container; private */
    bytes text; /* of SCAN_KEY and SCAN_STRING: inside the quotes, still escaped; of a number: it */
    bool escaped; /* the text has a backslash in it */
};

void scan_init(struct scan *s, bytes in);
enum scan_token scan_next(struct scan *s);

/* Goes to the end of the value that `first` has begun; false when it does not end as JSON. */
bool scan_skip(struct scan *s, enum scan_token first);

/* The present key or string, unescaped, is exactly this word (plain ASCII, at most 64 bytes). */
bool scan_text_is(const struct scan *s, bytes word);

/* The present key or string, unescaped, into out; false when it is longer than max. */
bool scan_text_copy(const struct scan *s, uint8_t *out, size_t max, size_t *len);

/* Bytes of the one JSON value at the head of `in` (after white space), or 0 when there is none. */
size_t scan_first_value(bytes in);
