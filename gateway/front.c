/*
 * The server side of the gateway: libmicrohttpd 0.9.75 in external-epoll mode on our loop.
 *
 * Its internal epoll stalls when a multiple of 128 connections is ready at once, so its epoll
 * descriptor is one more descriptor of our loop, and it runs once per turn, in a hook. What that
 * mode asks for:
 *  - A resume makes the next run walk all parked connections, so resumes are gathered and done once
 *    per turn. Nothing reports a pending resume, hence `dirty`.
 *  - A run leaves work behind (a piece of an answer takes two), told by MHD_get_timeout() being 0;
 *    it is repeated until that is over, within a bound.
 *  - Whoever returns from a callback with nothing to say parks the connection, or it would be asked
 *    again for ever.
 *  - A parked connection is in no epoll set and has no time-out. Its socket is in a set of ours from
 *    accept to close, for hang-ups only.
 *  - Time-outs of single connections make every run walk a list; only the one for all is used. The
 *    times for a head and for a body are timers of ours that shut the socket down: libmicrohttpd
 *    then finds it closed.
 *  - Its memory per connection is cleared for every request, so it is small.
 *  - It may not be stopped while connections are parked.
 *
 * A request's object exists from its request line on (on_target) until libmicrohttpd is done with
 * it (on_completed), which is where the owner's last call is made, unless the client was lost
 * before.
 */
#include "gateway/front.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sock.h"
#include "gateway/front_private.h"
#include "gateway/front_strict.h"

enum {
    POOL_LEN = 32 * 1024,  /* libmicrohttpd's memory for one connection */
    SKIP_MAX = 256 * 1024, /* a body this short is read to its end to keep the connection */
    RUNS_MAX = 16,         /* of libmicrohttpd, one after the other */
    ROUNDS_MAX = 4,        /* of resuming and running in one turn */
    EVENTS_MAX = 64,       /* hang-ups looked at in one go; the rest comes next turn */
    TICK_MS = 1000,
    HOOK_ORDER = 100,
    LINGER_MS = 5000,
    LINGERS_MAX = 128,
    PEM_MAX = 256 * 1024,
    BODY_MAX_DEFAULT = 64 * 1024 * 1024,
    IDLE_MS_DEFAULT = 120 * 1000,
    HEAD_MS_DEFAULT = 10 * 1000,
    BODY_MS_DEFAULT = 300 * 1000,
};

#define TLS_PRIORITIES                                                                             \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SAFE_RENEGOTIATION:%SERVER_PRECEDENCE"

/* A connection that libmicrohttpd has closed and whose client may still be sending. Reading on keeps
 * the kernel from answering that with a reset, which would take our answer away from the client. */
struct front_linger {
    struct front_watch watch;
    struct front *front;
    struct front_linger *next, **prev;
    struct loop_timer timer;
    int fd;
    uint64_t left;
};

/* ---- running ---- */

static void nothing(struct loop_task *t)
{
    (void)t;
}

void front_soon(struct front *f)
{
    if (f->dirty)
        return;
    f->dirty = true;
    /* the task itself has nothing to do: with it the hooks run again, also when they just have */
    loop_defer(f->loop, &f->nudge, nothing);
}

void front_wake(struct front_request *r)
{
    struct front *f = r->front;
    if (!r->suspended || r->wake_prev != NULL)
        return;
    r->wake_next = f->wake;
    r->wake_prev = &f->wake;
    if (f->wake != NULL)
        f->wake->wake_prev = &r->wake_next;
    f->wake = r;
    front_soon(f);
}

void front_unwake(struct front_request *r)
{
    if (r->wake_prev == NULL)
        return;
    *r->wake_prev = r->wake_next;
    if (r->wake_next != NULL)
        r->wake_next->wake_prev = r->wake_prev;
    r->wake_next = NULL;
    r->wake_prev = NULL;
}

