/*
 * wire/bhttp_rules.h - what may stand in a Binary HTTP message, for its writer and its reader: they
 * agree on it. Private to bhttp.c and bhttp_write.c.
 */
#pragma once

#include "base/text.h"

/* The framing indicator, a message's first integer (RFC 9292 section 3.1). */
enum bhttp_framing {
    BHTTP_KNOWN_REQUEST,
    BHTTP_KNOWN_RESPONSE,
    BHTTP_OPEN_REQUEST,
    BHTTP_OPEN_RESPONSE
};

/* Control data of a request, in its order on the wire. */
enum bhttp_control { BHTTP_METHOD, BHTTP_SCHEME, BHTTP_AUTHORITY, BHTTP_PATH, BHTTP_CONTROLS };

static inline bool bhttp_has_upper_case(bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] >= 'A' && b.at[i] <= 'Z')
            return true;
    return false;
}

static inline bool bhttp_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static inline bool bhttp_is_value(bytes b)
{
    if (b.len == 0)
        return true;
    if (bhttp_is_blank(b.at[0]) || bhttp_is_blank(b.at[b.len - 1]))
        return false;
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] == 0 || b.at[i] == '\r' || b.at[i] == '\n')
            return false;
    return true;
}

/* Scheme, authority, path: nothing that could end a line or a word of a request line. */
static inline bool bhttp_is_word(bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] <= ' ' || b.at[i] == 0x7f)
            return false;
    return true;
}

static inline bool bhttp_is_control(enum bhttp_control which, bytes b)
{
    return which == BHTTP_METHOD ? text_is_token(b)
                                 : bhttp_is_word(b) && (which != BHTTP_SCHEME || b.len > 0);
}
