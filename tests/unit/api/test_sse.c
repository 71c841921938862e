#include <stdio.h>
#include <string.h>

#include "api/sse.h"
#include "tests/lib/law.h"

/* What came out, one line per event: flags in hex, then the wire with line ends shown as '|'. */
struct record {
    struct buf text;
    const uint8_t *last_wire;
    size_t events;
};

static err record(void *owner, const struct sse_event *event)
{
    struct record *r = owner;
    r->events++;
    r->last_wire = event->wire.at;
    TRY(buf_addf(&r->text, "%02x ", event->flags));
    for (size_t i = 0; i < event->wire.len; i++)
        TRY(buf_add_u8(&r->text, event->wire.at[i] == '\n' ? '|' : event->wire.at[i]));
    return buf_add_u8(&r->text, '\n');
}

static err read_in_parts(bytes in, size_t part, bool comments, struct record *r)
{
    struct sse s;
    sse_init(&s, comments, record, r);
    err e = OK;
    for (size_t i = 0; i < in.len && err_is_ok(e); i += part)
        e = sse_put(&s, bytes_slice(in, i, part));
    if (err_is_ok(e))
        e = sse_end(&s);
    sse_clear(&s);
    return e;
}

/* The stream, at every split in two and byte by byte, comes out as `want`. */
static void check_stream(bytes in, bool comments, const char *want)
{
    for (size_t cut = 0; cut <= in.len; cut++) {
        struct record r = { .text = BUF(65536) };
        struct sse s;
        sse_init(&s, comments, record, &r);
        CHECK_OK(sse_put(&s, bytes_slice(in, 0, cut)));
        CHECK_OK(sse_put(&s, bytes_slice(in, cut, in.len)));
        CHECK_OK(sse_end(&s));
        sse_clear(&s);
        assert_string_equal(buf_str(&r.text), want);
        buf_clear(&r.text);
    }
    for (size_t part = 1; part < 4; part++) {
        struct record r = { .text = BUF(65536) };
        CHECK_OK(read_in_parts(in, part, comments, &r));
        assert_string_equal(buf_str(&r.text), want);
        buf_clear(&r.text);
    }
}

static void check(const char *in, const char *want)
{
    check_stream(bytes_str(in), false, want);
}

static void gives_out_events_as_they_are(void **state)
{
    (void)state;
    check("data: {\"a\":1}\n\nevent: x\ndata: {}\n\ndata: [DONE]\n\n",
          "00 data: {\"a\":1}||\n00 event: x|data: {}||\n01 data: [DONE]||\n");
}

static void brings_every_writing_into_one_form(void **state)
{
    (void)state;
    check("data:{}\n\n", "00 data: {}||\n");
    check("data: {}\r\n\r\n", "00 data: {}||\n");
    check("data: {}\r\r", "00 data: {}||\n");
    check(
        "\xef\xbb\xbf"
        "data: {}\n\n",
        "00 data: {}||\n");
    check("event:a\r\ndata:{}\r\n\r\ndata:[DONE] \r\n\r\n",
          "00 event: a|data: {}||\n"
          "01 data: [DONE]||\n");
    check("data: {}\nevent: late\n\n", "00 event: late|data: {}||\n");
    check("event: a\nevent: b\ndata: {}\n\n", "00 event: b|data: {}||\n");
    check("data:  [DONE]\n\n", "01 data: [DONE]||\n");
    check("data:  {}\n\n", "00 data:  {}||\n");
    check("\n\n\ndata: {}\n\n\n", "00 data: {}||\n");
    check("data: {\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\\u00e9\\n\"}\n\n",
          "00 data: {\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\\u00e9\\n\"}||\n");
}

static void joins_data_of_several_lines(void **state)
{
    (void)state;
    check("data: {\"a\":\ndata: 1}\n\n", "00 data: {\"a\": 1}||\n");
    check("data: {\"a\":\"x\ndata: y\"}\n\n", "20 \n");
    check("data: {\r\ndata:\r\ndata: }\r\n\r\n", "00 data: {  }||\n");
}

static void drops_what_clients_fail_on(void **state)
{
    (void)state;
    check(
        "id: 1\ndata: {}\n\nid: 2\n\nretry: 3\n\nevent: ping\n\ndata:\n\ndata\n\nfoo: bar\n\nx\n\n",
        "00 data: {}||\n");
    check(": hello\n\ndata: {}\n: in between\n\n:\n\n", "00 data: {}||\n");
    check("", "");
}

static void gives_out_comments_when_asked(void **state)
{
    (void)state;
    check_stream(BYTES_LIT(": a\n\n:b\r\n:\ndata: {}\n:in\n\n:end"), true,
                 "10 : a||\n10 :b||\n10 :||\n10 :in||\n00 data: {}||\n10 :end||\n");
}