void front_suspend(struct front_request *r)
{
    if (r->suspended)
        return;
    MHD_suspend_connection(r->mhd);
    r->suspended = true;
    if (r->conn->hung_up)
        front_wake(r);
}

static void say_gone(struct front_request *r)
{
    if (r->over || !r->delivered)
        return;
    r->over = true;
    r->front->requests_n--;
    r->front->events->gone(r);
}

/* libmicrohttpd is told to close when it next asks. */
static void lose(struct front_request *r)
{
    r->lost = true;
    say_gone(r);
}

static bool waits_for_body(const struct front_request *r)
{
    return r->seen && !r->held && !r->body_ended && !r->lost;
}

static void on_time_over(struct loop_timer *t);

static void body_clock_stop(struct front_request *r)
{
    struct loop_timer *t = &r->conn->timer;
    if (!loop_timer_active(t))
        return;
    uint64_t now = loop_now_ms(r->front->loop);
    r->body_left_ms = t->at_ms > now ? t->at_ms - now : 0;
    loop_timer_stop(t);
}

static void body_clock_start(struct front_request *r)
{
    if (waits_for_body(r) && !loop_timer_active(&r->conn->timer))
        loop_timer_start(r->front->loop, &r->conn->timer, r->body_left_ms, on_time_over);
}

static void wake_all(struct front *f)
{
    while (f->wake != NULL) {
        struct front_request *r = f->wake;
        front_unwake(r);
        if (r->conn->hung_up && !front_answered(r))
            lose(r);
        r->suspended = false;
        body_clock_start(r);
        MHD_resume_connection(r->mhd);
    }
}

/* False when there was more to do than a turn should take. */
static bool run(struct front *f)
{
    for (int i = 0; i < RUNS_MAX; i++) {
        MHD_UNSIGNED_LONG_LONG ms = 0;
        (void)MHD_run(f->daemon);
        if (MHD_get_timeout(f->daemon, &ms) != MHD_YES || ms != 0)
            return true;
    }
    return false;
}

/* An end that arrives together with the last bytes raises one edge, which libmicrohttpd spends on
 * the bytes. This raises another. What has arrived can still be read. */
static void shut_reading(struct front_conn *c)
{
    c->shut = true;
    (void)shutdown(c->fd, SHUT_RD);
}

static void stop_listening(struct front *f)
{
    f->draining = true;
    int fd = MHD_quiesce_daemon(f->daemon);
    if (fd >= 0)
        (void)close(fd);
    f->listen_fd = -1;
    for (struct front_conn *c = f->conns; c != NULL; c = c->next) {
        /* What has arrived is still read; then libmicrohttpd finds the end and closes. */
        if (c->request == NULL)
            shut_reading(c);
    }
    front_soon(f);
}

static void on_turn_end(struct loop_hook *h)
{
    struct front *f = CONTAINER_OF(h, struct front, hook);
    if (!f->dirty)
        return;
    f->dirty = false;
    bool quiet = true;
    for (int i = 0; i < ROUNDS_MAX && (i == 0 || f->wake != NULL); i++) {
        wake_all(f);
        quiet = run(f);
    }
    if (!quiet || f->wake != NULL)
        front_soon(f);
    if (f->drain_asked && !f->draining)
        stop_listening(f);
    if (f->draining && f->conns_n == 0 && !f->drained) {
        f->drained = true;
        f->events->drained(f->owner);
    }
}

static void on_input(void *owner, unsigned ready)
{
    (void)ready;
    front_soon(owner);
}

static void on_tick(struct loop_timer *t)
{
    struct front *f = CONTAINER_OF(t, struct front, tick);
    if (f->conns_n > 0) {
        front_soon(f);
        loop_timer_start(f->loop, &f->tick, TICK_MS, on_tick);
    }
}

/* ---- hang-ups, lingering, time ---- */

