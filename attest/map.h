/*
 * attest/map.h - closed, deterministic CBOR maps with text keys, read and written by a table.
 *
 * Every document of this folder is such a map. It has exactly one encoding (RFC 8949 section 4.2.1:
 * keys in bytewise order of their encoding, so shorter ones first), and what the table does not
 * name is refused. So read and write are inverse to each other, and a document hashed as received
 * is the document hashed as understood.
 */
#pragma once

#include "base/buf.h"

enum map_type {
    MAP_BYTES, /* a field of type `bytes`, borrowed; least..most bytes */
    MAP_TEXT,  /* the same, UTF-8 without control characters */
    MAP_NAME,  /* the same, only A-Z a-z 0-9 . _ - + */
    MAP_UINT   /* a field of type uint64_t; least..most */
};

struct map_field {
    const char *key;
    enum map_type type;
    bool optional; /* absent is the empty `bytes`; then least must be 1 or more; not for MAP_UINT */
    size_t offset; /* in the caller's struct */
    uint64_t least;
    uint64_t most;
};

/*
 * All of in, by a table whose keys stand in encoding order. *into is zeroed first, and is all zero
 * again on failure; its `bytes` borrow from in. ERR_MALFORMED for anything that is not this map in
 * its one encoding, ERR_TRUNCATED for a part of one, ERR_LIMIT for a length or number out of
 * bounds.
 */
err map_read(bytes in, const struct map_field *fields, size_t n, void *into, size_t into_size);

/* Appends. ERR_LIMIT or ERR_MALFORMED when map_read() would refuse the result; out may then hold a
 * part of it. */
err map_write(struct buf *out, const struct map_field *fields, size_t n, const void *from);
