#include "attest/claims.h"
#include "attest/tdx.h"
#include "attest/verify.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/unit/attest/foreign.h"
#include "tests/unit/attest/tdx_scene.h"

/* The bundle's parts around one sample, and a policy for it. */
struct whole {
    struct tdx_scene scene;
    struct buf collateral;
    struct buf claims;
    struct bundle bundle;
    struct policy *policy;
    struct verifier_facts facts;
};

/* The first digest that extended RTMR2 in the shared boot log. */
#define RTMR2_FIRST                                                                                \
    "80ee2571334a57bf90238d21964447e542079d4805fa8788"                                             \
    "7817a97dcb720906683a09b1ac634c76c0c0be1177f76110"

static const uint8_t zeros[32];

/* `named` is which registers the policy names, in the order of the quote's own list. */
static void set_policy(struct whole *w, const enum tdx_field *named, size_t n, const char *section)
{
    BUF_AUTO yaml = BUF(16 * 1024);
    BUF_AUTO message = BUF(1024);
    policy_free(w->policy);
    w->policy = NULL;
    CHECK_OK(buf_add_str(&yaml, "platforms: [tdx]\nmeasurements:\n"));
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(buf_addf(&yaml, "  %s: [", tdx_field_name(named[i])));
        CHECK_OK(text_hex_encode(&yaml, tdx_quote_field(&w->scene.result->quote, named[i])));
        CHECK_OK(buf_add_str(&yaml, "]\n"));
    }
    CHECK_OK(buf_add_str(&yaml, section));
    err e = policy_read(&w->policy, buf_view(&yaml), "p", &message);
    if (!err_is_ok(e))
        fail_msg("%s", buf_str(&message));
}

static const enum tdx_field all_named[] = { TDX_MRTD, TDX_RTMR0, TDX_RTMR1, TDX_RTMR2 };

static bool whole_open(struct whole *w, const struct tdx_sample *sample)
{
    *w = (struct whole){ 0 };
    if (!tdx_scene_open(&w->scene, sample))
        return false;
    tdx_scene_verify(&w->scene);
    w->collateral = BUF(BUNDLE_COLLATERAL_MAX);
    w->claims = BUF(CLAIMS_MAX);
    CHECK_OK(tdx_collateral_write(&w->collateral, &w->scene.collateral));
    CHECK_OK(claims_write(&w->claims, &(struct claims){ .model = BYTES_LIT("m"),
                                                        .worker = BYTES_LIT("w"),
                                                        .software = BYTES_LIT("0.1.0"),
                                                        .model_version = BYTES_LIT("1") }));
    w->bundle = (struct bundle){ .version = BUNDLE_VERSION,
                                 .nonce = BYTES_ARRAY(zeros),
                                 .claims = buf_view(&w->claims),
                                 .identity = BYTES_ARRAY(zeros),
                                 .platform = BYTES_LIT(TDX_PLATFORM),
                                 .collateral = buf_view(&w->collateral),
                                 .evidence = buf_view(&w->scene.files[SCENE_QUOTE]) };
    return true;
}

static void whole_close(struct whole *w)
{
    policy_free(w->policy);
    buf_clear(&w->collateral);
    buf_clear(&w->claims);
    tdx_scene_close(&w->scene);
}

static void examine(struct whole *w)
{
    w->facts = (struct verifier_facts){ 0 };
    CHECK_OK(tdx_verifier->examine(&w->bundle, w->policy, w->scene.input.now, &w->facts));
}

static void check_outcome(struct verifier_outcome o, enum verdict_status status, const char *reason)
{
    CHECK(o.status == status);
    assert_string_equal(reason_word(o.reason), reason);
}

