/*
 * enclave-worker/session_private.h - what session*.c share. Nobody else includes it.
 *
 * session.c has the request on its way in and the answer on its way out; session_pool.c asks whether
 * another worker of a pool has seen it; session_ask.c decides whether
 * the engine is asked, and asks it; session_engine.c hears what it says.
 */
#pragma once

#include "api/error.h"
#include "api/limits.h"
#include "api/peek.h"
#include "api/route.h"
#include "enclave-worker/answer.h"
#include "enclave-worker/session.h"
#include "enclave-worker/tab.h"

enum {
    SESSION_COLLECT_MAX = 1024 * 1024, /* of an answer that is looked at before it is passed on */
    SESSION_TARGET_MAX = 16 * 1024
};

enum session_state {
    SESSION_OPENING = 0,
    SESSION_CHECKING,
    SESSION_ASKING,
    SESSION_ANSWERING,
    SESSION_LINGERING
};

struct session {
    struct visit visit;
    enum session_state state;
    enum worker_outcome outcome;
    struct door *door;             /* has the request, as far as it has come */
    bool judged;                   /* who asks is known, and whether it was seen before */
    struct pool_question question; /* whether it was seen at any of the pool's workers */
    struct hash_wait hashing;      /* of the content, once it is complete */
    struct route_match route;
    struct peek peek;
    const struct token *key; /* that it came with; NULL: none was needed */
    struct tab tab;          /* what it owes, until that is settled or taken over */
    bool asked;              /* the engine was */
    struct allowance_view allowance;

    struct engine_call *call;
    bool paused;
    struct kept engine_head; /* kept while the answer is collected */
    unsigned engine_status;
    bool collecting;
    struct buf collected;

    struct answer answer;
    uint8_t cti[AIR_CTI_LEN];
    char receipt_id[AIR_ID_LEN + 1];
    bool has_receipt;

    struct loop_task flush;
    struct loop_timer timer;
    struct loop_timer unread; /* since it has begun to answer */
    uint64_t delivered;       /* when that was last looked at */
    uint64_t opened_ms;
};

static inline struct worker *session_worker(const struct session *s)
{
    return s->visit.worker;
}

/* Whose key it came with, which goes to s->key. ERROR_CAUSES: somebody who may ask. */
enum error_cause session_find_key(struct session *s);

/* Asks the pool's keeper, once, when the head is there. True when the request may go on, or waits with
 * s->question; else it is answered. Once it is complete and waits, its state is SESSION_CHECKING. */
bool session_check_pool(struct session *s);

/* Refuses in the clear: nothing was done with it, and it may be sealed anew. Or as the door says it of a
 * request that does not open: with one answer, whatever the reason. */
void session_refuse_in_clear(struct session *s, const struct door_refusal *r);
void session_refuse_unopened(struct session *s, enum err_code why);

/* The request is complete: it goes to the engine, or is answered. */
void session_ask(struct session *s);
extern const struct engine_events session_engine_events;

/* A whole answer of our own in the place of the engine's. */
void session_refuse_with(struct session *s, const struct api_error *error);
void session_refuse(struct session *s, enum error_cause cause, bytes about);

/* The engine failed: an error answer if nothing was sent yet, else an error event and a cut. */
void session_fail(struct session *s, enum error_cause cause);

/* What the answer holds is sealed and sent at the end of the turn. */
void session_flush_later(struct session *s);

/* Pauses the engine, or lets it go on. */
void session_hold_back(struct session *s, bool hold);

/* When its stream and its engine's call are both gone. */
void session_free(struct session *s);

/* Appends what the key may still ask for, and returns how many fields there are; *limits holds the
 * texts. */
size_t session_add_limits(const struct session *s, struct limits *limits,
                          struct engine_field *fields, size_t n);
