#include "attest/attesters.h"
#include "attest/simulated.h"
#include "tests/lib/law.h"

static const struct attesters_settings settings = { .snp_vmpl = SNP_VMPL_DEFAULT };

static err try_open(const char *platform)
{
    struct attester *a = NULL;
    err e = attesters_open(&a, platform, &settings);
    CHECK((a != NULL) == err_is_ok(e));
    if (a != NULL)
        assert_string_equal(a->kind->platform, platform);
    attester_free(a);
    return e;
}

/* On a machine that is one of them it is opened, on all others it is not there. */
static void every_platform_that_is_detected_can_be_opened(void **state)
{
    (void)state;
    struct detect d;
    CHECK_OK(detect_look(NULL, &d));
    for (size_t i = 0; i < d.n; i++) {
        err e = try_open(d.findings[i].platform);
        CHECK(e.code != ERR_UNSUPPORTED || d.findings[i].state != DETECT_ABSENT);
        if (d.findings[i].state == DETECT_ABSENT)
            CHECK(e.code == ERR_UNAVAILABLE || e.code == ERR_NOT_FOUND);
    }
}

static void the_simulated_platform_is_never_opened(void **state)
{
    (void)state;
    CHECK_ERR(try_open(SIMULATED_PLATFORM), UNSUPPORTED);
    CHECK_ERR(try_open(""), UNSUPPORTED);
    CHECK_ERR(try_open("SEV-SNP"), UNSUPPORTED);
}

static void without_a_name_the_choice_is_opened_or_nothing(void **state)
{
    (void)state;
    struct detect d;
    struct attester *a = NULL;
    err e = attesters_open_any(&a, &settings, &d);
    CHECK(d.n > 0);
    if (d.choice == NULL)
        CHECK_ERR(e, NOT_FOUND);
    else if (err_is_ok(e))
        assert_string_equal(a->kind->platform, d.choice);
    CHECK((a != NULL) == err_is_ok(e));
    attester_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_platform_that_is_detected_can_be_opened),
        cmocka_unit_test(the_simulated_platform_is_never_opened),
        cmocka_unit_test(without_a_name_the_choice_is_opened_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
