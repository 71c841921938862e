#include "attest/envelope.h"
#include "attest/verify.h"
#include "attest/verify_test.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

static struct scene s;

static int open_scene(void **state)
{
    (void)state;
    scene_open(&s);
    scene_make(&s);
    return 0;
}

static int close_scene(void **state)
{
    (void)state;
    scene_close(&s);
    return 0;
}

static bytes identity(void)
{
    return bytes_of(signing_key_public(s.identity), 32);
}

/* --- acceptance ------------------------------------------------------------------------------ */

static void accepts_and_hands_out_what_was_verified(void **state)
{
    (void)state;
    struct verdict v;
    uint8_t digest[SHA256_LEN];
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted && v.trust == TRUST_SIMULATED && verdict_failure(&v) == NULL);
    assert_string_equal(v.platform, "simulated");
    CHECK_BYTES(BYTES_ARRAY(v.identity), identity());
    CHECK_BYTES(buf_view(&v.key_list), BYTES_ARRAY(s.key_list_bytes));
    CHECK(v.not_before == SCENE_NOW - 60 && v.not_after == SCENE_NOW + 3600);
    CHECK(v.generation == 3 && v.evidence_at == SCENE_NOW);
    assert_string_equal(v.worker, "worker-1");
    assert_string_equal(v.software, "0.1.0");
    CHECK_BYTES(BYTES_ARRAY(v.operator_key), BYTES_ARRAY(s.operator_key));
    CHECK_BYTES(BYTES_ARRAY(v.manifest_digest), BYTES_ARRAY(s.manifest_digest));
    CHECK_BYTES(verdict_register(&v, "pcr2"), BYTES_ARRAY(s.registers.pcr[2]));
    sha256_of(buf_view(&s.document), digest);
    CHECK_BYTES(BYTES_ARRAY(v.document_digest), BYTES_ARRAY(digest));
    verdict_clear(&v);
}

static void lists_each_check_as_passed_or_skipped(void **state)
{
    (void)state;
    static const enum verdict_check_id skipped[] = { VERDICT_IDENTITY, VERDICT_DEBUG,
                                                     VERDICT_TCB,      VERDICT_GPU,
                                                     VERDICT_OPERATOR, VERDICT_MODEL,
                                                     VERDICT_WORKER,   VERDICT_SOFTWARE };
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        bool skip = false;
        for (size_t k = 0; k < ARRAY_LEN(skipped); k++)
            skip = skip || skipped[k] == i;
        CHECK(v.checks[i].status == (skip ? VERDICT_SKIP : VERDICT_PASS));
        assert_string_equal(v.checks[i].name, verdict_check_name((enum verdict_check_id)i));
    }
    verdict_clear(&v);
}

static void a_full_policy_checks_all_claims(void **state)
{
    (void)state;
    scene_policy(
        &s,
        "platforms: [simulated]\n"
        "measurements: { pcr0: [%1, %0], simulated: { pcr1: [%1] } }\n"
        "operator_keys: ['1111111111111111111111111111111111111111111111111111111111111111']\n"
        "model_digests: ['2222222222222222222222222222222222222222222222222222222222222222']\n"
        "worker_names: [worker-0, worker-1]\n"
        "minimum_software: 0.1.0\n");
    s.settings.identity = identity();
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted);
    static const enum verdict_check_id passed[] = { VERDICT_IDENTITY, VERDICT_MEASUREMENTS,
                                                    VERDICT_OPERATOR, VERDICT_MODEL,
                                                    VERDICT_WORKER,   VERDICT_SOFTWARE };
    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        CHECK(v.checks[passed[i]].status == VERDICT_PASS);
    verdict_clear(&v);
}

/* --- form and signature ---------------------------------------------------------------------- */

static void rebuild(const struct bundle *b)
{
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(evidence_document_write(&document, b));
    scene_join(&s, buf_view(&document), buf_view(&s.key_statement));
}

static struct bundle parts(void)
{
    struct bundle b;
    CHECK_OK(evidence_document_read(buf_view(&s.document), &b));
    return b;
}

