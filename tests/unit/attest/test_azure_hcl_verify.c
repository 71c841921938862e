/* The genuine evidence of a VM, whole and spoiled in one place at a time. */
#include <stdio.h>

#include "attest/azure_hcl_verify.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"

enum { AT = 1751328000 };

/* The parts of it, and what they are put together to. */
static struct {
    bool there;
    struct buf hcl, pcrs, quote, signature, leaf, ask, ark, crl;
} files;

static struct azure_evidence evidence;
static struct snp_collateral collateral;
static struct snp_settings settings;
static struct azure_result result;

static void read_file(struct buf *out, const char *folder, const char *name)
{
    BUF_AUTO path = BUF(1024);
    *out = BUF(65536);
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/%s", folder, name));
    law_read_file(out, buf_str(&path));
}

/* One value in hex per line, from PCR 0 on. */
static void read_pcrs(struct buf *out, const char *folder)
{
    BUF_AUTO text = BUF(65536);
    read_file(&text, folder, "azure/tpm_pcrs_sha256.txt");
    *out = BUF(AZURE_PCRS_MAX);
    for (bytes rest = buf_view(&text); rest.len > 0;) {
        size_t n = text_find(rest, BYTES_LIT("\n"));
        CHECK_OK(text_hex_decode(out, bytes_slice(rest, 0, n)));
        rest = bytes_slice(rest, n + 1, rest.len);
    }
}

