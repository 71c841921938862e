/*
 * enclave-worker/page.h - what a worker says in the clear: keys, evidence, health, metrics.
 *
 * Nothing here is secret, and nothing here is to be believed without the attestation.
 */
#pragma once

#include "enclave-worker/worker.h"

enum {
    PAGE_BODY_MAX = 1024,
    PAGE_COST = 4096, /* what a page is taken to need besides its answer */
    PAGES_UNREAD_MAX =
        1024 * 1024 /* of one connection, all pages together, before the last of them */
};

/* Becomes the stream's owner and answers. ERR_NOMEM, and ERR_LIMIT when too much is unread on its
 * connection: the stream is still the caller's. */
err page_start(struct worker *w, struct link_stream *s, const struct link_request *req);

/* The same, with an answer in the clear to what is no page. */
err page_refuse(struct worker *w, struct link_stream *s, unsigned status, const char *type,
                const char *title);
