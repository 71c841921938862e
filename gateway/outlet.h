/*
 * gateway/outlet.h - how much of an answer may go to the client before it is proved complete.
 *
 * The end is held back: of an event stream the terminal event and all behind it, of anything else
 * the whole as long as it is small and the last OUTLET_TAIL bytes when it is not. The rest may go at
 * once. Also hashes what the client gets, and finds the answer's id. No I/O.
 */
#pragma once

#include "api/usage.h"
#include "base/buf.h"
#include "receipts/transcript.h"

enum {
    OUTLET_WHOLE_MAX = 256 * 1024,    /* an answer up to this size is held whole */
    OUTLET_TAIL = 16 * 1024,          /* held of a bigger one */
    OUTLET_HELD_MAX = 8 * 1024 * 1024 /* behind a terminal event; LIMIT above */
};

struct outlet {
    bool sse;
    bool terminal;  /* the terminal event has begun, at `event` */
    bool error;     /* the stream carried an error event */
    bool mid_event; /* what was released does not end an event */
    uint64_t next;  /* behind the last sequence number of the Responses API */
    bool id_sought;
    struct usage usage; /* of the events that have passed */
    struct buf content; /* from `released` on not yet released */
    size_t released;
    size_t event; /* in content: where the latest event starts */
    uint64_t total;
    struct transcript transcript;
    size_t id_len;
    uint8_t id[PEEK_ID_MAX];
};

void outlet_init(struct outlet *o, bool sse);
void outlet_clear(struct outlet *o);

err outlet_add(struct outlet *o, bytes piece);

/* What may be released now; borrowed until the next call. */
bytes outlet_ready(const struct outlet *o);
/* The first n bytes of that were released. */
void outlet_release(struct outlet *o, size_t n);

/* All that is left; for when the answer is proved. */
bytes outlet_rest(const struct outlet *o);

/* Adds what the end of the answer says, which is held; once, when no more comes. */
void outlet_count(struct outlet *o);

/* The completion or response id as the answer has it, or empty. */
bytes outlet_id(const struct outlet *o);
