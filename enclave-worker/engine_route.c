#include "enclave-worker/engine_route.h"

#include "api/route.h"
#include "api/splice.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "wire/names.h"

enum {
    ABOUT_MAX = 64 * 1024,
    LIST_MAX = 1024 * 1024,
    GROWTH_MAX = 8 * 1024, /* what edits may add to a body */
    SECRET_LEN = 32
};

struct route {
    struct engine base;
    struct loop *loop;
    const struct engines *table;
    struct engine *engines[ENGINES_MAX];
    size_t n;
    uint8_t *secret; /* NULL: no salt */
    struct buf about;
    struct call *calls;
    struct list *lists;
};

static struct route *route_of(struct engine *e)
{
    return CONTAINER_OF(e, struct route, base);
}

/* ---- a request that was written anew ---- */

struct call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    struct call *next;
    struct call **prev;
    struct engine_call *inner;
    struct buf body;
};

static struct call *call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct call, base);
}

static void call_free(struct call *c)
{
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    buf_clear(&c->body);
    mem_free(c);
}

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct call *c = owner;
    c->events->head(c->owner, status, fields, n, content_length);
}

static void on_body(void *owner, bytes piece)
{
    struct call *c = owner;
    c->events->body(c->owner, piece);
}

static void on_end(void *owner, err why)
{
    struct call *c = owner;
    const struct engine_events *events = c->events;
    void *above = c->owner;
    call_free(c);
    events->end(above, why);
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

static void pause_call(struct engine_call *base)
{
    engine_pause(call_of(base)->inner);
}

static void resume_call(struct engine_call *base)
{
    engine_resume(call_of(base)->inner);
}

static void cancel_call(struct engine_call *base)
{
    struct call *c = call_of(base);
    engine_cancel(c->inner);
    call_free(c);
}

static err call_new(struct route *r, const struct engine_events *events, void *owner,
                    struct call **out)
{
    struct call *c;
    TRY(mem_new(&c));
    c->base.engine = &r->base;
    c->events = events;
    c->owner = owner;
    c->next = r->calls;
    c->prev = &r->calls;
    if (c->next != NULL)
        c->next->prev = &c->next;
    r->calls = c;
    *out = c;
    return OK;
}

/* Starts *c, which is freed when that fails. */
static err ask_edited(struct call *c, struct engine *to, const struct engine_request *request,
                      const struct splice_edit *edits, size_t n)
{
    c->body = BUF(request->body.len + GROWTH_MAX);
    err e = splice_object(&c->body, request->body, edits, n);
    struct engine_request edited = *request;
    edited.body = buf_view(&c->body);
    if (e.code == ERR_OK)
        e = engine_start(to, &edited, &EVENTS, c, &c->inner);
    if (e.code != ERR_OK)
        call_free(c);
    return e;
}

/* ---- the list of models ---- */

struct list {
    struct engine_call base;
    struct route *route;
    const struct engine_events *events;
    void *owner;
    struct list *next;
    struct list **prev;
    struct loop_task task;
    unsigned said; /* head, body */
    struct buf body;
    bool paused;
    bool inside;
    bool dead;
};

static struct list *list_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct list, base);
}

static void list_free(struct list *l)
{
    loop_defer_cancel(&l->task);
    *l->prev = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    buf_clear(&l->body);
    mem_free(l);
}

static void say(struct list *l)
{
    const struct engine_field field = { BYTES_LIT(FIELD_CONTENT_TYPE), BYTES_LIT(MEDIA_JSON) };
    l->inside = true;
    if (l->said++ == 0)
        l->events->head(l->owner, 200, &field, 1, (int64_t)l->body.len);
    else
        l->events->body(l->owner, buf_view(&l->body));
    l->inside = false;
}

static void on_list_due(struct loop_task *t)
{
    struct list *l = CONTAINER_OF(t, struct list, task);
    const struct engine_events *events = l->events;
    void *owner = l->owner;
    while (!l->paused && !l->dead && l->said < 2)
        say(l);
    bool dead = l->dead;
    if (l->paused && !dead)
        return;
    list_free(l);
    if (!dead)
        events->end(owner, OK);
}

static void pause_list(struct engine_call *base)
{
    list_of(base)->paused = true;
}

