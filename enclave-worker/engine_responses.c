/*
 * A call of ours is in one of three ways: an answer of our own (SAID), the inner engine's answer
 * handed on while it is not known whether there is one (PROBING), or a work (BRIDGED). In SAID and
 * BRIDGED everything is handed out from tasks of the loop.
 */
#include "enclave-worker/engine_responses.h"

#include <stdio.h>

#include "api/error.h"
#include "api/route.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "enclave-worker/responses_work.h"
#include "wire/names.h"

enum { ID_RANDOM_LEN = 24 };

enum way { SAID = 0, PROBING, BRIDGED };

struct call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;
    enum way way;

    bool busy; /* inside a callback */
    bool dead; /* cancelled in there */
    bool paused;
    bool begun; /* the head was told */
    bool done;  /* `out` is the last of it */
    err why;
    unsigned status;
    struct error_field fields[ERROR_FIELDS_MAX];
    size_t fields_n;
    struct buf out; /* not yet told */
    struct loop_task work_on;

    struct engine_call *inner; /* PROBING */
    struct kept request;       /* its fields, while it may have to be asked again */
    bytes body;
    struct responses_work work;
    bool working;
};

struct engine_responses {
    struct engine base;
    struct loop *loop;
    struct engine *inner;
    struct engine_responses_settings settings;
    struct call *calls;
};

static struct engine_responses *engine_of(struct engine *e)
{
    return CONTAINER_OF(e, struct engine_responses, base);
}

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, base);
}

static struct engine_responses *front_of(const struct call *c)
{
    return engine_of(c->base.engine);
}

static void release(struct call *c)
{
    engine_cancel(c->inner);
    if (c->working)
        work_clear(&c->work);
    loop_defer_cancel(&c->work_on);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    kept_clear(&c->request);
    buf_clear(&c->out);
    mem_free(c);
}

/* ---- handing out ---- */

/* True while the call lives and its owner takes more. */
static bool leave_callback(struct call *c)
{
    c->busy = false;
    if (!c->dead)
        return !c->paused;
    release(c);
    return false;
}

static bool passes(const struct bhttp_field *f)
{
    return !bytes_starts(f->name, BYTES_LIT("content-"));
}

/* The engine's own fields go with a bridged answer, but for those about its content. */
static size_t gather_fields(const struct call *c, struct engine_field *out)
{
    size_t n = 0;
    bool refused = c->working && c->work.state == WORK_REFUSED;
    for (size_t i = 0; i < c->fields_n; i++)
        out[n++] =
            (struct engine_field){ bytes_str(c->fields[i].name), bytes_str(c->fields[i].value) };
    if (!c->working)
        return n;
    for (size_t i = 0; i < c->work.head.head.fields_n && n < ENGINE_FIELDS_MAX - 1; i++) {
        const struct bhttp_field *f = &c->work.head.head.fields[i];
        if (refused || passes(f))
            out[n++] = (struct engine_field){ f->name, f->value };
    }
    bytes left_out = buf_view(&c->work.ask.tools.left_out);
    if (left_out.len > 0)
        out[n++] = (struct engine_field){ BYTES_LIT(FIELD_TOOLS_LEFT_OUT), left_out };
    return n;
}

static bool tell_head(struct call *c)
{
    struct engine_field fields[ENGINE_FIELDS_MAX];
    size_t n = gather_fields(c, fields);
    c->begun = true;
    c->busy = true;
    c->events->head(c->owner, c->status, fields, n, c->done ? (int64_t)c->out.len : -1);
    return leave_callback(c);
}

static bool tell_body(struct call *c)
{
    struct buf piece = c->out;
    c->out = BUF(RESPONSES_OUT_MAX);
    c->busy = true;
    c->events->body(c->owner, buf_view(&piece));
    buf_clear(&piece);
    return leave_callback(c);
}

static void tell_end(struct call *c)
{
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    err why = c->why;
    release(c);
    events->end(owner, why);
}

/* Hands out what there is, as far as the owner takes it. */
static void go_on(struct call *c)
{
    if (c->paused)
        return;
    if (c->status != 0 && !c->begun && !tell_head(c))
        return;
    if (c->out.len > 0 && !tell_body(c))
        return;
    if (c->done)
        tell_end(c);
}

static void on_go_on(struct loop_task *t)
{
    go_on(CONTAINER_OF(t, struct call, work_on));
}

static void go_on_later(struct call *c)
{
    loop_defer(front_of(c)->loop, &c->work_on, on_go_on);
}

/* ---- answers of our own ---- */

static void set_type(struct call *c, const char *type)
{
    c->fields_n = 1;
    c->fields[0].name = FIELD_CONTENT_TYPE;
    (void)snprintf(c->fields[0].value, sizeof c->fields[0].value, "%s", type);
}

static err say_error(struct call *c, const struct api_error *error)
{
    c->way = SAID;
    c->done = true;
    c->status = error_status(error->cause);
    c->fields_n = error_fields(error, c->fields);
    TRY(error_write_body(&c->out, error));
    go_on_later(c);
    return OK;
}

