#include "gateway/blame.h"
#include "tests/lib/law.h"
#include "wire/names.h"

static const struct bhttp_field RECEIPT = {
    { (const uint8_t *)FIELD_RECEIPT_ID, sizeof FIELD_RECEIPT_ID - 1 }, { (const uint8_t *)"ab", 2 }
};
static const struct bhttp_field NO_USE = { { (const uint8_t *)FIELD_SHOULD_RETRY,
                                             sizeof FIELD_SHOULD_RETRY - 1 },
                                           { (const uint8_t *)"False", 5 } };

static struct bhttp_head own(unsigned status)
{
    return (struct bhttp_head){ .status = status };
}

static struct bhttp_head engines(unsigned status)
{
    return (struct bhttp_head){ .status = status, .fields = &RECEIPT, .fields_n = 1 };
}

static enum balance_outcome blame(struct bhttp_head head)
{
    return blame_head(&head);
}

static bool is_undone(struct bhttp_head head)
{
    return blame_is_undone(&head);
}

static void an_answer_below_500_is_well_whoever_says_it(void **state)
{
    (void)state;
    for (unsigned status = 200; status < 500; status++) {
        CHECK(blame(own(status)) == BALANCE_WELL && blame(engines(status)) == BALANCE_WELL);
        CHECK(!is_undone(own(status)) && !is_undone(engines(status)));
    }
}

static void a_failure_is_the_workers_or_its_engines(void **state)
{
    (void)state;
    for (unsigned status = 500; status < 600; status++) {
        CHECK(blame(own(status)) == BALANCE_FAILED);
        CHECK(blame(engines(status)) == (status == 503 ? BALANCE_FAILED : BALANCE_POOR));
    }
}

static void only_what_was_not_acted_on_may_be_sent_elsewhere(void **state)
{
    (void)state;
    for (unsigned status = 500; status < 600; status++) {
        CHECK(is_undone(own(status)) == (status == 502 || status == 503));
        CHECK(is_undone(engines(status)) == (status == 503));
    }
}

static void the_word_that_it_is_no_use_is_heard(void **state)
{
    (void)state;
    for (unsigned status = 502; status < 504; status++) {
        const struct bhttp_head head = { .status = status, .fields = &NO_USE, .fields_n = 1 };
        CHECK(!blame_is_undone(&head) && blame_head(&head) == BALANCE_FAILED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_below_500_is_well_whoever_says_it),
        cmocka_unit_test(a_failure_is_the_workers_or_its_engines),
        cmocka_unit_test(only_what_was_not_acted_on_may_be_sent_elsewhere),
        cmocka_unit_test(the_word_that_it_is_no_use_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
