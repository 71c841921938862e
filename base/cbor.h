/*
 * base/cbor.h - deterministic CBOR (RFC 8949), both ways.
 *
 * The writer emits shortest heads and definite lengths. The reader accepts nothing else: a head
 * longer than needed, an indefinite length, a float, a simple value other than false, true and null
 * is ERR_MALFORMED; so is a length that runs past the input. Order and uniqueness of map keys are the
 * caller's to check, since it knows the keys. Readers move *in past the item, and only on success.
 */
#pragma once

#include "base/buf.h"

enum cbor_kind {
    CBOR_UINT = 0,  /* value */
    CBOR_NINT = 1,  /* -1 - value */
    CBOR_BYTES = 2, /* body */
    CBOR_TEXT = 3,  /* body, checked to be UTF-8 */
    CBOR_ARRAY = 4, /* value items follow */
    CBOR_MAP = 5,   /* value pairs follow */
    CBOR_TAG = 6,   /* value; the tagged item follows */
    CBOR_SIMPLE = 7 /* value: 20 false, 21 true, 22 null */
};

struct cbor_item {
    enum cbor_kind kind;
    uint64_t value;
    bytes body; /* borrowed from the input */
};

enum { CBOR_DEPTH_MAX = 16 };

err cbor_put_uint(struct buf *out, uint64_t v);
err cbor_put_int(struct buf *out, int64_t v);
err cbor_put_bytes(struct buf *out, bytes v);
err cbor_put_text(struct buf *out, bytes v);
err cbor_put_array(struct buf *out, uint64_t n);
err cbor_put_map(struct buf *out, uint64_t n);
err cbor_put_tag(struct buf *out, uint64_t tag);
err cbor_put_bool(struct buf *out, bool v);
err cbor_put_null(struct buf *out);

/* The next item; of arrays, maps and tags only the head. */
err cbor_take(bytes *in, struct cbor_item *out);

/* The next item, which must be of that type. */
err cbor_take_uint(bytes *in, uint64_t *out);
err cbor_take_int(bytes *in, int64_t *out);
err cbor_take_bytes(bytes *in, bytes *out);
err cbor_take_text(bytes *in, bytes *out);
err cbor_take_array(bytes *in, uint64_t *n);
err cbor_take_map(bytes *in, uint64_t *n);
err cbor_take_tag(bytes *in, uint64_t *tag);
err cbor_take_bool(bytes *in, bool *out);

/* The next item with all that it holds, as raw bytes. ERR_LIMIT deeper than CBOR_DEPTH_MAX. */
err cbor_take_raw(bytes *in, bytes *out);
