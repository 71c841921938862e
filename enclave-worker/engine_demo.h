/*
 * enclave-worker/engine_demo.h - the built-in engine: no model, no I/O, always there.
 *
 * It answers /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models for the models
 * `demo` and `demo/slash` the way an OpenAI-compatible server would, token by token when streaming,
 * so that a first try, a test and a bench need nothing else. The same request always gets the same
 * answer, but for its id and date.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "enclave-worker/engine.h"

struct loop;

enum {
    ENGINE_DEMO_BODY_MAX = 64 * 1024 * 1024, /* bytes of a request */
    ENGINE_DEMO_CHOICES_MAX = 16,            /* n */
    ENGINE_DEMO_INPUTS_MAX = 2048,           /* inputs of one embeddings request */
    ENGINE_DEMO_DIMENSIONS_MAX = 4096,
    ENGINE_DEMO_TOKENS_MAX = 100000, /* tokens of one answer */
};

struct engine_demo_settings {
    uint64_t token_ms; /* between two tokens of a stream; 0 = one per turn of the loop */
};

/* Copies the settings; borrows the loop. */
err engine_demo_new(struct engine **out, struct loop *loop,
                    const struct engine_demo_settings *settings);
