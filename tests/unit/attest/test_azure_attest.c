/* A machine on Azure made here: a TPM whose paravisor puts written user data into a new report, and an
 * SNP report over it by a forged chain that only this test trusts. */
#include "attest/azure_attest.h"
#include "attest/azure_hcl_verify.h"
#include "attest/own.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/fake_tpm.h"
#include "tests/unit/attest/snp_forge.h"

static struct fake_tpm fake;
static struct snp_forge forge;
static bool stubborn; /* the paravisor does not take up new user data */
static uint32_t report_type;

static void put32(struct buf *out, size_t v)
{
    for (size_t i = 0; i < 4; i++)
        CHECK_OK(buf_add_u8(out, (uint8_t)(v >> 8 * i)));
}

static void write_json(bytes user_data, struct buf *out)
{
    CHECK_OK(buf_add_str(out,
                         "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\","
                         "\"n\":\""));
    CHECK_OK(text_base64url_encode(out, buf_view(&fake.ak_n)));
    CHECK_OK(buf_add_str(out,
                         "\"}],\"vm-configuration\":{\"secure-boot\":true,"
                         "\"tpm-enabled\":true},\"user-data\":\""));
    CHECK_OK(text_hex_encode(out, user_data));
    CHECK_OK(buf_add_str(out, "\"}"));
}

static void write_hcl(bytes json, struct buf *out)
{
    buf_truncate(out, 0);
    CHECK_OK(buf_add_str(out, "HCLA"));
    put32(out, 1);
    put32(out, 32 + SNP_REPORT_LEN + 20 + json.len);
    put32(out, 2);
    CHECK_OK(buf_add_zeros(out, 16));
    CHECK_OK(buf_add(out, BYTES_ARRAY(forge.report)));
    put32(out, 20 + json.len);
    put32(out, 1);
    put32(out, report_type);
    put32(out, AZURE_SHA256);
    put32(out, json.len);
    CHECK_OK(buf_add(out, json));
    CHECK_OK(buf_add_zeros(out, 2600 > out->len ? 2600 - out->len : 0));
}

static void renew(bytes user_data)
{
    BUF_AUTO json = BUF(AZURE_JSON_MAX);
    write_json(user_data, &json);
    memset(forge.report + 0x50, 0, 64);
    sha256_of(buf_view(&json), forge.report + 0x50);
    snp_forge_sign(&forge);
    write_hcl(buf_view(&json), fake_tpm_index(&fake, AZURE_NV_REPORT));
}

static void on_written(struct fake_tpm *t, uint32_t index)
{
    if (index == AZURE_NV_USER_DATA && !stubborn)
        renew(buf_view(fake_tpm_index(t, index)));
}

static int open_all(void **state)
{
    (void)state;
    static const uint8_t before[64] = { 1 };
    stubborn = false;
    report_type = AZURE_REPORT_SNP;
    snp_forge_open(&forge);
    snp_forge_make(&forge);
    fake_tpm_open(&fake);
    fake.written = on_written;
    renew(BYTES_ARRAY(before));
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int close_all(void **state)
{
    (void)state;
    fake_tpm_close(&fake);
    snp_forge_close(&forge);
    return 0;
}

static err give_table(void *owner, bytes report, bytes table, int64_t now, struct buf *out)
{
    (void)owner;
    CHECK(report.len == SNP_REPORT_LEN && table.len == 0 && now == SNP_FORGE_NOW);
    snp_forge_table(&forge, out);
    return OK;
}

static err make(struct buf *document)
{
    struct attester *a = NULL;
    uint8_t identity[32] = { 7 };
    uint8_t nonce[32] = { 9 };
    struct azure_attest_settings s = { .tpm = fake.tpm, .collateral = give_table };
    struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                        BYTES_LIT("claims") };
    TRY(azure_attester_new(&a, &s));
    err e = attester_document(a, &subject, SNP_FORGE_NOW, document);
    attester_free(a);
    return e;
}

