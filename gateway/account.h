/*
 * gateway/account.h - what requests came to, for those who watch: metrics under the names of
 * OpenTelemetry's GenAI conventions, and a line in the usage log. Never content, never a model's
 * name: it may be anything a client writes.
 */
#pragma once

#include "api/route.h"
#include "base/allowance.h"
#include "base/log.h"
#include "base/metrics.h"
#include "wire/otlp.h"

struct metering;

#define ACCOUNT_REQUEST_ID "sealgate.request_id"

enum account_operation {
    ACCOUNT_CHAT = 0, /* chat completions and responses */
    ACCOUNT_TEXT_COMPLETION,
    ACCOUNT_EMBEDDINGS,
    ACCOUNT_OPERATIONS
};

/* gen_ai.operation.name; ACCOUNT_OPERATIONS for routes that are none. */
enum account_operation account_operation(enum route_kind route);
extern const char *const account_operation_words[ACCOUNT_OPERATIONS];

enum account_end {
    ACCOUNT_WHOLE = 0,
    ACCOUNT_4XX,
    ACCOUNT_5XX,
    ACCOUNT_GONE,
    ACCOUNT_CUT,
    ACCOUNT_ENDS
};
extern const char *const account_end_words[ACCOUNT_ENDS]; /* error.type */

struct account_facts {
    enum route_kind route;
    const char *request_id;
    const char *key;   /* the name of its key, or NULL */
    unsigned status;   /* that the client saw; 0: none */
    bool gone;         /* the client left before the end */
    bool cut;          /* we broke off */
    bool background;   /* what was made in the background is not in `use` */
    uint64_t us;       /* from the request's head to the end */
    uint64_t first_us; /* to the first byte of content; 0: none came */
    struct allowance_use use;
};

enum account_end account_end(const struct account_facts *facts);

/* The same as a span of a server, from now - us to now; borrows from *facts. trace: its own; parent:
 * TRACE_SPAN_LEN bytes, zero for none. */
void account_span(const struct account_facts *facts, const struct trace *trace,
                  const uint8_t *parent, uint64_t now_ns, struct otlp_span *out);

/* Counts, and writes the line; usage: NULL for no log. */
void account_note(struct log *usage, const struct metering *m, struct metrics_block *block,
                  const struct account_facts *facts);

/* Opens the log of usage for appending. ERR_SYSTEM. */
err account_log_open(struct log **out, int *fd, const char *path);
