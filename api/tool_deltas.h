/*
 * api/tool_deltas.h - the tool calls of a streamed chat completion, mended where an engine writes them
 * in a way that clients put together wrongly.
 *
 * Takes whole events (api/sse) one by one and says what is to be sent in their places. An event that
 * needs nothing is given back as it came, byte for byte; in one that does, only the places below
 * change. What is mended, by openai.md section 5.3:
 *
 *   - `index`: dense from 0 in the order of the calls, whatever the engine numbers (nothing, all 0,
 *     from 1, text);
 *   - a call's first delta has an `id` that no other call of its choice has, and a `type`; those that
 *     follow have neither `id` nor the name once more, since clients join texts;
 *   - `arguments` that are no text become the text of that JSON; null becomes "";
 *   - `finish_reason` of a choice with tool calls is `tool_calls`, not `stop`; where none came until
 *     [DONE], an event with it is put in front of that.
 *
 * A call begins with an id that is new and comes with a name; or with a number that is new; or with a
 * name, where the call in hand has another one, has its arguments complete, or stands in the same
 * event. All else goes on with the call of that id, that number, or the last one. Legal streams are
 * never changed but for finish_reason.
 *
 * Pure: no I/O, no randomness; the result does not depend on how the stream was cut.
 */
#pragma once

#include "api/sse.h"

enum {
    /* Of an answer, and changes of an event: from one with more on, all passes as it came. */
    TOOL_DELTAS_CALLS_MAX = 256,
    TOOL_DELTAS_EDITS_MAX = 128,
    TOOL_DELTAS_TEXT_MAX = 256,  /* bytes, still escaped, that tell ids and names apart */
    TOOL_DELTAS_HEAD_MAX = 2048, /* of an event's id, created and model, for one that is put in */
    TOOL_DELTAS_SEED_MAX = 32    /* clients take ids of up to 40 */
};

struct tool_call;

/* Zero is one that passes everything; all members are private. */
struct tool_deltas {
    bool mends;
    char seed[TOOL_DELTAS_SEED_MAX + 1];
    struct tool_call *calls; /* in the order that they began in */
    size_t n, cap;
    uint64_t event;      /* its number */
    uint64_t with_calls; /* choices, a bit each: struct peek_answer */
    uint64_t finished;
    struct buf head; /* members of events, for one of ours */
    struct buf out;
};

/* seed: letters, digits, - and _, which make the ids of calls that have none; unlike that of any other
 * answer; cut to TOOL_DELTAS_SEED_MAX. Empty: no ids are made. */
void tool_deltas_init(struct tool_deltas *t, bytes seed);
void tool_deltas_clear(struct tool_deltas *t); /* of zeroed storage, too */

/* What to send for this event: its own wire, or another one that lives until the next call.
 * ERR_NOMEM. */
err tool_deltas_put(struct tool_deltas *t, const struct sse_event *event, bytes *wire);
