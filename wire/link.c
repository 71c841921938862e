/*
 * A client's link outlives its connections: it has one that takes new streams (`now`), and a few
 * that the peer is leaving and that only finish theirs (`old`). A server's link is one connection.
 *
 * A link is freed when it is closed and the last of its connections has gone; those go at the end
 * of a turn, when no caller is inside the link any more.
 */
#include "wire/link.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/tls.h"
#include "wire/link_own.h"

static void dial(struct loop_timer *t);
static err open_conn(struct link *k, const struct conn_socket *socket);

static uint64_t or_default(uint64_t v, uint64_t otherwise)
{
    return v != 0 ? v : otherwise;
}

static void link_release(struct link *k)
{
    mem_free(k->dialer);
    mem_free(k);
}

static void release_closed(struct loop_task *t)
{
    link_release(CONTAINER_OF(t, struct link, task));
}

/* ---- dialling ---- */

/* Not a secret: only keeps many gateways from dialling in step. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void dial_in(struct link *k, uint64_t ms)
{
    if (!k->draining && !k->closed)
        loop_timer_start(k->loop, &k->dialer->timer, ms, dial);
}

static void dial_later(struct link *k)
{
    struct link_dialer *d = k->dialer;
    uint64_t pause_ms = d->pause_ms == 0 ? d->min_ms : d->pause_ms * 2;
    d->pause_ms = pause_ms < d->max_ms ? pause_ms : d->max_ms;
    uint64_t half_ms = d->pause_ms / 2;
    dial_in(k, d->pause_ms - next_random(&d->seed) % (half_ms + 1));
}

/* A connection that lasted longer than the pause before it takes the blame off the peer. */
static bool lasted(struct link *k, const struct conn *c)
{
    uint64_t since_ms = conn_open_since_ms(c);
    bool long_enough = since_ms != 0 && loop_now_ms(k->loop) - since_ms >= k->dialer->pause_ms;
    if (long_enough)
        k->dialer->pause_ms = 0;
    return long_enough;
}

static err make_conn(struct link *k, int fd)
{
    const struct link_dialer *d = k->dialer;
    struct conn_socket socket = { .loop = k->loop, .fd = fd };
    err e = d->tls == NULL ? OK : tls_new(&socket.tls, d->tls, d->server_name);
    if (!err_is_ok(e)) {
        sock_close(&fd);
        return e;
    }
    return open_conn(k, &socket);
}

static void on_dialled(void *owner, err e, int fd)
{
    struct link *k = owner;
    k->dialer->dial = NULL;
    if (err_is_ok(e))
        e = make_conn(k, fd);
    if (err_is_ok(e))
        return;
    k->why = e;
    dial_later(k);
}

static err connect_to(struct link *k, const struct sockaddr_storage *addrs, size_t n)
{
    struct link_dialer *d = k->dialer;
    const struct dial_target target = {
        .at = &d->addr, .addrs = addrs, .n = n, .within_ms = k->settings.hello_ms
    };
    return dial_start(&d->dial, k->loop, &target, on_dialled, k);
}

static void on_resolved(void *owner, err e, const struct sockaddr_storage *addrs, size_t n)
{
    struct link *k = owner;
    k->dialer->lookup = NULL;
    if (err_is_ok(e))
        e = connect_to(k, addrs, n);
    if (err_is_ok(e))
        return;
    k->why = e;
    dial_later(k);
}

static err look_up(struct link *k)
{
    char port[16];
    struct link_dialer *d = k->dialer;
    (void)snprintf(port, sizeof port, "%u", d->addr.port);
    return loop_resolve(&d->lookup, k->loop, d->addr.host, port, on_resolved, k);
}

static void dial(struct loop_timer *t)
{
    struct link_dialer *d = CONTAINER_OF(t, struct link_dialer, timer);
    struct link *k = d->link;
    k->counts.dials++;
    err e = d->addr.kind == SOCK_KIND_TCP ? look_up(k) : connect_to(k, NULL, 0);
    if (err_is_ok(e))
        return;
    k->why = e;
    dial_later(k);
}

/* ---- what connections tell ---- */

static void remove_old(struct link *k, const struct conn *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < k->old_n; i++)
        if (k->old[i] != c)
            k->old[kept++] = k->old[i];
    k->old_n = kept;
}

static void add_old(struct link *k, struct conn *c)
{
    if (k->old_n == LINK_OLD_MAX) {
        conn_end(k->old[0], (err){ ERR_CLOSED });
        remove_old(k, k->old[0]);
    }
    k->old[k->old_n++] = c;
}

static void tell_up(struct link *k)
{
    k->up = true;
    k->counts.ups++;
    if (k->events->up != NULL)
        k->events->up(k, k->owner);
}

static void tell_down(struct link *k, err why)
{
    if (!k->up)
        return;
    k->up = false;
    if (k->events->down != NULL)
        k->events->down(k, k->owner, why);
}

