/*
 * enclave-worker/engine_route.h - several engines as one, and what of a request is written anew on
 * its way to one of them.
 *
 *   - The model's name chooses the engine (enclave-worker/engines.h); start() is ERR_NOT_FOUND for a
 *     name that nobody serves. What names no model goes to the first engine.
 *   - An alias becomes the name that the engine knows; with `salt`, cache_salt is set to a text that
 *     depends on the caller and on a secret of this process, whatever the caller wrote there, so
 *     that no caller can see from an engine's prompt cache what others asked (vLLM). So it is in
 *     every JSON object; start() is ERR_MALFORMED for what only begins like one.
 *   - A stream whose tokens are to be counted asks for its usage, if it has no stream_options.
 *   - GET /v1/models and /v1/models/ID are answered from the table: all names that are written out.
 *     Other methods on a model go to its engine.
 *
 * A request that needs neither is handed on as it is, and costs nothing. One that does is held
 * twice: its receipt covers what the client sent.
 */
#pragma once

#include "enclave-worker/engine.h"
#include "enclave-worker/engines.h"

struct loop;

struct engine_route_settings {
    const struct engines *table;   /* borrowed; NULL: all goes to the first engine */
    struct engine *const *engines; /* one for each entry of the table, or one; copied */
    bool salt;
};

/* Borrows the loop; owns the engines from success on. */
err engine_route_new(struct engine **out, struct loop *loop,
                     const struct engine_route_settings *settings);
