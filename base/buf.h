/*
 * base/buf.h - owned bytes that grow up to a hard limit and are wiped when they go.
 *
 * Every buf is treated as if it held a prompt: growth and release clear the old memory. There is no
 * unlimited buf.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

struct buf {
    uint8_t *at;
    size_t len;
    size_t cap;
    size_t max;
};

#define BUF(limit) ((struct buf){ .max = (limit) })

/* Appends a copy of b. ERR_LIMIT when len would pass max; the buf is then unchanged. */
err buf_add(struct buf *to, bytes b);
err buf_add_str(struct buf *to, const char *text);
err buf_add_u8(struct buf *to, uint8_t v);
err buf_add_u16be(struct buf *to, uint16_t v);
err buf_add_u32be(struct buf *to, uint32_t v);
err buf_add_u64be(struct buf *to, uint64_t v);
err buf_add_zeros(struct buf *to, size_t n);
err buf_addf(struct buf *to, const char *format, ...) PRINTF_LIKE(2, 3);

/* Room for n more bytes, at *room; they count only after buf_commit(). Valid until the next call. */
err buf_reserve(struct buf *to, size_t n, uint8_t **room);
void buf_commit(struct buf *to, size_t n);

/* Drops the first n bytes. n must not be over len. */
void buf_drop(struct buf *b, size_t n);

/* Wipes and cuts everything from len on; keeps the memory. len must not be over the present one. */
void buf_truncate(struct buf *b, size_t len);

/* Wipes and releases; the buf is then empty and usable again. Safe on one that held nothing. */
void buf_clear(struct buf *b);

/* The bytes now held. Valid until the next call that adds, drops or clears. */
static inline bytes buf_view(const struct buf *b)
{
    return (bytes){ b->at, b->len };
}

/* The content as a C string (a NUL is kept behind it, not counted). NULL when out of room. */
const char *buf_str(struct buf *b);

#define BUF_AUTO CLEANUP(buf_clear) struct buf
