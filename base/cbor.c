#include "base/cbor.h"

#include <cbor.h>

#include "base/text.h"

enum { HEAD_MAX = 9, SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

/* libcbor's encoders write one head each, in its shortest form. */
static size_t head_encode(enum cbor_kind kind, uint64_t v, uint8_t out[static HEAD_MAX])
{
    switch (kind) {
    case CBOR_UINT:
        return cbor_encode_uint(v, out, HEAD_MAX);
    case CBOR_NINT:
        return cbor_encode_negint(v, out, HEAD_MAX);
    case CBOR_BYTES:
        return cbor_encode_bytestring_start(v, out, HEAD_MAX);
    case CBOR_TEXT:
        return cbor_encode_string_start(v, out, HEAD_MAX);
    case CBOR_ARRAY:
        return cbor_encode_array_start(v, out, HEAD_MAX);
    case CBOR_MAP:
        return cbor_encode_map_start(v, out, HEAD_MAX);
    case CBOR_TAG:
        return cbor_encode_tag(v, out, HEAD_MAX);
    case CBOR_SIMPLE:
        return cbor_encode_ctrl((uint8_t)v, out, HEAD_MAX);
    }
    return 0;
}

static err put_head(struct buf *out, enum cbor_kind kind, uint64_t v)
{
    uint8_t head[HEAD_MAX];
    size_t len = head_encode(kind, v, head);
    ENSURE(len > 0, INTERNAL);
    return buf_add(out, bytes_of(head, len));
}

err cbor_put_uint(struct buf *out, uint64_t v)
{
    return put_head(out, CBOR_UINT, v);
}

err cbor_put_int(struct buf *out, int64_t v)
{
    return v < 0 ? put_head(out, CBOR_NINT, ~(uint64_t)v) : put_head(out, CBOR_UINT, (uint64_t)v);
}

err cbor_put_bytes(struct buf *out, bytes v)
{
    TRY(put_head(out, CBOR_BYTES, v.len));
    return buf_add(out, v);
}

err cbor_put_text(struct buf *out, bytes v)
{
    TRY(put_head(out, CBOR_TEXT, v.len));
    return buf_add(out, v);
}

err cbor_put_array(struct buf *out, uint64_t n)
{
    return put_head(out, CBOR_ARRAY, n);
}

err cbor_put_map(struct buf *out, uint64_t n)
{
    return put_head(out, CBOR_MAP, n);
}

err cbor_put_tag(struct buf *out, uint64_t tag)
{
    return put_head(out, CBOR_TAG, tag);
}

err cbor_put_bool(struct buf *out, bool v)
{
    return put_head(out, CBOR_SIMPLE, v ? SIMPLE_TRUE : SIMPLE_FALSE);
}

err cbor_put_null(struct buf *out)
{
    return put_head(out, CBOR_SIMPLE, SIMPLE_NULL);
}

/* Major type in the top three bits, argument in the low five: 0..23 itself, 24..27 in the next 1, 2,
 * 4 or 8 bytes; RFC 8949 section 3. Written out because libcbor's decoder hides the head's length,
 * and a head longer than needed has to be refused. */
static err take_head(bytes *in, enum cbor_kind *kind, uint64_t *value)
{
    uint8_t first;
    bytes rest = *in, arg;
    ENSURE(bytes_take_u8(&rest, &first), TRUNCATED);
    uint8_t info = first & 31;
    uint64_t v = info;
    ENSURE(info <= 27, MALFORMED);
    if (info >= 24) {
        size_t width = (size_t)1 << (info - 24);
        ENSURE(bytes_take(&rest, width, &arg), TRUNCATED);
        v = 0;
        for (size_t i = 0; i < width; i++)
            v = v << 8 | arg.at[i];
        uint64_t least = info == 24 ? 24 : (uint64_t)1 << (8 * (width / 2));
        ENSURE(v >= least, MALFORMED);
    }
    *kind = (enum cbor_kind)(first >> 5);
    *value = v;
    *in = rest;
    return OK;
}

err cbor_take(bytes *in, struct cbor_item *out)
{
    bytes rest = *in;
    struct cbor_item item = { 0 };
    TRY(take_head(&rest, &item.kind, &item.value));
    if (item.kind == CBOR_BYTES || item.kind == CBOR_TEXT) {
        ENSURE(item.value <= rest.len, TRUNCATED);
        (void)bytes_take(&rest, (size_t)item.value, &item.body);
    }
    if (item.kind == CBOR_TEXT)
        ENSURE(text_is_utf8(item.body), MALFORMED);
    if (item.kind == CBOR_SIMPLE)
        ENSURE(item.value >= SIMPLE_FALSE && item.value <= SIMPLE_NULL, MALFORMED);
    *out = item;
    *in = rest;
    return OK;
}

static err take_type(bytes *in, enum cbor_kind kind, struct cbor_item *out)
{
    bytes rest = *in;
    TRY(cbor_take(&rest, out));
    ENSURE(out->kind == kind, MALFORMED);
    *in = rest;
    return OK;
}

static err take_value(bytes *in, enum cbor_kind kind, uint64_t *out)
{
    struct cbor_item item;
    TRY(take_type(in, kind, &item));
    *out = item.value;
    return OK;
}

static err take_body(bytes *in, enum cbor_kind kind, bytes *out)
{
    struct cbor_item item;
    TRY(take_type(in, kind, &item));
    *out = item.body;
    return OK;
}

err cbor_take_uint(bytes *in, uint64_t *out)
{
    return take_value(in, CBOR_UINT, out);
}

err cbor_take_int(bytes *in, int64_t *out)
{
    bytes rest = *in;
    struct cbor_item item;
    TRY(cbor_take(&rest, &item));
    ENSURE(item.kind == CBOR_UINT || item.kind == CBOR_NINT, MALFORMED);
    ENSURE(item.value <= INT64_MAX, LIMIT);
    *out = item.kind == CBOR_UINT ? (int64_t)item.value : -1 - (int64_t)item.value;
    *in = rest;
    return OK;
}

err cbor_take_bytes(bytes *in, bytes *out)
{
    return take_body(in, CBOR_BYTES, out);
}

err cbor_take_text(bytes *in, bytes *out)
{
    return take_body(in, CBOR_TEXT, out);
}

/* Every item takes at least one byte, so a count above what is left is refused before any loop. */
err cbor_take_array(bytes *in, uint64_t *n)
{
    bytes rest = *in;
    TRY(take_value(&rest, CBOR_ARRAY, n));
    ENSURE(*n <= rest.len, TRUNCATED);
    *in = rest;
    return OK;
}

err cbor_take_map(bytes *in, uint64_t *n)
{
    bytes rest = *in;
    TRY(take_value(&rest, CBOR_MAP, n));
    ENSURE(*n <= rest.len / 2, TRUNCATED);
    *in = rest;
    return OK;
}

err cbor_take_tag(bytes *in, uint64_t *tag)
{
    return take_value(in, CBOR_TAG, tag);
}

err cbor_take_bool(bytes *in, bool *out)
{
    bytes rest = *in;
    uint64_t v;
    TRY(take_value(&rest, CBOR_SIMPLE, &v));
    ENSURE(v != SIMPLE_NULL, MALFORMED);
    *out = v == SIMPLE_TRUE;
    *in = rest;
    return OK;
}

/* Items still to come at each open level; no recursion on foreign input. */
err cbor_take_raw(bytes *in, bytes *out)
{
    uint64_t left[CBOR_DEPTH_MAX + 1] = { 1 };
    size_t depth = 0;
    bytes rest = *in;
    while (depth > 0 || left[0] > 0) {
        struct cbor_item item;
        if (left[depth] == 0) {
            depth--;
            continue;
        }
        left[depth]--;
        TRY(cbor_take(&rest, &item));
        uint64_t inner = item.kind == CBOR_ARRAY ? item.value
                         : item.kind == CBOR_TAG ? 1
                         : item.kind == CBOR_MAP ? item.value * 2
                                                 : 0;
        ENSURE(item.kind != CBOR_MAP || item.value <= rest.len, TRUNCATED);
        if (inner == 0)
            continue;
        ENSURE(depth < CBOR_DEPTH_MAX, LIMIT);
        left[++depth] = inner;
    }
    *out = bytes_of(in->at, in->len - rest.len);
    *in = rest;
    return OK;
}
