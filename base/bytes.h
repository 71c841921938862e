/* base/bytes.h - borrowed bytes, and a cursor that cannot run past them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed: never freed through this type; valid as long as its owner says. Zero is empty. */
typedef struct bytes {
    const uint8_t *at;
    size_t len;
} bytes;

static inline bytes bytes_of(const void *at, size_t len)
{
    return (bytes){ at, len };
}

/* A NUL-terminated string without its NUL; NULL is empty. */
static inline bytes bytes_str(const char *s)
{
    return (bytes){ (const uint8_t *)s, s ? strlen(s) : 0 };
}

/* A string literal or a byte array, by its size known at compile time. */
#define BYTES_LIT(lit) ((bytes){ (const uint8_t *)("" lit), sizeof(lit) - 1 })
#define BYTES_ARRAY(array) ((bytes){ (array), sizeof(array) })

/* Not constant time: for public data only. Secrets are compared with secret_equal(). */
static inline bool bytes_equal(bytes a, bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static inline bool bytes_starts(bytes b, bytes prefix)
{
    return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.at, prefix.at, prefix.len) == 0);
}

static inline bool bytes_ends(bytes b, bytes suffix)
{
    return b.len >= suffix.len &&
           (suffix.len == 0 || memcmp(b.at + (b.len - suffix.len), suffix.at, suffix.len) == 0);
}

/* The part from offset `from` on, at most `len` long; cut to what is there. */
static inline bytes bytes_slice(bytes b, size_t from, size_t len)
{
    if (from >= b.len)
        return (bytes){ 0 };
    size_t rest = b.len - from;
    return (bytes){ b.at + from, len < rest ? len : rest };
}

/* Cuts the first n bytes off *b into *head. False, and nothing changed, when fewer are there. */
static inline bool bytes_take(bytes *b, size_t n, bytes *head)
{
    if (b->len < n)
        return false;
    *head = (bytes){ b->at, n };
    b->len -= n;
    if (n > 0)
        b->at += n;
    return true;
}

static inline bool bytes_take_u8(bytes *b, uint8_t *out)
{
    bytes h;
    if (!bytes_take(b, 1, &h))
        return false;
    *out = h.at[0];
    return true;
}

static inline bool bytes_take_u16be(bytes *b, uint16_t *out)
{
    bytes h;
    if (!bytes_take(b, 2, &h))
        return false;
    *out = (uint16_t)(h.at[0] << 8 | h.at[1]);
    return true;
}

static inline bool bytes_take_u32be(bytes *b, uint32_t *out)
{
    bytes h;
    if (!bytes_take(b, 4, &h))
        return false;
    *out = (uint32_t)h.at[0] << 24 | (uint32_t)h.at[1] << 16 | (uint32_t)h.at[2] << 8 | h.at[3];
    return true;
}
