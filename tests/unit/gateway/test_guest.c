/* What every answer carries, seen from outside. */
#include "base/text.h"
#include "gateway/guest.h"
#include "tests/unit/gateway/stage.h"

#define ORIGIN "https://chat.example"

static const char *const FLAGS[] = { "--cors-origins=" ORIGIN, NULL };

static void every_answer_has_an_id_of_its_own(void **state)
{
    (void)state;
    struct stage s;
    uint8_t ids[32][GUEST_ID_LEN];
    static const char *const paths[] = { "/healthz", "/readyz", "/nowhere", "/v1/receipts/x" };
    stage_open(&s, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        stage_ask(&s, "GET", paths[i % ARRAY_LEN(paths)], "X-Request-Id: mine\r\n");
        bytes id = stage_header(&s, "x-request-id");
        CHECK(id.len == GUEST_ID_LEN && bytes_starts(id, BYTES_LIT("req_")));
        CHECK(stage_header_count(&s, "x-request-id") == 1);
        CHECK_BYTES(stage_header(&s, "openai-version"), BYTES_LIT("2020-10-01"));
        memcpy(ids[i], id.at, id.len);
        for (size_t j = 0; j < i; j++)
            CHECK(!bytes_equal(BYTES_ARRAY(ids[j]), BYTES_ARRAY(ids[i])));
    }
    stage_close(&s);
}

static void only_listed_origins_may_read(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, FLAGS, NULL);
    stage_ask(&s, "GET", "/nowhere", "Origin: " ORIGIN "\r\n");
    CHECK(s.status == 404);
    CHECK_BYTES(stage_header(&s, "access-control-allow-origin"), BYTES_LIT(ORIGIN));
    bytes exposed = stage_header(&s, "access-control-expose-headers");
    CHECK(text_find(exposed, BYTES_LIT("x-receipt-id")) < exposed.len);
    CHECK_BYTES(stage_header(&s, "vary"), BYTES_LIT("Origin"));
    stage_ask(&s, "GET", "/nowhere", "Origin: https://evil.example\r\n");
    CHECK(stage_header_count(&s, "access-control-allow-origin") == 0);
    stage_ask(&s, "GET", "/nowhere", "");
    CHECK(stage_header_count(&s, "access-control-allow-origin") == 0);
    CHECK(stage_header_count(&s, "vary") == 0);
    stage_close(&s);
}

static void errors_are_objects_that_sdks_read(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL, NULL);
    stage_ask(&s, "GET", "/nowhere", "");
    CHECK(s.status == 404 && stage_says(&s, "\"code\":\"unknown_url\""));
    CHECK(stage_says(&s, "\"type\":\"invalid_request_error\"") && stage_says(&s, "\"param\":null"));
    CHECK_BYTES(stage_header(&s, "content-type"), BYTES_LIT("application/json"));
    stage_ask(&s, "PUT", "/v1/chat/completions", "");
    CHECK(s.status == 405 && stage_header(&s, "allow").len > 0);
    stage_close(&s);
}

static uint64_t shown(struct stage *s, const char *line)
{
    uint64_t n = 0;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    BUF_AUTO start = BUF(256); /* at the beginning of a line */
    CHECK_OK(buf_addf(&start, "\n%s", line));
    CHECK_OK(metrics_render(s->metering.set, &text));
    bytes all = buf_view(&text);
    size_t at = text_find(all, buf_view(&start));
    bytes rest = bytes_slice(all, at + start.len, all.len);
    CHECK(text_u64(bytes_slice(rest, 0, text_find(rest, BYTES_LIT("\n"))), &n));
    return n;
}

static void requests_are_counted_once_however_they_end(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL, NULL);
    stage_ask(&s, "GET", "/healthz", "");
    stage_ask(&s, "GET", "/healthz", "");
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(shown(&s, "sealgate_requests_total{route=\"healthz\",status=\"2xx\"} ") == 2);
    CHECK(shown(&s, "sealgate_requests_total{route=\"readyz\",status=\"5xx\"} ") == 1);
    CHECK(shown(&s, "sealgate_requests_in_flight ") == 0);
    /* A question to a worker that is not there, by somebody who does not wait for the answer. */
    stage_ask_and_leave(&s, "GET", "/v1/models");
    CHECK(shown(&s, "sealgate_requests_total{route=\"models\",status=\"499\"} ") == 1);
    CHECK(shown(&s, "sealgate_requests_in_flight ") == 0);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_has_an_id_of_its_own),
        cmocka_unit_test(only_listed_origins_may_read),
        cmocka_unit_test(errors_are_objects_that_sdks_read),
        cmocka_unit_test(requests_are_counted_once_however_they_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
