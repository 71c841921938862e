/*
 * gateway/front_private.h - what front.c, front_conn.c, front_call.c and front_request.c share.
 * Nobody else includes it.
 */
#pragma once

#include "base/loop.h"
#include "gateway/front.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;

enum watch_kind { WATCH_NOTHING = 0, WATCH_CONN, WATCH_LINGER };

/* What an event of the front's own epoll set points to: first member of what is watched. */
struct front_watch {
    enum watch_kind kind;
};

/* From accept to close; libmicrohttpd's socket context. */
struct front_conn {
    struct front_watch watch;
    struct front *front;
    struct MHD_Connection *mhd;
    int fd;
    struct front_request *request; /* the current one, or NULL between two */
    struct loop_timer timer;       /* head or body; stopped while we are the ones to act */
    struct front_conn *next, *prev;
    bool served;  /* had a request before */
    bool hung_up; /* the client closed its sending half, or all */
    bool shut;    /* we shut the receiving half ourselves: that alone is no hang-up */
    bool lingers; /* answered without reading all: read on for a while after closing */
};

struct front_request {
    struct front *front;
    struct front_conn *conn;
    struct MHD_Connection *mhd;
    void *owner;
    bytes method, path, query; /* path and query point into target */

    struct front_request *wake_next, **wake_prev; /* in front's list of those to resume */

    uint64_t length;   /* of the body, as announced */
    uint64_t received; /* of the body, thrown away or not */
    uint64_t body_left_ms;

    struct MHD_Response *response; /* the answer; ours until the last call */
    unsigned status;
    int64_t total;    /* content length of an answer in pieces, or FRONT_CHUNKED */
    uint64_t written; /* of it, by front_write() */
    struct buf queue;
    size_t queue_at; /* bytes of queue already handed on */

    /* the request */
    bool old, chunked, expects, head;
    bool seen;       /* libmicrohttpd called for the first time */
    bool held;       /* parked in that first call */
    bool delivered;  /* request() was called: a last call is owed */
    bool body_ended; /* body_end() was called, or would have been */
    bool paused;
    bool suspended; /* parked inside libmicrohttpd */
    /* the answer */
    bool pieces; /* by front_begin() */
    bool mute;   /* an answer without content: sent as a whole at front_end() */
    bool ended;
    bool aborted;
    bool queued;  /* handed to libmicrohttpd */
    bool high;    /* the queue was above FRONT_QUEUE_LOW */
    bool corked;  /* the socket holds back what is to leave together with more */
    bool refused; /* answered by the front itself */
    bool over;    /* the last call was made */
    bool lost;    /* to be closed as soon as libmicrohttpd lets us */

    size_t target_len;
    char target[]; /* as sent */
};

struct front {
    struct loop *loop;
    struct MHD_Daemon *daemon;
    const struct front_events *events;
    void *owner;
    size_t body_max, head_max;
    unsigned idle_ms, head_ms, body_ms;
    bool tls;
    bool dirty; /* libmicrohttpd is to be run at the end of this turn */
    bool drain_asked, draining, drained;
    int listen_fd; /* closed by libmicrohttpd until draining */
    int watch_fd;  /* our own epoll set: hang-ups */
    struct loop_fd *input, *watch;
    struct loop_hook hook;
    struct loop_task nudge; /* makes sure that the hook runs once more */
    struct loop_timer tick; /* idle times are looked at once a second */
    struct front_request *wake;
    struct front_conn *conns;
    struct front_linger *lingers;
    uint32_t lingers_n, conns_n, conns_max, requests_n;
    uint16_t port;
};

/* ---- front.c ---- */

/* libmicrohttpd runs at the end of this turn. */
void front_soon(struct front *f);
/* r is resumed at the end of this turn, if it is parked. */
void front_wake(struct front_request *r);
void front_unwake(struct front_request *r);
/* Parks r; does nothing when it is parked. */
void front_suspend(struct front_request *r);

/* ---- front_conn.c ---- */

/* As libmicrohttpd accepts and closes. NULL when out of memory: it will find the socket shut. */
struct front_conn *front_conn_open(struct front *f, struct MHD_Connection *mhd);
void front_conn_close(struct front *f, struct front_conn *c);
/* An end that arrives together with the last bytes raises one edge, which libmicrohttpd spends on
 * the bytes. This raises another. What has arrived can still be read. */
void front_shut_reading(struct front_conn *c);
/* Some connection of the front's own set has hung up. */
void front_on_watch(void *front, unsigned ready);
/* The head or the body took too long. */
void front_on_time_over(struct loop_timer *t);
void front_linger_close(struct front_linger *l);

/* The owner's last call for a request whose client is gone; does nothing after another last one. */
void front_say_gone(struct front_request *r);
/* The same, and libmicrohttpd is told to close when it next asks. */
void front_lose(struct front_request *r);
/* Where the end of the connection is the end of the body, one that is broken off must not end like
 * one that is complete. */
void front_break_off(const struct front_request *r);

/* ---- front_call.c ---- */

/* The request line was read; target is as sent, and will be taken apart in place after this. */
void *front_on_target(void *front, const char *target, struct MHD_Connection *mhd);
/* Instead of libmicrohttpd's decoding of the path, which nobody looks at. */
size_t front_on_unescape(void *front, struct MHD_Connection *mhd, char *text);

/* The calls for one request, in this order, each as often as libmicrohttpd asks; false: it is to
 * close the connection. */
bool front_first_call(struct front_request *r, const char *method, const char *version);
bool front_held_call(struct front_request *r);
bool front_body_call(struct front_request *r, const char *at, size_t *len);
bool front_final_call(struct front_request *r);
/* libmicrohttpd is done with the request, one way or the other. Frees it. */
void front_complete(struct front *f, struct front_request *r, bool sent);
/* The time for the body runs while we are not the ones to act. */
void front_body_clock(struct front_request *r);

/* ---- front_request.c ---- */

/* Nothing more is needed from the owner for the answer to be completed. */
bool front_answered(const struct front_request *r);
/* The answer can be handed to libmicrohttpd. */
bool front_answer_ready(const struct front_request *r);

/* The front's own answer, with a JSON error object and Connection: close. */
err front_refuse(struct front_request *r, unsigned status, const char *reason);
/* Releases what a request holds, and the request. */
void front_request_free(struct front_request *r);
/* Makes the client see a reset. */
void front_reset(int fd);

/* Before the answer is queued. */
void front_hold_head(struct front_request *r);
