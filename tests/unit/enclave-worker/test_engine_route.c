#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "enclave-worker/engine_route.h"
#include "tests/lib/law.h"

#define TABLE                                                                                      \
    "engines:\n"                                                                                   \
    "  - {name: one, url: demo, models: [m1], aliases: {gpt: m1}}\n"                               \
    "  - {name: two, url: demo, models: [m2, \"x*\"]}\n"

/* An engine that remembers what it was asked last, and answers only when it is told to. */
struct fake {
    struct engine engine;
    struct engine_call call;
    const struct engine_events *events;
    void *owner;
    struct buf body;
    size_t starts, cancels, pauses, resumes, freed;
    bool full;
};

static err fake_start(struct engine *e, const struct engine_request *request,
                      const struct engine_events *events, void *owner, struct engine_call **out)
{
    struct fake *f = CONTAINER_OF(e, struct fake, engine);
    ENSURE(!f->full, LIMIT);
    f->starts++;
    f->events = events;
    f->owner = owner;
    f->call.engine = e;
    buf_clear(&f->body);
    TRY(buf_add(&f->body, request->body));
    *out = &f->call;
    return OK;
}

static struct fake *fake_of(struct engine_call *c)
{
    return CONTAINER_OF(c, struct fake, call);
}

static void fake_pause(struct engine_call *c)
{
    fake_of(c)->pauses++;
}

static void fake_resume(struct engine_call *c)
{
    fake_of(c)->resumes++;
}

static void fake_cancel(struct engine_call *c)
{
    fake_of(c)->cancels++;
}

static bytes fake_describe(struct engine *e)
{
    (void)e;
    return BYTES_LIT("engine fake");
}

static void fake_free(struct engine *e)
{
    struct fake *f = CONTAINER_OF(e, struct fake, engine);
    buf_clear(&f->body);
    f->freed++;
}

static const struct engine_ops FAKE = { .name = "fake",
                                        .start = fake_start,
                                        .pause = fake_pause,
                                        .resume = fake_resume,
                                        .cancel = fake_cancel,
                                        .describe = fake_describe,
                                        .free = fake_free };

struct stage {
    struct loop *loop;
    struct fake fakes[2];
    struct engines *table;
    struct engine *route;
    struct engine_call *call;
    unsigned status;
    struct buf said;
    size_t ends;
    err why;
    bool pauses_at_head;
    bool cancels_at_head;
};

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct stage *s = owner;
    (void)fields;
    (void)n;
    (void)content_length;
    s->status = status;
    if (s->pauses_at_head)
        engine_pause(s->call);
    if (s->cancels_at_head)
        engine_cancel(s->call);
}

static void on_body(void *owner, bytes piece)
{
    struct stage *s = owner;
    CHECK_OK(buf_add(&s->said, piece));
}

static void on_end(void *owner, err why)
{
    struct stage *s = owner;
    s->ends++;
    s->why = why;
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

static void open_stage(struct stage *s, bool several, bool salt)
{
    BUF_AUTO message = BUF(4096);
    *s = (struct stage){ .said = BUF(65536) };
    CHECK_OK(crypto_init());
    CHECK_OK(loop_new(&s->loop));
    struct engine *engines[2];
    for (size_t i = 0; i < 2; i++) {
        s->fakes[i] = (struct fake){ .engine = { .ops = &FAKE }, .body = BUF(65536) };
        engines[i] = &s->fakes[i].engine;
    }
    if (several)
        CHECK_OK(engines_read(&s->table, BYTES_LIT(TABLE), "f", &message));
    const struct engine_route_settings settings = { .table = s->table,
                                                    .engines = engines,
                                                    .salt = salt };
    CHECK_OK(engine_route_new(&s->route, s->loop, &settings));
}

static void close_stage(struct stage *s)
{
    engine_free(s->route);
    CHECK(s->fakes[0].freed == 1 && s->fakes[1].freed == (s->table != NULL));
    engines_free(s->table);
    loop_free(s->loop);
    buf_clear(&s->said);
}

static void turn(struct stage *s)
{
    loop_stop(s->loop);
    loop_run(s->loop);
}

static err ask(struct stage *s, const char *method, const char *path, const char *model,
               const char *body, const char *caller)
{
    const struct engine_request request = { .method = bytes_str(method),
                                            .path = bytes_str(path),
                                            .model = bytes_str(model),
                                            .body = bytes_str(body),
                                            .caller = bytes_str(caller) };
    s->status = 0;
    buf_clear(&s->said);
    return engine_start(s->route, &request, &EVENTS, s, &s->call);
}

#define CHAT "/v1/chat/completions"

static void chooses_by_the_models_name(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, true, false);
    CHECK_OK(ask(&s, "POST", CHAT, "m2", "{\"model\":\"m2\"}", ""));
    CHECK(s.fakes[1].starts == 1 && s.fakes[0].starts == 0);
    CHECK_OK(ask(&s, "POST", CHAT, "x-7", "{\"model\":\"x-7\"}", ""));
    CHECK_BYTES(buf_view(&s.fakes[1].body), BYTES_LIT("{\"model\":\"x-7\"}"));
    CHECK_OK(ask(&s, "POST", "/v1/audio/speech", "", "", ""));
    CHECK(s.fakes[0].starts == 1);
    CHECK_ERR(ask(&s, "POST", CHAT, "nobody", "{\"model\":\"nobody\"}", ""), NOT_FOUND);
    close_stage(&s);
}

