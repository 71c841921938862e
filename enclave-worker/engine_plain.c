/*
 * A call gets a connection that is kept or a new one, writes its request, and reads: once per turn
 * and connection, so that no engine keeps the others waiting.
 *
 * Back-pressure: a paused call does not read; what was read already is kept.
 *
 * A kept connection may have been closed by the engine just when a request was sent on it. If
 * nothing of an answer came, the request is sent once more on a new connection.
 */
#include "enclave-worker/engine_plain.h"

#include "base/attr.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/sock.h"
#include "enclave-worker/engine_conn.h"
#include "enclave-worker/engine_http_base.h"
#include "enclave-worker/http_answer.h"
#include "enclave-worker/http_send.h"

enum { READ_MAX = 16 * 1024 /* of a connection in one turn */ };

struct call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;

    struct engine_conn *conn; /* connected; NULL before, and at the end */
    struct engine_dial dial;

    bool inside; /* a callback of the owner is running */
    bool dead;   /* cancelled meanwhile */
    bool paused; /* by the owner */
    bool told;   /* of the head */
    bool resent; /* on a second connection */
    bool over;   /* there is nothing more to read; `why` is the end */
    err why;

    struct http_send request;
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
    struct engine_conns conns;
    struct call *calls;
    size_t calls_n;
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

/* ---- the end of a call ---- */

static void drop_connection(struct call *c)
{
    engine_dial_cancel(&c->dial);
    engine_conn_close(c->conn);
    c->conn = NULL;
}

static void call_free(struct call *c)
{
    struct plain *e = owner_of(c);
    loop_timer_stop(&c->timer);
    loop_defer_cancel(&c->work);
    drop_connection(c);
    http_answer_clear(&c->answer);
    http_send_clear(&c->request);
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
        drop_connection(c);
        return;
    }
    call_free(c);
    events->end(owner, why);
}

/* ---- what the engine says ---- */

/* What is watched for: a paused call is still read until its head is whole. */
static err watch(struct call *c)
{
    bool reads = !c->paused || !c->answer.head.whole;
    bool sends = http_send_wants(&c->request);
    return engine_conn_want(c->conn, (reads ? LOOP_READ : 0U) | (sends ? LOOP_WRITE : 0U));
}

static void on_limit(struct loop_timer *t);

static void tell_head(struct call *c)
{
    struct plain *e = owner_of(c);
    struct engine_field fields[ENGINE_FIELDS_MAX];
    const struct http_head *h = &c->answer.head;
    size_t n = http_head_fields(h, fields);
    http_send_forget(&c->request);
    loop_timer_start(e->loop, &c->timer, e->to.idle_ms, on_limit);
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
    struct engine_conn *k = c->conn;
    bool sent = http_send_is_done(&c->request) && !c->request.refused;
    if (k != NULL && !surplus && sent && http_answer_keeps(&c->answer)) {
        c->conn = NULL;
        engine_conn_keep(k);
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

static void find_engine(struct call *c);

/* The engine has closed, cleanly or not. */
static void on_lost(struct call *c, bool clean)
{
    bool kept = c->conn->kept;
    drop_connection(c);
    if (kept && !c->resent && http_answer_is_untouched(&c->answer)) {
        c->resent = true;
        http_send_again(&c->request);
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

static void send_some(struct call *c)
{
    http_send_some(&c->request, c->conn->fd);
    err e = watch(c);
    if (e.code != ERR_OK)
        end_call(c, e);
}

/* Reading may end the call, and with it the connection. */
static void on_ready(void *owner, unsigned ready)
{
    struct call *c = owner;
    if ((ready & LOOP_WRITE) != 0 && !c->request.refused)
        send_some(c);
    else if ((ready & (LOOP_READ | LOOP_HANGUP)) != 0)
        read_some(c);
}

/* ---- finding the engine ---- */

static void on_connected(struct call *c, struct engine_conn *k)
{
    struct plain *e = owner_of(c);
    c->conn = k;
    loop_timer_start(e->loop, &c->timer, e->to.first_byte_ms, on_limit);
    send_some(c);
}

static void on_dialled(void *owner, err why, struct engine_conn *k)
{
    struct call *c = owner;
    if (why.code == ERR_OK)
        on_connected(c, k);
    else
        end_call(c, why);
}

static void on_no_connection(struct loop_timer *t)
{
    end_call(CONTAINER_OF(t, struct call, timer), raise(ERR_UNAVAILABLE));
}

static void find_engine(struct call *c)
{
    struct plain *e = owner_of(c);
    loop_timer_start(e->loop, &c->timer, e->to.connect_ms, on_no_connection);
    engine_dial_start(&c->dial, &e->conns, on_dialled, on_ready, c);
}

static void begin(struct call *c)
{
    struct engine_conn *k = engine_conn_take(&owner_of(c)->conns, on_ready, c);
    if (k != NULL)
        on_connected(c, k);
    else
        find_engine(c);
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
    if (!lives || c->conn == NULL)
        return;
    err e = watch(c);
    if (e.code != ERR_OK)
        end_call(c, e);
}

static void on_work(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, work);
    bool begun = c->conn != NULL || engine_dial_active(&c->dial) || c->over;
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
    c->rest = BUF(READ_MAX);
    http_send_init(&c->request);
    http_answer_init(&c->answer, bytes_equal(request->method, BYTES_LIT("HEAD")));
    c->heard_ms = loop_now_ms(e->loop);
    c->next = e->calls;
    c->prev = &e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    e->calls_n++;
    err why = http_send_set(&c->request, request, &e->to);
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
    engine_conns_clear(&e->conns);
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

err engine_plain_new(struct engine **out, struct loop *loop,
                     const struct engine_http_settings *settings)
{
    struct plain *e;
    TRY(mem_new(&e));
    e->base.ops = &plain_ops;
    e->loop = e->conns.loop = loop;
    http_base_init(&e->to);
    err why = http_base_set(&e->to, settings);
    if (why.code == ERR_OK)
        why = http_base_address(&e->to, &e->conns.addr);
    if (why.code != ERR_OK) {
        free_plain(&e->base);
        return why.code == ERR_LIMIT ? raise(ERR_CONFIG) : why;
    }
    *out = &e->base;
    return OK;
}
