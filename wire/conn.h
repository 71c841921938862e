/*
 * wire/conn.h - one socket, the TLS on it if any, and its HTTP/2: the inside of a link, not for
 * others.
 *
 * A conn is told to end or ends by itself; either way its streams get `closed` and then its link
 * gets `gone`, at the end of the turn, and its memory goes.
 */
#pragma once

#include "base/err.h"
#include "wire/h2.h"

struct conn;
struct link;
struct link_counts;
struct loop;
struct tls;

struct conn_settings {
    struct h2_settings h2;
    uint64_t hello_ms, ping_ms, ping_timeout_ms;
    uint64_t head_ms; /* 0: the peer may take any time for a head */
    uint64_t idle_ms; /* 0: never drained for being idle */
};

/* Every slot is filled. */
struct conn_events {
    void (*open)(struct link *k, struct conn *c);    /* the peer's SETTINGS are here */
    void (*leaving)(struct link *k, struct conn *c); /* no new streams on this one */
    void (*request)(struct link *k, struct link_stream *s, const struct link_request *req);
    /* Its last word. */
    void (*gone)(struct link *k, struct conn *c, err why);
    void (*head)(struct link_stream *s, unsigned status, const struct link_field *fields, size_t n);
    void (*data)(struct link_stream *s, bytes in);
    void (*end)(struct link_stream *s);
    bool (*hungry)(struct link_stream *s, size_t room); /* false: nobody was told */
    void (*writable)(struct link_stream *s);
    void (*closed)(struct link_stream *s, enum link_close why);
};

struct conn_socket {
    struct loop *loop;
    int fd;          /* connected; taken, and closed on error */
    struct tls *tls; /* taken, NULL for none */
};

/* counts and settings are borrowed for the conn's life. */
err conn_new(struct conn **out, const struct conn_socket *socket,
             const struct conn_settings *settings, const struct conn_events *events, struct link *k,
             struct link_counts *counts);

/* Ends it now; why, which is not OK, is passed on to `gone`. */
void conn_end(struct conn *c, err why);

/* Says goodbye and ends when the open streams are done. */
void conn_drain(struct conn *c);

struct h2 *conn_h2(const struct conn *c);
struct link *conn_link(const struct conn *c);

uint64_t conn_open_since_ms(const struct conn *c);
/* The peer was asked for a sign, and has given none yet. */
bool conn_is_silent(const struct conn *c);
