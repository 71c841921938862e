/*
 * enclave-worker/engine.h - what a worker asks of whatever really runs the model.
 *
 * An engine answers HTTP-shaped requests: over a socket (engine_http) or by itself (engine_demo).
 * It knows nothing of sealing, receipts or sessions. Everything here happens on the thread of the
 * loop the engine was made with, and nothing blocks.
 *
 * The life of one call: start; then head once; then body any number of times; then end once. `end`
 * may come without a head. After `end` was called or cancel() was called, the call is gone: the
 * owner keeps no pointer to it. From start() until then the owner keeps the request's body in
 * place; method, path and fields are copied by start().
 *
 * No callback happens inside start(), pause() or resume(). Each of cancel(), pause() and resume()
 * may be called from inside head() and body(); none of them from inside end().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { ENGINE_FIELDS_MAX = 64 };

struct engine;
struct engine_call;
struct tab;

/* Names are in lower case on the way up. */
struct engine_field {
    bytes name;
    bytes value;
};

struct engine_request {
    bytes method;
    bytes path; /* begins with a slash; with query */
    const struct engine_field *fields;
    size_t fields_n; /* at most ENGINE_FIELDS_MAX, else ERR_LIMIT */
    bool counts;     /* an engine that can is to say how many tokens a stream took */
    bytes body;      /* borrowed until end() or cancel() */
    bytes model;     /* that the body asks for, unescaped; empty where it names none */
    bytes owner;     /* a digest of the credentials that it came with, for those who keep something;
                        empty: none came */
    bytes caller;    /* whose key it came with: not for the engine's eyes; empty: nobody's */
    bool background; /* asks for an answer that is made when this one has ended */
    struct tab *tab; /* what it owes, in place until end() or cancel(); whoever goes on behind those
                        takes it (enclave-worker/tab). NULL: nothing */
};

struct engine_events {
    /*
     * The final status (never 1xx) and the end-to-end fields worth passing on. content_length is -1
     * when the engine did not say. The fields are borrowed for the time of the call.
     */
    void (*head)(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                 int64_t content_length);
    /* Never empty; borrowed for the time of the call; does not come between pause() and
     * resume(). */
    void (*body)(void *owner, bytes piece);
    /*
     * OK only for a complete answer: as many bytes as its length said, or a clean end of its
     * framing. Else ERR_UNAVAILABLE (no connection), ERR_TIMEOUT, ERR_CLOSED (broken off),
     * ERR_MALFORMED (not HTTP), ERR_LIMIT (head too large), ERR_NOMEM. Does not come between
     * pause() and resume().
     */
    void (*end)(void *owner, err why);
};

struct engine_ops {
    const char *name;
    /* ERR_LIMIT when too many calls are running, ERR_MALFORMED for a request that HTTP cannot say;
     * *out is set only on success. */
    err (*start)(struct engine *e, const struct engine_request *request,
                 const struct engine_events *events, void *owner, struct engine_call **out);
    /* Holds back head, body and end, and soon the engine itself. Repeating it changes nothing. */
    void (*pause)(struct engine_call *call);
    void (*resume)(struct engine_call *call);
    /* Takes the call: no further callback. The engine sees its connection closed at once. */
    void (*cancel)(struct engine_call *call);
    /* One line that says which engine this is and how it is set, the same for every run with the
     * same settings and without secrets; it is what gets hashed when there is no model manifest.
     * Lives as long as the engine. */
    bytes (*describe)(struct engine *e);
    /* Calls that are left are cancelled. */
    void (*free)(struct engine *e);
};

struct engine {
    const struct engine_ops *ops;
};

/* The first field of every engine_call. */
struct engine_call {
    struct engine *engine;
};

static inline err engine_start(struct engine *e, const struct engine_request *request,
                               const struct engine_events *events, void *owner,
                               struct engine_call **out)
{
    return e->ops->start(e, request, events, owner, out);
}

static inline void engine_pause(struct engine_call *call)
{
    call->engine->ops->pause(call);
}

static inline void engine_resume(struct engine_call *call)
{
    call->engine->ops->resume(call);
}

/* NULL is allowed. */
static inline void engine_cancel(struct engine_call *call)
{
    if (call != NULL)
        call->engine->ops->cancel(call);
}

static inline bytes engine_describe(struct engine *e)
{
    return e->ops->describe(e);
}

/* NULL is allowed. */
static inline void engine_free(struct engine *e)
{
    if (e != NULL)
        e->ops->free(e);
}