static void linger_close(struct front_linger *l)
{
    loop_timer_stop(&l->timer);
    (void)close(l->fd);
    *l->prev = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    l->front->lingers_n--;
    mem_free(l);
}

static void on_linger_over(struct loop_timer *t)
{
    linger_close(CONTAINER_OF(t, struct front_linger, timer));
}

static void linger_read(struct front_linger *l)
{
    /* MSG_TRUNC: the kernel throws the bytes away without copying them */
    ssize_t n = recv(l->fd, loop_scratch(l->front->loop), LOOP_SCRATCH_LEN, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (uint64_t)n >= l->left)
        linger_close(l);
    else
        l->left -= (uint64_t)n;
}

static void linger_open(struct front_conn *c)
{
    struct front *f = c->front;
    struct front_linger *l = f->lingers_n < LINGERS_MAX ? mem_alloc(sizeof *l) : NULL;
    int fd = l != NULL ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = l };
    if (fd < 0 || epoll_ctl(f->watch_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (fd >= 0)
            (void)close(fd);
        mem_free(l);
        return;
    }
    (void)shutdown(fd, SHUT_WR);
    *l = (struct front_linger){ .watch = { WATCH_LINGER },
                                .front = f,
                                .fd = fd,
                                .left = FRONT_DISCARD_MAX,
                                .next = f->lingers,
                                .prev = &f->lingers };
    if (f->lingers != NULL)
        f->lingers->prev = &l->next;
    f->lingers = l;
    f->lingers_n++;
    loop_timer_start(f->loop, &l->timer, LINGER_MS, on_linger_over);
}

static void hang_up(struct front_conn *c, uint32_t events)
{
    struct front_request *r = c->request;
    if (c->shut && (events & (EPOLLHUP | EPOLLERR)) == 0)
        return;
    c->hung_up = true;
    if (r == NULL || !r->suspended) {
        if (!c->shut)
            shut_reading(c);
    } else if (!front_answered(r)) {
        lose(r);
        front_wake(r);
    }
}

static void on_watch(void *owner, unsigned ready)
{
    struct front *f = owner;
    struct epoll_event events[EVENTS_MAX];
    (void)ready;
    int n = epoll_wait(f->watch_fd, events, EVENTS_MAX, 0);
    /* Connections are released only while libmicrohttpd runs, so none of these pointers is stale. */
    for (int i = 0; i < n; i++) {
        struct front_watch *w = events[i].data.ptr;
        if (w->kind == WATCH_CONN)
            hang_up(CONTAINER_OF(w, struct front_conn, watch), events[i].events);
        else if (w->kind == WATCH_LINGER)
            linger_read(CONTAINER_OF(w, struct front_linger, watch));
    }
}

/* The head or the body took too long. libmicrohttpd has no way to close a connection that it is
 * reading; it finds the socket shut down. */
static void on_time_over(struct loop_timer *t)
{
    struct front_conn *c = CONTAINER_OF(t, struct front_conn, timer);
    struct front_request *r = c->request;
    struct front *f = c->front;
    if (r != NULL && r->delivered)
        lose(r);
    else
        f->events->refused(f->owner, 0, "the head took too long");
    (void)shutdown(c->fd, SHUT_RDWR);
    if (r != NULL)
        front_wake(r);
    front_soon(f);
}

/* ---- a connection ---- */

static void conn_open(struct front *f, struct MHD_Connection *mhd, void **context)
{
    struct front_conn *c = mem_alloc(sizeof *c);
    *context = c;
    f->conns_n++;
    if (!loop_timer_active(&f->tick))
        loop_timer_start(f->loop, &f->tick, TICK_MS, on_tick);
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (c == NULL) {
        (void)shutdown(fd, SHUT_RDWR);
        return;
    }
    *c = (struct front_conn){
        .watch = { WATCH_CONN }, .front = f, .mhd = mhd, .fd = fd, .next = f->conns
    };
    if (f->conns != NULL)
        f->conns->prev = c;
    f->conns = c;
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = &c->watch };
    (void)epoll_ctl(f->watch_fd, EPOLL_CTL_ADD, fd, &event);
    loop_timer_start(f->loop, &c->timer, f->head_ms, on_time_over);
}

