#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/sse.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/text.h"
#include "enclave-worker/demo_reply.h"
#include "enclave-worker/engine_demo.h"
#include "tests/lib/law.h"

enum { BODY_MAX = 64 * 1024 * 1024, PATIENCE_MS = 20000 };

struct run {
    struct loop *loop;
    struct engine *engine;
    struct engine_call *call;
    struct loop_timer patience;
    struct loop_timer poll;
    unsigned status;
    int64_t length;
    char type[64];
    char retry[64];
    char allow[64];
    struct buf body;
    size_t pieces;
    unsigned heads;
    unsigned ends;
    err why;
    bool early;
    bool pausing;
    bool paused;
    size_t cancel_at; /* piece, from 1; 0 = never */
};

static void out_of_patience(struct loop_timer *t)
{
    (void)t;
    fail_msg("the call did not end");
}

static void resume_later(struct loop_timer *t)
{
    struct run *r = CONTAINER_OF(t, struct run, poll);
    r->paused = false;
    engine_resume(r->call);
}

static void pause_now(struct run *r)
{
    if (!r->pausing)
        return;
    r->paused = true;
    engine_pause(r->call);
    loop_timer_start(r->loop, &r->poll, 0, resume_later);
}

static void keep(char out[64], const struct engine_field *f, const char *name)
{
    if (bytes_equal(f->name, bytes_str(name)))
        (void)snprintf(out, 64, "%.*s", (int)f->value.len, (const char *)f->value.at);
}

static void on_head(void *owner, unsigned status, const struct engine_field *fields, size_t n,
                    int64_t content_length)
{
    struct run *r = owner;
    r->early |= r->paused || r->heads > 0;
    r->heads++;
    r->status = status;
    r->length = content_length;
    for (size_t i = 0; i < n; i++) {
        keep(r->type, &fields[i], "content-type");
        keep(r->retry, &fields[i], "x-should-retry");
        keep(r->allow, &fields[i], "allow");
    }
    pause_now(r);
}

static void on_body(void *owner, bytes piece)
{
    struct run *r = owner;
    r->early |= r->paused || r->heads != 1 || r->ends > 0 || piece.len == 0;
    r->pieces++;
    CHECK_OK(buf_add(&r->body, piece));
    if (r->cancel_at == r->pieces) {
        engine_cancel(r->call);
        loop_stop(r->loop);
        return;
    }
    pause_now(r);
}

static void on_end(void *owner, err why)
{
    struct run *r = owner;
    r->early |= r->paused || r->ends > 0;
    r->ends++;
    r->why = why;
    loop_stop(r->loop);
}

static const struct engine_events EVENTS = { .head = on_head, .body = on_body, .end = on_end };

static struct run run;

static err start(struct run *r, const char *method, const char *path, bytes body)
{
    const struct engine_request request = { .method = bytes_str(method),
                                            .path = bytes_str(path),
                                            .body = body };
    r->heads = r->ends = 0;
    r->pieces = 0;
    r->allow[0] = r->retry[0] = '\0';
    buf_truncate(&r->body, 0);
    return engine_start(r->engine, &request, &EVENTS, r, &r->call);
}

static const char *ask(const char *method, const char *path, const char *body)
{
    CHECK_OK(start(&run, method, path, bytes_str(body)));
    assert_int_equal(run.heads + run.ends, 0);
    loop_run(run.loop);
    CHECK_OK(run.why);
    assert_int_equal(run.ends, 1);
    CHECK(!run.early);
    return buf_str(&run.body);
}

static const char *post(const char *path, const char *body)
{
    return ask("POST", path, body);
}

/* A chat request with these members behind the model; messages where the members name none. */
static const char *chat(const char *members)
{
    static char body[65536];
    const char *messages = strstr(members, "\"messages\"") != NULL
                               ? ""
                               : "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],";
    (void)snprintf(body, sizeof body, "{%s\"model\":\"demo\"%s%s}", messages, members[0] ? "," : "",
                   members);
    return post("/v1/chat/completions", body);
}

/* A value of the answer by its path, such as "choices.0.message.content". Borrowed from *root. */
static const struct json *value(const struct json *root, const char *path)
{
    char copy[128];
    (void)snprintf(copy, sizeof copy, "%s", path);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, ".")) != NULL;) {
        uint64_t i;
        root = text_u64(bytes_str(name), &i) ? json_at(root, i) : json_get(root, name);
    }
    return root;
}

