/*
 * wire/link.h - one HTTP/2 connection on a loop, either end: streams with back-pressure, redial,
 * keep-alive, graceful end. TCP, unix or vsock, plain (prior knowledge) or TLS 1.3.
 *
 * Everything belongs to the loop's thread. Whatever is written in one turn of the loop leaves in
 * one send at its end. Callbacks come only from the loop, never from inside a call of these
 * functions, and may call any of them, on any stream or link, link_close() too.
 *
 * A stream lives until its `closed` callback returns or until link_stream_reset() is called,
 * whichever comes first; after that no callback comes for it and its pointer is dead.
 */
#pragma once

#include "base/err.h"
#include "base/sock.h"
#include "wire/stream.h"

struct buf;
struct loop;
struct tls_context;
struct link;
struct sockaddr;

/* Slots may be NULL. The table is borrowed for the life of the link or listener. `owner` is the one
 * given to link_open() or link_listen(). */
struct link_events {
    /* The link takes streams. up and down alternate, up first. */
    void (*up)(struct link *k, void *owner);

    /* It takes no more streams. A client link dials again by itself. CLOSED may mean that the peer
     * is going away gracefully: streams it accepted go on and end one by one; with any other reason
     * the connection died, and every stream on it got `closed` before. For a server this comes when
     * the connection is gone, after all its streams, and the link is gone when it returns. Not
     * called after link_close(). */
    void (*down)(struct link *k, void *owner, err why);

    /* Server: a request's head, borrowed for the call. Answer it with link_respond(), now or later,
     * or give it up. */
    void (*request)(struct link *k, void *owner, struct link_stream *s,
                    const struct link_request *req);

    /* Client: the answer's head (never a 1xx), borrowed for the call. */
    void (*head)(struct link_stream *s, unsigned status, const struct link_field *fields, size_t n);

    /* Bytes of the body, borrowed for the call. Once LINK_WINDOW of them are not consumed, the peer
     * stops sending on this stream; others are not held up. */
    void (*data)(struct link_stream *s, bytes in);

    /* The peer has said all on this stream (directly after request or head when there is no body).
     * Trailers are dropped. */
    void (*end)(struct link_stream *s);

    /* Nothing is queued, the end has not been said, and `room` bytes could leave at once: what is
     * written out of this call does, while it is still in the processor's cache. With more than
     * `room` the rest waits. For bodies that are made as they are sent; writing nothing is allowed,
     * then the next write makes the stream go on. */
    void (*hungry)(struct link_stream *s, size_t room);

    /* The queue was at LINK_LOW or above and is under it now. */
    void (*writable)(struct link_stream *s);

    /* The last call for this stream; not after link_stream_reset(). */
    void (*closed)(struct link_stream *s, enum link_close why);
};

/* Zero fields mean the default in the comment. */
struct link_settings {
    struct sock_addr addr;
    struct tls_context *tls;  /* borrowed; wanted if and only if addr.tls */
    const char *server_name;  /* for TLS, borrowed; NULL: addr.host */
    uint64_t connect_ms;      /* 5000: dial until the peer's SETTINGS are here */
    uint64_t ping_ms;         /* 15000: silence after which the peer is asked for a sign */
    uint64_t ping_timeout_ms; /* 5000: for that sign; then the connection counts as lost */
    uint64_t redial_min_ms;   /* 100: first pause; doubles, with jitter of up to a half */
    uint64_t redial_max_ms;   /* 10000 */
    uint32_t window;          /* LINK_WINDOW */
    uint32_t streams_max;     /* LINK_STREAMS_DEFAULT; the peer's own limit holds as well */
};

/* Dials at once and for ever. Settings are copied. CONFIG when the TLS context is missing. */
err link_open(struct link **out, struct loop *l, const struct link_settings *settings,
              const struct link_events *events, void *owner);

/* Ends the connection now. Its streams get `closed` by the end of this turn (LOST, or REFUSED if
 * their head never left) and nothing else; the link itself gets no callback. NULL is allowed. */
void link_close(struct link *k);

/* No new streams from us, no redial; says goodbye, and when the open streams are done `down` comes
 * with CLOSED, if the link was up. Requests that are already under way to a server are still
 * served. A link that came from link_open() remains to be closed by link_close(). */
void link_drain(struct link *k);

