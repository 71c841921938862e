/*
 * gateway/trusted.h - what the control thread found out about the workers, as the shards see it.
 *
 * Immutable from the moment it is published; shared between threads by counting references. A shard
 * holds one view at a time, an exchange holds the worker it was sealed to.
 */
#pragma once

#include <stdatomic.h>

#include "attest/verdict.h"
#include "gateway/quarantine.h"
#include "gateway/workers.h"
#include "receipts/air.h"
#include "wire/keylist.h"

/* What the evidence document shows that a worker's receipts refer to. Zero shows nothing, so no receipt
 * fits it. */
struct trusted_shown {
    const char *platform; /* static */
    bool hardware;
    struct verdict_register registers[VERDICT_REGISTERS_MAX];
    size_t registers_n;
    struct verdict_gpu gpu;
};

/* Of an accepted verdict. */
void trusted_shown_of(struct trusted_shown *out, const struct verdict *document);

/* One verified worker. */
struct trusted {
    _Atomic uint32_t refs;
    size_t place;          /* of its address, see gateway/workers.h */
    struct worker_tag tag; /* by which a relay finds it; to be set before anybody looks */
    char name[VERDICT_NAME_MAX + 1];
    uint8_t identity[VERDICT_KEY_LEN];
    uint8_t document[VERDICT_DIGEST_LEN]; /* what its receipts refer to */
    bool evaluation;                      /* no hardware: so must its receipts say */
    struct trusted_shown shown;           /* by that document; to be set before anybody looks */
    int64_t verified_at;                  /* Unix seconds */
    int64_t not_after;                    /* of the keys; not to be sealed to from then on */
    struct buf key_list;                  /* owned; config borrows from it */
    struct key_config config;
    char hint[KEY_CONFIG_HINT_LEN + 1];
    _Atomic bool withdrawn; /* the one thing that changes, once: see trusted_withdraw() */
};

/* Copies from an accepted verdict. ERR_UNSUPPORTED when no key configuration is usable. */
err trusted_new(struct trusted **out, size_t place, const struct verdict *verdict,
                const uint8_t document[static VERDICT_DIGEST_LEN], int64_t now);
struct trusted *trusted_ref(struct trusted *t);
void trusted_unref(struct trusted *t); /* NULL is allowed */

/* What of a receipt is not what its evidence document shows, as a static sentence; NULL: nothing. */
const char *trusted_mismatch(const struct trusted *t, const struct air_claims *claims);

/* Nothing is sealed to it from now on, by any thread, whether or not the next view is there yet; what
 * is under way may end, unless a view says that its evidence is false. NULL is allowed. */
void trusted_withdraw(struct trusted *t);
bool trusted_is_withdrawn(const struct trusted *t);

/* All workers there are; beside each what is known of it, NULL where it is not trusted; and the page
 * about them. */
struct trust_view {
    _Atomic uint32_t refs;
    struct worker_set *set;
    struct trusted *workers[WORKERS_MAX];    /* of set->at[i], and so below */
    enum quarantine quarantine[WORKERS_MAX]; /* of those who are not trusted */
    uint64_t is_false; /* a bit for each i whose evidence proves nothing: nothing there may go on */
    struct buf page;   /* JSON for GET /v1/attestation */
};

/* With nobody trusted yet. Keeps a reference to the set. */
err trust_view_new(struct trust_view **out, struct worker_set *set);
struct trust_view *trust_view_ref(struct trust_view *v);
void trust_view_unref(struct trust_view *v); /* NULL is allowed */