static struct json *parse(const char *text)
{
    struct json *root = NULL;
    CHECK_OK(json_read(&root, bytes_str(text), JSON_DEPTH_MAX));
    return root;
}

static void check_text(const struct json *root, const char *path, const char *want)
{
    bytes text = { 0 };
    CHECK(json_text(value(root, path), &text));
    CHECK_BYTES(text, bytes_str(want));
}

static bool holds(const struct json *root, const char *path, const char *part)
{
    bytes text = { 0 };
    CHECK(json_text(value(root, path), &text));
    return text_find(text, bytes_str(part)) < text.len;
}

static uint64_t number(const struct json *root, const char *path)
{
    uint64_t v = UINT64_MAX;
    CHECK(json_u64(value(root, path), &v));
    return v;
}

static void answers_a_chat(void **state)
{
    (void)state;
    struct json *a =
        parse(chat("\"messages\":[{\"role\":\"system\",\"content\":\"be kind\"},"
                   "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                   "\"Gr\\u00fc\\u00df dich \\ud83d\\ude00\"}]}]"));
    assert_int_equal(run.status, 200);
    assert_string_equal(run.type, "application/json");
    assert_int_equal(run.length, run.body.len);
    check_text(a, "object", "chat.completion");
    check_text(a, "model", "demo");
    check_text(a, "choices.0.message.role", "assistant");
    check_text(a, "choices.0.finish_reason", "stop");
    CHECK(holds(a, "choices.0.message.content", "Sealgate"));
    CHECK(holds(a, "choices.0.message.content",
                "You said: \xe2\x80\x9cGr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80\xe2\x80\x9d"));
    CHECK(holds(a, "id", "chatcmpl-"));
    assert_int_equal(json_kind(value(a, "choices.0.message.refusal")), JSON_KIND_NULL);
    assert_int_equal(json_kind(value(a, "choices.0.logprobs")), JSON_KIND_NULL);
    assert_int_equal(json_kind(value(a, "created")), JSON_KIND_INTEGER);
    assert_int_equal(number(a, "usage.total_tokens"),
                     number(a, "usage.prompt_tokens") + number(a, "usage.completion_tokens"));
    assert_null(value(a, "choices.0.message.tool_calls"));
    json_free(a);
}

static void ids_are_never_the_same(void **state)
{
    (void)state;
    bytes first = { 0 };
    bytes second = { 0 };
    struct json *a = parse(chat(""));
    struct json *b = parse(chat(""));
    CHECK(json_text(json_get(a, "id"), &first) && json_text(json_get(b, "id"), &second));
    CHECK(!bytes_equal(first, second));
    json_free(a);
    json_free(b);
}

/* ---- streams ---- */

struct stream {
    size_t events;
    size_t done;
    size_t usage;
    size_t null_usage;
    size_t roles;
    size_t finishes;
    struct buf text[4];      /* content by choice */
    struct buf arguments[4]; /* of tool calls by index, of choice 0 */
    size_t call_heads;
    char finish[32];
    bool after_done;
};

static void take_tool_calls(struct stream *s, const struct json *delta)
{
    const struct json *calls = json_get(delta, "tool_calls");
    for (size_t i = 0; i < json_len(calls); i++) {
        uint64_t index = number(json_at(calls, i), "index");
        bytes part = { 0 };
        assert_in_range(index, 0, 3);
        s->call_heads += json_get(json_at(calls, i), "id") != NULL;
        CHECK(json_text(value(json_at(calls, i), "function.arguments"), &part));
        CHECK_OK(buf_add(&s->arguments[index], part));
    }
}

static void take_choice(struct stream *s, const struct json *choice)
{
    uint64_t index = number(choice, "index");
    const struct json *delta = json_get(choice, "delta");
    bytes text = { 0 };
    assert_in_range(index, 0, 3);
    s->roles += json_get(delta, "role") != NULL;
    if (json_text(json_get(delta, "content"), &text) || json_text(json_get(choice, "text"), &text))
        CHECK_OK(buf_add(&s->text[index], text));
    if (index == 0)
        take_tool_calls(s, delta);
    assert_int_equal(json_kind(json_get(choice, "logprobs")), JSON_KIND_NULL);
    if (json_text(json_get(choice, "finish_reason"), &text)) {
        s->finishes++;
        (void)snprintf(s->finish, sizeof s->finish, "%.*s", (int)text.len, (const char *)text.at);
    }
}