bool link_is_up(const struct link *k);
/* The peer was asked for a sign after ping_ms, and has given none yet. */
bool link_is_silent(const struct link *k);
/* Why the latest dial failed or connection ended; OK when none has. For logs. */
err link_why(const struct link *k);
/* A server's: who connected; family AF_UNSPEC when that is not known. */
const struct sockaddr *link_peer(const struct link *k);
/* Streams that may be submitted now, by the peer's limit and ours. */
size_t link_room(const struct link *k);
size_t link_streams(const struct link *k);

/* Since link_open() or accept. */
struct link_counts {
    uint64_t bytes_sent, bytes_received, sends, receives, dials, ups;
};
const struct link_counts *link_counts(const struct link *k);

/* A number of the owner's about this connection, zero at first. */
uint64_t *link_tally(struct link *k);

/* A new request. UNAVAILABLE when the link is not up or has no room; LIMIT over LINK_FIELDS_MAX or
 * LINK_HEAD_MAX. The body follows by link_stream_write() unless req->end. */
err link_submit(struct link *k, const struct link_request *req, struct link_stream **out,
                void *owner);

/* Server: the answer's head, once; the body follows unless `end`. An answer that ends before the
 * request has is sent whole, and the rest of the request is declined. */
err link_respond(struct link_stream *s, unsigned status, const struct link_field *fields, size_t n,
                 bool end);

void link_stream_set_owner(struct link_stream *s, void *owner);
void *link_stream_owner(const struct link_stream *s);
/* A server link's stream; a client link's as well. */
struct link *link_stream_link(const struct link_stream *s);
/* In `closed` with LINK_RESET: the HTTP/2 error code (RFC 9113 section 7). */
uint32_t link_stream_code(const struct link_stream *s);

/* Queues a copy of data. `end`: nothing follows; the last DATA frame says so. LIMIT, and nothing
 * queued, when more than LINK_QUEUE_MAX would wait; CLOSED behind an end; INTERNAL before
 * link_respond(). */
err link_stream_write(struct link_stream *s, bytes data, bool end);

/* The same without the copy: takes the content of *data, which is then empty, and may be of any
 * length when nothing else waits. On error *data is unchanged and stays the caller's. */
err link_stream_take(struct link_stream *s, struct buf *data, bool end);

/* Bytes queued and not yet handed to the connection. */
size_t link_stream_queued(const struct link_stream *s);

/* n bytes given to `data` are done with: the peer may send as many more. */
void link_stream_consume(struct link_stream *s, size_t n);

/* Gives the stream up: tells the peer why, drops what is queued. No callback comes any more. */
void link_stream_reset(struct link_stream *s, enum link_code code);

/* ---- the server's end ---- */

struct link_listener;

/* Zero fields mean the default in the comment. Rates are per connection; a peer may save up ten
 * seconds' worth. Over a rate the connection is ended with ENHANCE_YOUR_CALM. */
struct link_limits {
    uint32_t streams_max;     /* LINK_STREAMS_DEFAULT at once per connection */
    uint32_t connections_max; /* 1024; more are closed unread */
    uint32_t heads_per_s;     /* 50000 requests */
    uint32_t settings_per_s;  /* 10 */
    uint32_t pings_per_s;     /* 10 */
    uint32_t resets_per_s;    /* 1000: thousands of clients may leave at once */
    uint32_t others_per_s;    /* 20000: frames that carry nothing for a request */
    uint32_t window;          /* LINK_WINDOW */
    uint64_t hello_ms;        /* 10000: accept until the peer's SETTINGS are here */
    uint64_t ping_ms;         /* 15000 */
    uint64_t ping_timeout_ms; /* 5000 */
    uint64_t head_ms;         /* 10000: for a request's head; looked at every ping_ms */
    uint64_t idle_ms;         /* never: a connection without streams is drained after this */
    bool shared;              /* SO_REUSEPORT */
};

/* Accepts from now on. tls: borrowed; wanted if and only if at->tls. Errors of sock_listen(). */
err link_listen(struct link_listener **out, struct loop *l, const struct sock_addr *at,
                struct tls_context *tls, const struct link_limits *limits,
                const struct link_events *events, void *owner);

/* Where it listens, with the real port. */
const struct sock_addr *link_listener_addr(const struct link_listener *n);
/* Connections, those going away included. */
size_t link_listener_links(const struct link_listener *n);

/* No new connections; repeated calls do nothing. */
void link_listener_stop(struct link_listener *n);
/* Stops, and drains every connection. Each tells by `down`; link_listener_links() falls to 0. */
void link_listener_drain(struct link_listener *n);
/* Stops and closes every connection as link_close() does. NULL is allowed. */
void link_listener_free(struct link_listener *n);
