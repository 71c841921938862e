/*
 * api/sse.h - a stream of server-sent events, cut into whole events in the one form that every
 * client can read.
 *
 * Takes the bytes in any split (the result never depends on it), by the rules of WHATWG HTML
 * section 9.2: lines end with LF, CRLF or CR; "data:" with or without a space; a byte order mark at
 * the head is skipped. What comes out, one call per event:
 *
 *   - LF only, `event: NAME` first if there was one, then exactly one `data: ...` line, an empty
 *     line;
 *   - an event of several data lines becomes one line (joined with a space: a line end inside JSON
 *     is white space), unless each of its lines is a JSON object or [DONE] by itself: then they are
 *     events that a server forgot to separate, and are given out one by one. The same holds for
 *     `data: {...}data: {...}` on one line;
 *   - `id:`, `retry:`, unknown fields and events without data are dropped: SDKs fail on them;
 *   - comments are dropped, or with `comments` set given out as `:text` and an empty line, ahead of
 *     the event they stood in;
 *   - data that is neither a JSON object nor [DONE] is reported with SSE_NOT_JSON and without a
 *     wire: a client must not see it, since every SDK throws on it. The owner turns it into an
 *     error.
 *
 * An event that already has this form is handed out as a view of the input, without a copy.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/peek.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

enum { SSE_EVENT_MAX = 4 * 1024 * 1024 }; /* bytes of one event as it came in, with its line ends */

enum {
    SSE_DONE = 1U << 0,   /* data is [DONE] */
    SSE_ERROR = 1U << 1,  /* an object with a top-level "error" that is not null, or event: error */
    SSE_FINISH = 1U << 2, /* choices[] with a finish_reason that is not null */
    SSE_TERMINAL = 1U << 3,   /* response.completed, response.failed or response.incomplete */
    SSE_COMMENT = 1U << 4,    /* no event but a comment */
    SSE_NOT_JSON = 1U << 5,   /* data is neither a JSON object nor [DONE] */
    SSE_USAGE = 1U << 6,      /* "usage" (top-level or in "response") is an object */
    SSE_NO_CHOICES = 1U << 7, /* "choices" is there and empty: a usage chunk */
};

/* Borrowed for the time of the call. */
struct sse_event {
    bytes wire; /* the whole event with its empty line; empty with SSE_NOT_JSON */
    bytes name; /* of the `event:` line, or empty */
    bytes data; /* without "data: "; empty for a comment */
    unsigned flags;
    const struct peek_answer *answer; /* what its JSON says; NULL for a comment and for [DONE] */
};

/* An err is passed on by sse_put() and sse_end(), and ends the reading. */
typedef err sse_fn(void *owner, const struct sse_event *event);

struct sse {
    sse_fn *fn;
    void *owner;
    bool comments;
    bool begun;      /* past the place of a byte order mark */
    bool after_cr;   /* a LF that comes next belongs to the last line end */
    bool has_data;   /* the event in hand has had a data line */
    err failed;      /* what ended the reading */
    size_t taken;    /* bytes of the event in hand, as they came in */
    struct buf line; /* a line that is not complete yet */
    struct buf name; /* of the event in hand */
    struct buf data; /* its data lines, with LF between them */
    struct buf wire; /* an event that had to be rewritten */
};

/* Zeroed storage is a reader that refuses everything. */
void sse_init(struct sse *s, bool comments, sse_fn *fn, void *owner);
void sse_clear(struct sse *s);

/* Takes in all of `in`. ERR_LIMIT for an event over SSE_EVENT_MAX; after any error the reader
 * stays failed. */
err sse_put(struct sse *s, bytes in);

/* The stream ended cleanly: an event that lacks only its empty line is given out. */
err sse_end(struct sse *s);

/* True when nothing of an unfinished event is held. */
bool sse_is_between(const struct sse *s);

/* The sequence number of a whole event of the Responses API; false when it has none. */
bool sse_number(bytes event, uint64_t *out);

/* Only the flags of an event's data, for those who have the event already. */
unsigned sse_flags(bytes name, bytes data);
