/* The platform as the worker and the gateway use it, over a device that signs by the test's root. */
#include <sys/uio.h>

#include "attest/claims.h"
#include "attest/nitro.h"
#include "attest/policy.h"
#include "attest/statement.h"
#include "attest/verify.h"
#include "base/cbor.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nitro_maker.h"

enum { NOW = NITRO_MAKER_NOW };

static struct nitro_maker m;
static struct signing_key *identity;
static struct policy *policy;
static struct verify_settings settings;
static struct buf bundle, statement;
static const uint8_t nonce[32] = { 1, 2, 3 };

/* --- a device that answers with the maker's document -------------------------------------------- */

struct message {
    struct iovec request;
    struct iovec response;
};

static bytes take_field(bytes *in, const char *key)
{
    bytes name, value;
    CHECK_OK(cbor_take_text(in, &name));
    CHECK_BYTES(name, bytes_str(key));
    CHECK_OK(cbor_take_bytes(in, &value));
    return value;
}

static void answer(struct buf *out)
{
    nitro_maker_make(&m);
    CHECK_OK(cbor_put_map(out, 1));
    CHECK_OK(cbor_put_text(out, BYTES_LIT("Attestation")));
    CHECK_OK(cbor_put_map(out, 1));
    CHECK_OK(cbor_put_text(out, BYTES_LIT("document")));
    CHECK_OK(cbor_put_bytes(out, buf_view(&m.document)));
}

static int fake_ioctl(int fd, unsigned long code, void *argument)
{
    struct message *message = argument;
    BUF_AUTO out = BUF(NSM_RESPONSE_MAX);
    bytes in = bytes_of(message->request.iov_base, message->request.iov_len), name;
    uint64_t n;
    CHECK(fd >= 0 && code == 0xC0200A00UL);
    CHECK_OK(cbor_take_map(&in, &n));
    CHECK_OK(cbor_take_text(&in, &name));
    CHECK_OK(cbor_take_map(&in, &n));
    m.user_data = take_field(&in, "user_data");
    m.nonce = take_field(&in, "nonce");
    m.public_key = take_field(&in, "public_key");
    answer(&out);
    memcpy(message->response.iov_base, out.at, out.len);
    message->response.iov_len = out.len;
    return 0;
}

static const struct nsm_device device = { .path = "/dev/null", .control = fake_ioctl };

/* --- the scene ---------------------------------------------------------------------------------- */

static void use_policy(const char *more)
{
    BUF_AUTO yaml = BUF(4096);
    CHECK_OK(buf_add_str(&yaml, "platforms: [nitro]\nnitro: { extra_roots: ["));
    CHECK_OK(text_hex_encode(&yaml, BYTES_ARRAY(m.pin.sha256)));
    CHECK_OK(buf_addf(&yaml, "] }\n%s", more));
    policy_free(policy);
    CHECK_OK(policy_read(&policy, buf_view(&yaml), "p", NULL));
    settings.policy = policy;
}

static const char *measured(const char *name, const uint8_t pcr[NITRO_PCR_LEN])
{
    static char text[256];
    BUF_AUTO yaml = BUF(sizeof text - 1);
    CHECK_OK(buf_addf(&yaml, "measurements: { %s: [", name));
    CHECK_OK(text_hex_encode(&yaml, bytes_of(pcr, NITRO_PCR_LEN)));
    CHECK_OK(buf_add_str(&yaml, "] }\n"));
    memcpy(text, yaml.at, yaml.len);
    text[yaml.len] = '\0';
    return text;
}

static void join(bytes document)
{
    buf_truncate(&bundle, 0);
    CHECK_OK(bundle_join(&bundle, document, buf_view(&statement)));
}

static void make(struct buf *document)
{
    struct attester *attester;
    BUF_AUTO claims = BUF(CLAIMS_MAX);
    const struct claims c = { .model = BYTES_LIT("m"),
                              .worker = BYTES_LIT("w1"),
                              .software = BYTES_LIT("0.1.0"),
                              .model_version = BYTES_LIT("v") };
    CHECK_OK(claims_write(&claims, &c));
    CHECK_OK(nitro_attester_new(&attester, &device));
    const struct attester_subject subject = { bytes_of(signing_key_public(identity), 32),
                                              BYTES_ARRAY(nonce), buf_view(&claims) };
    CHECK_OK(attester_document(attester, &subject, NOW, document));
    attester_free(attester);
    join(buf_view(document));
}