static void on_open(struct link *k, struct conn *c)
{
    if (k->now == c && !k->closed && !k->draining)
        tell_up(k);
}

/* The peer, or the end of its stream ids: a fresh connection takes over at once, unless the peer
 * does this every time. */
static void on_leaving(struct link *k, struct conn *c)
{
    if (k->dialer == NULL || k->now != c || k->closed || k->draining)
        return;
    k->now = NULL;
    add_old(k, c);
    conn_drain(c);
    if (lasted(k, c))
        dial_in(k, 0);
    else
        dial_later(k);
    tell_down(k, (err){ ERR_CLOSED });
}

static void on_server_gone(struct link *k, err why)
{
    k->closed = true;
    if (k->listener != NULL)
        link_listener_on_gone(k->listener, k);
    tell_down(k, why);
    link_release(k);
}

static void on_now_gone(struct link *k, const struct conn *c, err why)
{
    k->now = NULL;
    k->why = why;
    (void)lasted(k, c);
    dial_later(k);
    tell_down(k, why);
}

static void on_gone(struct link *k, struct conn *c, err why)
{
    k->conns_n--;
    if (k->closed) {
        if (k->conns_n == 0)
            link_release(k);
    } else if (k->dialer == NULL) {
        on_server_gone(k, why);
    } else if (k->draining) {
        remove_old(k, c);
        if (k->now == c)
            k->now = NULL;
        if (k->conns_n == 0)
            tell_down(k, (err){ ERR_CLOSED });
    } else if (k->now == c) {
        on_now_gone(k, c, why);
    } else {
        remove_old(k, c);
    }
}

static void on_request(struct link *k, struct link_stream *s, const struct link_request *req)
{
    if (k->events->request != NULL && k->dialer == NULL)
        k->events->request(k, k->owner, s, req);
    else
        link_stream_reset(s, LINK_REFUSE);
}

static const struct link_events *events_of(const struct link_stream *s)
{
    return link_stream_link(s)->events;
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    if (events_of(s)->head != NULL)
        events_of(s)->head(s, status, fields, n);
}

static void on_data(struct link_stream *s, bytes in)
{
    if (events_of(s)->data != NULL)
        events_of(s)->data(s, in);
    else
        link_stream_consume(s, in.len);
}

static void on_end(struct link_stream *s)
{
    if (events_of(s)->end != NULL)
        events_of(s)->end(s);
}

static bool on_hungry(struct link_stream *s, size_t room)
{
    if (events_of(s)->hungry == NULL)
        return false;
    events_of(s)->hungry(s, room);
    return true;
}

static void on_writable(struct link_stream *s)
{
    if (events_of(s)->writable != NULL)
        events_of(s)->writable(s);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    if (events_of(s)->closed != NULL)
        events_of(s)->closed(s, why);
}

static const struct conn_events conn_words = {
    .open = on_open,
    .leaving = on_leaving,
    .request = on_request,
    .gone = on_gone,
    .head = on_head,
    .data = on_data,
    .end = on_end,
    .hungry = on_hungry,
    .writable = on_writable,
    .closed = on_closed,
};

static err open_conn(struct link *k, const struct conn_socket *socket)
{
    TRY(conn_new(&k->now, socket, &k->settings, &conn_words, k, &k->counts));
    k->conns_n++;
    return OK;
}

/* ---- life ---- */

static void set_up_dialer(struct link_dialer *d, struct link *k, const struct link_settings *s)
{
    d->link = k;
    d->addr = s->addr;
    d->tls = s->tls;
    d->server_name = s->server_name != NULL ? s->server_name : d->addr.host;
    d->min_ms = or_default(s->redial_min_ms, 100);
    d->max_ms = or_default(s->redial_max_ms, 10000);
    d->seed = (clock_steady_us() ^ (uint64_t)(uintptr_t)k) | 1;
}

/* The rates are a server's defaults: a worker is trusted no further than a client. */
static struct conn_settings conn_settings_of(const struct link_settings *s)
{
    const struct h2_settings h2 = { .secure = s->addr.tls,
                                    .streams_max = s->streams_max,
                                    .window = s->window,
                                    .heads_per_s = LINK_HEADS_PER_S,
                                    .settings_per_s = LINK_SETTINGS_PER_S,
                                    .pings_per_s = LINK_PINGS_PER_S,
                                    .resets_per_s = LINK_RESETS_PER_S,
                                    .others_per_s = LINK_OTHERS_PER_S };
    return (struct conn_settings){ .h2 = h2,
                                   .hello_ms = or_default(s->connect_ms, 5000),
                                   .ping_ms = or_default(s->ping_ms, 15000),
                                   .ping_timeout_ms = or_default(s->ping_timeout_ms, 5000) };
}

