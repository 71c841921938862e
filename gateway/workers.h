/*
 * gateway/workers.h - which workers there are now, and how one set of them follows another.
 *
 * A set never changes and is counted by reference, so that threads share it. An address that joins gets
 * a place: a number that is never given again while the program runs, so that mail, log lines and what is
 * remembered about a place never come to mean another worker. An address that leaves and comes back is
 * another worker.
 */
#pragma once

#include <stdatomic.h>

#include "base/sock.h"
#include "wire/roster.h"

struct link_settings;
struct tls_context;

enum { WORKERS_MAX = 64 };

/* A worker as a source of addresses names it. */
struct worker_wish {
    struct sock_addr addr;            /* to dial */
    char tls_name[SOCK_HOST_MAX + 1]; /* that its certificate is for; empty: addr.host */
    uint16_t priority;                /* lower ones come first (RFC 2782) */
    uint16_t weight;                  /* of those that come first: its share beside the others */
    struct worker_tag tag;            /* of one behind a relay at addr; zero: whoever is there */
};

struct worker_entry {
    size_t place;
    struct worker_wish wish;
    char text[SOCK_TEXT_MAX + 1]; /* wish.addr as it is written */
};

/* In the order in which they joined. */
struct worker_set {
    _Atomic uint32_t refs;
    size_t next; /* the next place to be given */
    size_t n;
    struct worker_entry at[WORKERS_MAX];
};

/* What makes a set another one than the one before. */
struct worker_change {
    bool changed;
    size_t joined;
    size_t left;
    size_t over; /* wishes for which there was no room */
};

/* A wish for a plain address, of weight 1; ERR_CONFIG when it is none. */
err worker_wish_read(bytes text, struct worker_wish *out);

/* What may change of a worker that stays: priority and weight. */
void worker_wish_follow(struct worker_wish *w, const struct worker_wish *now);

/* The set of these wishes after `before` (NULL: the first one). Those that were there stay, with their
 * places and before all others; wishes for the same address, name and tag are one, and the first of them
 * counts; what is over WORKERS_MAX is left out and counted. Everything is borrowed. */
err worker_set_next(struct worker_set **out, const struct worker_set *before,
                    const struct worker_wish *wishes, size_t n, struct worker_change *change);
struct worker_set *worker_set_ref(struct worker_set *s);
void worker_set_unref(struct worker_set *s); /* NULL is allowed */

/* NULL: nobody is there (any more). */
const struct worker_entry *worker_set_find(const struct worker_set *s, size_t place);

/* Where to connect, for link_open(); the rest of *out stays. Borrows from *e as long as the link lives;
 * tls is for those that want it. */
void worker_link(const struct worker_entry *e, struct tls_context *tls, struct link_settings *out);
