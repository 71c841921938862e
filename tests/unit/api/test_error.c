#include <stdio.h>
#include <string.h>

#include "api/error.h"
#include "base/json.h"
#include "tests/lib/law.h"

/* No place of a word is left standing, no two blanks follow each other. */
static bool text_is_clean(bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '@' || text.at[i] == '#')
            return false;
        if (text.at[i] == ' ' && i + 1 < text.len && text.at[i + 1] == ' ')
            return false;
    }
    return true;
}

static const char *body_of(const struct api_error *e)
{
    static char text[ERROR_BODY_MAX + 1];
    BUF_AUTO out = BUF(ERROR_BODY_MAX);
    CHECK_OK(error_write_body(&out, e));
    memcpy(text, out.at, out.len);
    text[out.len] = '\0';
    return text;
}

static const char *field_of(const struct api_error *e, const char *name)
{
    static struct error_field fields[ERROR_FIELDS_MAX];
    size_t n = error_fields(e, fields);
    assert_in_range(n, 1, ERROR_FIELDS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].value;
    }
    return NULL;
}

static void every_cause_is_a_whole_error_object(void **state)
{
    (void)state;
    for (unsigned cause = 0; cause < ERROR_CAUSES; cause++) {
        struct api_error e = { .cause = (enum error_cause)cause, .allow = "GET" };
        const char *body = body_of(&e);
        struct json *root = NULL;
        CHECK_OK(json_read(&root, bytes_str(body), 8));
        const struct json *error = json_get(root, "error");
        assert_int_equal(json_len(error), 4);
        bytes text = { 0 };
        CHECK(json_text(json_get(error, "message"), &text) && text.len > 0);
        CHECK(text_is_clean(text));
        CHECK(json_text(json_get(error, "type"), &text));
        CHECK_BYTES(text, bytes_str(error_type(e.cause)));
        CHECK(json_text(json_get(error, "code"), &text));
        CHECK_BYTES(text, bytes_str(error_code(e.cause)));
        assert_int_equal(json_kind(json_get(error, "param")), JSON_KIND_NULL);
        assert_in_range(error_status(e.cause), 400, 504);
        assert_string_equal(field_of(&e, "content-type"), "application/json");
        json_free(root);
    }
}

