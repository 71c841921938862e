/*
 * enclave-worker/pool_member.h - a worker's connection to the keeper of its pool: keys come in, and
 * questions go out, as many at a time as there are requests.
 *
 * Belongs to the loop's thread. It connects again for ever; while there is no keeper, nothing is
 * answered "fresh".
 */
#pragma once

#include "base/loop.h"
#include "base/sock.h"
#include "enclave-worker/pool_keeper.h"

enum {
    POOL_ANSWER_MS = 2000, /* then a keeper counts as gone, and is asked anew */
    POOL_QUESTIONS_MAX = 8192
};

struct log;
struct pool_member;
struct pool_question;

/* The answer; POOL_NOTHING: there is none, the keeper is gone. Called from the loop, once. */
typedef void pool_answer_fn(struct pool_question *q, enum pool_verdict verdict);

/* Embedded in whoever asks. Zero waits for nothing. */
struct pool_question {
    struct pool_member *member; /* NULL: not waiting */
    pool_answer_fn *fn;
    uint64_t number;
    uint64_t asked_us;
    struct pool_question *next, *prev;
};

struct pool_member_settings {
    const struct pool_key *key;     /* borrowed for the call */
    const struct sock_addr *keeper; /* without the mark for TLS */
    pool_welcome_fn *welcome;       /* called with what a keeper said, if its times are these: */
    uint32_t key_life_s, key_grace_s, date_window_s;
    void *owner;
    struct log *log;
};

err pool_member_new(struct pool_member **out, struct loop *loop,
                    const struct pool_member_settings *settings);
/* Questions have been forgotten before. NULL is allowed. The loop has to turn once more before it is
 * freed. */
void pool_member_free(struct pool_member *m);

/* A keeper is there, and has said welcome. */
bool pool_member_ready(const struct pool_member *m);

/* fn is called later, never from inside. ERR_UNAVAILABLE when no keeper is there, or when too much
 * waits for it; fn is not called then. The number in *ask is filled in. */
err pool_member_ask(struct pool_member *m, struct pool_question *q, struct pool_ask *ask,
                    pool_answer_fn *fn);

/* fn is not called any more. Nothing happens to one that does not wait. */
void pool_question_forget(struct pool_question *q);
