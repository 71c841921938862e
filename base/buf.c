#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { LEAST = 64, SMALL = 4096 };

/* At least twice what there was, so that many additions cost little. While it is small, in powers of
 * two; beyond that no more than asked for when twice is less: whoever asks for that much at once
 * knows how much will come. */
static size_t next_cap(const struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : LEAST;
    while (cap < need && cap < SMALL)
        cap *= 2;
    if (cap >= need)
        return cap;
    size_t twice = b->cap > b->max / 2 ? b->max : b->cap * 2;
    return twice > need ? twice : need;
}

/* One byte more than asked for is always allocated: buf_str() puts its NUL there. */
static err grow(struct buf *b, size_t need)
{
    size_t cap = next_cap(b, need);
    uint8_t *at = mem_alloc_raw(cap + 1);
    ENSURE(at != NULL, NOMEM);
    if (b->at != NULL)
        memcpy(at, b->at, b->len);
    mem_free(b->at);
    b->at = at;
    b->cap = cap;
    return OK;
}

err buf_reserve(struct buf *to, size_t n, uint8_t **room)
{
    ENSURE(n <= to->max - to->len, LIMIT);
    if (to->cap - to->len < n)
        TRY(grow(to, to->len + n));
    *room = to->at + to->len;
    return OK;
}

void buf_commit(struct buf *to, size_t n)
{
    assert(n <= to->cap - to->len);
    to->len += n;
}

err buf_add(struct buf *to, bytes b)
{
    if (b.len == 0)
        return OK;
    uint8_t *room;
    TRY(buf_reserve(to, b.len, &room));
    memcpy(room, b.at, b.len);
    to->len += b.len;
    return OK;
}

err buf_add_str(struct buf *to, const char *text)
{
    return buf_add(to, bytes_str(text));
}

err buf_add_u8(struct buf *to, uint8_t v)
{
    return buf_add(to, bytes_of(&v, 1));
}

err buf_add_u16be(struct buf *to, uint16_t v)
{
    const uint8_t be[2] = { (uint8_t)(v >> 8), (uint8_t)v };
    return buf_add(to, bytes_of(be, sizeof be));
}

err buf_add_u32be(struct buf *to, uint32_t v)
{
    const uint8_t be[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };
    return buf_add(to, bytes_of(be, sizeof be));
}

err buf_add_u64be(struct buf *to, uint64_t v)
{
    TRY(buf_add_u32be(to, (uint32_t)(v >> 32)));
    return buf_add_u32be(to, (uint32_t)v);
}

err buf_add_zeros(struct buf *to, size_t n)
{
    if (n == 0)
        return OK;
    uint8_t *room;
    TRY(buf_reserve(to, n, &room));
    memset(room, 0, n);
    to->len += n;
    return OK;
}

/* vsnprintf writes a NUL too: grow() keeps the byte for it behind cap. */
err buf_addf(struct buf *to, const char *format, ...)
{
    uint8_t *room = to->at != NULL ? to->at + to->len : NULL;
    size_t end = to->cap < to->max ? to->cap : to->max;
    size_t left = to->at != NULL ? end - to->len : 0;
    va_list args;
    va_start(args, format);
    int need = vsnprintf((char *)room, room != NULL ? left + 1 : 0, format, args);
    va_end(args);
    ENSURE(need >= 0, INTERNAL);

    if ((size_t)need > left || room == NULL) {
        TRY(buf_reserve(to, (size_t)need, &room));
        va_start(args, format);
        (void)vsnprintf((char *)room, (size_t)need + 1, format, args);
        va_end(args);
    }
    to->len += (size_t)need;
    return OK;
}

void buf_drop(struct buf *b, size_t n)
{
    assert(n <= b->len);
    if (n == 0)
        return;
    memmove(b->at, b->at + n, b->len - n);
    buf_truncate(b, b->len - n);
}

void buf_truncate(struct buf *b, size_t len)
{
    assert(len <= b->len);
    if (len < b->len)
        explicit_bzero(b->at + len, b->len - len);
    b->len = len;
}

void buf_clear(struct buf *b)
{
    mem_free(b->at);
    *b = BUF(b->max);
}

const char *buf_str(struct buf *b)
{
    uint8_t *room;
    if (b->at == NULL && grow(b, 1).code != ERR_OK)
        return NULL;
    room = b->at + b->len;
    *room = 0;
    return (const char *)b->at;
}