static void what_it_makes_is_what_the_verifier_takes(void **state)
{
    (void)state;
    struct bundle b;
    struct azure_evidence e;
    struct azure_result result;
    struct snp_collateral c = { 0 };
    uint8_t expected[BINDING_LEN];
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(make(&document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK_BYTES(b.platform, BYTES_LIT("azure-sev-snp"));
    CHECK_OK(azure_evidence_read(b.evidence, &e));
    CHECK_OK(snp_collateral_read(&c, b.collateral));
    CHECK_OK(azure_verify(&e, &c, &forge.settings, &result));
    if (!result.accepted)
        fail_msg("refused: %s", result.failed);
    binding_digest(
        &(struct binding){
            .platform = b.platform, .identity = b.identity, .nonce = b.nonce, .claims = b.claims },
        expected);
    CHECK_BYTES(BYTES_ARRAY(result.user_data), BYTES_ARRAY(expected));
    CHECK(result.quote.extra.len == AZURE_QUALIFYING_LEN);
    snp_collateral_clear(&c);
}

/* AMD's certificates are of a root that only this test knows, and are not needed. */
static void what_it_makes_it_reads_back(void **state)
{
    (void)state;
    struct verdict v;
    uint8_t identity[32] = { 7 };
    uint8_t nonce[32] = { 9 };
    struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                        BYTES_LIT("claims") };
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(make(&document));
    CHECK_OK(own_read(buf_view(&document), &subject, SNP_FORGE_NOW, &v));
    CHECK(v.accepted && v.trust == TRUST_HARDWARE);
    CHECK(verdict_register(&v, "pcr0").len == TPM_PCR_LEN);
    CHECK(verdict_register(&v, "measurement").len == SNP_MEASUREMENT_LEN);
    verdict_clear(&v);
    nonce[0] ^= 1;
    CHECK_OK(own_read(buf_view(&document), &subject, SNP_FORGE_NOW, &v));
    CHECK(verdict_failure(&v) == &v.checks[VERDICT_BINDING]);
    verdict_clear(&v);
}

static void a_paravisor_that_keeps_its_report_is_not_believed(void **state)
{
    (void)state;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    stubborn = true;
    CHECK_ERR(make(&document), UNAVAILABLE);
    CHECK(document.len == 0 && fake.waits == AZURE_TRIES);
}

static err try_new(const struct tpm *tpm)
{
    struct attester *a = NULL;
    struct azure_attest_settings s = { .tpm = *tpm };
    err e = azure_attester_new(&a, &s);
    CHECK((a != NULL) == err_is_ok(e));
    attester_free(a);
    return e;
}

static void only_a_machine_with_such_a_report_has_an_attester(void **state)
{
    (void)state;
    struct fake_tpm ordinary;
    struct tpm none = { .path = "/nonexistent/tpm" };
    fake_tpm_open(&ordinary);
    CHECK_OK(try_new(&fake.tpm));
    CHECK_ERR(try_new(&none), UNAVAILABLE);
    CHECK_ERR(try_new(&ordinary.tpm), NOT_FOUND);
    fake_tpm_close(&ordinary);
    report_type = AZURE_REPORT_TDX;
    renew(bytes_of(forge.report, 64));
    CHECK_ERR(try_new(&fake.tpm), UNSUPPORTED);
    buf_truncate(fake_tpm_index(&fake, AZURE_NV_REPORT), 100);
    CHECK_ERR(try_new(&fake.tpm), TRUNCATED);
}

static void without_certificates_it_goes_without_collateral(void **state)
{
    (void)state;
    struct attester *a = NULL;
    struct bundle b;
    uint8_t identity[32] = { 7 };
    uint8_t nonce[32] = { 9 };
    struct attester_subject subject = { BYTES_ARRAY(identity), BYTES_ARRAY(nonce),
                                        BYTES_LIT("claims") };
    struct azure_attest_settings s = { .tpm = fake.tpm };
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(azure_attester_new(&a, &s));
    CHECK_OK(attester_document(a, &subject, SNP_FORGE_NOW, &document));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK(b.collateral.len == 0);
    fake.key = 0; /* the TPM has no such key */
    buf_truncate(&document, 0);
    CHECK_ERR(attester_document(a, &subject, SNP_FORGE_NOW, &document), NOT_FOUND);
    attester_free(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_it_makes_is_what_the_verifier_takes),
        TEST(what_it_makes_it_reads_back),
        TEST(a_paravisor_that_keeps_its_report_is_not_believed),
        TEST(only_a_machine_with_such_a_report_has_an_attester),
        TEST(without_certificates_it_goes_without_collateral),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
