/*
 * enclave-worker/engine_conn.h - connections to one engine over plain sockets: new ones, to whichever
 * of its addresses answers, and those that are kept for the next call.
 *
 * A connection is watched for input all its life, also while it is idle: then input means that the
 * engine has closed it, and so does it.
 */
#pragma once

#include <sys/socket.h>

#include "base/loop.h"
#include "base/sock.h"

enum {
    ENGINE_CONN_KEPT_MS = 60000, /* an idle connection is closed after this, or SWEEP_MS later */
    ENGINE_CONN_SWEEP_MS = 10000,
    ENGINE_CONN_ADDRS_MAX = 4 /* of a name that are tried */
};

struct engine_conn;

/* All that is known of one engine; zeroed but for the first two, which its owner sets. */
struct engine_conns {
    struct loop *loop; /* borrowed */
    struct sock_addr addr;
    struct engine_conn *idle; /* the latest first */
    struct loop_timer sweep;
};

/* Closes those that are idle. */
void engine_conns_clear(struct engine_conns *p);

/* Of the connection's user: ready as with loop_fd_fn; may close or keep the connection. */
typedef void engine_conn_fn(void *user, unsigned ready);

struct engine_conn {
    struct engine_conns *pool;
    struct engine_conn *next;  /* among the idle */
    struct engine_conn **prev; /* NULL while in use */
    struct loop_fd *watch;
    int fd;
    bool kept; /* it was idle before: the engine may have closed it in the meantime */
    uint64_t idle_since_ms;
    engine_conn_fn *ready;
    void *user; /* NULL while idle */
};

/* The connection that was used last, for that user; NULL when none is idle. */
struct engine_conn *engine_conn_take(struct engine_conns *p, engine_conn_fn *ready, void *user);

/* Which of LOOP_READ and LOOP_WRITE to wait for. */
err engine_conn_want(struct engine_conn *k, unsigned events);

/* Takes it from its user, for the next one. */
void engine_conn_keep(struct engine_conn *k);

/* NULL is allowed. */
void engine_conn_close(struct engine_conn *k);

/* ---- new ones ---- */

/* With OK the connection, which is the user's: before the end of the turn, it says what to wait for.
 * Else NULL, and UNAVAILABLE or NOMEM. */
typedef void engine_dial_fn(void *user, err why, struct engine_conn *k);

/* Embedded in the user; zeroed is not dialling. */
struct engine_dial {
    struct engine_conns *pool; /* NULL when not dialling */
    struct engine_conn *conn;
    struct loop_lookup *lookup;
    struct sockaddr_storage addrs[ENGINE_CONN_ADDRS_MAX];
    size_t addrs_n, addrs_at;
    engine_dial_fn *done;
    engine_conn_fn *ready;
    void *user;
};

/* Looks the engine's name up and tries its addresses one after the other, with no limit of time. done
 * is called once, perhaps from inside this call, and may release the user. */
void engine_dial_start(struct engine_dial *d, struct engine_conns *p, engine_dial_fn *done,
                       engine_conn_fn *ready, void *user);

/* done is not called any more. */
void engine_dial_cancel(struct engine_dial *d);
bool engine_dial_active(const struct engine_dial *d);