static void conn_close(struct front *f, struct front_conn *c)
{
    f->conns_n--;
    /* libmicrohttpd stops listening when it is full, or out of files, and looks only at the start of
     * a run whether it may begin again. */
    if (f->draining || f->conns_n == 0 || f->conns_n + 1 >= f->conns_max)
        front_soon(f);
    if (c == NULL)
        return;
    loop_timer_stop(&c->timer);
    /* before libmicrohttpd closes it: a copy made for lingering would keep it in the set */
    (void)epoll_ctl(f->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->lingers)
        linger_open(c);
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        f->conns = c->next;
    mem_free(c);
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        conn_open(cls, mhd, context);
    else
        conn_close(cls, *context);
}

/* ---- a request's head ---- */

/* The request line was read; target is as sent, and will be taken apart in place after this. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct front *f = cls;
    struct front_conn *c =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    size_t len = strlen(target);
    struct front_request *r = c != NULL ? mem_alloc(sizeof *r + len + 1) : NULL;
    if (r == NULL)
        return NULL;
    r->front = f;
    r->conn = c;
    r->mhd = mhd;
    r->target_len = len;
    memcpy(r->target, target, len);
    char *mark = memchr(target, '?', len);
    size_t path_len = mark != NULL ? (size_t)(mark - target) : len;
    r->path = bytes_of(r->target, path_len);
    if (mark != NULL) {
        r->query = bytes_of(r->target + path_len + 1, len - path_len - 1);
        /* Next the query would be taken apart in place, at the price of an allocation from the small
         * pool for each '&'. Nobody looks at that; it finds an empty one. */
        mark[1] = 0;
    }
    c->request = r;
    if (c->hung_up)
        shut_reading(c);
    if (c->served) /* the first head's time runs since the connection was opened */
        loop_timer_start(f->loop, &c->timer, f->head_ms, on_time_over);
    return r;
}

/* Instead of libmicrohttpd's decoding of the path, which nobody looks at. */
static size_t on_unescape(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls;
    (void)mhd;
    return strlen(text);
}

struct lines {
    size_t n;
    struct strict_line line[FRONT_HEADERS_MAX];
};

static enum MHD_Result on_line(void *cls, enum MHD_ValueKind kind, const char *name,
                               size_t name_len, const char *value, size_t value_len)
{
    struct lines *l = cls;
    (void)kind;
    if (l->n < FRONT_HEADERS_MAX)
        l->line[l->n] = (struct strict_line){ name, value, name_len, value_len };
    l->n++;
    return MHD_YES;
}

static struct strict_verdict check_head(struct front_request *r, const char *version)
{
    struct lines l;
    l.n = 0;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t head_len = info != NULL ? info->header_size : 0;
    (void)MHD_get_connection_values_n(r->mhd, MHD_HEADER_KIND, on_line, &l);
    if (l.n > FRONT_HEADERS_MAX || head_len > r->front->head_max)
        return (struct strict_verdict){ .status = 431, .reason = "request head too large" };
    struct strict_head head = { .at = (const char *)r->method.at,
                                .len = head_len,
                                .method_len = r->method.len,
                                .target_len = r->target_len,
                                .version = version,
                                .lines = l.line,
                                .lines_n = l.n };
    struct strict_verdict v = strict_check(&head, r->target);
    if (v.accepted && v.length > r->front->body_max) {
        v.accepted = false;
        v.status = 413;
        v.reason = "request body too large";
    }
    return v;
}

static enum MHD_Result queue_answer(struct front_request *r)
{
    r->queued = true;
    front_hold_head(r);
    return MHD_queue_response(r->mhd, r->status, r->response);
}

