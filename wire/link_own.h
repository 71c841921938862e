/* wire/link_own.h - what link.c and listener.c share; the inside of a link, not for others. */
#pragma once

#include <sys/socket.h>

#include "base/dial.h"
#include "wire/conn.h"
#include "wire/link.h"

/* More connections than this going away at once: the oldest is ended. */
enum { LINK_OLD_MAX = 8 };

/* Only a client's: where and when to dial. */
struct link_dialer {
    struct link *link;
    struct sock_addr addr;
    struct tls_context *tls;
    const char *server_name;
    struct loop_lookup *lookup;
    struct dial *dial;
    struct loop_timer timer;
    uint64_t min_ms, max_ms, pause_ms;
    uint64_t seed;
};

struct link {
    struct loop *loop;
    const struct link_events *events;
    void *owner;
    struct conn *now;               /* takes new streams, or will when it is open */
    size_t conns_n;                 /* that have not gone yet, `now` and closing ones included */
    struct conn *old[LINK_OLD_MAX]; /* client: going away, with streams still on them */
    size_t old_n;
    bool up, draining, closed;
    err why; /* the latest connection's or dial's end */
    struct conn_settings settings;
    struct link_counts counts;
    uint64_t tally;
    struct loop_task task;

    struct link_dialer *dialer;     /* client */
    struct link_listener *listener; /* server; NULL once the listener has let go */
    struct sockaddr_storage peer;   /* server */
    struct link *next, *prev;       /* in the listener's list */
};

/* Takes the socket; settings are copied. */
err link_accept(struct link **out, const struct conn_socket *socket,
                const struct conn_settings *settings, struct link_listener *n,
                const struct link_events *events, void *owner);

/* By link.c, when a server's link has no connection any more: forget it. */
void link_listener_on_gone(struct link_listener *n, struct link *k);
