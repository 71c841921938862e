/*
 * enclave-worker/responses_work.h - one answer of the Responses API, made out of an engine's chat
 * completion.
 *
 * Asks the engine, reads what it says into a responses_reply, and tells its owner at the end of the
 * turn that there is more of it: never from inside the engine's own callbacks, so that the owner may
 * free the work whenever it is told. In the background whatever goes wrong becomes the reply's
 * failure, since nobody waits for a status.
 */
#pragma once

#include "api/responses_ask.h"
#include "api/responses_chat.h"
#include "base/loop.h"
#include "enclave-worker/engine.h"
#include "wire/kept.h"

enum {
    WORK_BODY_MAX = 64 * 1024 * 1024, /* of an answer that is no stream, or an error */
    WORK_REFUSAL_MAX = 1024 * 1024    /* of an engine's error */
};

enum work_state {
    WORK_ASKED = 0, /* the engine has said nothing yet */
    WORK_RUNNING,   /* it has begun to answer */
    WORK_REFUSED,   /* it has said an error: status, head and body as they came */
    WORK_OVER,      /* the reply has ended */
    WORK_BROKEN     /* nothing came, or nothing can be said any more: why */
};

struct responses_work;
typedef void work_changed_fn(void *owner, struct responses_work *w);

struct responses_work {
    struct loop *loop;
    work_changed_fn *changed;
    void *owner;
    struct engine_call *call;
    enum work_state state;
    err why;
    unsigned status;
    struct kept head;
    struct buf body; /* of an error, or of an answer that is no stream */
    bool whole;      /* the answer is no stream */
    bool refused;    /* the body is an error's */
    bool paused;
    struct responses_ask ask;
    struct buf request; /* for the engine */
    struct responses_reply reply;
    struct responses_chat chat;
    struct loop_task told;
};

struct work_settings {
    struct loop *loop;
    struct engine *engine;
    const struct engine_field *fields; /* of the request, for the engine */
    size_t fields_n;
    const char *id; /* of the answer */
    int64_t created_at;
};

/* Takes *ask and *request (the engine's) on success. *w is the caller's storage and stays in place;
 * it is cleared in any case by the caller. Errors as engine_start(). */
err work_start(struct responses_work *w, const struct work_settings *settings,
               struct responses_ask *ask, struct buf *request, work_changed_fn *changed,
               void *owner);
void work_clear(struct responses_work *w);

/* The owner is told at the end of the turn, as if there were more. */
void work_tell(struct responses_work *w);

/* Holds the engine back. */
void work_pause(struct responses_work *w, bool pause);

/* Calls it off: the reply fails with this message. */
err work_fail(struct responses_work *w, const char *message);

/* Calls it off: the reply ends as cancelled. */
err work_cancel(struct responses_work *w);