static void flushes_an_event_without_its_empty_line(void **state)
{
    (void)state;
    check("data: {}", "00 data: {}||\n");
    check("data: {}\n", "00 data: {}||\n");
    check("data: {}\r", "00 data: {}||\n");
    check("data: {\"a", "20 \n");
}

static void separates_events_that_were_glued(void **state)
{
    (void)state;
    check("data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n\n",
          "00 data: {\"a\":1}||\n00 data: {\"b\":2}||\n01 data: [DONE]||\n");
    check("data: {\"a\":1}data: {\"b\":2}\n\n", "00 data: {\"a\":1}||\n00 data: {\"b\":2}||\n");
    check("event: x\ndata: {\"a\":1}\ndata: [DONE]\n\n",
          "00 event: x|data: {\"a\":1}||\n01 data: [DONE]||\n");
    check("data: {\"a\":\ndata: 1}\ndata: {}\n\n", "00 data: {\"a\": 1}||\n00 data: {}||\n");
    check("data: {\"a\":1}{\"b\":2}\n\n", "20 \n");
    check("data: {\"a\":1}\ndata: oops\n\n", "20 \n");
}

static void flags_what_an_event_says(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *data;
        unsigned flags;
    } rows[] = {
        { "", "[DONE]", SSE_DONE },
        { "", "{\"error\":{\"message\":\"x\"}}", SSE_ERROR },
        { "error", "{\"message\":\"x\"}", SSE_ERROR },
        { "", "{\"error\":null}", 0 },
        { "", "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}", SSE_FINISH },
        { "", "{\"choices\":[{\"delta\":{},\"finish_reason\":null}]}", 0 },
        { "", "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}", SSE_USAGE | SSE_NO_CHOICES },
        { "response.completed", "{\"type\":\"response.completed\",\"response\":{\"usage\":{}}}",
          SSE_TERMINAL | SSE_USAGE },
        { "", "{\"type\":\"response.failed\"}", SSE_TERMINAL },
        { "", "{\"type\":\"response.incomplete\"}", SSE_TERMINAL },
        { "", "{\"type\":\"response.created\"}", 0 },
        { "", "oops", SSE_NOT_JSON },
        { "", "[1]", SSE_NOT_JSON },
        { "", "{\"a\":1} x", SSE_NOT_JSON },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(sse_flags(bytes_str(rows[i].name), bytes_str(rows[i].data)),
                         rows[i].flags);
}

/* The fast way: nothing is copied when there is nothing to change. */
static void hands_out_views_of_the_input(void **state)
{
    (void)state;
    const char *in = "data: {}\n\nevent: x\ndata: {\"a\":1}\n\n";
    struct record r = { .text = BUF(4096) };
    struct sse s;
    sse_init(&s, false, record, &r);
    CHECK_OK(sse_put(&s, bytes_str(in)));
    assert_int_equal(r.events, 2);
    assert_ptr_equal(r.last_wire, in + 10);
    CHECK(sse_is_between(&s));
    CHECK_OK(sse_put(&s, BYTES_LIT("data: {")));
    CHECK(!sse_is_between(&s));
    sse_clear(&s);
    buf_clear(&r.text);
}

/* What came out, put in again, comes out the same. */
static void its_output_is_a_fixed_point(void **state)
{
    (void)state;
    bytes in = BYTES_LIT(":c\r\nevent:a\r\ndata:{\ndata:}\r\r\ndata: [DONE]\n\n:x\n");
    struct record once = { .text = BUF(4096) };
    struct record twice = { .text = BUF(4096) };
    CHECK_OK(read_in_parts(in, 5, true, &once));
    BUF_AUTO wire = BUF(4096);
    bytes text = buf_view(&once.text);
    for (size_t i = 0; i < text.len; i++) {
        if (i == 0 || text.at[i - 1] == '\n')
            i += 3;
        if (text.at[i] != '\n')
            CHECK_OK(buf_add_u8(&wire, text.at[i] == '|' ? '\n' : text.at[i]));
    }
    CHECK_OK(read_in_parts(buf_view(&wire), wire.len, true, &twice));
    CHECK_BYTES(buf_view(&once.text), buf_view(&twice.text));
    buf_clear(&once.text);
    buf_clear(&twice.text);
}

static err count(void *owner, const struct sse_event *event)
{
    *(size_t *)owner += event->wire.len;
    return OK;
}

