/*
 * enclave-worker/responses_job.h - answers of the Responses API that are being made, who follows
 * them, and their end in the store.
 *
 * A job in the foreground has one follower and ends with it. One in the background goes on without,
 * may have several, and keeps all of its events, so that each can begin where it wants. What it holds
 * counts against the store's budget while it is made, and it fails when there is no room; it owes
 * what its request did, its place and its tokens, until it is over.
 */
#pragma once

#include "enclave-worker/responses_handout.h"
#include "enclave-worker/responses_store.h"
#include "enclave-worker/responses_work.h"
#include "enclave-worker/tab.h"

struct responses_job;

enum { RESPONSES_TAG_LEN = 8 };

struct responses_jobs_settings {
    uint64_t store_max; /* bytes of answers that are kept; 0: none is */
    uint64_t store_ms;  /* how long */
    uint64_t held_max; /* bytes that are held at a time, all together: by jobs of their requests and
                           of what came before these, by followers of what they are to be told;
                           0: no limit */
    const char *tag;   /* RESPONSES_TAG_LEN characters of every id, by which follow-ups find this
                           worker again; copied */
};

/* What all engines of a worker share. */
struct responses_jobs {
    struct loop *loop;
    struct responses_store *store; /* NULL: nothing is kept */
    uint64_t held, held_max;
    char tag[RESPONSES_TAG_LEN + 1];
    struct responses_job *list;
};

/* Borrows the loop. */
err responses_jobs_new(struct responses_jobs **out, struct loop *loop,
                       const struct responses_jobs_settings *settings);
void responses_jobs_free(struct responses_jobs *jobs); /* NULL is allowed */

/* Ends those that ask this engine, before it goes. */
void responses_jobs_end(struct responses_jobs *jobs, const struct engine *engine);

/* Whether an id was given by this worker. */
bool responses_jobs_named(const struct responses_jobs *jobs, bytes id);

/* Part of whoever wants an answer; zero follows nothing. */
struct responses_follower {
    struct handout *to;
    bool events;    /* else the object, once it is complete */
    bool skips;     /* the events up to and with `after` */
    uint64_t after; /* a sequence number */
    size_t at;      /* bytes of the events that were handed out; private from here on */
    struct responses_jobs *budget;
    uint64_t held; /* of it */
    struct responses_job *job;
    struct responses_follower *next, **prev;
};

struct job_settings {
    struct engine *engine;             /* that is asked for a chat completion; borrowed */
    bool *chat_known;                  /* is set when it has answered one; outlives the job */
    const struct engine_field *fields; /* of the request, for the engine */
    size_t fields_n;
    char id[RESPONSES_ID_MAX + 1];
    uint8_t owner[STORE_OWNER_LEN];
    bytes context;   /* the items that came before, commas between them; copied */
    struct tab *tab; /* what the request owes; a job in the background takes it. NULL: nothing */
};

/*
 * Takes *ask and *chat (the engine's request). The follower's `to` and `events` are set; it may be
 * NULL for a job in the background. Errors as engine_start(), ERR_LIMIT also over held_max.
 */
err responses_job_start(struct responses_jobs *jobs, const struct job_settings *settings,
                        struct responses_ask *ask, struct buf *chat,
                        struct responses_follower *follower, struct responses_job **out);

/* A job in the background that is under way, or has ended in this turn and is not in the store yet;
 * NULL: none, or somebody else's. */
struct responses_job *responses_job_find(const struct responses_jobs *jobs, bytes id,
                                         const uint8_t owner[static STORE_OWNER_LEN]);

const struct responses_work *responses_job_work(const struct responses_job *job);
void responses_job_items(const struct responses_job *job, bytes *input);

void responses_job_follow(struct responses_job *job, struct responses_follower *follower);

/* n bytes wait for whoever follows, until he leaves. ERR_LIMIT over held_max. */
err responses_follower_hold(struct responses_follower *follower, struct responses_jobs *jobs,
                            uint64_t n);

/* Of one that follows nothing, too. Ends a job in the foreground. */
void responses_job_leave(struct responses_follower *follower);

/* Holds the engine of a job in the foreground back; of one in the background only this follower. */
void responses_job_pause(const struct responses_follower *follower, bool pause);

/* Calls it off; with `forget` it is not kept either. */
err responses_job_cancel(struct responses_job *job, bool forget);