static void refuses_what_is_no_bundle(void **state)
{
    (void)state;
    static uint8_t zeros[BUNDLE_MAX + 1];
    struct verdict v;
    CHECK_OK(attest_verify((bytes){ 0 }, &s.settings, &v));
    scene_check_refusal(&v, VERDICT_FORM, "malformed");
    CHECK_OK(attest_verify(BYTES_ARRAY(zeros), &s.settings, &v));
    scene_check_refusal(&v, VERDICT_FORM, "too-large");
    CHECK_OK(attest_verify(buf_view(&s.document), &s.settings, &v));
    scene_check_refusal(&v, VERDICT_FORM, "malformed");
}

static void refuses_a_platform_without_a_verifier(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.platform = BYTES_LIT("other");
    rebuild(&b);
    scene_refuses(&s, VERDICT_FORM, "no-verifier");
}

static void refuses_claims_that_are_no_claims(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.claims = BYTES_LIT("\xa0");
    rebuild(&b);
    scene_refuses(&s, VERDICT_FORM, "malformed");
}

static void refuses_collateral_where_there_is_none_to_have(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.collateral = BYTES_LIT("x");
    rebuild(&b);
    scene_refuses(&s, VERDICT_FORM, "surplus");
}

static void refuses_a_statement_in_place_of_evidence(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.evidence = buf_view(&s.key_statement);
    rebuild(&b);
    scene_refuses(&s, VERDICT_FORM, "malformed");
}

static void refuses_evidence_signed_by_another_key(void **state)
{
    (void)state;
    static const char type[] = "application/vnd.sealgate.simulated-evidence+cbor";
    struct bundle b = parts();
    struct cose_sign1 c;
    BUF_AUTO forged = BUF(BUNDLE_EVIDENCE_MAX);
    CHECK_OK(envelope_read(b.evidence, type, &c));
    CHECK_OK(envelope_write(&forged, type, c.payload, s.identity));
    b.evidence = buf_view(&forged);
    rebuild(&b);
    scene_refuses(&s, VERDICT_SIGNATURE, "bad-signature");
}

/* --- binding --------------------------------------------------------------------------------- */

static void refuses_evidence_of_another_identity(void **state)
{
    (void)state;
    struct signing_key *thief;
    struct bundle b = parts();
    CHECK_OK(signing_key_generate(&thief));
    b.identity = bytes_of(signing_key_public(thief), 32);
    rebuild(&b);
    scene_refuses(&s, VERDICT_BINDING, "mismatch");
    signing_key_free(thief);
}

static void refuses_evidence_made_for_other_claims(void **state)
{
    (void)state;
    BUF_AUTO claims = BUF(CLAIMS_MAX);
    struct bundle b = parts();
    struct claims c = s.claims;
    c.operator_key = (bytes){ 0 };
    CHECK_OK(claims_write(&claims, &c));
    b.claims = buf_view(&claims);
    rebuild(&b);
    scene_refuses(&s, VERDICT_BINDING, "mismatch");
}

static void refuses_gpu_evidence_that_is_not_bound(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.gpu_evidence = BYTES_LIT("gpu");
    rebuild(&b);
    scene_refuses(&s, VERDICT_BINDING, "mismatch");
}

static void refuses_a_replayed_document(void **state)
{
    (void)state;
    uint8_t other[32] = { 9 };
    s.settings.nonce = BYTES_ARRAY(other);
    scene_refuses(&s, VERDICT_NONCE, "mismatch");
    /* Relabelling it with the nonce that was asked for breaks the binding. */
    struct bundle b = parts();
    b.nonce = BYTES_ARRAY(other);
    rebuild(&b);
    scene_refuses(&s, VERDICT_BINDING, "mismatch");
}

static void refuses_part_of_the_nonce(void **state)
{
    (void)state;
    s.settings.nonce.len--;
    scene_refuses(&s, VERDICT_NONCE, "mismatch");
}