static void says_the_statuses_and_codes_that_clients_know(void **state)
{
    (void)state;
    static const struct {
        enum error_cause cause;
        unsigned status;
        const char *type;
        const char *code;
    } rows[] = {
        { ERROR_INVALID_TYPE, 400, "invalid_request_error", "invalid_type" },
        { ERROR_UNSUPPORTED_PARAMETER, 400, "invalid_request_error", "unsupported_parameter" },
        { ERROR_BACKGROUND, 400, "invalid_request_error", "unsupported_parameter" },
        { ERROR_CONTEXT_LENGTH, 400, "invalid_request_error", "context_length_exceeded" },
        { ERROR_BAD_API_KEY, 401, "invalid_request_error", "invalid_api_key" },
        { ERROR_MODEL_NOT_ALLOWED, 403, "permission_error", "model_not_allowed" },
        { ERROR_MODEL_NOT_FOUND, 404, "invalid_request_error", "model_not_found" },
        { ERROR_UNKNOWN_URL, 404, "invalid_request_error", "unknown_url" },
        { ERROR_NOT_FOUND, 404, "invalid_request_error", "not_found" },
        { ERROR_METHOD, 405, "invalid_request_error", "method_not_supported" },
        { ERROR_TOO_LARGE, 413, "invalid_request_error", "request_too_large" },
        { ERROR_MEDIA_TYPE, 415, "invalid_request_error", "unsupported_media_type" },
        { ERROR_RATE_LIMIT, 429, "rate_limit_error", "rate_limit_exceeded" },
        { ERROR_QUOTA, 429, "insufficient_quota", "insufficient_quota" },
        { ERROR_NO_ATTESTED_WORKER, 503, "service_unavailable_error", "no_attested_worker" },
        { ERROR_ATTESTATION_FAILED, 502, "attestation_error", "attestation_failed" },
        { ERROR_UPSTREAM_UNREACHABLE, 502, "server_error", "upstream_unreachable" },
        { ERROR_UPSTREAM_TIMEOUT, 504, "server_error", "upstream_timeout" },
        { ERROR_OVERLOADED, 503, "service_unavailable_error", "server_overloaded" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(error_status(rows[i].cause), rows[i].status);
        assert_string_equal(error_type(rows[i].cause), rows[i].type);
        assert_string_equal(error_code(rows[i].cause), rows[i].code);
    }
    struct api_error nothing = { 0 };
    assert_int_equal(error_status(nothing.cause), 500);
    assert_int_equal(error_status(ERROR_CAUSES), 500);
}

static void gives_the_hints_for_retrying(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_RATE_LIMIT, .retry_after_s = 7 };
    assert_string_equal(field_of(&e, "retry-after"), "7");
    assert_string_equal(field_of(&e, "retry-after-ms"), "7000");
    e.retry_after_s = 0;
    assert_string_equal(field_of(&e, "retry-after"), "1");
    e.retry_after_s = ERROR_RETRY_AFTER_MAX;
    assert_string_equal(field_of(&e, "retry-after"), "60");
    e.retry_after_s = ERROR_RETRY_AFTER_MAX + 1;
    assert_string_equal(field_of(&e, "retry-after"), "60");
    CHECK(field_of(&e, "x-should-retry") == NULL);

    static const enum error_cause never[] = { ERROR_ATTESTATION_FAILED, ERROR_RECEIPT_FAILED,
                                              ERROR_UPSTREAM_TIMEOUT, ERROR_UPSTREAM_BROKEN,
                                              ERROR_QUOTA };
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        e = (struct api_error){ .cause = never[i] };
        assert_string_equal(field_of(&e, "x-should-retry"), "false");
        CHECK(field_of(&e, "retry-after") == NULL);
    }
    e = (struct api_error){ .cause = ERROR_UPSTREAM_UNREACHABLE };
    CHECK(field_of(&e, "x-should-retry") == NULL);
}

static void gives_the_fields_that_a_status_must_have(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_METHOD, .allow = "GET, HEAD" };
    assert_string_equal(field_of(&e, "allow"), "GET, HEAD");
    e = (struct api_error){ .cause = ERROR_NO_API_KEY };
    assert_string_equal(field_of(&e, "www-authenticate"), "Bearer");
    e = (struct api_error){ .cause = ERROR_TOO_LARGE };
    assert_string_equal(field_of(&e, "connection"), "close");
}

static void quotes_the_word_it_is_about(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_MODEL_NOT_FOUND, .about = BYTES_LIT("a\"b\n") };
    assert_string_equal(body_of(&e),
                        "{\"error\":{\"message\":\"The model 'a\\\"b\\n' does not exist or is not "
                        "served here.\",\"type\":\"invalid_request_error\",\"param\":null,"
                        "\"code\":\"model_not_found\"}}");
    e = (struct api_error){ .cause = ERROR_MODEL_NOT_FOUND };
    CHECK(strstr(body_of(&e), "The model does not exist") != NULL);
    e = (struct api_error){ .cause = ERROR_INVALID_TYPE, .param = BYTES_LIT("stream") };
    CHECK(strstr(body_of(&e), "the parameter 'stream' is not") != NULL);
    CHECK(strstr(body_of(&e), "\"param\":\"stream\"") != NULL);
}

static void shortens_words_without_cutting_a_character(void **state)
{
    (void)state;
    char word[ERROR_ABOUT_MAX + 4];
    for (size_t len = ERROR_ABOUT_MAX; len <= ERROR_ABOUT_MAX + 1; len++) {
        memset(word, 'x', sizeof word);
        struct api_error e = { .cause = ERROR_NOT_FOUND, .about = bytes_of(word, len) };
        char shown[ERROR_ABOUT_MAX + 3];
        (void)snprintf(shown, sizeof shown, "'%.*s'", ERROR_ABOUT_MAX, word);
        CHECK(strstr(body_of(&e), shown) != NULL);
    }
    memcpy(word + ERROR_ABOUT_MAX - 1, "\xe2\x82\xac", 3);
    struct api_error e = { .cause = ERROR_NOT_FOUND, .about = bytes_of(word, sizeof word) };
    CHECK(strstr(body_of(&e), "xxx'") != NULL);
    CHECK(strstr(body_of(&e), "\xef\xbf\xbd") == NULL);
}

