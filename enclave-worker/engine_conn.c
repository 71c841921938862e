#include "enclave-worker/engine_conn.h"

#include "base/attr.h"
#include "base/mem.h"

/* ---- idle ones ---- */

static void leave_idle(struct engine_conn *k)
{
    if (k->prev == NULL)
        return;
    *k->prev = k->next;
    if (k->next != NULL)
        k->next->prev = k->prev;
    k->next = NULL;
    k->prev = NULL;
}

static void enter_idle(struct engine_conn *k)
{
    k->next = k->pool->idle;
    k->prev = &k->pool->idle;
    if (k->next != NULL)
        k->next->prev = &k->next;
    k->pool->idle = k;
}

/* The oldest stand at the end. */
static void on_sweep(struct loop_timer *t)
{
    struct engine_conns *p = CONTAINER_OF(t, struct engine_conns, sweep);
    uint64_t now = loop_now_ms(p->loop);
    struct engine_conn *k = p->idle;
    while (k != NULL) {
        struct engine_conn *next = k->next;
        if (now - k->idle_since_ms >= ENGINE_CONN_KEPT_MS)
            engine_conn_close(k);
        k = next;
    }
    if (p->idle != NULL)
        loop_timer_start(p->loop, t, ENGINE_CONN_SWEEP_MS, on_sweep);
}

struct engine_conn *engine_conn_take(struct engine_conns *p, engine_conn_fn *ready, void *user)
{
    struct engine_conn *k = p->idle;
    if (k == NULL)
        return NULL;
    leave_idle(k);
    k->kept = true;
    k->ready = ready;
    k->user = user;
    return k;
}

void engine_conn_keep(struct engine_conn *k)
{
    struct engine_conns *p = k->pool;
    if (loop_fd_want(k->watch, LOOP_READ).code != ERR_OK) {
        engine_conn_close(k);
        return;
    }
    k->user = NULL;
    k->idle_since_ms = loop_now_ms(p->loop);
    enter_idle(k);
    if (!loop_timer_active(&p->sweep))
        loop_timer_start(p->loop, &p->sweep, ENGINE_CONN_SWEEP_MS, on_sweep);
}

void engine_conns_clear(struct engine_conns *p)
{
    while (p->idle != NULL)
        engine_conn_close(p->idle);
    loop_timer_stop(&p->sweep);
}

/* ---- any one ---- */

static void on_ready(void *owner, unsigned ready)
{
    struct engine_conn *k = owner;
    if (k->user == NULL)
        engine_conn_close(k);
    else
        k->ready(k->user, ready);
}

err engine_conn_want(struct engine_conn *k, unsigned events)
{
    return loop_fd_want(k->watch, events);
}

void engine_conn_close(struct engine_conn *k)
{
    if (k == NULL)
        return;
    leave_idle(k);
    loop_fd_close(k->watch);
    sock_close(&k->fd);
    mem_free(k);
}

/* Writability tells when it is connected. */
static err conn_open(struct engine_conns *p, const struct sockaddr_storage *to,
                     struct engine_conn **out)
{
    struct engine_conn *k;
    TRY(mem_new(&k));
    k->pool = p;
    k->fd = -1;
    err why = sock_connect(&p->addr, to, &k->fd);
    if (why.code == ERR_OK)
        why = loop_fd_open(&k->watch, p->loop, k->fd, on_ready, k);
    if (why.code == ERR_OK)
        why = loop_fd_want(k->watch, LOOP_WRITE);
    if (why.code != ERR_OK) {
        engine_conn_close(k);
        return why;
    }
    *out = k;
    return OK;
}

/* ---- new ones ---- */

static void end_dial(struct engine_dial *d, enum err_code code)
{
    struct engine_dial was = *d;
    *d = (struct engine_dial){ 0 };
    if (code != ERR_OK) {
        was.done(was.user, err_raise(code, __FILE__, __func__, __LINE__), NULL);
        return;
    }
    was.conn->ready = was.ready;
    was.conn->user = was.user;
    was.done(was.user, OK, was.conn);
}

static void connect_next(struct engine_dial *d);

static void on_attempt(void *user, unsigned ready)
{
    struct engine_dial *d = user;
    (void)ready;
    if (sock_connected(d->conn->fd).code == ERR_OK) {
        end_dial(d, ERR_OK);
        return;
    }
    engine_conn_close(d->conn);
    d->conn = NULL;
    connect_next(d);
}

static err connect_to(struct engine_dial *d, const struct sockaddr_storage *to)
{
    TRY(conn_open(d->pool, to, &d->conn));
    d->conn->ready = on_attempt;
    d->conn->user = d;
    return OK;
}

static void connect_next(struct engine_dial *d)
{
    while (d->addrs_at < d->addrs_n) {
        if (connect_to(d, &d->addrs[d->addrs_at++]).code == ERR_OK)
            return;
    }
    end_dial(d, ERR_UNAVAILABLE);
}

static void on_resolved(void *owner, err e, const struct sockaddr_storage *addrs, size_t n)
{
    struct engine_dial *d = owner;
    d->lookup = NULL;
    if (e.code == ERR_OK)
        d->addrs_n = n < ENGINE_CONN_ADDRS_MAX ? n : ENGINE_CONN_ADDRS_MAX;
    for (size_t i = 0; i < d->addrs_n; i++)
        d->addrs[i] = addrs[i];
    connect_next(d);
}

static err look_up(struct engine_dial *d)
{
    const struct sock_addr *addr = &d->pool->addr;
    BUF_AUTO port = BUF(8);
    TRY(buf_addf(&port, "%u", (unsigned)addr->port));
    ENSURE(buf_str(&port) != NULL, NOMEM);
    return loop_resolve(&d->lookup, d->pool->loop, addr->host, buf_str(&port), on_resolved, d);
}

void engine_dial_start(struct engine_dial *d, struct engine_conns *p, engine_dial_fn *done,
                       engine_conn_fn *ready, void *user)
{
    *d = (struct engine_dial){ .pool = p, .done = done, .ready = ready, .user = user };
    err why = p->addr.kind == SOCK_KIND_UNIX ? connect_to(d, NULL) : look_up(d);
    if (why.code != ERR_OK)
        end_dial(d, why.code == ERR_NOMEM ? ERR_NOMEM : ERR_UNAVAILABLE);
}

void engine_dial_cancel(struct engine_dial *d)
{
    loop_resolve_cancel(d->lookup);
    engine_conn_close(d->conn);
    *d = (struct engine_dial){ 0 };
}

bool engine_dial_active(const struct engine_dial *d)
{
    return d->pool != NULL;
}
