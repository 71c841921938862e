/*
 * receipts/transcript.h - the running SHA-256 behind request_hash and response_hash.
 *
 * Plain content is hashed byte for byte. An event stream (text/event-stream) is hashed byte for byte
 * as well, except for comment blocks, which are left out: padding, keep-alives and the receipt itself
 * travel in them, and may be added or removed on the way without changing what was said.
 *
 * The rule, byte by byte. A line starts at the start of the stream and after every LF, nowhere else.
 * A line end is LF or CR LF.
 *   - A comment is a line whose first byte is ':'. It is left out from that byte up to and including
 *     its line end, or up to the end of the stream if none comes. A CR that no LF follows ends it as
 *     well: that CR is left out, and what comes after it is hashed, up to the next line start.
 *   - An empty line is a line start at once followed by a line end. The stream is at an event boundary
 *     at its start and after an empty line; comments do not change that, any other line does.
 *   - An empty line that directly follows a comment which stood at an event boundary is left out too.
 *     One only: the boundary remains, but the next empty line is hashed.
 *   - Everything else is hashed: a comment inside an event leaves the empty line that ends the event
 *     in; a byte order mark at the start is content; a CR alone is content.
 * Readers of event streams disagree about a CR alone. The rule leaves out only what is a comment for
 * all of them, so nothing that any client takes for content can hide from the hash.
 *
 * Worker, gateway and verifier use these same functions. Every split of the input gives the same
 * hash. No memory is taken; nothing here fails. One thread per transcript.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/hash.h"

enum { TRANSCRIPT_LEN = 32 };

enum transcript_state {
    TRANSCRIPT_LINE_START = 0,
    TRANSCRIPT_LINE_START_CR, /* the line has only a CR so far */
    TRANSCRIPT_IN_LINE,
    TRANSCRIPT_IN_COMMENT,
    TRANSCRIPT_IN_COMMENT_CR /* a comment whose latest byte is a CR */
};

struct transcript {
    struct sha256 hash;
    enum transcript_state state;
    bool sse;
    bool in_event;      /* not at an event boundary */
    bool after_comment; /* the latest line was a comment at an event boundary */
};

/* sse: the content is an event stream, so the comment rule holds. */
void transcript_init(struct transcript *t, bool sse);

void transcript_add(struct transcript *t, bytes in);

/* The hash; *t is then wiped and must be initialised before it is used again. */
void transcript_end(struct transcript *t, uint8_t out[static TRANSCRIPT_LEN]);

/* All at once, for a verifier that has the whole content. */
void transcript_of(bytes content, bool sse, uint8_t out[static TRANSCRIPT_LEN]);
