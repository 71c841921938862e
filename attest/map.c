#include "attest/map.h"

#include "base/cbor.h"
#include "base/text.h"

/* The two kinds of field a caller's struct can have. */
static bytes *bytes_field(void *in, const struct map_field *f)
{
    return (bytes *)(void *)((char *)in + f->offset);
}

static uint64_t *uint_field(void *in, const struct map_field *f)
{
    return (uint64_t *)(void *)((char *)in + f->offset);
}

static bool is_name(bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = c == '.' || c == '_' || c == '-' || c == '+';
        if (!letter && !other && !(c >= '0' && c <= '9'))
            return false;
    }
    return true;
}

/* U+0000 to U+001F, U+007F, and U+0080 to U+009F, which UTF-8 writes as c2 80 to c2 9f. */
static bool is_printable(bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c == 0xc2 && i + 1 < text.len && text.at[i + 1] < 0xa0)
            return false;
    }
    return text_is_utf8(text);
}

static err check_bytes(const struct map_field *f, bytes v)
{
    ENSURE(v.len >= f->least && v.len <= f->most, LIMIT);
    ENSURE(f->type != MAP_NAME || is_name(v), MALFORMED);
    ENSURE(f->type != MAP_TEXT || is_printable(v), MALFORMED);
    return OK;
}

static err check_uint(const struct map_field *f, uint64_t v)
{
    ENSURE(v >= f->least && v <= f->most, LIMIT);
    return OK;
}

static err take_value(bytes *in, const struct map_field *f, void *into)
{
    if (f->type == MAP_UINT) {
        TRY(cbor_take_uint(in, uint_field(into, f)));
        return check_uint(f, *uint_field(into, f));
    }
    if (f->type == MAP_BYTES)
        TRY(cbor_take_bytes(in, bytes_field(into, f)));
    else
        TRY(cbor_take_text(in, bytes_field(into, f)));
    return check_bytes(f, *bytes_field(into, f));
}

/* Since the table stands in encoding order, a key is either the next one the table has, or it is
 * out of order, repeated or unknown. */
static err take_pairs(bytes *in, uint64_t pairs, const struct map_field *fields, size_t n,
                      void *into)
{
    size_t at = 0;
    for (; pairs > 0; pairs--) {
        bytes key;
        TRY(cbor_take_text(in, &key));
        while (at < n && fields[at].optional && !bytes_equal(key, bytes_str(fields[at].key)))
            at++;
        ENSURE(at < n && bytes_equal(key, bytes_str(fields[at].key)), MALFORMED);
        TRY(take_value(in, &fields[at], into));
        at++;
    }
    for (; at < n; at++)
        ENSURE(fields[at].optional, MALFORMED);
    return OK;
}

static err read_map(bytes in, const struct map_field *fields, size_t n, void *into)
{
    uint64_t pairs;
    TRY(cbor_take_map(&in, &pairs));
    ENSURE(pairs <= n, MALFORMED);
    TRY(take_pairs(&in, pairs, fields, n, into));
    ENSURE(in.len == 0, MALFORMED);
    return OK;
}

err map_read(bytes in, const struct map_field *fields, size_t n, void *into, size_t into_size)
{
    memset(into, 0, into_size);
    err e = read_map(in, fields, n, into);
    if (!err_is_ok(e))
        memset(into, 0, into_size);
    return e;
}

/* Reading through a const struct; the two helpers above only compute an address. */
static bytes bytes_value(const void *from, const struct map_field *f)
{
    return *(const bytes *)(const void *)((const char *)from + f->offset);
}

static uint64_t uint_value(const void *from, const struct map_field *f)
{
    return *(const uint64_t *)(const void *)((const char *)from + f->offset);
}

static bool is_absent(const void *from, const struct map_field *f)
{
    return f->optional && f->type != MAP_UINT && bytes_value(from, f).len == 0;
}

static err put_value(struct buf *out, const struct map_field *f, const void *from)
{
    if (f->type == MAP_UINT) {
        TRY(check_uint(f, uint_value(from, f)));
        return cbor_put_uint(out, uint_value(from, f));
    }
    bytes v = bytes_value(from, f);
    TRY(check_bytes(f, v));
    return f->type == MAP_BYTES ? cbor_put_bytes(out, v) : cbor_put_text(out, v);
}

err map_write(struct buf *out, const struct map_field *fields, size_t n, const void *from)
{
    uint64_t pairs = 0;
    for (size_t i = 0; i < n; i++)
        pairs += !is_absent(from, &fields[i]);
    TRY(cbor_put_map(out, pairs));
    for (size_t i = 0; i < n; i++) {
        if (is_absent(from, &fields[i]))
            continue;
        TRY(cbor_put_text(out, bytes_str(fields[i].key)));
        TRY(put_value(out, &fields[i], from));
    }
    return OK;
}
