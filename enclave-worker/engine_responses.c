/*
 * A call of ours hands out the inner engine's answer while it is not known whether there is one (its
 * `inner` is set then); or what a job makes; or an answer of our own.
 */
#include "enclave-worker/engine_responses.h"

#include <stdio.h>

#include "api/route.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "enclave-worker/responses_followup.h"
#include "enclave-worker/responses_past.h"
#include "wire/names.h"

enum { ID_RANDOM_LEN = 20 };

struct call {
    struct handout h;
    struct responses_follower follower;
    struct engine_call *inner;
    struct loop_task again; /* ask for a chat completion instead */
    struct kept request;    /* its fields */
    bytes body;
    struct tab *tab;
    bool asks_only; /* the inner engine is asked what it knows, with a request that says nothing */
    uint8_t owner[STORE_OWNER_LEN];
    struct call *next, **prev;
};

struct engine_responses {
    struct engine base;
    struct loop *loop;
    struct engine *inner;
    enum responses_mode mode;
    bool refuse_tools;
    bool chat_known; /* the inner engine has answered a chat completion */
    struct responses_jobs *jobs;
    struct call *calls;
};

static struct engine_responses *engine_of(struct engine *e)
{
    return CONTAINER_OF(e, struct engine_responses, base);
}

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, h.base);
}

static struct engine_responses *front_of(const struct call *c)
{
    return engine_of(c->h.base.engine);
}

static void release(struct handout *h)
{
    struct call *c = CONTAINER_OF(h, struct call, h);
    engine_cancel(c->inner);
    responses_job_leave(&c->follower);
    loop_defer_cancel(&c->again);
    handout_clear(&c->h);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    kept_clear(&c->request);
    mem_free(c);
}

/* The engine's own fields go with a bridged answer, but for those about its content. */
static size_t add_fields(const struct handout *h, struct engine_field *fields, size_t n)
{
    const struct call *c = CONTAINER_OF(h, struct call, h);
    if (c->follower.job == NULL)
        return n;
    const struct responses_work *w = responses_job_work(c->follower.job);
    for (size_t i = 0; i < w->head.head.fields_n && n < ENGINE_FIELDS_MAX - 1; i++) {
        const struct bhttp_field *f = &w->head.head.fields[i];
        if (w->state == WORK_REFUSED || !bytes_starts(f->name, BYTES_LIT("content-")))
            fields[n++] = (struct engine_field){ f->name, f->value };
    }
    bytes left_out = buf_view(&w->ask.tools.left_out);
    if (left_out.len > 0)
        fields[n++] = (struct engine_field){ BYTES_LIT(FIELD_TOOLS_LEFT_OUT), left_out };
    return n;
}

/* ---- the bridge ---- */

