/*
 * receipts/store_record.h - what is handed to the store and comes back: records, and look-ups of
 * them. What happens in between, and on which thread, is in receipts/store.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "crypto/hash_batch.h"

enum {
    STORE_ID_MAX = 128,               /* bytes of any id, without its NUL */
    STORE_RECEIPT_MAX = 65536,        /* bytes of one receipt */
    STORE_EVIDENCE_MAX = 1024 * 1024, /* bytes of one evidence document */
};

struct store_record;

/* Runs on the store's thread before the record is stored; anything but OK keeps it out and becomes
 * its .result. May change the record (fill in ids from the receipt). No I/O, no waiting. The message
 * is hashed by the store, since of a batch's it can hash two at a time. */
typedef err store_check_fn(struct store_record *record);

struct store_record {
    struct loop_mail mail; /* .deliver set by the caller */
    struct loop *loop;
    store_check_fn *check; /* NULL: none */
    void *owner;           /* the caller's; not looked at */
    bytes message;         /* borrowed; what check wants the SHA-256 of, as message_hash */
    uint8_t message_hash[32];
    struct hash_wait hashing; /* the store's own */

    char receipt_id[STORE_ID_MAX + 1]; /* EXISTS when among the latest 2048 or more */
    char request_id[STORE_ID_MAX + 1]; /* these two may be empty or repeat: the newest is found */
    char completion_id[STORE_ID_MAX + 1]; /* completion or response id */
    struct buf receipt;                   /* owned */
    uint8_t key[32];                      /* the signing key's public half */
    uint8_t evidence_hash[32];            /* SHA-256 of the evidence document */
    int64_t created;                      /* Unix seconds; 0: now */

    err result;            /* out: OK = durable */
    bool refused;          /* out: .result is check's, nothing was tried */
    bool evidence_missing; /* out, with OK: no such evidence document is stored; put it */
};

err store_record_new(struct store_record **out);
void store_record_free(struct store_record *record);

/* Copies id; false, and nothing changed, when it is over STORE_ID_MAX, empty, or holds other than
 * printable ASCII. */
bool store_id_set(char to[static STORE_ID_MAX + 1], bytes id);

enum store_query_kind { STORE_BY_ID = 0, STORE_EVIDENCE };

struct store_query {
    struct loop_mail mail;
    struct loop *loop;
    void *owner;

    enum store_query_kind kind;
    char id[STORE_ID_MAX + 1]; /* STORE_BY_ID: receipt, request, completion or response id */
    uint8_t evidence_hash[32]; /* STORE_EVIDENCE */
    bool with_evidence;        /* STORE_BY_ID: look the document up as well */

    err result;                 /* out: OK, NOT_FOUND, SYSTEM, LIMIT, CLOSED */
    struct store_record *found; /* out, owned by the query: ids, receipt, key, hash, created */
    struct buf evidence;        /* out: the document; empty when it is not stored */
};

err store_query_new(struct store_query **out);
void store_query_free(struct store_query *query);