static err on_event(void *owner, const struct sse_event *event)
{
    struct stream *s = owner;
    s->after_done |= s->done > 0;
    s->events++;
    CHECK((event->flags & (SSE_NOT_JSON | SSE_ERROR | SSE_COMMENT)) == 0);
    if (event->flags & SSE_DONE) {
        s->done++;
        return OK;
    }
    struct json *chunk = NULL;
    CHECK_OK(json_read(&chunk, event->data, JSON_DEPTH_MAX));
    const struct json *usage = json_get(chunk, "usage");
    s->usage += json_kind(usage) == JSON_KIND_OBJECT;
    s->null_usage += json_kind(usage) == JSON_KIND_NULL;
    const struct json *choices = json_get(chunk, "choices");
    assert_int_equal(json_len(choices), json_kind(usage) == JSON_KIND_OBJECT ? 0 : 1);
    if (json_len(choices) > 0)
        take_choice(s, json_at(choices, 0));
    json_free(chunk);
    return OK;
}

/* Reads the body of the last answer as a stream. */
static void read_stream(struct stream *s)
{
    *s = (struct stream){ 0 };
    for (size_t i = 0; i < 4; i++) {
        s->text[i] = BUF(BODY_MAX);
        s->arguments[i] = BUF(BODY_MAX);
    }
    assert_int_equal(run.status, 200);
    assert_string_equal(run.type, "text/event-stream; charset=utf-8");
    assert_int_equal(run.length, -1);
    struct sse events;
    sse_init(&events, true, on_event, s);
    CHECK_OK(sse_put(&events, buf_view(&run.body)));
    CHECK(sse_is_between(&events));
    sse_clear(&events);
    assert_int_equal(s->done, 1);
    CHECK(!s->after_done);
}

static void stream_clear(struct stream *s)
{
    for (size_t i = 0; i < 4; i++) {
        buf_clear(&s->text[i]);
        buf_clear(&s->arguments[i]);
    }
}

/* A stream says the same as a whole answer, one event per piece. */
static void streams_what_it_would_say_whole(void **state)
{
    (void)state;
    struct stream s;
    const char *message = "\"messages\":[{\"role\":\"user\",\"content\":\"a \\u4f60\\u597d b\"}]";
    char members[256];
    bytes text = { 0 };
    struct json *whole = parse(chat(message));
    (void)snprintf(members, sizeof members, "\"stream\":true,\"n\":2,%s", message);
    (void)chat(members);
    read_stream(&s);
    CHECK(json_text(value(whole, "choices.0.message.content"), &text));
    CHECK_BYTES(buf_view(&s.text[0]), text);
    CHECK_BYTES(buf_view(&s.text[1]), text);
    assert_int_equal(s.roles, 2);
    assert_int_equal(s.finishes, 2);
    assert_int_equal(s.usage + s.null_usage, 0);
    assert_string_equal(s.finish, "stop");
    assert_int_equal(run.pieces, s.events);
    json_free(whole);
    stream_clear(&s);
}

