#include "gateway/outlet.h"
#include "tests/lib/law.h"

#define EVENT(text) "data: {\"id\":\"chatcmpl-7\",\"x\":\"" text "\"}\n\n"
#define DONE "data: [DONE]\n\n"

/* Feeds text in pieces of `step`, releases whatever is ready, and returns that; the rest is left. */
static void feed(struct outlet *o, const char *text, size_t step, struct buf *out)
{
    bytes in = bytes_str(text);
    while (in.len > 0) {
        CHECK_OK(outlet_add(o, bytes_slice(in, 0, step)));
        in = bytes_slice(in, step, in.len);
        bytes ready = outlet_ready(o);
        CHECK_OK(buf_add(out, ready));
        outlet_release(o, ready.len);
    }
}

static void check_held(const char *text, bool sse, const char *released, const char *held)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct outlet o;
        BUF_AUTO out = BUF(1 << 16);
        outlet_init(&o, sse);
        feed(&o, text, step, &out);
        CHECK_BYTES(buf_view(&out), bytes_str(released));
        CHECK_BYTES(outlet_rest(&o), bytes_str(held));
        CHECK(o.total == strlen(text));
        outlet_clear(&o);
    }
}

static void holds_the_terminal_event_back_in_any_split(void **state)
{
    (void)state;
    check_held(EVENT("a") EVENT("b") DONE, true, EVENT("a") EVENT("b"), DONE);
    check_held(EVENT("a") "event: response.completed\ndata: {}\n\n" DONE, true, EVENT("a"),
               "event: response.completed\ndata: {}\n\n" DONE);
    check_held(EVENT("data: [DONE] is only text") EVENT("b"), true,
               EVENT("data: [DONE] is only text") EVENT("b"), "");
    check_held(DONE, true, "", DONE);
    check_held(EVENT("a") "data: [D", true, EVENT("a"), "data: [D");
    check_held(EVENT("a") "data: [D]\n\n", true, EVENT("a") "data: [D]\n\n", "");
}

static void holds_a_small_answer_whole(void **state)
{
    (void)state;
    check_held("{\"id\":\"chatcmpl-7\",\"choices\":[]}", false, "",
               "{\"id\":\"chatcmpl-7\",\"choices\":[]}");
}

static void holds_the_tail_of_a_big_answer(void **state)
{
    (void)state;
    struct outlet o;
    BUF_AUTO out = BUF(1 << 22);
    BUF_AUTO all = BUF(1 << 22);
    outlet_init(&o, false);
    for (size_t i = 0; i < 100; i++) {
        static uint8_t piece[8192];
        memset(piece, (int)i, sizeof piece);
        CHECK_OK(buf_add(&all, BYTES_ARRAY(piece)));
        CHECK_OK(outlet_add(&o, BYTES_ARRAY(piece)));
        bytes ready = outlet_ready(&o);
        CHECK_OK(buf_add(&out, ready));
        outlet_release(&o, ready.len);
        CHECK(o.content.len <= OUTLET_WHOLE_MAX + sizeof piece);
    }
    CHECK(out.len > 0 && all.len - out.len == OUTLET_TAIL);
    CHECK_OK(buf_add(&out, outlet_rest(&o)));
    CHECK_BYTES(buf_view(&out), buf_view(&all));
    outlet_clear(&o);
}

static void finds_the_id_and_an_error_event(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool sse;
        const char *id;
        bool error;
    } cases[] = {
        { EVENT("a") DONE, true, "chatcmpl-7", false },
        { "event: response.created\ndata: {\"response\":{\"id\":\"resp_1\"}}\n\n", true, "resp_1",
          false },
        { "{\"object\":\"x\",\"id\":\"emb-1\"}", false, "emb-1", false },
        { "data: {\"error\":{\"message\":\"m\"}}\n\n", true, "", true },
        { "plain", false, "", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct outlet o;
        outlet_init(&o, cases[i].sse);
        CHECK_OK(outlet_add(&o, bytes_str(cases[i].text)));
        CHECK_BYTES(outlet_id(&o), bytes_str(cases[i].id));
        CHECK(o.error == cases[i].error);
        outlet_clear(&o);
    }
}

static void knows_when_an_event_is_only_half_released(void **state)
{
    (void)state;
    struct outlet o;
    BUF_AUTO out = BUF(4096);
    outlet_init(&o, true);
    CHECK(!o.mid_event);
    feed(&o, "data: {\"a\"", 4096, &out);
    CHECK(o.mid_event);
    feed(&o, ":1}\n\n", 4096, &out);
    CHECK(!o.mid_event);
    outlet_clear(&o);
}

static void counts_the_events_of_a_response(void **state)
{
    (void)state;
    for (size_t step = 1; step < 80; step++) {
        struct outlet o;
        BUF_AUTO out = BUF(1 << 16);
        outlet_init(&o, true);
        feed(&o, "event: response.created\ndata: {\"sequence_number\": 0}\n\n", step, &out);
        CHECK(o.next == 1 && !o.error);
        feed(&o, "event: response.x\ndata: {\"a\":1,\"sequence_number\":7}\n\n: comment\n\n", step,
             &out);
        CHECK(o.next == 8 && !o.error);
        feed(&o, "event: error\ndata: {\"sequence_number\":8}\n\n", step, &out);
        CHECK(o.next == 9 && o.error);
        outlet_clear(&o);
    }
}

static void bounds_what_is_held(void **state)
{
    (void)state;
    struct outlet o;
    static uint8_t piece[65536];
    outlet_init(&o, true);
    CHECK_OK(outlet_add(&o, BYTES_LIT(DONE)));
    err e = OK;
    for (size_t i = 0; i < 2 * OUTLET_HELD_MAX / sizeof piece && e.code == ERR_OK; i++)
        e = outlet_add(&o, BYTES_ARRAY(piece));
    CHECK_ERR(e, LIMIT);
    outlet_clear(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_terminal_event_back_in_any_split),
        cmocka_unit_test(holds_a_small_answer_whole),
        cmocka_unit_test(holds_the_tail_of_a_big_answer),
        cmocka_unit_test(finds_the_id_and_an_error_event),
        cmocka_unit_test(knows_when_an_event_is_only_half_released),
        cmocka_unit_test(counts_the_events_of_a_response),
        cmocka_unit_test(bounds_what_is_held),
    };
    return cmocka_run_group_tests_name("gateway/outlet", tests, NULL, NULL);
}
