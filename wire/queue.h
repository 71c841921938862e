/*
 * wire/queue.h - bytes waiting to be sent on one stream: small writes are gathered, whole buffers
 * are taken over without a copy. Bounded by LINK_QUEUE_MAX, but for one taken buffer. Zeroed is
 * empty.
 */
#pragma once

#include "base/buf.h"

struct queue_piece;

struct queue {
    struct queue_piece *first, *last;
    size_t len;
};

/* Copies. LIMIT over LINK_QUEUE_MAX, NOMEM; the queue is then unchanged. */
err queue_add(struct queue *q, bytes data);

/* Takes the content of *data, which is then empty; on error it is unchanged. An empty queue takes
 * a buffer of any length: the caller holds it already. */
err queue_take(struct queue *q, struct buf *data);

/* Moves the first n bytes to the end of out. n must not be over q->len; *out has the room. */
err queue_move(struct queue *q, size_t n, struct buf *out);

void queue_clear(struct queue *q);