static int open_files(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    files.there = folder != NULL;
    if (!files.there)
        return err_is_ok(crypto_init()) ? 0 : -1;
    read_file(&files.hcl, folder, "azure/hcl_report.bin");
    read_file(&files.quote, folder, "azure/tpm_quote.msg");
    read_file(&files.signature, folder, "azure/tpm_quote.sig");
    read_file(&files.leaf, folder, "azure/vcek.der");
    read_file(&files.ask, folder, "roots/ask_milan.pem");
    read_file(&files.ark, folder, "roots/ark_milan.pem");
    read_file(&files.crl, folder, "crl/milan-2025.der");
    read_pcrs(&files.pcrs, folder);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int close_files(void **state)
{
    (void)state;
    struct buf *all[] = { &files.hcl,  &files.pcrs, &files.quote, &files.signature,
                          &files.leaf, &files.ask,  &files.ark,   &files.crl };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_clear(all[i]);
    return 0;
}

static void begin(void)
{
    if (!files.there)
        skip();
    snp_collateral_clear(&collateral);
    CHECK_OK(snp_collateral_add(&collateral, SNP_ENTRY_VCEK, buf_view(&files.leaf)));
    CHECK_OK(snp_collateral_add(&collateral, SNP_ENTRY_ASK, buf_view(&files.ask)));
    CHECK_OK(snp_collateral_add(&collateral, SNP_ENTRY_ARK, buf_view(&files.ark)));
    CHECK_OK(snp_collateral_add(&collateral, SNP_ENTRY_CRL, buf_view(&files.crl)));
    settings = (struct snp_settings){ .now = AT };
    evidence = (struct azure_evidence){ .hcl = buf_view(&files.hcl),
                                        .pcrs = buf_view(&files.pcrs),
                                        .quote = buf_view(&files.quote),
                                        .signature = buf_view(&files.signature) };
}

static void verify(void)
{
    CHECK_OK(azure_verify(&evidence, &collateral, &settings, &result));
    CHECK(result.accepted == (result.failed == NULL));
}

static void refuses(const char *check)
{
    verify();
    CHECK(!result.accepted);
    assert_string_equal(result.failed, check);
}

static void the_genuine_evidence_is_accepted(void **state)
{
    (void)state;
    begin();
    verify();
    if (!result.accepted)
        fail_msg("refused: %s", result.failed);
    CHECK(result.quote.selected == 0xffffff && result.secure_boot);
    CHECK_BYTES(result.quote.extra, bytes_of(result.user_data, result.quote.extra.len));
    snp_collateral_clear(&collateral);
}

static void refuse_file(const char *name, const char *check)
{
    struct buf broken;
    begin();
    read_file(&broken, law_vectors(), name);
    evidence.hcl = buf_view(&broken);
    refuses(check);
    buf_clear(&broken);
    snp_collateral_clear(&collateral);
}

static void broken_reports_are_refused(void **state)
{
    (void)state;
    refuse_file("azure/neg-runtime-data-edited.bin", "runtime-data");
    refuse_file("azure/neg-hash-type-0.bin", "hash-type");
    refuse_file("azure/neg-var-size-huge.bin", "hcl-form");
}

static void each_part_belongs_to_the_others(void **state)
{
    (void)state;
    begin();
    evidence.pcrs.len -= TPM_PCR_LEN;
    refuses("pcr-digest");
    begin();
    files.pcrs.at[5] ^= 1;
    refuses("pcr-digest");
    files.pcrs.at[5] ^= 1;
    files.quote.at[files.quote.len - 1] ^= 1;
    refuses("quote-signature");
    files.quote.at[files.quote.len - 1] ^= 1;
    evidence.quote.len--;
    refuses("quote-form");
    begin();
    files.signature.at[0] ^= 1;
    refuses("quote-signature");
    files.signature.at[0] ^= 1;
    files.hcl.at[1216 + 8] = AZURE_REPORT_TDX;
    refuses("report-type");
    files.hcl.at[1216 + 8] = AZURE_REPORT_SNP;
    snp_collateral_clear(&collateral);
    refuses("collateral");
}

/* What AMD's report is refused for keeps its name, and the rest of Azure's part is still looked at
 * when it is only the platform's state. */
static void the_report_is_held_to_the_policy(void **state)
{
    (void)state;
    struct verifier_facts facts = { 0 };
    struct snp_policy strict = snp_policy_default;
    begin();
    strict.reported.part[SNP_MILAN][SNP_SNP] = 25;
    settings.policy = &strict;
    refuses("minimum-tcb");
    CHECK(result.checks[AZURE_CHECK_PCR_DIGEST].status == VERDICT_PASS);
    CHECK(result.checks[AZURE_CHECK_STATE].status == VERDICT_FAIL);
    files.hcl.at[32 + 0x90] ^= 1;
    refuses("report-signature");
    CHECK(result.checks[AZURE_CHECK_RUNTIME_DATA].status == VERDICT_SKIP);
    files.hcl.at[32 + 0x90] ^= 1;
    snp_facts(&result.snp, &facts);
    CHECK(facts.signature.status == VERDICT_FAIL);
    snp_collateral_clear(&collateral);
}

/* --- as a bundle ----------------------------------------------------------------------------- */

static void examine(struct verifier_facts *facts)
{
    static const struct policy any = { .platforms_n = 0 };
    BUF_AUTO encoded = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    const struct snp_entry entries[] = { { SNP_ENTRY_VCEK, buf_view(&files.leaf) },
                                         { SNP_ENTRY_ASK, buf_view(&files.ask) },
                                         { SNP_ENTRY_ARK, buf_view(&files.ark) },
                                         { SNP_ENTRY_CRL, buf_view(&files.crl) } };
    *facts = (struct verifier_facts){ 0 };
    CHECK_OK(azure_evidence_write(&encoded, &evidence));
    CHECK_OK(snp_table_write(&table, entries, ARRAY_LEN(entries)));
    struct bundle b = { .evidence = buf_view(&encoded), .collateral = buf_view(&table) };
    CHECK_OK(azure_verifier->examine(&b, &any, AT, facts));
}

static void a_bundle_gives_the_challenge_and_the_pcrs(void **state)
{
    (void)state;
    struct verifier_facts facts;
    begin();
    verify();
    examine(&facts);
    CHECK(facts.form.status == VERDICT_PASS && facts.signature.status == VERDICT_PASS);
    CHECK(facts.debug.status == VERDICT_PASS && facts.tcb.status == VERDICT_PASS);
    CHECK(facts.subject == NULL);
    CHECK_BYTES(BYTES_ARRAY(facts.report_data), BYTES_ARRAY(result.user_data));
    CHECK(facts.registers_n == 24 + 7);
    for (size_t i = 0; i < facts.registers_n; i++) {
        const struct verdict_register *r = &facts.registers[i];
        const struct verifier_register *known =
            verifier_register(azure_verifier, bytes_str(r->name));
        CHECK(known != NULL && known->len == r->len);
        CHECK(known->secondary == !bytes_starts(bytes_str(r->name), BYTES_LIT("pcr")));
    }
    CHECK(verifier_find(BYTES_LIT("azure-sev-snp")) == azure_verifier);
    snp_collateral_clear(&collateral);
}

static void a_bundle_that_fails_gives_nothing(void **state)
{
    (void)state;
    struct verifier_facts facts;
    begin();
    files.pcrs.at[0] ^= 1;
    examine(&facts);
    files.pcrs.at[0] ^= 1;
    CHECK(facts.signature.status == VERDICT_FAIL && facts.signature.reason == REASON_MISMATCH);
    CHECK(facts.tcb.status == VERDICT_SKIP || facts.tcb.status == VERDICT_PASS);
    CHECK(facts.registers_n == 0 && facts.report_data[0] == 0);
    assert_string_equal(facts.subject, "pcr-digest");
    evidence.hcl.len = 1236;
    examine(&facts);
    CHECK(facts.form.status == VERDICT_FAIL && facts.signature.status != VERDICT_PASS);
    CHECK(facts.debug.status != VERDICT_PASS && facts.tcb.status != VERDICT_PASS);
    assert_string_equal(facts.subject, "hcl-form");
    snp_collateral_clear(&collateral);
}

/* --- laws ------------------------------------------------------------------------------------ */

/* What nobody signs and nothing depends on: 16 reserved bytes in the paravisor's header, and the
 * rest of the index behind the runtime data. */
static bool is_free(size_t at)
{
    return (at >= 16 && at < 32) || at >= 2346;
}

static void flip(struct buf *b, size_t step, bool hcl)
{
    for (size_t i = 0; i < b->len; i += step) {
        uint8_t bit = (uint8_t)(1U << i % 8);
        if (hcl && is_free(i))
            continue;
        b->at[i] ^= bit;
        verify();
        if (result.accepted)
            fail_msg("byte %zu of %zu", i, b->len);
        b->at[i] ^= bit;
    }
}

static void any_flipped_bit_of_genuine_evidence_is_refused(void **state)
{
    (void)state;
    begin();
    flip(&files.hcl, 1, true);
    flip(&files.quote, 1, false);
    flip(&files.signature, 1, false);
    flip(&files.pcrs, 3, false);
    snp_collateral_clear(&collateral);
}

static err verify_once(void *arg)
{
    (void)arg;
    err e = azure_verify(&evidence, &collateral, &settings, &result);
    if (err_is_ok(e) != result.accepted)
        fail_msg("%s, but %s", err_word(e), result.accepted ? "accepted" : "refused");
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    begin();
    law_every_allocation_fails_once(verify_once, NULL);
    snp_collateral_clear(&collateral);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_genuine_evidence_is_accepted),
        cmocka_unit_test(broken_reports_are_refused),
        cmocka_unit_test(each_part_belongs_to_the_others),
        cmocka_unit_test(the_report_is_held_to_the_policy),
        cmocka_unit_test(a_bundle_gives_the_challenge_and_the_pcrs),
        cmocka_unit_test(a_bundle_that_fails_gives_nothing),
        cmocka_unit_test(any_flipped_bit_of_genuine_evidence_is_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, open_files, close_files);
}
