/*
 * gateway/fleet.h - workers behind relays: asks each address whether it is a relay's and which workers
 * that has (wire/roster.h), so that each of them is verified and balanced by itself.
 *
 * Lives on the control thread, between gateway/discover.h, which finds addresses, and gateway/trust.h,
 * which verifies. A worker that a relay lists is the relay's address with a tag, which goes with every
 * request. The address itself stays a worker until one of its tags is trusted, and is one again when none
 * is: a relay that lists nonsense, or nobody, is used as one that lists nothing.
 *
 * What a relay says is not trusted, and bounded: ROSTER_MAX tags of each, and WORKERS_MAX workers in all,
 * of which each address has one before any has a second. 404 lists nobody; any other answer that is no
 * roster changes nothing.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "gateway/trusted.h"

struct fleet;
struct tls_context;

enum {
    FLEET_ASK_MS = 2000,    /* a relay, for its list */
    FLEET_AGAIN_MS = 60000, /* an address that was none */
    FLEET_PATIENCE_MS = 10000,
    FLEET_MISSES_MAX = 3 /* answers in a row without a tag, then it has left */
};

/* Borrowed. */
struct fleet_settings {
    struct worker_set *addresses; /* to begin with; counted */
    struct tls_context *tls;      /* for tls:// addresses */
    uint64_t ask_ms;              /* 0: FLEET_ASK_MS */
    uint64_t again_ms;            /* 0: FLEET_AGAIN_MS */
    struct log *log;
    /* There is another set: fleet_set(). Not called for the first one, and out of the loop or
     * fleet_use() only. */
    void (*changed)(void *owner);
    void *owner;
};

/* The first set are the addresses themselves. Starts asking at once. Settings are copied. */
err fleet_new(struct fleet **out, struct loop *loop, const struct fleet_settings *settings);
void fleet_free(struct fleet *f); /* NULL is allowed */

/* Whom to verify, until the next turn of the loop. Its places are not those of the addresses. */
struct worker_set *fleet_set(const struct fleet *f);

/* Other addresses, counted. */
void fleet_use(struct fleet *f, struct worker_set *addresses);

/* Who is trusted now. The set follows in the next turn of the loop. */
void fleet_note(struct fleet *f, const struct trust_view *view);
