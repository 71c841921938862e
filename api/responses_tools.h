/*
 * api/responses_tools.h - the tools of a request to /v1/responses, as chat completions know them.
 *
 * Chat completions know functions only. A function goes as it is; a custom tool becomes a function
 * with one text, `input`, and what its grammar says goes into the description; the tools of a
 * namespace become functions named NAMESPACE__NAME. Tools that a server would have to run itself
 * (web search and the like) cannot be: they are left out, or refused.
 *
 * Read first, then added to by the items of a conversation that bring tools of their own, then ended.
 * Pure; copies what it keeps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "api/responses_fault.h"
#include "base/buf.h"

struct json;

enum {
    RESPONSES_TOOLS_MAX = 1024,
    RESPONSES_TOOLS_TEXT_MAX = 64 * 1024 * 1024, /* bytes of JSON */
    RESPONSES_TOOL_NAME_MAX = 512
};

struct responses_tool {
    bool custom;
    struct buf name;
    struct buf space;     /* its namespace, or empty */
    struct buf chat_name; /* as the engine calls it */
};

struct responses_tools {
    struct responses_tool *list; /* owned */
    size_t n;
    size_t offered;             /* of those, how many the engine is told of */
    struct buf chat;            /* the value of "tools" for the engine; empty when there are none */
    struct buf choice;          /* the value of "tool_choice" for the engine; empty: not said */
    struct buf echo;            /* the value of "tools" in the answer: those in force */
    struct buf left_out;        /* types of those that were left out, separated by ", " */
    bool refuse;                /* what cannot be, instead of leaving it out */
    const struct json *allowed; /* the names of tool_choice allowed_tools, or NULL: all; borrowed */
};

void responses_tools_init(struct responses_tools *t);
void responses_tools_clear(struct responses_tools *t);

/* tools and choice: the request's members, or NULL; choice must stay until the end. With `refuse`, a
 * tool that cannot be is refused instead of left out. */
err responses_tools_read(struct responses_tools *t, const struct json *tools,
                         const struct json *choice, bool refuse, struct responses_fault *fault);

/* Adds those of the items of type additional_tools, except for what is there already. items: of the
 * conversation, or anything else, which has none. param: where they stand in the request. */
err responses_tools_add(struct responses_tools *t, const struct json *items, const char *param,
                        struct responses_fault *fault);

/* There are no more. Reads the choice, which must be one that can be made. */
err responses_tools_end(struct responses_tools *t, const struct json *choice,
                        struct responses_fault *fault);

/* The tool that the engine calls by this name; NULL: none. */
const struct responses_tool *responses_tools_find(const struct responses_tools *t, bytes chat_name);

/* Appends what the engine calls that tool. */
err responses_tools_name(struct buf *out, bytes space, bytes name);
