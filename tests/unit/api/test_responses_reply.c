#include "api/responses_reply.h"
#include "tests/unit/api/responses_case.h"

enum { THEN = 1700000000, NOW = 1700000005 };

static const struct responses_tools NONE;

static void open_reply(struct responses_reply *r, bool events, bool background)
{
    const struct responses_reply_settings settings = {
        .id = "resp_00",
        .created_at = THEN,
        .events = events,
        .background = background,
        .tools = &NONE,
    };
    responses_reply_init(r, &settings);
    CHECK_OK(responses_reply_start(r));
}

static bool says(struct responses_reply *r, const char *words)
{
    BUF_AUTO copy = BUF(CASE_MAX);
    CHECK_OK(buf_add(&copy, buf_view(&r->out)));
    return strstr(shown(&copy), words) != NULL;
}

static void is_queued_first_in_the_background(void **state)
{
    (void)state;
    struct responses_reply r;
    open_reply(&r, true, true);
    CHECK(says(&r,
               "'type':'response.created','sequence_number':0,'response':{'id':'resp_00',"
               "'object':'response','created_at':1700000000,'completed_at':null,'status':"
               "'queued'"));
    CHECK(says(&r, "'type':'response.queued','sequence_number':1"));
    CHECK(!says(&r, "response.in_progress"));
    CHECK(r.status == RESPONSES_QUEUED);
    CHECK_OK(responses_reply_begin(&r));
    CHECK_OK(responses_reply_begin(&r));
    CHECK(says(&r, "'type':'response.in_progress','sequence_number':2"));
    assert_int_equal(r.sequence, 3);
    CHECK(r.status == RESPONSES_IN_PROGRESS);
    responses_reply_clear(&r);
}

static void ends_at_once_when_called_off(void **state)
{
    (void)state;
    struct responses_reply r;
    open_reply(&r, true, true);
    CHECK_OK(responses_reply_text(&r, BYTES_LIT("a"), NULL));
    CHECK_OK(responses_reply_cancel(&r, NOW));
    CHECK(!says(&r, "event: response.output_item.done\n"));
    CHECK(says(&r, "'status':'cancelled','error':null,'incomplete_details':null"));
    CHECK(says(&r, "'status':'incomplete','role':'assistant'"));
    size_t len = r.out.len;
    CHECK_OK(responses_reply_text(&r, BYTES_LIT("b"), NULL));
    CHECK_OK(responses_reply_finish(&r, BYTES_LIT("stop")));
    CHECK_OK(responses_reply_end(&r, NOW));
    CHECK_OK(responses_reply_fail(&r, "server_error", BYTES_LIT("x"), NOW));
    assert_int_equal(r.out.len, len);
    responses_reply_clear(&r);
}

static void does_not_end_before_it_was_finished(void **state)
{
    (void)state;
    struct responses_reply r;
    open_reply(&r, true, false);
    CHECK_ERR(responses_reply_end(&r, NOW), TRUNCATED);
    responses_reply_clear(&r);
}

static void takes_as_many_items_as_there_may_be(void **state)
{
    (void)state;
    struct responses_reply r;
    open_reply(&r, false, false);
    for (size_t i = 0; i < RESPONSES_ITEMS_MAX; i++)
        CHECK_OK(i % 2 == 0 ? responses_reply_reason(&r, BYTES_LIT("a"))
                            : responses_reply_text(&r, BYTES_LIT("a"), NULL));
    CHECK_ERR(responses_reply_reason(&r, BYTES_LIT("a")), LIMIT);
    responses_reply_clear(&r);
}

static void cuts_messages_between_characters(void **state)
{
    (void)state;
    struct responses_reply r;
    uint8_t message[RESPONSES_MESSAGE_MAX + 1];
    memset(message, 'a', sizeof message);
    open_reply(&r, false, false);
    CHECK_OK(responses_reply_fail(&r, "server_error", bytes_of(message, sizeof message), NOW));
    assert_int_equal(strlen(r.message), RESPONSES_MESSAGE_MAX);
    responses_reply_clear(&r);

    message[RESPONSES_MESSAGE_MAX - 1] = 0xc3;
    message[RESPONSES_MESSAGE_MAX] = 0xa4;
    open_reply(&r, false, false);
    CHECK_OK(responses_reply_fail(&r, "server_error", bytes_of(message, sizeof message), NOW));
    assert_int_equal(strlen(r.message), RESPONSES_MESSAGE_MAX - 1);
    responses_reply_clear(&r);
}

static void finds_the_events_behind_a_number(void **state)
{
    (void)state;
    struct responses_reply r;
    open_reply(&r, true, false);
    CHECK_OK(responses_reply_text(&r, BYTES_LIT("\"sequence_number\":99,"), NULL));
    CHECK_OK(responses_reply_finish(&r, BYTES_LIT("stop")));
    CHECK_OK(responses_reply_end(&r, NOW));
    bytes all = buf_view(&r.out);
    size_t before = 0;
    for (uint64_t i = 0; i < r.sequence; i++) {
        size_t at = responses_reply_skip(all, i);
        CHECK(at > before && at < all.len);
        CHECK_BYTES(bytes_slice(all, at - 2, 2), BYTES_LIT("\n\n"));
        before = at;
    }
    CHECK_BYTES(bytes_slice(all, before, all.len), BYTES_LIT("data: [DONE]\n\n"));
    assert_int_equal(responses_reply_skip(all, UINT64_MAX), before);
    assert_int_equal(responses_reply_skip((bytes){ 0 }, 0), 0);
    responses_reply_clear(&r);
}

static void gives_its_output_alone(void **state)
{
    (void)state;
    struct responses_reply r;
    BUF_AUTO out = BUF(CASE_MAX);
    open_reply(&r, false, false);
    CHECK_OK(responses_reply_output(&r, &out));
    assert_int_equal(out.len, 0);
    CHECK_OK(responses_reply_reason(&r, BYTES_LIT("a")));
    CHECK_OK(responses_reply_text(&r, BYTES_LIT("b"), NULL));
    CHECK_OK(responses_reply_output(&r, &out));
    assert_string_equal(shown(&out),
                        "{'id':'rs_00000','type':'reasoning','status':'completed',"
                        "'summary':[],'content':[{'type':'reasoning_text','text':"
                        "'a'}]}");
    responses_reply_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_queued_first_in_the_background),
        cmocka_unit_test(ends_at_once_when_called_off),
        cmocka_unit_test(does_not_end_before_it_was_finished),
        cmocka_unit_test(takes_as_many_items_as_there_may_be),
        cmocka_unit_test(cuts_messages_between_characters),
        cmocka_unit_test(finds_the_events_behind_a_number),
        cmocka_unit_test(gives_its_output_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
