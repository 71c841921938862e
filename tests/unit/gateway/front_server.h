/*
 * tests/unit/gateway/front_server.h - a front on a loop in this thread, and raw clients on loopback
 * sockets that this thread also plays: PUMP_UNTIL() turns the loop and reads what arrives until the
 * test has seen what it waits for.
 */
#pragma once

#include <poll.h>

#include "base/clock.h"
#include "base/loop.h"
#include "crypto/tls.h"
#include "gateway/front.h"
#include "tests/lib/law.h"

enum { PATIENCE_MS = 20000, SEEN_MAX = 256 * 1024 * 1024 };

/* What the owner does is told by the path. */
struct server {
    struct loop *loop;
    struct front *front;
    struct front_request *last; /* the latest one that is still alive */
    unsigned requests, body_ends, gone, done, refused, drained, writable;
    unsigned refused_status;
    size_t body_len, piece_max;
    struct buf body, log;
    bool keep_body;
};

struct client {
    struct server *server;
    int fd;
    struct tls *tls; /* NULL: in the clear; set after client_open(), freed by client_close() */
    struct buf in;
    bool ended, reset;
};

extern const struct front_field plain;
extern const struct front_events server_events;

/* Listens on a free port of loopback; settings may be NULL. */
void server_open(struct server *s, const struct front_settings *settings);
/* Checks that every request got its last call. */
void server_close(struct server *s);

void client_open(struct client *c, struct server *s);
void client_close(struct client *c);

/* One turn of the server's loop, which does not wait. */
void turn(struct server *s);
/* Whatever has arrived. */
void receive(struct client *c);
/* All of it, turning the loop as long as the kernel takes no more; gives up quietly when the server
 * has closed. */
void send_bytes(struct client *c, bytes what);
void send_text(struct client *c, const char *text);

bool saw(struct client *c, const char *text);
size_t times(struct client *c, const char *text);

/* Turns until what holds. */
#define PUMP_UNTIL(server, client, what)                                                           \
    do {                                                                                           \
        uint64_t give_up = clock_steady_ms() + PATIENCE_MS;                                        \
        while (turn(server), receive(client), !(what)) {                                           \
            if (clock_steady_ms() > give_up)                                                       \
                fail_msg("waited too long for " #what ", got: %s", buf_str(&(client)->in));        \
            (void)poll(NULL, 0, 1);                                                                \
        }                                                                                          \
    } while (0)

#define HOST "Host: x\r\n"
/* Another request, to be sent behind one that should end the connection. */
#define NEXT "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
