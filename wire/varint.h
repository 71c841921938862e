/*
 * wire/varint.h - the variable-length integers of QUIC (RFC 9000 section 16), which Binary HTTP and
 * chunked Oblivious HTTP share.
 *
 * The top two bits of the first byte tell the size: 1, 2, 4 or 8 bytes, big-endian. Written in the
 * shortest form; read in any.
 */
#pragma once

#include "base/buf.h"

#define VARINT_MAX (((uint64_t)1 << 62) - 1)

enum { VARINT_SIZE_MAX = 8 };

/* How many bytes v takes. */
static inline size_t varint_size(uint64_t v)
{
    if (v < 1U << 6)
        return 1;
    if (v < 1U << 14)
        return 2;
    return v < 1U << 30 ? 4 : 8;
}

/* Writes v, which must not be over VARINT_MAX, at *at; the place behind it. */
static inline uint8_t *varint_put(uint8_t *at, uint64_t v)
{
    static const uint8_t marks[VARINT_SIZE_MAX + 1] = { [2] = 0x40, [4] = 0x80, [8] = 0xc0 };
    size_t size = varint_size(v);
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(v >> (8 * (size - 1 - i)));
    at[0] |= marks[size];
    return at + size;
}

/* Appends v; ERR_LIMIT over VARINT_MAX. */
static inline err varint_write(struct buf *to, uint64_t v)
{
    ENSURE(v <= VARINT_MAX, LIMIT);
    uint8_t *room;
    TRY(buf_reserve(to, varint_size(v), &room));
    (void)varint_put(room, v);
    buf_commit(to, varint_size(v));
    return OK;
}

/* An integer that may come in pieces. Zero is the start of one. */
struct varint_reader {
    uint64_t value;
    unsigned have; /* bytes so far; 0 between two integers */
    unsigned size; /* bytes in all */
};

/*
 * Takes bytes off *in until the integer is complete: then true, its value and its size on the wire,
 * and ready for the next. False when *in is used up.
 */
static inline bool varint_take(struct varint_reader *r, bytes *in, uint64_t *value, size_t *size)
{
    for (uint8_t b; bytes_take_u8(in, &b);) {
        if (r->have == 0) {
            r->size = 1U << (b >> 6);
            b &= 0x3f;
        }
        r->value = r->value << 8 | b;
        if (++r->have < r->size)
            continue;
        *value = r->value;
        *size = r->size;
        *r = (struct varint_reader){ 0 };
        return true;
    }
    return false;
}
