#include <stdio.h>
#include <string.h>

#include "api/peek.h"
#include "tests/lib/law.h"

static struct peek look(const char *body)
{
    struct peek p;
    peek_request(bytes_str(body), &p);
    return p;
}

static void takes_out_what_the_gateway_must_know(void **state)
{
    (void)state;
    struct peek p = look(
        "{\"messages\":[{\"model\":\"no\",\"stream\":true}],\"model\":\"demo/slash\","
        "\"stream\":true,\"stream_options\":{\"x\":[1],\"include_usage\":true}}");
    assert_int_equal(p.verdict, PEEK_OK);
    CHECK_BYTES(peek_model(&p), BYTES_LIT("demo/slash"));
    CHECK(p.stream);
    CHECK(p.include_usage);

    p = look(" {\"model\":\"m\"} ");
    assert_int_equal(p.verdict, PEEK_OK);
    CHECK(!p.stream);
    CHECK(!p.include_usage);
}

static void reads_escaped_names_and_values(void **state)
{
    (void)state;
    struct peek p = look("{\"m\\u006fdel\":\"d\\u00e9\\/\",\"str\\u0065am\":true}");
    assert_int_equal(p.verdict, PEEK_OK);
    CHECK_BYTES(peek_model(&p), BYTES_LIT("d\xc3\xa9/"));
    CHECK(p.stream);
}

static void lets_the_last_of_repeated_members_win(void **state)
{
    (void)state;
    struct peek p = look(
        "{\"model\":\"a\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"model\":\"b\",\"stream\":false,\"stream_options\":{}}");
    assert_int_equal(p.verdict, PEEK_OK);
    CHECK_BYTES(peek_model(&p), BYTES_LIT("b"));
    CHECK(!p.stream);
    CHECK(!p.include_usage);
    assert_int_equal(look("{\"model\":\"a\",\"model\":1}").verdict, PEEK_MODEL_TYPE);
    assert_int_equal(look("{\"model\":1,\"model\":\"a\"}").verdict, PEEK_OK);
    assert_int_equal(look("{\"model\":\"a\",\"stream\":1,\"stream\":null}").verdict, PEEK_OK);
}

static void says_what_is_wrong_and_with_which_parameter(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        enum peek_verdict verdict;
        enum error_cause cause;
        const char *param;
    } cases[] = {
        { "", PEEK_EMPTY, ERROR_INVALID_JSON, "" },
        { " \r\n\t", PEEK_EMPTY, ERROR_INVALID_JSON, "" },
        { "{", PEEK_NOT_JSON, ERROR_INVALID_JSON, "" },
        { "{\"model\":\"a\"}x", PEEK_NOT_JSON, ERROR_INVALID_JSON, "" },
        { "[1,2", PEEK_NOT_JSON, ERROR_INVALID_JSON, "" },
        { "[1,2]", PEEK_NOT_OBJECT, ERROR_NOT_OBJECT, "" },
        { "\"model\"", PEEK_NOT_OBJECT, ERROR_NOT_OBJECT, "" },
        { "null", PEEK_NOT_OBJECT, ERROR_NOT_OBJECT, "" },
        { "{}", PEEK_MODEL_MISSING, ERROR_MISSING_FIELD, "model" },
        { "{\"model\":null}", PEEK_MODEL_MISSING, ERROR_MISSING_FIELD, "model" },
        { "{\"model\":\"\"}", PEEK_MODEL_MISSING, ERROR_MISSING_FIELD, "model" },
        { "{\"model\":[\"a\"]}", PEEK_MODEL_TYPE, ERROR_INVALID_TYPE, "model" },
        { "{\"model\":\"a\",\"stream\":\"yes\"}", PEEK_STREAM_TYPE, ERROR_INVALID_TYPE, "stream" },
        { "{\"model\":\"a\",\"stream\":{}}", PEEK_STREAM_TYPE, ERROR_INVALID_TYPE, "stream" },
        { "{\"model\":\"a\",\"stream_options\":[]}", PEEK_STREAM_OPTIONS, ERROR_INVALID_TYPE,
          "stream_options" },
        { "{\"model\":\"a\",\"stream_options\":{\"include_usage\":1}}", PEEK_INCLUDE_USAGE_TYPE,
          ERROR_INVALID_TYPE, "stream_options.include_usage" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peek p = look(cases[i].body);
        struct api_error e = peek_error(&p);
        assert_int_equal(p.verdict, cases[i].verdict);
        assert_int_equal(e.cause, cases[i].cause);
        CHECK_BYTES(e.param, bytes_str(cases[i].param));
    }
    assert_int_equal(look("{\"model\":\"a\",!}").offset, 13);
    assert_int_equal(look("{\"model\":\"a\"} x").offset, 14);
}

/* The first is a preamble of a form, which those who read forms skip; the last names its model again
 * behind a number that some readers take. */
