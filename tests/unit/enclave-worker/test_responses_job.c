/* What is made in the background: what it owes, and the room that it takes. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/enclave-worker/responses_scene.h"
#include "wire/names.h"

#define HEAVY_STREAM "{\"model\":\"m\",\"input\":\"i\",\"background\":true,\"stream\":true}"
#define TOKENS "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\n"

enum { LIMIT_OF_TOKENS = 1000 };

static struct {
    struct allowance *allowance;
    struct tab tab;
} key;

/* A request of a key with one place; how it is asked: in the background or not. */
static void open_key(enum responses_mode mode, bool background)
{
    const struct allowance_limits limits = { .tokens_per_minute = LIMIT_OF_TOKENS,
                                             .concurrency = 1 };
    struct allowance_view view;
    open_scene(mode);
    CHECK_OK(allowance_new(&key.allowance, BYTES_LIT("alice"), &limits));
    key.tab = (struct tab){ 0 };
    CHECK(tab_enter(&key.tab, key.allowance, clock_steady_us(), &view));
    at.tab = &key.tab;
    at.background = background;
}

static void close_key(void)
{
    close_scene();
    tab_settle(&key.tab, 0, &(struct allowance_use){ 0 });
    allowance_unref(key.allowance);
}

static bool has_place(void)
{
    struct allowance_view view;
    bool in = allowance_enter(key.allowance, clock_steady_us(), &view);
    if (in)
        allowance_leave(key.allowance);
    return in;
}

/* Tokens that were charged, both kinds. */
static uint64_t charged(void)
{
    BUF_AUTO text = BUF(8192);
    uint64_t sum = 0;
    CHECK_OK(allowance_render(&key.allowance, 1, &text));
    for (const char *line = buf_str(&text); (line = strstr(line, "type=\"")) != NULL; line++) {
        const char *digits = strchr(line, ' ') + 1;
        uint64_t n = 0;
        CHECK(text_u64(bytes_of(digits, strcspn(digits, "\n")), &n));
        sum += n;
    }
    return sum;
}

/* The session is done with its request: the place is the job's. */
static void check_taken(void)
{
    CHECK(key.tab.allowance == NULL && !has_place() && charged() == 0);
}

/* It is given back, and this much was charged; -1: something. */
static void check_paid(int want)
{
    CHECK(has_place());
    if (want >= 0)
        assert_int_equal(charged(), want);
    else
        CHECK(charged() > 0);
}

static void background_work_pays_when_it_is_over(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_key(RESPONSES_BRIDGE, true);
    start(&r, HEAVY);
    turns(&r);
    CHECK(r.ends == 1);
    check_taken();
    say_head(200, MEDIA_SSE);
    say(DELTA);
    turns(NULL);
    check_taken();
    say("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" TOKENS
        "data: [DONE]\n\n");
    say_end(OK);
    turns(NULL);
    check_paid(12);
    finish(&r);
    close_key();
}

static void it_pays_once_however_many_follow_it(void **state)
{
    (void)state;
    struct run r = { 0 };
    struct run second = { 0 };
    char path[128];
    open_key(RESPONSES_BRIDGE, true);
    start(&r, HEAVY_STREAM);
    say_head(200, MEDIA_SSE);
    turns(&r);
    check_taken();
    take_path(&r, "?stream=true", path);
    CHECK_OK(start_as(&second, "GET", path, "", 1));
    turns(&second);
    engine_cancel(r.call); /* its asker leaves */
    turns(&second);
    check_taken();
    say(DELTA "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" TOKENS
              "data: [DONE]\n\n");
    turns(&second);
    CHECK(second.ends == 1 && said(&second, "response.completed"));
    check_paid(12);
    buf_clear(&r.body);
    finish(&second);
    close_key();
}

static void what_is_called_off_pays_for_what_was_said(void **state)
{
    (void)state;
    for (int deletes = 0; deletes < 2; deletes++) {
        for (int begun = 0; begun < 2; begun++) {
            struct run r = { 0 };
            char path[128];
            open_key(RESPONSES_BRIDGE, true);
            start(&r, HEAVY);
            turns(&r);
            take_path(&r, deletes ? "" : "/cancel", path);
            if (begun) {
                say_head(200, MEDIA_SSE);
                say(DELTA DELTA DELTA);
                turns(NULL);
            }
            check_taken();
            at.tab = NULL;
            (void)ask_for(deletes ? "DELETE" : "POST", path, 1,
                          deletes ? "deleted" : "\"status\":\"cancelled\"");
            CHECK(at.fake.calls == NULL && at.jobs->list == NULL);
            check_paid(-1);
            finish(&r);
            close_key();
        }
    }
}

