/*
 * A call gets a connection that is kept or a new one, writes its request, and reads: once per turn
 * and connection, so that no engine keeps the others waiting. A connection is watched for input all
 * its life, also while it is idle: then input means that the engine has closed it.
 *
 * Head and small bodies leave in one write; large bodies are read from the owner's memory as the
 * socket takes them, their head waiting in the kernel for the first of it.
 *
 * Back-pressure: a paused call does not read; what was read already is kept.
 *
 * A kept connection may have been closed by the engine just when a request was sent on it. If
 * nothing of an answer came, the request is sent once more on a new connection.
 */
#include "enclave-worker/engine_plain.h"

#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/text.h"
#include "enclave-worker/engine_http_ask.h"
#include "enclave-worker/engine_http_base.h"
#include "enclave-worker/http_answer.h"

enum {
    READ_MAX = 16 * 1024,       /* of a connection in one turn */
    SMALL_BODY_MAX = 64 * 1024, /* what is sent together with the head */
    REQUEST_MAX = 1024 * 1024,  /* head and small body */
    ADDRS_MAX = 4,              /* of a name that are tried */
    KEPT_MS = 60000,            /* an idle connection is closed after this */
    SWEEP_MS = 10000,
};

struct conn {
    struct plain *engine;
    struct call *call;  /* NULL while idle */
    struct conn *next;  /* among the idle */
    struct conn **prev; /* NULL while in use */
    struct loop_fd *watch;
    int fd;
    bool connecting;
    bool served; /* it has brought an answer */
    uint64_t idle_since_ms;
};

struct call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;

    struct conn *conn;
    struct loop_lookup *lookup;
    struct sockaddr_storage addrs[ADDRS_MAX];
    size_t addrs_n, addrs_at;

    bool inside;  /* a callback of the owner is running */
    bool dead;    /* cancelled meanwhile */
    bool paused;  /* by the owner */
    bool told;    /* of the head */
    bool resent;  /* on a second connection */
    bool refused; /* the engine takes no more of the request */
    bool over;    /* there is nothing more to read; `why` is the end */
    err why;

    struct buf request;
    size_t request_at;
    bytes large;
    size_t large_at;

    struct http_answer answer;
    struct buf rest; /* read while the call was paused */

    struct loop_task work;
    struct loop_timer timer;
    uint64_t heard_ms;
};

struct plain {
    struct engine base;
    struct loop *loop;
    struct http_base to;
    struct sock_addr addr;
    struct call *calls;
    size_t calls_n;
    struct conn *idle; /* the latest first */
    struct loop_timer sweep;
};

static struct plain *plain_of(struct engine *e)
{
    return CONTAINER_OF(e, struct plain, base);
}

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, base);
}

static struct plain *owner_of(const struct call *c)
{
    return plain_of(c->base.engine);
}

static err raise(enum err_code code)
{
    return err_raise(code, __FILE__, __func__, __LINE__);
}

/* ---- connections ---- */

static void leave_idle(struct conn *k)
{
    if (k->prev == NULL)
        return;
    *k->prev = k->next;
    if (k->next != NULL)
        k->next->prev = k->prev;
    k->next = NULL;
    k->prev = NULL;
}

static void conn_close(struct conn *k)
{
    leave_idle(k);
    if (k->call != NULL)
        k->call->conn = NULL;
    loop_fd_close(k->watch);
    sock_close(&k->fd);
    mem_free(k);
}

static void on_ready(void *owner, unsigned ready);
static void on_sweep(struct loop_timer *t);

static err conn_open(struct plain *e, const struct sockaddr_storage *to, struct conn **out)
{
    struct conn *k;
    TRY(mem_new(&k));
    k->engine = e;
    k->fd = -1;
    err why = sock_connect(&e->addr, to, &k->fd);
    if (why.code == ERR_OK)
        why = loop_fd_open(&k->watch, e->loop, k->fd, on_ready, k);
    if (why.code == ERR_OK)
        why = loop_fd_want(k->watch, LOOP_WRITE);
    if (why.code != ERR_OK) {
        conn_close(k);
        return why;
    }
    k->connecting = true;
    *out = k;
    return OK;
}

