/*
 * enclave-worker/engine_http_base.h - the settings of an engine that speaks HTTP, checked and with
 * their defaults; the same for both ways of asking it.
 */
#pragma once

#include "base/buf.h"
#include "base/sock.h"
#include "enclave-worker/engine_http.h"

struct http_base {
    struct buf url;           /* scheme, authority and prefix, no slash at the end */
    struct buf unix_path;     /* empty: over TCP */
    struct buf authorization; /* the engine's own, or empty */
    struct buf about;         /* see engine_describe() */
    uint64_t connect_ms;
    uint64_t first_byte_ms;
    uint64_t idle_ms;
    size_t calls_max;
};

void http_base_init(struct http_base *b);
/* ERR_CONFIG for what cannot be used. */
err http_base_set(struct http_base *b, const struct engine_http_settings *settings);
void http_base_clear(struct http_base *b);

/* Of url, borrowed: what stands behind the scheme up to the path, and the path. */
bytes http_base_authority(const struct http_base *b);
bytes http_base_prefix(const struct http_base *b);

/* Where to connect to, without TLS. CONFIG for https://, LIMIT for what is too long. */
err http_base_address(const struct http_base *b, struct sock_addr *out);
