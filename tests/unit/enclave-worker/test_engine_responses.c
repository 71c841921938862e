/* The engine in front of another one, which says what the test tells it to. */
#include <stdio.h>
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "enclave-worker/engine_responses.h"
#include "enclave-worker/responses_job.h"
#include "tests/lib/law.h"
#include "wire/names.h"

enum { TURNS = 4, OUT_MAX = 4 * 1024 * 1024 };

/* ---- the inner engine ---- */

struct fake_call {
    struct engine_call base;
    const struct engine_events *events;
    void *owner;
    char path[128];
    bool paused;
    struct fake_call *next;
};

struct fake {
    struct engine base;
    struct fake_call *calls; /* the newest first */
    size_t starts, cancels;
    bool full;
};

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
    f->calls = c;
    f->starts++;
    *out = &c->base;
    return OK;
}

static void forget(struct fake_call *c)
{
    struct fake_call **at = &fake_of(c->base.engine)->calls;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
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

/* What the owner of a call was told. */
struct run {
    struct engine_call *call; /* NULL once it is gone */
    unsigned status;
    char type[64];
    struct buf body;
    size_t heads, ends;
    err why;
    bool wrong;   /* something came when it must not */
    bool pausing; /* pauses in every callback */
    bool paused;
    bool starting; /* start() has not returned */
    int cancel_in; /* 'h' or 'b': cancels in that callback */
};

static struct {
    struct loop *loop;
    struct fake fake;
    struct engine *engine;
    struct responses_jobs *jobs;
} at;

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

static void turns(struct run *r)
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

static void open_scene(enum responses_mode mode)
{
    const struct responses_jobs_settings keep = { .store_max = 1024 * 1024,
                                                  .store_ms = 60000,
                                                  .tag = "0123abcd" };
    memset(&at, 0, sizeof at);
    at.fake.base.ops = &FAKE;
    CHECK_OK(loop_new(&at.loop));
    CHECK_OK(responses_jobs_new(&at.jobs, at.loop, &keep));
    const struct engine_responses_settings settings = { .mode = mode, .jobs = at.jobs };
    CHECK_OK(engine_responses_new(&at.engine, at.loop, &at.fake.base, &settings));
}

static void close_scene(void)
{
    engine_free(at.engine);
    responses_jobs_free(at.jobs);
    loop_free(at.loop);
}

static err start_as(struct run *r, const char *method, const char *path, const char *body,
                    uint8_t who)
{
    uint8_t owner[STORE_OWNER_LEN] = { who };
    const struct engine_request request = { .method = bytes_str(method),
                                            .path = bytes_str(path),
                                            .body = bytes_str(body),
                                            .owner = BYTES_ARRAY(owner) };
    r->body = BUF(OUT_MAX);
    r->starting = true;
    err e = engine_start(at.engine, &request, &EVENTS, r, &r->call);
    r->starting = false;
    return e;
}

static void start(struct run *r, const char *body)
{
    CHECK_OK(start_as(r, "POST", "/v1/responses", body, 1));
}

static void finish(struct run *r)
{
    CHECK(!r->wrong);
    buf_clear(&r->body);
}

/* The inner engine speaks on its newest call, if it is not held back. */
static void say_head(unsigned status, const char *type)
{
    struct fake_call *c = at.fake.calls;
    const struct engine_field field = { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(type) };
    c->events->head(c->owner, status, &field, 1, -1);
}

static void say(const char *text)
{
    struct fake_call *c = at.fake.calls;
    CHECK(!c->paused);
    c->events->body(c->owner, bytes_str(text));
}

static void say_end(err why)
{
    struct fake_call *c = at.fake.calls;
    const struct engine_events *events = c->events;
    void *owner = c->owner;
    CHECK(!c->paused);
    forget(c);
    events->end(owner, why);
}

#define STREAM "{\"model\":\"m\",\"input\":\"i\",\"stream\":true}"
#define WHOLE "{\"model\":\"m\",\"input\":\"i\"}"
#define HEAVY "{\"model\":\"m\",\"input\":\"i\",\"background\":true}"
#define DELTA "data: {\"choices\":[{\"delta\":{\"content\":\"yes\"}}]}\n\n"
#define LAST "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
#define ANSWER "{\"choices\":[{\"message\":{\"content\":\"yes\"},\"finish_reason\":\"stop\"}]}"

static bool said(struct run *r, const char *words)
{
    return r->body.len > 0 && strstr(buf_str(&r->body), words) != NULL;
}

/* ---- tests ---- */

static void hands_out_a_bridged_stream_as_it_comes(void **state)
{
    (void)state;
    for (int pausing = 0; pausing < 2; pausing++) {
        struct run r = { .pausing = pausing != 0 };
        open_scene(RESPONSES_BRIDGE);
        start(&r, STREAM);
        assert_string_equal(at.fake.calls->path, "/v1/chat/completions");
        turns(&r);
        CHECK(r.heads == 0);
        say_head(200, MEDIA_SSE);
        turns(&r);
        CHECK(r.status == 200 && said(&r, "event: response.in_progress\n"));
        assert_string_equal(r.type, MEDIA_SSE "; charset=utf-8");
        say(DELTA);
        turns(&r);
        CHECK(said(&r, "\"delta\":\"yes\"") && !said(&r, "response.completed"));
        say(LAST);
        say_end(OK);
        turns(&r);
        CHECK(said(&r, "event: response.completed\n") && said(&r, "data: [DONE]\n\n"));
        CHECK(r.ends == 1);
        CHECK_OK(r.why);
        finish(&r);
        close_scene();
    }
}

static void hands_out_a_bridged_answer_whole(void **state)
{
    (void)state;
    for (int pausing = 0; pausing < 2; pausing++) {
        struct run r = { .pausing = pausing != 0 };
        open_scene(RESPONSES_BRIDGE);
        start(&r, WHOLE);
        say_head(200, MEDIA_JSON);
        turns(&r);
        say(ANSWER);
        turns(&r);
        CHECK(r.heads == 0);
        say_end(OK);
        turns(&r);
        CHECK(r.status == 200 && said(&r, "\"status\":\"completed\"") && r.ends == 1);
        finish(&r);
        close_scene();
    }
}

static void holds_the_engine_back_and_says_nothing_meanwhile(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_BRIDGE);
    start(&r, STREAM);
    say_head(200, MEDIA_SSE);
    say(DELTA); /* in the same turn, before anything was handed out */
    engine_pause(r.call);
    r.paused = true;
    CHECK(at.fake.calls->paused);
    for (int i = 0; i < TURNS; i++) {
        loop_stop(at.loop);
        loop_run(at.loop);
    }
    CHECK(r.heads == 0 && r.body.len == 0);
    r.paused = false;
    engine_resume(r.call);
    CHECK(!at.fake.calls->paused);
    turns(&r);
    CHECK(said(&r, "\"delta\":\"yes\""));
    engine_cancel(r.call);
    finish(&r);
    close_scene();
}

