#include "api/usage.h"
#include "tests/lib/law.h"

static void see(struct usage *u, const char *json, bool delta)
{
    struct peek_answer seen;
    peek_answer(bytes_str(json), &seen);
    usage_see(u, &seen, delta);
}

static void the_engines_last_word_counts(void **state)
{
    (void)state;
    struct usage u = { 0 };
    see(&u, "{\"choices\":[{\"delta\":{}}],\"usage\":null}", true);
    see(&u, "{\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}", false);
    see(&u, "{\"usage\":{\"input_tokens\":7,\"output_tokens\":8}}", false);
    const struct allowance_use use = usage_sum(&u, 1000);
    CHECK(use.prompt_tokens == 7 && use.answer_tokens == 8 && !use.estimated);
}

static void without_a_word_events_and_bytes_are_counted(void **state)
{
    (void)state;
    struct usage u = { 0 };
    for (int i = 0; i < 3; i++)
        see(&u, "{\"choices\":[{\"delta\":{}}]}", true);
    see(&u, "{\"choices\":[]}", false);
    const struct allowance_use use = usage_sum(&u, 41);
    CHECK(use.prompt_tokens == 10 && use.answer_tokens == 3 && use.estimated);
}

static void finds_usage_in_a_part_of_an_answer(void **state)
{
    (void)state;
    struct usage u = { 0 };
    usage_seek(&u, BYTES_LIT("0.1,0.2]}],\"usage\": {\"prompt_tokens\":5,\"total_tokens\":5,"
                             "\"more\":{\"a\":[1]}},\"x\":1}"));
    CHECK(u.known && u.prompt_tokens == 5 && u.answer_tokens == 0);
    usage_seek(&u,
               BYTES_LIT("{\"usage\":{\"prompt_tokens\":1},\"b\":{\"usage\":{\"prompt_tokens\":2,"
                         "\"completion_tokens\":3}}}"));
    CHECK(u.prompt_tokens == 2 && u.answer_tokens == 3);
}

static void what_the_model_says_of_usage_is_not_usage(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",
        "{\"content\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":9}\"}",
        "{\"usage\":null}",
        "{\"usage\":",
        "{\"usage\":{\"prompt_tokens\":9",
        "{\"usage\":\"prompt_tokens\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        struct usage u = { 0 };
        usage_seek(&u, bytes_str(none[i]));
        CHECK(!u.known);
    }
}

static void a_usage_that_is_too_long_is_none(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct usage u = { 0 };
        BUF_AUTO text = BUF(2 * USAGE_OBJECT_MAX);
        CHECK_OK(buf_add_str(&text, "\"usage\":{\"prompt_tokens\":1"));
        while (text.len < USAGE_OBJECT_MAX + over - 3) /* three braces around */
            CHECK_OK(buf_add_u8(&text, ' '));
        CHECK_OK(buf_add_u8(&text, '}'));
        usage_seek(&u, buf_view(&text));
        CHECK(u.known == (over == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_engines_last_word_counts),
        cmocka_unit_test(without_a_word_events_and_bytes_are_counted),
        cmocka_unit_test(finds_usage_in_a_part_of_an_answer),
        cmocka_unit_test(what_the_model_says_of_usage_is_not_usage),
        cmocka_unit_test(a_usage_that_is_too_long_is_none),
    };
    return cmocka_run_group_tests_name("api/usage", tests, NULL, NULL);
}
