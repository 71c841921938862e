#include "attest/claims.h"
#include "attest/own.h"
#include "attest/policy.h"
#include "attest/verify.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/gcp_maker.h"

enum { NOW = 1757061000 };

static struct gcp_maker m;
static struct buf claims, document;
static struct verdict v;
static const uint8_t identity[32] = { 7 };
static const uint8_t nonce[32] = { 9 };

static const char *const POLICY =
    "platforms: [gcp-confidential-space]\n"
    "measurements: { image_digest: [" GCP_MAKER_IMAGE "] }\n";

/* The document around a token that was made for it. */
static void make(void)
{
    char text[GCP_NONCE_LEN + 1];
    uint8_t report_data[BINDING_LEN];
    struct bundle b = { .version = BUNDLE_VERSION,
                        .nonce = BYTES_ARRAY(nonce),
                        .claims = buf_view(&claims),
                        .identity = BYTES_ARRAY(identity),
                        .platform = BYTES_LIT(GCP_PLATFORM) };
    binding_digest(
        &(struct binding){
            .platform = b.platform, .identity = b.identity, .nonce = b.nonce, .claims = b.claims },
        report_data);
    gcp_nonce(report_data, text);
    gcp_maker_make(&m, text);
    b.evidence = buf_view(&m.token);
    buf_truncate(&document, 0);
    CHECK_OK(evidence_document_write(&document, &b));
}

static bool own_time; /* of the judging that follows */

/* With the maker's root pinned, unless the policy is one without a section. */
static void judge(const char *yaml, bool pin, int64_t now)
{
    struct policy *policy;
    BUF_AUTO text = BUF(4096);
    CHECK_OK(buf_add_str(&text, yaml));
    if (pin) {
        CHECK_OK(buf_add_str(&text, "gcp:\n  extra_roots: ["));
        CHECK_OK(text_hex_encode(&text, BYTES_ARRAY(m.pin.sha256)));
        CHECK_OK(buf_add_str(&text, "]\n"));
    }
    CHECK_OK(policy_read(&policy, buf_view(&text), "p", NULL));
    const struct verify_settings settings = { .policy = policy,
                                              .now = now,
                                              .nonce = BYTES_ARRAY(nonce),
                                              .any_age = own_time,
                                              .own_time = own_time };
    CHECK_OK(attest_verify_document(buf_view(&document), &settings, &v));
    policy_free(policy);
}

static void refuses(enum verdict_check_id check, const char *reason, const char *subject)
{
    make();
    judge(POLICY, true, NOW);
    CHECK(!v.accepted && verdict_failure(&v) == &v.checks[check]);
    assert_string_equal(v.checks[check].reason, reason);
    if (subject != NULL)
        assert_string_equal(v.checks[check].subject, subject);
    verdict_clear(&v);
}

static void what_google_vouches_for_is_accepted_below_hardware(void **state)
{
    (void)state;
    BUF_AUTO image = BUF(32);
    BUF_AUTO text = BUF(8192);
    make();
    judge(POLICY, true, NOW);
    CHECK(v.accepted && v.trust == TRUST_VOUCHED && TRUST_VOUCHED < TRUST_HARDWARE);
    law_hex(&image, GCP_MAKER_IMAGE);
    CHECK_BYTES(verdict_register(&v, "image_digest"), buf_view(&image));
    CHECK(v.evidence_at == NOW);
    CHECK_OK(verdict_explain(&v, &text));
    CHECK(text_find(buf_view(&text), BYTES_LIT("NO HARDWARE EVIDENCE")) < text.len);
    verdict_clear(&v);
}

static void only_the_pinned_root_and_named_ones_count(void **state)
{
    (void)state;
    make();
    judge(POLICY, false, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_SIGNATURE]);
    assert_string_equal(v.checks[VERDICT_SIGNATURE].subject, "chain");
    verdict_clear(&v);
}

static void a_policy_that_asks_for_hardware_is_not_met(void **state)
{
    (void)state;
    make();
    judge("platforms: [nitro]\nmeasurements: { pcr0: [" GCP_MAKER_IMAGE
          "e2e5e3672f416ac9ca71aa639abf86db] }\n",
          true, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_PLATFORM]);
    verdict_clear(&v);
}

static void a_token_for_somebody_else_is_refused(void **state)
{
    (void)state;
    m.audience = "https://sts.google.com";
    refuses(VERDICT_SIGNATURE, "mismatch", "audience");
}

static void a_token_with_another_nonce_binds_nothing(void **state)
{
    (void)state;
    make();
    struct bundle b;
    BUF_AUTO other = BUF(BUNDLE_MAX);
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    gcp_maker_make(&m, "another-nonce-of-somebody");
    b.evidence = buf_view(&m.token);
    CHECK_OK(evidence_document_write(&other, &b));
    buf_truncate(&document, 0);
    CHECK_OK(buf_add(&document, buf_view(&other)));
    judge(POLICY, true, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_BINDING]);
    verdict_clear(&v);
}

static void the_machine_has_to_be_closed_and_the_container_unchanged(void **state)
{
    (void)state;
    m.dbgstat = "enabled";
    refuses(VERDICT_DEBUG, "debug-enabled", "dbgstat");
    m.dbgstat = "disabled-since-boot";
    m.support = "USABLE";
    refuses(VERDICT_DEBUG, "debug-enabled", "support");
    m.support = "STABLE";
    m.hwmodel = "GCP_SHIELDED_VM";
    refuses(VERDICT_DEBUG, "setting", "hwmodel");
    m.hwmodel = "GCP_AMD_SEV";
    m.surplus = ",\"cmd_override\":[\"sh\"]";
    refuses(VERDICT_MEASUREMENTS, "setting", "override");
    m.surplus = "";
    m.image = "00e5e3672f416ac9ca71aa639abf86db0b713729a48c125a925af6c808b20b5d";
    refuses(VERDICT_MEASUREMENTS, "mismatch", "image_digest");
    m.image = "e2";
    refuses(VERDICT_MEASUREMENTS, "absent", "image_digest");
}

