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
 * A request's object exists from its request line on (front_on_target) until libmicrohttpd is done
 * with it (on_completed), which is where the owner's last call is made, unless the client was lost
 * before.
 *
 * Here it is started, run and stopped; front_conn.c has its connections, front_call.c its requests
 * on their way in, front_request.c their answers.
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

enum {
    POOL_LEN = 32 * 1024, /* libmicrohttpd's memory for one connection */
    RUNS_MAX = 16,        /* of libmicrohttpd, one after the other */
    ROUNDS_MAX = 4,       /* of resuming and running in one turn */
    HOOK_ORDER = 100,
    PEM_MAX = 256 * 1024,
    BODY_MAX_DEFAULT = 64 * 1024 * 1024,
    IDLE_MS_DEFAULT = 120 * 1000,
    HEAD_MS_DEFAULT = 10 * 1000,
    BODY_MS_DEFAULT = 300 * 1000,
};

#define TLS_PRIORITIES                                                                             \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SAFE_RENEGOTIATION:%SERVER_PRECEDENCE"

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

static void wake_all(struct front *f)
{
    while (f->wake != NULL) {
        struct front_request *r = f->wake;
        front_unwake(r);
        if (r->conn->hung_up && !front_answered(r))
            front_lose(r);
        r->suspended = false;
        front_body_clock(r);
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
            front_shut_reading(c);
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

/* ---- what libmicrohttpd calls ---- */

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        *context = front_conn_open(cls, mhd);
    else
        front_conn_close(cls, *context);
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
    bool goes_on = false;
    if (!r->seen)
        goes_on = front_first_call(r, method, version);
    else if (r->held)
        goes_on = front_held_call(r);
    else if (*upload_len > 0)
        goes_on = front_body_call(r, upload, upload_len);
    else
        goes_on = front_final_call(r);
    return goes_on ? MHD_YES : MHD_NO;
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode how)
{
    struct front_request *r = *context;
    (void)mhd;
    *context = NULL;
    if (r != NULL)
        front_complete(cls, r, how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
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
        { MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)front_on_target, f },
        { MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)front_on_unescape, f },
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
    TRY(loop_fd_open(&f->watch, f->loop, f->watch_fd, front_on_watch, f));
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
        front_break_off(r);
        front_lose(r);
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
        front_linger_close(f->lingers);
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