static void a_caller_who_forgets_the_nonce_is_refused(void **state)
{
    (void)state;
    s.settings.nonce = (bytes){ 0 };
    scene_refuses(&s, VERDICT_NONCE, "no-expectation");
    s.settings.any_nonce = true;
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted && v.checks[VERDICT_NONCE].status == VERDICT_SKIP);
    verdict_clear(&v);
}

static void refuses_an_identity_other_than_the_one_asked_for(void **state)
{
    (void)state;
    uint8_t other[32] = { 1 };
    s.settings.identity = identity();
    scene_accepts(&s);
    s.settings.identity = BYTES_ARRAY(other);
    scene_refuses(&s, VERDICT_IDENTITY, "mismatch");
    s.settings.identity = bytes_slice(identity(), 0, 31);
    scene_refuses(&s, VERDICT_IDENTITY, "mismatch");
}

/* --- freshness ------------------------------------------------------------------------------- */

static void the_evidence_may_be_as_old_as_the_policy_says(void **state)
{
    (void)state;
    s.settings.now = SCENE_NOW + POLICY_AGE_S_DEFAULT;
    scene_accepts(&s);
    s.settings.now++;
    scene_refuses(&s, VERDICT_FRESHNESS, "too-old");
    s.settings.any_age = true;
    scene_accepts(&s);
}

static void the_evidence_may_not_come_from_the_future(void **state)
{
    (void)state;
    s.statement.not_before -= 600;
    scene_make(&s);
    s.settings.now = SCENE_NOW - POLICY_SKEW_S_DEFAULT;
    scene_accepts(&s);
    s.settings.now--;
    scene_refuses(&s, VERDICT_FRESHNESS, "from-the-future");
    s.settings.any_age = true;
    scene_refuses(&s, VERDICT_FRESHNESS, "from-the-future");
    s.settings.now = INT64_MIN;
    scene_refuses(&s, VERDICT_FRESHNESS, "from-the-future");
    s.settings.now = INT64_MAX;
    s.settings.any_age = false;
    scene_refuses(&s, VERDICT_FRESHNESS, "too-old");
}

/* --- policy ---------------------------------------------------------------------------------- */

static void without_a_policy_everything_is_refused(void **state)
{
    (void)state;
    s.settings.policy = NULL;
    scene_refuses(&s, VERDICT_PLATFORM, "no-policy");
}

static void simulated_is_refused_unless_it_is_named(void **state)
{
    (void)state;
    struct policy other = { .platforms = { "tdx" },
                            .platforms_n = 1,
                            .any_measurements = true,
                            .max_age_s = 600,
                            .skew_s = 60 };
    s.settings.policy = &other;
    scene_refuses(&s, VERDICT_PLATFORM, "platform-not-named");
    other.platforms_n = 0;
    scene_refuses(&s, VERDICT_PLATFORM, "platform-not-named");
}

static void refuses_a_wrong_measurement_and_names_it(void **state)
{
    (void)state;
    s.registers.pcr[2][47] ^= 1;
    scene_make(&s);
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
    scene_check_refusal(&v, VERDICT_MEASUREMENTS, "mismatch");
    assert_string_equal(v.checks[VERDICT_MEASUREMENTS].subject, "pcr2");
    CHECK_BYTES(verdict_register(&v, "pcr2"), BYTES_ARRAY(s.registers.pcr[2]));
    verdict_clear(&v);
}

static void a_policy_without_measurements_refuses(void **state)
{
    (void)state;
    struct policy empty = {
        .platforms = { "simulated" }, .platforms_n = 1, .max_age_s = 600, .skew_s = 60
    };
    s.settings.policy = &empty;
    scene_refuses(&s, VERDICT_MEASUREMENTS, "no-expectation");
    empty.any_measurements = true;
    scene_accepts(&s);
}

static void any_measurements_does_not_undo_a_named_one(void **state)
{
    (void)state;
    s.registers.pcr[0][0] ^= 1;
    scene_make(&s);
    s.policy->any_measurements = true;
    scene_refuses(&s, VERDICT_MEASUREMENTS, "mismatch");
}

