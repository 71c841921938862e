/*
 * gateway/discover.h - finds out which workers there are: asks name servers, follows files.
 *
 * Lives on the control thread. Names are asked for again when their answer is too old by its own word, at
 * the latest after `refresh_ms`; files are read again when they have changed and then stood still for
 * DISCOVER_LOOK_MS. A source that cannot be asked, says what is no address, or names nobody, changes
 * nothing: the workers that it named before stay, and as long as they answer they are used. That is said
 * once in the log and shown on the page.
 */
#pragma once

#include "base/config.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "gateway/workers.h"

struct discover;

enum { DISCOVER_LOOK_MS = 500, DISCOVER_TTL_MIN_MS = 1000, DISCOVER_RETRY_MS = 1000 };

/* What became of the latest look at a source. */
#define DISCOVER_STATE_LIST(X)                                                                     \
    X(NOT_ASKED, "not_asked")                                                                      \
    X(WELL, "ok")                                                                                  \
    X(NOTHING, "nothing")         /* it names nobody */                                            \
    X(UNAVAILABLE, "unavailable") /* name servers did not answer, or could not */                  \
    X(MALFORMED, "malformed")     /* an answer, or a line of the file, that is none */             \
    X(UNREADABLE, "unreadable")   /* the file is not there, too large, or not for us */

enum discover_state {
#define X(name, word) DISCOVER_##name,
    DISCOVER_STATE_LIST(X)
#undef X
        DISCOVER_STATES
};

/* Label values. */
extern const char *const discover_state_words[DISCOVER_STATES];

/* Borrowed. */
struct discover_settings {
    const struct config_list *sources; /* as gateway/sources.h says */
    const char *dns_server;            /* IP:PORT; NULL: those of /etc/resolv.conf */
    uint64_t refresh_ms;
    struct log *log;
    /* There is another set: discover_set(). Not called for the first one. */
    void (*changed)(void *owner);
    void (*noted)(void *owner); /* the set is the same, but discover_write() is not */
    void *owner;
};

/* Addresses and files are known when this returns, names are being asked for. ERR_CONFIG with a message
 * when a file that is there says what is no address. */
err discover_new(struct discover **out, struct loop *loop, const struct discover_settings *settings,
                 struct buf *message);
void discover_free(struct discover *d); /* NULL is allowed */

/* The present set, until the next turn of the loop. */
struct worker_set *discover_set(const struct discover *d);

/* Looks at everything again now. */
void discover_reload(struct discover *d);

size_t discover_count(const struct discover *d, enum discover_state state);

/* The sources, as the value of "sources" in an open object. */
void discover_write(const struct discover *d, struct json_out *j);
