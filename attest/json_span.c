#include "attest/json_span.h"

struct cursor {
    bytes in;
    size_t at;
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct cursor *c)
{
    while (c->at < c->in.len && is_space(c->in.at[c->at]))
        c->at++;
}

/* The next byte that is no white space; 0 at the end. It is not consumed. */
static uint8_t peek(struct cursor *c)
{
    skip_space(c);
    return c->at < c->in.len ? c->in.at[c->at] : 0;
}

static bool take_char(struct cursor *c, uint8_t want)
{
    if (peek(c) != want)
        return false;
    c->at++;
    return true;
}

/* Past the closing quote. The cursor stands on the opening one. */
static err skip_string(struct cursor *c, bool *escaped)
{
    for (c->at++; c->at < c->in.len; c->at++) {
        uint8_t b = c->in.at[c->at];
        if (b == '"') {
            c->at++;
            return OK;
        }
        ENSURE(b >= 0x20, MALFORMED);
        if (b == '\\') {
            *escaped = true;
            c->at++;
        }
    }
    FAIL(MALFORMED);
}

static err take_key(struct cursor *c, bytes *key)
{
    bool escaped = false;
    ENSURE(peek(c) == '"', MALFORMED);
    size_t from = c->at + 1;
    TRY(skip_string(c, &escaped));
    ENSURE(!escaped, MALFORMED);
    *key = bytes_slice(c->in, from, c->at - 1 - from);
    ENSURE(take_char(c, ':'), MALFORMED);
    return OK;
}

static bool is_scalar_end(uint8_t b)
{
    return b == ',' || b == '}' || b == ']' || is_space(b);
}

/* The matching of kinds of brackets is left to the reader of the range. */
static err skip_brackets(struct cursor *c)
{
    size_t depth = 0;
    bool escaped = false;
    while (c->at < c->in.len) {
        uint8_t b = c->in.at[c->at];
        if (b == '"') {
            TRY(skip_string(c, &escaped));
            continue;
        }
        c->at++;
        if (b == '{' || b == '[')
            depth++;
        ENSURE(depth <= JSON_SPAN_DEPTH_MAX, LIMIT);
        if ((b == '}' || b == ']') && --depth == 0)
            return OK;
    }
    FAIL(MALFORMED);
}

static err take_value(struct cursor *c, bytes *value)
{
    uint8_t first = peek(c);
    size_t from = c->at;
    bool escaped = false;
    if (first == '{' || first == '[')
        TRY(skip_brackets(c));
    else if (first == '"')
        TRY(skip_string(c, &escaped));
    else {
        while (c->at < c->in.len && !is_scalar_end(c->in.at[c->at]))
            c->at++;
    }
    *value = bytes_slice(c->in, from, c->at - from);
    ENSURE(value->len > 0, MALFORMED);
    return OK;
}

static err note(struct json_span *spans, size_t n, bytes key, bytes value)
{
    for (size_t i = 0; i < n; i++) {
        if (!bytes_equal(key, bytes_str(spans[i].key)))
            continue;
        ENSURE(spans[i].value.len == 0, MALFORMED);
        spans[i].value = value;
    }
    return OK;
}

static err take_pairs(struct cursor *c, struct json_span *spans, size_t n)
{
    for (size_t pairs = 0; pairs < JSON_SPAN_PAIRS_MAX; pairs++) {
        bytes key;
        bytes value;
        TRY(take_key(c, &key));
        TRY(take_value(c, &value));
        TRY(note(spans, n, key, value));
        if (take_char(c, '}'))
            return OK;
        ENSURE(take_char(c, ','), MALFORMED);
    }
    FAIL(LIMIT);
}

err json_span_find(bytes text, struct json_span *spans, size_t n)
{
    struct cursor c = { .in = text };
    for (size_t i = 0; i < n; i++)
        spans[i].value = (bytes){ 0 };
    ENSURE(take_char(&c, '{'), MALFORMED);
    if (!take_char(&c, '}'))
        TRY(take_pairs(&c, spans, n));
    skip_space(&c);
    ENSURE(c.at == text.len, MALFORMED);
    return OK;
}
