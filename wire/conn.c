/*
 * States: GREETING (TLS, then until the peer's SETTINGS) -> OPEN -> FAREWELL (all is said; our side
 * of the socket is shut, the peer's end is awaited for a moment so that the last bytes are not lost
 * to a reset) -> ENDED (the socket is closed; what is left happens at the end of the turn).
 *
 * All output of a turn is gathered and sent in flush(), a task at the very end of the turn. When
 * the socket does not take it all, nothing more is gathered until it has. Ending is another such
 * task, so that no memory goes while a caller further up still uses it.
 */
#include "wire/conn.h"

#include "base/attr.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sock.h"
#include "crypto/tls.h"
#include "wire/link.h"

enum {
    FLUSH_LEN = 192 * 1024,         /* gathered at once */
    FIRST_LEN = 4 * 1024,           /* what an output buffer begins with */
    IDLE_LEN = 16 * 1024,           /* a buffer up to this size is kept, */
    KEEP_LEN = 256 * 1024,          /* and up to this while there are streams */
    OUT_MAX = 2 * TLS_PENDING_MAX,  /* never reached: FLUSH_LEN and one frame, and TLS's share */
    PLAIN_IN_MAX = TLS_PENDING_MAX, /* what one tls_read() may give */
    READS_MAX = 4,                  /* per readiness, for fairness */
    FAREWELL_MS = 1000,
};

_Static_assert(FLUSH_LEN + H2_OVER_MAX < TLS_PENDING_MAX, "a flush fits into TLS");

enum conn_state { CONN_GREETING = 0, CONN_OPEN, CONN_FAREWELL, CONN_ENDED };

struct conn {
    struct loop *loop;
    struct link *link;
    const struct conn_settings *settings;
    const struct conn_events *events;
    struct link_counts *counts;
    enum conn_state state;
    err why;

    int fd;
    struct loop_fd *watch;
    struct tls *tls;
    struct h2 *h2;

    struct buf out; /* for the socket; the first `done` bytes have been sent */
    size_t done;
    struct buf plain; /* with TLS: from h2, not yet encrypted */
    struct buf in;    /* with TLS: decrypted, for h2 */
    uint64_t taken;   /* bytes h2 has given */
    bool blocked;     /* the socket did not take all of out */
    bool told;        /* a callback was made since it was last looked at */

    struct loop_timer timer;
    struct loop_task flush_task, end_task;
    uint64_t heard_ms, busy_ms, open_ms;
    bool pinged;
};

static void flush(struct loop_task *t);
static void flush_now(struct conn *c);
static void finish(struct loop_task *t);

static bool ended(const struct conn *c)
{
    return c->state == CONN_ENDED;
}

static void flush_later(struct conn *c)
{
    if (!ended(c))
        loop_defer_last(c->loop, &c->flush_task, flush);
}

void conn_end(struct conn *c, err why)
{
    if (ended(c))
        return;
    c->state = CONN_ENDED;
    c->why = why;
    loop_timer_stop(&c->timer);
    loop_defer_cancel(&c->flush_task);
    loop_fd_close(c->watch);
    c->watch = NULL;
    sock_close(&c->fd);
    loop_defer_last(c->loop, &c->end_task, finish);
}

static void end_with(struct conn *c, enum err_code code)
{
    conn_end(c, (err){ code });
}

/* With TLS, what was given to it may have left in part: then it counts as delivered. */
static uint64_t delivered(const struct conn *c)
{
    return c->tls != NULL ? c->taken : c->taken - (c->out.len - c->done);
}

static void conn_free(struct conn *c)
{
    h2_free(c->h2);
    tls_free(c->tls);
    buf_clear(&c->out);
    buf_clear(&c->plain);
    buf_clear(&c->in);
    mem_free(c);
}

static void finish(struct loop_task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, end_task);
    loop_again(c->loop);
    h2_lost(c->h2, delivered(c));
    c->events->gone(c->link, c, c->why);
    conn_free(c);
}

/* ---- timers ---- */

static void on_tick(struct loop_timer *t);

static void tick_in(struct conn *c, uint64_t ms)
{
    loop_timer_start(c->loop, &c->timer, ms, on_tick);
}

static void on_farewell_over(struct loop_timer *t)
{
    end_with(CONTAINER_OF(t, struct conn, timer), ERR_CLOSED);
}