static enum MHD_Result refuse(struct front_request *r, unsigned status, const char *reason)
{
    struct front *f = r->front;
    r->conn->lingers = true;
    f->events->refused(f->owner, status, reason);
    return err_is_ok(front_refuse(r, status, reason)) ? queue_answer(r) : MHD_NO;
}

/* Answered by its head alone: libmicrohttpd would close the connection. Worth it unless the body is
 * short and surely on its way. */
static bool leaves_body(const struct front_request *r)
{
    return r->chunked || (r->length > 0 && (r->expects || r->length > SKIP_MAX));
}

static enum MHD_Result after_head(struct front_request *r)
{
    if (r->lost || (r->aborted && !front_answer_ready(r)))
        return MHD_NO;
    if (r->paused && r->response == NULL) {
        r->held = true;
        front_suspend(r);
        return MHD_YES;
    }
    if (front_answer_ready(r) && leaves_body(r)) {
        r->conn->lingers = true;
        return queue_answer(r);
    }
    body_clock_start(r);
    if (r->conn->hung_up)
        shut_reading(r->conn);
    return MHD_YES;
}

static enum MHD_Result first_call(struct front_request *r, const char *method, const char *version)
{
    struct front *f = r->front;
    r->seen = true;
    r->method = bytes_str(method);
    r->head = bytes_equal(r->method, BYTES_LIT("HEAD"));
    loop_timer_stop(&r->conn->timer);
    struct strict_verdict v = check_head(r, version);
    if (!v.accepted)
        return refuse(r, v.status, v.reason);
    r->old = v.old;
    r->chunked = v.chunked;
    r->expects = v.expects;
    r->length = v.length;
    r->body_left_ms = f->body_ms;
    r->delivered = true;
    f->requests_n++;
    f->events->request(f->owner, r);
    return after_head(r);
}

/* ---- a request's body ---- */

/* A chunked body turned out too large. libmicrohttpd takes no answer now; what follows is thrown
 * away until it does. */
static enum MHD_Result overflow(struct front_request *r)
{
    struct front *f = r->front;
    say_gone(r);
    f->events->refused(f->owner, 413, "request body too large");
    return err_is_ok(front_refuse(r, 413, "request body too large")) ? MHD_YES : MHD_NO;
}

static enum MHD_Result throw_away(struct front_request *r, size_t *len)
{
    r->received += *len;
    *len = 0;
    return r->received <= r->front->body_max + FRONT_DISCARD_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result body_call(struct front_request *r, const char *at, size_t *len)
{
    if (r->response != NULL)
        return throw_away(r, len);
    if (r->aborted)
        return MHD_NO;
    if (r->paused) {
        body_clock_stop(r);
        front_suspend(r);
        return MHD_YES;
    }
    if (r->conn->hung_up)
        shut_reading(r->conn);
    r->received += *len;
    bytes piece = bytes_of(at, *len);
    *len = 0;
    if (r->received > r->front->body_max)
        return overflow(r);
    r->front->events->body(r, piece);
    if (r->aborted && r->response == NULL)
        return MHD_NO;
    if (r->paused && r->response == NULL) {
        body_clock_stop(r);
        front_suspend(r);
    }
    return MHD_YES;
}

static enum MHD_Result final_call(struct front_request *r)
{
    if (r->paused && !r->body_ended && r->response == NULL && !r->aborted) {
        body_clock_stop(r);
        front_suspend(r);
        return MHD_YES;
    }
    if (!r->body_ended) {
        loop_timer_stop(&r->conn->timer);
        r->body_ended = true;
        if (r->response == NULL && !r->aborted)
            r->front->events->body_end(r);
    }
    if (r->aborted && (r->response == NULL || r->mute))
        return MHD_NO;
    if (front_answer_ready(r))
        return queue_answer(r);
    front_suspend(r);
    return MHD_YES;
}

/* NOLINTNEXTLINE(readability-function-size): the library's signature */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **context)
{
    struct front_request *r = *context;
    (void)cls;
    (void)mhd;
    (void)url;
    if (r == NULL || r->lost)
        return MHD_NO;
    if (!r->seen)
        return first_call(r, method, version);
    if (r->held) {
        r->held = false;
        return after_head(r);
    }
    return *upload_len > 0 ? body_call(r, upload, upload_len) : final_call(r);
}

