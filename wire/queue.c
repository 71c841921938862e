#include "wire/queue.h"

#include <assert.h>

#include "base/mem.h"
#include "wire/stream.h"

/* A piece grows up to GATHER_MAX by further small writes; an empty one is kept for the next write
 * if it is no larger than KEEP_MAX: most streams carry a few hundred bytes per event. */
enum { GATHER_MAX = 16 * 1024, KEEP_MAX = 1024 };

struct queue_piece {
    struct queue_piece *next;
    struct buf data;
    size_t done;
};

static err piece_new(struct queue_piece **out)
{
    struct queue_piece *p = mem_alloc(sizeof *p);
    ENSURE(p != NULL, NOMEM);
    p->data = BUF(LINK_QUEUE_MAX);
    *out = p;
    return OK;
}

static void piece_free(struct queue_piece *p)
{
    buf_clear(&p->data);
    mem_free(p);
}

static void append(struct queue *q, struct queue_piece *p)
{
    if (q->last != NULL)
        q->last->next = p;
    else
        q->first = p;
    q->last = p;
}

/* The last piece when it may take n more bytes, else a new one behind it. */
static err piece_for(struct queue *q, size_t n, struct queue_piece **out)
{
    struct queue_piece *last = q->last;
    if (last != NULL && (last->data.len == 0 || last->data.len + n <= GATHER_MAX)) {
        *out = last;
        return OK;
    }
    return piece_new(out);
}

static bool has_room(const struct queue *q, size_t n)
{
    return q->len <= LINK_QUEUE_MAX && n <= LINK_QUEUE_MAX - q->len;
}

err queue_add(struct queue *q, bytes data)
{
    ENSURE(has_room(q, data.len), LIMIT);
    if (data.len == 0)
        return OK;
    struct queue_piece *p;
    TRY(piece_for(q, data.len, &p));
    err e = buf_add(&p->data, data);
    if (!err_is_ok(e)) {
        if (p != q->last)
            piece_free(p);
        return e;
    }
    if (p != q->last)
        append(q, p);
    q->len += data.len;
    return OK;
}

err queue_take(struct queue *q, struct buf *data)
{
    ENSURE(q->len == 0 || has_room(q, data->len), LIMIT);
    if (data->len == 0) {
        buf_clear(data);
        return OK;
    }
    struct queue_piece *p;
    TRY(piece_new(&p));
    size_t max = data->max;
    p->data = *data;
    p->data.max = max > LINK_QUEUE_MAX ? max : LINK_QUEUE_MAX;
    *data = BUF(max);
    append(q, p);
    q->len += p->data.len;
    return OK;
}

static void drop_first(struct queue *q)
{
    struct queue_piece *p = q->first;
    if (p->next == NULL && p->data.cap <= KEEP_MAX) {
        buf_truncate(&p->data, 0);
        p->done = 0;
        return;
    }
    q->first = p->next;
    if (q->first == NULL)
        q->last = NULL;
    piece_free(p);
}

err queue_move(struct queue *q, size_t n, struct buf *out)
{
    assert(n <= q->len);
    while (n > 0) {
        struct queue_piece *p = q->first;
        bytes part = bytes_slice(buf_view(&p->data), p->done, n);
        TRY(buf_add(out, part));
        p->done += part.len;
        q->len -= part.len;
        n -= part.len;
        if (p->done == p->data.len)
            drop_first(q);
    }
    return OK;
}

void queue_clear(struct queue *q)
{
    while (q->first != NULL) {
        struct queue_piece *p = q->first;
        q->first = p->next;
        piece_free(p);
    }
    *q = (struct queue){ 0 };
}
