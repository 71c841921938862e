#include "crypto/init.h"
#include "tests/unit/attest/tdx_maker.h"

static void refused(const struct tdx_recipe *r, enum tdx_fault fault)
{
    struct tdx_scene s;
    tdx_make(&s, r);
    tdx_scene_refuses(&s, fault);
    tdx_scene_close(&s);
}

static void what_is_made_here_is_accepted_only_under_its_own_root(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    struct tdx_scene s;
    for (r.version = 4; r.version <= 5; r.version++) {
        tdx_make(&s, &r);
        tdx_scene_accepts(&s);
        CHECK(s.result->evaluation == 20);
        s.policy.roots.n = 0;
        tdx_scene_refuses(&s, TDX_FAULT_UNTRUSTED_ROOT);
        tdx_scene_refuses(&s, TDX_FAULT_TCB_CHAIN_ROOT);
        tdx_scene_close(&s);
    }
}

static void what_is_revoked_is_refused(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.pck_revoked = true;
    refused(&r, TDX_FAULT_PCK_REVOKED);
    r = tdx_recipe_good();
    r.ca_revoked = true;
    refused(&r, TDX_FAULT_CA_REVOKED);
    r = tdx_recipe_good();
    r.signer_revoked = true;
    refused(&r, TDX_FAULT_SIGNER_REVOKED);
}

static void a_leaf_of_another_name_is_refused(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.leaf_name = "Intel SGX TCB Signing";
    refused(&r, TDX_FAULT_PCK_CHAIN_NAMES);
}

static void another_quoting_enclave_is_refused(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.qe_mrsigner = 0x50;
    refused(&r, TDX_FAULT_QE_MISMATCH);
    r = tdx_recipe_good();
    r.qe_isvsvn = 2;
    refused(&r, TDX_FAULT_QE_NOT_SUPPORTED);
    r.qe_isvsvn = 4; /* out of date */
    refused(&r, TDX_FAULT_TCB_STATUS);
}

static void another_module_is_refused(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.svn[1] = r.svn2[1] = 2;
    refused(&r, TDX_FAULT_MODULE_UNKNOWN);
    r = tdx_recipe_good();
    r.mrsignerseam = 1;
    refused(&r, TDX_FAULT_MODULE_MISMATCH);
    r = tdx_recipe_good();
    r.svn[0] = r.svn2[0] = 0;
    refused(&r, TDX_FAULT_MODULE_NOT_SUPPORTED);
}

static void attributes_are_held_to_their_rules(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        struct tdx_recipe r = tdx_recipe_good();
        struct tdx_scene s;
        r.attributes ^= (uint64_t)1 << bit;
        tdx_make(&s, &r);
        if (bit == 30 || bit == 63)
            tdx_scene_accepts(&s);
        else
            tdx_scene_refuses(&s, bit == 0    ? TDX_FAULT_DEBUG
                                  : bit == 28 ? TDX_FAULT_SEPT_VE
                                  : bit == 29 ? TDX_FAULT_MIGRATABLE
                                              : TDX_FAULT_RESERVED_BITS);
        s.policy.any_sept_ve = true;
        s.policy.migratable = true;
        tdx_scene_verify(&s);
        CHECK(s.result->accepted == ((bit >= 28 && bit <= 30) || bit == 63));
        tdx_scene_close(&s);
    }
}

static void status_is(struct tdx_recipe r, const char *status, bool relaunch)
{
    struct tdx_scene s;
    tdx_make(&s, &r);
    tdx_scene_verify(&s);
    assert_string_equal(tdx_status_word(s.result->status), status);
    CHECK(s.result->relaunch_advised == relaunch);
    CHECK(s.result->accepted == (s.result->status == TDX_STATUS_UP_TO_DATE));
    tdx_scene_close(&s);
}

static void platform_and_module_make_one_status(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.version = 4;
    status_is(r, "UpToDate", false);
    r.svn[0] = 4;
    status_is(r, "OutOfDate", false);
    r.low_module = "Revoked";
    status_is(r, "Revoked", false);
    r = tdx_recipe_good();
    r.component = 4;
    r.low_status = "ConfigurationNeeded";
    status_is(r, "ConfigurationNeeded", false);
    r.svn[0] = r.svn2[0] = 4;
    status_is(r, "OutOfDateConfigurationNeeded", false);
}

static void of_a_td_that_outlived_a_module_both_are_looked_at(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.svn[0] = 4;
    status_is(r, "OutOfDate", true); /* the module that runs now is up to date */
    r = tdx_recipe_good();
    r.svn2[0] = 4;
    status_is(r, "UpToDate", false); /* went back, which counts only when it is revoked */
    r.low_module = "Revoked";
    status_is(r, "Revoked", false);
    r = tdx_recipe_good();
    r.svn2[1] = 9;
    refused(&r, TDX_FAULT_MODULE_UNKNOWN);
}

static void advisories_of_all_parts_are_listed_once_each(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    struct tdx_scene s;
    r.component = 4;
    r.svn[0] = r.svn2[0] = 4;
    tdx_make(&s, &r);
    tdx_scene_refuses(&s, TDX_FAULT_ADVISORY);
    CHECK(s.result->advisories_n == 2);
    assert_string_equal(s.result->advisories[0].id, "INTEL-SA-00001");
    assert_string_equal(s.result->advisories[1].id, "INTEL-SA-00002");
    s.policy.statuses = 1U << TDX_STATUS_OUT_OF_DATE;
    s.policy.any_advisory = true;
    tdx_scene_accepts(&s);
    tdx_scene_close(&s);
}

static void revoked_is_refused_whatever_the_policy(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    struct tdx_scene s;
    r.component = 4;
    r.low_status = "Revoked";
    tdx_make(&s, &r);
    s.policy.statuses = ~0U;
    s.policy.any_advisory = true;
    tdx_scene_refuses(&s, TDX_FAULT_TCB_STATUS);
    tdx_scene_close(&s);
}

static void a_status_that_nobody_knows_is_refused(void **state)
{
    (void)state;
    struct tdx_recipe r = tdx_recipe_good();
    r.low_status = "Fine";
    refused(&r, TDX_FAULT_TCB_INFO_FORM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_here_is_accepted_only_under_its_own_root),
        cmocka_unit_test(what_is_revoked_is_refused),
        cmocka_unit_test(a_leaf_of_another_name_is_refused),
        cmocka_unit_test(another_quoting_enclave_is_refused),
        cmocka_unit_test(another_module_is_refused),
        cmocka_unit_test(attributes_are_held_to_their_rules),
        cmocka_unit_test(platform_and_module_make_one_status),
        cmocka_unit_test(of_a_td_that_outlived_a_module_both_are_looked_at),
        cmocka_unit_test(advisories_of_all_parts_are_listed_once_each),
        cmocka_unit_test(revoked_is_refused_whatever_the_policy),
        cmocka_unit_test(a_status_that_nobody_knows_is_refused),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
