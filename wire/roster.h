/*
 * wire/roster.h - which workers a relay has: tags, by which it can be told which of them a request is for.
 *
 * Pure. A worker says its tag with its key list, the relay lists those of its workers, and a gateway
 * repeats one with its request. Nothing here is trusted: a tag that is wrong costs whoever uses it an
 * answer, and never the evidence that it asks for.
 *
 * A roster is text: at most ROSTER_MAX lines, each a tag and a line feed; no tag twice.
 */
#pragma once

#include "base/buf.h"

enum {
    ROSTER_TAG_LEN = 16, /* the first hex digits of a worker's identity */
    ROSTER_MAX = 64,
    ROSTER_TEXT_MAX = ROSTER_MAX * (ROSTER_TAG_LEN + 1)
};

/* Zero is no tag. */
struct worker_tag {
    char text[ROSTER_TAG_LEN + 1];
};

struct roster {
    size_t n;
    struct worker_tag tags[ROSTER_MAX];
};

/* identity: 32 bytes. */
err worker_tag_of(bytes identity, struct worker_tag *out);

/* As a field has it. ERR_MALFORMED, and *out is zero, for what is no tag. */
err worker_tag_read(bytes text, struct worker_tag *out);

bool worker_tag_is(const struct worker_tag *t);
bool worker_tag_equal(const struct worker_tag *a, const struct worker_tag *b);

bool roster_has(const struct roster *r, const struct worker_tag *tag);

/* No effect for no tag, for one that is there, and when it is full. */
void roster_add(struct roster *r, const struct worker_tag *tag);

/* Reads all or nothing. ERR_MALFORMED for anything but a roster, ERR_LIMIT for too many lines. */
err roster_read(bytes text, struct roster *out);

/* Appends. */
err roster_write(struct buf *to, const struct roster *r);