/* resp_, the worker's tag, randomness. */
static err name_answer(const struct engine_responses *e, char id[static RESPONSES_ID_MAX + 1])
{
    uint8_t random[ID_RANDOM_LEN];
    BUF_AUTO text = BUF(2 * sizeof random);
    TRY(crypto_random(random, sizeof random));
    TRY(text_hex_encode(&text, BYTES_ARRAY(random)));
    (void)snprintf(id, RESPONSES_ID_MAX + 1, "resp_%s%s", e->jobs->tag, buf_str(&text));
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

static err start_job(struct call *c, struct responses_ask *ask, struct buf *chat, bytes context)
{
    struct engine_field fields[ENGINE_FIELDS_MAX];
    struct responses_job *job;
    struct engine_responses *e = front_of(c);
    struct job_settings settings = { .engine = e->inner,
                                     .chat_known = &e->chat_known,
                                     .fields = fields,
                                     .context = context,
                                     .tab = c->tab };
    settings.fields_n = fields_of(&c->request, fields);
    memcpy(settings.owner, c->owner, sizeof settings.owner);
    TRY(name_answer(e, settings.id));
    c->follower.events = ask->stream;
    /* Nobody waits for what is made in the background and is no stream: what there is is said. */
    bool waits = ask->stream || !ask->background;
    TRY(responses_job_start(e->jobs, &settings, ask, chat, waits ? &c->follower : NULL, &job));
    if (waits)
        return OK;
    TRY(responses_reply_write(&responses_job_work(job)->reply, &c->h.out));
    handout_whole(&c->h, MEDIA_JSON);
    return OK;
}

static err ask_for_chat(struct call *c, struct responses_ask *ask, struct responses_fault *fault)
{
    struct past past = { .jobs = front_of(c)->jobs, .owner = c->owner };
    BUF_AUTO chat = BUF(RESPONSES_CHAT_MAX);
    err e = past_find(&past, ask, fault);
    if (e.code == ERR_OK)
        e = responses_ask_write(ask, past.items, &chat, fault);
    if (e.code != ERR_OK) {
        const struct api_error error = responses_error(fault, e);
        e = handout_error(&c->h, &error);
    } else {
        e = start_job(c, ask, &chat, past.found.parts[STORE_CONTEXT]);
    }
    past_clear(&past);
    return e;
}

/* Reads the request and asks for a chat completion instead, or says what is wrong with it. */
static err bridge(struct call *c)
{
    struct responses_ask ask = { 0 };
    struct responses_fault fault = { 0 };
    const struct responses_ask_settings settings = {
        .stores = front_of(c)->jobs->store != NULL,
        .refuse_tools = front_of(c)->refuse_tools,
    };
    err e = responses_ask_read(&ask, c->body, &settings, &fault);
    if (e.code == ERR_OK) {
        e = ask_for_chat(c, &ask, &fault);
    } else {
        const struct api_error error = responses_error(&fault, e);
        e = handout_error(&c->h, &error);
    }
    responses_ask_clear(&ask);
    return e;
}

/* ---- probing ---- */

/* What an engine makes in the background, nobody here can see and count. */
static err refuse_background(struct call *c)
{
    const struct api_error error = { .cause = ERROR_BACKGROUND, .param = BYTES_LIT("background") };
    return handout_error(&c->h, &error);
}

static void on_again(struct loop_task *t)
{
    struct call *c = CONTAINER_OF(t, struct call, again);
    err e = bridge(c);
    if (e.code != ERR_OK)
        handout_end(&c->h, e);
}

static void on_probe_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                          int64_t content_length)
{
    struct call *c = owner;
    struct engine_responses *e = front_of(c);
    if (status == 404 || status == 405 || status == 501) {
        engine_cancel(c->inner);
        c->inner = NULL;
        loop_defer(e->loop, &c->again, on_again);
        return;
    }
    if (c->asks_only) {
        engine_cancel(c->inner);
        c->inner = NULL;
        if (refuse_background(c).code != ERR_OK)
            handout_end(&c->h, err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__));
        return;
    }
    if (status >= 200 && status < 300 && e->mode == RESPONSES_AUTO)
        e->mode = RESPONSES_NATIVE;
    handout_enter(&c->h);
    c->h.events->head(c->h.owner, status, fields, n, content_length);
    (void)handout_leave(&c->h);
}

static void on_probe_body(void *owner, bytes piece)
{
    struct call *c = owner;
    handout_enter(&c->h);
    c->h.events->body(c->h.owner, piece);
    (void)handout_leave(&c->h);
}

static void on_probe_end(void *owner, err why)
{
    struct call *c = owner;
    const struct engine_events *events = c->h.events;
    void *owner_of = c->h.owner;
    c->inner = NULL;
    release(&c->h);
    events->end(owner_of, why);
}

static const struct engine_events PROBE_EVENTS = { .head = on_probe_head,
                                                   .body = on_probe_body,
                                                   .end = on_probe_end };

/* ---- starting ---- */

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
    c->tab = request->tab;
    if (request->owner.len == sizeof c->owner)
        memcpy(c->owner, request->owner.at, sizeof c->owner);
    return kept_head(&c->request, &head);
}