static void conn_keep(struct conn *k)
{
    struct plain *e = k->engine;
    if (loop_fd_want(k->watch, LOOP_READ).code != ERR_OK) {
        conn_close(k);
        return;
    }
    k->call = NULL;
    k->served = true;
    k->idle_since_ms = loop_now_ms(e->loop);
    k->next = e->idle;
    k->prev = &e->idle;
    if (k->next != NULL)
        k->next->prev = &k->next;
    e->idle = k;
    if (!loop_timer_active(&e->sweep))
        loop_timer_start(e->loop, &e->sweep, SWEEP_MS, on_sweep);
}

/* The oldest stand at the end. */
static void on_sweep(struct loop_timer *t)
{
    struct plain *e = CONTAINER_OF(t, struct plain, sweep);
    uint64_t now = loop_now_ms(e->loop);
    struct conn *k = e->idle;
    while (k != NULL) {
        struct conn *next = k->next;
        if (now - k->idle_since_ms >= KEPT_MS)
            conn_close(k);
        k = next;
    }
    if (e->idle != NULL)
        loop_timer_start(e->loop, t, SWEEP_MS, on_sweep);
}

/* ---- the end of a call ---- */

static void call_free(struct call *c)
{
    struct plain *e = owner_of(c);
    loop_timer_stop(&c->timer);
    loop_defer_cancel(&c->work);
    loop_resolve_cancel(c->lookup);
    if (c->conn != NULL)
        conn_close(c->conn);
    http_answer_clear(&c->answer);
    buf_clear(&c->request);
    buf_clear(&c->rest);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    e->calls_n--;
    mem_free(c);
}

/* The last word. The owner hears it when it is not paused. */
static void end_call(struct call *c, err why)
{
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    if (c->paused) {
        c->over = true;
        c->why = why;
        loop_timer_stop(&c->timer);
        if (c->conn != NULL)
            conn_close(c->conn);
        return;
    }
    call_free(c);
    events->end(owner, why);
}

/* ---- what the engine says ---- */

static bool all_sent(const struct call *c)
{
    return c->request_at == c->request.len && c->large_at == c->large.len;
}

/* What is watched for: a paused call is still read until its head is whole. */
static err watch(struct call *c)
{
    bool reads = !c->paused || !c->answer.head.whole;
    bool sends = !all_sent(c) && !c->refused;
    return loop_fd_want(c->conn->watch, (reads ? LOOP_READ : 0U) | (sends ? LOOP_WRITE : 0U));
}

/* A request that is answered is not sent again. */
static void forget_request(struct call *c)
{
    if (!all_sent(c))
        return;
    buf_clear(&c->request);
    c->request_at = 0;
}

static void tell_head(struct call *c)
{
    struct engine_field fields[ENGINE_FIELDS_MAX];
    const struct http_head *h = &c->answer.head;
    size_t n = http_head_fields(h, fields);
    forget_request(c);
    c->told = true;
    c->inside = true;
    c->events->head(c->owner, h->status, fields, n, c->answer.no_body ? 0 : h->content_length);
    c->inside = false;
}

static void tell_body(struct call *c, bytes piece)
{
    c->inside = true;
    c->events->body(c->owner, piece);
    c->inside = false;
}

/* Until the input is used up, the answer complete, or the call paused: then the rest of *in
 * is what it left. */
static err digest(struct call *c, bytes *in, enum http_step *step)
{
    *step = HTTP_MORE;
    if (c->answer.head.whole && !c->told && !c->paused)
        tell_head(c);
    while (!c->dead && (!c->paused || !c->answer.head.whole)) {
        bytes piece;
        TRY(http_answer_next(&c->answer, in, &piece, step));
        if (*step == HTTP_BODY)
            tell_body(c, piece);
        else if (*step != HTTP_HEAD)
            return OK;
        else if (!c->paused)
            tell_head(c);
    }
    return OK;
}

