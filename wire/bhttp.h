/*
 * wire/bhttp.h - Binary HTTP (RFC 9292), both framings, written and read in pieces.
 *
 * Pure: bytes in, bytes and calls out. Nothing of the content is ever copied or held back by the
 * reader. A reader belongs to one thread.
 *
 * Stricter than the RFC where it leaves a choice: pseudo-fields and upper-case field names are
 * refused, and so is padding that is not zero.
 */
#pragma once

#include "base/buf.h"

enum {
    /* Wire bytes before the content (all informational heads included), and again of trailers. */
    BHTTP_HEAD_MAX = 64 * 1024,
    /* Field lines of one section. */
    BHTTP_FIELDS_MAX = 128,
};

struct bhttp_field {
    bytes name;
    bytes value;
};

struct bhttp_head {
    bool is_request;
    bytes method; /* requests only, as the next three; authority may be empty */
    bytes scheme;
    bytes authority;
    bytes path;
    unsigned status; /* responses only; under 200 is informational and more heads follow */
    const struct bhttp_field *fields;
    size_t fields_n;
    /* Set by the reader, not used by the writers: does the message say how long its content is? */
    bool content_known;
    uint64_t content_len;
};

/* The first field of that lower-case name, or NULL. */
const struct bhttp_field *bhttp_find(const struct bhttp_field *fields, size_t n, const char *name);

/*
 * Writing. All append to *to; on an error what was appended by this call is taken back. A message
 * is a head, then its content, then trailers (also when there are none), then any zero padding
 * (buf_add_zeros). Integers are minimal. Field names are written in lower case.
 *
 * ERR_MALFORMED for what a reader would refuse (see there), ERR_LIMIT over the limits above.
 */
err bhttp_write_request_head(struct buf *to, const struct bhttp_head *head, bool known_length);
/* The status must be 200 to 599. */
err bhttp_write_response_head(struct buf *to, const struct bhttp_head *head, bool known_length);

/* Known length, one of the two, once: all of the content, or how long that is which then follows. */
err bhttp_write_content(struct buf *to, bytes content);
err bhttp_write_content_len(struct buf *to, uint64_t len);

/* Indeterminate length: any number of chunks (an empty one writes nothing), then the end. */
err bhttp_write_chunk(struct buf *to, bytes chunk);
/* Only the chunk's length, which must not be 0; the caller appends that many bytes. */
err bhttp_write_chunk_len(struct buf *to, uint64_t len);
err bhttp_write_content_end(struct buf *to);

err bhttp_write_trailers(struct buf *to, const struct bhttp_field *fields, size_t n,
                         bool known_length);

/*
 * What a reader calls, in this order: head (once for each informational response, then once for
 * the message), content (any number of times, never empty), trailers (exactly once, n = 0 when
 * there are none: the content is then complete). Whatever they are given is valid during the call
 * only. An err they return ends the reading and comes out of bhttp_reader_put or _end. They must
 * not free the reader.
 */
struct bhttp_events {
    err (*head)(void *owner, const struct bhttp_head *head);
    err (*content)(void *owner, bytes piece);
    err (*trailers)(void *owner, const struct bhttp_field *fields, size_t n);
};

struct bhttp_reader;

/* Accepts either framing of a request, or of a response. *events and owner must outlive it. */
err bhttp_reader_new(struct bhttp_reader **out, bool request, const struct bhttp_events *events,
                     void *owner);

/*
 * Takes the next bytes, all of them, cut anywhere. ERR_MALFORMED for what can never become a
 * message, ERR_LIMIT over the limits above. Errors are final: each further call gives the same.
 */
err bhttp_reader_put(struct bhttp_reader *r, bytes in);

/*
 * The message ended here. Calls what is still to be called. ERR_TRUNCATED when it is not complete.
 * A tail of empty parts may be left out (RFC 9292 section 3.8): trailers, then content, then, with
 * known length only, the header section. Content of indeterminate length needs its terminator.
 */
err bhttp_reader_end(struct bhttp_reader *r);

void bhttp_reader_free(struct bhttp_reader *r);
