#include <stdio.h>

#include "attest/nitro.h"
#include "attest/own.h"
#include "attest/simulated.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nitro_maker.h"
#include "tests/unit/attest/snp_forge.h"

#define NOW 1750000000

/* A machine that shows what the test gives it. */
struct machine {
    struct attester base;
    void (*answer)(const struct attester_ask *ask, struct buf *evidence, struct buf *collateral);
};

static err machine_quote(struct attester *a, const struct attester_ask *ask, struct buf *evidence,
                         struct buf *collateral)
{
    CONTAINER_OF(a, struct machine, base)->answer(ask, evidence, collateral);
    return OK;
}

static void machine_free(struct attester *a)
{
    (void)a;
}

static const uint8_t identity[32] = { 7 };
static const uint8_t nonce[32] = { 9 };
static const struct attester_subject subject = { { identity, sizeof identity },
                                                 { nonce, sizeof nonce },
                                                 BYTES_LIT("claims") };

/* The document of such a machine, read back. */
static void read_back(struct verdict *v, const char *platform,
                      void (*answer)(const struct attester_ask *ask, struct buf *evidence,
                                     struct buf *collateral))
{
    struct attester_kind kind = { .platform = platform,
                                  .quote = machine_quote,
                                  .free = machine_free };
    struct machine m = { .base = { &kind }, .answer = answer };
    BUF_AUTO document = BUF(BUNDLE_MAX);
    CHECK_OK(attester_document(&m.base, &subject, NOW, &document));
    CHECK_OK(own_read(buf_view(&document), &subject, NOW, v));
}

static void check_refused(struct verdict *v, enum verdict_check_id check, const char *reason)
{
    CHECK(!v->accepted && v->trust == TRUST_NONE && v->registers_n == 0);
    CHECK(verdict_failure(v) == &v->checks[check]);
    assert_string_equal(v->checks[check].reason, reason);
    verdict_clear(v);
}

/* --- simulated --------------------------------------------------------------------------------- */

static void make_simulated(const struct attester_subject *s, struct buf *document)
{
    struct simulated_registers registers;
    struct attester *a;
    simulated_measure(BYTES_LIT("image"), &registers);
    CHECK_OK(simulated_attester_new(&a, &registers));
    CHECK_OK(attester_document(a, s, NOW, document));
    attester_free(a);
}

static void registers_are_those_of_the_evidence(void **state)
{
    (void)state;
    struct simulated_registers registers;
    struct verdict v;
    uint8_t digest[BUNDLE_DIGEST_LEN];
    struct bundle b;
    BUF_AUTO document = BUF(BUNDLE_MAX);
    simulated_measure(BYTES_LIT("image"), &registers);
    make_simulated(&subject, &document);
    CHECK_OK(own_read(buf_view(&document), &subject, NOW, &v));
    CHECK(v.accepted && v.trust == TRUST_SIMULATED && v.registers_n == SIMULATED_PCRS);
    assert_string_equal(v.platform, SIMULATED_PLATFORM);
    CHECK_BYTES(verdict_register(&v, "pcr1"), BYTES_ARRAY(registers.pcr[1]));
    CHECK_BYTES(BYTES_ARRAY(v.identity), BYTES_ARRAY(identity));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK_OK(evidence_document_digest(&b, digest));
    CHECK_BYTES(BYTES_ARRAY(v.document_digest), BYTES_ARRAY(digest));
    verdict_clear(&v);
}

static void a_document_of_another_identity_nonce_or_claims_is_refused(void **state)
{
    (void)state;
    static const uint8_t other[32] = { 8 };
    const struct attester_subject others[] = {
        { BYTES_ARRAY(other), subject.nonce, subject.claims },
        { subject.identity, BYTES_ARRAY(other), subject.claims },
        { subject.identity, subject.nonce, BYTES_LIT("other") },
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct verdict v;
        BUF_AUTO document = BUF(BUNDLE_MAX);
        make_simulated(&others[i], &document);
        CHECK_OK(own_read(buf_view(&document), &subject, NOW, &v));
        check_refused(&v, VERDICT_BINDING, "mismatch");
    }
}

static void what_is_no_document_is_an_error(void **state)
{
    (void)state;
    struct verdict v;
    CHECK(!err_is_ok(own_read(BYTES_LIT("nonsense"), &subject, NOW, &v)));
    CHECK(!v.accepted);
    verdict_clear(&v);
}

/* --- SEV-SNP ----------------------------------------------------------------------------------- */

static struct snp_forge forge;
static bool debug, cut, with_table;

