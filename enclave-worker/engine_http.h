/*
 * enclave-worker/engine_http.h - an engine that is a server speaking HTTP/1.1 beside us: llama.cpp,
 * vLLM, Ollama, anything that knows /v1/chat/completions.
 *
 * libcurl's multi interface on the loop; the worker uses it for https:// and engine_plain.h, which
 * obeys the same laws, for the rest. Connections are kept and used again. It follows no
 * redirect, keeps no cookie, reads no proxy from the environment and asks for no compression, so
 * that what the engine sent is what gets hashed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "enclave-worker/engine.h"

struct loop;

enum {
    ENGINE_HTTP_HEAD_MAX = 64 * 1024, /* bytes of an answer's head */
    ENGINE_HTTP_CALLS_MAX = 65536,    /* what `calls_max` may be set to */
};

struct engine_http_settings {
    /* http://host:port, https://host:port, either with a path in front of /v1, or unix:/path. A
     * base that ends in /v1 is taken as the one without it. */
    const char *url;
    const char *ca_path;    /* https: the file of roots to trust; NULL = the system's */
    const char *token_path; /* a file whose first line is sent as the bearer token; NULL = none */
    uint64_t connect_ms;    /* 0 = 5 s */
    uint64_t first_byte_ms; /* from start to the answer's head; 0 = 600 s */
    uint64_t idle_ms;       /* between two pieces of a body, not counting pauses; 0 = 120 s */
    size_t calls_max;       /* at the same time; 0 = 1024 */
};

/* Copies the settings; borrows the loop. ERR_CONFIG for a base URL or token file that cannot be
 * used. */
err engine_http_new(struct engine **out, struct loop *loop,
                    const struct engine_http_settings *settings);
