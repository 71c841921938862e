/*
 * api/responses_reply.h - an answer of the Responses API in the making: its output items, its events
 * and the object that sums it up.
 *
 * Told piece by piece what the model says, it appends the events of the stream to `out`, each whole:
 * `event:` is the data's type, sequence numbers count up from 0, every item and part is opened,
 * filled and closed (in an answer that fails, not all are closed), the last event carries all of the
 * output and is followed by [DONE]. Without `events` nothing is appended; the object is the same.
 * Nothing depends on anything but what it was told: the same calls give the same bytes. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/responses_custom.h"
#include "api/responses_tools.h"
#include "base/buf.h"

struct json;

enum {
    RESPONSES_ID_MAX = 80,                 /* characters of an answer's id */
    RESPONSES_ITEMS_MAX = 1024,            /* output items of one answer */
    RESPONSES_TEXT_MAX = 64 * 1024 * 1024, /* bytes of one item's text */
    RESPONSES_OUT_MAX = 128 * 1024 * 1024, /* bytes of events, or of the object */
    RESPONSES_MESSAGE_MAX = 1024           /* bytes of an error's message */
};

enum responses_status {
    RESPONSES_IN_PROGRESS = 0,
    RESPONSES_QUEUED,
    RESPONSES_COMPLETED,
    RESPONSES_INCOMPLETE,
    RESPONSES_FAILED,
    RESPONSES_CANCELLED
};

struct responses_reply_settings {
    const char *id;     /* resp_...; copied */
    int64_t created_at; /* Unix seconds */
    bool events;
    bool background;
    bool summary;   /* reasoning is given as a summary */
    bool encrypted; /* and as encrypted_content too */
    bool logprobs;
    const struct responses_tools *tools; /* borrowed */
    bytes echo; /* members of the object, a comma in front of each; borrowed */
};

enum responses_kind { RESPONSES_REASONING = 0, RESPONSES_MESSAGE, RESPONSES_CALL };
enum responses_part { RESPONSES_NO_PART = 0, RESPONSES_TEXT, RESPONSES_REFUSAL, RESPONSES_THOUGHT };

/* One output item. Private. */
struct responses_item {
    enum responses_kind kind;
    size_t index; /* output_index */
    bool announced;
    bool closed;
    const struct responses_tool *tool; /* of a call that is one of the request's */
    int64_t chat_index;                /* of a call: the engine's number for it */
    struct buf call_id;
    struct buf chat_name;
    struct buf text;     /* of the open part, or a call's arguments */
    struct buf input;    /* of a custom tool's call */
    struct buf logprobs; /* of the open part: JSON objects with commas between them */
    struct buf parts;    /* closed ones, as JSON with commas between them */
    size_t parts_n;
    enum responses_part part; /* the open one */
    struct responses_custom custom;
    struct buf json; /* once it is closed */
};

struct responses_reply {
    struct responses_reply_settings settings;
    char id[RESPONSES_ID_MAX + 1];
    enum responses_status status;
    bool ended; /* nothing more will be appended */
    bool finished;
    bool cut;             /* by a limit or a filter: what is open is not complete */
    const char *reason;   /* why it is incomplete, or NULL */
    int64_t completed_at; /* 0: not yet */
    uint64_t sequence;    /* of the next event */
    char code[64];
    char message[RESPONSES_MESSAGE_MAX + 1];
    struct buf usage; /* JSON, or empty */
    struct responses_item **items;
    size_t items_n;
    struct responses_item *speaking; /* the reasoning or message that is open, or NULL */
    struct buf out;                  /* events; taken and cut by the owner */
};

void responses_reply_init(struct responses_reply *r,
                          const struct responses_reply_settings *settings);
void responses_reply_clear(struct responses_reply *r);

/* The first events. With background, the answer is queued until its making begins. */
err responses_reply_start(struct responses_reply *r);
err responses_reply_begin(struct responses_reply *r);

/* The model speaks. Empty text says nothing. ERR_LIMIT when it says more than is held, ERR_MALFORMED
 * for a call that cannot be one. */
err responses_reply_reason(struct responses_reply *r, bytes text);
err responses_reply_text(struct responses_reply *r, bytes text, const struct json *logprobs);
err responses_reply_refuse(struct responses_reply *r, bytes text);

struct responses_call_piece {
    int64_t index; /* the engine's number for the call, or -1 */
    bytes id;      /* those that are empty say nothing new */
    bytes name;
    bytes arguments;
};
err responses_reply_call(struct responses_reply *r, const struct responses_call_piece *piece);

/* The engine's finish_reason: closes what is open. */
err responses_reply_finish(struct responses_reply *r, bytes reason);

/* The engine's usage, prompt_tokens and so on. */
err responses_reply_usage(struct responses_reply *r, const struct json *usage);

/* The last events: as it was finished. now: Unix seconds. */
err responses_reply_end(struct responses_reply *r, int64_t now);

/* The last events of an answer that cannot be finished; what is open is not said to be done, and is
 * incomplete in the object. */
err responses_reply_fail(struct responses_reply *r, const char *code, bytes message, int64_t now);

/* The same when its asker has called it off. */
err responses_reply_cancel(struct responses_reply *r, int64_t now);

/* Appends the object as it is now. */
err responses_reply_write(const struct responses_reply *r, struct buf *out);

/* Bytes of the whole events that come up to and with that number; all of them when none is behind
 * it. The [DONE] has no number and is behind every one. */
size_t responses_reply_skip(bytes events, uint64_t number);

/* Bytes of memory that it holds. */
size_t responses_reply_size(const struct responses_reply *r);

/* Appends the output items that are complete, JSON with commas between them. */
err responses_reply_output(const struct responses_reply *r, struct buf *out);
