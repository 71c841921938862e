#include "base/attr.h"
#include "gateway/quarantine.h"
#include "tests/lib/law.h"

static void every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < QUARANTINE_REASONS; i++) {
        CHECK(quarantine_words[i] != NULL);
        assert_string_equal(quarantine_word((enum quarantine)i).text, quarantine_words[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(quarantine_words[i], quarantine_words[k]);
    }
    assert_string_equal(quarantine_word(QUARANTINE_REASONS).text, "other");
}

static void every_error_is_a_reason_and_none_is_none(void **state)
{
    (void)state;
    for (int code = ERR_OK; code <= ERR_INTERNAL; code++) {
        enum quarantine reason = quarantine_of((err){ (enum err_code)code });
        CHECK(reason > QUARANTINE_NONE && reason < QUARANTINE_CHECK);
    }
    CHECK(quarantine_of((err){ ERR_UNAVAILABLE }) == QUARANTINE_UNREACHABLE);
    CHECK(quarantine_of((err){ ERR_TIMEOUT }) == QUARANTINE_TIMEOUT);
    CHECK(quarantine_of((err){ ERR_TRUNCATED }) == QUARANTINE_MALFORMED);
    CHECK(quarantine_of((err){ ERR_UNTRUSTED }) == QUARANTINE_COLLATERAL);
    CHECK(quarantine_of((err){ ERR_NOMEM }) == QUARANTINE_OTHER);
}

static void the_last_failed_check_is_the_reason(void **state)
{
    (void)state;
    struct verdict v = { 0 };
    CHECK(quarantine_of_verdict(&v) == QUARANTINE_OTHER);
    v.checks[VERDICT_MEASUREMENTS].status = VERDICT_FAIL;
    assert_string_equal(quarantine_words[quarantine_of_verdict(&v)], "measurements");
    v.checks[VERDICT_WORKER].status = VERDICT_FAIL;
    assert_string_equal(quarantine_words[quarantine_of_verdict(&v)], "worker");
}

static void what_a_policy_refuses_is_not_false(void **state)
{
    (void)state;
    static const enum verdict_check_id own[] = { VERDICT_FORM,    VERDICT_SIGNATURE,
                                                 VERDICT_BINDING, VERDICT_IDENTITY,
                                                 VERDICT_NONCE,   VERDICT_STATEMENT };
    size_t is_false = 0;
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        struct verdict v = { 0 };
        v.checks[i].status = VERDICT_FAIL;
        is_false += quarantine_is_false(&v);
    }
    CHECK(is_false == ARRAY_LEN(own));
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct verdict v = { 0 };
        v.checks[own[i]].status = VERDICT_FAIL;
        CHECK(quarantine_is_false(&v));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_word_of_its_own),
        cmocka_unit_test(every_error_is_a_reason_and_none_is_none),
        cmocka_unit_test(the_last_failed_check_is_the_reason),
        cmocka_unit_test(what_a_policy_refuses_is_not_false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
