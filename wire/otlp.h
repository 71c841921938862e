/*
 * wire/otlp.h - spans as a collector takes them: an ExportTraceServiceRequest in the JSON encoding
 * of OTLP 1.x (ids in hex, 64-bit numbers as text, enumerations as numbers).
 *
 * Pure. Texts are the program's own words and checked ids; nothing of a request's content has a
 * place here.
 */
#pragma once

#include "base/buf.h"
#include "wire/trace.h"

enum { OTLP_ATTRIBUTES_MAX = 12, OTLP_SPANS_MAX = 64 };

#define OTLP_PATH "/v1/traces"

enum otlp_kind { OTLP_SERVER = 2, OTLP_CLIENT = 3 };

/* text, or where that is NULL, number. */
struct otlp_attribute {
    const char *key;
    const char *text;
    uint64_t number;
};

/* All borrowed. */
struct otlp_span {
    struct trace trace;             /* its own id is trace.span */
    uint8_t parent[TRACE_SPAN_LEN]; /* zero: it is a root */
    const char *name;
    enum otlp_kind kind;
    uint64_t start_ns; /* since 1970 */
    uint64_t end_ns;
    bool failed;
    struct otlp_attribute attributes[OTLP_ATTRIBUTES_MAX];
    size_t attributes_n;
};

/* Appends the request with up to OTLP_SPANS_MAX spans; service: service.name. */
err otlp_write(struct buf *out, const char *service, const struct otlp_span *spans, size_t n);