static void genuine_evidence_passes_and_its_registers_are_reported(void **state)
{
    (void)state;
    const struct tdx_sample *const samples[] = { &tdx_v4, &tdx_v5 };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct whole w;
        if (!whole_open(&w, samples[i]))
            skip();
        set_policy(&w, all_named, ARRAY_LEN(all_named), "");
        examine(&w);
        check_outcome(w.facts.form, VERDICT_PASS, "ok");
        check_outcome(w.facts.signature, VERDICT_PASS, "ok");
        check_outcome(w.facts.debug, VERDICT_PASS, "ok");
        check_outcome(w.facts.tcb, VERDICT_PASS, "ok");
        CHECK(w.facts.measurements.status == VERDICT_SKIP && w.facts.subject == NULL);
        CHECK(w.facts.registers_n == (i == 0 ? 9 : 10));
        CHECK_BYTES(BYTES_ARRAY(w.facts.report_data),
                    tdx_quote_field(&w.scene.result->quote, TDX_REPORT_DATA));
        whole_close(&w);
    }
}

static void registers_that_a_policy_forgot_refuse(void **state)
{
    (void)state;
    struct whole w;
    if (!whole_open(&w, &tdx_v4))
        skip();
    for (size_t n = 1; n < ARRAY_LEN(all_named); n++) {
        set_policy(&w, all_named, n, "");
        examine(&w);
        check_outcome(w.facts.measurements, VERDICT_FAIL, "no-expectation");
        assert_string_equal(w.facts.measurements_subject, tdx_field_name(all_named[n]));
    }
    whole_close(&w);
}

/* That quote's MRCONFIGID is not zero. */
static const struct tdx_sample configured = { "quotes/v4-00a06d-outofdate.bin",
                                              "collateral/2025-10-00a06d", 1762300800 };

static void registers_that_should_be_zero_have_to_be_named_when_they_are_not(void **state)
{
    (void)state;
    static const enum tdx_field also[] = { TDX_MRTD, TDX_RTMR0, TDX_RTMR1, TDX_RTMR2,
                                           TDX_MRCONFIGID };
    struct whole w;
    if (!whole_open(&w, &configured))
        skip();
    set_policy(&w, all_named, ARRAY_LEN(all_named), "");
    examine(&w);
    check_outcome(w.facts.measurements, VERDICT_FAIL, "no-expectation");
    assert_string_equal(w.facts.measurements_subject, "mrconfigid");
    set_policy(&w, also, ARRAY_LEN(also), "");
    examine(&w);
    CHECK(w.facts.measurements.status == VERDICT_SKIP);
    whole_close(&w);
}

static void a_genuine_domain_of_somebody_else_is_refused(void **state)
{
    (void)state;
    static const char *const owners[] = { "mrowner", "mrownerconfig", "rtmr3" };
    struct whole w;
    if (!whole_open(&w, &configured))
        skip();
    set_policy(&w, all_named, ARRAY_LEN(all_named), "");
    examine(&w);
    w.facts.measurements = (struct verifier_outcome){ 0 };
    foreign_law(tdx_verifier, &w.facts, "mrtd", "mrconfigid");
    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        for (size_t k = 0; k < w.facts.registers_n; k++) {
            struct verdict_register *r = &w.facts.registers[k];
            if (bytes_equal(bytes_str(r->name), bytes_str(owners[i])))
                memset(r->value, (int)i + 0x31, r->len);
        }
        foreign_law(tdx_verifier, &w.facts, "mrtd", owners[i]);
    }
    whole_close(&w);
}

static void a_boot_digest_can_stand_for_a_register(void **state)
{
    (void)state;
    static const struct tdx_sample with_log = { "quotes/v4-00806f-gcp-uptodate.bin",
                                                "collateral/2025-06-00806f", 1750809600 };
    struct whole w;
    struct buf log;
    if (!whole_open(&w, &with_log))
        skip();
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    w.scene.collateral.ccel = bytes_slice(buf_view(&log), 0, 18101);
    buf_truncate(&w.collateral, 0);
    CHECK_OK(tdx_collateral_write(&w.collateral, &w.scene.collateral));
    w.bundle.collateral = buf_view(&w.collateral);
    set_policy(&w, all_named, 3, "tdx: { boot_digests: { rtmr2: [" RTMR2_FIRST "] } }\n");
    examine(&w);
    CHECK(w.facts.measurements.status == VERDICT_SKIP && w.facts.tcb.status == VERDICT_PASS);
    w.scene.collateral.ccel = (bytes){ 0 };
    buf_truncate(&w.collateral, 0);
    CHECK_OK(tdx_collateral_write(&w.collateral, &w.scene.collateral));
    w.bundle.collateral = buf_view(&w.collateral);
    examine(&w);
    check_outcome(w.facts.measurements, VERDICT_FAIL, "absent");
    assert_string_equal(w.facts.measurements_subject, "event-log-absent");
    whole_close(&w);
    buf_clear(&log);
}

