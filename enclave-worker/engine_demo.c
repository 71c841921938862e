/*
 * A call is answered in full when it starts: its reply is composed from the request, which may go
 * afterwards. What remains is to hand it out, a body in pieces, a stream event by event at its
 * pace, each from the loop and never from inside start() or resume().
 */
#include "enclave-worker/engine_demo.h"

#include <stdio.h>
#include <sys/random.h>

#include "api/error.h"
#include "api/route.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "enclave-worker/demo_ask.h"
#include "enclave-worker/demo_embed.h"
#include "enclave-worker/demo_reply.h"

enum {
    PIECE_MAX = 64 * 1024,
    MODELS_CREATED = 1767225600, /* 2026-01-01 */
};

static const char about_us[] = "engine demo " SEALGATE_VERSION;

struct call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;

    bool begun; /* the head was told */
    bool busy;  /* inside a callback */
    bool dead;  /* cancelled in there */
    bool paused;
    bool stream;
    bool done; /* `out` holds the last of the body */
    unsigned status;
    struct error_field fields[ERROR_FIELDS_MAX];
    size_t fields_n;
    struct buf out; /* the body, or the event that comes next */
    size_t sent;
    struct demo_reply reply;
    struct loop_task work;
    struct loop_timer pace;
};

struct engine_demo {
    struct engine base;
    struct loop *loop;
    uint64_t token_ms;
    uint64_t boot; /* random, so that ids differ from one start to the next */
    uint64_t count;
    struct call *calls;
};

static struct engine_demo *engine_of(struct engine *e)
{
    return CONTAINER_OF(e, struct engine_demo, base);
}

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, base);
}

static void release(struct call *c)
{
    loop_defer_cancel(&c->work);
    loop_timer_stop(&c->pace);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    demo_reply_clear(&c->reply);
    buf_clear(&c->out);
    mem_free(c);
}

/* ---- handing out ---- */

static void on_work(struct loop_task *t);
static void on_pace(struct loop_timer *t);

static struct loop *loop_of(const struct call *c)
{
    return engine_of(c->base.engine)->loop;
}

/* True while the call lives and its owner takes more. */
static bool leave_callback(struct call *c)
{
    c->busy = false;
    if (!c->dead)
        return !c->paused;
    release(c);
    return false;
}

static bool tell_head(struct call *c)
{
    struct engine_field fields[ERROR_FIELDS_MAX];
    for (size_t i = 0; i < c->fields_n; i++)
        fields[i] =
            (struct engine_field){ bytes_str(c->fields[i].name), bytes_str(c->fields[i].value) };
    c->begun = true;
    c->busy = true;
    c->events->head(c->owner, c->status, fields, c->fields_n, c->stream ? -1 : (int64_t)c->out.len);
    return leave_callback(c);
}

static bool tell_piece(struct call *c)
{
    bytes piece = bytes_slice(buf_view(&c->out), c->sent, PIECE_MAX);
    c->sent += piece.len;
    c->busy = true;
    c->events->body(c->owner, piece);
    return leave_callback(c);
}

static void tell_end(struct call *c, err why)
{
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    release(c);
    events->end(owner, why);
}

/* The next event into `out`; the last ones come together with the end. */
static err fill(struct call *c)
{
    buf_truncate(&c->out, 0);
    c->sent = 0;
    return demo_reply_next(&c->reply, &c->out, &c->done);
}

static void wait_for_pace(struct call *c)
{
    uint64_t token_ms = engine_of(c->base.engine)->token_ms;
    if (token_ms > 0)
        loop_timer_start(loop_of(c), &c->pace, token_ms, on_pace);
    else
        loop_defer(loop_of(c), &c->work, on_work);
}

/* Hands out what there is, as far as the owner takes it. */
static void go_on(struct call *c)
{
    if (!c->begun && !tell_head(c))
        return;
    if (c->stream && c->sent == c->out.len && !c->done) {
        err why = fill(c);
        if (why.code != ERR_OK) {
            tell_end(c, why);
            return;
        }
    }
    while (c->sent < c->out.len) {
        if (!tell_piece(c))
            return;
    }
    if (c->done)
        tell_end(c, OK);
    else
        wait_for_pace(c);
}

