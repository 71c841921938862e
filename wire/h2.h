/*
 * wire/h2.h - HTTP/2 (RFC 9113) as bytes in, bytes out, either end. It touches no socket and no
 * clock. nghttp2 does the protocol; what is ours: queues with back-pressure, limits, and one clear
 * end for every stream.
 *
 * Callbacks come from h2_put(), h2_take(), h2_tell() and h2_lost() and may call everything here
 * except these four, h2_reap() and h2_free(). A stream that is over or given up is dead to its
 * user; its memory goes with h2_reap().
 */
#pragma once

#include "base/buf.h"
#include "wire/stream.h"

struct h2;

enum {
    H2_OVER_MAX = LINK_FRAME_MAX + 2 * LINK_HEAD_MAX,
    H2_CONTINUATIONS_MAX = 8, /* frames that one head may go on in */
};

/* Zero means no limit here; the defaults are in link.h. Rates are per second, with ten seconds'
 * worth saved up. */
struct h2_settings {
    bool server;
    bool secure; /* client: the scheme is https */
    uint32_t streams_max;
    uint32_t window;
    uint32_t heads_per_s, settings_per_s, pings_per_s, resets_per_s, others_per_s;
};

/* Every slot is filled. */
struct h2_events {
    void (*ready)(void *owner);   /* the peer's SETTINGS are here */
    void (*leaving)(void *owner); /* the peer's first GOAWAY; it can start nothing new */
    void (*wake)(void *owner);    /* h2_take() may have something; may come from any call */
    void (*request)(void *owner, struct link_stream *s, const struct link_request *req);
    void (*head)(struct link_stream *s, unsigned status, const struct link_field *fields, size_t n);
    void (*data)(struct link_stream *s, bytes in);
    void (*end)(struct link_stream *s);
    void (*hungry)(struct link_stream *s, size_t room);
    void (*writable)(struct link_stream *s);
    void (*closed)(struct link_stream *s, enum link_close why);
};

/* settings are copied, events borrowed. */
err h2_new(struct h2 **out, const struct h2_settings *settings, const struct h2_events *events,
           void *owner);
/* Streams still open are released without a word. NULL is allowed. */
void h2_free(struct h2 *h);
void *h2_owner(const struct h2 *h);

/* Takes in all of it. now_ms is any steady clock's, for the rates. After an error (LIMIT: the peer
 * is over a limit; MALFORMED; NOMEM) only h2_take(), which gives the goodbye, h2_lost() and
 * h2_free() make sense. */
err h2_put(struct h2 *h, bytes in, uint64_t now_ms);

/* Appends whole frames until there is no more or out holds `enough`; *more tells which. At most one
 * frame, of at most H2_OVER_MAX bytes, goes over it. */
err h2_take(struct h2 *h, struct buf *out, size_t enough, bool *more);

/* Tells `writable` to the streams whose queue has fallen under LINK_LOW. */
void h2_tell(struct h2 *h);

/* Releases the memory of dead streams. Not while a callback is under way. */
void h2_reap(struct h2 *h);

/* The connection is gone. Of what h2_take() gave, the first `delivered` bytes may have reached the
 * peer. Every open stream gets `closed`; after that nothing has any effect. */
void h2_lost(struct h2 *h, uint64_t delivered);

void h2_ping(struct h2 *h);

/* No new streams from the peer (server: after what is under way to us), none from us. */
void h2_leave(struct h2 *h);

/* Nothing more will be said by either side: time to close. */
bool h2_finished(const struct h2 *h);
/* OK unless the connection ends because of the peer's or our fault. */
err h2_why(const struct h2 *h);
/* Stream ids are running out: time for a fresh connection. */
bool h2_worn_out(const struct h2 *h);
/* More answers wait than an honest peer causes: it does not read. */
bool h2_flooded(const struct h2 *h);

/* The peer has been in the middle of a head for that long; 0: it is not. */
uint64_t h2_in_head(const struct h2 *h, uint64_t now_ms);

size_t h2_streams(const struct h2 *h);
/* Client: streams that may be submitted now. */
size_t h2_room(const struct h2 *h);

/* As link_submit() and the link_stream_ functions of link.h. */
err h2_submit(struct h2 *h, const struct link_request *req, struct link_stream **out, void *owner);
err h2_stream_respond(struct link_stream *s, unsigned status, const struct link_field *fields,
                      size_t n, bool end);
err h2_stream_write(struct link_stream *s, bytes data, bool end);
err h2_stream_take(struct link_stream *s, struct buf *data, bool end);
void h2_stream_consume(struct link_stream *s, size_t n);
void h2_stream_reset(struct link_stream *s, enum link_code code);
size_t h2_stream_queued(const struct link_stream *s);
uint32_t h2_stream_code(const struct link_stream *s);
struct h2 *h2_stream_connection(const struct link_stream *s);
void h2_stream_set_owner(struct link_stream *s, void *owner);
void *h2_stream_owner(const struct link_stream *s);
