/*
 * Each call is a transfer of one curl_loop. What libcurl may not be asked from inside its own
 * callbacks (to add or remove a transfer) is put off to the end of the turn, through the call's own
 * task; so are start() and resume(), which is why no callback of ours happens inside them.
 *
 * A call keeps its easy handle when it ends and goes to a bounded free list: only what differs is
 * set again. Small bodies are copied into the call, so that head and body leave in one write and a
 * cancelled call has nothing borrowed left; large ones are read from the owner's memory as the
 * socket takes them.
 *
 * Back-pressure: a paused call refuses the next piece, whereupon libcurl keeps that piece and stops
 * reading the socket.
 */
#include "enclave-worker/engine_http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/curl_loop.h"
#include "base/loop.h"
#include "base/mem.h"
#include "enclave-worker/engine_http_ask.h"
#include "enclave-worker/engine_http_base.h"
#include "enclave-worker/engine_http_head.h"

enum {
    IDLE_CALLS_MAX = 256, /* kept for the next request */
    READ_MAX = 8192,      /* of one read of the socket; each open stream has that much */
    CA_PATH_MAX = 4096,
    KEPT_CONNECTION_S = 60,
};

struct call {
    struct engine_call base;
    CURL *easy;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;

    bool added;    /* libcurl has it */
    bool dead;     /* cancelled while libcurl was at work */
    bool paused;   /* by the owner */
    bool held;     /* libcurl holds a piece back */
    bool told;     /* and the owner knows it */
    bool finished; /* libcurl is through; `result` says how */
    err why;       /* why a callback of ours broke it off */
    CURLcode result;

    struct loop_task work;
    struct loop_timer timer;
    uint64_t heard_ms;

    struct http_ask ask;
    struct http_head head;
};

struct engine_http {
    struct engine base;
    struct loop *loop;
    struct curl_loop *curl;
    bool telling; /* an owner hears of a head; libcurl need not be at work */
    struct call *calls;
    size_t calls_n;
    struct call *idle;
    size_t idle_n;
    struct http_base to;
    struct buf ca_path;
};

static struct engine_http *engine_of(struct engine *e)
{
    return CONTAINER_OF(e, struct engine_http, base);
}

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, base);
}

static struct engine_http *owner_of(const struct call *c)
{
    return engine_of(c->base.engine);
}

/* ---- the life of a call ---- */

static void unlink_call(struct call *c)
{
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    c->next = NULL;
    c->prev = NULL;
}

/* Back to what a call on the free list is: its handle and nothing else. */
static void forget(struct call *c)
{
    c->events = NULL;
    c->owner = NULL;
    c->added = c->dead = c->paused = c->held = c->told = c->finished = false;
    c->why = OK;
    c->result = CURLE_OK;
}

static void destroy(struct call *c)
{
    if (c->easy != NULL)
        curl_easy_cleanup(c->easy);
    mem_free(c);
}

/* Takes the call back from libcurl, which closes the connection of one that is not through, and
 * keeps it for another request. Not while libcurl is at work. */
static void release(struct call *c)
{
    struct engine_http *e = owner_of(c);
    loop_timer_stop(&c->timer);
    loop_defer_cancel(&c->work);
    if (c->added)
        curl_loop_remove(e->curl, c->easy);
    http_ask_clear(&c->ask);
    http_head_clear(&c->head);
    unlink_call(c);
    e->calls_n--;
    if (e->idle_n >= IDLE_CALLS_MAX) {
        destroy(c);
        return;
    }
    forget(c);
    c->next = e->idle;
    e->idle = c;
    e->idle_n++;
}

/* The last word on a call. */
static void end_call(struct call *c, err why)
{
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    bool dead = c->dead;
    release(c);
    if (!dead)
        events->end(owner, why);
}

static void on_limit(struct loop_timer *t);

/* The owner may cancel from inside; whoever calls this looks at c->dead afterwards. */
static void tell_head(struct call *c)
{
    struct engine_http *e = owner_of(c);
    struct engine_field fields[ENGINE_FIELDS_MAX];
    size_t n = http_head_fields(&c->head, fields);
    int64_t length = c->ask.no_body ? 0 : c->head.content_length;
    loop_timer_start(e->loop, &c->timer, e->to.idle_ms, on_limit);
    c->told = true;
    e->telling = true;
    c->events->head(c->owner, c->head.status, fields, n, length);
    e->telling = false;
}