static void a_policy_may_choose_the_hardware(void **state)
{
    (void)state;
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(buf_addf(&yaml, "%sgcp:\n  hwmodels: [amd-sev-snp]\n  extra_roots: [", POLICY));
    CHECK_OK(text_hex_encode(&yaml, BYTES_ARRAY(m.pin.sha256)));
    CHECK_OK(buf_add_str(&yaml, "]\n"));
    make();
    judge(buf_str(&yaml), false, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_MEASUREMENTS]);
    assert_string_equal(v.checks[VERDICT_MEASUREMENTS].subject, "hwmodel");
    verdict_clear(&v);
    m.hwmodel = "GCP_AMD_SEV_SNP";
    make();
    judge(buf_str(&yaml), false, NOW);
    CHECK(v.accepted);
    verdict_clear(&v);
}

static void times_are_looked_at(void **state)
{
    (void)state;
    make();
    const struct {
        int64_t now;
        enum verdict_check_id check;
    } rows[] = { { NOW - 61, VERDICT_SIGNATURE },
                 { NOW + 601, VERDICT_FRESHNESS },
                 { NOW + 3600, VERDICT_SIGNATURE } };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        judge(POLICY, true, rows[i].now);
        CHECK(verdict_failure(&v) == &v.checks[rows[i].check]);
        verdict_clear(&v);
    }
    judge(POLICY, true, NOW - 60); /* clocks may differ */
    CHECK(v.accepted);
    verdict_clear(&v);
}

static void its_own_time_is_asked_for_and_never_that_of_the_future(void **state)
{
    (void)state;
    make();
    own_time = true;
    judge(POLICY, true, NOW + 365 * 86400);
    CHECK(v.accepted);
    verdict_clear(&v);
    judge(POLICY, false, NOW + 365 * 86400);
    CHECK(!v.accepted);
    verdict_clear(&v);
    judge(POLICY, true, NOW - 3600);
    CHECK(!v.accepted);
    verdict_clear(&v);
    own_time = false;
}

/* Its own machine need not know the root. */
static void its_own_machine_reads_it_back(void **state)
{
    (void)state;
    const struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                              buf_view(&claims) };
    make();
    CHECK_OK(own_read(buf_view(&document), &subject, NOW, &v));
    CHECK(v.accepted && v.trust == TRUST_VOUCHED && v.registers_n == 1);
    verdict_clear(&v);
    /* within the signature */
    document.at[text_find(buf_view(&document), buf_view(&m.token)) + m.token.len - 20] ^= 1;
    CHECK_OK(own_read(buf_view(&document), &subject, NOW, &v));
    CHECK(!v.accepted);
    verdict_clear(&v);
}

static void garbage_is_malformed(void **state)
{
    (void)state;
    struct verifier_facts facts;
    struct policy none = { .max_age_s = 1 };
    const bytes rows[] = { BYTES_LIT("x"), BYTES_LIT("a.b.c"), BYTES_LIT("e30.e30.e30") };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bundle b = { .platform = BYTES_LIT(GCP_PLATFORM), .evidence = rows[i] };
        facts = (struct verifier_facts){ 0 };
        CHECK_OK(gcp_verifier->examine(&b, &none, NOW, &facts));
        CHECK(facts.signature.status != VERDICT_PASS && facts.registers_n == 0);
        facts = (struct verifier_facts){ 0 };
        CHECK_OK(gcp_verifier->examine_own(&b, NOW, &facts));
        CHECK(facts.signature.status != VERDICT_PASS && facts.registers_n == 0);
    }
    struct bundle b = { .platform = BYTES_LIT(GCP_PLATFORM),
                        .evidence = BYTES_LIT("x"),
                        .collateral = BYTES_LIT("x") };
    facts = (struct verifier_facts){ 0 };
    CHECK_OK(gcp_verifier->examine(&b, &none, NOW, &facts));
    CHECK(facts.form.reason == REASON_SURPLUS);
}

static int setup(void **state)
{
    (void)state;
    const struct claims c = { .model = BYTES_LIT("m"),
                              .worker = BYTES_LIT("w1"),
                              .software = BYTES_LIT("0.1.0"),
                              .model_version = BYTES_LIT("v") };
    claims = BUF(CLAIMS_MAX);
    document = BUF(BUNDLE_MAX);
    CHECK_OK(crypto_init());
    CHECK_OK(claims_write(&claims, &c));
    gcp_maker_open(&m, NOW);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    gcp_maker_close(&m);
    buf_clear(&claims);
    buf_clear(&document);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_google_vouches_for_is_accepted_below_hardware),
        TEST(only_the_pinned_root_and_named_ones_count),
        TEST(a_policy_that_asks_for_hardware_is_not_met),
        TEST(a_token_for_somebody_else_is_refused),
        TEST(a_token_with_another_nonce_binds_nothing),
        TEST(the_machine_has_to_be_closed_and_the_container_unchanged),
        TEST(a_policy_may_choose_the_hardware),
        TEST(times_are_looked_at),
        TEST(its_own_time_is_asked_for_and_never_that_of_the_future),
        TEST(its_own_machine_reads_it_back),
        TEST(garbage_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
