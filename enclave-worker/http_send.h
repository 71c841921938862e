/*
 * enclave-worker/http_send.h - a request on its way to an engine over a plain socket, and how much of
 * it has been sent.
 *
 * Head and small bodies leave in one write; large bodies are read from their owner's memory as the
 * socket takes them, their head waiting in the kernel for the first of it.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "enclave-worker/engine.h"
#include "enclave-worker/engine_http_base.h"

enum {
    HTTP_SEND_SMALL_MAX = 64 * 1024, /* bytes of a body that is sent together with the head */
    HTTP_SEND_MAX = 1024 * 1024      /* bytes of head and small body */
};

struct http_send {
    struct buf first; /* the head, and a small body */
    size_t first_at;
    bytes large; /* borrowed: a body that is not small */
    size_t large_at;
    bool refused; /* the engine takes no more; it may have answered already, so that is read */
};

void http_send_init(struct http_send *s);
void http_send_clear(struct http_send *s);

/* Once. A large body is borrowed until http_send_clear(). Errors as http_ask_write(), and LIMIT over
 * HTTP_SEND_MAX. */
err http_send_set(struct http_send *s, const struct engine_request *request,
                  const struct http_base *to);

/* As much as the socket takes now. */
void http_send_some(struct http_send *s, int fd);

bool http_send_is_done(const struct http_send *s);

/* Whether it is worth waiting until the socket takes more. */
bool http_send_wants(const struct http_send *s);

/* From the beginning, on another connection. Not after http_send_forget(). */
void http_send_again(struct http_send *s);

/* A request that is answered is not sent again: when it is done, its memory is released. */
void http_send_forget(struct http_send *s);
