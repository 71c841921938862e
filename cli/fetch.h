/* cli/fetch.h - one HTTP request, waited for. */
#pragma once

#include "base/buf.h"

struct fetch {
    const char *url;       /* http://, https:// */
    const char *unix_path; /* connect there instead; NULL: by the URL */
    const char *ca_path;   /* roots to trust; NULL: the system's */
    bool http2;            /* prior knowledge */
    const char *accept;    /* NULL: none */
    const char *token;     /* bearer; NULL: none */
    bytes body;            /* JSON to post; empty: GET */
    long timeout_s;        /* 0: none */
    /* Called with pieces as they come, when set; else they are appended to `out`. False stops. */
    bool (*piece)(void *owner, bytes in);
    void *owner;
    struct buf *out;
};

/* ERR_UNAVAILABLE and a sentence in *message when there was no answer; ERR_LIMIT when it does not
 * fit; ERR_CLOSED when it broke off. */
err fetch_run(const struct fetch *f, long *status, struct buf *message);
