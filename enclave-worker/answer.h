/*
 * enclave-worker/answer.h - an engine's answer on its way into the seal.
 *
 * Takes what the engine says, cuts event streams into whole events, hashes what the client will get,
 * and writes Binary HTTP with its padding. Sealing and sending are the session's. No I/O.
 *
 * For event streams: nothing but whole events (mended ones where that is set, before they are hashed); a usage chunk only if the client asked for one; an
 * end only where the engine came to one ([DONE], or a finish_reason before it closed).
 */
#pragma once

#include "api/sse.h"
#include "api/tool_deltas.h"
#include "api/usage.h"
#include "enclave-worker/engine.h"
#include "enclave-worker/settings.h"
#include "receipts/transcript.h"
#include "wire/bhttp.h"
#include "wire/kept.h"

enum {
    ANSWER_PENDING_MAX =
        256 * 1024 * 1024,         /* an engine without back-pressure says it all at once */
    ANSWER_FLUSH_MAX = 256 * 1024, /* content of one flush */
    ANSWER_KEEP_MAX = 4096         /* a buffer up to this size is kept between flushes */
};

struct answer_settings {
    bool chat;          /* the stream must end with [DONE] */
    bool include_usage; /* the client asked for the usage chunk */
    bool bare;          /* no Binary HTTP: see answer_flush() and answer_tail() */
    bool mends_calls;   /* tool deltas are mended on their way: api/tool_deltas */
    enum padding_mode padding;
    const char *receipt_id; /* borrowed until answer_head() returns; NULL: none follows */
};

enum answer_state {
    ANSWER_WAITING = 0, /* for its head */
    ANSWER_RUNNING,
    ANSWER_COMPLETE, /* nothing more will be taken */
    ANSWER_BROKEN    /* the engine said an error, or something that cannot be passed on */
};

struct answer {
    struct answer_settings settings;
    enum answer_state state;
    bool sse;
    bool known;         /* its length is said in front */
    bool terminal_seen; /* a terminal event of a stream of Responses or of messages */
    bool messages;      /* a stream of the messages API, which ends with message_stop */
    uint64_t choices;   /* that have begun: struct peek_answer */
    uint64_t finished;
    bool has_terminal;    /* events of the Responses API came, which end with a terminal one */
    uint64_t next_number; /* behind the last of those events */
    uint64_t left;        /* of a known length */
    uint64_t plain_len;   /* Binary HTTP bytes written so far */
    struct usage usage;   /* what the events said */
    struct sse events;
    struct tool_deltas deltas;
    struct transcript transcript;
    struct kept outer;  /* bare: the head, for whoever sends it */
    bool head_due;      /* not flushed yet */
    struct buf head;    /* the same, written */
    struct buf pending; /* content; what is before `taken` was flushed */
    size_t taken;
};

void answer_init(struct answer *a, const struct answer_settings *settings);
void answer_clear(struct answer *a);

/* content_length is -1 when the engine did not say. */
err answer_head(struct answer *a, unsigned status, const struct engine_field *fields, size_t n,
                int64_t content_length);

/* Look at the state afterwards: COMPLETE (an event stream came to its end) or BROKEN. */
err answer_body(struct answer *a, bytes piece);

/* The engine ended cleanly; the state is then COMPLETE, or BROKEN when something was missing. */
err answer_end(struct answer *a);

/* Adds content that is not the engine's: an error event. */
err answer_add(struct answer *a, bytes content);

bool answer_has_output(const struct answer *a);

/* Appends what is to be sealed next, padded: the head (bare: nothing for it), and at most
 * ANSWER_FLUSH_MAX of content. */
err answer_flush(struct answer *a, struct buf *plain);

/* Appends what follows the content: its end, the receipt as a trailer (or none), the padding. Bare: in
 * event streams the padding and the receipt (or none) as comments, in others nothing. Only when there
 * is no output left to flush. */
err answer_tail(struct answer *a, bytes receipt, struct buf *plain);

/* Hash of all content; once, when complete. */
void answer_hash(struct answer *a, uint8_t out[static TRANSCRIPT_LEN]);

/* An engine's head, copied, for those who look at its answer before it is given on. ERR_LIMIT as
 * kept_head(). */
err answer_keep_head(struct kept *to, unsigned status, const struct engine_field *fields, size_t n);
