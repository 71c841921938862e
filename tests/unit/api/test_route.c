#include <string.h>

#include "api/route.h"
#include "tests/lib/law.h"

static struct route_match find(const char *method, const char *target)
{
    struct route_match m;
    route_find(bytes_str(method), bytes_str(target), &m);
    return m;
}

static void knows_every_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        enum route_kind kind;
        const char *id;
    } rows[] = {
        { "POST", "/v1/chat/completions", ROUTE_CHAT_COMPLETIONS, "" },
        { "POST", "/v1/completions", ROUTE_COMPLETIONS, "" },
        { "POST", "/v1/embeddings", ROUTE_EMBEDDINGS, "" },
        { "GET", "/v1/models", ROUTE_MODELS, "" },
        { "HEAD", "/v1/models", ROUTE_MODELS, "" },
        { "GET", "/v1/models/demo", ROUTE_MODEL, "demo" },
        { "GET", "/v1/models/demo/slash", ROUTE_MODEL, "demo/slash" },
        { "GET", "/v1/models/demo%2Fslash", ROUTE_MODEL, "demo%2Fslash" },
        { "DELETE", "/v1/models/demo/slash", ROUTE_PASS, "demo/slash" },
        { "GET", "/v1/receipts/00ff", ROUTE_RECEIPT, "00ff" },
        { "GET", "/v1/attestation", ROUTE_ATTESTATION, "" },
        { "POST", "/v1/attestation/verify", ROUTE_EVIDENCE, "" },
        { "GET", "/healthz", ROUTE_HEALTHZ, "" },
        { "GET", "/readyz", ROUTE_READYZ, "" },
        { "GET", "/metrics", ROUTE_METRICS, "" },
        { "GET", "/openapi.json", ROUTE_OPENAPI, "" },
        { "POST", "/v1/responses", ROUTE_RESPONSES, "" },
        { "GET", "/v1/responses/resp_1", ROUTE_RESPONSE, "resp_1" },
        { "DELETE", "/v1/responses/resp_1", ROUTE_RESPONSE, "resp_1" },
        { "POST", "/v1/responses/resp_1/cancel", ROUTE_RESPONSE, "resp_1/cancel" },
        { "POST", "/v1/audio/transcriptions", ROUTE_PASS, "" },
        { "GET", "/v1/chat/completions", ROUTE_PASS, "" },
        { "GET", "/v1/chat/completions/c1", ROUTE_PASS, "" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct route_match m = find(rows[i].method, rows[i].target);
        assert_int_equal(m.verdict, ROUTE_FOUND);
        assert_int_equal(m.kind, rows[i].kind);
        CHECK_BYTES(m.id, bytes_str(rows[i].id));
    }
}

static void tolerates_slashes_too_many(void **state)
{
    (void)state;
    assert_int_equal(find("POST", "//v1//chat///completions/").kind, ROUTE_CHAT_COMPLETIONS);
    assert_string_equal(find("POST", "//v1/chat/completions/").path, "/v1/chat/completions");
    assert_int_equal(find("GET", "/v1/models/").kind, ROUTE_MODELS);
    struct route_match m = find("GET", "/v1/models//demo/slash//");
    assert_int_equal(m.kind, ROUTE_MODEL);
    CHECK_BYTES(m.id, BYTES_LIT("demo/slash"));
    assert_int_equal(find("GET", "/healthz/").kind, ROUTE_HEALTHZ);
}

static void keeps_the_query_apart(void **state)
{
    (void)state;
    struct route_match m = find("GET", "/v1/models/?limit=2&x=a/../b&flag");
    assert_int_equal(m.kind, ROUTE_MODELS);
    bytes value;
    CHECK(route_query_get(m.query, "limit", &value));
    CHECK_BYTES(value, BYTES_LIT("2"));
    CHECK(route_query_get(m.query, "flag", &value));
    assert_int_equal(value.len, 0);
    CHECK(!route_query_get(m.query, "lim", &value));
    CHECK(!route_query_get((bytes){ 0 }, "limit", &value));
}

static void names_the_methods_that_would_do(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        const char *target;
        const char *allow;
    } rows[] = {
        { "GET", "/v1/embeddings", "POST" },
        { "PUT", "/v1/chat/completions", "GET, HEAD, POST" },
        { "POST", "/v1/models", "GET, HEAD" },
        { "POST", "/v1/models/demo", "GET, HEAD, DELETE" },
        { "POST", "/healthz", "GET, HEAD" },
        { "GET", "/v1/responses", "POST" },
        { "TRACE", "/v1/rerank", "GET, HEAD, POST, PUT, PATCH, DELETE" },
        { "get", "/v1/models", "GET, HEAD" },
        { "", "/v1/models", "GET, HEAD" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct route_match m = find(rows[i].method, rows[i].target);
        assert_int_equal(m.verdict, ROUTE_WRONG_METHOD);
        assert_string_equal(m.allow, rows[i].allow);
    }
}