/* ---- the bridge ---- */

static void end_with(struct call *c, err why)
{
    c->done = true;
    c->why = why;
    go_on(c);
}

/* The whole answer at once. */
static err take_object(struct call *c)
{
    c->status = 200;
    c->done = true;
    set_type(c, MEDIA_JSON);
    return responses_reply_write(&c->work.reply, &c->out);
}

/* What has come since the last time. */
static err take_events(struct call *c)
{
    struct buf *events = &c->work.reply.out;
    c->status = 200;
    c->done = c->work.state == WORK_OVER;
    set_type(c, MEDIA_SSE "; charset=utf-8");
    if (c->out.len == 0) {
        buf_clear(&c->out);
        c->out = *events;
        *events = BUF(RESPONSES_OUT_MAX);
        return OK;
    }
    TRY(buf_add(&c->out, buf_view(events)));
    buf_truncate(events, 0);
    return OK;
}

static err take_refusal(struct call *c)
{
    c->status = c->work.status;
    c->done = true;
    return buf_add(&c->out, buf_view(&c->work.body));
}

/* A failure before anything was told has a status of its own. */
static err take_failure(struct call *c)
{
    const struct responses_reply *r = &c->work.reply;
    const struct api_error error = { .cause = ERROR_UPSTREAM_MALFORMED };
    if (r->status != RESPONSES_FAILED || c->work.ask.background)
        return take_object(c);
    c->fields_n = error_fields(&error, c->fields);
    c->status = error_status(error.cause);
    c->done = true;
    return error_write_body(&c->out, &error);
}

/* Before the engine had begun, the owner says why; afterwards it must not look as if it had not. */
static void take_break(struct call *c)
{
    err why = c->work.why;
    const struct api_error error = { .cause = error_from(why, true) };
    if (why.code == ERR_OK)
        why = err_raise(ERR_CLOSED, __FILE__, __func__, __LINE__);
    if (c->begun || c->work.status == 0 || say_error(c, &error).code != ERR_OK)
        end_with(c, why);
}

/* The engine knows chat completions, whatever it thinks of this one. */
static void learn(struct call *c)
{
    struct engine_responses *e = front_of(c);
    unsigned status = c->work.status;
    if (status != 0 && status != 404 && status != 405 && status != 501 &&
        e->settings.mode == RESPONSES_AUTO)
        e->settings.mode = RESPONSES_BRIDGE;
}

static void on_work(void *owner, struct responses_work *w)
{
    struct call *c = owner;
    err e = OK;
    learn(c);
    switch (w->state) {
    case WORK_ASKED:
        return;
    case WORK_RUNNING:
        if (w->ask.stream)
            e = take_events(c);
        break;
    case WORK_OVER:
        e = w->ask.stream ? take_events(c) : take_failure(c);
        break;
    case WORK_REFUSED:
        e = take_refusal(c);
        break;
    case WORK_BROKEN:
        take_break(c);
        return;
    }
    if (e.code != ERR_OK)
        end_with(c, e);
    else
        go_on(c);
}

static err name_answer(char id[static RESPONSES_ID_MAX + 1])
{
    uint8_t random[ID_RANDOM_LEN];
    BUF_AUTO text = BUF(2 * sizeof random);
    TRY(crypto_random(random, sizeof random));
    TRY(text_hex_encode(&text, BYTES_ARRAY(random)));
    (void)snprintf(id, RESPONSES_ID_MAX + 1, "resp_%s", buf_str(&text));
    return OK;
}

static size_t fields_of(const struct kept *request, struct engine_field *out)
{
    size_t n = 0;
    for (; n < request->head.fields_n && n < ENGINE_FIELDS_MAX; n++)
        out[n] =
            (struct engine_field){ request->head.fields[n].name, request->head.fields[n].value };
    return n;
}

static err start_work(struct call *c, struct responses_ask *ask, struct buf *chat)
{
    char id[RESPONSES_ID_MAX + 1];
    struct engine_field fields[ENGINE_FIELDS_MAX];
    TRY(name_answer(id));
    const struct work_settings settings = { .loop = front_of(c)->loop,
                                            .engine = front_of(c)->inner,
                                            .fields = fields,
                                            .fields_n = fields_of(&c->request, fields),
                                            .id = id,
                                            .created_at = clock_wall_s() };
    c->way = BRIDGED;
    c->working = true;
    return work_start(&c->work, &settings, ask, chat, on_work, c);
}

/* Reads the request and asks for a chat completion instead, or says what is wrong with it. */
static err bridge(struct call *c)
{
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    BUF_AUTO chat = BUF(RESPONSES_CHAT_MAX);
    const struct responses_ask_settings settings = { .refuse_tools =
                                                         front_of(c)->settings.refuse_tools };
    err e = responses_ask_read(&ask, c->body, &settings, &fault);
    if (e.code == ERR_OK && ask.previous.len > 0)
        e = responses_blame_word(&fault, ERROR_NO_PREVIOUS, ask.previous, "previous_response_id");
    if (e.code == ERR_OK)
        e = responses_ask_write(&ask, NULL, &chat, &fault);
    if (e.code == ERR_OK) {
        e = start_work(c, &ask, &chat);
    } else {
        const struct api_error error = responses_error(&fault, e);
        e = say_error(c, &error);
    }
    responses_ask_clear(&ask);
    return e;
}