static void writes_an_alias_anew_and_nothing_else(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, true, false);
    CHECK_OK(ask(&s, "POST", CHAT, "gpt", "{ \"n\":1.0, \"model\" : \"gpt\" }", ""));
    CHECK_BYTES(buf_view(&s.fakes[0].body), BYTES_LIT("{ \"n\":1.0, \"model\" : \"m1\" }"));
    engine_pause(s.call);
    engine_resume(s.call);
    CHECK(s.fakes[0].pauses == 1 && s.fakes[0].resumes == 1);
    s.fakes[0].events->head(s.fakes[0].owner, 200, NULL, 0, -1);
    s.fakes[0].events->body(s.fakes[0].owner, BYTES_LIT("yes"));
    s.fakes[0].events->end(s.fakes[0].owner, OK);
    CHECK(s.status == 200 && s.ends == 1);
    CHECK_BYTES(buf_view(&s.said), BYTES_LIT("yes"));
    s.fakes[0].full = true;
    CHECK_ERR(ask(&s, "POST", CHAT, "gpt", "{\"model\":\"gpt\"}", ""), LIMIT);
    s.fakes[0].full = false;
    CHECK_OK(ask(&s, "POST", CHAT, "gpt", "{\"model\":\"gpt\"}", ""));
    engine_cancel(s.call);
    CHECK(s.fakes[0].cancels == 1);
    CHECK_OK(ask(&s, "POST", CHAT, "gpt", "{\"model\":\"gpt\"}", ""));
    close_stage(&s); /* cancels what is left */
    CHECK(s.fakes[0].cancels == 2);
}

static bytes salt_of(struct stage *s, const char *caller, struct buf *out)
{
    struct json *root;
    bytes text = { 0 };
    CHECK_OK(ask(s, "POST", CHAT, "m", "{\"cache_salt\":\"mine\",\"model\":\"m\"}", caller));
    CHECK_OK(json_read(&root, buf_view(&s->fakes[0].body), 4));
    CHECK(json_text(json_get(root, "cache_salt"), &text));
    buf_clear(out);
    CHECK_OK(buf_add(out, text));
    json_free(root);
    engine_cancel(s->call);
    return buf_view(out);
}

static void a_salt_is_the_callers_and_never_his_choice(void **state)
{
    (void)state;
    struct stage s;
    struct stage other;
    BUF_AUTO a = BUF(256);
    BUF_AUTO b = BUF(256);
    open_stage(&s, false, true);
    open_stage(&other, false, true);
    CHECK_BYTES(salt_of(&s, "alice", &a), salt_of(&s, "alice", &b));
    CHECK(a.len == 43); /* 32 bytes in base64url */
    CHECK(!bytes_equal(buf_view(&a), salt_of(&s, "bob", &b)));
    CHECK(!bytes_equal(buf_view(&a), salt_of(&other, "alice", &b)));
    CHECK_OK(ask(&s, "POST", CHAT, "m", "{\"model\":\"m\"}", "alice"));
    CHECK(
        bytes_starts(buf_view(&s.fakes[0].body), BYTES_LIT("{\"model\":\"m\",\"cache_salt\":\"")));
    engine_cancel(s.call);
    CHECK_OK(ask(&s, "POST", CHAT, "", " \n{\"cache_salt\":\"mine\"}", "alice"));
    CHECK(bytes_starts(buf_view(&s.fakes[0].body), BYTES_LIT(" \n{\"cache_salt\":\"")));
    CHECK(text_find(buf_view(&s.fakes[0].body), buf_view(&a)) < s.fakes[0].body.len);
    engine_cancel(s.call);
    CHECK_ERR(ask(&s, "POST", CHAT, "m", "{\"model\":\"m\"", "alice"), MALFORMED);
    CHECK_ERR(ask(&s, "POST", CHAT, "", "{\"cache_salt\":\"mine\",\"x\":NaN}", "alice"), MALFORMED);
    CHECK_OK(ask(&s, "POST", "/v1/audio/transcriptions", "", "--form--", "alice"));
    CHECK_BYTES(buf_view(&s.fakes[0].body), BYTES_LIT("--form--"));
    engine_cancel(s.call);
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", "alice")); /* the engine's own */
    CHECK(s.fakes[0].body.len == 0);
    close_stage(&other);
    close_stage(&s);
}

