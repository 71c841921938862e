#include "attest/claims.h"
#include "attest/enrolment.h"
#include "attest/policy.h"
#include "attest/verify.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/enrolled_maker.h"

enum { NOW = 1750000000 };

#define BINARY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct pki_cert *holder, *stranger;
static struct enrolled_maker said;
static struct buf claims, statement, document, node;
static struct verdict v;
static const uint8_t identity[32] = { 7 };
static const uint8_t nonce[32] = { 9 };

static void make(void)
{
    uint8_t report_data[BINDING_LEN];
    struct bundle b = { .version = BUNDLE_VERSION,
                        .nonce = BYTES_ARRAY(nonce),
                        .claims = buf_view(&claims),
                        .identity = BYTES_ARRAY(identity),
                        .platform = BYTES_LIT(ENROLLED_PLATFORM) };
    binding_digest(
        &(struct binding){
            .platform = b.platform, .identity = b.identity, .nonce = b.nonce, .claims = b.claims },
        report_data);
    if (said.node == NULL) {
        buf_truncate(&node, 0);
        CHECK_OK(text_hex_encode(&node, BYTES_ARRAY(report_data)));
    }
    struct enrolled_maker m = said;
    m.node = said.node != NULL ? said.node : buf_str(&node);
    enrolled_make(&m, &statement);
    b.evidence = buf_view(&statement);
    buf_truncate(&document, 0);
    CHECK_OK(evidence_document_write(&document, &b));
}

/* by: whose key the policy names; NULL: no section at all. */
static void judge(const struct pki_cert *by, int64_t now)
{
    struct policy *policy;
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(
        buf_add_str(&yaml, "platforms: [enrolled]\nmeasurements: { binary_hash: [" BINARY "] }\n"));
    if (by != NULL) {
        CHECK_OK(buf_add_str(&yaml, "enrolled:\n  keys: ["));
        CHECK_OK(text_hex_encode(&yaml, pki_point(by)));
        CHECK_OK(buf_add_str(&yaml, "]\n"));
    }
    CHECK_OK(policy_read(&policy, buf_view(&yaml), "p", NULL));
    const struct verify_settings settings = { .policy = policy,
                                              .now = now,
                                              .nonce = BYTES_ARRAY(nonce) };
    CHECK_OK(attest_verify_document(buf_view(&document), &settings, &v));
    policy_free(policy);
}

static void refuses(enum verdict_check_id check, const char *reason)
{
    make();
    judge(holder, NOW);
    CHECK(!v.accepted && verdict_failure(&v) == &v.checks[check]);
    assert_string_equal(v.checks[check].reason, reason);
    verdict_clear(&v);
}

static void an_enrolled_key_is_believed_far_below_hardware(void **state)
{
    (void)state;
    make();
    judge(holder, NOW);
    CHECK(v.accepted && v.trust == TRUST_ENROLLED);
    CHECK(TRUST_ENROLLED < TRUST_VOUCHED && TRUST_VOUCHED < TRUST_HARDWARE);
    CHECK(verdict_register(&v, "binary_hash").len == 32 && v.evidence_at == NOW);
    verdict_clear(&v);
}

static void nobody_else_is(void **state)
{
    (void)state;
    make();
    judge(NULL, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_SIGNATURE]);
    judge(stranger, NOW);
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_SIGNATURE]);
    said.signer = stranger;
    refuses(VERDICT_SIGNATURE, "no-expectation");
}

static void a_statement_for_another_key_or_question_binds_nothing(void **state)
{
    (void)state;
    said.node = "node";
    refuses(VERDICT_BINDING, "mismatch");
    said.node = NULL;
    said.inference_key = BYTES_ARRAY(nonce);
    refuses(VERDICT_BINDING, "mismatch");
}

static void what_it_says_of_itself_is_held_to_the_policy(void **state)
{
    (void)state;
    said.sip = 0;
    refuses(VERDICT_DEBUG, "setting");
    said.sip = 1;
    said.binary = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    refuses(VERDICT_MEASUREMENTS, "mismatch");
    said.binary = "v1.2";
    refuses(VERDICT_MEASUREMENTS, "absent");
}

static void its_age_is_looked_at(void **state)
{
    (void)state;
    said.timestamp = NOW - 601;
    refuses(VERDICT_FRESHNESS, "too-old");
    said.timestamp = NOW + 61;
    refuses(VERDICT_FRESHNESS, "from-the-future");
}

static void garbage_and_surplus_are_refused(void **state)
{
    (void)state;
    const struct policy none = { .max_age_s = 1 };
    struct bundle b = { .platform = BYTES_LIT(ENROLLED_PLATFORM), .evidence = BYTES_LIT("{}") };
    struct verifier_facts facts = { 0 };
    CHECK_OK(enrolled_verifier->examine(&b, &none, NOW, &facts));
    CHECK(facts.form.reason == REASON_MALFORMED && facts.registers_n == 0);
    b.collateral = BYTES_LIT("x");
    facts = (struct verifier_facts){ 0 };
    CHECK_OK(enrolled_verifier->examine(&b, &none, NOW, &facts));
    CHECK(facts.form.reason == REASON_SURPLUS);
}

static struct pki_cert *key_holder(const char *name)
{
    return pki_new(&(struct pki_spec){ .name = name, .from_s = NOW, .until_s = NOW + 1 });
}

static int setup(void **state)
{
    (void)state;
    const struct claims c = { .model = BYTES_LIT("m"),
                              .worker = BYTES_LIT("w1"),
                              .software = BYTES_LIT("0.1.0"),
                              .model_version = BYTES_LIT("v") };
    CHECK_OK(crypto_init());
    holder = key_holder("holder");
    stranger = key_holder("stranger");
    claims = BUF(CLAIMS_MAX);
    statement = BUF(16 * 1024);
    document = BUF(BUNDLE_MAX);
    node = BUF(256);
    CHECK_OK(claims_write(&claims, &c));
    said = enrolled_maker_good();
    said.node = NULL; /* the binding */
    said.binary = BINARY;
    said.signer = holder;
    said.timestamp = NOW;
    said.inference_key = BYTES_ARRAY(identity);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    verdict_clear(&v);
    pki_free(holder);
    pki_free(stranger);
    buf_clear(&claims);
    buf_clear(&statement);
    buf_clear(&document);
    buf_clear(&node);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_enrolled_key_is_believed_far_below_hardware),
        TEST(nobody_else_is),
        TEST(a_statement_for_another_key_or_question_binds_nothing),
        TEST(what_it_says_of_itself_is_held_to_the_policy),
        TEST(its_age_is_looked_at),
        TEST(garbage_and_surplus_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