err link_open(struct link **out, struct loop *l, const struct link_settings *settings,
              const struct link_events *events, void *owner)
{
    ENSURE((settings->tls != NULL) == settings->addr.tls, CONFIG);
    ENSURE(settings->addr.kind != SOCK_KIND_NONE, CONFIG);
    struct link *k = mem_alloc(sizeof *k);
    ENSURE(k != NULL, NOMEM);
    k->dialer = mem_alloc(sizeof *k->dialer);
    if (k->dialer == NULL) {
        link_release(k);
        FAIL(NOMEM);
    }
    k->loop = l;
    k->events = events;
    k->owner = owner;
    k->settings = conn_settings_of(settings);
    set_up_dialer(k->dialer, k, settings);
    dial_in(k, 0);
    *out = k;
    return OK;
}

err link_accept(struct link **out, const struct conn_socket *socket,
                const struct conn_settings *settings, struct link_listener *n,
                const struct link_events *events, void *owner)
{
    struct link *k = mem_alloc(sizeof *k);
    if (k == NULL) {
        int fd = socket->fd;
        sock_close(&fd);
        tls_free(socket->tls);
        FAIL(NOMEM);
    }
    *k = (struct link){
        .loop = socket->loop, .events = events, .owner = owner, .settings = *settings, .listener = n
    };
    if (getpeername(socket->fd, (struct sockaddr *)&k->peer, &(socklen_t){ sizeof k->peer }) != 0)
        k->peer.ss_family = AF_UNSPEC;
    err e = open_conn(k, socket);
    if (!err_is_ok(e)) {
        link_release(k);
        return e;
    }
    *out = k;
    return OK;
}

static void stop_dialling(struct link *k)
{
    if (k->dialer == NULL)
        return;
    loop_resolve_cancel(k->dialer->lookup);
    k->dialer->lookup = NULL;
    dial_cancel(k->dialer->dial);
    k->dialer->dial = NULL;
    loop_timer_stop(&k->dialer->timer);
}

void link_close(struct link *k)
{
    if (k == NULL || k->closed)
        return;
    k->closed = true;
    k->up = false;
    stop_dialling(k);
    if (k->listener != NULL)
        link_listener_on_gone(k->listener, k);
    k->listener = NULL;
    for (size_t i = 0; i < k->old_n; i++)
        conn_end(k->old[i], (err){ ERR_CANCELLED });
    if (k->now != NULL)
        conn_end(k->now, (err){ ERR_CANCELLED });
    if (k->conns_n == 0)
        loop_defer_last(k->loop, &k->task, release_closed);
}

void link_drain(struct link *k)
{
    if (k->closed || k->draining)
        return;
    k->draining = true;
    stop_dialling(k);
    if (k->now != NULL)
        conn_drain(k->now);
}

bool link_is_up(const struct link *k)
{
    return k->up && !k->draining && !k->closed;
}

bool link_is_silent(const struct link *k)
{
    return k->now != NULL && conn_is_silent(k->now);
}

err link_why(const struct link *k)
{
    return k->why;
}

const struct sockaddr *link_peer(const struct link *k)
{
    return (const struct sockaddr *)&k->peer;
}

size_t link_room(const struct link *k)
{
    return link_is_up(k) && k->now != NULL ? h2_room(conn_h2(k->now)) : 0;
}

size_t link_streams(const struct link *k)
{
    size_t n = k->now != NULL ? h2_streams(conn_h2(k->now)) : 0;
    for (size_t i = 0; i < k->old_n; i++)
        n += h2_streams(conn_h2(k->old[i]));
    return n;
}

uint64_t *link_tally(struct link *k)
{
    return &k->tally;
}

const struct link_counts *link_counts(const struct link *k)
{
    return &k->counts;
}

/* ---- streams ---- */

err link_submit(struct link *k, const struct link_request *req, struct link_stream **out,
                void *owner)
{
    ENSURE(link_room(k) > 0 && k->dialer != NULL, UNAVAILABLE);
    return h2_submit(conn_h2(k->now), req, out, owner);
}

err link_respond(struct link_stream *s, unsigned status, const struct link_field *fields, size_t n,
                 bool end)
{
    return h2_stream_respond(s, status, fields, n, end);
}

void link_stream_set_owner(struct link_stream *s, void *owner)
{
    h2_stream_set_owner(s, owner);
}

void *link_stream_owner(const struct link_stream *s)
{
    return h2_stream_owner(s);
}

struct link *link_stream_link(const struct link_stream *s)
{
    return conn_link(h2_owner(h2_stream_connection(s)));
}

uint32_t link_stream_code(const struct link_stream *s)
{
    return h2_stream_code(s);
}

err link_stream_write(struct link_stream *s, bytes data, bool end)
{
    return h2_stream_write(s, data, end);
}

err link_stream_take(struct link_stream *s, struct buf *data, bool end)
{
    return h2_stream_take(s, data, end);
}

size_t link_stream_queued(const struct link_stream *s)
{
    return h2_stream_queued(s);
}

void link_stream_consume(struct link_stream *s, size_t n)
{
    h2_stream_consume(s, n);
}

void link_stream_reset(struct link_stream *s, enum link_code code)
{
    h2_stream_reset(s, code);
}
