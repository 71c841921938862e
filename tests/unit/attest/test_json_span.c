#include "attest/json_span.h"
#include "tests/lib/law.h"

static err find(const char *text, bytes *a, bytes *b)
{
    struct json_span spans[] = { { .key = "a" }, { .key = "b" } };
    err e = json_span_find(bytes_str(text), spans, 2);
    *a = spans[0].value;
    *b = spans[1].value;
    return e;
}

static void values_are_cut_out_byte_for_byte(void **state)
{
    (void)state;
    bytes a, b;
    CHECK_OK(
        find(" {\"b\" : [1, {\"a\":2}] , \"c\":null,\"a\": { \"x\" : \"}\\\"{\" }\n} ", &a, &b));
    CHECK_BYTES(a, BYTES_LIT("{ \"x\" : \"}\\\"{\" }"));
    CHECK_BYTES(b, BYTES_LIT("[1, {\"a\":2}]"));
    CHECK_OK(find("{\"a\":\"t\",\"b\":-1.5e3}", &a, &b));
    CHECK_BYTES(a, BYTES_LIT("\"t\""));
    CHECK_BYTES(b, BYTES_LIT("-1.5e3"));
    CHECK_OK(find("{}", &a, &b));
    CHECK(a.len == 0 && b.len == 0);
}

static void a_key_that_stands_twice_or_hides_is_refused(void **state)
{
    (void)state;
    bytes a, b;
    CHECK_ERR(find("{\"a\":1,\"a\":1}", &a, &b), MALFORMED);
    CHECK_ERR(find("{\"a\":1,\"\\u0061\":2}", &a, &b), MALFORMED);
    CHECK_ERR(find("{\"c\\\"\":1}", &a, &b), MALFORMED);
}

static void every_prefix_and_any_tail_is_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"a\":{\"x\":[1,2]},\"b\":\"s\"}";
    struct json_span spans[] = { { .key = "a" } };
    for (size_t n = 0; n < sizeof text - 1; n++)
        CHECK_ERR(json_span_find(bytes_of(text, n), spans, 1), MALFORMED);
    CHECK_OK(json_span_find(BYTES_LIT("{\"a\":{\"x\":[1,2]},\"b\":\"s\"}"), spans, 1));
    CHECK_ERR(json_span_find(BYTES_LIT("{\"a\":{\"x\":[1,2]},\"b\":\"s\"}x"), spans, 1), MALFORMED);
    CHECK_ERR(json_span_find(BYTES_LIT("{\"a\":}"), spans, 1), MALFORMED);
    CHECK_ERR(json_span_find(BYTES_LIT("{\"a\":1,}"), spans, 1), MALFORMED);
    CHECK_ERR(json_span_find(BYTES_LIT("[\"a\"]"), spans, 1), MALFORMED);
}

static err find_deep(size_t depth)
{
    struct json_span spans[] = { { .key = "a" } };
    BUF_AUTO text = BUF(1024);
    CHECK_OK(buf_add_str(&text, "{\"a\":"));
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_u8(&text, '['));
    for (size_t i = 0; i < depth; i++)
        CHECK_OK(buf_add_u8(&text, ']'));
    CHECK_OK(buf_add_u8(&text, '}'));
    return json_span_find(buf_view(&text), spans, 1);
}

static err find_among(size_t pairs)
{
    struct json_span spans[] = { { .key = "a" } };
    BUF_AUTO text = BUF(8192);
    for (size_t i = 0; i < pairs; i++)
        CHECK_OK(buf_addf(&text, "%c\"k%zu\":1", i == 0 ? '{' : ',', i));
    CHECK_OK(buf_add_u8(&text, '}'));
    return json_span_find(buf_view(&text), spans, 1);
}

static void limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    CHECK_OK(find_deep(JSON_SPAN_DEPTH_MAX));
    CHECK_ERR(find_deep(JSON_SPAN_DEPTH_MAX + 1), LIMIT);
    CHECK_OK(find_among(JSON_SPAN_PAIRS_MAX));
    CHECK_ERR(find_among(JSON_SPAN_PAIRS_MAX + 1), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_cut_out_byte_for_byte),
        cmocka_unit_test(a_key_that_stands_twice_or_hides_is_refused),
        cmocka_unit_test(every_prefix_and_any_tail_is_refused),
        cmocka_unit_test(limits_are_taken_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