static void takes_nothing_out_of_what_is_not_wholly_json(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"a\",\"stream\":true,\"previous_response_id\":\"r\"}\r\n--b\r\n\r\n--b--",
        "{\"model\":\"a\",\"stream\":true,\"previous_response_id\":\"r\"",
        "{\"model\":\"a\",\"stream_options\":{\"include_usage\":true},\"x\":NaN,\"model\":\"b\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct peek p = look(bodies[i]);
        assert_int_equal(p.verdict, PEEK_NOT_JSON);
        CHECK(p.offset > 0);
        assert_int_equal(peek_model(&p).len, 0);
        assert_int_equal(peek_previous(&p).len, 0);
        CHECK(!p.stream && !p.include_usage);
    }
}

static void takes_model_names_up_to_the_limit(void **state)
{
    (void)state;
    for (int len = PEEK_MODEL_MAX; len <= PEEK_MODEL_MAX + 1; len++) {
        char body[PEEK_MODEL_MAX + 32];
        (void)snprintf(body, sizeof body, "{\"model\":\"%0*d\"}", len, 0);
        struct peek p = look(body);
        assert_int_equal(p.verdict, len == PEEK_MODEL_MAX ? PEEK_OK : PEEK_MODEL_LONG);
        assert_int_equal(peek_model(&p).len, len == PEEK_MODEL_MAX ? len : 0);
    }
}

/* Whichever of several a reader takes. */
static void sees_that_the_background_is_asked_for(void **state)
{
    (void)state;
    CHECK(look("{\"model\":\"m\",\"background\":true}").background);
    CHECK(look("{\"b\\u0061ckground\":true,\"background\":false}").background);
    CHECK(look("{\"background\":null,\"background\" : true}").background);
    CHECK(!look("{\"model\":\"m\",\"background\":false}").background);
    CHECK(look("{\"model\":\"m\",\"background\":\"true\"}").background);
    CHECK(look("{\"model\":\"m\",\"background\":1}").background);
    CHECK(!look("{\"background\":null,\"x\":{\"background\":true}}").background);
    CHECK(!look("{\"background\":true").background);
}

static void takes_the_response_that_comes_before(void **state)
{
    (void)state;
    struct peek p = look("{\"model\":\"m\",\"previous_response_id\":\"resp_\\u0031\"}");
    CHECK_BYTES(peek_previous(&p), BYTES_LIT("resp_1"));
    p = look("{\"model\":\"m\",\"previous_response_id\":\"a\",\"previous_response_id\":null}");
    CHECK_BYTES(peek_previous(&p), BYTES_LIT("a"));
    p = look("{\"model\":\"m\",\"previous_response_id\":\"a\",\"previous_response_id\":\"b\"}");
    CHECK_BYTES(peek_previous(&p), BYTES_LIT("b"));
    p = look("{\"model\":\"m\",\"previous_response_id\":[\"a\"]}");
    assert_int_equal(p.verdict, PEEK_OK);
    assert_int_equal(peek_previous(&p).len, 0);
    p = look(
        "{\"model\":\"m\",\"input\":[1,{\"id\":\"msg_0\",\"type\":\"message\"},[{}],{\"id\":\"msg_"
        "1\","
        "\"a\":{\"id\":2},\"type\":\"item_reference\"},{\"type\":\"item_reference\",\"id\":\"msg_"
        "2\"}]}");
    assert_int_equal(p.verdict, PEEK_OK);
    CHECK_BYTES(peek_previous(&p), BYTES_LIT("msg_1"));
    p = look("{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":7}]}");
    assert_int_equal(p.verdict, PEEK_OK);
    assert_int_equal(peek_previous(&p).len, 0);
    p = look("{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\"]}");
    assert_int_equal(p.verdict, PEEK_NOT_JSON);
    for (int len = PEEK_ID_MAX; len <= PEEK_ID_MAX + 1; len++) {
        char body[PEEK_ID_MAX + 64];
        (void)snprintf(body, sizeof body, "{\"model\":\"m\",\"previous_response_id\":\"%0*d\"}",
                       len, 0);
        p = look(body);
        assert_int_equal(p.verdict, PEEK_OK);
        assert_int_equal(peek_previous(&p).len, len == PEEK_ID_MAX ? len : 0);
    }
}

static void nests_up_to_the_limit_and_not_above(void **state)
{
    (void)state;
    for (size_t depth = PEEK_DEPTH_MAX; depth <= PEEK_DEPTH_MAX + 1; depth++) {
        BUF_AUTO body = BUF(1024);
        CHECK_OK(buf_add_str(&body, "{\"model\":\"a\",\"x\":"));
        for (size_t i = 1; i < depth; i++)
            CHECK_OK(buf_add_u8(&body, '['));
        for (size_t i = 1; i < depth; i++)
            CHECK_OK(buf_add_u8(&body, ']'));
        CHECK_OK(buf_add_u8(&body, '}'));
        struct peek p;
        peek_request(buf_view(&body), &p);
        assert_int_equal(p.verdict, depth == PEEK_DEPTH_MAX ? PEEK_OK : PEEK_TOO_DEEP);
    }
}