static void what_the_engine_refuses_or_never_heard_is_free(void **state)
{
    (void)state;
    for (int heard = 0; heard < 2; heard++) {
        struct run r = { 0 };
        open_key(RESPONSES_BRIDGE, true);
        start(&r, HEAVY);
        turns(&r);
        check_taken();
        if (heard) {
            say_head(500, MEDIA_JSON);
            say("{\"error\":{\"message\":\"no\"}}");
        }
        say_end(heard ? OK : (err){ ERR_UNAVAILABLE });
        turns(NULL);
        check_paid(0);
        finish(&r);
        close_key();
    }
}

static void a_worker_that_ends_settles_what_is_under_way(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_key(RESPONSES_BRIDGE, true);
    start(&r, HEAVY);
    say_head(200, MEDIA_SSE);
    turns(&r);
    check_taken();
    close_scene();
    check_paid(-1);
    finish(&r);
    allowance_unref(key.allowance);
}

static void others_leave_the_tab_to_whoever_asked(void **state)
{
    (void)state;
    static const char not_kept[] =
        "{\"model\":\"m\",\"input\":\"i\",\"background\":true,"
        "\"store\":false}";
    static const char *const bodies[] = { STREAM, WHOLE, "{\"input\":\"i\",\"background\":true}",
                                          not_kept };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct run r = { 0 };
        open_key(RESPONSES_BRIDGE, i >= 2);
        start(&r, bodies[i]);
        turns(&r);
        if (i < 2) {
            say_head(200, MEDIA_SSE);
            say(DELTA LAST);
            turns(&r);
        }
        CHECK(r.ends == 1 && r.status == (i < 2 ? 200 : 400));
        CHECK(key.tab.placed);
        finish(&r);
        close_key();
    }
    struct run full = { 0 };
    open_key(RESPONSES_BRIDGE, true);
    at.fake.full = true;
    CHECK_ERR(start_as(&full, "POST", "/v1/responses", HEAVY, 1), LIMIT);
    CHECK(key.tab.placed);
    close_key();
}

static void an_engine_that_knows_responses_is_not_asked_for_what_cannot_be_counted(void **state)
{
    (void)state;
    /* It is not known yet what it knows: it is asked with a request that makes it do nothing. */
    for (int knows = 0; knows < 2; knows++) {
        struct run r = { 0 };
        open_key(RESPONSES_AUTO, true);
        start(&r, HEAVY);
        assert_string_equal(at.fake.calls->path, "/v1/responses");
        assert_string_equal(at.fake.calls->body, "{}");
        say_head(knows ? 400 : 404, MEDIA_JSON);
        turns(&r);
        CHECK(key.tab.placed == (knows != 0));
        if (knows) {
            CHECK(r.status == 400 && said(&r, "\"param\":\"background\"") && r.ends == 1);
            CHECK(at.fake.calls == NULL && at.fake.starts == 1);
        } else {
            CHECK(r.status == 200 && said(&r, "\"status\":\"queued\""));
            assert_string_equal(at.fake.calls->path, "/v1/chat/completions");
        }
        finish(&r);
        close_key();
    }
    struct run r = { 0 };
    open_key(RESPONSES_NATIVE, true);
    start(&r, HEAVY);
    turns(&r);
    CHECK(r.status == 400 && said(&r, "\"param\":\"background\"") && at.fake.starts == 0);
    finish(&r);
    /* A key without such limits may, and so may a request that waits for its answer. */
    allowance_set(key.allowance, &(struct allowance_limits){ .requests_per_minute = 9 });
    start(&r, HEAVY);
    assert_string_equal(at.fake.calls->body, HEAVY);
    engine_cancel(r.call);
    allowance_set(key.allowance, &(struct allowance_limits){ .concurrency = 9 });
    at.background = false;
    start(&r, WHOLE);
    assert_string_equal(at.fake.calls->body, WHOLE);
    engine_cancel(r.call);
    buf_clear(&r.body);
    close_key();
}

/* ---- room ---- */

static void say_much(size_t n)
{
    static char text[1024];
    memset(text, 'x', sizeof text - 1);
    for (size_t i = 0; i < n; i++) {
        char event[2048];
        (void)snprintf(event, sizeof event,
                       "data: {\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}\n\n", text);
        say(event);
    }
}

static void keep_much(size_t n)
{
    struct run r = { 0 };
    start(&r, WHOLE);
    say_head(200, MEDIA_SSE);
    say_much(n);
    say(LAST);
    turns(&r);
    CHECK(r.ends == 1);
    finish(&r);
}

