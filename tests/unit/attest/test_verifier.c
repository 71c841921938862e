#include "attest/simulated.h"
#include "attest/verifier.h"
#include "tests/lib/law.h"

static void finds_a_platform_by_its_whole_name_only(void **state)
{
    (void)state;
    CHECK(verifier_find(BYTES_LIT("simulated")) == simulated_verifier);
    CHECK(verifier_find(BYTES_LIT("simulate")) == NULL);
    CHECK(verifier_find(BYTES_LIT("simulated\0")) == NULL);
    CHECK(verifier_find(BYTES_LIT("Simulated")) == NULL);
    CHECK(verifier_find((bytes){ 0 }) == NULL);
}

static void knows_the_registers_of_a_platform(void **state)
{
    (void)state;
    const struct verifier *v = verifier_find(BYTES_LIT("simulated"));
    CHECK(verifier_register(v, BYTES_LIT("pcr1"))->len == 48);
    CHECK(verifier_register(v, BYTES_LIT("pcr3")) == NULL);
    CHECK(verifier_register(v, (bytes){ 0 }) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_platform_by_its_whole_name_only),
        cmocka_unit_test(knows_the_registers_of_a_platform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
