/*
 * gateway/relay_workers.h - a relay's connections to workers, and which keys each has published.
 *
 * Belongs to one shard's thread. Nothing a worker says is verified here: a relay cannot, and need
 * not. A worker that lies about its keys gets requests that it cannot open.
 */
#pragma once

#include "base/loop.h"
#include "gateway/balance.h"
#include "gateway/workers.h"
#include "wire/link.h"
#include "wire/roster.h"

enum {
    RELAY_WORKERS_MAX = WORKERS_MAX,
    RELAY_KEYS_MAX = 16, /* of one worker's list */
    RELAY_KEYS_MS = 5000 /* how often lists are read anew */
};

struct relay_workers;

/* Whoever has a stream to a worker: the stream's owner. Only closed() may be missing in `ops` for
 * streams that nobody waits for. */
struct relay_up;
struct relay_up_ops {
    void (*head)(struct relay_up *u, unsigned status, const struct link_field *fields, size_t n);
    void (*data)(struct relay_up *u, bytes in);
    void (*end)(struct relay_up *u);
    void (*writable)(struct relay_up *u);
    void (*closed)(struct relay_up *u, enum link_close why); /* stream is NULL by then */
};
struct worker;
struct relay_up {
    const struct relay_up_ops *ops;
    struct worker *worker;      /* private */
    struct link_stream *stream; /* NULL: none, or over */
};

struct relay_workers_settings {
    struct tls_context *tls; /* for tls:// workers; borrowed */
    struct balance_settings balance;
    uint64_t seed;    /* of the choices; not a secret */
    uint64_t ping_ms; /* silence after which a worker is asked for a sign, for as long again */
    /* What is thought of a worker has changed; place: its number, SIZE_MAX when nobody is there any
     * more. Connections come (from BALANCE_GONE) and go as well. NULL: nobody cares. */
    void (*changed)(void *owner, const struct balance_change *change);
    void *owner;
};

/* Nobody at first. Settings are copied. */
err relay_workers_new(struct relay_workers **out, struct loop *loop,
                      const struct relay_workers_settings *settings);

/* Another set of workers, counted. One that left gets no more requests; those it has may finish, then
 * its connection is closed. One that joined may have to wait for the room of those. */
void relay_workers_use(struct relay_workers *w, struct worker_set *set);

/* Streams have been given up before. NULL is allowed. */
void relay_workers_free(struct relay_workers *w);

/* Those that there are, and those of them that are connected. */
size_t relay_workers_count(const struct relay_workers *w);
size_t relay_workers_up(const struct relay_workers *w);

/* Those that are connected and have said their tags. */
void relay_workers_roster(const struct relay_workers *w, struct roster *out);

/* Which worker: the one with that tag and no other; without a tag, of a key hint (the x-ohttp-key
 * field), else of a key id; else, with `sticky`, the same one for the same `near` as long as it is
 * connected and well; else as gateway/balance.h has it, by the streams there are, and by what became of
 * those before: of key lists, too, which are asked for all the time. */
struct relay_want {
    struct worker_tag tag; /* zero: not said */
    bytes hint;            /* empty: not said */
    int key_id;            /* -1: not said */
    bool sticky;
    uint64_t near;
    uint64_t avoid; /* a bit for each seat that is not wanted */
};

/* The connected worker that fits best; a hint or an id that nobody has
 * published asks for new lists and is no reason to refuse: the worker that gets the request says so
 * itself. A tag is one: who asks for somebody's evidence is not to be shown another's, and of those
 * that share their keys another would sign the receipt. The number of its seat, which is somebody else's
 * once it has left and is done; SIZE_MAX: none is connected, or not the one with that tag. */
size_t relay_workers_choose(struct relay_workers *w, const struct relay_want *want);

/* A stream to the worker in that seat. u->ops is set by the caller. Errors of link_submit(). */
err relay_workers_ask(struct relay_workers *w, size_t seat, const struct link_request *request,
                      struct relay_up *u);