static void gives_usage_exactly_when_asked(void **state)
{
    (void)state;
    struct stream s;
    (void)chat("\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    read_stream(&s);
    assert_int_equal(s.usage, 1);
    assert_int_equal(s.null_usage, s.events - 2);
    stream_clear(&s);
    (void)chat("\"stream\":true,\"stream_options\":{\"include_usage\":false}");
    read_stream(&s);
    assert_int_equal(s.usage + s.null_usage, 0);
    stream_clear(&s);
}

static void stops_at_the_limit_of_tokens(void **state)
{
    (void)state;
    static const char *const names[] = { "max_tokens", "max_completion_tokens" };
    for (size_t i = 0; i < 2; i++) {
        char members[64];
        (void)snprintf(members, sizeof members, "\"%s\":3", names[i]);
        struct json *a = parse(chat(members));
        check_text(a, "choices.0.message.content", "Hello! I");
        check_text(a, "choices.0.finish_reason", "length");
        assert_int_equal(number(a, "usage.completion_tokens"), 3);
        json_free(a);
    }
}

static void stops_before_a_stop_text(void **state)
{
    (void)state;
    struct json *a = parse(chat("\"stop\":[\"zzz\",\" I am\",\"demo\"]"));
    check_text(a, "choices.0.message.content", "Hello!");
    check_text(a, "choices.0.finish_reason", "stop");
    json_free(a);
}

static void counts_as_far_as_one_likes(void **state)
{
    (void)state;
    struct stream s;
    (void)chat("\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count to 200\"}]");
    read_stream(&s);
    CHECK(bytes_starts(buf_view(&s.text[0]), BYTES_LIT("1 2 3 ")));
    CHECK(bytes_ends(buf_view(&s.text[0]), BYTES_LIT(" 199 200")));
    assert_int_equal(s.events, 203);
    stream_clear(&s);
}

static void says_no_more_than_a_part_of_a_long_message(void **state)
{
    (void)state;
    static char members[65536];
    static char word[32768];
    memset(word, 'x', sizeof word - 1);
    memcpy(word + DEMO_ECHO_MAX - 1, "\xe2\x82\xac", 3);
    (void)snprintf(members, sizeof members, "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]",
                   word);
    struct json *a = parse(chat(members));
    CHECK(holds(a, "choices.0.message.content", "xxx\xe2\x80\xa6\xe2\x80\x9d"));
    CHECK(!holds(a, "choices.0.message.content", "\xef\xbf\xbd"));
    json_free(a);
}

/* ---- tools ---- */

#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{"    \
    "\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},\"days\":{\"type\":"       \
    "\"integer\"}},\"required\":[\"city\",\"days\"]}}},{\"type\":\"function\",\"function\":{"      \
    "\"name\":\"get_time\"}}]"
#define SAYING(text) "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"

static void calls_the_tools_that_are_mentioned(void **state)
{
    (void)state;
    struct json *a = parse(chat(TOOLS "," SAYING("use get_weather and get_time, please")));
    check_text(a, "choices.0.finish_reason", "tool_calls");
    assert_int_equal(json_kind(value(a, "choices.0.message.content")), JSON_KIND_NULL);
    assert_int_equal(json_len(value(a, "choices.0.message.tool_calls")), 2);
    check_text(a, "choices.0.message.tool_calls.0.type", "function");
    check_text(a, "choices.0.message.tool_calls.0.function.name", "get_weather");
    check_text(a, "choices.0.message.tool_calls.0.function.arguments",
               "{\"city\":\"demo\",\"days\":1}");
    check_text(a, "choices.0.message.tool_calls.1.function.name", "get_time");
    check_text(a, "choices.0.message.tool_calls.1.function.arguments", "{}");
    CHECK(holds(a, "choices.0.message.tool_calls.0.id", "call_"));
    json_free(a);

    a = parse(chat(TOOLS ",\"parallel_tool_calls\":false," SAYING("get_time get_weather")));
    assert_int_equal(json_len(value(a, "choices.0.message.tool_calls")), 1);
    json_free(a);
}

static void calls_tools_as_the_choice_says(void **state)
{
    (void)state;
    struct json *a = parse(chat(TOOLS ",\"tool_choice\":\"none\"," SAYING("get_time")));
    assert_null(value(a, "choices.0.message.tool_calls"));
    json_free(a);
    a = parse(chat(TOOLS));
    assert_null(value(a, "choices.0.message.tool_calls"));
    json_free(a);
    a = parse(chat(TOOLS ",\"tool_choice\":\"required\""));
    check_text(a, "choices.0.message.tool_calls.0.function.name", "get_weather");
    json_free(a);
    a = parse(chat(TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"
                         "\"get_time\"}}"));
    check_text(a, "choices.0.message.tool_calls.0.function.name", "get_time");
    json_free(a);
}

static void goes_on_after_a_tools_result(void **state)
{
    (void)state;
    struct json *a = parse(
        chat(TOOLS
             ",\"messages\":[{\"role\":\"user\",\"content\":\"get_time\"},{\"role\":\"assistant\","
             "\"content\":null,\"tool_calls\":[]},{\"role\":\"tool\",\"tool_call_id\":\"c\","
             "\"content\":\"get_time says noon\"}]"));
    assert_null(value(a, "choices.0.message.tool_calls"));
    CHECK(holds(a, "choices.0.message.content", "The tool said: \xe2\x80\x9cget_time says noon"));
    json_free(a);
}

static void streams_tool_calls_by_index(void **state)
{
    (void)state;
    struct stream s;
    (void)chat(TOOLS ",\"stream\":true," SAYING("get_weather get_time"));
    read_stream(&s);
    assert_int_equal(s.call_heads, 2);
    CHECK_BYTES(buf_view(&s.arguments[0]), BYTES_LIT("{\"city\":\"demo\",\"days\":1}"));
    CHECK_BYTES(buf_view(&s.arguments[1]), BYTES_LIT("{}"));
    assert_string_equal(s.finish, "tool_calls");
    assert_int_equal(s.text[0].len, 0);
    stream_clear(&s);
}

static void answers_in_json_when_asked(void **state)
{
    (void)state;
    struct json *a = parse(chat("\"response_format\":{\"type\":\"json_object\"}"));
    bytes text = { 0 };
    CHECK(json_text(value(a, "choices.0.message.content"), &text));
    struct json *inner = NULL;
    CHECK_OK(json_read(&inner, text, JSON_DEPTH_MAX));
    CHECK(holds(inner, "message", "Sealgate"));
    json_free(inner);
    json_free(a);
    a =
        parse(chat("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
                   "\"schema\":{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"}},"
                   "\"required\":[\"ok\"]}}}"));
    check_text(a, "choices.0.message.content", "{\"ok\":true}");
    json_free(a);
}