static void ends_at_the_engine_whenever_it_is_cancelled(void **state)
{
    (void)state;
    for (const char *where = "-hb"; *where != '\0'; where++) {
        for (int native = 0; native < 2; native++) {
            struct run r = { .cancel_in = *where };
            open_scene(native ? RESPONSES_AUTO : RESPONSES_BRIDGE);
            start(&r, STREAM);
            if (*where == '-') {
                engine_cancel(r.call);
                r.call = NULL;
            } else {
                say_head(200, MEDIA_SSE);
                if (at.fake.calls != NULL)
                    say(DELTA);
            }
            turns(&r);
            CHECK(at.fake.calls == NULL && at.fake.cancels == 1 && r.ends == 0);
            finish(&r);
            close_scene();
        }
    }
}

static void finds_out_which_way_to_go(void **state)
{
    (void)state;
    static const unsigned unknown[] = { 404, 405, 501 };
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        struct run r = { 0 };
        open_scene(RESPONSES_AUTO);
        start(&r, WHOLE);
        assert_string_equal(at.fake.calls->path, "/v1/responses");
        say_head(unknown[i], MEDIA_JSON);
        turns(&r);
        CHECK(r.heads == 0 && at.fake.cancels == 1);
        assert_string_equal(at.fake.calls->path, "/v1/chat/completions");
        say_head(200, MEDIA_JSON);
        say(ANSWER);
        say_end(OK);
        turns(&r);
        CHECK(r.status == 200 && said(&r, "\"object\":\"response\""));
        finish(&r);
        start(&r, WHOLE);
        assert_string_equal(at.fake.calls->path, "/v1/chat/completions");
        engine_cancel(r.call);
        close_scene();
    }
}

static void stays_with_an_engine_that_knows_the_api(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_AUTO);
    start(&r, STREAM);
    say_head(200, MEDIA_SSE);
    say("event: response.created\ndata: {}\n\n");
    say_end(OK);
    CHECK(said(&r, "event: response.created\ndata: {}\n\n") && r.ends == 1);
    finish(&r);
    struct run again = { 0 };
    start(&again, STREAM);
    assert_string_equal(at.fake.calls->path, "/v1/responses");
    say_head(404, MEDIA_JSON);
    CHECK(again.status == 404);
    say_end(OK);
    finish(&again);
    close_scene();
}