/* Where the end of the connection is the end of the body, one that is broken off must not end like
 * one that is complete. */
static void break_off(const struct front_request *r)
{
    if (r->queued && r->pieces && r->old && r->total < 0)
        front_reset(r->conn->fd);
}

/* libmicrohttpd is done with the request, one way or the other. */
static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode how)
{
    struct front *f = cls;
    struct front_request *r = *context;
    (void)mhd;
    *context = NULL;
    if (r == NULL)
        return;
    struct front_conn *c = r->conn;
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        break_off(r);
    if (r->delivered && !r->over && how == MHD_REQUEST_TERMINATED_COMPLETED_OK &&
        front_answered(r)) {
        r->over = true;
        f->requests_n--;
        f->events->done(r);
    }
    say_gone(r);
    front_request_free(r);
    c->request = NULL;
    c->served = true;
    loop_timer_start(f->loop, &c->timer, (uint64_t)f->idle_ms + f->head_ms, on_time_over);
    if (f->draining || c->hung_up)
        shut_reading(c);
}

/* ---- opening and closing ---- */

/* The library's complaints are about clients; they are counted elsewhere. */
static void no_log(void *cls, const char *format, va_list args)
{
    (void)cls;
    (void)format;
    (void)args;
}

static err read_pem(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ENSURE(fd >= 0, CONFIG);
    err e = OK;
    for (ssize_t n = 1; n > 0 && err_is_ok(e);) {
        uint8_t *room;
        e = buf_reserve(out, 4096, &room);
        n = err_is_ok(e) ? read(fd, room, 4096) : 0;
        if (n > 0)
            buf_commit(out, (size_t)n);
    }
    (void)close(fd);
    ENSURE(err_is_ok(e) && out->len > 0 && buf_str(out) != NULL, CONFIG);
    return OK;
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value != 0 ? value : otherwise;
}

static void take_settings(struct front *f, const struct front_settings *s)
{
    f->body_max = s->body_max != 0 ? s->body_max : BODY_MAX_DEFAULT;
    f->head_max = s->head_max != 0 && s->head_max < FRONT_HEAD_MAX ? s->head_max : FRONT_HEAD_MAX;
    f->conns_max = or_default(s->connections_max, FRONT_STREAMS_MAX);
    f->idle_ms = or_default(s->idle_ms, IDLE_MS_DEFAULT);
    f->head_ms = or_default(s->head_ms, HEAD_MS_DEFAULT);
    f->body_ms = or_default(s->body_ms, BODY_MS_DEFAULT);
}

static err start_daemon(struct front *f, const struct front_settings *s, uint8_t *cert,
                        uint8_t *key)
{
    static char priorities[] = TLS_PRIORITIES;
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)no_log, NULL },
        { MHD_OPTION_LISTEN_SOCKET, f->listen_fd, NULL },
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, POOL_LEN, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, f->conns_max, NULL },
        { MHD_OPTION_PER_IP_CONNECTION_LIMIT, s->per_ip_max, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, (f->idle_ms + 999) / 1000, NULL },
        { MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, f },
        { MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, f },
        { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, f },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)on_unescape, f },
        /* every check that its strict mode makes, we make */
        { MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL },
        { MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL },
        { f->tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, cert },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, priorities },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (f->tls ? MHD_USE_TLS : 0U);
    f->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, f, MHD_OPTION_ARRAY, options,
                                 MHD_OPTION_END);
    if (f->daemon == NULL && f->tls)
        FAIL(CONFIG);
    ENSURE(f->daemon != NULL, SYSTEM);
    return OK;
}

