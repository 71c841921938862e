/* wire/h2_own.h - what the files of h2 share; not for others. */
#pragma once

#include "wire/h2.h"
#include "wire/queue.h"

struct nghttp2_session;
struct nghttp2_session_callbacks;

enum { H2_FRAME_HEAD_LEN = 9 };

struct rate {
    uint64_t milli; /* thousandths of a frame that are still free */
    uint64_t at_ms;
    uint32_t per_s; /* 0: no limit */
};

/* The head that is being read. Blocks of different streams never interleave. */
struct head {
    uint8_t *room; /* LINK_HEAD_MAX */
    size_t len;
    bytes method, authority, path;
    unsigned status;
    struct link_field fields[LINK_FIELDS_MAX];
    size_t fields_n;
};

struct h2 {
    struct nghttp2_session *session;
    const struct h2_events *events;
    void *owner;
    struct h2_settings settings;

    struct link_stream *live, *dead, *tell;
    size_t live_n;

    struct head head;
    struct rate heads, settings_frames, pings, resets, others;
    uint64_t now_ms;
    unsigned continuations; /* of the head being read */
    bool in_head;           /* one has begun and not ended */
    uint64_t in_head_ms;    /* since when */

    struct buf *out; /* during h2_take() */
    size_t out_from, enough;
    bool paused;
    uint64_t given; /* bytes by earlier h2_take()s */

    err failed; /* nghttp2 may not be used any more */
    bool said_goodbye;
    bool refused_peer; /* nghttp2 has sent a GOAWAY with an error */
    bool ready, leaving, said_leaving, pinged_to_leave;
    bool lost;
};

struct link_stream {
    struct h2 *h2;
    struct link_stream *next, *prev; /* live or dead */
    struct link_stream *tell_next;
    void *owner;
    struct queue queue;
    size_t unconsumed;
    uint64_t head_at; /* client: where in the output the request's head began */
    int32_t id;
    uint32_t code;
    bool over; /* dead to its user */
    bool head_left, head_given, ended, sent_all;
    bool got_head, got_all;
    bool got_reset;
    bool deferred, was_full, to_tell;
};

/* nghttp2 may not be used any more; the first reason counts. */
void h2_fail(struct h2 *h, enum err_code code);
bool h2_usable(const struct h2 *h);
void h2_wake(struct h2 *h);
void h2_send_reset(struct h2 *h, int32_t id, uint32_t code);

err h2_stream_new(struct link_stream **out, struct h2 *h, void *owner);
/* Makes it dead to its user, without a word and with. */
void h2_stream_bury(struct link_stream *s);
void h2_stream_close(struct link_stream *s, enum link_close why);
/* NULL once the stream is dead. */
struct link_stream *h2_stream_of(const struct h2 *h, int32_t id);

/* h2_receive.c */
void h2_set_receiving(struct nghttp2_session_callbacks *c);
void h2_set_rates(struct h2 *h);

/* h2_send.c */
void h2_set_sending(struct nghttp2_session_callbacks *c);
