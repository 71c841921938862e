/*
 * wire/kept.h - a message's head, copied, for as long as one needs it.
 *
 * Readers lend the parts of a head for the time of a call. This keeps them: one allocation, wiped
 * when it goes.
 */
#pragma once

#include "wire/bhttp.h"

/* Zero is no head. */
struct kept {
    void *arena;
    struct bhttp_head head; /* all its parts are in the arena */
};

/* Copies; a head that was kept before is released. Field names are not changed. */
err kept_head(struct kept *k, const struct bhttp_head *head);
void kept_clear(struct kept *k);

/* The value of the first field of that lower-case name; empty when there is none. */
bytes kept_field(const struct kept *k, const char *name);

/*
 * Whether a request's field may go further than this hop. Left out: what belongs to one connection
 * or one hop, what only tells about the client's machine or browser, what Sealgate itself reads, the
 * trace (which wire/trace.h reads and writes anew), and the credentials (which the caller adds as its
 * settings say). name is lower-case.
 */
bool kept_passes(bytes name);