#define OPEN_POLICY "platforms: [simulated]\nmeasurements: any\n"
#define KEY_OF_ANOTHER "'3333333333333333333333333333333333333333333333333333333333333333'"

static void refuses_a_foreign_operator_model_worker_or_old_software(void **state)
{
    (void)state;
    static const struct {
        const char *yaml;
        enum verdict_check_id check;
    } cases[] = {
        { OPEN_POLICY "operator_keys: [" KEY_OF_ANOTHER "]\n", VERDICT_OPERATOR },
        { OPEN_POLICY "model_digests: [" KEY_OF_ANOTHER "]\n", VERDICT_MODEL },
        { OPEN_POLICY "worker_names: [worker-2]\n", VERDICT_WORKER },
        { OPEN_POLICY "minimum_software: 0.1.1\n", VERDICT_SOFTWARE },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        scene_policy(&s, cases[i].yaml);
        scene_refuses(&s, cases[i].check, "mismatch");
    }
    s.claims.operator_key = (bytes){ 0 };
    s.claims.manifest_digest = (bytes){ 0 };
    scene_make(&s);
    scene_policy(&s, cases[0].yaml);
    scene_refuses(&s, VERDICT_OPERATOR, "absent");
    scene_policy(&s, cases[1].yaml);
    scene_refuses(&s, VERDICT_MODEL, "absent");
}

/* --- key statement --------------------------------------------------------------------------- */

static void refuses_a_statement_by_another_key(void **state)
{
    (void)state;
    CHECK_OK(signing_key_generate(&s.statement_signer));
    scene_make(&s);
    scene_refuses(&s, VERDICT_STATEMENT, "bad-signature");
}

static void refuses_a_statement_of_another_worker(void **state)
{
    (void)state;
    s.statement.worker = BYTES_LIT("worker-2");
    scene_make(&s);
    scene_refuses(&s, VERDICT_STATEMENT, "mismatch");
}

static void refuses_something_else_signed_by_the_identity(void **state)
{
    (void)state;
    BUF_AUTO receipt = BUF(1024);
    CHECK_OK(cose_sign1_write(&receipt, BYTES_LIT("\xa2\x01\x27\x03\x18\x3d"), BYTES_LIT("\xa0"),
                              s.identity));
    scene_join(&s, buf_view(&s.document), buf_view(&receipt));
    scene_refuses(&s, VERDICT_STATEMENT, "malformed");
}

static void refuses_a_statement_outside_its_dates(void **state)
{
    (void)state;
    s.statement.not_after = SCENE_NOW - POLICY_SKEW_S_DEFAULT;
    s.statement.not_before = SCENE_NOW - 3600;
    scene_make(&s);
    scene_refuses(&s, VERDICT_DATES, "expired");
    s.statement.not_before = SCENE_NOW + POLICY_SKEW_S_DEFAULT + 1;
    s.statement.not_after = SCENE_NOW + 3600;
    scene_make(&s);
    scene_refuses(&s, VERDICT_DATES, "not-yet-valid");
    s.statement.not_before = SCENE_NOW + POLICY_SKEW_S_DEFAULT;
    scene_make(&s);
    scene_accepts(&s);
}

/* --- evidence documents ---------------------------------------------------------------------- */

static void an_evidence_document_verifies_later_and_gives_no_keys(void **state)
{
    (void)state;
    struct verdict v;
    struct verify_settings later = { .policy = s.policy,
                                     .now = SCENE_NOW + 40 * 86400,
                                     .identity = identity(),
                                     .any_nonce = true,
                                     .any_age = true };
    CHECK_OK(attest_verify_document(buf_view(&s.document), &later, &v));
    CHECK(v.accepted && v.trust == TRUST_SIMULATED);
    CHECK(v.checks[VERDICT_IDENTITY].status == VERDICT_PASS);
    CHECK(v.checks[VERDICT_STATEMENT].status == VERDICT_SKIP);
    CHECK(v.checks[VERDICT_DATES].status == VERDICT_SKIP);
    CHECK(v.key_list.len == 0 && v.not_after == 0);
    uint8_t digest[SHA256_LEN];
    sha256_of(buf_view(&s.document), digest);
    CHECK_BYTES(BYTES_ARRAY(v.document_digest), BYTES_ARRAY(digest));
    verdict_clear(&v);
    CHECK_OK(attest_verify_document(buf_view(&s.bundle), &later, &v));
    scene_check_refusal(&v, VERDICT_FORM, "malformed");
}

