/*
 * base/dial.h - connects to whichever of several addresses answers first (RFC 8305 section 5).
 *
 * Addresses are tried in turn, families alternating. The next one is tried when one has failed, or has not
 * answered for DIAL_NEXT_MS; who was tried before may still win. A machine that has lost one of its families,
 * or one of the addresses behind a name, so costs a quarter of a second and no connection.
 */
#pragma once

#include "base/loop.h"
#include "base/sock.h"

enum { DIAL_NEXT_MS = 250 };

struct dial;

/* With OK a connected socket, which is the receiver's; else -1 and why: what became of the last attempt, or
 * TIMEOUT. */
typedef void dial_fn(void *owner, err e, int fd);

struct dial_target {
    const struct sock_addr *at;
    const struct sockaddr_storage
        *addrs;         /* of a host, from loop_resolve(), with ports; else NULL */
    size_t n;           /* up to LOOP_ADDRS_MAX */
    uint64_t within_ms; /* for all of it */
};

/* Copies from the target. done is called once, never from inside this call; *out is valid until then. Errors
 * of sock_connect() when nothing can even be tried. */
err dial_start(struct dial **out, struct loop *l, const struct dial_target *target, dial_fn *done,
               void *owner);
/* done is not called any more. NULL is allowed. */
void dial_cancel(struct dial *d);

/* Sorts addresses so that families alternate, beginning with that of the first; otherwise their order stays. */
void dial_alternate(struct sockaddr_storage *addrs, size_t n);