/* Until it is kept, and then as what is kept. The oldest go for it either way. */
static void what_is_made_counts_before_it_is_kept(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene(RESPONSES_BRIDGE);
    keep_much(200);
    uint64_t before = responses_store_size(at.jobs->store);
    start(&r, HEAVY_STREAM);
    say_head(200, MEDIA_SSE);
    turns(&r);
    engine_cancel(r.call);
    say_much(40);
    turns(NULL);
    CHECK(responses_store_size(at.jobs->store) > before + 80 * 1024);
    CHECK(responses_store_count(at.jobs->store) == 1);
    for (size_t i = 0; i < 40 && responses_store_count(at.jobs->store) == 1; i++) {
        say_much(10);
        turns(NULL);
        CHECK(at.fake.calls != NULL && responses_store_size(at.jobs->store) <= SCENE_STORE);
    }
    CHECK(responses_store_count(at.jobs->store) == 0);
    say(LAST);
    turns(NULL);
    CHECK(at.jobs->list == NULL && responses_store_count(at.jobs->store) == 1);
    CHECK(responses_store_size(at.jobs->store) <= SCENE_STORE);
    buf_clear(&r.body);
    close_scene();
}

static void what_has_no_room_fails_and_says_so(void **state)
{
    (void)state;
    struct run r = { 0 };
    char path[128];
    open_scene(RESPONSES_BRIDGE);
    start(&r, HEAVY_STREAM);
    say_head(200, MEDIA_SSE);
    turns(&r);
    take_path(&r, "", path);
    engine_cancel(r.call);
    for (size_t i = 0; i < 200 && at.fake.calls != NULL; i++) {
        say_much(10);
        turns(NULL);
        CHECK(responses_store_size(at.jobs->store) <= SCENE_STORE);
    }
    CHECK(at.fake.calls == NULL && at.jobs->list == NULL);
    assert_int_equal(ask_for("GET", path, 1, "more room than responses may take here"), 200);
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"failed\""), 200);
    buf_clear(&r.body);
    close_scene();
}

/* While somebody still reads it, there is no room for both; it is found all the same. */
static void what_does_not_fit_beside_itself_is_kept_behind_its_readers(void **state)
{
    (void)state;
    struct run r = { 0 };
    char path[128];
    open_scene(RESPONSES_BRIDGE);
    start(&r, HEAVY_STREAM);
    say_head(200, MEDIA_SSE);
    turns(&r);
    take_path(&r, "", path);
    engine_pause(r.call);
    r.paused = true;
    say_much(200);
    turns(NULL);
    say(LAST);
    turns(NULL);
    CHECK(at.jobs->list != NULL && responses_store_count(at.jobs->store) == 0);
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"completed\""), 200);
    r.paused = false;
    engine_resume(r.call);
    turns(&r);
    CHECK(r.ends == 1 && said(&r, "response.completed") && at.jobs->list == NULL);
    CHECK(responses_store_count(at.jobs->store) == 1);
    assert_int_equal(ask_for("GET", path, 1, "\"status\":\"completed\""), 200);
    finish(&r);
    close_scene();
}

/* Who reads slowly holds no copy of what others are far ahead in. */
static void a_follower_is_given_as_much_as_it_takes(void **state)
{
    (void)state;
    struct run r = { 0 };
    open_scene_of(RESPONSES_BRIDGE, 16 * SCENE_STORE);
    start(&r, HEAVY_STREAM);
    say_head(200, MEDIA_SSE);
    turns(&r);
    engine_pause(r.call);
    r.paused = true;
    unsigned long most = 0;
    for (size_t i = 0; i < 30; i++) {
        say_much(10);
        turns(NULL);
    }
    size_t before = r.body.len;
    r.paused = false;
    engine_resume(r.call);
    r.pausing = true;
    while (r.body.len < 300 * 1024) {
        size_t had = r.body.len;
        r.paused = false;
        engine_resume(r.call);
        loop_stop(at.loop);
        loop_run(at.loop);
        most = r.body.len - had > most ? r.body.len - had : most;
    }
    CHECK(before < 4096 && most <= 256 * 1024);
    say(LAST);
    r.pausing = false;
    r.paused = false;
    engine_resume(r.call);
    turns(&r);
    CHECK(r.ends == 1 && said(&r, "response.completed") && at.jobs->list == NULL);
    finish(&r);
    close_scene();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(background_work_pays_when_it_is_over),
        cmocka_unit_test(it_pays_once_however_many_follow_it),
        cmocka_unit_test(what_is_called_off_pays_for_what_was_said),
        cmocka_unit_test(what_the_engine_refuses_or_never_heard_is_free),
        cmocka_unit_test(a_worker_that_ends_settles_what_is_under_way),
        cmocka_unit_test(others_leave_the_tab_to_whoever_asked),
        cmocka_unit_test(an_engine_that_knows_responses_is_not_asked_for_what_cannot_be_counted),
        cmocka_unit_test(what_is_made_counts_before_it_is_kept),
        cmocka_unit_test(what_has_no_room_fails_and_says_so),
        cmocka_unit_test(what_does_not_fit_beside_itself_is_kept_behind_its_readers),
        cmocka_unit_test(a_follower_is_given_as_much_as_it_takes),
    };
    return cmocka_run_group_tests_name("enclave-worker/responses_job", tests, crypto_start, NULL);
}