/* Reads the document, lets one part be another, and puts it together again. */
static void refuses(enum verdict_check_id check, const char *reason)
{
    struct verdict v;
    CHECK_OK(attest_verify(buf_view(&bundle), &settings, &v));
    CHECK(!v.accepted && verdict_failure(&v) != NULL);
    assert_string_equal(verdict_failure(&v)->name, verdict_check_name(check));
    assert_string_equal(verdict_failure(&v)->reason, reason);
    verdict_clear(&v);
}

/* The leaf lives for three hours. */
static void an_old_document_is_good_at_its_own_time_only(void **state)
{
    (void)state;
    struct verdict v;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    make(&document);
    settings.any_age = true;
    settings.now = NOW + (int64_t)3650 * 86400;
    CHECK_OK(attest_verify_document(buf_view(&document), &settings, &v));
    CHECK(!v.accepted && verdict_failure(&v) == &v.checks[VERDICT_SIGNATURE]);
    verdict_clear(&v);
    settings.own_time = true;
    CHECK_OK(attest_verify_document(buf_view(&document), &settings, &v));
    CHECK(v.accepted);
    verdict_clear(&v);
    settings.now = NOW - 3600;
    CHECK_OK(attest_verify_document(buf_view(&document), &settings, &v));
    CHECK(!v.accepted);
    verdict_clear(&v);
}

static void a_worker_in_an_enclave_is_accepted(void **state)
{
    (void)state;
    struct verdict v;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    make(&document);
    CHECK_OK(attest_verify(buf_view(&bundle), &settings, &v));
    CHECK(v.accepted && v.trust == TRUST_HARDWARE && v.evidence_at == NOW);
    assert_string_equal(v.platform, "nitro");
    CHECK_BYTES(verdict_register(&v, "pcr2"), BYTES_ARRAY(m.pcrs[2]));
    CHECK(verdict_register(&v, "pcr3").len == 0);
    CHECK(v.checks[VERDICT_TCB].status == VERDICT_SKIP);
    verdict_clear(&v);
}

static void without_the_extra_root_it_is_refused(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    struct nitro_policy *kept = policy->nitro;
    make(&document);
    policy->nitro = NULL;
    refuses(VERDICT_SIGNATURE, "bad-chain");
    policy->nitro = kept;
}

static void a_register_that_does_not_say_whose_image_it_is_does_not_do(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    make(&document);
    use_policy(measured("pcr1", m.pcrs[1]));
    refuses(VERDICT_MEASUREMENTS, "no-expectation");
    use_policy(measured("pcr0", m.pcrs[1]));
    refuses(VERDICT_MEASUREMENTS, "mismatch");
    use_policy(measured("pcr8", m.pcrs[1]));
    refuses(VERDICT_MEASUREMENTS, "absent");
}

static void a_genuine_enclave_that_somebody_else_signed_is_refused(void **state)
{
    (void)state;
    uint8_t ours[NITRO_PCR_LEN], theirs[NITRO_PCR_LEN];
    struct verdict v;
    BUF_AUTO yaml = BUF(1024);
    BUF_AUTO document = BUF(BUNDLE_MAX);
    m.signer = 0x31;
    memset(ours, 0x31, sizeof ours);
    memset(theirs, 0x32, sizeof theirs);
    make(&document);
    CHECK_OK(buf_add_str(&yaml, "measurements: { pcr0: ["));
    CHECK_OK(text_hex_encode(&yaml, BYTES_ARRAY(m.pcrs[0])));
    CHECK_OK(buf_add_str(&yaml, "], pcr8: ["));
    CHECK_OK(text_hex_encode(&yaml, BYTES_ARRAY(theirs)));
    size_t one = yaml.len;
    CHECK_OK(buf_add_str(&yaml, ", "));
    CHECK_OK(text_hex_encode(&yaml, BYTES_ARRAY(ours)));
    CHECK_OK(buf_add_str(&yaml, "] }\n"));
    use_policy(buf_str(&yaml));
    CHECK_OK(attest_verify(buf_view(&bundle), &settings, &v));
    CHECK(v.accepted && v.rules[1].met == 2 && v.rules[1].of == 2);
    verdict_clear(&v);
    buf_truncate(&yaml, one);
    CHECK_OK(buf_add_str(&yaml, "] }\n"));
    use_policy(buf_str(&yaml));
    refuses(VERDICT_MEASUREMENTS, "mismatch");
}