static void resume_list(struct engine_call *base)
{
    struct list *l = list_of(base);
    l->paused = false;
    if (!l->inside)
        loop_defer(l->route->loop, &l->task, on_list_due);
}

static void cancel_list(struct engine_call *base)
{
    struct list *l = list_of(base);
    l->dead = true;
    if (!l->inside)
        list_free(l);
}

static const struct engine_ops LIST_OPS = {
    .name = "models", .pause = pause_list, .resume = resume_list, .cancel = cancel_list
};
static struct engine LISTS = { .ops = &LIST_OPS };

static void put_model(struct json_out *j, const struct route *r, bytes id, size_t entry)
{
    json_begin_object(j, NULL);
    json_put_text(j, "id", id);
    json_put_str(j, "object", "model");
    json_put_u64(j, "created", 0);
    json_put_str(j, "owned_by", r->table->entries[entry].name);
    json_close(j);
}

static err write_list(const struct route *r, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "list");
    json_begin_array(&j, "data");
    for (size_t i = 0; i < r->table->names_n; i++) {
        const struct engines_name *n = &r->table->names[i];
        if (!n->pattern)
            put_model(&j, r, n->name, n->entry);
    }
    json_close(&j);
    json_close(&j);
    return json_end(&j);
}

/* Who serves the model of a path, whose name goes to *name. */
static err find_of_path(const struct route *r, bytes id, struct buf *name,
                        const struct engines_name **out)
{
    TRY(route_decode_id(name, id));
    *out = engines_find(r->table, buf_view(name));
    ENSURE(*out != NULL, NOT_FOUND);
    return OK;
}

static err write_one(const struct route *r, bytes id, struct buf *out)
{
    BUF_AUTO name = BUF(ROUTE_ID_MAX);
    const struct engines_name *n;
    TRY(find_of_path(r, id, &name, &n));
    struct json_out j = JSON_OUT(out);
    put_model(&j, r, buf_view(&name), n->entry);
    return json_end(&j);
}

static err answer_models(struct route *r, const struct route_match *match,
                         const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct list *l;
    TRY(mem_new(&l));
    l->base.engine = &LISTS;
    l->route = r;
    l->events = events;
    l->owner = owner;
    l->body = BUF(LIST_MAX);
    l->next = r->lists;
    l->prev = &r->lists;
    if (l->next != NULL)
        l->next->prev = &l->next;
    r->lists = l;
    err e =
        match->kind == ROUTE_MODELS ? write_list(r, &l->body) : write_one(r, match->id, &l->body);
    if (e.code != ERR_OK) {
        list_free(l);
        return e;
    }
    loop_defer(r->loop, &l->task, on_list_due);
    *out = &l->base;
    return OK;
}

/* ---- asking ---- */

/* HMAC over the caller's name, which has no end of its own but that of the message. */
static err write_salt(const struct route *r, bytes caller, struct buf *out)
{
    static const char label[] = "sealgate cache salt 1 ";
    uint8_t tag[SHA256_LEN];
    struct hmac m;
    hmac_init(&m, bytes_of(r->secret, SECRET_LEN));
    hmac_add(&m, bytes_str(label));
    hmac_add(&m, caller);
    hmac_end(&m, tag);
    TRY(buf_add_u8(out, '"'));
    TRY(text_base64url_encode(out, BYTES_ARRAY(tag)));
    return buf_add_u8(out, '"');
}

/* Whether or not it names a model: without one an engine takes its own. What begins like an object and
 * is none cannot be salted, so it goes no further. */
static bool takes_salt(const struct route *r, bytes body)
{
    size_t at = 0;
    while (at < body.len && (body.at[at] == ' ' || body.at[at] == '\t' || body.at[at] == '\n' ||
                             body.at[at] == '\r'))
        at++;
    return r->secret != NULL && at < body.len && body.at[at] == '{';
}