static void finish(struct call *c, bool surplus)
{
    struct conn *k = c->conn;
    if (k != NULL && !surplus && all_sent(c) && !c->refused && http_answer_keeps(&c->answer)) {
        c->conn = NULL;
        conn_keep(k);
    }
    end_call(c, OK);
}

/* Nothing is read while nothing is wanted. */
static err keep_rest(struct call *c, bytes in)
{
    struct buf rest = BUF(READ_MAX);
    err e = buf_add(&rest, in);
    buf_clear(&c->rest);
    c->rest = rest;
    TRY(e);
    return c->conn != NULL ? watch(c) : OK;
}

/* Takes what was read. False when the call is no more. */
static bool feed(struct call *c, bytes in)
{
    enum http_step step;
    err e = digest(c, &in, &step);
    if (c->dead) {
        call_free(c);
        return false;
    }
    if (e.code == ERR_OK && c->paused && c->answer.head.whole) {
        e = keep_rest(c, in);
        if (e.code == ERR_OK)
            return true;
    }
    if (e.code != ERR_OK)
        end_call(c, e);
    else if (step == HTTP_END)
        finish(c, in.len > 0);
    else
        return true;
    return false;
}

static void connect_next(struct call *c);
static void find_engine(struct call *c);

/* The engine has closed, cleanly or not. */
static void on_lost(struct call *c, bool clean)
{
    bool kept = c->conn->served;
    conn_close(c->conn);
    if (kept && !c->resent && http_answer_is_untouched(&c->answer)) {
        c->resent = true;
        c->refused = false;
        c->request_at = 0;
        c->large_at = 0;
        find_engine(c);
        return;
    }
    end_call(c, clean ? http_answer_close(&c->answer) : raise(ERR_CLOSED));
}

static void read_some(struct call *c)
{
    uint8_t *room = loop_scratch(owner_of(c)->loop);
    size_t n;
    switch (sock_receive(c->conn->fd, room, READ_MAX, &n)) {
    case SOCK_MOVED:
        c->heard_ms = loop_now_ms(owner_of(c)->loop);
        (void)feed(c, bytes_of(room, n));
        break;
    case SOCK_WAIT:
        break;
    case SOCK_ENDED:
        on_lost(c, true);
        break;
    case SOCK_BROKEN:
        on_lost(c, false);
        break;
    }
}

/* ---- what the engine is told ---- */

/* An engine that takes no more may have answered already: what there is will be read. */
static enum sock_step send_part(struct call *c, bytes part, size_t *at, bool last)
{
    enum sock_step step = SOCK_MOVED;
    while (step == SOCK_MOVED && *at < part.len) {
        size_t n = 0;
        bytes rest = bytes_slice(part, *at, part.len);
        step = last ? sock_send(c->conn->fd, rest, &n) : sock_send_part(c->conn->fd, rest, &n);
        if (step == SOCK_MOVED)
            *at += n;
    }
    if (step == SOCK_BROKEN || step == SOCK_ENDED)
        c->refused = true;
    return step;
}

static void send_some(struct call *c)
{
    bool whole = c->large.len == 0;
    if (send_part(c, buf_view(&c->request), &c->request_at, whole) == SOCK_MOVED)
        (void)send_part(c, c->large, &c->large_at, true);
    err e = watch(c);
    if (e.code != ERR_OK)
        end_call(c, e);
}

static void on_limit(struct loop_timer *t);

static void on_connected(struct call *c)
{
    struct plain *e = owner_of(c);
    c->conn->connecting = false;
    loop_timer_start(e->loop, &c->timer, e->to.first_byte_ms, on_limit);
    send_some(c);
}

