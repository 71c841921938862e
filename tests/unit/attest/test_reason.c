#include "attest/reason.h"
#include "base/attr.h"
#include "tests/lib/law.h"

static const enum reason all[] = {
#define X(name, word, sentence, advice) REASON_##name,
    REASON_LIST(X)
#undef X
};

static void every_reason_has_a_word_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        bytes word = bytes_str(reason_word(all[i]));
        CHECK(word.len > 0 && reason_sentence(all[i])[0] != '\0' && reason_advice(all[i]) != NULL);
        for (size_t k = 0; k < word.len; k++)
            CHECK((word.at[k] >= 'a' && word.at[k] <= 'z') || word.at[k] == '-');
        for (size_t j = 0; j < i; j++)
            CHECK(!bytes_equal(word, bytes_str(reason_word(all[j]))));
    }
}

static void zero_and_unknown_numbers_mean_unchecked(void **state)
{
    (void)state;
    assert_string_equal(reason_word((enum reason)0), "unchecked");
    assert_string_equal(reason_word((enum reason)9999), "unchecked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_a_word_of_its_own),
        cmocka_unit_test(zero_and_unknown_numbers_mean_unchecked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
