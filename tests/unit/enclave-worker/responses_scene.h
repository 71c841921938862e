/*
 * tests/unit/enclave-worker/responses_scene.h - an engine that knows the Responses API, in front of
 * another one, which says what the test tells it to.
 */
#pragma once

#include "base/loop.h"
#include "enclave-worker/engine_responses.h"
#include "enclave-worker/responses_job.h"
#include "tests/lib/law.h"

enum { TURNS = 4, SCENE_STORE = 1024 * 1024 };

/* ---- the inner engine ---- */

struct fake_call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    char path[128];
    char body[256]; /* the first of it */
    bool paused;
    struct fake_call *next;
};

struct fake {
    struct engine base;
    struct fake_call *calls; /* the newest first */
    size_t starts, cancels;
    bool full;
};

/* ---- the scene ---- */

/* What the owner of a call was told. */
struct run {
    struct engine_call *call; /* NULL once it is gone */
    unsigned status;
    char type[64];
    struct buf body;
    size_t heads, ends;
    size_t largest; /* piece of the body */
    err why;
    bool wrong;   /* something came when it must not */
    bool pausing; /* pauses in every callback */
    bool paused;
    bool starting; /* start() has not returned */
    int cancel_in; /* 'h' or 'b': cancels in that callback */
};

struct scene {
    struct loop *loop;
    struct fake fake;
    struct engine *engine;
    struct responses_jobs *jobs;
    struct tab *tab; /* what requests owe, and whether they ask for the background; or NULL */
    bool background;
};
extern struct scene at;

#define STREAM "{\"model\":\"m\",\"input\":\"i\",\"stream\":true}"
#define WHOLE "{\"model\":\"m\",\"input\":\"i\"}"
#define HEAVY "{\"model\":\"m\",\"input\":\"i\",\"background\":true}"
#define DELTA "data: {\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}\n\n"
#define LAST "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define ANSWER "{\"choices\":[{\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}"

/* A group's set-up. */
int crypto_start(void **state);

void open_scene(enum responses_mode mode);
void open_scene_of(enum responses_mode mode, uint64_t store_max);
void close_scene(void);

/* A few turns of the loop. A run that pauses is resumed; NULL: none. */
void turns(struct run *r);

err start_as(struct run *r, const char *method, const char *path, const char *body, uint8_t who);
void start(struct run *r, const char *body);
void finish(struct run *r);

/* The inner engine speaks on its newest call, if it is not held back. */
void say_head(unsigned status, const char *type);
void say(const char *text);
void say_end(err why);

bool said(struct run *r, const char *words);

/* The path of the id in what was said. */
void take_path(struct run *r, const char *behind, char out[static 128]);

/* The status of a request that is answered with these words in it. */
unsigned ask_for(const char *method, const char *path, uint8_t who, const char *words);