/* The hardware signs anything an enclave asks for; each of the three has to be what it should. */
static void each_signed_field_has_to_agree(void **state)
{
    (void)state;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    BUF_AUTO other = BUF(BUNDLE_MAX);
    make(&document);
    bytes *const fields[] = { &m.user_data, &m.nonce, &m.public_key };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        uint8_t changed[BINDING_LEN];
        CHECK_OK(evidence_document_read(buf_view(&document), &b));
        struct nitro_doc d;
        CHECK(nitro_parse(b.evidence, &d) == NITRO_OK);
        m.user_data = d.user_data.value;
        m.nonce = d.nonce.value;
        m.public_key = d.public_key.value;
        bytes kept = *fields[i];
        memcpy(changed, kept.at, kept.len);
        changed[kept.len - 1] ^= 1;
        *fields[i] = bytes_of(changed, kept.len);
        nitro_maker_make(&m);
        b.evidence = buf_view(&m.document);
        buf_truncate(&other, 0);
        CHECK_OK(evidence_document_write(&other, &b));
        join(buf_view(&other));
        refuses(VERDICT_BINDING, "mismatch");
    }
}

static void debug_and_age_are_the_frames_to_refuse(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    memset(m.pcrs[0], 0, NITRO_PCR_LEN);
    make(&document);
    refuses(VERDICT_DEBUG, "debug-enabled");
    memset(m.pcrs[0], 1, NITRO_PCR_LEN);
    m.timestamp_ms -= 3600 * 1000;
    buf_truncate(&document, 0);
    make(&document);
    refuses(VERDICT_FRESHNESS, "too-old");
}

static void collateral_has_no_use_and_is_refused(void **state)
{
    (void)state;
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    BUF_AUTO other = BUF(BUNDLE_MAX);
    make(&document);
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    b.collateral = BYTES_LIT("x");
    CHECK_OK(evidence_document_write(&other, &b));
    join(buf_view(&other));
    refuses(VERDICT_FORM, "surplus");
}

static err verify_once(void *arg)
{
    (void)arg;
    struct verdict v;
    err e = attest_verify(buf_view(&bundle), &settings, &v);
    verdict_clear(&v);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    make(&document);
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    nitro_maker_open(&m);
    CHECK_OK(signing_key_generate(&identity));
    bundle = BUF(BUNDLE_MAX);
    statement = BUF(BUNDLE_STATEMENT_MAX);
    const struct statement s = { .worker = BYTES_LIT("w1"),
                                 .key_list = BYTES_LIT("keys"),
                                 .not_before = NOW - 10,
                                 .not_after = NOW + 10 };
    CHECK_OK(statement_write(&statement, &s, identity));
    settings = (struct verify_settings){ .now = NOW, .nonce = BYTES_ARRAY(nonce) };
    use_policy(measured("pcr0", m.pcrs[0]));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    policy_free(policy);
    policy = NULL;
    signing_key_free(identity);
    buf_clear(&bundle);
    buf_clear(&statement);
    nitro_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_worker_in_an_enclave_is_accepted),
        TEST(an_old_document_is_good_at_its_own_time_only),
        TEST(without_the_extra_root_it_is_refused),
        TEST(a_register_that_does_not_say_whose_image_it_is_does_not_do),
        TEST(a_genuine_enclave_that_somebody_else_signed_is_refused),
        TEST(each_signed_field_has_to_agree),
        TEST(debug_and_age_are_the_frames_to_refuse),
        TEST(collateral_has_no_use_and_is_refused),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