/* ---- the other endpoints ---- */

static void completes_prompts(void **state)
{
    (void)state;
    struct json *a = parse(post("/v1/completions",
                                "{\"model\":\"demo\",\"prompt\":[\"a\",\"b\"],"
                                "\"n\":2,\"max_tokens\":2}"));
    check_text(a, "object", "text_completion");
    assert_int_equal(json_len(json_get(a, "choices")), 4);
    check_text(a, "choices.3.text", "Hello!");
    check_text(a, "choices.3.finish_reason", "length");
    assert_int_equal(number(a, "usage.completion_tokens"), 8);
    json_free(a);
    a = parse(post("/v1/completions", "{\"model\":\"demo\",\"prompt\":[1,2,3]}"));
    assert_int_equal(json_len(json_get(a, "choices")), 1);
    json_free(a);

    struct stream s;
    (void)post("/v1/completions",
               "{\"model\":\"demo\",\"prompt\":\"a\",\"stream\":true,"
               "\"stream_options\":{\"include_usage\":true},\"max_tokens\":2}");
    read_stream(&s);
    CHECK_BYTES(buf_view(&s.text[0]), BYTES_LIT("Hello!"));
    assert_string_equal(s.finish, "length");
    assert_int_equal(s.usage, 1);
    assert_int_equal(s.roles, 0);
    stream_clear(&s);
}

static float float_at(const struct json *a, size_t input, size_t i)
{
    double v = NAN;
    const struct json *one = json_at(json_get(a, "data"), input);
    CHECK(json_f64(json_at(json_get(one, "embedding"), i), &v));
    return (float)v;
}

static void embeds_the_same_in_both_encodings(void **state)
{
    (void)state;
    struct json *a = parse(post("/v1/embeddings",
                                "{\"model\":\"demo\",\"input\":[\"x\",\"y\"],"
                                "\"dimensions\":8}"));
    double length = 0;
    assert_int_equal(json_len(json_get(a, "data")), 2);
    assert_int_equal(json_len(value(a, "data.1.embedding")), 8);
    assert_int_equal(number(a, "data.1.index"), 1);
    CHECK(number(a, "usage.total_tokens") == number(a, "usage.prompt_tokens"));

    struct json *b = parse(post("/v1/embeddings",
                                "{\"model\":\"demo\",\"input\":\"y\","
                                "\"dimensions\":8,\"encoding_format\":\"base64\"}"));
    bytes text = { 0 };
    BUF_AUTO raw = BUF(64);
    CHECK(json_text(value(b, "data.0.embedding"), &text));
    CHECK_OK(text_base64_decode(&raw, text));
    assert_int_equal(raw.len, 32);
    for (size_t i = 0; i < 8; i++) {
        float v;
        memcpy(&v, raw.at + 4 * i, sizeof v);
        CHECK(v == float_at(a, 1, i));
        length += (double)v * (double)v;
    }
    CHECK(fabs(length - 1) < 1e-5);
    CHECK(float_at(a, 0, 0) != float_at(a, 1, 0));
    json_free(a);
    json_free(b);
}