/* ---- probing ---- */

static void on_bridge(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, work_on);
    err e = bridge(c);
    if (e.code != ERR_OK)
        end_with(c, e);
}

static void on_probe_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                          int64_t content_length)
{
    struct call *c = owner;
    struct engine_responses *e = front_of(c);
    if (status == 404 || status == 405 || status == 501) {
        engine_cancel(c->inner);
        c->inner = NULL;
        loop_defer(e->loop, &c->work_on, on_bridge);
        return;
    }
    if (status >= 200 && status < 300 && e->settings.mode == RESPONSES_AUTO)
        e->settings.mode = RESPONSES_NATIVE;
    c->busy = true;
    c->events->head(c->owner, status, fields, n, content_length);
    (void)leave_callback(c);
}

static void on_probe_body(void *owner, bytes piece)
{
    struct call *c = owner;
    c->busy = true;
    c->events->body(c->owner, piece);
    (void)leave_callback(c);
}

static void on_probe_end(void *owner, err why)
{
    struct call *c = owner;
    c->inner = NULL;
    c->why = why;
    tell_end(c);
}

static const struct engine_events PROBE_EVENTS = { .head = on_probe_head,
                                                   .body = on_probe_body,
                                                   .end = on_probe_end };

static err probe(struct call *c, const struct engine_request *request)
{
    c->way = PROBING;
    return engine_start(front_of(c)->inner, request, &PROBE_EVENTS, c, &c->inner);
}

/* ---- the engine's operations ---- */

static err keep_request(struct call *c, const struct engine_request *request)
{
    struct bhttp_field fields[ENGINE_FIELDS_MAX];
    struct bhttp_head head = {
        .is_request = true, .method = request->method, .path = request->path, .fields = fields
    };
    ENSURE(request->fields_n <= ENGINE_FIELDS_MAX, LIMIT);
    for (; head.fields_n < request->fields_n; head.fields_n++)
        fields[head.fields_n] = (struct bhttp_field){ request->fields[head.fields_n].name,
                                                      request->fields[head.fields_n].value };
    c->body = request->body;
    return kept_head(&c->request, &head);
}

static err begin(struct call *c, const struct engine_request *request)
{
    TRY(keep_request(c, request));
    return front_of(c)->settings.mode == RESPONSES_BRIDGE ? bridge(c) : probe(c, request);
}

static err start_call(struct engine_responses *e, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct call *c;
    TRY(mem_new(&c));
    c->base.engine = &e->base;
    c->events = events;
    c->owner = owner;
    c->out = BUF(RESPONSES_OUT_MAX);
    c->next = e->calls;
    c->prev = &e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    err why = begin(c, request);
    if (why.code != ERR_OK) {
        release(c);
        return why;
    }
    *out = &c->base;
    return OK;
}

static err start(struct engine *base, const struct engine_request *request,
                 const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct engine_responses *e = engine_of(base);
    struct route_match route;
    route_find(request->method, request->path, &route);
    if (route.kind == ROUTE_RESPONSES && route.verdict == ROUTE_FOUND &&
        e->settings.mode != RESPONSES_NATIVE)
        return start_call(e, request, events, owner, out);
    return engine_start(e->inner, request, events, owner, out);
}

static void pause_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    c->paused = true;
    if (c->inner != NULL)
        engine_pause(c->inner);
    if (c->working)
        work_pause(&c->work, true);
}

static void resume_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    if (!c->paused)
        return;
    c->paused = false;
    if (c->inner != NULL)
        engine_resume(c->inner);
    if (c->working)
        work_pause(&c->work, false);
    if (c->way != PROBING)
        go_on_later(c);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    if (!c->busy) {
        release(c);
        return;
    }
    c->dead = true;
    engine_cancel(c->inner);
    c->inner = NULL;
}

static bytes describe(struct engine *base)
{
    return engine_describe(engine_of(base)->inner);
}

static void free_engine(struct engine *base)
{
    struct engine_responses *e = engine_of(base);
    while (e->calls != NULL)
        release(e->calls);
    engine_free(e->inner);
    mem_free(e);
}

static const struct engine_ops OPS = {
    .name = "responses",
    .start = start,
    .pause = pause_call,
    .resume = resume_call,
    .cancel = cancel_call,
    .describe = describe,
    .free = free_engine,
};

err engine_responses_new(struct engine **out, struct loop *loop, struct engine *inner,
                         const struct engine_responses_settings *settings)
{
    struct engine_responses *e;
    TRY(mem_new(&e));
    e->base.ops = &OPS;
    e->loop = loop;
    e->inner = inner;
    e->settings = *settings;
    *out = &e->base;
    return OK;
}
