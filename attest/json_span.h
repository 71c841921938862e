/*
 * attest/json_span.h - the bytes of a value inside a JSON object, exactly as they were received.
 *
 * Vendors sign the text of one value of an object: it has to be cut out, not written again. The
 * scanner knows strings and brackets and nothing else, so what it gives is not yet known to be
 * JSON: verify the signature over it, then give that same range to json_read().
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum { JSON_SPAN_DEPTH_MAX = 32, JSON_SPAN_PAIRS_MAX = 256 };

struct json_span {
    const char *key;
    bytes value; /* borrowed; empty: the object has no such key */
};

/* Finds the values of those keys in the object that `text` is, and sets them. ERR_MALFORMED: not an
 * object with nothing but white space around it, one of the keys stands twice, or a key is written
 * with an escape (so that no key can hide). ERR_LIMIT: too deep or too many pairs. */
err json_span_find(bytes text, struct json_span *spans, size_t n);
