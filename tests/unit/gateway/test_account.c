#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "gateway/account.h"
#include "gateway/metering.h"
#include "tests/lib/law.h"

static const struct account_facts FACTS = { .route = ROUTE_RESPONSES,
                                            .request_id = "req_1",
                                            .key = "alice",
                                            .status = 200,
                                            .us = 30000,
                                            .first_us = 15000,
                                            .use = { 3, 70, true } };

static bool has(const struct buf *text, const char *part)
{
    return text_find(buf_view(text), bytes_str(part)) < text->len;
}

static void counts_under_the_names_of_opentelemetry(void **state)
{
    (void)state;
    struct metering m;
    struct metrics_block *block;
    struct account_facts gone = FACTS;
    struct account_facts other = FACTS;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    gone.gone = true;
    gone.first_us = 0;
    gone.use = (struct allowance_use){ 0 };
    other.route = ROUTE_MODELS;
    CHECK_OK(metering_init(&m));
    CHECK_OK(metrics_block(m.set, &block));
    account_note(NULL, &m, block, &FACTS);
    account_note(NULL, &m, block, &gone);
    account_note(NULL, &m, block, &other);
    CHECK_OK(metrics_render(m.set, &text));
    CHECK(has(&text,
              "gen_ai_client_operation_duration_seconds_sum{gen_ai_operation_name=\"chat\","
              "error_type=\"\"} 0.03\n"));
    CHECK(has(&text,
              "gen_ai_client_operation_duration_seconds_count{gen_ai_operation_name=\"chat\","
              "error_type=\"499\"} 1\n"));
    CHECK(has(&text,
              "gen_ai_client_operation_time_to_first_chunk_seconds_count{"
              "gen_ai_operation_name=\"chat\"} 1\n"));
    CHECK(has(&text,
              "gen_ai_client_token_usage_sum{gen_ai_operation_name=\"chat\","
              "gen_ai_token_type=\"output\"} 70\n"));
    CHECK(has(&text,
              "gen_ai_client_token_usage_count{gen_ai_operation_name=\"chat\","
              "gen_ai_token_type=\"input\"} 1\n"));
    metering_clear(&m);
}

static void says_how_it_ended(void **state)
{
    (void)state;
    CHECK(account_end(&FACTS) == ACCOUNT_WHOLE);
    CHECK(account_end(&(struct account_facts){ .status = 429 }) == ACCOUNT_4XX);
    CHECK(account_end(&(struct account_facts){ .status = 502 }) == ACCOUNT_5XX);
    CHECK(account_end(&(struct account_facts){ .status = 200, .gone = true }) == ACCOUNT_GONE);
    CHECK(account_end(&(struct account_facts){ .status = 200, .cut = true }) == ACCOUNT_CUT);
}

static void adds_a_line_for_each_request(void **state)
{
    (void)state;
    char path[] = "/tmp/sealgate-account-XXXXXX";
    int made = mkstemp(path);
    struct metering m;
    struct log *log;
    int fd;
    BUF_AUTO text = BUF(65536);
    CHECK(made >= 0);
    CHECK_OK(metering_init(&m));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(account_log_open(&log, &fd, path));
        struct account_facts f = FACTS;
        f.background = i == 0;
        f.key = i == 0 ? "alice" : NULL;
        account_note(log, &m, NULL, &f);
        log_close(log);
        CHECK(close(fd) == 0);
    }
    CHECK_OK(file_read(&text, path));
    CHECK(has(&text,
              "\"event\":\"usage\",\"key\":\"alice\",\"request\":\"req_1\",\"operation\":\"chat\","
              "\"status\":200,\"broken_off\":false,\"input_tokens\":3,\"output_tokens\":70,"
              "\"estimated\":true,\"background\":true,\"us\":30000}\n"));
    CHECK(has(&text, "\"key\":null"));
    CHECK_ERR(account_log_open(&log, &fd, "/nonexistent/usage"), SYSTEM);
    metering_clear(&m);
    CHECK(close(made) == 0 && unlink(path) == 0);
}

static const char *text_of(const struct otlp_span *s, const char *key)
{
    for (size_t i = 0; i < s->attributes_n; i++) {
        if (strcmp(s->attributes[i].key, key) == 0)
            return s->attributes[i].text;
    }
    return "";
}

static void makes_a_span_of_it(void **state)
{
    (void)state;
    const struct trace trace = { .id = { 1 }, .span = { 2 }, .flags = TRACE_SAMPLED };
    const uint8_t parent[TRACE_SPAN_LEN] = { 3 };
    struct account_facts cut = FACTS;
    struct otlp_span s;
    account_span(&FACTS, &trace, parent, 1000000000, &s);
    assert_string_equal(s.name, "chat");
    CHECK(s.start_ns == 970000000 && s.end_ns == 1000000000 && !s.failed && s.parent[0] == 3);
    assert_string_equal(text_of(&s, ACCOUNT_REQUEST_ID), "req_1");
    assert_string_equal(text_of(&s, "error.type"), "");
    cut.cut = true;
    cut.route = ROUTE_PASS;
    account_span(&cut, &trace, parent, 1000000000, &s);
    CHECK(s.failed && s.attributes_n <= OTLP_ATTRIBUTES_MAX);
    assert_string_equal(text_of(&s, "error.type"), "broken_off");
    assert_string_equal(s.name, "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_span_of_it),
        cmocka_unit_test(counts_under_the_names_of_opentelemetry),
        cmocka_unit_test(says_how_it_ended),
        cmocka_unit_test(adds_a_line_for_each_request),
    };
    return cmocka_run_group_tests_name("gateway/account", tests, NULL, NULL);
}
