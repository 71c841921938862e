/*
 * gateway/fetch.h - GET and POST over HTTP, by libcurl on a loop, for what vendors publish.
 *
 * HTTPS, or HTTP where the URL says so. No redirect is followed, no cookie kept, no proxy taken from
 * the environment, no compression asked for; TLS 1.2 at least, the server's name checked against the
 * given roots or the system's. Everything is bounded: head, body, field, connecting and the whole.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct loop;
struct fetcher;
struct fetch;

enum {
    FETCH_URL_MAX = 4096,
    FETCH_HEAD_MAX = 128 * 1024,
    FETCH_AT_ONCE_MAX = 128,
    FETCH_SENT_MAX = 512 * 1024
};

struct fetcher_settings {
    const char *ca_path; /* a PEM file of roots; NULL: the system's */
    uint64_t connect_ms; /* 0: 10 s */
    uint64_t whole_ms;   /* 0: 30 s */
};

/* Copies the settings, borrows the loop. ERR_CONFIG: ca_path cannot be read. */
err fetcher_new(struct fetcher **out, struct loop *loop, const struct fetcher_settings *settings);

/* What is under way is dropped; nobody is told. NULL is allowed. */
void fetcher_free(struct fetcher *f);

struct fetch_request {
    const char *url;   /* http:// or https:// */
    const char *field; /* the field of the head that is wanted, or NULL */
    size_t field_max;
    size_t body_max;
    const char *media; /* NULL: GET; else POST of `content`, which is of that media type */
    bytes content;
};

/* Borrowed for the call. An answer of any status is an answer. */
struct fetch_answer {
    unsigned status;
    bytes body;
    bytes field;           /* empty: none */
    int64_t retry_after_s; /* -1: the answer does not say */
};

/* Once, never from inside fetch_start(). When e is not OK, there is no answer: UNAVAILABLE (nobody
 * there), TIMEOUT, CLOSED (cut), LIMIT (too large), UNTRUSTED (its certificate), MALFORMED, NOMEM. It
 * may start and cancel other fetches, but not free the fetcher. */
typedef void fetch_done_fn(void *owner, err e, const struct fetch_answer *answer);

/* *out is valid until `done` or fetch_cancel(). ERR_CONFIG: no such URL. ERR_LIMIT: more than
 * FETCH_AT_ONCE_MAX, or content over FETCH_SENT_MAX. Copies the request. */
err fetch_start(struct fetch **out, struct fetcher *f, const struct fetch_request *request,
                fetch_done_fn *done, void *owner);
void fetch_cancel(struct fetch *fetch);

/* True for http(s)://host[:port][/path] and nothing more in it, which something can be added to. */
bool fetch_is_base(const char *url);