static void does_not_know_other_paths(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "",
        "/",
        "*",
        "v1/models",
        "/v1",
        "/v1/",
        "/v2/models",
        "/V1/models",
        "/healthz/x",
        "/v1x/models",
        "/v1/receipts",
        "/v1/receipts/",
        "/v1/attestation/x",
        "http://host/v1/models",
        "/v1/models/a b",
        "/v1/models/\x7f",
        "/v1/models/\xc3\xa9",
        "/v1/models#x",
        "/v1\\models",
    };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        struct route_match m = find("GET", unknown[i]);
        assert_int_equal(m.verdict, ROUTE_UNKNOWN);
        assert_int_equal(m.kind, ROUTE_NONE);
        assert_string_equal(m.word.text, "none");
    }
}

static void refuses_to_climb(void **state)
{
    (void)state;
    static const char *const climbing[] = {
        "/v1/../admin",     "/v1/./models", "/v1/files/..",          "/v1/..%2fadmin",
        "/v1/%2e%2e/admin", "/v1/%2E./x",   "/v1/a%2f..%2F..%2fb",   "/v1/..%5cadmin",
        "/v1/models/..",    "/../healthz",  "/v1/models/demo%2f%2e",
    };
    for (size_t i = 0; i < sizeof climbing / sizeof climbing[0]; i++)
        assert_int_equal(find("GET", climbing[i]).verdict, ROUTE_UNKNOWN);
    assert_int_equal(find("GET", "/v1/models/.../..a").verdict, ROUTE_FOUND);
    assert_int_equal(find("GET", "/v1/models/gpt-4.1").verdict, ROUTE_FOUND);
}

static void takes_targets_up_to_the_limit(void **state)
{
    (void)state;
    static char target[ROUTE_TARGET_MAX + 1];
    memset(target, 'a', sizeof target);
    memcpy(target, "/v1/models/", 11);
    struct route_match m;
    route_find(BYTES_LIT("GET"), bytes_of(target, ROUTE_TARGET_MAX), &m);
    assert_int_equal(m.verdict, ROUTE_FOUND);
    route_find(BYTES_LIT("GET"), bytes_of(target, ROUTE_TARGET_MAX + 1), &m);
    assert_int_equal(m.verdict, ROUTE_UNKNOWN);
}

static void writes_the_target_to_send_on(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "/v1/responses", "/v1/responses" },
        { "//v1///responses//", "/v1/responses" },
        { "/v1/files/?a=//b/", "/v1/files?a=//b/" },
        { "/v1/files?", "/v1/files" },
        { "/", "/" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        BUF_AUTO out = BUF(256);
        CHECK_OK(route_write_target(&out, bytes_str(pairs[i][0])));
        CHECK_BYTES(buf_view(&out), bytes_str(pairs[i][1]));
    }
}

static void decodes_ids(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(2 * ROUTE_ID_MAX);
    CHECK_OK(route_decode_id(&out, BYTES_LIT("demo%2fslash%20%C3%A9%25")));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("demo/slash \xc3\xa9%"));
    buf_truncate(&out, 0);
    CHECK_ERR(route_decode_id(&out, BYTES_LIT("a%2")), MALFORMED);
    CHECK_ERR(route_decode_id(&out, BYTES_LIT("a%zz")), MALFORMED);
    CHECK_ERR(route_decode_id(&out, BYTES_LIT("a%00")), MALFORMED);
    CHECK_ERR(route_decode_id(&out, BYTES_LIT("%ff")), MALFORMED);
    assert_int_equal(out.len, 0);
    uint8_t id[ROUTE_ID_MAX + 1];
    memset(id, 'a', sizeof id);
    CHECK_OK(route_decode_id(&out, bytes_of(id, ROUTE_ID_MAX)));
    CHECK_ERR(route_decode_id(&out, bytes_of(id, ROUTE_ID_MAX + 1)), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_endpoint),
        cmocka_unit_test(tolerates_slashes_too_many),
        cmocka_unit_test(keeps_the_query_apart),
        cmocka_unit_test(names_the_methods_that_would_do),
        cmocka_unit_test(does_not_know_other_paths),
        cmocka_unit_test(refuses_to_climb),
        cmocka_unit_test(takes_targets_up_to_the_limit),
        cmocka_unit_test(writes_the_target_to_send_on),
        cmocka_unit_test(decodes_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
