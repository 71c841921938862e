#include "tests/lib/law.h"
#include "wire/trace.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void reads_what_it_writes(void **state)
{
    (void)state;
    struct trace t;
    char text[TRACE_PARENT_LEN + 1];
    CHECK(trace_read(BYTES_LIT(GOOD), &t));
    CHECK(trace_is_set(&t) && t.flags == TRACE_SAMPLED && t.id[0] == 0x0a && t.span[7] == 0x31);
    trace_write(&t, text);
    assert_string_equal(text, GOOD);
}

static void reads_versions_to_come_and_writes_its_own(void **state)
{
    (void)state;
    struct trace t;
    char text[TRACE_PARENT_LEN + 1];
    CHECK(trace_read(BYTES_LIT("cc"
                               "-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what"),
                     &t));
    trace_write(&t, text);
    assert_string_equal(text, GOOD);
    CHECK(trace_read(BYTES_LIT("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), &t));
    CHECK(t.flags == 0);
}

static void refuses_what_is_no_traceparent(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        " 0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct trace t = { .flags = 1 };
        CHECK(!trace_read(bytes_str(bad[i]), &t));
        CHECK(!trace_is_set(&t) && t.flags == 0);
    }
}

static void a_state_is_a_list_of_members(void **state)
{
    (void)state;
    static const char *const good[] = { "a=b", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                                        "a=b , c=d", "a=b,,c=d", "t@vendor=x y" };
    static const char *const bad[] = { "", ",", "a", "a=", "=b", "A=b", "a=b=c", "-a=b", "a b=c" };
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        CHECK(trace_is_state(bytes_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!trace_is_state(bytes_str(bad[i])));
    CHECK(!trace_is_state(BYTES_LIT("a=\xc3\xa4")));
}

static void a_state_has_limits(void **state)
{
    (void)state;
    char text[TRACE_STATE_MAX + 2];
    BUF_AUTO many = BUF(1024);
    memset(text, 'v', sizeof text);
    memcpy(text, "a=", 2);
    text[200] = ',';
    memcpy(text + 201, "b=", 2);
    text[400] = ',';
    memcpy(text + 401, "c=", 2);
    CHECK(trace_is_state(bytes_of(text, TRACE_STATE_MAX)));
    CHECK(!trace_is_state(bytes_of(text, TRACE_STATE_MAX + 1)));
    for (size_t i = 0; i < TRACE_MEMBERS_MAX; i++)
        CHECK_OK(buf_addf(&many, "%sk%zu=v", i > 0 ? "," : "", i));
    CHECK(trace_is_state(buf_view(&many)));
    CHECK_OK(buf_add_str(&many, ",one=more"));
    CHECK(!trace_is_state(buf_view(&many)));
}

static void finds_a_trace_among_fields(void **state)
{
    (void)state;
    static const struct bhttp_field fields[] = {
        { BYTES_LIT("tracestate"), BYTES_LIT("a=b") },
        { BYTES_LIT("accept"), BYTES_LIT("*/*") },
        { BYTES_LIT("traceparent"), BYTES_LIT(GOOD) },
        { BYTES_LIT("tracestate"), BYTES_LIT("c=d") },
        { BYTES_LIT("traceparent"), BYTES_LIT(GOOD) },
    };
    struct trace_found found;
    trace_find(fields, 4, &found);
    CHECK(trace_is_set(&found.trace));
    CHECK_BYTES(bytes_of(found.state, found.state_len), BYTES_LIT("a=b,c=d"));
    trace_find(fields, 5, &found); /* twice is none */
    CHECK(!trace_is_set(&found.trace) && found.state_len == 0);
    trace_find(fields, 2, &found); /* a state without a parent is none */
    CHECK(!trace_is_set(&found.trace) && found.state_len == 0);
}

static void a_state_that_is_too_long_is_left_out(void **state)
{
    (void)state;
    static char text[TRACE_STATE_MAX];
    memset(text, 'v', sizeof text);
    memcpy(text, "a=", 2);
    const struct bhttp_field fields[] = {
        { BYTES_LIT("traceparent"), BYTES_LIT(GOOD) },
        { BYTES_LIT("tracestate"), BYTES_LIT("b=c") },
        { BYTES_LIT("tracestate"), bytes_of(text, sizeof text) },
    };
    struct trace_found found;
    trace_find(fields, 2, &found);
    CHECK(found.state_len == 3);
    trace_find(fields, 3, &found);
    CHECK(trace_is_set(&found.trace) && found.state_len == 0);
}

static void begins_spans_below_a_parent_or_anew(void **state)
{
    (void)state;
    struct trace parent;
    struct trace child;
    struct trace fresh;
    CHECK(trace_read(BYTES_LIT(GOOD), &parent));
    CHECK_OK(trace_begin(&parent, &child));
    CHECK_BYTES(BYTES_ARRAY(child.id), BYTES_ARRAY(parent.id));
    CHECK(!bytes_equal(BYTES_ARRAY(child.span), BYTES_ARRAY(parent.span)));
    CHECK_OK(trace_begin(&(struct trace){ 0 }, &fresh));
    CHECK(trace_is_set(&fresh) && fresh.flags == TRACE_SAMPLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(reads_versions_to_come_and_writes_its_own),
        cmocka_unit_test(refuses_what_is_no_traceparent),
        cmocka_unit_test(a_state_is_a_list_of_members),
        cmocka_unit_test(a_state_has_limits),
        cmocka_unit_test(finds_a_trace_among_fields),
        cmocka_unit_test(a_state_that_is_too_long_is_left_out),
        cmocka_unit_test(begins_spans_below_a_parent_or_anew),
    };
    return cmocka_run_group_tests_name("wire/trace", tests, NULL, NULL);
}