static void bare_evidence_meets_the_same_bounds(void **state)
{
    (void)state;
    struct verdict v;
    struct bundle b = parts();
    CHECK_OK(attest_verify_evidence(&b, &s.settings, &v));
    CHECK(v.accepted);
    verdict_clear(&v);
    b.nonce.len = 8;
    CHECK_OK(attest_verify_evidence(&b, &s.settings, &v));
    scene_check_refusal(&v, VERDICT_FORM, "too-large");
    b = parts();
    b.identity = (bytes){ 0 };
    CHECK_OK(attest_verify_evidence(&b, &s.settings, &v));
    scene_check_refusal(&v, VERDICT_FORM, "too-large");
}

/* --- what the frame asks of hardware --------------------------------------------------------- */

static struct verifier_facts told;

static struct buf told_collateral; /* what the verifier was given */

static err tell(const struct bundle *b, const struct policy *policy, int64_t now,
                struct verifier_facts *facts)
{
    (void)policy;
    (void)now;
    *facts = told;
    buf_clear(&told_collateral);
    told_collateral = BUF(64);
    CHECK_OK(buf_add(&told_collateral, b->collateral));
    binding_digest(&(struct binding){ .platform = BYTES_LIT("simulated"),
                                      .identity = b->identity,
                                      .nonce = b->nonce,
                                      .claims = b->claims,
                                      .gpu_evidence = b->gpu_evidence },
                   facts->report_data);
    return OK;
}

static const struct verifier_register told_registers[] = { { .name = "pcr0", .len = 48 },
                                                           { .name = "pcr1", .len = 48 },
                                                           { .name = "pcr2", .len = 48 } };

/* Named like the simulated platform, so that a policy can name it before there is hardware. */
static const struct verifier hardware = { .platform = "simulated",
                                          .trust = TRUST_HARDWARE,
                                          .registers = told_registers,
                                          .registers_n = ARRAY_LEN(told_registers),
                                          .examine = tell };

static void tell_good_facts(void)
{
    struct verifier_outcome pass = { VERDICT_PASS, REASON_PASSED };
    told = (struct verifier_facts){
        .form = pass, .signature = pass, .debug = pass, .tcb = pass, .registers_n = 3
    };
    for (size_t i = 0; i < 3; i++) {
        told.registers[i].name = told_registers[i].name;
        told.registers[i].len = 48;
        memcpy(told.registers[i].value, s.registers.pcr[i], 48);
    }
}

static void hardware_refuses(enum verdict_check_id check, const char *reason)
{
    struct verdict v;
    CHECK_OK(attest_verify_with(&hardware, buf_view(&s.bundle), &s.settings, &v));
    scene_check_refusal(&v, check, reason);
    verdict_clear(&v);
}

