/* Who serves a stream, and who is turned away at the door. */
#include "base/text.h"
#include "enclave-worker/worker.h"
#include "tests/unit/enclave-worker/stage.h"
#include "wire/names.h"

static const struct stage_request PLAIN = { .body =
                                                BYTES_LIT("{\"model\":\"m\",\"messages\":[]}") };

static void submit(struct stage *s, struct stage_ask *ask, const char *path, const char *media)
{
    const struct link_field field = { BYTES_LIT(FIELD_CONTENT_TYPE), bytes_str(media) };
    const struct link_request request = {
        .method = BYTES_LIT("POST"), .path = bytes_str(path), .fields = &field, .fields_n = 1
    };
    CHECK_OK(link_submit(s->link, &request, &ask->stream, ask));
    CHECK_OK(link_stream_write(ask->stream, buf_view(&ask->sealed), true));
}

static void opens_both_doors(void **state)
{
    (void)state;
    struct stage s;
    static const char *const doors[] = { PATH_OHTTP_GATEWAY, PATH_OHTTP };
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        struct stage_ask ask;
        size_t want = i + 1;
        stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        submit(&s, &ask, doors[i], MEDIA_OHTTP_CHUNKED_REQ);
        stage_until_asked(&s, want);
        stage_ask_clear(&ask);
    }
    stage_turns(&s);
    stage_close(&s);
}

static void refuses_other_media_at_the_door(void **state)
{
    (void)state;
    struct stage s;
    static const char *const media[] = { MEDIA_JSON, "message/bhttp", MEDIA_OHTTP_CHUNKED_RES };
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(media); i++) {
        struct stage_ask ask;
        stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        submit(&s, &ask, PATH_OHTTP_GATEWAY, media[i]);
        stage_answer(&s, &ask);
        CHECK(ask.outer == 415 && ask.ended);
        stage_ask_clear(&ask);
    }
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void ask_at(struct stage *s, enum ohttp_variant variant, const char *media, bool opens)
{
    struct stage_ask ask;
    size_t want = s->starts + opens;
    stage_seal(s, &ask, variant, &PLAIN);
    submit(s, &ask, PATH_OHTTP_GATEWAY, media);
    if (opens)
        stage_until_asked(s, want);
    else
        stage_answer(s, &ask);
    CHECK(s->starts == want && (opens || (ask.outer == 415 && ask.ended)));
    stage_ask_clear(&ask);
}

static void each_door_can_be_shut(void **state)
{
    (void)state;
    static const char *const flags[][3] = { { "--no-door-plain", NULL },
                                            { "--no-door-chunked", NULL },
                                            { "--no-door-plain", "--no-door-chunked", NULL } };
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        struct stage s;
        stage_open(&s, flags[i]);
        ask_at(&s, OHTTP_CHUNKED, MEDIA_OHTTP_CHUNKED_REQ, i == 0);
        ask_at(&s, OHTTP_PLAIN, MEDIA_OHTTP_REQ, i == 1);
        stage_close(&s);
    }
}

/* What brings a key for a door that is shut is no more sealed than anything else. */
static void a_key_opens_no_door_that_is_shut(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    const struct link_field field = { BYTES_LIT(FIELD_EHBP_KEY), BYTES_LIT("00") };
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .path = BYTES_LIT("/v1/chat/completions"),
                                          .fields = &field,
                                          .fields_n = 1 };
    stage_open(&s, NULL);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &PLAIN);
    CHECK_OK(link_submit(s.link, &request, &ask.stream, &ask));
    CHECK_OK(link_stream_write(ask.stream, BYTES_LIT("{}"), true));
    stage_answer(&s, &ask);
    CHECK(ask.outer == 403 && s.starts == 0);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void refuse_at_the_door(struct stage *s)
{
    struct stage_ask ask;
    stage_ask(s, &ask, OHTTP_CHUNKED, &PLAIN);
    stage_answer(s, &ask);
    CHECK(ask.outer == 503 && ask.ended);
    assert_string_equal(ask.media, MEDIA_PROBLEM_JSON);
    stage_ask_clear(&ask);
}

static void turns_away_what_is_over_the_limit(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask held[2];
    static const char *const flags[] = { "--streams-max=2", NULL };
    size_t want = 2;
    stage_open(&s, flags);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        stage_ask(&s, &held[i], OHTTP_CHUNKED, &PLAIN);
    stage_until_asked(&s, want);
    refuse_at_the_door(&s);
    CHECK(s.starts == 2);
    stage_ask_clear(&held[0]);
    stage_turns(&s);
    stage_ask(&s, &held[0], OHTTP_CHUNKED, &PLAIN);
    want = 3;
    stage_until_asked(&s, want);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        stage_ask_clear(&held[i]);
    stage_turns(&s);
    stage_close(&s);
}

static void turns_all_away_when_it_is_leaving(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    s.worker.draining = true;
    refuse_at_the_door(&s);
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void lets_go_of_all_when_it_is_closed(void **state)
{
    (void)state;
    for (int phase = 0; phase < 3; phase++) {
        struct stage s;
        struct stage_ask ask;
        size_t want = 1;
        stage_open(&s, NULL);
        stage_ask(&s, &ask, OHTTP_CHUNKED, &PLAIN);
        if (phase > 0)
            stage_until_asked(&s, want);
        if (phase > 1)
            stage_head(&s, 200, "text/event-stream", -1);
        link_listener_free(s.listener);
        s.listener = NULL;
        stage_turns(&s);
        CHECK(s.worker.sessions_n == 0 && s.calls == NULL);
        stage_ask_clear(&ask);
        stage_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_both_doors),
        cmocka_unit_test(refuses_other_media_at_the_door),
        cmocka_unit_test(each_door_can_be_shut),
        cmocka_unit_test(a_key_opens_no_door_that_is_shut),
        cmocka_unit_test(turns_away_what_is_over_the_limit),
        cmocka_unit_test(turns_all_away_when_it_is_leaving),
        cmocka_unit_test(lets_go_of_all_when_it_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
