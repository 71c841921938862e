/*
 * wire/stream.h - what a request and its answer are to those who use a link: fields, bodies with
 * back-pressure, and the ways in which they end. Shared by h2 (the protocol) and link (the
 * connection).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum {
    LINK_QUEUE_MAX = 1024 * 1024, /* bytes written to one stream and not yet sent */
    LINK_LOW = 64 * 1024,         /* `writable` when the queue falls under this */
    LINK_FIELDS_MAX = 64,         /* fields of one head, pseudo-fields not counted */
    LINK_HEAD_MAX = 16 * 1024,    /* names and values of one head */
    LINK_WINDOW = 256 * 1024,     /* bytes of one stream that may be received unconsumed */
    LINK_CONNECTION_WINDOW = 64 * 1024 * 1024,
    LINK_FRAME_MAX = 64 * 1024,  /* payload of a DATA frame, both ways */
    LINK_STREAMS_DEFAULT = 2048, /* at once on one connection */

    /* Frames from one peer per second, where its settings do not say otherwise. */
    LINK_HEADS_PER_S = 50000,
    LINK_SETTINGS_PER_S = 10,
    LINK_PINGS_PER_S = 10,
    LINK_RESETS_PER_S = 1000, /* thousands of clients may leave at once */
    LINK_OTHERS_PER_S = 20000,
};

struct link_stream;

/* Names are lower-case. Fields about the connection (te, connection...) are not allowed. */
struct link_field {
    bytes name, value;
};

/* The value of the first field of that name (lower case); at NULL when there is none. */
static inline bytes link_field(const struct link_field *fields, size_t n, const char *name)
{
    bytes want = bytes_str(name);
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(fields[i].name, want))
            return fields[i].value;
    }
    return (bytes){ 0 };
}

struct link_request {
    bytes method, authority, path; /* to submit: no authority means localhost */
    const struct link_field *fields;
    size_t fields_n;
    bool end; /* no body: the request is complete */
};

/* Why a stream is over. The zero value promises nothing. */
enum link_close {
    LINK_LOST = 0, /* the connection died; the peer may have acted on the request */
    LINK_RESET,    /* the peer gave it up; its HTTP/2 error code by link_stream_code() */
    LINK_REFUSED, /* client: provably not processed, may be sent again elsewhere: it was not sent, it was
                    * above GOAWAY's last id, or REFUSED_STREAM came before its end was sent */
    LINK_DONE, /* both sides said all they had to say */
};

/* Why we give a stream up, as told to the peer. */
enum link_code {
    LINK_CANCEL = 0, /* CANCEL: no longer wanted */
    LINK_INTERNAL,   /* INTERNAL_ERROR: we cannot go on */
    LINK_REFUSE,     /* REFUSED_STREAM: nothing was done, may be sent again */
};
