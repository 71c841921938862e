#include "base/text.h"

#include <string.h>

static const char hex_alphabet[] = "0123456789abcdef";
static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

err text_hex_encode(struct buf *out, bytes in)
{
    uint8_t *room;
    TRY(buf_reserve(out, in.len * 2, &room));
    for (size_t i = 0; i < in.len; i++) {
        room[2 * i] = (uint8_t)hex_alphabet[in.at[i] >> 4];
        room[2 * i + 1] = (uint8_t)hex_alphabet[in.at[i] & 15];
    }
    buf_commit(out, in.len * 2);
    return OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

err text_hex_decode(struct buf *out, bytes hex)
{
    ENSURE(hex.len % 2 == 0, MALFORMED);
    uint8_t *room;
    TRY(buf_reserve(out, hex.len / 2, &room));
    for (size_t i = 0; i < hex.len; i += 2) {
        int high = hex_digit(hex.at[i]);
        int low = hex_digit(hex.at[i + 1]);
        ENSURE(high >= 0 && low >= 0, MALFORMED);
        room[i / 2] = (uint8_t)(high << 4 | low);
    }
    buf_commit(out, hex.len / 2);
    return OK;
}

static err base64_encode(struct buf *out, bytes in, const char *alphabet, bool padded)
{
    size_t whole = in.len / 3 * 4;
    size_t rest = in.len % 3;
    size_t len = whole + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    uint8_t *room;
    TRY(buf_reserve(out, len, &room));

    size_t o = 0;
    for (size_t i = 0; i < in.len; i += 3) {
        uint32_t v = (uint32_t)in.at[i] << 16;
        v |= i + 1 < in.len ? (uint32_t)in.at[i + 1] << 8 : 0;
        v |= i + 2 < in.len ? in.at[i + 2] : 0;
        for (unsigned k = 0; k < 4 && o < len; k++)
            room[o++] = (uint8_t)(i + k > in.len ? '=' : alphabet[v >> (18 - 6 * k) & 63]);
    }
    buf_commit(out, len);
    return OK;
}

static int base64_digit(uint8_t c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (uint8_t)alphabet[62])
        return 62;
    return c == (uint8_t)alphabet[63] ? 63 : -1;
}

static err base64_decode(struct buf *out, bytes text, const char *alphabet)
{
    size_t rest = text.len % 4;
    ENSURE(rest != 1, MALFORMED);
    size_t len = text.len / 4 * 3 + (rest ? rest - 1 : 0);
    uint8_t *room;
    TRY(buf_reserve(out, len, &room));

    size_t o = 0;
    uint32_t v = 0;
    for (size_t i = 0; i < text.len; i++) {
        int d = base64_digit(text.at[i], alphabet);
        ENSURE(d >= 0, MALFORMED);
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            room[o++] = (uint8_t)(v >> 16);
            room[o++] = (uint8_t)(v >> 8);
            room[o++] = (uint8_t)v;
            v = 0;
        }
    }
    if (rest == 2) {
        ENSURE((v & 15) == 0, MALFORMED);
        room[o++] = (uint8_t)(v >> 4);
    } else if (rest == 3) {
        ENSURE((v & 3) == 0, MALFORMED);
        room[o++] = (uint8_t)(v >> 10);
        room[o++] = (uint8_t)(v >> 2);
    }
    buf_commit(out, o);
    return OK;
}

err text_base64_encode(struct buf *out, bytes in)
{
    return base64_encode(out, in, base64_alphabet, true);
}

err text_base64_decode(struct buf *out, bytes text)
{
    ENSURE(text.len % 4 == 0, MALFORMED);
    if (bytes_ends(text, BYTES_LIT("==")))
        text.len -= 2;
    else if (bytes_ends(text, BYTES_LIT("=")))
        text.len -= 1;
    return base64_decode(out, text, base64_alphabet);
}

err text_base64url_encode(struct buf *out, bytes in)
{
    return base64_encode(out, in, base64url_alphabet, false);
}

err text_base64url_decode(struct buf *out, bytes text)
{
    return base64_decode(out, text, base64url_alphabet);
}

/* The length of the UTF-8 character at the head of b, or 0 when it is none. */
static size_t utf8_char(bytes b)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint8_t c = b.at[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || b.len < n)
        return 0;
    uint32_t v = c & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((b.at[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (b.at[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    return n;
}

/* Eight ASCII bytes at a time: prompts are mostly ASCII. */
static size_t ascii_run(bytes in)
{
    size_t i = 0;
    while (in.len - i >= 8) {
        uint64_t v;
        memcpy(&v, in.at + i, 8);
        if (v & 0x8080808080808080)
            break;
        i += 8;
    }
    return i;
}

bool text_is_utf8(bytes in)
{
    while (in.len > 0) {
        size_t n = ascii_run(in);
        if (n == 0)
            n = utf8_char(in);
        if (n == 0)
            return false;
        in = bytes_slice(in, n, in.len);
    }
    return true;
}

bool text_u64(bytes in, uint64_t *out)
{
    uint64_t v = 0;
    if (in.len == 0)
        return false;
    for (size_t i = 0; i < in.len; i++) {
        if (in.at[i] < '0' || in.at[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(in.at[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool text_equal_nocase(bytes a, bytes b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.at[i]) != lower(b.at[i]))
            return false;
    }
    return true;
}

size_t text_find(bytes in, bytes needle)
{
    if (needle.len == 0)
        return 0;
    if (in.len < needle.len)
        return in.len;
    const uint8_t *at = memmem(in.at, in.len, needle.at, needle.len);
    return at ? (size_t)(at - in.at) : in.len;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bytes text_trim(bytes in)
{
    while (in.len > 0 && is_blank(in.at[0]))
        in = bytes_slice(in, 1, in.len);
    while (in.len > 0 && is_blank(in.at[in.len - 1]))
        in.len--;
    return in;
}

static err json_escape(struct buf *out, uint8_t c)
{
    if (c == '"' || c == '\\')
        return buf_addf(out, "\\%c", c);
    if (c == '\n')
        return buf_add_str(out, "\\n");
    if (c == '\r')
        return buf_add_str(out, "\\r");
    if (c == '\t')
        return buf_add_str(out, "\\t");
    return buf_addf(out, "\\u%04x", (unsigned)c);
}

err text_json_quote(struct buf *out, bytes in)
{
    TRY(buf_add_u8(out, '"'));
    while (in.len > 0) {
        uint8_t c = in.at[0];
        size_t n = utf8_char(in);
        if (c < 0x20 || c == '"' || c == '\\')
            TRY(json_escape(out, c));
        else if (n == 0)
            TRY(buf_add_str(out, "\xef\xbf\xbd"));
        else
            TRY(buf_add(out, bytes_of(in.at, n)));
        in = bytes_slice(in, n ? n : 1, in.len);
    }
    return buf_add_u8(out, '"');
}