static void what_fails_is_named(void **state)
{
    (void)state;
    struct whole w;
    if (!whole_open(&w, &tdx_debug))
        skip();
    set_policy(&w, all_named, 2, "");
    examine(&w);
    check_outcome(w.facts.debug, VERDICT_FAIL, "debug-enabled");
    assert_string_equal(w.facts.subject, "debug");
    whole_close(&w);
    CHECK(whole_open(&w, &tdx_old));
    static const enum tdx_field named[] = { TDX_MRTD };
    set_policy(&w, named, 1, "tdx: { sept_ve_disable: any }\n");
    examine(&w);
    check_outcome(w.facts.tcb, VERDICT_FAIL, "tcb-low");
    assert_string_equal(w.facts.subject, "tcb-status");
    whole_close(&w);
}

static void collateral_that_is_not_there_or_spoiled_is_a_matter_of_form(void **state)
{
    (void)state;
    struct whole w;
    if (!whole_open(&w, &tdx_v4))
        skip();
    set_policy(&w, all_named, ARRAY_LEN(all_named), "");
    w.bundle.collateral = (bytes){ 0 };
    examine(&w);
    check_outcome(w.facts.form, VERDICT_FAIL, "absent");
    w.bundle.collateral = bytes_slice(buf_view(&w.collateral), 0, w.collateral.len - 1);
    examine(&w);
    check_outcome(w.facts.form, VERDICT_FAIL, "malformed");
    CHECK(w.facts.registers_n == 0);
    whole_close(&w);
}

static void the_frame_refuses_a_genuine_quote_that_binds_something_else(void **state)
{
    (void)state;
    struct whole w;
    static struct verdict v;
    if (!whole_open(&w, &tdx_v4))
        skip();
    set_policy(&w, all_named, ARRAY_LEN(all_named), "");
    struct verify_settings s = { .policy = w.policy,
                                 .now = w.scene.input.now,
                                 .nonce = BYTES_ARRAY(zeros) };
    CHECK_OK(attest_verify_evidence(&w.bundle, &s, &v));
    CHECK(!v.accepted && v.trust == TRUST_NONE);
    assert_string_equal(verdict_failure(&v)->name, "binding");
    CHECK(verdict_failure(&v)->subject == NULL && v.registers_n == 9);
    verdict_clear(&v);
    w.scene.files[SCENE_QUOTE].at[700] ^= 1;
    CHECK_OK(attest_verify_evidence(&w.bundle, &s, &v));
    assert_string_equal(verdict_failure(&v)->name, "signature");
    CHECK(v.registers_n == 0);
    verdict_clear(&v);
    whole_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genuine_evidence_passes_and_its_registers_are_reported),
        cmocka_unit_test(registers_that_a_policy_forgot_refuse),
        cmocka_unit_test(registers_that_should_be_zero_have_to_be_named_when_they_are_not),
        cmocka_unit_test(a_genuine_domain_of_somebody_else_is_refused),
        cmocka_unit_test(a_boot_digest_can_stand_for_a_register),
        cmocka_unit_test(what_fails_is_named),
        cmocka_unit_test(collateral_that_is_not_there_or_spoiled_is_a_matter_of_form),
        cmocka_unit_test(the_frame_refuses_a_genuine_quote_that_binds_something_else),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