static void on_hello_late(struct loop_timer *t)
{
    end_with(CONTAINER_OF(t, struct conn, timer), ERR_TIMEOUT);
}

/* The smaller of two spans, of which zero is none. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* Until the connection counts as idle; 0: it never does. */
static uint64_t idle_in(struct conn *c, uint64_t now)
{
    uint64_t idle_ms = c->settings->idle_ms;
    if (idle_ms == 0)
        return 0;
    if (h2_streams(c->h2) > 0)
        c->busy_ms = now;
    if (now - c->busy_ms < idle_ms)
        return idle_ms - (now - c->busy_ms);
    conn_drain(c);
    return idle_ms;
}

/* Bytes that trickle in are no silence, but a head may not take for ever. */
static bool is_slow(const struct conn *c, uint64_t now)
{
    return c->settings->head_ms > 0 && h2_in_head(c->h2, now) > c->settings->head_ms;
}

/* One timer for silence and for idleness; traffic does not re-arm it. */
static void on_tick(struct loop_timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    uint64_t now = loop_now_ms(c->loop);
    uint64_t silent = now - c->heard_ms;
    if (c->pinged || is_slow(c, now)) {
        end_with(c, ERR_TIMEOUT);
        return;
    }
    if (silent >= c->settings->ping_ms) {
        c->pinged = true;
        h2_ping(c->h2);
        tick_in(c, c->settings->ping_timeout_ms);
        return;
    }
    tick_in(c, sooner(c->settings->ping_ms - silent, idle_in(c, now)));
}

static void heard(struct conn *c, size_t n)
{
    c->counts->bytes_received += n;
    c->counts->receives++;
    c->heard_ms = loop_now_ms(c->loop);
    if (!c->pinged)
        return;
    c->pinged = false;
    tick_in(c, c->settings->ping_ms);
}

/* ---- receiving ---- */

/* What nghttp2 refused is answered with a goodbye, at once, as far as the socket takes it. */
static void end_in_anger(struct conn *c, err why)
{
    loop_defer_cancel(&c->flush_task);
    c->why = why;
    flush_now(c);
    conn_end(c, why);
}

static void put_plain(struct conn *c, bytes in)
{
    err e = h2_put(c->h2, in, loop_now_ms(c->loop));
    if (ended(c))
        return;
    if (!err_is_ok(e)) {
        end_in_anger(c, e);
        return;
    }
    flush_later(c);
}

static err decrypt(struct conn *c, bytes in)
{
    TRY(tls_put(c->tls, in));
    do {
        c->in.len = 0; /* overwritten by the next, wiped when released */
        TRY(tls_read(c->tls, &c->in));
        if (c->in.len > 0)
            put_plain(c, buf_view(&c->in));
    } while (!ended(c) && tls_readable(c->tls));
    if (c->in.cap > KEEP_LEN)
        buf_clear(&c->in);
    return OK;
}

static void put_cipher(struct conn *c, bytes in)
{
    err e = decrypt(c, in);
    if (ended(c))
        return;
    if (!err_is_ok(e))
        end_in_anger(c, e);
    else if (tls_peer_closed(c->tls))
        end_with(c, ERR_CLOSED);
    else
        flush_later(c);
}

static void put(struct conn *c, bytes in)
{
    heard(c, in.len);
    if (c->state == CONN_FAREWELL)
        return;
    if (c->tls != NULL)
        put_cipher(c, in);
    else
        put_plain(c, in);
}

static void receive(struct conn *c)
{
    uint8_t *room = loop_scratch(c->loop);
    size_t n = LOOP_SCRATCH_LEN;
    for (int i = 0; i < READS_MAX && n == LOOP_SCRATCH_LEN && !ended(c); i++) {
        enum sock_step step = sock_receive(c->fd, room, LOOP_SCRATCH_LEN, &n);
        if (step == SOCK_MOVED)
            put(c, bytes_of(room, n));
        else if (step != SOCK_WAIT)
            end_with(c, ERR_CLOSED);
        if (step != SOCK_MOVED)
            return;
    }
}

/* ---- sending ---- */

static bool may_speak(const struct conn *c)
{
    return c->tls == NULL || tls_ready(c->tls);
}