static void the_longest_body_fits_its_limit(void **state)
{
    (void)state;
    uint8_t word[ERROR_ABOUT_MAX];
    memset(word, 1, sizeof word);
    for (unsigned cause = 0; cause < ERROR_CAUSES; cause++) {
        struct api_error e = { .cause = (enum error_cause)cause,
                               .about = BYTES_ARRAY(word),
                               .param = BYTES_ARRAY(word) };
        e.about.len = e.param.len = sizeof word;
        BUF_AUTO out = BUF(ERROR_BODY_MAX);
        CHECK_OK(error_write_event(&out, &e));
    }
}

static void an_event_is_one_line_with_the_same_object(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_UPSTREAM_BROKEN };
    BUF_AUTO event = BUF(ERROR_BODY_MAX);
    BUF_AUTO want = BUF(ERROR_BODY_MAX);
    CHECK_OK(error_write_event(&event, &e));
    CHECK_OK(buf_addf(&want, "data: %s\n\n", body_of(&e)));
    CHECK_BYTES(buf_view(&event), buf_view(&want));
}

static void an_event_of_responses_is_flat_and_nested(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_UPSTREAM_BROKEN };
    const char *message = "The answer of the model server broke off before it was complete.";
    BUF_AUTO event = BUF(ERROR_BODY_MAX);
    BUF_AUTO want = BUF(ERROR_BODY_MAX);
    CHECK_OK(error_write_responses_event(&event, &e, 7));
    CHECK_OK(buf_addf(
        &want,
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"code\":"
        "\"upstream_broken\",\"message\":\"%s\",\"param\":null,\"error\":{\"message\":"
        "\"%s\",\"type\":\"server_error\",\"param\":null,\"code\":\"upstream_broken\"}}\n\n",
        message, message));
    CHECK_BYTES(buf_view(&event), buf_view(&want));
}

static void maps_failures_to_causes(void **state)
{
    (void)state;
    assert_int_equal(error_from((err){ ERR_UNAVAILABLE }, false), ERROR_UPSTREAM_UNREACHABLE);
    assert_int_equal(error_from((err){ ERR_CLOSED }, true), ERROR_UPSTREAM_BROKEN);
    assert_int_equal(error_from((err){ ERR_TIMEOUT }, true), ERROR_UPSTREAM_TIMEOUT);
    assert_int_equal(error_from((err){ ERR_MALFORMED }, true), ERROR_UPSTREAM_MALFORMED);
    assert_int_equal(error_from((err){ ERR_UNTRUSTED }, false), ERROR_ATTESTATION_FAILED);
    assert_int_equal(error_from((err){ ERR_INTERNAL }, false), ERROR_INTERNAL);
    assert_int_equal(error_from((err){ ERR_NOMEM }, false), ERROR_OVERLOADED);
}

static err write_one(void *arg)
{
    BUF_AUTO out = BUF(ERROR_BODY_MAX);
    return error_write_event(&out, arg);
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    struct api_error e = { .cause = ERROR_NOT_FOUND, .about = BYTES_LIT("x") };
    law_every_allocation_fails_once(write_one, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cause_is_a_whole_error_object),
        cmocka_unit_test(says_the_statuses_and_codes_that_clients_know),
        cmocka_unit_test(gives_the_hints_for_retrying),
        cmocka_unit_test(gives_the_fields_that_a_status_must_have),
        cmocka_unit_test(quotes_the_word_it_is_about),
        cmocka_unit_test(shortens_words_without_cutting_a_character),
        cmocka_unit_test(the_longest_body_fits_its_limit),
        cmocka_unit_test(an_event_is_one_line_with_the_same_object),
        cmocka_unit_test(an_event_of_responses_is_flat_and_nested),
        cmocka_unit_test(maps_failures_to_causes),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
