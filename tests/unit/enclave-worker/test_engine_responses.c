#include <stdio.h>
#include <string.h>

#include "tests/unit/enclave-worker/responses_scene.h"
#include "wire/names.h"

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

/* What a small question has answered is as large as what was asked once. It is read out of the store
 * for each, so it counts until that one has taken it, and is taken in pieces. */
static void holds_no_more_answers_than_it_may(void **state)
{
    (void)state;
    enum { LARGE = 600 * 1024 };
    static char body[LARGE + 256];
    char id[128];
    char path[160];
    struct run first = { 0 };
    struct run slow = { .pausing = true };
    struct run other = { 0 };
    open_scene_of(RESPONSES_BRIDGE, 16 * SCENE_STORE);
    int n = snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"");
    memset(body + n, 'i', LARGE);
    (void)snprintf(body + n + LARGE, sizeof body - (size_t)n - LARGE, "\"}");
    start(&first, body);
    say_head(200, "application/json");
    say(ANSWER);
    say_end(OK);
    turns(&first);
    take_path(&first, "", id);
    (void)snprintf(path, sizeof path, "%s/input_items", id);
    CHECK(at.jobs->held == 0);
    CHECK_OK(start_as(&slow, "GET", path, "", 1));
    uint64_t one = at.jobs->held;
    CHECK(one > LARGE);
    at.jobs->held_max = 2 * one - 1;
    CHECK_ERR(start_as(&other, "GET", path, "", 1), LIMIT);
    CHECK(at.jobs->held == one);
    loop_stop(at.loop);
    loop_run(at.loop); /* the head, and no more */
    CHECK(slow.heads == 1 && slow.body.len == 0 && at.jobs->held == one);
    turns(&slow);
    turns(&slow);
    CHECK(slow.ends == 1 && slow.largest == HANDOUT_PIECE && slow.body.len > LARGE);
    CHECK(at.jobs->held == 0);
    CHECK_OK(start_as(&other, "GET", path, "", 1));
    engine_cancel(other.call);
    CHECK(at.jobs->held == 0);
    finish(&first);
    finish(&slow);
    finish(&other);
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
        cmocka_unit_test(holds_no_more_answers_than_it_may),
        cmocka_unit_test(lets_followers_come_and_go),
        cmocka_unit_test(takes_down_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, crypto_start, NULL);
}
