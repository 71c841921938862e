/*
 * api/responses_chat.h - reads an engine's chat completion, as a stream or whole, into an answer of
 * the Responses API.
 *
 * Takes a stream in any split; the result never depends on it. What an engine gets wrong (an error
 * in the stream, an end before a finish_reason, what is no JSON) becomes the answer's failure; an
 * end without [DONE] behind a finish_reason is an end. Pure.
 */
#pragma once

#include "api/responses_reply.h"
#include "api/sse.h"
#include "api/tool_deltas.h"
#include "api/usage.h"

struct responses_chat {
    struct responses_reply *reply; /* borrowed */
    int64_t now;                   /* Unix seconds; to be set before each call */
    struct sse events;
    struct tool_deltas deltas;
    struct usage usage; /* what the engine said of it, or what was counted */
};

/* Both stay where they are from now on. */
void responses_chat_init(struct responses_chat *c, struct responses_reply *reply);
void responses_chat_clear(struct responses_chat *c);

/* A piece of the stream. Any err means that not even a failure could be said. */
err responses_chat_put(struct responses_chat *c, bytes piece);

/* The stream ended cleanly. */
err responses_chat_end(struct responses_chat *c);

/* A whole chat.completion; the answer is over afterwards. */
err responses_chat_whole(struct responses_chat *c, bytes body);

/* The engine broke off, or said an error object instead of an answer. */
err responses_chat_break(struct responses_chat *c, enum error_cause cause);
err responses_chat_refused(struct responses_chat *c, bytes body);
