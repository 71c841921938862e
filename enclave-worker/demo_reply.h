/*
 * enclave-worker/demo_reply.h - what the demo engine says, and how it is written down: as one JSON
 * object or as the events of a stream.
 *
 * A reply belongs to no request any more: everything in it is copied. All choices of one request
 * say the same. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "enclave-worker/demo_ask.h"

enum {
    DEMO_TEXT_MAX = 1024 * 1024, /* bytes of one choice's text, or of one call's arguments */
    DEMO_ECHO_MAX = 400,         /* bytes of the user's message that are said back */
    DEMO_CALLS_MAX = 8,          /* tool calls of one choice */
    DEMO_ID_MAX = 48,
};

struct demo_call {
    struct buf name;
    struct buf arguments;
};

struct demo_reply {
    bool chat; /* else a text completion */
    bool include_usage;
    char id[DEMO_ID_MAX];
    int64_t created;
    char model[DEMO_MODEL_MAX];
    size_t choices;
    struct buf text;
    struct demo_call calls[DEMO_CALLS_MAX];
    size_t calls_n;
    const char *finish; /* finish_reason */
    uint64_t prompt_tokens;
    uint64_t tokens; /* of all choices */

    /* Where the stream is. */
    struct buf prefix;
    size_t choice;
    size_t call;
    size_t at;
    unsigned phase;
};

/* *out is cleared by the caller, also after a failure. False with *fault set for a tool that is not
 * there; out of memory is ERROR_OVERLOADED. */
bool demo_reply_make(const struct demo_ask *ask, bool chat, struct demo_reply *out,
                     struct demo_fault *fault);
void demo_reply_clear(struct demo_reply *r);

/* The whole answer as JSON. */
err demo_reply_write(struct demo_reply *r, struct buf *out);

/* Appends the next event of the stream, or events that belong together at its end. *done after
 * the last, which ends with [DONE]. */
err demo_reply_next(struct demo_reply *r, struct buf *out, bool *done);

/* Bytes of the first token of a text: a word or a character, with the white space before it. */
size_t demo_token_len(bytes text);
