/*
 * enclave-worker/demo_ask.h - what a request to the demo engine asks for, checked.
 *
 * Accepts what OpenAI's API accepts and passes over members it does not know; what it knows must
 * have the right type and range, else the request is refused with the name of the parameter. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/error.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

struct json;

enum {
    DEMO_SAID_MAX = 64 * 1024, /* bytes of the last message that are looked at */
    DEMO_PROMPTS_MAX = 64,     /* prompts of one completion request */
    DEMO_MODEL_MAX = 64,
};

struct demo_ask {
    char model[DEMO_MODEL_MAX];
    bool stream;
    bool include_usage;
    bool parallel;       /* more than one tool may be called */
    bool answering_tool; /* the last message is a tool's result */
    size_t n;
    uint64_t tokens_max;
    size_t prompt_len; /* bytes of all prompts and messages */
    size_t prompts_n;  /* completions only */
    struct buf said;   /* the last user's (or tool's) text, or the first prompt */
    const struct json *stop;
    const struct json *tools;
    const struct json *tool_choice;
    const struct json *response_format;
};

/* What is wrong with a request; cause and where. */
struct demo_fault {
    enum error_cause cause;
    char param[64];
};

void demo_ask_clear(struct demo_ask *ask);

/* False, with *fault set, for a model that is not ours or that is not named. */
bool demo_ask_model(const struct json *root, struct demo_ask *out, struct demo_fault *fault);
bool demo_is_model(bytes name);

/* Both borrow from root. False with *fault set; out of memory is ERROR_OVERLOADED. */
bool demo_ask_chat(const struct json *root, struct demo_ask *out, struct demo_fault *fault);
bool demo_ask_completion(const struct json *root, struct demo_ask *out, struct demo_fault *fault);

/* Notes a fault; always false. */
bool demo_blame(struct demo_fault *fault, enum error_cause cause, const char *param);