/* h2's frames to the end of the output, encrypted if need be. */
static err gather(struct conn *c, bool *more)
{
    uint8_t *room;
    TRY(buf_reserve(&c->out, FIRST_LEN, &room));
    if (c->tls == NULL) {
        size_t before = c->out.len;
        err e = h2_take(c->h2, &c->out, FLUSH_LEN, more);
        c->taken += c->out.len - before;
        return e;
    }
    if (may_speak(c) && c->state != CONN_FAREWELL) {
        TRY(h2_take(c->h2, &c->plain, FLUSH_LEN, more));
        c->taken += c->plain.len;
        if (c->plain.len > 0)
            TRY(tls_write(c->tls, buf_view(&c->plain)));
        c->plain.len = 0; /* overwritten by the next, wiped when released */
    }
    return tls_take(c->tls, &c->out);
}

static void release_out(struct conn *c)
{
    c->done = 0;
    c->out.len = 0; /* overwritten by the next, wiped when released */
    size_t keep = h2_streams(c->h2) > 0 ? KEEP_LEN : IDLE_LEN;
    if (c->out.cap > keep)
        buf_clear(&c->out);
    if (c->plain.cap > keep)
        buf_clear(&c->plain);
}

static bool out_waits(const struct conn *c)
{
    return c->done < c->out.len;
}

static void send_out(struct conn *c)
{
    size_t n;
    if (!out_waits(c))
        return;
    enum sock_step step = sock_send(c->fd, bytes_slice(buf_view(&c->out), c->done, c->out.len), &n);
    if (step == SOCK_BROKEN) {
        end_with(c, ERR_CLOSED);
        return;
    }
    c->done += n;
    c->counts->bytes_sent += n;
    c->counts->sends++;
    if (!out_waits(c))
        release_out(c);
}

static void set_wants(struct conn *c)
{
    unsigned want = out_waits(c) ? LOOP_READ | LOOP_WRITE : LOOP_READ;
    c->blocked = out_waits(c);
    if (!err_is_ok(loop_fd_want(c->watch, want)))
        end_with(c, ERR_SYSTEM);
}

static void close_tls(struct conn *c)
{
    if (c->tls == NULL)
        return;
    (void)tls_close_notify(c->tls);
    (void)tls_take(c->tls, &c->out);
    send_out(c);
}

static void say_farewell(struct conn *c)
{
    err why = h2_why(c->h2);
    if (!err_is_ok(why)) {
        conn_end(c, why);
        return;
    }
    c->state = CONN_FAREWELL;
    close_tls(c);
    if (ended(c))
        return;
    sock_end(c->fd);
    loop_timer_start(c->loop, &c->timer, FAREWELL_MS, on_farewell_over);
}

static void on_h2_leaving(void *owner);

static void after_flush(struct conn *c, bool more)
{
    if (h2_flooded(c->h2))
        end_with(c, ERR_LIMIT);
    else if (more && !c->blocked)
        flush_later(c);
    else if (!out_waits(c) && h2_finished(c->h2))
        say_farewell(c);
    else if (h2_worn_out(c->h2))
        on_h2_leaving(c);
}

static void flush_now(struct conn *c)
{
    bool more = c->blocked;
    if (c->state == CONN_FAREWELL)
        return;
    err e = c->blocked ? OK : gather(c, &more);
    if (!ended(c))
        send_out(c);
    if (ended(c) || !err_is_ok(c->why))
        return;
    if (!err_is_ok(e)) {
        conn_end(c, e);
        return;
    }
    set_wants(c);
    h2_tell(c->h2);
    h2_reap(c->h2);
    if (!ended(c))
        after_flush(c, more);
}

/* Once per turn at most. The hooks have run by now; what a callback from here has caused would be
 * seen by them only after the next event, whenever that comes. */
static void flush(struct loop_task *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, flush_task);
    c->told = false;
    flush_now(c);
    if (c->told)
        loop_again(c->loop);
}

static void on_ready(void *owner, unsigned ready)
{
    struct conn *c = owner;
    if ((ready & LOOP_WRITE) != 0)
        flush_later(c);
    if ((ready & LOOP_READ) != 0)
        receive(c);
}

/* ---- what h2 tells ---- */

/* The conn of a stream that is about to be told something. */
static struct conn *telling(const struct link_stream *s)
{
    struct conn *c = h2_owner(h2_stream_connection(s));
    c->told = true;
    return c;
}