static err meaning(const struct call *c)
{
    if (c->why.code != ERR_OK)
        return c->why;
    switch ((int)c->result) {
    case CURLE_OK:
        ENSURE(c->head.whole, CLOSED);
        return OK;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT: /* only connecting has a time limit in libcurl */
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        FAIL(UNAVAILABLE);
    case CURLE_OUT_OF_MEMORY:
        FAIL(NOMEM);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
        FAIL(MALFORMED);
    default:
        FAIL(CLOSED);
    }
}

/* Says what can be said now of a call that libcurl is through with. */
static void settle(struct call *c)
{
    if (c->dead) {
        release(c);
        return;
    }
    if (c->paused)
        return;
    err why = meaning(c);
    if (c->head.whole && !c->told)
        tell_head(c);
    if (c->dead)
        release(c);
    else if (!c->paused)
        end_call(c, why);
}

static void on_done(void *transfer, int result)
{
    struct call *c = transfer;
    c->finished = true;
    c->result = (CURLcode)result;
    settle(c);
}

/* ---- what comes from the engine ---- */

static size_t on_head_line(char *at, size_t size, size_t n, void *owner)
{
    struct call *c = owner;
    bytes line = bytes_of(at, size * n);
    if (c->dead)
        return 0;
    /* What comes behind the head are trailers. */
    if (c->head.whole)
        return line.len;
    c->heard_ms = loop_now_ms(owner_of(c)->loop);
    c->why = http_head_line(&c->head, line);
    if (c->why.code != ERR_OK)
        return 0;
    if (c->head.whole && !c->paused)
        tell_head(c);
    return c->dead ? 0 : line.len;
}

static size_t on_piece(char *at, size_t size, size_t n, void *owner)
{
    struct call *c = owner;
    bytes piece = bytes_of(at, size * n);
    if (c->dead)
        return 0;
    if (c->paused || !c->told) {
        c->held = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    c->heard_ms = loop_now_ms(owner_of(c)->loop);
    if (piece.len > 0)
        c->events->body(c->owner, piece);
    return c->dead ? 0 : piece.len;
}

/* ---- time limits ---- */

static uint64_t limit_ms(const struct call *c)
{
    const struct http_base *s = &owner_of(c)->to;
    return c->head.whole ? s->idle_ms : s->first_byte_ms;
}

/* Pieces only note when they came; the timer looks once per limit whether one was missed. */
static void on_limit(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, timer);
    struct loop *loop = owner_of(c)->loop;
    uint64_t now = loop_now_ms(loop);
    if (c->paused || c->finished)
        c->heard_ms = now;
    uint64_t due = c->heard_ms + limit_ms(c);
    if (now < due)
        loop_timer_start(loop, t, due - now, on_limit);
    else
        end_call(c, err_raise(ERR_TIMEOUT, __FILE__, __func__, __LINE__));
}

/* ---- what was put off to the end of the turn ---- */

static void add(struct call *c)
{
    struct engine_http *e = owner_of(c);
    err why = curl_loop_add(e->curl, c->easy);
    if (why.code != ERR_OK) {
        end_call(c, why);
        return;
    }
    c->added = true;
    c->heard_ms = loop_now_ms(e->loop);
    loop_timer_start(e->loop, &c->timer, e->to.first_byte_ms, on_limit);
}

/* The owner takes more: the head first, then what libcurl held back, then the end. */
static void go_on(struct call *c)
{
    struct engine_http *e = owner_of(c);
    if (c->head.whole && !c->told)
        tell_head(c);
    if (!c->dead && !c->paused && c->held) {
        c->held = false;
        curl_loop_resume(e->curl, c->easy);
    }
    if (c->dead)
        release(c);
    else if (!c->paused && c->finished)
        settle(c);
}

static void on_work(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, work);
    if (c->dead)
        release(c);
    else if (!c->added)
        add(c);
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
    if (c->added)
        loop_defer(owner_of(c)->loop, &c->work, on_work);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    struct engine_http *e = owner_of(c);
    c->dead = true;
    c->ask.given_up = true;
    if (e->telling || curl_loop_is_inside(e->curl))
        loop_defer(e->loop, &c->work, on_work);
    else
        release(c);
}

/* ---- a new call ---- */

static err option(CURLcode code)
{
    ENSURE(code != CURLE_OUT_OF_MEMORY, NOMEM);
    ENSURE(code == CURLE_OK, INTERNAL);
    return OK;
}

#define SET(easy, name, value) TRY(option(curl_easy_setopt(easy, name, value)))

