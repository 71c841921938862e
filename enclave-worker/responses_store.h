/*
 * enclave-worker/responses_store.h - answers of the Responses API that are kept for a while.
 *
 * Only in memory, and there only sealed: AES-256-GCM under a random key in locked memory, which is
 * gone with the process. A record belongs to whoever asked (a digest of their credentials, compared
 * in constant time), lives for a set time, and goes earlier when there is no room: the oldest
 * first. Whoever asks for what is unknown, gone, or somebody else's, is told the same.
 *
 * One thread.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum {
    STORE_OWNER_LEN = 32,
    STORE_PARTS = 4,
    STORE_RECORD_COST = 512 /* bytes that a record is taken to need besides its content */
};

struct responses_store;

struct responses_store_settings {
    uint64_t size_max; /* bytes, all records together */
    uint64_t life_ms;
};

/* What is kept of an answer; all JSON. */
enum store_part {
    STORE_OBJECT = 0, /* the answer's object */
    STORE_INPUT,      /* the items of its input, commas between them */
    STORE_CONTEXT,    /* all items up to and with its output, commas between them */
    STORE_EVENTS      /* its events as they were said, or empty */
};

/* What was found; parts borrow from plain. */
struct store_found {
    struct buf plain; /* wiped by the owner's buf_clear() */
    bytes parts[STORE_PARTS];
};

err responses_store_new(struct responses_store **out,
                        const struct responses_store_settings *settings);
void responses_store_free(struct responses_store *s);

/* What is in the making is to count as well: *reserved, zero at first, becomes `size`. The oldest
 * records go where there is no room. ERR_LIMIT, with *reserved as it was, when that does not do. */
err responses_store_reserve(struct responses_store *s, uint64_t *reserved, uint64_t size);

/* now_ms: a steady clock. An id that is there already is replaced. ERR_LIMIT when it can never fit. */
err responses_store_put(struct responses_store *s, bytes id,
                        const uint8_t owner[static STORE_OWNER_LEN],
                        const bytes parts[static STORE_PARTS], uint64_t now_ms);

/* ERR_NOT_FOUND: unknown, gone, or not the owner's. *out is cleared by the caller in any case. */
err responses_store_get(struct responses_store *s, bytes id,
                        const uint8_t owner[static STORE_OWNER_LEN], uint64_t now_ms,
                        struct store_found *out);

/* Wipes it. ERR_NOT_FOUND as above. */
err responses_store_drop(struct responses_store *s, bytes id,
                         const uint8_t owner[static STORE_OWNER_LEN], uint64_t now_ms);

/* Wipes what has outlived its time; done by all of the above, too. */
void responses_store_expire(struct responses_store *s, uint64_t now_ms);

/* Bytes in use, those that are reserved included, and records. */
uint64_t responses_store_size(const struct responses_store *s);
size_t responses_store_count(const struct responses_store *s);
