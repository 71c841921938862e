/*
 * enclave-worker/demo_embed.h - the demo engine's embeddings: numbers that depend on the input and
 * on nothing else, of length one. Pure.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "enclave-worker/demo_ask.h"

struct json;

enum {
    DEMO_VALUES_MAX = 1024 * 1024,        /* inputs times dimensions */
    DEMO_EMBED_MAX = 16 * DEMO_VALUES_MAX /* bytes of an answer */
};

/* Appends the whole answer. False with *fault set; out of memory is ERROR_OVERLOADED. */
bool demo_embed(const struct json *root, struct buf *out, struct demo_fault *fault);
