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

static void put_four(uint8_t *to, uint32_t v, const char *alphabet)
{
    to[0] = (uint8_t)alphabet[v >> 18 & 63];
    to[1] = (uint8_t)alphabet[v >> 12 & 63];
    to[2] = (uint8_t)alphabet[v >> 6 & 63];
    to[3] = (uint8_t)alphabet[v & 63];
}

static err base64_encode(struct buf *out, bytes in, const char *alphabet, bool padded)
{
    size_t rest = in.len % 3;
    size_t whole = in.len - rest;
    size_t len = whole / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    uint8_t last[4];
    uint8_t *room;
    TRY(buf_reserve(out, len, &room));

    for (size_t i = 0; i < whole; i += 3, room += 4) {
        uint32_t high = (uint32_t)in.at[i] << 16;
        put_four(room, high | (uint32_t)in.at[i + 1] << 8 | in.at[i + 2], alphabet);
    }
    if (rest > 0) {
        uint32_t high = (uint32_t)in.at[whole] << 16;
        put_four(last, rest == 2 ? high | (uint32_t)in.at[whole + 1] << 8 : high, alphabet);
        memset(last + rest + 1, '=', 3 - rest);
        memcpy(room, last, padded ? 4 : rest + 1);
    }
    buf_commit(out, len);
    return OK;
}

/* One more than what a letter or figure stands for. */
static const uint8_t base64_figures[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,
};

static int base64_digit(uint8_t c, const char *alphabet)
{
    if (base64_figures[c] > 0)
        return base64_figures[c] - 1;
    if (c == (uint8_t)alphabet[62])
        return 62;
    return c == (uint8_t)alphabet[63] ? 63 : -1;
}

static err read_digits(const uint8_t *at, size_t n, const char *alphabet, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        int d = base64_digit(at[i], alphabet);
        ENSURE(d >= 0, MALFORMED);
        v = v << 6 | (uint32_t)d;
    }
    *out = v;
    return OK;
}

static err base64_decode(struct buf *out, bytes text, const char *alphabet)
{
    size_t rest = text.len % 4;
    ENSURE(rest != 1, MALFORMED);
    size_t len = text.len / 4 * 3 + (rest ? rest - 1 : 0);
    uint32_t v = 0;
    uint8_t *room;
    TRY(buf_reserve(out, len, &room));

    for (size_t i = 0; i + 4 <= text.len; i += 4) {
        TRY(read_digits(text.at + i, 4, alphabet, &v));
        *room++ = (uint8_t)(v >> 16);
        *room++ = (uint8_t)(v >> 8);
        *room++ = (uint8_t)v;
    }
    if (rest > 0)
        TRY(read_digits(text.at + text.len - rest, rest, alphabet, &v));
    if (rest == 2) {
        ENSURE((v & 15) == 0, MALFORMED);
        room[0] = (uint8_t)(v >> 4);
    } else if (rest == 3) {
        ENSURE((v & 3) == 0, MALFORMED);
        room[0] = (uint8_t)(v >> 10);
        room[1] = (uint8_t)(v >> 2);
    }
    buf_commit(out, len);
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

bool text_is_token(bytes in)
{
    static const bool is_char[256] = {
        ['!'] = true,         ['#' ... '\''] = true, ['*'] = true,         ['+'] = true,
        ['-'] = true,         ['.'] = true,          ['0' ... '9'] = true, ['A' ... 'Z'] = true,
        ['^' ... '`'] = true, ['a' ... 'z'] = true,  ['|'] = true,         ['~'] = true,
    };
    bool good = in.len > 0;
    for (size_t i = 0; i < in.len; i++)
        good &= is_char[in.at[i]];
    return good;
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

/* Goes back only to the last asterisk: what an earlier one took may stay as it is. */
bool text_is_like(bytes text, bytes pattern)
{
    size_t t = 0;
    size_t p = 0;
    size_t star = pattern.len; /* of the last asterisk; none yet */
    size_t taken = 0;          /* where what it stands for ends */
    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            taken = t;
        } else if (p < pattern.len && pattern.at[p] == text.at[t]) {
            p++;
            t++;
        } else if (star < pattern.len) {
            p = star + 1;
            t = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*')
        p++;
    return p == pattern.len;
}

bytes text_trim(bytes in)
{
    while (in.len > 0 && is_blank(in.at[0]))
        in = bytes_slice(in, 1, in.len);
    while (in.len > 0 && is_blank(in.at[in.len - 1]))
        in.len--;
    return in;
}

bytes text_first_line(bytes in)
{
    bytes line = bytes_slice(in, 0, text_find(in, BYTES_LIT("\n")));
    if (bytes_ends(line, BYTES_LIT("\r")))
        line.len--;
    return text_trim(line);
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