static void embeds_up_to_its_limits(void **state)
{
    (void)state;
    BUF_AUTO body = BUF(65536);
    for (unsigned n = ENGINE_DEMO_INPUTS_MAX; n <= ENGINE_DEMO_INPUTS_MAX + 1; n++) {
        buf_truncate(&body, 0);
        CHECK_OK(buf_add_str(&body, "{\"model\":\"demo\",\"dimensions\":1,\"input\":["));
        for (unsigned i = 0; i < n; i++)
            CHECK_OK(buf_addf(&body, "%s\"a%u\"", i ? "," : "", i));
        CHECK_OK(buf_add_str(&body, "]}"));
        (void)post("/v1/embeddings", buf_str(&body));
        assert_int_equal(run.status, n == ENGINE_DEMO_INPUTS_MAX ? 200 : 400);
    }
    for (unsigned n = ENGINE_DEMO_DIMENSIONS_MAX; n <= ENGINE_DEMO_DIMENSIONS_MAX + 1; n++) {
        buf_truncate(&body, 0);
        CHECK_OK(buf_addf(&body, "{\"model\":\"demo\",\"dimensions\":%u,\"input\":[1,2]}", n));
        (void)post("/v1/embeddings", buf_str(&body));
        assert_int_equal(run.status, n == ENGINE_DEMO_DIMENSIONS_MAX ? 200 : 400);
    }
}

static void lists_its_models(void **state)
{
    (void)state;
    struct json *a = parse(ask("GET", "/v1/models", ""));
    check_text(a, "object", "list");
    check_text(a, "data.0.id", "demo");
    check_text(a, "data.1.id", "demo/slash");
    assert_int_equal(json_kind(value(a, "data.0.created")), JSON_KIND_INTEGER);
    json_free(a);
    static const char *const paths[] = { "/v1/models/demo/slash", "/v1/models/demo%2Fslash" };
    for (size_t i = 0; i < 2; i++) {
        a = parse(ask("GET", paths[i], ""));
        check_text(a, "id", "demo/slash");
        json_free(a);
    }
    (void)ask("HEAD", "/v1/models", "");
    assert_int_equal(run.status, 200);
    assert_int_equal(run.body.len, 0);
}

static void check_refusal(const char *body, unsigned status, const char *param, const char *code)
{
    struct json *a = parse(body);
    bytes text = { 0 };
    if (run.status != status)
        fail_msg("%u: %s", run.status, body);
    assert_string_equal(run.type, "application/json");
    (void)json_text(value(a, "error.param"), &text);
    CHECK_BYTES(text, bytes_str(param));
    check_text(a, "error.code", code);
    json_free(a);
}

