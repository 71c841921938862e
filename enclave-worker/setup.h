/*
 * enclave-worker/setup.h - what a worker is put together from that takes more than one step: its
 * engines, and what needs a secret.
 *
 * ERR_CONFIG comes with a message for whoever wrote the settings.
 */
#pragma once

#include "enclave-worker/engines.h"
#include "enclave-worker/responses_job.h"
#include "enclave-worker/worker.h"

/* Appends "NAME: what", and is ERR_CONFIG. */
err setup_complain(struct buf *message, const char *name, const char *what);

struct setup_engines {
    const struct worker_settings *settings;
    struct loop *loop;
    struct responses_jobs *jobs;
};

/* One engine, or several as one. *table says which serves what; NULL when there is one only. It is
 * the caller's also on failure, and outlives the engine. */
err setup_engines(const struct setup_engines *with, struct engine **out, struct engines **table,
                  struct buf *message);

/* The engine's token, the clients' tokens, the pool's key and the pool: w->engine_authorization,
 * ->tokens and ->pool. Settings, log, loop and keys are there, and w->prove knows which TEE this
 * is, so that what is sealed to it can be read. */
err setup_secrets(struct worker *w, struct buf *message);
