/*
 * base/curl_loop.h - libcurl's multi interface on the loop: libcurl says which sockets and
 * which moment it waits for, the loop tells it when they come.
 *
 * Transfers are CURL handles. Memory of libcurl comes from base/mem.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct loop;
struct curl_loop;

/* libcurl is through with a transfer, whose CURLOPT_PRIVATE this is; result is a CURLcode. Not called
 * while libcurl is at work: the transfer may be removed, others added. */
typedef void curl_loop_done_fn(void *transfer, int result);

struct curl_loop_settings {
    size_t kept_max;  /* connections that stay open; 0: as libcurl has it */
    size_t host_max;  /* to one service, the rest waits its turn; 0: any number */
    bool multiplexes; /* several transfers on one connection of HTTP/2 */
    curl_loop_done_fn *done;
};

/* Borrows the loop. NOMEM, SYSTEM when libcurl cannot be set up. */
err curl_loop_new(struct curl_loop **out, struct loop *loop,
                  const struct curl_loop_settings *settings);

/* All transfers have been removed. NULL is allowed. */
void curl_loop_free(struct curl_loop *l);

/* True inside a callback of libcurl: then nothing may be added or removed. */
bool curl_loop_is_inside(const struct curl_loop *l);

/* NOMEM when libcurl does not take it. Its callbacks come later, from the loop. */
err curl_loop_add(struct curl_loop *l, void *easy);

/* Takes the transfer back, and closes the connection of one that is not through. */
void curl_loop_remove(struct curl_loop *l, void *easy);

/* After a callback of the transfer has answered CURL_WRITEFUNC_PAUSE: it is called again, at once. */
void curl_loop_resume(struct curl_loop *l, void *easy);