static void learns_nothing_from_what_is_refused_both_ways(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_AUTO);
    start(&r, WHOLE);
    say_head(404, MEDIA_JSON);
    turns(&r);
    say_head(404, MEDIA_JSON);
    say("{\"error\":{}}");
    say_end(OK);
    turns(&r);
    CHECK(r.status == 404 && said(&r, "{\"error\":{}}") && r.ends == 1);
    finish(&r);
    struct run again = { 0 };
    start(&again, WHOLE);
    assert_string_equal(at.fake.calls->path, "/v1/responses");
    say_end((err){ ERR_UNAVAILABLE });
    CHECK(again.why.code == ERR_UNAVAILABLE && again.heads == 0);
    finish(&again);
    close_scene();
}

static void says_what_went_wrong_at_the_engine(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_BRIDGE);
    start(&r, WHOLE);
    say_end((err){ ERR_UNAVAILABLE });
    turns(&r);
    CHECK(r.heads == 0 && r.why.code == ERR_UNAVAILABLE);
    finish(&r);
    struct run cut = { 0 };
    start(&cut, WHOLE);
    say_head(200, MEDIA_JSON);
    say_end((err){ ERR_CLOSED });
    turns(&cut);
    CHECK(cut.status == 502 && said(&cut, "upstream_broken"));
    finish(&cut);
    struct run stream = { 0 };
    start(&stream, STREAM);
    say_head(200, MEDIA_SSE);
    say_end((err){ ERR_TIMEOUT });
    turns(&stream);
    CHECK(stream.status == 200 && said(&stream, "event: response.failed\n"));
    CHECK_OK(stream.why);
    finish(&stream);
    struct run full = { 0 };
    at.fake.full = true;
    CHECK_ERR(start_as(&full, "POST", "/v1/responses", WHOLE, 1), LIMIT);
    buf_clear(&full.body);
    close_scene();
}

static void refuses_what_it_cannot_ask_for(void **state)
{
    (void)state;
    struct run r = { .pausing = true };
    open_scene(RESPONSES_BRIDGE);
    start(&r, "{\"model\":\"m\",\"input\":\"i\",\"conversation\":\"c\"}");
    turns(&r);
    CHECK(r.status == 400 && said(&r, "\"param\":\"conversation\"") && at.fake.starts == 0);
    finish(&r);
    close_scene();
}

static void hands_on_what_is_none_of_its_business(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_BRIDGE);
    CHECK_OK(start_as(&r, "POST", "/v1/chat/completions", "{}", 1));
    assert_string_equal(at.fake.calls->path, "/v1/chat/completions");
    say_head(200, MEDIA_JSON);
    say("{}");
    say_end(OK);
    CHECK(said(&r, "{}"));
    CHECK_BYTES(engine_describe(at.engine), BYTES_LIT("a fake"));
    finish(&r);
    close_scene();
}

/* The id in what was said. */
static void take_path(struct run *r, const char *behind, char out[static 128])
{
    const char *id = strstr(buf_str(&r->body), "resp_");
    CHECK(id != NULL && strncmp(id, "resp_0123abcd", 13) == 0);
    (void)snprintf(out, 128, "/v1/responses/%.*s%s", (int)strcspn(id, "\""), id, behind);
}

static unsigned ask_for(const char *method, const char *path, uint8_t who, const char *words)
{
    struct run r = { 0 };
    CHECK_OK(start_as(&r, method, path, "", who));
    turns(&r);
    CHECK(r.ends == 1 && said(&r, words));
    finish(&r);
    return r.status;
}

static void goes_on_in_the_background_without_its_asker(void **state)
{
    (void)state;
    struct run r = { 0 };
    char path[128];
    open_scene(RESPONSES_BRIDGE);
    start(&r, HEAVY);
    turns(&r);
    CHECK(r.ends == 1 && said(&r, "\"status\":\"queued\"") && at.fake.calls != NULL);
    take_path(&r, "", path);
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"queued\""), 200);
    assert_int_equal(ask_for("GET", path, 2, "not_found"), 404);
    say_head(200, MEDIA_JSON);
    say(ANSWER);
    say_end(OK);
    /* In the turn in which it ends, too. */
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"completed\""), 200);
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"completed\""), 200);
    CHECK(responses_store_count(at.jobs->store) == 1 && at.jobs->list == NULL);
    assert_int_equal(ask_for("DELETE", path, 2, "not_found"), 404);
    assert_int_equal(ask_for("DELETE", path, 1, "\"deleted\":true"), 200);
    assert_int_equal(ask_for("GET", path, 1, "not_found"), 404);
    finish(&r);
    close_scene();
}