/* An event of exactly `len` bytes, put in parts of `part` bytes. */
static err read_long(size_t len, size_t part)
{
    BUF_AUTO in = BUF(2 * SSE_EVENT_MAX);
    CHECK_OK(buf_add_str(&in, "data: {\"a\":\""));
    while (in.len < len - 4)
        CHECK_OK(buf_add_u8(&in, 'x'));
    CHECK_OK(buf_add_str(&in, "\"}\n\n"));
    size_t got = 0;
    struct sse s;
    sse_init(&s, false, count, &got);
    err e = OK;
    for (size_t i = 0; i < in.len && err_is_ok(e); i += part)
        e = sse_put(&s, bytes_slice(buf_view(&in), i, part));
    assert_int_equal(got, err_is_ok(e) ? len : 0);
    if (!err_is_ok(e))
        CHECK_ERR(sse_put(&s, BYTES_LIT("data: {}\n\n")), LIMIT);
    sse_clear(&s);
    return e;
}

static void takes_events_up_to_the_limit(void **state)
{
    (void)state;
    static const size_t parts[] = { 2 * SSE_EVENT_MAX, 4093, SSE_EVENT_MAX - 1 };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        CHECK_OK(read_long(SSE_EVENT_MAX, parts[i]));
        CHECK_ERR(read_long(SSE_EVENT_MAX + 1, parts[i]), LIMIT);
    }
}

static void bounds_what_never_becomes_an_event(void **state)
{
    (void)state;
    size_t got = 0;
    struct sse s;
    sse_init(&s, false, count, &got);
    err e = OK;
    size_t n = 0;
    for (; err_is_ok(e) && n < SSE_EVENT_MAX; n++)
        e = sse_put(&s, BYTES_LIT("id: 1\n"));
    CHECK_ERR(e, LIMIT);
    CHECK(n > SSE_EVENT_MAX / 6 - 2);
    sse_clear(&s);

    /* Comments between events may go on for ever. */
    sse_init(&s, false, count, &got);
    for (n = 0; n < SSE_EVENT_MAX / 4; n++)
        CHECK_OK(sse_put(&s, BYTES_LIT(": keep-alive\n")));
    sse_clear(&s);
    assert_int_equal(got, 0);
}

static err refuse(void *owner, const struct sse_event *event)
{
    (void)owner;
    (void)event;
    FAIL(CANCELLED);
}

static void finds_the_number_of_an_event(void **state)
{
    (void)state;
    uint64_t n = 0;
    CHECK(sse_number(BYTES_LIT("event: x\ndata: {\"sequence_number\":12,\"a\":1}\n\n"), &n) &&
          n == 12);
    CHECK(sse_number(BYTES_LIT("data: {\"a\":1,\"sequence_number\": 0}"), &n) && n == 0);
    CHECK(!sse_number(BYTES_LIT("data: {\"a\":\"\\\"sequence_number\\\":9\"}"), &n));
    CHECK(!sse_number(BYTES_LIT("data: {\"sequence_number\":null}"), &n));
    CHECK(!sse_number(BYTES_LIT("data: [DONE]"), &n));
    CHECK(!sse_number((bytes){ 0 }, &n));
}

static void stays_failed(void **state)
{
    (void)state;
    struct sse s;
    sse_init(&s, false, refuse, NULL);
    CHECK_ERR(sse_put(&s, BYTES_LIT("data: {}\n\n")), CANCELLED);
    CHECK_ERR(sse_put(&s, BYTES_LIT("data: {}\n\n")), CANCELLED);
    CHECK_ERR(sse_end(&s), CANCELLED);
    sse_clear(&s);

    struct sse nothing = { 0 };
    CHECK_ERR(sse_put(&nothing, BYTES_LIT("data: {}\n\n")), INTERNAL);
    sse_clear(&nothing);
}

static err read_all(void *arg)
{
    size_t got = 0;
    struct sse s;
    sse_init(&s, true, count, &got);
    err e = sse_put(&s, *(bytes *)arg);
    if (err_is_ok(e))
        e = sse_end(&s);
    sse_clear(&s);
    return e;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    bytes in = BYTES_LIT(":c\nevent:a\ndata:{\ndata:}\n\ndata: {}\ndata: [DONE]\n\nda");
    law_every_allocation_fails_once(read_all, &in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_out_events_as_they_are),
        cmocka_unit_test(brings_every_writing_into_one_form),
        cmocka_unit_test(joins_data_of_several_lines),
        cmocka_unit_test(drops_what_clients_fail_on),
        cmocka_unit_test(gives_out_comments_when_asked),
        cmocka_unit_test(flushes_an_event_without_its_empty_line),
        cmocka_unit_test(separates_events_that_were_glued),
        cmocka_unit_test(flags_what_an_event_says),
        cmocka_unit_test(hands_out_views_of_the_input),
        cmocka_unit_test(its_output_is_a_fixed_point),
        cmocka_unit_test(takes_events_up_to_the_limit),
        cmocka_unit_test(bounds_what_never_becomes_an_event),
        cmocka_unit_test(finds_the_number_of_an_event),
        cmocka_unit_test(stays_failed),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