static void on_h2_ready(void *owner)
{
    struct conn *c = owner;
    if (ended(c))
        return;
    c->state = CONN_OPEN;
    c->open_ms = c->busy_ms = loop_now_ms(c->loop);
    tick_in(c, sooner(c->settings->ping_ms, c->settings->idle_ms));
    c->events->open(c->link, c);
}

static void on_h2_leaving(void *owner)
{
    struct conn *c = owner;
    c->told = true;
    c->events->leaving(c->link, c);
}

static void on_h2_wake(void *owner)
{
    flush_later(owner);
}

/* Input that was received together with what made somebody end the connection is still parsed, but
 * nobody is told. */
static void on_h2_request(void *owner, struct link_stream *s, const struct link_request *req)
{
    struct conn *c = owner;
    c->busy_ms = loop_now_ms(c->loop);
    if (ended(c))
        h2_stream_reset(s, LINK_REFUSE);
    else
        c->events->request(c->link, s, req);
}

static void on_h2_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                       size_t n)
{
    struct conn *c = telling(s);
    if (!ended(c))
        c->events->head(s, status, fields, n);
}

static void on_h2_data(struct link_stream *s, bytes in)
{
    struct conn *c = telling(s);
    if (!ended(c))
        c->events->data(s, in);
}

static void on_h2_end(struct link_stream *s)
{
    struct conn *c = telling(s);
    if (!ended(c))
        c->events->end(s);
}

static void on_h2_hungry(struct link_stream *s, size_t room)
{
    struct conn *c = h2_owner(h2_stream_connection(s));
    if (!ended(c) && c->events->hungry(s, room))
        c->told = true;
}

static void on_h2_writable(struct link_stream *s)
{
    struct conn *c = telling(s);
    if (!ended(c))
        c->events->writable(s);
}

static void on_h2_closed(struct link_stream *s, enum link_close why)
{
    struct conn *c = telling(s);
    c->busy_ms = loop_now_ms(c->loop);
    c->events->closed(s, why);
}

static const struct h2_events h2_words = {
    .ready = on_h2_ready,
    .leaving = on_h2_leaving,
    .wake = on_h2_wake,
    .request = on_h2_request,
    .head = on_h2_head,
    .data = on_h2_data,
    .end = on_h2_end,
    .hungry = on_h2_hungry,
    .writable = on_h2_writable,
    .closed = on_h2_closed,
};

/* ---- life ---- */

static err start(struct conn *c)
{
    TRY(h2_new(&c->h2, &c->settings->h2, &h2_words, c));
    TRY(loop_fd_open(&c->watch, c->loop, c->fd, on_ready, c));
    err e = loop_fd_want(c->watch, LOOP_READ);
    if (!err_is_ok(e))
        loop_fd_close(c->watch);
    return e;
}

err conn_new(struct conn **out, const struct conn_socket *socket,
             const struct conn_settings *settings, const struct conn_events *events, struct link *k,
             struct link_counts *counts)
{
    int fd = socket->fd;
    struct conn *c = mem_alloc(sizeof *c);
    if (c == NULL) {
        sock_close(&fd);
        tls_free(socket->tls);
        FAIL(NOMEM);
    }
    *c = (struct conn){ .loop = socket->loop,
                        .fd = fd,
                        .tls = socket->tls,
                        .settings = settings,
                        .events = events,
                        .link = k,
                        .counts = counts,
                        .out = BUF(OUT_MAX),
                        .plain = BUF(FLUSH_LEN + H2_OVER_MAX),
                        .in = BUF(PLAIN_IN_MAX) };
    err e = start(c);
    if (!err_is_ok(e)) {
        sock_close(&fd);
        conn_free(c);
        return e;
    }
    c->heard_ms = loop_now_ms(c->loop);
    loop_timer_start(c->loop, &c->timer, settings->hello_ms, on_hello_late);
    flush_later(c);
    *out = c;
    return OK;
}

void conn_drain(struct conn *c)
{
    if (!ended(c))
        h2_leave(c->h2);
}

struct h2 *conn_h2(const struct conn *c)
{
    return c->h2;
}

struct link *conn_link(const struct conn *c)
{
    return c->link;
}

bool conn_is_silent(const struct conn *c)
{
    return c->pinged;
}

uint64_t conn_open_since_ms(const struct conn *c)
{
    return c->open_ms;
}