static void ends_what_is_deleted_while_it_is_made(void **state)
{
    (void)state;
    struct run r = { 0 };
    char path[128];
    open_scene(RESPONSES_BRIDGE);
    start(&r, HEAVY);
    turns(&r);
    take_path(&r, "", path);
    assert_int_equal(ask_for("DELETE", path, 1, "\"deleted\":true"), 200);
    CHECK(at.fake.calls == NULL && at.jobs->list == NULL);
    CHECK(responses_store_count(at.jobs->store) == 0);
    assert_int_equal(ask_for("GET", path, 1, "not_found"), 404);
    finish(&r);
    close_scene();
}

static void lets_followers_come_and_go(void **state)
{
    (void)state;
    struct run first = { 0 };
    struct run second = { .pausing = true };
    char path[128];
    open_scene(RESPONSES_BRIDGE);
    start(&first, "{\"model\":\"m\",\"input\":\"i\",\"background\":true,\"stream\":true}");
    say_head(200, MEDIA_SSE);
    turns(&first);
    take_path(&first, "?stream=true&starting_after=1", path);
    CHECK_OK(start_as(&second, "GET", path, "", 1));
    turns(&second);
    engine_cancel(first.call);
    CHECK(at.fake.cancels == 0);
    say(DELTA);
    turns(&second);
    say(LAST);
    say_end(OK);
    turns(&second);
    CHECK(second.ends == 1 && said(&second, "event: response.completed\n"));
    CHECK(!said(&second, "response.queued") && said(&second, "\"sequence_number\":2"));
    CHECK(at.jobs->list == NULL);
    buf_clear(&first.body);
    finish(&second);
    close_scene();
}

static void takes_down_what_is_under_way(void **state)
{
    (void)state;
    struct run r = { 0 };
    struct run heavy = { 0 };
    open_scene(RESPONSES_BRIDGE);
    start(&r, STREAM);
    start(&heavy, HEAVY);
    say_head(200, MEDIA_SSE);
    turns(NULL);
    close_scene();
    CHECK(at.fake.calls == NULL);
    buf_clear(&r.body);
    buf_clear(&heavy.body);
}

static int crypto_start(void **state)
{
    (void)state;
    return crypto_init().code != ERR_OK;
}

/* What is made in the background stays when its asker has gone. */
static void holds_no_more_than_it_may(void **state)
{
    (void)state;
    struct run first = { 0 };
    struct run second = { 0 };
    open_scene(RESPONSES_BRIDGE);
    at.jobs->held_max = 1;
    CHECK_ERR(start_as(&first, "POST", "/v1/responses", HEAVY, 1), LIMIT);
    CHECK(at.jobs->held == 0);
    at.jobs->held_max = 1000;
    start(&first, HEAVY);
    uint64_t one = at.jobs->held;
    turns(&first);
    CHECK(first.ends == 1 && one > sizeof HEAVY && at.jobs->held == one);
    at.jobs->held_max = 2 * one - 1;
    CHECK_ERR(start_as(&second, "POST", "/v1/responses", HEAVY, 1), LIMIT);
    CHECK(at.jobs->held == one);
    at.jobs->held_max = 2 * one;
    start(&second, HEAVY);
    CHECK(at.jobs->held == 2 * one);
    say_head(200, "application/json");
    say(ANSWER);
    say_end(OK);
    turns(&second);
    CHECK(at.jobs->held == one);
    finish(&first);
    finish(&second);
    close_scene();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_a_bridged_stream_as_it_comes),
        cmocka_unit_test(hands_out_a_bridged_answer_whole),
        cmocka_unit_test(holds_the_engine_back_and_says_nothing_meanwhile),
        cmocka_unit_test(ends_at_the_engine_whenever_it_is_cancelled),
        cmocka_unit_test(finds_out_which_way_to_go),
        cmocka_unit_test(stays_with_an_engine_that_knows_the_api),
        cmocka_unit_test(learns_nothing_from_what_is_refused_both_ways),
        cmocka_unit_test(says_what_went_wrong_at_the_engine),
        cmocka_unit_test(refuses_what_it_cannot_ask_for),
        cmocka_unit_test(hands_on_what_is_none_of_its_business),
        cmocka_unit_test(goes_on_in_the_background_without_its_asker),
        cmocka_unit_test(ends_what_is_deleted_while_it_is_made),
        cmocka_unit_test(holds_no_more_than_it_may),
        cmocka_unit_test(lets_followers_come_and_go),
        cmocka_unit_test(takes_down_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, crypto_start, NULL);
}
