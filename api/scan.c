#include "api/scan.h"

#ifdef __SSE2__
    #include <emmintrin.h>
#endif

/*
 * What may come next. A container's end is possible in NEXT_ITEM_OR_END, NEXT_KEY_OR_END and
 * NEXT_COMMA; after the top-level value only white space is.
 */
enum {
    NEXT_VALUE,
    NEXT_ITEM_OR_END,
    NEXT_KEY_OR_END,
    NEXT_KEY,
    NEXT_COMMA,
    NEXT_NOTHING,
    NEXT_STOP
};

void scan_init(struct scan *s, bytes in)
{
    *s = (struct scan){ .start = in.at, .end = in.len ? in.at + in.len : in.at, .at = in.at };
}

static enum scan_token stop(struct scan *s, const uint8_t *at, enum scan_token why)
{
    s->at = at;
    s->expect = NEXT_STOP;
    s->stopped = why;
    return why;
}

static enum scan_token bad(struct scan *s, const uint8_t *at)
{
    return stop(s, at, SCAN_BAD);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte at or behind p that is not a plain character of a string. */
#ifdef __SSE2__
static const uint8_t *plain_end(const uint8_t *p, const uint8_t *end)
{
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    while (end - p >= 16) {
        /* As signed bytes, what is below 0x20 are the control characters and all from 0x80 on. */
        __m128i v = _mm_loadu_si128((const __m128i_u *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
        hit = _mm_or_si128(hit, _mm_cmplt_epi8(v, space));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
    while (p < end && is_plain(*p))
        p++;
    return p;
}
#else
static uint64_t zero_bytes(uint64_t v)
{
    return (v - 0x0101010101010101) & ~v & 0x8080808080808080;
}

static const uint8_t *plain_end(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101;
    while (end - p >= 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        uint64_t hit = (v & 0x8080808080808080) | ((v - ones * 0x20) & ~v & 0x8080808080808080) |
                       zero_bytes(v ^ ones * '"') | zero_bytes(v ^ ones * '\\');
        if (hit != 0)
            break;
        p += 8;
    }
    while (p < end && is_plain(*p))
        p++;
    return p;
}
#endif

static bool is_tail(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the UTF-8 character of two to four bytes at p, or 0. */
static size_t wide_char(const uint8_t *p, const uint8_t *end)
{
    uint8_t c = p[0];
    size_t left = (size_t)(end - p);
    if (c < 0xe0)
        return c >= 0xc2 && left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (c < 0xf0) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2]))
            return 0;
        bool overlong = c == 0xe0 && p[1] < 0xa0;
        bool surrogate = c == 0xed && p[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (c > 0xf4 || left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3]))
        return 0;
    bool overlong = c == 0xf0 && p[1] < 0x90;
    bool too_high = c == 0xf4 && p[1] > 0x8f;
    return overlong || too_high ? 0 : 4;
}

/* Behind the last whole character that is not ASCII; one that is none stays in front. */
static const uint8_t *wide_end(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= 0x80) {
        size_t n = wide_char(p, end);
        if (n == 0)
            return p;
        p += n;
    }
    return p;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of the "uXXXX" at p (behind the backslash), or -1. */
static int32_t code_unit(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 5 || p[0] != 'u')
        return -1;
    int32_t v = 0;
    for (int i = 1; i < 5; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Reads one escape at p (which is its backslash): its length, or 0; the character in *c. */
static size_t escape(const uint8_t *p, const uint8_t *end, uint32_t *c)
{
    static const char letters[] = "\"\\/bfnrt";
    static const uint8_t meaning[] = { '"', '\\', '/', 8, 12, 10, 13, 9 };
    if (end - p < 2)
        return 0;
    const char *letter = p[1] == 0 ? NULL : strchr(letters, p[1]);
    if (letter != NULL) {
        *c = meaning[letter - letters];
        return 2;
    }
    int32_t high = code_unit(p + 1, end);
    if (high < 0 || (high >= 0xdc00 && high <= 0xdfff))
        return 0;
    *c = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return 6;
    if (end - p < 12 || p[6] != '\\')
        return 0;
    int32_t low = code_unit(p + 7, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *c = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

/* Reads a string whose opening quote is at s->at. */
static enum scan_token string(struct scan *s, enum scan_token kind)
{
    const uint8_t *p = s->at + 1;
    s->escaped = false;
    for (;;) {
        p = plain_end(p, s->end);
        if (p < s->end && *p >= 0x80)
            p = wide_end(p, s->end);
        if (p == s->end)
            return bad(s, p);
        if (*p == '"')
            break;
        uint32_t c;
        size_t n = *p == '\\' ? escape(p, s->end, &c) : is_plain(*p);
        if (n == 0)
            return bad(s, p);
        s->escaped |= *p == '\\';
        p += n;
    }
    s->text = bytes_of(s->at + 1, (size_t)(p - s->at - 1));
    s->at = p + 1;
    return kind;
}

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* number = [ minus ] int [ frac ] [ exp ]; NULL when it is none, with *at where. */
static const uint8_t *number_end(const uint8_t *p, const uint8_t *end, const uint8_t **at)
{
    p += p < end && *p == '-';
    *at = p;
    const uint8_t *q = p < end && *p == '0' ? p + 1 : digits(p, end);
    if (q == p)
        return NULL;
    if (q < end && *q == '.') {
        *at = p = q + 1;
        q = digits(p, end);
        if (q == p)
            return NULL;
    }
    if (q < end && (*q | 0x20) == 'e') {
        p = q + 1;
        p += p < end && (*p == '+' || *p == '-');
        *at = p;
        q = digits(p, end);
        if (q == p)
            return NULL;
    }
    return q;
}

static enum scan_token number(struct scan *s)
{
    const uint8_t *at = s->at;
    const uint8_t *q = number_end(s->at, s->end, &at);
    if (q == NULL)
        return bad(s, at);
    s->text = bytes_of(s->at, (size_t)(q - s->at));
    s->at = q;
    return SCAN_NUMBER;
}

static enum scan_token word(struct scan *s, bytes literal, enum scan_token kind)
{
    if (!bytes_starts(bytes_of(s->at, (size_t)(s->end - s->at)), literal))
        return bad(s, s->at);
    s->at += literal.len;
    return kind;
}

static enum scan_token open_container(struct scan *s, enum scan_token kind)
{
    if (s->depth == SCAN_DEPTH_MAX)
        return stop(s, s->at, SCAN_DEEP);
    uint64_t bit = (uint64_t)1 << (s->depth % 64);
    if (kind == SCAN_ARRAY)
        s->arrays[s->depth / 64] |= bit;
    else
        s->arrays[s->depth / 64] &= ~bit;
    s->depth++;
    s->expect = kind == SCAN_ARRAY ? NEXT_ITEM_OR_END : NEXT_KEY_OR_END;
    s->at++;
    return kind;
}

static bool in_array(const struct scan *s)
{
    return s->arrays[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

static void value_done(struct scan *s)
{
    s->expect = s->depth == 0 ? NEXT_NOTHING : NEXT_COMMA;
}

static enum scan_token close_container(struct scan *s)
{
    bool array = in_array(s);
    if (*s->at != (array ? ']' : '}'))
        return bad(s, s->at);
    s->at++;
    s->depth--;
    value_done(s);
    return array ? SCAN_ARRAY_END : SCAN_OBJECT_END;
}

static enum scan_token value(struct scan *s)
{
    uint8_t c = *s->at;
    if (c == '{' || c == '[')
        return open_container(s, c == '{' ? SCAN_OBJECT : SCAN_ARRAY);
    /* Where it fails, bad() has set what to expect; so that comes first here. */
    value_done(s);
    switch (c) {
    case '"':
        return string(s, SCAN_STRING);
    case 't':
        return word(s, BYTES_LIT("true"), SCAN_TRUE);
    case 'f':
        return word(s, BYTES_LIT("false"), SCAN_FALSE);
    case 'n':
        return word(s, BYTES_LIT("null"), SCAN_NULL);
    default:
        return number(s);
    }
}

static const uint8_t *skip_blank(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
        p++;
    return p;
}

static enum scan_token key(struct scan *s)
{
    if (*s->at != '"')
        return bad(s, s->at);
    if (string(s, SCAN_KEY) == SCAN_BAD)
        return SCAN_BAD;
    s->at = skip_blank(s->at, s->end);
    if (s->at == s->end || *s->at != ':')
        return bad(s, s->at);
    s->at++;
    s->expect = NEXT_VALUE;
    return SCAN_KEY;
}

/* At a comma: steps over it and says whether something follows at all. */
static bool comma(struct scan *s)
{
    s->at = skip_blank(s->at + 1, s->end);
    s->expect = in_array(s) ? NEXT_VALUE : NEXT_KEY;
    return s->at < s->end;
}

enum scan_token scan_next(struct scan *s)
{
    if (s->expect == NEXT_STOP)
        return s->stopped;
    s->at = skip_blank(s->at, s->end);
    if (s->at == s->end)
        return stop(s, s->at, s->expect == NEXT_NOTHING ? SCAN_END : SCAN_BAD);
    if (s->expect == NEXT_COMMA && *s->at == ',' && !comma(s))
        return bad(s, s->at);
    switch (s->expect) {
    case NEXT_VALUE:
        return value(s);
    case NEXT_ITEM_OR_END:
        return *s->at == ']' ? close_container(s) : value(s);
    case NEXT_KEY_OR_END:
        return *s->at == '}' ? close_container(s) : key(s);
    case NEXT_KEY:
        return key(s);
    case NEXT_COMMA:
        return close_container(s);
    default:
        return bad(s, s->at);
    }
}

bool scan_skip(struct scan *s, enum scan_token first)
{
    if (first <= SCAN_END)
        return false;
    if (first != SCAN_OBJECT && first != SCAN_ARRAY)
        return true;
    unsigned outside = s->depth - 1;
    for (;;) {
        if (scan_next(s) <= SCAN_END)
            return false;
        if (s->depth == outside)
            return true;
    }
}

static size_t utf8_put(uint32_t c, uint8_t out[static 4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (uint8_t)((0xf0U << (4 - n)) | c);
    return n;
}

bool scan_text_copy(const struct scan *s, uint8_t *out, size_t max, size_t *len)
{
    const uint8_t *p = s->text.at;
    const uint8_t *end = p + s->text.len;
    size_t n = 0;
    while (p < end) {
        uint8_t one[4] = { *p };
        size_t put = 1;
        size_t took = 1;
        uint32_t c = 0;
        if (*p == '\\') {
            took = escape(p, end, &c);
            put = utf8_put(c, one);
        }
        if (took == 0 || put > max - n)
            return false;
        memcpy(out + n, one, put);
        n += put;
        p += took;
    }
    *len = n;
    return true;
}

bool scan_text_is(const struct scan *s, bytes word)
{
    if (!s->escaped)
        return bytes_equal(s->text, word);
    uint8_t plain[64];
    size_t len;
    return scan_text_copy(s, plain, sizeof plain, &len) && bytes_equal(bytes_of(plain, len), word);
}

size_t scan_first_value(bytes in)
{
    struct scan s;
    scan_init(&s, in);
    enum scan_token first = scan_next(&s);
    return scan_skip(&s, first) ? (size_t)(s.at - s.start) : 0;
}