/* No prefix of a request is a request. */
static void refuses_every_cut_of_a_request(void **state)
{
    (void)state;
    const char *body =
        "{\"model\":\"d\\u00e9mo \xe2\x82\xac\",\"stream\":true,\"n\":[1.5e3,null,"
        "{\"a\":false}],\"stream_options\":{\"include_usage\":true}}";
    struct peek p;
    for (size_t len = 1; len < strlen(body); len++) {
        peek_request(bytes_of(body, len), &p);
        assert_int_equal(p.verdict, PEEK_NOT_JSON);
        assert_int_equal(p.offset <= len, 1);
    }
    peek_request(bytes_str(body), &p);
    assert_int_equal(p.verdict, PEEK_OK);
}

static struct peek_answer answer_of(const char *body)
{
    struct peek_answer a;
    peek_answer(bytes_str(body), &a);
    return a;
}

static void sees_what_an_answer_says(void **state)
{
    (void)state;
    struct peek_answer a = answer_of(
        "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
        "\"delta\":{\"content\":\"\\\"finish_reason\\\":\\\"stop\\\"\"},"
        "\"finish_reason\":null}],\"usage\":null}");
    CHECK(a.whole);
    CHECK_BYTES(a.id, BYTES_LIT("chatcmpl-1"));
    CHECK(a.choices == 1 && a.finished == 0);
    CHECK(!a.has_usage && !a.has_error && !a.no_choices && !a.terminal);

    a = answer_of(
        "{\"id\":\"c\",\"choices\":[{\"finish_reason\":null,\"index\":2},"
        "{\"index\":1,\"finish_reason\":\"stop\"},{\"index\":900}],"
        "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":14,\"details\":{\"a\":[]}}}");
    CHECK(a.whole && a.finished == 2 && a.choices == (6 | (uint64_t)1 << 63) && a.has_usage);
    assert_int_equal(a.prompt_tokens, 3);
    assert_int_equal(a.answer_tokens, 14);

    a = answer_of("{\"choices\":[],\"usage\":{\"prompt_tokens\":-1}}");
    CHECK(a.whole && a.no_choices && a.has_usage && a.prompt_tokens == 0);

    a = answer_of(
        "{\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"output\":[],"
        "\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}");
    CHECK(a.whole && a.terminal && a.has_usage && a.answer_tokens == 2);
    CHECK_BYTES(a.id, BYTES_LIT("resp_1"));

    CHECK(answer_of("{\"error\":{\"message\":\"no\"}}").has_error);
    CHECK(!answer_of("{\"error\":null}").has_error);
    CHECK(!answer_of("{\"choices\":[{\"message\":{\"finish_reason\":\"x\"}}]}").finished);
    CHECK(!answer_of("[]").whole && !answer_of("{}x").whole && !answer_of("{").whole);
}

static void reads_as_much_of_an_answer_as_is_there(void **state)
{
    (void)state;
    struct peek_answer a = answer_of("{\"id\":\"cmpl-7\",\"error\":nul");
    CHECK(!a.whole);
    CHECK_BYTES(a.id, BYTES_LIT("cmpl-7"));
    a = answer_of("{\"id\":\"cmpl");
    assert_int_equal(a.id.len, 0);
    a = answer_of("{\"choices\":[{\"finish_reason\":");
    CHECK(!a.whole && a.finished == 0);
}

static void leaves_out_ids_over_the_limit(void **state)
{
    (void)state;
    for (int len = PEEK_ID_MAX; len <= PEEK_ID_MAX + 1; len++) {
        char body[PEEK_ID_MAX + 32];
        (void)snprintf(body, sizeof body, "{\"id\":\"%0*d\"}", len, 0);
        assert_int_equal(answer_of(body).id.len, len == PEEK_ID_MAX ? len : 0);
    }
}

static void tells_json_from_other_text(void **state)
{
    (void)state;
    CHECK(peek_is_json(BYTES_LIT(" [1, 2] ")));
    CHECK(!peek_is_json(BYTES_LIT("[1, 2] 3")));
    CHECK(!peek_is_json((bytes){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_out_what_the_gateway_must_know),
        cmocka_unit_test(reads_escaped_names_and_values),
        cmocka_unit_test(lets_the_last_of_repeated_members_win),
        cmocka_unit_test(says_what_is_wrong_and_with_which_parameter),
        cmocka_unit_test(takes_nothing_out_of_what_is_not_wholly_json),
        cmocka_unit_test(takes_model_names_up_to_the_limit),
        cmocka_unit_test(nests_up_to_the_limit_and_not_above),
        cmocka_unit_test(refuses_every_cut_of_a_request),
        cmocka_unit_test(sees_what_an_answer_says),
        cmocka_unit_test(reads_as_much_of_an_answer_as_is_there),
        cmocka_unit_test(leaves_out_ids_over_the_limit),
        cmocka_unit_test(tells_json_from_other_text),
        cmocka_unit_test(sees_that_the_background_is_asked_for),
        cmocka_unit_test(takes_the_response_that_comes_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