static void on_ready(void *owner, unsigned ready)
{
    struct conn *k = owner;
    struct call *c = k->call;
    if (c == NULL) {
        conn_close(k);
        return;
    }
    if (k->connecting) {
        if (sock_connected(k->fd).code == ERR_OK) {
            on_connected(c);
        } else {
            conn_close(k);
            connect_next(c);
        }
        return;
    }
    /* Reading may end the call, and with it the connection. */
    if ((ready & LOOP_WRITE) != 0 && !c->refused)
        send_some(c);
    else if ((ready & (LOOP_READ | LOOP_HANGUP)) != 0)
        read_some(c);
}

/* ---- finding the engine ---- */

static err connect_to(struct call *c, const struct sockaddr_storage *to)
{
    struct conn *k;
    TRY(conn_open(owner_of(c), to, &k));
    k->call = c;
    c->conn = k;
    return OK;
}

/* The names' addresses one after the other. */
static void connect_next(struct call *c)
{
    while (c->addrs_at < c->addrs_n) {
        if (connect_to(c, &c->addrs[c->addrs_at++]).code == ERR_OK)
            return;
    }
    end_call(c, raise(ERR_UNAVAILABLE));
}

static void on_resolved(void *owner, err e, const struct sockaddr_storage *addrs, size_t n)
{
    struct call *c = owner;
    c->lookup = NULL;
    c->addrs_at = 0;
    c->addrs_n = e.code == ERR_OK ? (n < ADDRS_MAX ? n : ADDRS_MAX) : 0;
    for (size_t i = 0; i < c->addrs_n; i++)
        c->addrs[i] = addrs[i];
    connect_next(c);
}

static void on_no_connection(struct loop_timer *t)
{
    end_call(CONTAINER_OF(t, struct call, timer), raise(ERR_UNAVAILABLE));
}

static void find_engine(struct call *c)
{
    struct plain *e = owner_of(c);
    char port[8];
    struct buf text = BUF(sizeof port);
    err why;
    c->addrs_n = c->addrs_at = 0;
    loop_timer_start(e->loop, &c->timer, e->to.connect_ms, on_no_connection);
    if (e->addr.kind == SOCK_KIND_UNIX) {
        why = connect_to(c, NULL);
    } else {
        why = buf_addf(&text, "%u", (unsigned)e->addr.port);
        if (why.code == ERR_OK && buf_str(&text) != NULL)
            why = loop_resolve(&c->lookup, e->loop, e->addr.host, buf_str(&text), on_resolved, c);
        buf_clear(&text);
    }
    if (why.code != ERR_OK)
        end_call(c, raise(why.code == ERR_NOMEM ? ERR_NOMEM : ERR_UNAVAILABLE));
}

static void begin(struct call *c)
{
    struct conn *k = owner_of(c)->idle;
    if (k == NULL) {
        find_engine(c);
        return;
    }
    leave_idle(k);
    k->call = c;
    c->conn = k;
    on_connected(c);
}

/* ---- time limits ---- */

/* Pieces only note when they came; the timer looks once per limit whether one was missed. */
static void on_limit(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, timer);
    struct plain *e = owner_of(c);
    uint64_t now = loop_now_ms(e->loop);
    if (c->paused)
        c->heard_ms = now;
    uint64_t due = c->heard_ms + (c->answer.head.whole ? e->to.idle_ms : e->to.first_byte_ms);
    if (now < due)
        loop_timer_start(e->loop, t, due - now, on_limit);
    else
        end_call(c, raise(ERR_TIMEOUT));
}

/* ---- what was put off to the end of the turn ---- */

static void go_on(struct call *c)
{
    if (c->over) {
        end_call(c, c->why);
        return;
    }
    struct buf rest = c->rest;
    c->rest = BUF(READ_MAX);
    bool lives = feed(c, buf_view(&rest));
    buf_clear(&rest);
    if (!lives || c->conn == NULL || c->conn->connecting)
        return;
    err e = watch(c);
    if (e.code != ERR_OK)
        end_call(c, e);
}

static void on_work(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, work);
    bool begun = c->conn != NULL || c->lookup != NULL || c->over;
    if (!begun)
        begin(c);
    else if (!c->paused)
        go_on(c);
}