/* An engine that may know responses by itself is not told to go on with one that its key cannot pay
 * for. */
static bool is_unpayable(const struct engine_request *request)
{
    return request->background && request->tab != NULL && tab_is_limited(request->tab);
}

static err ask_what_it_knows(struct call *c, const struct engine_request *request)
{
    struct engine_request nothing = *request;
    nothing.body = BYTES_LIT("{}");
    nothing.background = false;
    c->asks_only = true;
    return engine_start(front_of(c)->inner, &nothing, &PROBE_EVENTS, c, &c->inner);
}

static err begin_answer(struct call *c, const struct engine_request *request)
{
    const struct engine_responses *e = front_of(c);
    if (e->mode == RESPONSES_BRIDGE)
        return bridge(c);
    if (is_unpayable(request))
        return e->mode == RESPONSES_NATIVE ? refuse_background(c) : ask_what_it_knows(c, request);
    return engine_start(e->inner, request, &PROBE_EVENTS, c, &c->inner);
}

static err begin_followup(struct call *c, const struct engine_request *request)
{
    struct followup f = { .method = request->method, .target = request->path };
    memcpy(f.owner, c->owner, sizeof f.owner);
    TRY(followup_answer(front_of(c)->jobs, &f, &c->follower));
    return responses_follower_hold(&c->follower, front_of(c)->jobs, c->h.out.cap);
}

static err start_call(struct engine_responses *e, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out,
                      err (*begin)(struct call *c, const struct engine_request *request))
{
    struct call *c;
    TRY(mem_new(&c));
    handout_init(&c->h, &e->base, e->loop, events, owner, release);
    c->h.add_fields = add_fields;
    c->follower.to = &c->h;
    c->next = e->calls;
    c->prev = &e->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    e->calls = c;
    err why = keep_request(c, request);
    if (why.code == ERR_OK)
        why = begin(c, request);
    if (why.code != ERR_OK) {
        release(&c->h);
        return why;
    }
    *out = &c->h.base;
    return OK;
}

static err start(struct engine *base, const struct engine_request *request,
                 const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct engine_responses *e = engine_of(base);
    struct route_match route;
    route_find(request->method, request->path, &route);
    bool found = route.verdict == ROUTE_FOUND;
    if (e->mode == RESPONSES_AUTO && e->chat_known)
        e->mode = RESPONSES_BRIDGE;
    if (found && route.kind == ROUTE_RESPONSES &&
        (e->mode != RESPONSES_NATIVE || is_unpayable(request)))
        return start_call(e, request, events, owner, out, begin_answer);
    if (found && route.kind == ROUTE_RESPONSE &&
        (e->mode == RESPONSES_BRIDGE || responses_jobs_named(e->jobs, route.id)))
        return start_call(e, request, events, owner, out, begin_followup);
    return engine_start(e->inner, request, events, owner, out);
}

/* ---- the engine's other operations ---- */

static void pause_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    handout_pause(&c->h);
    responses_job_pause(&c->follower, true);
    if (c->inner != NULL)
        engine_pause(c->inner);
}

static void resume_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    handout_resume(&c->h);
    responses_job_pause(&c->follower, false);
    if (c->inner != NULL)
        engine_resume(c->inner);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    engine_cancel(c->inner);
    c->inner = NULL;
    handout_cancel(&c->h);
}

static bytes describe(struct engine *base)
{
    return engine_describe(engine_of(base)->inner);
}

static void free_engine(struct engine *base)
{
    struct engine_responses *e = engine_of(base);
    while (e->calls != NULL)
        release(&e->calls->h);
    responses_jobs_end(e->jobs, e->inner);
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
    e->mode = settings->mode;
    e->refuse_tools = settings->refuse_tools;
    e->jobs = settings->jobs;
    *out = &e->base;
    return OK;
}