static void asks_for_usage_where_tokens_are_counted(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, false, false);
    struct engine_request request = { .method = BYTES_LIT("POST"),
                                      .path = BYTES_LIT(CHAT),
                                      .model = BYTES_LIT("m"),
                                      .body = BYTES_LIT("{\"stream\":true}"),
                                      .counts = true };
    CHECK_OK(engine_start(s.route, &request, &EVENTS, &s, &s.call));
    CHECK_BYTES(buf_view(&s.fakes[0].body),
                BYTES_LIT("{\"stream\":true,\"stream_options\":{\"include_usage\":true}}"));
    engine_cancel(s.call);
    request.body = BYTES_LIT("{\"stream_options\":{\"x\":1}}"); /* is the client's */
    CHECK_OK(engine_start(s.route, &request, &EVENTS, &s, &s.call));
    CHECK_BYTES(buf_view(&s.fakes[0].body), request.body);
    engine_cancel(s.call);
    close_stage(&s);
}

static void lists_the_models_of_all(void **state)
{
    (void)state;
    struct stage s;
    struct json *root;
    bytes id = { 0 };
    open_stage(&s, true, false);
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", ""));
    CHECK(s.status == 0); /* nothing from inside start() */
    turn(&s);
    CHECK(s.status == 200 && s.ends == 1);
    CHECK_OK(json_read(&root, buf_view(&s.said), 4));
    CHECK(json_len(json_get(root, "data")) == 3);
    CHECK(json_text(json_get(json_at(json_get(root, "data"), 1), "id"), &id));
    CHECK_BYTES(id, BYTES_LIT("gpt"));
    json_free(root);
    CHECK_OK(ask(&s, "GET", "/v1/models/x%2F1", "", "", ""));
    turn(&s);
    CHECK(bytes_starts(buf_view(&s.said), BYTES_LIT("{\"id\":\"x/1\",\"object\":\"model\"")));
    CHECK_ERR(ask(&s, "GET", "/v1/models/none", "", "", ""), NOT_FOUND);
    CHECK_OK(ask(&s, "DELETE", "/v1/models/m2", "", "", ""));
    CHECK(s.fakes[1].starts == 1);
    CHECK_ERR(ask(&s, "DELETE", "/v1/models/none", "", "", ""), NOT_FOUND);
    close_stage(&s);
}

static void a_list_waits_and_goes_away_like_any_call(void **state)
{
    (void)state;
    struct stage s;
    open_stage(&s, true, false);
    s.pauses_at_head = true;
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", ""));
    turn(&s);
    CHECK(s.status == 200 && s.said.len == 0 && s.ends == 0);
    engine_resume(s.call);
    turn(&s);
    CHECK(s.said.len > 0 && s.ends == 1);
    s.pauses_at_head = false;
    s.cancels_at_head = true;
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", ""));
    turn(&s);
    CHECK(s.status == 200 && s.said.len == 0 && s.ends == 1);
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", ""));
    engine_cancel(s.call);
    turn(&s);
    CHECK(s.status == 0);
    CHECK_OK(ask(&s, "GET", "/v1/models", "", "", ""));
    close_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_by_the_models_name),
        cmocka_unit_test(writes_an_alias_anew_and_nothing_else),
        cmocka_unit_test(a_salt_is_the_callers_and_never_his_choice),
        cmocka_unit_test(asks_for_usage_where_tokens_are_counted),
        cmocka_unit_test(lists_the_models_of_all),
        cmocka_unit_test(a_list_waits_and_goes_away_like_any_call),
    };
    return cmocka_run_group_tests_name("enclave-worker/engine_route", tests, NULL, NULL);
}