static void hardware_is_accepted_when_all_its_checks_passed(void **state)
{
    (void)state;
    struct verdict v;
    tell_good_facts();
    CHECK_OK(attest_verify_with(&hardware, buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted && v.trust == TRUST_HARDWARE);
    CHECK(v.checks[VERDICT_FRESHNESS].status == VERDICT_PASS && v.evidence_at == 0);
    verdict_clear(&v);
    s.settings.nonce = (bytes){ 0 };
    s.settings.any_nonce = true;
    hardware_refuses(VERDICT_FRESHNESS, "absent");
}

static void collateral_from_elsewhere_takes_the_place_of_what_is_carried(void **state)
{
    (void)state;
    struct verdict v;
    uint8_t digest[SHA256_LEN];
    tell_good_facts();
    s.settings.collateral = BYTES_LIT("from elsewhere");
    CHECK_OK(attest_verify_with(&hardware, buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted);
    CHECK_BYTES(buf_view(&told_collateral), BYTES_LIT("from elsewhere"));
    sha256_of(buf_view(&s.document), digest);
    CHECK_BYTES(BYTES_ARRAY(v.document_digest), BYTES_ARRAY(digest));
    verdict_clear(&v);
    s.settings.collateral = (bytes){ 0 };
    CHECK_OK(attest_verify_with(&hardware, buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted && told_collateral.len == 0);
    verdict_clear(&v);
    buf_clear(&told_collateral);
}

static void hardware_may_not_skip_a_check(void **state)
{
    (void)state;
    struct verifier_outcome skip = { VERDICT_SKIP, REASON_NOT_APPLICABLE };
    tell_good_facts();
    told.form = (struct verifier_outcome){ 0 };
    hardware_refuses(VERDICT_FORM, "unchecked");
    tell_good_facts();
    told.signature = skip;
    hardware_refuses(VERDICT_SIGNATURE, "unchecked");
    tell_good_facts();
    told.debug = skip;
    hardware_refuses(VERDICT_DEBUG, "unchecked");
    tell_good_facts();
    told.tcb = skip;
    hardware_refuses(VERDICT_TCB, "unchecked");
}

static void hardware_failures_keep_their_reasons(void **state)
{
    (void)state;
    tell_good_facts();
    told.debug = (struct verifier_outcome){ VERDICT_FAIL, REASON_DEBUG_ENABLED };
    told.tcb = (struct verifier_outcome){ VERDICT_FAIL, REASON_TCB_LOW };
    hardware_refuses(VERDICT_DEBUG, "debug-enabled");
    told.debug = (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
    hardware_refuses(VERDICT_TCB, "tcb-low");
}

static void a_register_that_is_asked_for_must_be_there(void **state)
{
    (void)state;
    tell_good_facts();
    told.registers_n = 2;
    hardware_refuses(VERDICT_MEASUREMENTS, "absent");
}

/* The same platform, but its registers do not say which code runs. */
static void secondary_registers_alone_are_no_measurement(void **state)
{
    (void)state;
    struct verifier_register weak[3];
    struct verifier vague = hardware;
    struct verdict v;
    memcpy(weak, told_registers, sizeof weak);
    for (size_t i = 0; i < ARRAY_LEN(weak); i++)
        weak[i].secondary = true;
    vague.registers = weak;
    tell_good_facts();
    CHECK_OK(attest_verify_with(&vague, buf_view(&s.bundle), &s.settings, &v));
    scene_check_refusal(&v, VERDICT_MEASUREMENTS, "no-expectation");
    verdict_clear(&v);
    weak[1].secondary = false;
    CHECK_OK(attest_verify_with(&vague, buf_view(&s.bundle), &s.settings, &v));
    CHECK(v.accepted);
    verdict_clear(&v);
}

static void the_check_of_the_platform_that_failed_is_named(void **state)
{
    (void)state;
    struct verdict v;
    tell_good_facts();
    told.tcb = (struct verifier_outcome){ VERDICT_FAIL, REASON_TCB_LOW };
    told.subject = "minimum-tcb";
    CHECK_OK(attest_verify_with(&hardware, buf_view(&s.bundle), &s.settings, &v));
    assert_string_equal(v.checks[VERDICT_TCB].subject, "minimum-tcb");
    verdict_clear(&v);
}

static void hardware_never_goes_unmeasured(void **state)
{
    (void)state;
    struct policy any = { .platforms = { "simulated" },
                          .platforms_n = 1,
                          .any_measurements = true,
                          .max_age_s = 600,
                          .skew_s = 60 };
    tell_good_facts();
    s.settings.policy = &any;
    hardware_refuses(VERDICT_MEASUREMENTS, "no-expectation");
}

static void gpu_evidence_nobody_looks_at_is_refused(void **state)
{
    (void)state;
    struct bundle b = parts();
    b.gpu_evidence = BYTES_LIT("gpu");
    rebuild(&b);
    tell_good_facts();
    hardware_refuses(VERDICT_GPU, "no-expectation");
}

/* --- laws ------------------------------------------------------------------------------------ */

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct verdict v;
    for (size_t i = 0; i < s.bundle.len * 8; i++) {
        s.bundle.at[i / 8] ^= (uint8_t)(1U << (i % 8));
        CHECK_OK(attest_verify(buf_view(&s.bundle), &s.settings, &v));
        if (v.accepted)
            fail_msg("bit %zu of byte %zu flipped and accepted", i % 8, i / 8);
        CHECK(verdict_failure(&v) != NULL && v.key_list.at == NULL);
        verdict_clear(&v);
        s.bundle.at[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    scene_accepts(&s);
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    struct verdict v;
    for (size_t n = 0; n < s.bundle.len; n++) {
        CHECK_OK(attest_verify(bytes_of(s.bundle.at, n), &s.settings, &v));
        scene_check_refusal(&v, VERDICT_FORM, "malformed");
    }
    CHECK_OK(buf_add_u8(&s.bundle, 0));
    scene_refuses(&s, VERDICT_FORM, "malformed");
}

static err verify_once(void *arg)
{
    struct verdict v;
    (void)arg;
    err e = attest_verify(buf_view(&s.bundle), &s.settings, &v);
    if (err_is_ok(e) != v.accepted)
        fail_msg("%s, but %s", err_word(e), v.accepted ? "accepted" : "refused");
    verdict_clear(&v);
    return e;
}

static err make_once(void *arg)
{
    (void)arg;
    return scene_try_make(&s);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(verify_once, NULL);
    law_every_allocation_fails_once(make_once, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accepts_and_hands_out_what_was_verified),
        TEST(lists_each_check_as_passed_or_skipped),
        TEST(a_full_policy_checks_all_claims),
        TEST(refuses_what_is_no_bundle),
        TEST(refuses_a_platform_without_a_verifier),
        TEST(refuses_claims_that_are_no_claims),
        TEST(refuses_collateral_where_there_is_none_to_have),
        TEST(refuses_a_statement_in_place_of_evidence),
        TEST(refuses_evidence_signed_by_another_key),
        TEST(refuses_evidence_of_another_identity),
        TEST(refuses_evidence_made_for_other_claims),
        TEST(refuses_gpu_evidence_that_is_not_bound),
        TEST(refuses_a_replayed_document),
        TEST(refuses_part_of_the_nonce),
        TEST(a_caller_who_forgets_the_nonce_is_refused),
        TEST(refuses_an_identity_other_than_the_one_asked_for),
        TEST(the_evidence_may_be_as_old_as_the_policy_says),
        TEST(the_evidence_may_not_come_from_the_future),
        TEST(without_a_policy_everything_is_refused),
        TEST(simulated_is_refused_unless_it_is_named),
        TEST(refuses_a_wrong_measurement_and_names_it),
        TEST(a_policy_without_measurements_refuses),
        TEST(any_measurements_does_not_undo_a_named_one),
        TEST(refuses_a_foreign_operator_model_worker_or_old_software),
        TEST(refuses_a_statement_by_another_key),
        TEST(refuses_a_statement_of_another_worker),
        TEST(refuses_something_else_signed_by_the_identity),
        TEST(refuses_a_statement_outside_its_dates),
        TEST(an_evidence_document_verifies_later_and_gives_no_keys),
        TEST(bare_evidence_meets_the_same_bounds),
        TEST(hardware_is_accepted_when_all_its_checks_passed),
        TEST(collateral_from_elsewhere_takes_the_place_of_what_is_carried),
        TEST(hardware_may_not_skip_a_check),
        TEST(hardware_failures_keep_their_reasons),
        TEST(a_register_that_is_asked_for_must_be_there),
        TEST(hardware_never_goes_unmeasured),
        TEST(secondary_registers_alone_are_no_measurement),
        TEST(the_check_of_the_platform_that_failed_is_named),
        TEST(gpu_evidence_nobody_looks_at_is_refused),
        TEST(any_flipped_bit_is_refused),
        TEST(every_prefix_is_refused),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
