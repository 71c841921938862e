/* enclave-worker/metering.h - what a worker counts and shows to its host: no names, no keys. */
#pragma once

#include "base/err.h"

struct worker_metrics;

/* Registers everything, and takes the block of the one thread. Frees nothing on failure: m->set is
 * the caller's, to metrics_free(). */
err metering_open(struct worker_metrics *m);
