/*
 * crypto/hash_batch.h - SHA-256 of messages that can wait for company: whoever needs a digest first
 * takes another message of about the same length along (sha256_of_two()).
 *
 * For long messages of which several are at hand at once, such as the requests whose answers are
 * being awaited. A short one never waits and never keeps company: there is nothing to gain. Not safe
 * across threads. Nothing here allocates or fails.
 */
#pragma once

#include "crypto/hash.h"

enum { HASH_BATCH_SHORT = 8 * 1024 }; /* bytes; a message of that many, or fewer, is short */

/* Zeroed is empty. Must stay in place while anything is in it. */
struct hash_batch {
    struct hash_wait *first;
};

/* One message. Zeroed is in no batch. */
struct hash_wait {
    bytes message;
    bool done;
    uint8_t digest[SHA256_LEN];
    struct hash_wait *next, **prev; /* prev NULL: waits in no batch */
    struct hash_batch *batch;
};

/* The message stays the caller's and must stay as it is until it is got or dropped. */
void hash_batch_add(struct hash_batch *b, struct hash_wait *w, bytes message);

/* The digest, as often as asked for; w has been added. */
void hash_batch_get(struct hash_wait *w, uint8_t out[static SHA256_LEN]);

/* Not needed after all, or no more. Safe on one that is zeroed. */
void hash_batch_drop(struct hash_wait *w);
