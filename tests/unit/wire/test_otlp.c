#include "tests/lib/law.h"
#include "wire/otlp.h"

static void writes_what_collectors_read(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(65536);
    struct otlp_span s[2] = { { .name = "chat",
                                .kind = OTLP_SERVER,
                                .start_ns = 1,
                                .end_ns = UINT64_MAX,
                                .attributes = { { "gen_ai.operation.name", "chat", 0 },
                                                { "gen_ai.usage.input_tokens", NULL, 7 } },
                                .attributes_n = 2 },
                              { .name = "x", .kind = OTLP_CLIENT, .failed = true } };
    CHECK(trace_read(BYTES_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                     &s[0].trace));
    memset(s[0].parent, 0xab, sizeof s[0].parent);
    CHECK_OK(otlp_write(&out, "sealgate", s, 2));
    assert_string_equal(
        buf_str(&out),
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
        "\"stringValue\":\"sealgate\"}}]},\"scopeSpans\":[{\"scope\":{\"name\":\"sealgate\"},"
        "\"spans\":[{\"traceId\":\"0af7651916cd43dd8448eb211c80319c\","
        "\"spanId\":\"b7ad6b7169203331\",\"parentSpanId\":\"abababababababab\","
        "\"name\":\"chat\",\"kind\":2,\"startTimeUnixNano\":\"1\","
        "\"endTimeUnixNano\":\"18446744073709551615\",\"attributes\":[{\"key\":"
        "\"gen_ai.operation.name\",\"value\":{\"stringValue\":\"chat\"}},{\"key\":"
        "\"gen_ai.usage.input_tokens\",\"value\":{\"intValue\":\"7\"}}],\"status\":{}},"
        "{\"traceId\":\"00000000000000000000000000000000\",\"spanId\":\"0000000000000000\","
        "\"name\":\"x\",\"kind\":3,\"startTimeUnixNano\":\"0\",\"endTimeUnixNano\":\"0\","
        "\"attributes\":[],\"status\":{\"code\":2}}]}]}]}");
}

static void has_limits(void **state)
{
    (void)state;
    static struct otlp_span many[OTLP_SPANS_MAX + 1];
    BUF_AUTO out = BUF(1024 * 1024);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i].name = "x";
    CHECK_OK(otlp_write(&out, "s", many, OTLP_SPANS_MAX));
    CHECK_ERR(otlp_write(&out, "s", many, OTLP_SPANS_MAX + 1), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_collectors_read),
        cmocka_unit_test(has_limits),
    };
    return cmocka_run_group_tests_name("wire/otlp", tests, NULL, NULL);
}
