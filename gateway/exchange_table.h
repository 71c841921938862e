/*
 * gateway/exchange_table.h - the life of an exchange, as a table.
 *
 * Pure data: state and event give an action and the next state. exchange.c carries the actions out;
 * a test prints the table and compares it with ARCHITECTURE.md. A pair that is not in the table
 * cannot happen; if it does, the exchange is broken off.
 */
#pragma once

#include "base/buf.h"

#define EXCHANGE_STATES(X)                                                                         \
    X(RECEIVING, "receiving") /* the client's body */                                              \
    X(WAITING, "waiting")     /* for a verified worker */                                          \
    X(ASKED, "asked")         /* sealed and sent; no answer yet */                                 \
    X(ANSWERING, "answering") /* the answer comes in and goes out */                               \
    X(PROVING, "proving")     /* all is here; the receipt is being verified and stored */          \
    X(ENDING, "ending")       /* the last bytes, or an error, are on their way out */              \
    X(ORPHANED, "orphaned")   /* the client left while the receipt was being stored */             \
    X(SETTLED, "settled")

#define EXCHANGE_EVENTS(X)                                                                         \
    X(BODY, "body complete")                                                                       \
    X(SUBMITTED, "submitted")                                                                      \
    X(WORKER, "worker ready")                                                                      \
    X(UNDONE, "not processed") /* refused, stale key, or lost before the first byte */             \
    X(HEAD, "head")                                                                                \
    X(COMPLETE, "complete") /* the authentic end */                                                \
    X(BROKEN, "broken")     /* anything else */                                                    \
    X(PROVED, "proved")                                                                            \
    X(UNPROVED, "not proved")                                                                      \
    X(TIMEOUT, "timeout")                                                                          \
    X(SENT, "sent") /* the client has it all */                                                    \
    X(GONE, "client gone")

#define EXCHANGE_ACTIONS(X)                                                                        \
    X(NONE, "-")                                                                                   \
    X(SEND, "seal and send")                                                                       \
    X(AGAIN, "send again, or give up")                                                             \
    X(BEGIN, "begin the answer")                                                                   \
    X(PROVE, "verify and store the receipt")                                                       \
    X(RELEASE, "release the end")                                                                  \
    X(FAIL, "say the error")                                                                       \
    X(CANCEL, "cancel at the worker")                                                              \
    X(LET_GO, "wait for the store")                                                                \
    X(SETTLE, "log and free")

enum exchange_state {
#define X(name, text) EXCHANGE_##name,
    EXCHANGE_STATES(X)
#undef X
        EXCHANGE_STATE_COUNT
};

enum exchange_event {
#define X(name, text) ON_##name,
    EXCHANGE_EVENTS(X)
#undef X
        EXCHANGE_EVENT_COUNT
};

enum exchange_action {
    DO_IMPOSSIBLE = 0, /* an empty cell */
#define X(name, text) DO_##name,
    EXCHANGE_ACTIONS(X)
#undef X
        EXCHANGE_ACTION_COUNT
};

struct exchange_cell {
    enum exchange_action action;
    enum exchange_state next;
};

/* The cell of a pair; its action is DO_IMPOSSIBLE when the table has none. */
struct exchange_cell exchange_cell(enum exchange_state state, enum exchange_event event);

const char *exchange_state_word(enum exchange_state state);

/* Appends the table in Markdown, one row per cell. */
err exchange_table_write(struct buf *out);
