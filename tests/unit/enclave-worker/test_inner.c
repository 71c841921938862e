#include "base/httpdate.h"
#include "enclave-worker/inner.h"
#include "tests/lib/law.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct bhttp_field FIELDS[] = {
    { BYTES_LIT("content-type"), BYTES_LIT("application/json") },
    { BYTES_LIT("authorization"), BYTES_LIT("Bearer client") },
    { BYTES_LIT("x-request-id"), BYTES_LIT("req_1") },
    { BYTES_LIT("cookie"), BYTES_LIT("a=b") },
    { BYTES_LIT("x-stainless-os"), BYTES_LIT("Linux") },
    { BYTES_LIT("traceparent"), BYTES_LIT(PARENT) },
    { BYTES_LIT("date"), BYTES_LIT("Sun, 06 Nov 1994 08:49:37 GMT") },
};
static const struct kept REQUEST = { .head = { .fields = FIELDS, .fields_n = ARRAY_LEN(FIELDS) } };
static const struct kept BARE = { 0 };

static bytes sent(const struct engine_field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes_equal(fields[i].name, bytes_str(name)))
            return fields[i].value;
    }
    return (bytes){ 0 };
}

static void passes_on_what_describes_the_request(void **state)
{
    (void)state;
    struct engine_field out[ENGINE_FIELDS_MAX];
    struct inner_trace trace;
    inner_trace(&REQUEST, &trace);
    size_t n = inner_engine_fields(&REQUEST, (bytes){ 0 }, true, &trace, out);
    CHECK_BYTES(sent(out, n, "content-type"), BYTES_LIT("application/json"));
    CHECK_BYTES(sent(out, n, "traceparent"), BYTES_LIT(PARENT));
    CHECK_BYTES(sent(out, n, "x-request-id"), BYTES_LIT("req_1"));
    CHECK_BYTES(sent(out, n, "authorization"), BYTES_LIT("Bearer client"));
    CHECK(n == 4);
}

static void the_operators_token_replaces_the_clients(void **state)
{
    (void)state;
    struct engine_field out[ENGINE_FIELDS_MAX];
    struct inner_trace trace;
    inner_trace(&REQUEST, &trace);
    size_t n = inner_engine_fields(&REQUEST, BYTES_LIT("Bearer engine"), true, &trace, out);
    CHECK_BYTES(sent(out, n, "authorization"), BYTES_LIT("Bearer engine"));
    CHECK(n == 4);
    n = inner_engine_fields(&REQUEST, (bytes){ 0 }, false, &trace, out);
    CHECK(sent(out, n, "authorization").len == 0 && n == 3);
}

static void a_trace_that_is_none_goes_nowhere(void **state)
{
    (void)state;
    static const struct bhttp_field bad[] = { { BYTES_LIT("traceparent"), BYTES_LIT("00-1-2-01") },
                                              { BYTES_LIT("tracestate"), BYTES_LIT("a=b") } };
    const struct kept odd = { .head = { .fields = bad, .fields_n = ARRAY_LEN(bad) } };
    struct engine_field out[ENGINE_FIELDS_MAX];
    struct inner_trace trace;
    inner_trace(&odd, &trace);
    CHECK(inner_engine_fields(&odd, (bytes){ 0 }, true, &trace, out) == 0);
}

static void a_date_counts_within_its_window_both_ways(void **state)
{
    (void)state;
    const int64_t at = 784111777;
    CHECK(inner_date(&REQUEST, at, 120) == INNER_DATE_CURRENT);
    CHECK(inner_date(&REQUEST, at + 120, 120) == INNER_DATE_CURRENT);
    CHECK(inner_date(&REQUEST, at - 120, 120) == INNER_DATE_CURRENT);
    CHECK(inner_date(&REQUEST, at + 121, 120) == INNER_DATE_STALE);
    CHECK(inner_date(&REQUEST, at - 121, 120) == INNER_DATE_STALE);
    CHECK(inner_date(&BARE, at, 120) == INNER_DATE_NONE);
    const struct bhttp_field bad[] = { { BYTES_LIT("date"), BYTES_LIT("yesterday") } };
    const struct kept odd = { .head = { .fields = bad, .fields_n = 1 } };
    CHECK(inner_date(&odd, at, 120) == INNER_DATE_STALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_on_what_describes_the_request),
        cmocka_unit_test(the_operators_token_replaces_the_clients),
        cmocka_unit_test(a_trace_that_is_none_goes_nowhere),
        cmocka_unit_test(a_date_counts_within_its_window_both_ways),
    };
    return cmocka_run_group_tests_name("enclave-worker/inner", tests, NULL, NULL);
}
