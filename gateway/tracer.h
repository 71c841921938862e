/*
 * gateway/tracer.h - spans on their way to a collector, by OTLP over HTTP (wire/otlp.h).
 *
 * Shards hand spans over as mail; the control thread gathers them and sends them, one request at a
 * time. Nothing waits for a collector: when TRACER_QUEUE_MAX spans are held, or a collector does not
 * take what it was sent, spans are dropped and counted.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "gateway/account.h"

struct tracer;

enum { TRACER_QUEUE_MAX = 4096, TRACER_DELAY_MS = 200 };

/* Everything is borrowed for the life of the tracer, but url, which is copied. */
struct tracer_settings {
    const char *url; /* of the collector, without OTLP_PATH */
    const char *service;
    struct log *log;
};

/* ERR_CONFIG: no such URL. */
err tracer_new(struct tracer **out, struct loop *control, const struct tracer_settings *settings);

/* On the control thread, when nobody posts any more; what is held is dropped. NULL is allowed. */
void tracer_free(struct tracer *t);

/* Any thread, without waiting; copies. The span's texts must live as long as the program, but those
 * of the attribute ACCOUNT_REQUEST_ID, which is copied. */
void tracer_post(struct tracer *t, const struct otlp_span *span);

/* Any thread: spans that were not delivered. */
uint64_t tracer_dropped(const struct tracer *t);