static err start(struct front *f, const struct front_settings *s)
{
    BUF_AUTO cert = BUF(PEM_MAX);
    BUF_AUTO key = BUF(PEM_MAX);
    f->tls = s->tls_cert_path != NULL || s->tls_key_path != NULL;
    if (f->tls) {
        ENSURE(s->tls_cert_path != NULL && s->tls_key_path != NULL, CONFIG);
        TRY(read_pem(s->tls_cert_path, &cert));
        TRY(read_pem(s->tls_key_path, &key));
    }
    return start_daemon(f, s, cert.at, key.at);
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage at = { 0 };
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return 0;
    if (at.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)&at)->sin_port);
    if (at.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&at)->sin6_port);
    return 0;
}

static err watch_all(struct front *f)
{
    f->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    ENSURE(f->watch_fd >= 0, SYSTEM);
    int mhd_fd = MHD_get_daemon_info(f->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    TRY(loop_fd_open(&f->input, f->loop, mhd_fd, on_input, f));
    TRY(loop_fd_want(f->input, LOOP_READ));
    TRY(loop_fd_open(&f->watch, f->loop, f->watch_fd, on_watch, f));
    TRY(loop_fd_want(f->watch, LOOP_READ));
    loop_hook_add(f->loop, &f->hook, HOOK_ORDER, on_turn_end);
    front_soon(f);
    return OK;
}

err front_new(struct front **out, struct loop *loop, const struct front_settings *settings,
              const struct front_events *events, void *owner)
{
    int listen_fd = settings->listen_fd;
    if (settings->listen != NULL)
        TRY(sock_listen(settings->listen, SOCK_SHARED, &listen_fd));
    struct front *f = mem_alloc(sizeof *f);
    if (f == NULL) {
        (void)close(listen_fd);
        FAIL(NOMEM);
    }
    *f = (struct front){
        .loop = loop, .events = events, .owner = owner, .listen_fd = listen_fd, .watch_fd = -1
    };
    f->port = port_of(listen_fd);
    take_settings(f, settings);
    err e = start(f, settings);
    if (err_is_ok(e))
        e = watch_all(f);
    if (!err_is_ok(e)) {
        front_free(f);
        return e;
    }
    *out = f;
    return OK;
}

void front_drain(struct front *f)
{
    if (f->drain_asked)
        return;
    f->drain_asked = true;
    front_soon(f);
}

static void stop_daemon(struct front *f)
{
    for (struct front_conn *c = f->conns; c != NULL; c = c->next) {
        struct front_request *r = c->request;
        if (r == NULL)
            continue;
        break_off(r);
        lose(r);
        if (r->suspended)
            MHD_resume_connection(r->mhd);
        r->suspended = false;
    }
    MHD_stop_daemon(f->daemon);
}

void front_free(struct front *f)
{
    if (f == NULL)
        return;
    loop_fd_close(f->input);
    loop_fd_close(f->watch);
    loop_hook_remove(&f->hook);
    loop_defer_cancel(&f->nudge);
    f->dirty = true; /* nothing is deferred any more */
    if (f->daemon != NULL)
        stop_daemon(f); /* closes the listening socket, unless drained */
    else if (f->listen_fd >= 0)
        (void)close(f->listen_fd);
    while (f->lingers != NULL)
        linger_close(f->lingers);
    loop_timer_stop(&f->tick);
    if (f->watch_fd >= 0)
        (void)close(f->watch_fd);
    mem_free(f);
}

uint16_t front_port(const struct front *f)
{
    return f->port;
}

uint32_t front_connections(const struct front *f)
{
    return f->conns_n;
}

uint32_t front_requests(const struct front *f)
{
    return f->requests_n;
}
