#include "tests/unit/enclave-worker/responses_scene.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/init.h"
#include "wire/names.h"

enum { OUT_MAX = 4 * 1024 * 1024 };

struct scene at;

/* ---- the inner engine ---- */

static struct fake *fake_of(struct engine *e)
{
    return CONTAINER_OF(e, struct fake, base);
}

static struct fake_call *fake_call_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct fake_call, base);
}

static err fake_start(struct engine *e, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct fake *f = fake_of(e);
    struct fake_call *c;
    ENSURE(!f->full, LIMIT);
    TRY(mem_new(&c));
    *c = (struct fake_call){ .base = { e }, .events = events, .owner = owner, .next = f->calls };
    (void)snprintf(c->path, sizeof c->path, "%.*s", (int)request->path.len,
                   (const char *)request->path.at);
    (void)snprintf(c->body, sizeof c->body, "%.*s", (int)request->body.len,
                   (const char *)request->body.at);
    f->calls = c;
    f->starts++;
    *out = &c->base;
    return OK;
}

static void forget(struct fake_call *c)
{
    struct fake_call **place = &fake_of(c->base.engine)->calls;
    while (*place != c)
        place = &(*place)->next;
    *place = c->next;
    mem_free(c);
}

static void fake_pause(struct engine_call *c)
{
    fake_call_of(c)->paused = true;
}

static void fake_resume(struct engine_call *c)
{
    fake_call_of(c)->paused = false;
}

static void fake_cancel(struct engine_call *c)
{
    fake_of(c->engine)->cancels++;
    forget(fake_call_of(c));
}

static bytes fake_describe(struct engine *e)
{
    (void)e;
    return BYTES_LIT("a fake");
}

static void fake_free(struct engine *e)
{
    CHECK(fake_of(e)->calls == NULL);
}

static const struct engine_ops FAKE = { .name = "fake",
                                        .start = fake_start,
                                        .pause = fake_pause,
                                        .resume = fake_resume,
                                        .cancel = fake_cancel,
                                        .describe = fake_describe,
                                        .free = fake_free };

/* ---- the scene ---- */

static void told(struct run *r, int where)
{
    r->wrong = r->wrong || r->starting || r->paused || r->ends > 0;
    if (r->cancel_in == where) {
        engine_cancel(r->call);
        r->call = NULL;
    } else if (r->pausing) {
        r->paused = true;
        engine_pause(r->call);
    }
}

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct run *r = owner;
    (void)content_length;
    r->wrong = r->wrong || r->heads++ > 0;
    r->status = status;
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(fields[i].name, BYTES_LIT(FIELD_CONTENT_TYPE)))
            (void)snprintf(r->type, sizeof r->type, "%.*s", (int)fields[i].value.len,
                           (const char *)fields[i].value.at);
    }
    told(r, 'h');
}

static void on_body(void *owner, bytes piece)
{
    struct run *r = owner;
    r->wrong = r->wrong || r->heads != 1 || piece.len == 0 || r->call == NULL;
    r->largest = piece.len > r->largest ? piece.len : r->largest;
    CHECK_OK(buf_add(&r->body, piece));
    told(r, 'b');
}

static void on_end(void *owner, err why)
{
    struct run *r = owner;
    r->wrong = r->wrong || r->starting || r->paused || r->ends++ > 0 || r->call == NULL;
    r->why = why;
    r->call = NULL;
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

void turns(struct run *r)
{
    for (int i = 0; i < TURNS; i++) {
        loop_stop(at.loop);
        loop_run(at.loop);
        if (r != NULL && r->paused && r->call != NULL) {
            r->paused = false;
            engine_resume(r->call);
        }
    }
}

void open_scene(enum responses_mode mode)
{
    open_scene_of(mode, SCENE_STORE);
}

void open_scene_of(enum responses_mode mode, uint64_t store_max)
{
    const struct responses_jobs_settings keep = { .store_max = store_max,
                                                  .store_ms = 60000,
                                                  .tag = "0123abcd" };
    memset(&at, 0, sizeof at);
    at.fake.base.ops = &FAKE;
    CHECK_OK(loop_new(&at.loop));
    CHECK_OK(responses_jobs_new(&at.jobs, at.loop, &keep));
    const struct engine_responses_settings settings = { .mode = mode, .jobs = at.jobs };
    CHECK_OK(engine_responses_new(&at.engine, at.loop, &at.fake.base, &settings));
}

void close_scene(void)
{
    engine_free(at.engine);
    responses_jobs_free(at.jobs);
    loop_free(at.loop);
}

err start_as(struct run *r, const char *method, const char *path, const char *body, uint8_t who)
{
    uint8_t owner[STORE_OWNER_LEN] = { who };
    const struct engine_request request = { .method = bytes_str(method),
                                            .path = bytes_str(path),
                                            .body = bytes_str(body),
                                            .owner = BYTES_ARRAY(owner),
                                            .background = at.background,
                                            .tab = at.tab };
    r->body = BUF(OUT_MAX);
    r->starting = true;
    err e = engine_start(at.engine, &request, &EVENTS, r, &r->call);
    r->starting = false;
    return e;
}

void start(struct run *r, const char *body)
{
    CHECK_OK(start_as(r, "POST", "/v1/responses", body, 1));
}

void finish(struct run *r)
{
    CHECK(!r->wrong);
    buf_clear(&r->body);
}

void say_head(unsigned status, const char *type)
{
    struct fake_call *c = at.fake.calls;
    const struct engine_field field = { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(type) };
    c->events->head(c->owner, status, &field, 1, -1);
}

void say(const char *text)
{
    struct fake_call *c = at.fake.calls;
    CHECK(!c->paused);
    c->events->body(c->owner, bytes_str(text));
}

void say_end(err why)
{
    struct fake_call *c = at.fake.calls;
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    CHECK(!c->paused);
    forget(c);
    events->end(owner, why);
}

bool said(struct run *r, const char *words)
{
    return r->body.len > 0 && strstr(buf_str(&r->body), words) != NULL;
}

void take_path(struct run *r, const char *behind, char out[static 128])
{
    const char *id = strstr(buf_str(&r->body), "resp_");
    CHECK(id != NULL && strncmp(id, "resp_0123abcd", 13) == 0);
    (void)snprintf(out, 128, "/v1/responses/%.*s%s", (int)strcspn(id, "\""), id, behind);
}

unsigned ask_for(const char *method, const char *path, uint8_t who, const char *words)
{
    struct run r = { 0 };
    CHECK_OK(start_as(&r, method, path, "", who));
    turns(&r);
    CHECK(r.ends == 1 && said(&r, words));
    finish(&r);
    return r.status;
}

int crypto_start(void **state)
{
    (void)state;
    return crypto_init().code != ERR_OK;
}
