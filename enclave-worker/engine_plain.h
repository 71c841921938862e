/*
 * enclave-worker/engine_plain.h - the engine of engine_http.h when it is asked without TLS, which is
 * how an engine beside us is asked: HTTP/1.1 on our own sockets instead of libcurl's.
 *
 * For what it costs: libcurl takes 16 us per request, 3 us per event of a stream and 17 KB per open
 * stream more than this, and keeps reading one engine that always has more.
 */
#pragma once

#include "enclave-worker/engine_http.h"

/* As engine_http_new(), for http:// and unix: only; ERR_CONFIG for https://. */
err engine_plain_new(struct engine **out, struct loop *loop,
                     const struct engine_http_settings *settings);
