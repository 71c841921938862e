/*
 * wire/trace.h - which trace a request belongs to: traceparent and tracestate, as W3C Trace Context
 * (Recommendation of 2021-11-23) says.
 *
 * What others send is read strictly and written anew, so that nothing but a trace's name goes on: a
 * traceparent that is not as it should be, or comes twice, counts as none, and its tracestate goes
 * with it (section 3.2.2.6). Pure; safe from any thread.
 */
#pragma once

#include "wire/bhttp.h"

enum {
    TRACE_ID_LEN = 16,
    TRACE_SPAN_LEN = 8,
    TRACE_PARENT_LEN = 55, /* characters of a traceparent of version 00 */
    TRACE_STATE_MAX = 512, /* characters of a tracestate; longer ones are left out */
    TRACE_MEMBERS_MAX = 32 /* of a tracestate */
};

enum { TRACE_SAMPLED = 1U };

/* Zero is no trace. */
struct trace {
    uint8_t id[TRACE_ID_LEN];
    uint8_t span[TRACE_SPAN_LEN]; /* whose parent the next hop's spans have */
    uint8_t flags;                /* TRACE_SAMPLED or 0 */
};

bool trace_is_set(const struct trace *t);

/* False, with *out zero, for what is no traceparent. Of versions to come, the first four parts are
 * read. */
bool trace_read(bytes traceparent, struct trace *out);

/* "00-ID-SPAN-FLAGS" with its NUL. */
void trace_write(const struct trace *t, char out[static TRACE_PARENT_LEN + 1]);

/* True for 1 to TRACE_MEMBERS_MAX members "key=value" in at most TRACE_STATE_MAX characters. */
bool trace_is_state(bytes tracestate);

/* The trace that fields in lower case name. */
struct trace_found {
    struct trace trace; /* zero: none */
    size_t state_len;   /* 0: none */
    char state[TRACE_STATE_MAX];
};

void trace_find(const struct bhttp_field *fields, size_t n, struct trace_found *out);

/* A span of our own below *parent, or of a new trace where that is zero. ERR_SYSTEM without
 * randomness. */
err trace_begin(const struct trace *parent, struct trace *out);
