#include <string.h>

#include "attest/tdx_fault.h"
#include "tests/lib/law.h"

static void words_and_checks_of_faults_are_all_there_and_all_different(void **state)
{
    (void)state;
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        struct tdx_faults set = { 0 };
        CHECK(tdx_fault_word(f)[0] != '\0' && tdx_fault_check(f) < TDX_CHECKS);
        tdx_fault_add(&set, f);
        CHECK(tdx_fault_has(&set, f) && tdx_fault_of(&set, tdx_fault_check(f)) == f);
        for (enum tdx_fault g = 0; g < f; g++) {
            CHECK(strcmp(tdx_fault_word(f), tdx_fault_word(g)) != 0);
            CHECK(!tdx_fault_has(&set, g));
        }
    }
    for (enum tdx_check c = 0; c < TDX_CHECKS; c++)
        CHECK(tdx_check_word(c)[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_and_checks_of_faults_are_all_there_and_all_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
