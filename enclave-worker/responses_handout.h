/*
 * enclave-worker/responses_handout.h - the side of an engine's call that its owner sees: hands out a
 * head, a body and an end in that order, as far as the owner takes them.
 *
 * Everything happens from a task of the loop, so no callback comes from inside start(), pause() or
 * resume(), and whoever fills it may be anywhere.
 */
#pragma once

#include "api/error.h"
#include "base/loop.h"
#include "enclave-worker/engine.h"

enum {
    HANDOUT_MAX = 512 * 1024 * 1024, /* bytes that wait */
    HANDOUT_PIECE = 256 * 1024 /* of them that are handed out at a time: what the owner does not
                                        take stays here, and only here */
};

struct handout {
    struct engine_call base;
    struct loop *loop;
    const struct engine_events *events;
    void *owner;
    /* Releases whatever holds this; nothing is touched afterwards. */
    void (*release)(struct handout *h);
    /* Adds fields to a head, up to ENGINE_FIELDS_MAX in all; returns how many there are. NULL: none. */
    size_t (*add_fields)(const struct handout *h, struct engine_field *fields, size_t n);

    unsigned status; /* 0: no head yet */
    struct error_field fields[ERROR_FIELDS_MAX];
    size_t fields_n;
    struct buf out; /* the body; empty once all of it was handed out */
    size_t at;      /* what is before was handed out */
    bool done;      /* `out` is the last of it */
    err why;        /* how it ends */

    bool paused;
    bool begun; /* private from here on */
    bool busy;
    bool dead;
    struct loop_task task;
};

void handout_init(struct handout *h, struct engine *engine, struct loop *loop,
                  const struct engine_events *events, void *owner,
                  void (*release)(struct handout *h));
void handout_clear(struct handout *h);

/* Something was filled in. now: only from a task of the loop; it may be released in there. */
void handout_later(struct handout *h);
void handout_now(struct handout *h);

/* The whole of an answer: its media type, with `out` as its body; and an error. */
void handout_whole(struct handout *h, const char *type);
err handout_error(struct handout *h, const struct api_error *error);
/* Its end without more. */
void handout_end(struct handout *h, err why);

/* The head of a stream, once. */
void handout_stream(struct handout *h);

/* The owner's calls. cancel() releases now, or when the callback that it came from returns. */
void handout_pause(struct handout *h);
void handout_resume(struct handout *h);
void handout_cancel(struct handout *h);

/* Around a callback to the owner that is made elsewhere: true while the call lives and takes more. */
void handout_enter(struct handout *h);
bool handout_leave(struct handout *h);
