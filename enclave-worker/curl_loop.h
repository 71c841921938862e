/*
 * enclave-worker/curl_loop.h - libcurl's multi interface on the loop: libcurl says which sockets and
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

/* Borrows the loop. Keeps as many connections open as there are transfers at most. */
err curl_loop_new(struct curl_loop **out, struct loop *loop, size_t transfers_max,
                  curl_loop_done_fn *done);

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
