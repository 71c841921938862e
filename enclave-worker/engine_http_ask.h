/*
 * enclave-worker/engine_http_ask.h - puts a request onto a libcurl handle.
 *
 * Small bodies are copied, so that head and body leave in one write and a cancelled request has
 * nothing borrowed left; large ones are read from the owner's memory as the socket takes them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "enclave-worker/engine.h"

struct curl_slist;

struct http_ask {
    void *easy; /* the CURL handle; not owned */
    struct curl_slist *lines;
    struct buf small;
    bytes large;
    size_t sent;
    bool given_up; /* nothing more may be read from `large` */
    bool no_body;  /* the answer has none: HEAD */
};

/* The part that is the same for every request on this handle, which keeps a pointer to *a. */
err http_ask_init(struct http_ask *a, void *easy);

/*
 * base_url: scheme and host, no slash at the end; authorization: sent in place of the request's
 * own, or empty. ERR_MALFORMED for what HTTP cannot say, ERR_LIMIT for what is too long. Fields
 * that belong to the connection (host, content-length, transfer-encoding and so on) are left out.
 */
err http_ask_set(struct http_ask *a, const struct engine_request *request, bytes base_url,
                 bytes authorization);

/* Forgets the request; the handle must not be in use. */
void http_ask_clear(struct http_ask *a);

/*
 * The same request as bytes, without libcurl: its head, with Content-Length where there is a body to
 * follow. authority: for Host; prefix: in front of the path. Errors as http_ask_set().
 */
err http_ask_write(struct buf *out, const struct engine_request *request, bytes authority,
                   bytes prefix, bytes authorization);

/* True for the value of a field as it may be sent: no control characters. */
bool http_ask_is_value(bytes b);