static void on_work(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, work);
    if (!c->paused)
        go_on(c);
}

static void on_pace(struct loop_timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, pace);
    if (!c->paused)
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
    if (!loop_timer_active(&c->pace))
        loop_defer(loop_of(c), &c->work, on_work);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    if (c->busy)
        c->dead = true;
    else
        release(c);
}

/* ---- answering ---- */

static void add_type(struct call *c, const char *type)
{
    struct error_field *f = &c->fields[c->fields_n++];
    f->name = "content-type";
    (void)snprintf(f->value, sizeof f->value, "%s", type);
}

static err refuse(struct call *c, const struct api_error *error)
{
    buf_truncate(&c->out, 0);
    c->stream = false;
    c->done = true;
    c->status = error_status(error->cause);
    c->fields_n = error_fields(error, c->fields);
    return error_write_body(&c->out, error);
}

/* The model that was asked for, or what the message of its cause is about. */
static err refuse_fault(struct call *c, const struct demo_fault *fault, const struct json *root)
{
    struct api_error error = { .cause = fault->cause, .param = bytes_str(fault->param) };
    if (fault->cause == ERROR_MODEL_NOT_FOUND)
        (void)json_text(json_get(root, "model"), &error.about);
    return refuse(c, &error);
}

static err set_json(struct call *c)
{
    c->status = 200;
    c->done = true;
    add_type(c, "application/json");
    return OK;
}

static err set_stream(struct call *c)
{
    c->status = 200;
    c->stream = true;
    add_type(c, "text/event-stream; charset=utf-8");
    return OK;
}

static void name_reply(struct engine_demo *e, struct demo_reply *r)
{
    (void)snprintf(r->id, sizeof r->id, "%s-%016llx%08llx", r->chat ? "chatcmpl" : "cmpl",
                   (unsigned long long)e->boot, (unsigned long long)++e->count);
    r->created = clock_wall_s();
}

static err answer_text(struct call *c, const struct json *root, bool chat)
{
    struct demo_ask ask = { 0 };
    struct demo_fault fault = { 0 };
    bool good = chat ? demo_ask_chat(root, &ask, &fault) : demo_ask_completion(root, &ask, &fault);
    good = good && demo_reply_make(&ask, chat, &c->reply, &fault);
    bool stream = ask.stream;
    demo_ask_clear(&ask);
    if (!good)
        return refuse_fault(c, &fault, root);
    name_reply(engine_of(c->base.engine), &c->reply);
    if (stream)
        return set_stream(c);
    TRY(demo_reply_write(&c->reply, &c->out));
    return set_json(c);
}

static err answer_embeddings(struct call *c, const struct json *root)
{
    struct demo_fault fault = { 0 };
    if (!demo_embed(root, &c->out, &fault))
        return refuse_fault(c, &fault, root);
    return set_json(c);
}

static err answer_json(struct call *c, enum route_kind kind, bytes body)
{
    struct json *root = NULL;
    if (body.len > ENGINE_DEMO_BODY_MAX)
        return refuse(c, &(struct api_error){ .cause = ERROR_TOO_LARGE });
    err why = json_read(&root, body, JSON_DEPTH_MAX);
    if (why.code == ERR_NOMEM)
        return why;
    if (why.code != ERR_OK)
        return refuse(c, &(struct api_error){ .cause = ERROR_INVALID_JSON });
    why = kind == ROUTE_EMBEDDINGS ? answer_embeddings(c, root)
                                   : answer_text(c, root, kind == ROUTE_CHAT_COMPLETIONS);
    json_free(root);
    return why;
}

static err put_model(struct call *c, const char *id)
{
    return buf_addf(&c->out,
                    "{\"id\":\"%s\",\"object\":\"model\",\"created\":%d,\"owned_by\":\"sealgate\"}",
                    id, MODELS_CREATED);
}

static err answer_models(struct call *c)
{
    TRY(buf_add_str(&c->out, "{\"object\":\"list\",\"data\":["));
    TRY(put_model(c, "demo"));
    TRY(buf_add_u8(&c->out, ','));
    TRY(put_model(c, "demo/slash"));
    TRY(buf_add_str(&c->out, "]}"));
    return set_json(c);
}