static err ask(struct route *r, const struct engines_name *name,
               const struct engine_request *request, const struct engine_events *events,
               void *owner, struct engine_call **out)
{
    struct engine *to = r->engines[name != NULL ? name->entry : 0];
    struct splice_edit edits[3];
    size_t n = 0;
    BUF_AUTO model = BUF(8 * ENGINES_NAME_MAX);
    BUF_AUTO salt = BUF(2 * SHA256_LEN);
    if (name != NULL && name->target.len > 0 && request->model.len > 0) {
        TRY(text_json_quote(&model, name->target));
        edits[n++] = (struct splice_edit){ SPLICE_REPLACE, BYTES_LIT("model"), buf_view(&model) };
    }
    if (takes_salt(r, request->body)) {
        TRY(write_salt(r, request->caller, &salt));
        edits[n++] = (struct splice_edit){ SPLICE_SET, BYTES_LIT("cache_salt"), buf_view(&salt) };
    }
    if (request->counts)
        edits[n++] = (struct splice_edit){ SPLICE_ADD, BYTES_LIT("stream_options"),
                                           BYTES_LIT("{\"include_usage\":true}") };
    if (n == 0)
        return engine_start(to, request, events, owner, out);
    struct call *c;
    TRY(call_new(r, events, owner, &c));
    TRY(ask_edited(c, to, request, edits, n));
    *out = &c->base;
    return OK;
}

static err start_call(struct engine *base, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct route *r = route_of(base);
    struct route_match match;
    const struct engines_name *name = NULL;
    BUF_AUTO id = BUF(ROUTE_ID_MAX);
    if (r->table == NULL)
        return ask(r, NULL, request, events, owner, out);
    route_find(BYTES_LIT("GET"), request->path, &match); /* what the path is of, whatever is done */
    if (request->model.len > 0) {
        name = engines_find(r->table, request->model);
        ENSURE(name != NULL, NOT_FOUND);
    } else if (match.kind == ROUTE_MODELS || match.kind == ROUTE_MODEL) {
        if (bytes_equal(request->method, BYTES_LIT("GET")))
            return answer_models(r, &match, events, owner, out);
        if (match.kind == ROUTE_MODEL)
            TRY(find_of_path(r, match.id, &id, &name));
    }
    return ask(r, name, request, events, owner, out);
}

static bytes describe(struct engine *base)
{
    return buf_view(&route_of(base)->about);
}

static void free_route(struct engine *base)
{
    struct route *r = route_of(base);
    while (r->calls != NULL)
        cancel_call(&r->calls->base);
    while (r->lists != NULL)
        list_free(r->lists);
    for (size_t i = 0; i < r->n; i++)
        engine_free(r->engines[i]);
    secret_free(r->secret);
    buf_clear(&r->about);
    mem_free(r);
}

static const struct engine_ops OPS = {
    .name = "route",
    .start = start_call,
    .pause = pause_call,
    .resume = resume_call,
    .cancel = cancel_call,
    .describe = describe,
    .free = free_route,
};

static err write_about(struct route *r, const struct engine_route_settings *settings, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            TRY(buf_add_str(&r->about, "; "));
        TRY(buf_add(&r->about, engine_describe(settings->engines[i])));
    }
    for (size_t i = 0; r->table != NULL && i < r->table->names_n; i++) {
        const struct engines_name *name = &r->table->names[i];
        TRY(buf_addf(&r->about, "; %zu ", name->entry));
        TRY(buf_add(&r->about, name->name));
        TRY(buf_add_u8(&r->about, ' '));
        TRY(buf_add(&r->about, name->target));
    }
    return OK;
}

static err make_secret(struct route *r)
{
    void *at;
    TRY(secret_new(&at, SECRET_LEN));
    r->secret = at;
    return crypto_random(at, SECRET_LEN);
}

err engine_route_new(struct engine **out, struct loop *loop,
                     const struct engine_route_settings *settings)
{
    struct route *r;
    size_t n = settings->table != NULL ? settings->table->entries_n : 1;
    TRY(mem_new(&r));
    r->base.ops = &OPS;
    r->loop = loop;
    r->table = settings->table;
    r->about = BUF(ABOUT_MAX);
    err e = write_about(r, settings, n);
    if (e.code == ERR_OK && settings->salt)
        e = make_secret(r);
    if (e.code != ERR_OK) {
        free_route(&r->base);
        return e;
    }
    for (; r->n < n; r->n++)
        r->engines[r->n] = settings->engines[r->n];
    *out = &r->base;
    return OK;
}
