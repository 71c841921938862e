/*
 * enclave-worker/engine_responses.h - an engine in front of another, which answers /v1/responses
 * whether or not the other one knows it.
 *
 * When the other engine speaks it, requests and answers pass untouched, follow-ups too. When it does
 * not, they go over its chat completions (api/responses_ask, responses_chat), and what is to be kept
 * is kept in the worker (responses_store). Which of the two is set, or found out: the first request is asked
 * as it is, and a 404, 405 or 501 leads to a chat completion in its place; if that is answered, so
 * is every later one. All other requests pass.
 */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "enclave-worker/engine.h"

struct loop;

enum responses_mode { RESPONSES_AUTO = 0, RESPONSES_NATIVE, RESPONSES_BRIDGE };

struct responses_jobs;

struct engine_responses_settings {
    enum responses_mode mode;
    bool refuse_tools; /* those that chat completions cannot express, instead of leaving them out */
    struct responses_jobs *jobs; /* shared with others; outlives the engine */
};

/* Borrows the loop; owns `inner` from success on. */
err engine_responses_new(struct engine **out, struct loop *loop, struct engine *inner,
                         const struct engine_responses_settings *settings);
