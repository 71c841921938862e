/*
 * enclave-worker/page.h - what a worker says in the clear: keys, evidence, health, metrics.
 *
 * Nothing here is secret, and nothing here is to be believed without the attestation.
 */
#pragma once

#include "enclave-worker/worker.h"

enum { PAGE_BODY_MAX = 1024 };

/* Becomes the stream's owner and answers. ERR_NOMEM: the stream is still the caller's. */
err page_start(struct worker *w, struct link_stream *s, const struct link_request *req);
