/*
 * gateway/seal.h - one request sealed, one answer opened: Binary HTTP inside chunked OHTTP.
 *
 * No I/O of its own. The request is sealed piece by piece, as far as there is room for it; the answer is opened
 * as it arrives, freed of padding, and handed on. What does not verify is never shown.
 */
#pragma once

#include "gateway/trusted.h"
#include "wire/kept.h"
#include "wire/link.h"
#include "wire/ohttp.h"

struct seal;

/* Called out of seal_open(); what they are given is valid during the call. */
struct seal_events {
    err (*head)(void *owner, const struct bhttp_head *head);
    err (*content)(void *owner, bytes piece);
    /* The content is complete. receipt: the raw receipt, or empty. */
    err (*complete)(void *owner, bytes receipt);
};

struct seal_request {
    bytes method;
    bytes path;
    const struct bhttp_field *fields;
    size_t fields_n;
    bytes content; /* stays in place until sealed */
};

/* Seals to the worker's key. ERR_UNSUPPORTED: it offers none of our AEADs. *events must outlive it.
 */
err seal_new(struct seal **out, const struct trusted *to, const struct seal_request *request,
             const struct seal_events *events, void *owner);
void seal_free(struct seal *s);

/* The stream of a sealed request to that worker, without its body. Errors of link_submit(). */
err seal_submit(const struct trusted *to, struct link *link, struct link_stream **out, void *owner);

/* Appends the next sealed bytes: of the content as many as fill `room`, but at least one chunk. *done
 * once the final chunk is out. */
err seal_next(struct seal *s, size_t room, struct buf *out, bool *done);

/* The next bytes of the worker's answer. `end`: the outer answer ended cleanly; TRUNCATED then,
 * unless it was complete. Any error is final. */
err seal_open(struct seal *s, bytes in, bool end);
