/*
 * api/splice.h - changes members of a JSON object, and leaves every other byte as it was.
 *
 * Only members at the top are looked at, also those whose name is written with escapes. Nothing is
 * parsed into a tree and written again: numbers, white space, order and repeated members stay. Pure;
 * safe from any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { SPLICE_EDITS_MAX = 8 };

enum splice_kind {
    SPLICE_REPLACE = 0, /* the value, wherever the member stands */
    SPLICE_SET,         /* the same; and where it stands nowhere, it is added */
    SPLICE_ADD          /* only where it stands nowhere */
};

/* Borrowed for the call. */
struct splice_edit {
    enum splice_kind kind;
    bytes name;  /* plain ASCII without quotes and backslashes, at most 64 bytes */
    bytes value; /* JSON */
};

/* Appends `object` with the edits. ERR_MALFORMED, with *out as it was, for what is not exactly one
 * JSON object; ERR_LIMIT for more than SPLICE_EDITS_MAX edits, or from *out. */
err splice_object(struct buf *out, bytes object, const struct splice_edit *edits, size_t n);