/* What is the same for every request. */
static err set_constants(struct engine_http *e, struct call *c)
{
    CURL *easy = c->easy;
    SET(easy, CURLOPT_PRIVATE, (void *)c);
    SET(easy, CURLOPT_NOSIGNAL, 1L);
    SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
    SET(easy, CURLOPT_PATH_AS_IS, 1L);
    SET(easy, CURLOPT_PROXY, "");
    SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(easy, CURLOPT_BUFFERSIZE, (long)READ_MAX);
    SET(easy, CURLOPT_TCP_NODELAY, 1L);
    SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(easy, CURLOPT_MAXAGE_CONN, (long)KEPT_CONNECTION_S);
    SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)e->to.connect_ms);
    SET(easy, CURLOPT_HEADERFUNCTION, on_head_line);
    SET(easy, CURLOPT_HEADERDATA, c);
    SET(easy, CURLOPT_WRITEFUNCTION, on_piece);
    SET(easy, CURLOPT_WRITEDATA, c);
    if (e->to.unix_path.len > 0)
        SET(easy, CURLOPT_UNIX_SOCKET_PATH, buf_str(&e->to.unix_path));
    if (e->ca_path.len > 0) {
        SET(easy, CURLOPT_CAINFO, buf_str(&e->ca_path));
        SET(easy, CURLOPT_CAPATH, NULL);
    }
    return http_ask_init(&c->ask, easy);
}

static err make_call(struct engine_http *e, struct call **out)
{
    struct call *c;
    TRY(mem_new(&c));
    c->base.engine = &e->base;
    http_head_init(&c->head);
    c->easy = curl_easy_init();
    err why = c->easy ? set_constants(e, c) : err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__);
    if (why.code != ERR_OK) {
        destroy(c);
        return why;
    }
    *out = c;
    return OK;
}

/* A call from the free list or a new one, linked among the running. */
static err take_call(struct engine_http *e, struct call **out)
{
    struct call *c = e->idle;
    if (c == NULL) {
        TRY(make_call(e, &c));
    } else {
        e->idle = c->next;
        e->idle_n--;
    }
    c->prev = &e->calls;
    c->next = e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    e->calls_n++;
    *out = c;
    return OK;
}

static err start_call(struct engine *base, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct engine_http *e = engine_of(base);
    ENSURE(e->calls_n < e->to.calls_max, LIMIT);
    struct call *c = NULL;
    TRY(take_call(e, &c));
    c->events = events;
    c->owner = owner;
    err why = http_ask_set(&c->ask, request, buf_view(&e->to.url), buf_view(&e->to.authorization));
    if (why.code != ERR_OK) {
        release(c);
        return why;
    }
    loop_defer(e->loop, &c->work, on_work);
    *out = &c->base;
    return OK;
}

/* ---- the engine ---- */

static bytes describe(struct engine *base)
{
    return buf_view(&engine_of(base)->to.about);
}

static void free_engine(struct engine *base)
{
    struct engine_http *e = engine_of(base);
    while (e->calls != NULL)
        release(e->calls);
    for (struct call *c; (c = e->idle) != NULL;) {
        e->idle = c->next;
        destroy(c);
    }
    curl_loop_free(e->curl);
    http_base_clear(&e->to);
    buf_clear(&e->ca_path);
    mem_free(e);
}

static const struct engine_ops http_ops = {
    .name = "http",
    .start = start_call,
    .pause = pause_call,
    .resume = resume_call,
    .cancel = cancel_call,
    .describe = describe,
    .free = free_engine,
};

static err set_up(struct engine_http *e, const struct engine_http_settings *s)
{
    TRY(http_base_set(&e->to, s));
    if (s->ca_path != NULL && s->ca_path[0] != '\0') {
        TRY(buf_add_str(&e->ca_path, s->ca_path));
        ENSURE(buf_str(&e->ca_path) != NULL, NOMEM);
    }
    const struct curl_loop_settings settings = { .kept_max = e->to.calls_max, .done = on_done };
    return curl_loop_new(&e->curl, e->loop, &settings);
}

err engine_http_new(struct engine **out, struct loop *loop,
                    const struct engine_http_settings *settings)
{
    struct engine_http *e;
    TRY(mem_new(&e));
    e->base.ops = &http_ops;
    e->loop = loop;
    e->ca_path = BUF(CA_PATH_MAX);
    http_base_init(&e->to);
    err why = set_up(e, settings);
    if (why.code != ERR_OK) {
        free_engine(&e->base);
        return why;
    }
    *out = &e->base;
    return OK;
}