static void pause_call(struct engine_call *base)
{
    call_of(base)->paused = true;
}

static void resume_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    if (!c->paused)
        return;
    c->paused = false;
    c->heard_ms = loop_now_ms(owner_of(c)->loop);
    loop_defer(owner_of(c)->loop, &c->work, on_work);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    c->dead = true;
    if (!c->inside)
        call_free(c);
}

/* ---- a new call ---- */

static err write_request(struct call *c, const struct engine_request *request)
{
    const struct plain *e = owner_of(c);
    TRY(http_ask_write(&c->request, request, http_base_authority(&e->to), http_base_prefix(&e->to),
                       buf_view(&e->to.authorization)));
    c->answer.no_body = bytes_equal(request->method, BYTES_LIT("HEAD"));
    if (c->answer.no_body)
        return OK;
    if (request->body.len <= SMALL_BODY_MAX)
        return buf_add(&c->request, request->body);
    c->large = request->body;
    return OK;
}

static err start_call(struct engine *base, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct plain *e = plain_of(base);
    struct call *c;
    ENSURE(e->calls_n < e->to.calls_max, LIMIT);
    TRY(mem_new(&c));
    c->base.engine = base;
    c->events = events;
    c->owner = owner;
    c->request = BUF(REQUEST_MAX);
    c->rest = BUF(READ_MAX);
    http_answer_init(&c->answer, false);
    c->heard_ms = loop_now_ms(e->loop);
    c->next = e->calls;
    c->prev = &e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    e->calls_n++;
    err why = write_request(c, request);
    if (why.code != ERR_OK) {
        call_free(c);
        return why;
    }
    loop_defer(e->loop, &c->work, on_work);
    *out = &c->base;
    return OK;
}

/* ---- the engine ---- */

static bytes describe(struct engine *base)
{
    return buf_view(&plain_of(base)->to.about);
}

static void free_plain(struct engine *base)
{
    struct plain *e = plain_of(base);
    while (e->calls != NULL)
        call_free(e->calls);
    while (e->idle != NULL)
        conn_close(e->idle);
    loop_timer_stop(&e->sweep);
    http_base_clear(&e->to);
    mem_free(e);
}

static const struct engine_ops plain_ops = {
    .name = "http",
    .start = start_call,
    .pause = pause_call,
    .resume = resume_call,
    .cancel = cancel_call,
    .describe = describe,
    .free = free_plain,
};

/* The settings were checked: an authority is a host, perhaps in brackets, and perhaps a port. */
static err set_address(struct plain *e)
{
    BUF_AUTO text = BUF(SOCK_TEXT_MAX + 16);
    if (e->to.unix_path.len > 0) {
        TRY(buf_add_str(&text, "unix:"));
        TRY(buf_add(&text, buf_view(&e->to.unix_path)));
        return sock_addr_read(buf_view(&text), &e->addr);
    }
    ENSURE(bytes_starts(buf_view(&e->to.url), BYTES_LIT("http://")), CONFIG);
    bytes authority = http_base_authority(&e->to);
    size_t end = text_find(authority, BYTES_LIT("]"));
    bytes behind = bytes_slice(authority, end < authority.len ? end : 0, authority.len);
    TRY(buf_add(&text, authority));
    if (text_find(behind, BYTES_LIT(":")) == behind.len)
        TRY(buf_add_str(&text, ":80"));
    return sock_addr_read(buf_view(&text), &e->addr);
}

err engine_plain_new(struct engine **out, struct loop *loop,
                     const struct engine_http_settings *settings)
{
    struct plain *e;
    TRY(mem_new(&e));
    e->base.ops = &plain_ops;
    e->loop = loop;
    http_base_init(&e->to);
    err why = http_base_set(&e->to, settings);
    if (why.code == ERR_OK)
        why = set_address(e);
    if (why.code != ERR_OK) {
        free_plain(&e->base);
        return why.code == ERR_LIMIT ? raise(ERR_CONFIG) : why;
    }
    *out = &e->base;
    return OK;
}
