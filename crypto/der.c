#include "crypto/der.h"

enum { LONG_FORM = 0x80, TAG_NUMBER = 0x1f, LENGTH_BYTES_MAX = 4, UINT_BYTES_MAX = 8 };

static err take_long_length(bytes *in, uint8_t first, size_t *len)
{
    size_t n = first & ~(unsigned)LONG_FORM;
    bytes digits;
    ENSURE(n > 0 && n <= LENGTH_BYTES_MAX && bytes_take(in, n, &digits), MALFORMED);
    *len = 0;
    for (size_t i = 0; i < n; i++)
        *len = *len << 8 | digits.at[i];
    ENSURE(digits.at[0] != 0 && *len >= LONG_FORM, MALFORMED);
    return OK;
}

static err take_length(bytes *in, size_t *len)
{
    uint8_t first;
    ENSURE(bytes_take_u8(in, &first), MALFORMED);
    *len = first;
    return first < LONG_FORM ? OK : take_long_length(in, first, len);
}

err der_take_any(bytes *in, uint8_t *tag, bytes *content)
{
    bytes rest = *in;
    uint8_t t;
    size_t len;
    bytes body;
    ENSURE(bytes_take_u8(&rest, &t) && (t & TAG_NUMBER) != TAG_NUMBER, MALFORMED);
    TRY(take_length(&rest, &len));
    ENSURE(bytes_take(&rest, len, &body), MALFORMED);
    *tag = t;
    *content = body;
    *in = rest;
    return OK;
}

err der_take(bytes *in, enum der_tag tag, bytes *content)
{
    bytes rest = *in;
    uint8_t t;
    bytes body;
    TRY(der_take_any(&rest, &t, &body));
    ENSURE(t == tag, MALFORMED);
    *content = body;
    *in = rest;
    return OK;
}

/* A leading zero stands there only when the next bit would else be a sign. */
static err read_uint(bytes content, uint64_t *out)
{
    ENSURE(content.len > 0 && content.at[0] < 0x80, MALFORMED);
    if (content.at[0] == 0 && content.len > 1) {
        ENSURE(content.at[1] >= 0x80, MALFORMED);
        content = bytes_slice(content, 1, content.len);
    }
    ENSURE(content.len <= UINT_BYTES_MAX, LIMIT);
    *out = 0;
    for (size_t i = 0; i < content.len; i++)
        *out = *out << 8 | content.at[i];
    return OK;
}

err der_take_uint(bytes *in, enum der_tag tag, uint64_t *out)
{
    bytes rest = *in;
    bytes content;
    TRY(der_take(&rest, tag, &content));
    TRY(read_uint(content, out));
    *in = rest;
    return OK;
}
