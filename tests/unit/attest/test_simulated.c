#include "attest/envelope.h"
#include "attest/simulated.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

#define CONTENT_TYPE "application/vnd.sealgate.simulated-evidence+cbor"

static void the_key_is_public_knowledge(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    struct cose_sign1 c;
    struct signing_key *key;
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(signing_key_from_seed(&key, BYTES_LIT(SIMULATED_SEED)));
    CHECK_OK(bundle_read(buf_view(&s.bundle), &b));
    CHECK_OK(envelope_read(b.evidence, CONTENT_TYPE, &c));
    CHECK_OK(cose_sign1_verify_ed25519(&c, bytes_of(signing_key_public(key), 32)));
    signing_key_free(key);
    scene_close(&s);
}

static void says_loudly_what_it_is(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    scene_make(&s);
    assert_string_equal(s.attester->kind->platform, "simulated");
    CHECK(s.attester->kind->trust == TRUST_SIMULATED);
    CHECK(simulated_verifier->trust == TRUST_SIMULATED);
    bytes notice = BYTES_LIT("simulated: no protection");
    bool found = false;
    for (size_t i = 0; i + notice.len <= s.document.len; i++)
        found = found || bytes_starts(bytes_slice(buf_view(&s.document), i, notice.len), notice);
    CHECK(found);
    scene_close(&s);
}

static void measures_the_image_it_is_given(void **state)
{
    (void)state;
    struct simulated_registers a;
    struct simulated_registers b;
    BUF_AUTO want = BUF(SIMULATED_PCR_LEN);
    simulated_measure(BYTES_LIT(SCENE_IMAGE), &a);
    simulated_measure(BYTES_LIT("other image"), &b);
    law_hex(&want,
            "630c9fc56f63f6423a8ca50be3c0479590533d1f01401163ac8c533101b8ad62"
            "699891178f2905e90ae9125f506cd1fc");
    CHECK_BYTES(BYTES_ARRAY(a.pcr[0]), buf_view(&want));
    CHECK(!bytes_equal(BYTES_ARRAY(a.pcr[0]), BYTES_ARRAY(a.pcr[1])));
    CHECK(!bytes_equal(BYTES_ARRAY(a.pcr[1]), BYTES_ARRAY(a.pcr[2])));
    for (size_t i = 0; i < SIMULATED_PCRS; i++)
        CHECK(!bytes_equal(BYTES_ARRAY(a.pcr[i]), BYTES_ARRAY(b.pcr[i])));
}

static void examine_bundle(const struct scene *s, struct verifier_facts *facts)
{
    struct bundle b;
    *facts = (struct verifier_facts){ 0 };
    CHECK_OK(bundle_read(buf_view(&s->bundle), &b));
    CHECK_OK(simulated_verifier->examine(&b, s->policy, SCENE_NOW, facts));
}

static void reports_registers_time_and_report_data(void **state)
{
    (void)state;
    struct scene s;
    struct verifier_facts facts;
    scene_open(&s);
    scene_make(&s);
    examine_bundle(&s, &facts);
    CHECK(facts.form.status == VERDICT_PASS && facts.signature.status == VERDICT_PASS);
    CHECK(facts.debug.status == VERDICT_SKIP && facts.debug.reason == REASON_NOT_APPLICABLE);
    CHECK(facts.tcb.status == VERDICT_SKIP && facts.tcb.reason == REASON_NOT_APPLICABLE);
    CHECK(facts.evidence_at == SCENE_NOW && facts.registers_n == 3);
    assert_string_equal(facts.registers[2].name, "pcr2");
    CHECK_BYTES(bytes_of(facts.registers[2].value, facts.registers[2].len),
                BYTES_ARRAY(s.registers.pcr[2]));
    scene_close(&s);
}

static void makes_none_without_a_time(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    s.quoted_at = 0;
    CHECK_ERR(scene_try_make(&s), LIMIT);
    s.quoted_at = -1;
    CHECK_ERR(scene_try_make(&s), LIMIT);
    s.quoted_at = 1;
    CHECK_OK(scene_try_make(&s));
    scene_close(&s);
}

/* A payload like the genuine one, signed with the published key: anybody can. */
static void forge(struct scene *s, const char *notice, const char *content_type)
{
    struct signing_key *key;
    struct bundle b;
    BUF_AUTO payload = BUF(1024);
    BUF_AUTO evidence = BUF(1024);
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct cose_sign1 c;
    CHECK_OK(signing_key_from_seed(&key, BYTES_LIT(SIMULATED_SEED)));
    CHECK_OK(evidence_document_read(buf_view(&s->document), &b));
    CHECK_OK(envelope_read(b.evidence, CONTENT_TYPE, &c));
    CHECK_OK(buf_add(&payload, c.payload));
    for (size_t i = 0; i + strlen(SIMULATED_NOTICE) < payload.len; i++) {
        if (bytes_starts(bytes_slice(buf_view(&payload), i, payload.len),
                         BYTES_LIT(SIMULATED_NOTICE)))
            memcpy(payload.at + i, notice, strlen(SIMULATED_NOTICE));
    }
    CHECK_OK(envelope_write(&evidence, content_type, buf_view(&payload), key));
    b.evidence = buf_view(&evidence);
    CHECK_OK(evidence_document_write(&document, &b));
    scene_join(s, buf_view(&document), buf_view(&s->key_statement));
    signing_key_free(key);
}

static void refuses_evidence_that_does_not_admit_what_it_is(void **state)
{
    (void)state;
    struct scene s;
    struct verifier_facts facts;
    scene_open(&s);
    scene_make(&s);
    forge(&s, SIMULATED_NOTICE, CONTENT_TYPE);
    examine_bundle(&s, &facts);
    CHECK(facts.signature.status == VERDICT_PASS);
    forge(&s, "protected by hardware!!!", CONTENT_TYPE);
    examine_bundle(&s, &facts);
    CHECK(facts.form.status == VERDICT_FAIL && facts.signature.status == VERDICT_SKIP);
    forge(&s, SIMULATED_NOTICE, "application/vnd.sealgate.key-statement+cbor");
    examine_bundle(&s, &facts);
    CHECK(facts.form.status == VERDICT_FAIL && facts.signature.status == VERDICT_SKIP);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_is_public_knowledge),
        cmocka_unit_test(says_loudly_what_it_is),
        cmocka_unit_test(measures_the_image_it_is_given),
        cmocka_unit_test(reports_registers_time_and_report_data),
        cmocka_unit_test(makes_none_without_a_time),
        cmocka_unit_test(refuses_evidence_that_does_not_admit_what_it_is),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
