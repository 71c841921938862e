/*
 * tests/unit/enclave-worker/stage.h - a worker and a client of it on one loop, over a unix socket,
 * with an engine that says what the test tells it to.
 */
#pragma once

#include "enclave-worker/worker.h"
#include "tests/lib/law.h"
#include "wire/ehbp.h"
#include "wire/ohttp.h"

/* The engine's side of one request. */
struct stage_call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct stage_call *next;
    struct buf path;
    struct buf body;
    struct buf authorization;
    bool paused;
};

struct stage {
    struct loop *loop;
    struct loop_timer guard;
    struct loop_hook hook;
    bool (*done)(struct stage *s, void *arg);
    void *arg;

    struct config config;
    struct worker_settings settings;
    struct worker worker;
    struct link_listener *listener;
    struct manifest manifest;
    char folder[64];
    char address[96];

    struct engine engine;
    struct stage_call *calls; /* running, the newest first */
    size_t starts, cancels, pauses;
    bool full; /* takes no more */
    bool odd;  /* cannot be told what it is asked */

    struct link *link;
};

/* flags: as on the worker's command line, ended by NULL; NULL for none. tokens_file and pool_key_file
 * are no files but their content. */
void stage_open(struct stage *s, const char *const *flags);
void stage_close(struct stage *s);
/* A client in the place of the first, whose answers may have so many unread bytes; 0: the default. */
void stage_redial(struct stage *s, uint32_t window);

/* Lets the loop run until done() says so. */
void stage_until(struct stage *s, bool (*done)(struct stage *s, void *arg), void *arg);
/* A few turns. */
void stage_turns(struct stage *s);
/* Until the engine has been asked n times in all. */
void stage_until_asked(struct stage *s, size_t n);
/* The receipt is this worker's, of these contents, and of that id. */
void stage_check_receipt(const struct stage *s, bytes receipt, const char *id, bytes request,
                         bytes response, bool sse);

/* The engine speaks on its newest call; end() forgets the call. */
void stage_head(struct stage *s, unsigned status, const char *type, int64_t length);
void stage_body(struct stage *s, const char *text);
void stage_end(struct stage *s, err why);

/* A client's exchange. Everything is owned by it. */
struct stage_ask {
    struct link_stream *stream;
    enum ohttp_variant variant;
    struct ohttp_client *ohttp;
    struct ehbp_client *ehbp; /* of that door, in the place of ohttp */
    char key[EHBP_HEX_LEN + 1];
    const struct stage_request *request;
    struct buf sealed; /* the whole request */
    bool holds;        /* takes no more of the answer */

    unsigned outer; /* status */
    char media[64];
    char tag[24];     /* of the worker; empty: it says none */
    struct buf clear; /* an outer answer that is not sealed */
    bool ended;       /* END_STREAM */
    bool closed;
    enum link_close why;

    struct buf plain;
    err opened; /* why it did not open */
    enum ohttp_step step;

    /* of the answer inside */
    unsigned status;
    struct buf content; /* padding lines taken out of streams */
    char receipt_id[64];
    struct buf receipt;
    bool whole; /* Binary HTTP came to its end */

    char nonce[EHBP_HEX_LEN + 1]; /* EHBP: what came beside the body */
    struct buf beside;
    bool encoded; /* a content-encoding */
};

struct stage_request {
    const char *method; /* NULL: POST */
    const char *path;   /* NULL: /v1/chat/completions */
    bytes body;
    const char *authorization; /* NULL: none */
    int64_t date_off;          /* seconds from now */
    bool no_date;
    const char *nonce; /* NULL: none */
};

/* Seals a request into ask->sealed. */
void stage_seal(struct stage *s, struct stage_ask *ask, enum ohttp_variant variant,
                const struct stage_request *request);
/* The same for the EHBP door; *request is borrowed until the answer is here. */
void stage_seal_ehbp(struct stage *s, struct stage_ask *ask, const struct stage_request *request);
/* Sends ask->sealed from `from` on, up to n bytes; the first call opens the stream. */
void stage_send(struct stage *s, struct stage_ask *ask, size_t from, size_t n, bool end);
/* Both, whole. */
void stage_ask(struct stage *s, struct stage_ask *ask, enum ohttp_variant variant,
               const struct stage_request *request);
void stage_ask_ehbp(struct stage *s, struct stage_ask *ask, const struct stage_request *request);
/* Until the answer has ended in some way. */
void stage_answer(struct stage *s, struct stage_ask *ask);
void stage_ask_clear(struct stage_ask *ask);

/* A plain request for a page of the worker. */
void stage_get(struct stage *s, struct stage_ask *ask, const char *method, const char *path,
               bytes body);