static void refuses_with_the_parameters_name(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        { "\"messages\":null", "messages", "missing_required_parameter" },
        { "\"messages\":\"hi\"", "messages", "invalid_type" },
        { "\"messages\":[]", "messages", "invalid_value" },
        { "\"messages\":[1]", "messages[0]", "invalid_type" },
        { "\"messages\":[{\"content\":\"x\"}]", "messages[0].role", "missing_required_parameter" },
        { "\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]", "messages[0].role",
          "invalid_value" },
        { "\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"user\"}]",
          "messages[1].content", "missing_required_parameter" },
        { "\"messages\":[{\"role\":\"user\",\"content\":5}]", "messages[0].content",
          "invalid_type" },
        { "\"temperature\":\"warm\"", "temperature", "invalid_type" },
        { "\"temperature\":3", "temperature", "invalid_value" },
        { "\"stream\":1", "stream", "invalid_type" },
        { "\"n\":0", "n", "invalid_value" },
        { "\"max_tokens\":0", "max_tokens", "invalid_value" },
        { "\"max_completion_tokens\":\"9\"", "max_completion_tokens", "invalid_type" },
        { "\"stream_options\":{\"include_usage\":true}", "stream_options", "invalid_value" },
        { "\"stream\":true,\"stream_options\":{\"include_usage\":1}",
          "stream_options.include_usage", "invalid_type" },
        { "\"tools\":{}", "tools", "invalid_type" },
        { "\"tools\":[{}]", "tools[0].function", "missing_required_parameter" },
        { "\"tools\":[{\"function\":{}}]", "tools[0].function.name", "missing_required_parameter" },
        { "\"tool_choice\":\"required\"", "tool_choice", "invalid_value" },
        { "\"tool_choice\":\"maybe\"," TOOLS, "tool_choice", "invalid_value" },
        { "\"tool_choice\":{\"function\":{\"name\":\"x\"}}," TOOLS, "tool_choice",
          "invalid_value" },
        { "\"response_format\":\"json\"", "response_format", "invalid_type" },
        { "\"response_format\":{\"type\":\"xml\"}", "response_format.type", "invalid_value" },
        { "\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema.schema",
          "missing_required_parameter" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_refusal(chat(rows[i][0]), 400, rows[i][1], rows[i][2]);

    check_refusal(post("/v1/completions", "{\"model\":\"demo\"}"), 400, "prompt",
                  "missing_required_parameter");
    check_refusal(post("/v1/completions", "{\"model\":\"demo\",\"prompt\":{}}"), 400, "prompt",
                  "invalid_type");
    check_refusal(post("/v1/embeddings", "{\"model\":\"demo\"}"), 400, "input",
                  "missing_required_parameter");
    check_refusal(post("/v1/embeddings", "{\"model\":\"demo\",\"input\":\"\"}"), 400, "input",
                  "invalid_value");
    check_refusal(post("/v1/embeddings", "{\"model\":\"demo\",\"input\":[\"a\",2]}"), 400, "input",
                  "invalid_type");
    check_refusal(
        post("/v1/embeddings", "{\"model\":\"demo\",\"input\":\"a\",\"encoding_format\":\"hex\"}"),
        400, "encoding_format", "invalid_value");
}

static void refuses_what_is_not_there(void **state)
{
    (void)state;
    check_refusal(post("/v1/chat/completions", "{\"model\":\"gpt-5\",\"messages\":[]}"), 404, "",
                  "model_not_found");
    CHECK(strstr(buf_str(&run.body), "'gpt-5'") != NULL);
    check_refusal(post("/v1/embeddings", "{\"model\":\"x\",\"input\":\"a\"}"), 404, "",
                  "model_not_found");
    check_refusal(ask("GET", "/v1/models/none", ""), 404, "", "model_not_found");
    check_refusal(post("/v1/responses", "{}"), 404, "", "unknown_url");
    check_refusal(ask("GET", "/other", ""), 404, "", "unknown_url");
    check_refusal(ask("GET", "/v1/embeddings", ""), 405, "", "method_not_supported");
    assert_string_equal(run.allow, "POST");
    check_refusal(post("/v1/chat/completions", "{"), 400, "", "invalid_json");
    check_refusal(post("/v1/chat/completions", "[]"), 400, "", "invalid_type");
    check_refusal(post("/v1/chat/completions", "{}"), 400, "model", "missing_required_parameter");
    check_refusal(post("/v1/chat/completions", "{\"model\":1}"), 400, "model", "invalid_type");
}

static void gives_as_many_choices_as_allowed(void **state)
{
    (void)state;
    char members[32];
    (void)snprintf(members, sizeof members, "\"n\":%d", ENGINE_DEMO_CHOICES_MAX);
    struct json *a = parse(chat(members));
    assert_int_equal(json_len(json_get(a, "choices")), ENGINE_DEMO_CHOICES_MAX);
    json_free(a);
    (void)snprintf(members, sizeof members, "\"n\":%d", ENGINE_DEMO_CHOICES_MAX + 1);
    check_refusal(chat(members), 400, "n", "invalid_value");
}

/* ---- the call's life ---- */

static void no_bytes_come_while_paused(void **state)
{
    (void)state;
    struct stream s;
    run.pausing = true;
    (void)chat("\"stream\":true");
    read_stream(&s);
    assert_string_equal(s.finish, "stop");
    stream_clear(&s);
    (void)post("/v1/embeddings",
               "{\"model\":\"demo\",\"dimensions\":4096,\"input\":[\"a\",\"b\","
               "\"c\",\"d\"]}");
    CHECK(run.pieces > 1);
    assert_int_equal(run.length, run.body.len);
    run.pausing = false;
}

static void may_be_cancelled_at_any_piece(void **state)
{
    (void)state;
    const char *body =
        "{\"model\":\"demo\",\"stream\":true,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    CHECK_OK(start(&run, "POST", "/v1/chat/completions", bytes_str(body)));
    engine_cancel(run.call);
    loop_stop(run.loop);
    loop_run(run.loop);
    assert_int_equal(run.heads, 0);
    for (size_t at = 1; at < 5; at++) {
        run.cancel_at = at;
        CHECK_OK(start(&run, "POST", "/v1/chat/completions", bytes_str(body)));
        loop_run(run.loop);
        loop_stop(run.loop);
        loop_run(run.loop);
        assert_int_equal(run.pieces, at);
        assert_int_equal(run.ends, 0);
    }
    run.cancel_at = 0;
}

static void is_freed_with_calls_running(void **state)
{
    (void)state;
    struct engine *e = NULL;
    CHECK_OK(engine_demo_new(&e, run.loop, &(struct engine_demo_settings){ .token_ms = 1 }));
    const struct engine_request request = { .method = BYTES_LIT("GET"),
                                            .path = BYTES_LIT("/v1/models") };
    struct engine_call *call = NULL;
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(engine_start(e, &request, &EVENTS, &run, &call));
    CHECK_BYTES(bytes_slice(engine_describe(e), 0, 11), BYTES_LIT("engine demo"));
    engine_free(e);
}

static void keeps_its_pace(void **state)
{
    (void)state;
    struct engine *quick = run.engine;
    struct stream s;
    CHECK_OK(
        engine_demo_new(&run.engine, run.loop, &(struct engine_demo_settings){ .token_ms = 2 }));
    uint64_t begin = loop_now_ms(run.loop);
    (void)chat("\"stream\":true,\"max_tokens\":10");
    read_stream(&s);
    /* A timer is never early, and there are twelve waits between the role and [DONE]. */
    CHECK(loop_now_ms(run.loop) - begin >= 12 * 2);
    stream_clear(&s);
    engine_free(run.engine);
    run.engine = quick;
}

static void cuts_text_into_tokens_but_no_character(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
    } rows[] = {
        { "hello world", 5 },
        { " world", 6 },
        { ", x", 1 },
        { "  ", 2 },
        { "\xe4\xbd\xa0\xe5", 3 },
        { " \xf0\x9f\x98\x80x", 5 },
        { "", 0 },
        { "\x80", 1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(demo_token_len(bytes_str(rows[i].text)), rows[i].len);
}

struct attempt {
    const char *path;
    const char *body;
};

static err start_and_cancel(void *arg)
{
    const struct attempt *a = arg;
    TRY(start(&run, "POST", a->path, bytes_str(a->body)));
    engine_cancel(run.call);
    return OK;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct attempt attempts[] = {
        { "/v1/chat/completions",
          "{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"get_time\"}]," TOOLS
          "}" },
        { "/v1/embeddings", "{\"model\":\"demo\",\"dimensions\":4,\"input\":[\"a\"]}" },
        { "/v1/models", "" },
    };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        law_every_allocation_fails_once(start_and_cancel, &attempts[i]);
}

static int open_run(void **state)
{
    (void)state;
    run.body = BUF(BODY_MAX);
    if (loop_new(&run.loop).code != ERR_OK ||
        engine_demo_new(&run.engine, run.loop, &(struct engine_demo_settings){ 0 }).code != ERR_OK)
        return -1;
    loop_timer_start(run.loop, &run.patience, PATIENCE_MS, out_of_patience);
    return 0;
}

static int close_run(void **state)
{
    (void)state;
    loop_timer_stop(&run.patience);
    loop_timer_stop(&run.poll);
    engine_free(run.engine);
    loop_free(run.loop);
    buf_clear(&run.body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_chat),
        cmocka_unit_test(ids_are_never_the_same),
        cmocka_unit_test(streams_what_it_would_say_whole),
        cmocka_unit_test(gives_usage_exactly_when_asked),
        cmocka_unit_test(stops_at_the_limit_of_tokens),
        cmocka_unit_test(stops_before_a_stop_text),
        cmocka_unit_test(counts_as_far_as_one_likes),
        cmocka_unit_test(says_no_more_than_a_part_of_a_long_message),
        cmocka_unit_test(calls_the_tools_that_are_mentioned),
        cmocka_unit_test(calls_tools_as_the_choice_says),
        cmocka_unit_test(goes_on_after_a_tools_result),
        cmocka_unit_test(streams_tool_calls_by_index),
        cmocka_unit_test(answers_in_json_when_asked),
        cmocka_unit_test(completes_prompts),
        cmocka_unit_test(embeds_the_same_in_both_encodings),
        cmocka_unit_test(embeds_up_to_its_limits),
        cmocka_unit_test(lists_its_models),
        cmocka_unit_test(refuses_with_the_parameters_name),
        cmocka_unit_test(refuses_what_is_not_there),
        cmocka_unit_test(gives_as_many_choices_as_allowed),
        cmocka_unit_test(no_bytes_come_while_paused),
        cmocka_unit_test(may_be_cancelled_at_any_piece),
        cmocka_unit_test(is_freed_with_calls_running),
        cmocka_unit_test(keeps_its_pace),
        cmocka_unit_test(cuts_text_into_tokens_but_no_character),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, open_run, close_run);
}
