/*
 * api/responses_ask.h - a request to /v1/responses, checked, and as a request for a chat completion.
 *
 * What it knows must have the right type and range; what chat completions cannot express is refused
 * with the name of the parameter; members that neither API knows are passed on as they are, since
 * engines have their own (top_k and the like). Pure.
 *
 * Read first, then written, because between the two somebody must fetch what previous_response_id and
 * references to items stand for.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/responses_fault.h"
#include "api/responses_tools.h"
#include "base/buf.h"

struct json;

enum {
    RESPONSES_CHAT_MAX = 512 * 1024 * 1024, /* bytes of the request for the engine */
    RESPONSES_ECHO_MAX = 128 * 1024 * 1024  /* bytes of what answers repeat of their request */
};

struct responses_ask_settings {
    bool stores;       /* answers can be kept */
    bool refuse_tools; /* those that cannot be, instead of leaving them out */
};

struct responses_ask {
    bool stream;
    bool store; /* asked for, and can be */
    bool background;
    bool encrypted; /* reasoning is wanted as encrypted_content too */
    bool summary;   /* and as a summary instead of as it is */
    bool logprobs;
    bytes previous; /* previous_response_id, or empty; borrowed from root */
    struct responses_tools tools;
    struct buf echo;    /* members of every answer, a comma in front of each */
    struct json *root;  /* owned */
    struct json *input; /* owned; in the place of the request's own once it was resolved, or NULL */
};

/* Where items are that an input refers to. find() appends one; ERR_NOT_FOUND when there is none. */
struct responses_lookup {
    err (*find)(void *owner, bytes id, struct buf *out);
    void *owner;
};

/* *out is cleared by the caller, also after a failure. */
err responses_ask_read(struct responses_ask *out, bytes body,
                       const struct responses_ask_settings *settings,
                       struct responses_fault *fault);
void responses_ask_clear(struct responses_ask *a);

/* Puts items in the place of references to them. A fault names the first that is not there. */
err responses_ask_resolve(struct responses_ask *a, const struct responses_lookup *lookup,
                          struct responses_fault *fault);

/* Appends the engine's request, once. past: the items that come before the input, an array, or NULL. */
err responses_ask_write(struct responses_ask *a, const struct json *past, struct buf *out,
                        struct responses_fault *fault);

/* The request's own input, as it was resolved; borrowed from the ask. */
const struct json *responses_ask_input(const struct responses_ask *a);
