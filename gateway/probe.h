/*
 * gateway/probe.h - asks workers, where there are several, whether they do their work and what models they
 * have.
 *
 * Lives on the control thread. Each worker that is trusted is asked GET /v1/models now and then, sealed to
 * its key as any request is: so the question goes all the way to the engine, and nobody else can answer it.
 * One that fails to answer twice in succession, or says that its engine is not there, is sick until it
 * answers again. A worker that is alone is not asked: there is nobody else to choose.
 */
#pragma once

#include "base/log.h"
#include "base/loop.h"
#include "gateway/findings.h"
#include "gateway/trusted.h"

struct probe;
struct tls_context;

enum {
    PROBE_FAILURES = 2,       /* in succession: sick */
    PROBE_PATIENCE_MS = 10000 /* for an answer */
};

struct probe_settings {
    uint64_t every_ms;       /* 0: nobody is asked */
    struct tls_context *tls; /* for tls:// workers; borrowed */
    bytes authorization;     /* "Bearer ...", or empty; borrowed */
    struct log *log;         /* borrowed */
    /* Something has changed; borrowed for the time of the call. */
    void (*found)(void *owner, struct findings *findings);
    void *owner;
};

err probe_new(struct probe **out, struct loop *loop, const struct probe_settings *settings);
void probe_free(struct probe *p); /* NULL is allowed */

/* Who is trusted now. */
void probe_update(struct probe *p, const struct trust_view *view);
/* Workers that are sick. */
size_t probe_sick(const struct probe *p);
