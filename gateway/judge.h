/*
 * gateway/judge.h - evidence is judged beside the shard's thread, so that no stream waits for it.
 *
 * One question at a time per shard, each on a thread that lives as long; the others wait in order.
 * All functions belong to the shard's thread.
 */
#pragma once

#include <pthread.h>

#include "base/loop.h"
#include "gateway/evidence.h"

enum { JUDGE_WAITING_MAX = 16 };

/* Embedded in its owner, who keeps it until done(). Filled by the owner: body, now, done. */
struct judge_job {
    struct loop_mail mail;
    struct judge_job *next;
    struct buf body;
    int64_t now;
    void (*done)(struct judge_job *job); /* on the shard's thread, exactly once; may free the job */

    bool fine;              /* then findings are the answer, else error */
    struct buf findings;    /* owned by the job: for judge_job_clear() */
    struct api_error error; /* may borrow from findings */

    struct judge *judge; /* private, as all below */
    struct loop *loop;   /* where done() is called; the job's own, for its thread reads it */
    pthread_t thread;
    bool joined;
};

/* Zero is idle. */
struct judge {
    struct judge_job *running;
    struct judge_job *first; /* waiting */
    size_t waiting;
    bool ending;
};

/* ERR_LIMIT: JUDGE_WAITING_MAX wait already. ERR_SYSTEM: no thread. done() is not called then. */
err judge_start(struct judge *j, struct loop *loop, struct judge_job *job);

/* For the way down: waits for the one that runs, whose done() comes with loop_deliver(), and calls
 * done() of those that wait, not fine. */
void judge_end(struct judge *j);

void judge_job_clear(struct judge_job *job);
