/*
 * api/responses_input.h - input items of the Responses API as messages of a chat.
 *
 * All system and developer messages become one system message at the head, since the templates of
 * most open models know no other place for one. What an assistant said in one turn (reasoning, text,
 * calls) becomes one message, so that results of calls follow the calls. Images, files and audio
 * are passed on as parts, never fetched and never dropped. Reasoning that only another server can
 * read is left out: it was never part of the conversation's text. Any other item that chat
 * completions cannot express is refused by name.
 *
 * Pure; borrows nothing after a call.
 */
#pragma once

#include "api/responses_fault.h"
#include "base/buf.h"

struct json;

enum { RESPONSES_MESSAGES_MAX = 256 * 1024 * 1024 }; /* bytes of the messages as JSON */

struct responses_input {
    struct buf system;   /* text */
    struct buf messages; /* JSON objects with commas between them */

    /* The assistant's turn in hand. */
    struct buf reasoning; /* text */
    struct buf content;   /* a JSON value; empty: none yet */
    struct buf calls;     /* JSON objects with commas between them */
};

void responses_input_init(struct responses_input *in);
void responses_input_clear(struct responses_input *in);

/* Text for the system message, behind what is there. */
err responses_input_system(struct responses_input *in, bytes text);

/* A text, which is a user's message, or an array of items. param: what faults call it ("input"). */
err responses_input_add(struct responses_input *in, const struct json *items, const char *param,
                        struct responses_fault *fault);

/* Appends the value of "messages". */
err responses_input_write(struct responses_input *in, struct buf *out);

/* Reasoning as encrypted_content, so that a client that keeps nothing else can bring it back. Not
 * a secret: the client has the same text beside it. */
err responses_input_wrap(struct buf *out, bytes reasoning);