static err answer_model(struct call *c, bytes id)
{
    BUF_AUTO name = BUF(ROUTE_ID_MAX);
    err why = route_decode_id(&name, id);
    if (why.code == ERR_NOMEM)
        return why;
    if (why.code != ERR_OK || !demo_is_model(buf_view(&name)))
        return refuse(
            c, &(struct api_error){ .cause = ERROR_MODEL_NOT_FOUND, .about = buf_view(&name) });
    TRY(put_model(c, buf_str(&name)));
    return set_json(c);
}

static err refuse_route(struct call *c, const struct engine_request *request,
                        const struct route_match *route)
{
    BUF_AUTO about = BUF(ROUTE_TARGET_MAX + 32);
    (void)buf_add(&about, bytes_slice(request->method, 0, 16));
    (void)buf_add_u8(&about, ' ');
    (void)buf_add(&about, bytes_slice(request->path, 0, ROUTE_TARGET_MAX));
    bool method = route->verdict == ROUTE_WRONG_METHOD;
    return refuse(c, &(struct api_error){ .cause = method ? ERROR_METHOD : ERROR_UNKNOWN_URL,
                                          .about = buf_view(&about),
                                          .allow = route->allow });
}

static err answer(struct call *c, const struct engine_request *request)
{
    struct route_match route;
    route_find(request->method, request->path, &route);
    if (route.verdict != ROUTE_FOUND)
        return refuse_route(c, request, &route);
    switch (route.kind) {
    case ROUTE_CHAT_COMPLETIONS:
    case ROUTE_COMPLETIONS:
    case ROUTE_EMBEDDINGS:
        return answer_json(c, route.kind, request->body);
    case ROUTE_MODELS:
        return answer_models(c);
    case ROUTE_MODEL:
        return answer_model(c, route.id);
    case ROUTE_NONE:
    case ROUTE_RESPONSES:
    case ROUTE_RESPONSE:
    case ROUTE_RECEIPT:
    case ROUTE_ATTESTATION:
    case ROUTE_EVIDENCE:
    case ROUTE_HEALTHZ:
    case ROUTE_READYZ:
    case ROUTE_METRICS:
    case ROUTE_OPENAPI:
    case ROUTE_PASS:
    case ROUTE_KINDS:
        break;
    }
    return refuse_route(c, request, &route);
}

static err start_call(struct engine *base, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct engine_demo *e = engine_of(base);
    struct call *c;
    ENSURE(request->fields_n <= ENGINE_FIELDS_MAX, LIMIT);
    TRY(mem_new(&c));
    c->base.engine = base;
    c->events = events;
    c->owner = owner;
    c->out = BUF(DEMO_EMBED_MAX);
    c->prev = &e->calls;
    c->next = e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    err why = answer(c, request);
    if (why.code != ERR_OK) {
        release(c);
        return why;
    }
    if (bytes_equal(request->method, BYTES_LIT("HEAD")))
        buf_truncate(&c->out, 0);
    loop_defer(e->loop, &c->work, on_work);
    *out = &c->base;
    return OK;
}

/* ---- the engine ---- */

static bytes describe(struct engine *base)
{
    (void)base;
    return bytes_str(about_us);
}

static void free_engine(struct engine *base)
{
    struct engine_demo *e = engine_of(base);
    while (e->calls != NULL)
        release(e->calls);
    mem_free(e);
}

static const struct engine_ops demo_ops = {
    .name = "demo",
    .start = start_call,
    .pause = pause_call,
    .resume = resume_call,
    .cancel = cancel_call,
    .describe = describe,
    .free = free_engine,
};

err engine_demo_new(struct engine **out, struct loop *loop,
                    const struct engine_demo_settings *settings)
{
    struct engine_demo *e;
    TRY(mem_new(&e));
    e->base.ops = &demo_ops;
    e->loop = loop;
    e->token_ms = settings->token_ms;
    if (getrandom(&e->boot, sizeof e->boot, 0) != (ssize_t)sizeof e->boot) {
        mem_free(e);
        FAIL(SYSTEM);
    }
    *out = &e->base;
    return OK;
}