static void answer_snp(const struct attester_ask *ask, struct buf *evidence, struct buf *collateral)
{
    enum { POLICY_AT = 0x0a, REPORT_DATA_AT = 0x50, DEBUG_BIT = 3 };
    memcpy(forge.report + REPORT_DATA_AT, ask->report_data, BINDING_LEN);
    if (debug)
        forge.report[POLICY_AT] |= 1U << DEBUG_BIT;
    snp_forge_sign(&forge);
    CHECK_OK(buf_add(evidence, bytes_of(forge.report, SNP_REPORT_LEN - (cut ? 1 : 0))));
    if (with_table)
        snp_forge_table(&forge, collateral);
}

static int open_snp(void **state)
{
    (void)state;
    debug = cut = with_table = false;
    snp_forge_open(&forge);
    snp_forge_make(&forge);
    return 0;
}

static int close_snp(void **state)
{
    (void)state;
    snp_forge_close(&forge);
    return 0;
}

/* Certificates of a root that nobody knows are no proof, but here nobody needs one. */
static void a_report_is_read_without_collateral_that_proves_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        with_table = i == 1;
        struct verdict v;
        read_back(&v, SNP_PLATFORM, answer_snp);
        CHECK(v.accepted && v.trust == TRUST_HARDWARE);
        CHECK_BYTES(verdict_register(&v, "measurement"), bytes_of(forge.report + 0x90, 48));
        CHECK(verdict_register(&v, "chip_id").len == 0); /* only a leaf says that it is right */
        verdict_clear(&v);
    }
}

static void a_debug_guest_is_refused(void **state)
{
    (void)state;
    debug = true;
    struct verdict v;
    read_back(&v, SNP_PLATFORM, answer_snp);
    check_refused(&v, VERDICT_DEBUG, "debug-enabled");
}

static void a_report_that_cannot_be_read_is_refused(void **state)
{
    (void)state;
    cut = true;
    struct verdict v;
    read_back(&v, SNP_PLATFORM, answer_snp);
    check_refused(&v, VERDICT_FORM, "malformed");
}

/* --- TDX, genuine ------------------------------------------------------------------------------ */

static struct buf quote;
static size_t spoilt_at;

static void answer_quote(const struct attester_ask *ask, struct buf *evidence,
                         struct buf *collateral)
{
    (void)ask;
    (void)collateral;
    CHECK_OK(buf_add(evidence, buf_view(&quote)));
    if (spoilt_at > 0)
        evidence->at[spoilt_at] ^= 1;
}

static bool read_quote(const char *name)
{
    char path[512];
    if (law_vectors() == NULL)
        return false;
    (void)snprintf(path, sizeof path, "%s/attest/tdx/quotes/%s", law_vectors(), name);
    quote = BUF(64 * 1024);
    law_read_file(&quote, path);
    return true;
}

/* Its own signature and chain hold without collateral, so what refuses is that it is of another. */
static void a_genuine_quote_of_another_machine_is_refused_by_its_binding(void **state)
{
    (void)state;
    if (!read_quote("v4-b0c06f-uptodate.bin"))
        skip();
    spoilt_at = 0;
    struct verdict v;
    read_back(&v, "tdx", answer_quote);
    check_refused(&v, VERDICT_BINDING, "mismatch");
    spoilt_at = 200;
    read_back(&v, "tdx", answer_quote);
    check_refused(&v, VERDICT_SIGNATURE, "bad-signature");
    buf_clear(&quote);
}

/* --- Nitro ------------------------------------------------------------------------------------- */

static void answer_nitro(const struct attester_ask *ask, struct buf *evidence,
                         struct buf *collateral)
{
    struct nitro_maker m;
    (void)collateral;
    nitro_maker_open(&m);
    m.public_key = ask->identity;
    m.nonce = ask->nonce;
    m.user_data = bytes_of(ask->report_data, BINDING_LEN);
    nitro_maker_make(&m);
    CHECK_OK(buf_add(evidence, buf_view(&m.document)));
    nitro_maker_close(&m);
}

/* A security module's document has all that proves it, so all of that has to hold. */
static void a_nitro_document_of_another_root_is_refused(void **state)
{
    (void)state;
    struct verdict v;
    read_back(&v, "nitro", answer_nitro);
    check_refused(&v, VERDICT_SIGNATURE, "bad-chain");
}

static int start(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_those_of_the_evidence),
        cmocka_unit_test(a_document_of_another_identity_nonce_or_claims_is_refused),
        cmocka_unit_test(what_is_no_document_is_an_error),
        cmocka_unit_test_setup_teardown(a_report_is_read_without_collateral_that_proves_it,
                                        open_snp, close_snp),
        cmocka_unit_test_setup_teardown(a_debug_guest_is_refused, open_snp, close_snp),
        cmocka_unit_test_setup_teardown(a_report_that_cannot_be_read_is_refused, open_snp,
                                        close_snp),
        cmocka_unit_test(a_genuine_quote_of_another_machine_is_refused_by_its_binding),
        cmocka_unit_test(a_nitro_document_of_another_root_is_refused),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
