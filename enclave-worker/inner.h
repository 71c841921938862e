/*
 * enclave-worker/inner.h - what a worker wants to know of the request that was inside, and what of
 * it goes to the engine.
 */
#pragma once

#include "enclave-worker/engine.h"
#include "wire/kept.h"
#include "wire/trace.h"

enum inner_date { INNER_DATE_STALE = 0, INNER_DATE_NONE, INNER_DATE_CURRENT };

/* Is the date inside within window_s of now? */
enum inner_date inner_date(const struct kept *request, int64_t now, uint64_t window_s);

/* Holds the texts of fields that are made for an engine. */
struct inner_trace {
    struct trace_found found;
    char parent[TRACE_PARENT_LEN + 1];
};

/* Reads the trace that the request belongs to. */
void inner_trace(const struct kept *request, struct inner_trace *out);

/*
 * The fields to pass on to an engine. `authorization` replaces the client's own when it is not
 * empty; with keep_authorization false the client's own is left out. `trace` stays in place as long
 * as they.
 */
size_t inner_engine_fields(const struct kept *request, bytes authorization, bool keep_authorization,
                           const struct inner_trace *trace,
                           struct engine_field out[static ENGINE_FIELDS_MAX]);
