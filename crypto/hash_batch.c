#include "crypto/hash_batch.h"

#include <string.h>

enum { LOOKS_MAX = 16 }; /* at others that wait, for one of about the same length */

static void leave(struct hash_wait *w)
{
    if (w->prev == NULL)
        return;
    *w->prev = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    w->next = NULL;
    w->prev = NULL;
}

void hash_batch_add(struct hash_batch *b, struct hash_wait *w, bytes message)
{
    *w = (struct hash_wait){ .message = message, .batch = b };
    if (message.len <= HASH_BATCH_SHORT)
        return;
    w->next = b->first;
    w->prev = &b->first;
    if (w->next != NULL)
        w->next->prev = &w->next;
    b->first = w;
}

/* The other's whole digest is made at the cost of whoever asks now: hence no more than twice the
 * length. */
static struct hash_wait *company(const struct hash_wait *w)
{
    struct hash_wait *other = w->batch->first;
    for (int looks = 0; other != NULL && looks < LOOKS_MAX; looks++, other = other->next) {
        if (other->message.len / 2 <= w->message.len && w->message.len / 2 <= other->message.len)
            return other;
    }
    return NULL;
}

static void make(struct hash_wait *w)
{
    bool waited = w->prev != NULL;
    leave(w);
    struct hash_wait *other = waited ? company(w) : NULL;
    w->done = true;
    if (other == NULL) {
        sha256_of(w->message, w->digest);
        return;
    }
    leave(other);
    other->done = true;
    sha256_of_two(w->message, other->message, w->digest, other->digest);
}

void hash_batch_get(struct hash_wait *w, uint8_t out[static SHA256_LEN])
{
    if (!w->done)
        make(w);
    memcpy(out, w->digest, SHA256_LEN);
}

void hash_batch_drop(struct hash_wait *w)
{
    leave(w);
    *w = (struct hash_wait){ 0 };
}
