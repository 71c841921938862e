/* Every check refuses alone, on evidence that is right but for one thing; the laws, on genuine
 * evidence of each product line. */
#include "attest/claims.h"
#include "attest/snp_verify.h"
#include "attest/verify.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/foreign.h"
#include "tests/unit/attest/snp_forge.h"

enum { DAY = 86400 };

static struct snp_forge forge;
static struct snp_policy policy;
static struct snp_result result;

static int open_forge(void **state)
{
    (void)state;
    snp_forge_open(&forge);
    policy = snp_policy_default;
    forge.settings.policy = &policy;
    return 0;
}

static int close_forge(void **state)
{
    (void)state;
    snp_forge_close(&forge);
    return 0;
}

static void verify(void)
{
    CHECK_OK(snp_verify(BYTES_ARRAY(forge.report), &forge.collateral, &forge.settings, &result));
    CHECK(result.accepted == (result.failed == NULL));
}

static void accepts(void)
{
    verify();
    if (!result.accepted)
        fail_msg("refused: %s", result.failed);
}

/* That check failed, those in front of it did not, those behind it were skipped. */
static void refuses(enum snp_check_id check)
{
    verify();
    CHECK(!result.accepted);
    assert_string_equal(result.failed, result.checks[check].name);
    for (size_t i = 0; i < SNP_CHECKS; i++) {
        CHECK((result.checks[i].status == VERDICT_FAIL) == (i == (size_t)check));
        if (i > (size_t)check)
            CHECK(result.checks[i].reason == REASON_EARLIER_FAILURE);
    }
}

static void make_and_refuse(enum snp_check_id check)
{
    snp_forge_make(&forge);
    refuses(check);
}

static void set_policy_bit(unsigned bit)
{
    forge.report[8 + bit / 8] ^= (uint8_t)(1U << bit % 8);
}

static void whole_evidence_is_accepted(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    accepts();
    CHECK(result.has_report && result.has_leaf && result.product == SNP_MILAN);
    CHECK(result.crl_until == SNP_FORGE_NOW + DAY);
    assert_string_equal(result.leaf.product_name, "Milan-B0");
    for (size_t i = 0; i < SNP_CHECKS; i++)
        CHECK(result.checks[i].status == VERDICT_PASS ||
              result.checks[i].reason == REASON_NOT_APPLICABLE);
    forge.settings.policy = NULL;
    accepts();
}

static void a_root_nobody_passed_on_is_refused(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    forge.settings.more_roots_n = 0;
    refuses(SNP_CHECK_ROOT);
}

static void the_form_of_the_report_is_held(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    forge.report[0] = 1;
    refuses(SNP_CHECK_VERSION);
    forge.report[0] = 3;
    forge.report[0x34] = 2;
    refuses(SNP_CHECK_SIG_ALGO);
    forge.report[0x34] = 1;
    for (uint8_t key = 2; key < 8; key++) {
        forge.report[0x48] = (uint8_t)(key << 2);
        refuses(SNP_CHECK_SIGNING_KEY);
    }
    forge.report[0x48] = 2;
    refuses(SNP_CHECK_MASKED);
    forge.report[0x48] = 0;
    forge.report[SNP_REPORT_LEN - 1] = 1;
    refuses(SNP_CHECK_SIGNATURE_FORM);
    forge.report[SNP_REPORT_LEN - 1] = 0;
    accepts();
    CHECK_OK(snp_verify(bytes_of(forge.report, SNP_REPORT_LEN - 1), &forge.collateral,
                        &forge.settings, &result));
    assert_string_equal(result.failed, "length");
    CHECK(!result.has_report);
}

static void every_certificate_is_needed(void **state)
{
    (void)state;
    struct snp_collateral all;
    snp_forge_make(&forge);
    all = forge.collateral;
    forge.collateral.vcek = (bytes){ 0 };
    refuses(SNP_CHECK_COLLATERAL);
    forge.collateral = all;
    forge.collateral.issuers_n = 1; /* the ASK */
    refuses(SNP_CHECK_ROOT);
    forge.collateral.issuers[0] = all.issuers[1];
    refuses(SNP_CHECK_CHAIN);
    forge.collateral = all;
    forge.collateral.vcek = buf_view(&forge.ask); /* two certificates are no chain */
    refuses(SNP_CHECK_CHAIN);
    forge.collateral.vcek = BYTES_LIT("no certificate");
    refuses(SNP_CHECK_CHAIN);
    forge.collateral = all;
    forge.collateral.crl = (bytes){ 0 };
    refuses(SNP_CHECK_CRL);
    forge.collateral.crl = BYTES_LIT("no list");
    refuses(SNP_CHECK_CRL);
    forge.collateral = all;
}

static void dates_are_held(void **state)
{
    (void)state;
    forge.leaf_until = SNP_FORGE_NOW - 1;
    make_and_refuse(SNP_CHECK_CHAIN_VALIDITY);
    forge.leaf_until = SNP_FORGE_NOW + DAY;
    forge.crl_until = SNP_FORGE_NOW;
    make_and_refuse(SNP_CHECK_CRL_VALIDITY);
    forge.crl_until = SNP_FORGE_NOW + 1;
    forge.crl_from = SNP_FORGE_NOW + 1;
    make_and_refuse(SNP_CHECK_CRL_VALIDITY);
}

static void the_list_must_be_that_of_the_root(void **state)
{
    (void)state;
    struct snp_forge other;
    snp_forge_open(&other);
    snp_forge_make(&other);
    snp_forge_make(&forge);
    forge.collateral.crl = buf_view(&other.crl); /* the same name, another key */
    refuses(SNP_CHECK_CRL_SIGNATURE);
    snp_forge_close(&other);
    forge.revoked = true;
    make_and_refuse(SNP_CHECK_REVOKED);
}

static void a_leaf_without_its_extensions_is_refused(void **state)
{
    (void)state;
    static const char *const needed[] = { "1", "2", "3.1", "3.2", "3.3", "3.8", "4" };
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        forge.left_out = needed[i];
        make_and_refuse(SNP_CHECK_LEAF_FORM);
    }
    forge.left_out = "3.5"; /* reserved */
    snp_forge_make(&forge);
    accepts();
    forge.left_out = NULL;
    forge.leaf_name = "SEV-OTHER";
    make_and_refuse(SNP_CHECK_LEAF_FORM);
}

static void the_leaf_is_of_the_kind_the_report_names(void **state)
{
    (void)state;
    forge.report[0x48] = SNP_KEY_VLEK << 2;
    make_and_refuse(SNP_CHECK_LEAF_KIND); /* a VCEK for a VLEK's report */
    forge.vlek = true;
    snp_forge_make(&forge);
    accepts();
    assert_string_equal(result.leaf.csp_id, "CN=cloud.example");
    CHECK(result.checks[SNP_CHECK_CHIP_ID].status == VERDICT_SKIP);
    forge.report[0x48] = SNP_KEY_VCEK << 2;
    make_and_refuse(SNP_CHECK_LEAF_KIND); /* a VLEK for a VCEK's report */
    forge.vlek = false;
    forge.ask_name = "SEV-VLEK-Milan"; /* a VCEK below an ASVK */
    make_and_refuse(SNP_CHECK_LEAF_KIND);
    forge.ask_name = "Milan";
    make_and_refuse(SNP_CHECK_LEAF_KIND);
    forge.vlek = true;
    forge.report[0x48] = SNP_KEY_VLEK << 2;
    forge.ask_name = "SEV-Milan"; /* a VLEK below an ASK */
    make_and_refuse(SNP_CHECK_LEAF_KIND);
}

static void only_p384_signs_reports(void **state)
{
    (void)state;
    forge.leaf_curve = "P-256";
    make_and_refuse(SNP_CHECK_REPORT_SIGNATURE);
}

static void product_lines_must_agree(void **state)
{
    (void)state;
    forge.report[0x189] = 0x11; /* a Genoa's CPUID */
    make_and_refuse(SNP_CHECK_PRODUCT);
    forge.report[0x189] = 0x20; /* nobody's */
    make_and_refuse(SNP_CHECK_PRODUCT);
    forge.report[0x189] = 0x01;
    forge.product = "Genoa";
    make_and_refuse(SNP_CHECK_PRODUCT);
    forge.product = "Milan";
    forge.ask_name = "SEV-Genoa";
    make_and_refuse(SNP_CHECK_PRODUCT);
    forge.ask_name = NULL;
    forge.ark_name = "ARK-Genoa";
    make_and_refuse(SNP_CHECK_PRODUCT);
    forge.ark_name = NULL;
    forge.report[0] = 2; /* does not say */
    snp_forge_make(&forge);
    accepts();
    CHECK(result.product == SNP_MILAN);
    forge.product = "Rome";
    make_and_refuse(SNP_CHECK_PRODUCT);
}

static void the_leaf_is_of_the_reported_tcb_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < SNP_TCB_LEN; i++) {
        forge.leaf_tcb.raw[i] ^= 1;
        make_and_refuse(SNP_CHECK_TCB_LEAF);
        forge.leaf_tcb.raw[i] ^= 1;
    }
    forge.report[0x38] = 9; /* CURRENT_TCB may be another one */
    snp_forge_make(&forge);
    accepts();
}

static void the_chip_is_that_of_its_key(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    forge.report[0x1a0 + 63] ^= 1;
    snp_forge_sign(&forge);
    refuses(SNP_CHECK_CHIP_ID);
    forge.hwid_in_octets = true;
    snp_forge_make(&forge);
    accepts();
    forge.hwid_len = SNP_HWID_TURIN_LEN; /* the rest has to be zero then */
    make_and_refuse(SNP_CHECK_CHIP_ID);
    memset(forge.report + 0x1a0 + 8, 0, 56);
    snp_forge_make(&forge);
    accepts();
}

static void a_turin_is_read_in_its_own_order(void **state)
{
    (void)state;
    static const uint8_t tcb[SNP_TCB_LEN] = { 1, 2, 3, 4, 0, 0, 0, 71 };
    forge.product = "Turin";
    forge.ask_name = "SEV-Turin";
    forge.ark_name = "ARK-Turin";
    forge.hwid_len = SNP_HWID_TURIN_LEN;
    memset(forge.report + 0x1a0 + 8, 0, 56);
    memcpy(forge.report + 0x188, "\x1a\x02\x01", 3);
    memcpy(forge.report + 0x180, tcb, sizeof tcb);
    memcpy(forge.leaf_tcb.raw, tcb, sizeof tcb);
    snp_forge_make(&forge);
    accepts();
    policy.reported.part[SNP_TURIN][SNP_SNP] = 4;
    policy.reported.part[SNP_TURIN][SNP_FMC] = 1;
    accepts();
    policy.reported.part[SNP_TURIN][SNP_FMC] = 2;
    refuses(SNP_CHECK_MINIMUM_TCB);
}

static void what_a_guest_policy_must_not_allow_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned bit;
        enum snp_check_id check;
    } bits[] = {
        { 17, SNP_CHECK_GUEST_POLICY }, { 26, SNP_CHECK_GUEST_POLICY },
        { 63, SNP_CHECK_GUEST_POLICY }, { 19, SNP_CHECK_DEBUG },
        { 18, SNP_CHECK_MIGRATE_MA },   { 21, SNP_CHECK_CXL },
    };
    for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
        set_policy_bit(bits[i].bit);
        make_and_refuse(bits[i].check);
        set_policy_bit(bits[i].bit);
    }
    for (unsigned bit = 22; bit < 26; bit++) /* these only protect more */
        set_policy_bit(bit);
    snp_forge_make(&forge);
    accepts();
}

static void the_firmware_is_as_new_as_the_guest_asked(void **state)
{
    (void)state;
    forge.report[8] = 0x37;
    forge.report[9] = 1;
    snp_forge_make(&forge);
    accepts(); /* exactly 1.55 */
    forge.report[8] = 0x38;
    make_and_refuse(SNP_CHECK_ABI);
    forge.report[8] = 0;
    forge.report[9] = 2;
    make_and_refuse(SNP_CHECK_ABI);
}

static void the_policy_is_held(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    policy.products = 1U << SNP_GENOA;
    refuses(SNP_CHECK_LINE);
    policy.products = 1U << SNP_MILAN;
    policy.keys = 1U << SNP_KEY_VLEK;
    refuses(SNP_CHECK_KEY);
    policy.keys = 1U << SNP_KEY_VCEK;
    policy.minimum_guest_svn = 1;
    refuses(SNP_CHECK_GUEST_SVN);
    forge.report[4] = 1;
    snp_forge_sign(&forge);
    accepts();
    policy.smt = false;
    refuses(SNP_CHECK_SMT);
    set_policy_bit(16);
    snp_forge_sign(&forge);
    accepts();
    forge.report[0x30] = 1;
    snp_forge_sign(&forge);
    refuses(SNP_CHECK_VMPL);
    policy.max_vmpl = 1;
    accepts();
}

static void minimums_are_held_for_each_tcb_and_part(void **state)
{
    (void)state;
    struct snp_minimum *all[] = { &policy.reported, &policy.launch, &policy.committed };
    static const uint8_t have[SNP_PARTS] = { 0, 4, 0, 24, 219 };
    snp_forge_make(&forge);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t part = 0; part < SNP_PARTS; part++) {
            uint8_t before = all[i]->part[SNP_MILAN][part];
            all[i]->part[SNP_MILAN][part] = have[part];
            accepts();
            all[i]->part[SNP_MILAN][part] = (uint8_t)(have[part] + 1);
            refuses(SNP_CHECK_MINIMUM_TCB);
            all[i]->part[SNP_MILAN][part] = before;
        }
    }
    policy.reported.part[SNP_GENOA][SNP_SNP] = 99; /* of another line */
    accepts();
}

static void clouds_are_told_apart(void **state)
{
    (void)state;
    struct buf ids[] = { BUF(64) };
    CHECK_OK(buf_add_str(&ids[0], "CN=other.example"));
    policy.csp_ids = (struct policy_list){ ids, 1 };
    snp_forge_make(&forge);
    accepts(); /* of no cloud */
    forge.vlek = true;
    forge.report[0x48] = SNP_KEY_VLEK << 2;
    make_and_refuse(SNP_CHECK_CSP_ID);
    forge.csp_id = "CN=other.example";
    snp_forge_make(&forge);
    accepts();
    buf_clear(&ids[0]);
}

static void requirements_are_held(void **state)
{
    (void)state;
    static const struct {
        unsigned require;
        unsigned platform_bit;
    } rows[] = {
        { SNP_REQUIRE_TSME, 1 },          { SNP_REQUIRE_ECC, 2 },
        { SNP_REQUIRE_RAPL_DISABLED, 3 }, { SNP_REQUIRE_CIPHERTEXT_HIDING, 4 },
        { SNP_REQUIRE_ALIAS_CHECK, 5 },
    };
    snp_forge_make(&forge);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        policy.require = rows[i].require;
        forge.report[0x40] = (uint8_t) ~(1U << rows[i].platform_bit);
        snp_forge_sign(&forge);
        refuses(SNP_CHECK_PLATFORM_INFO);
        forge.report[0x40] = (uint8_t)(1U << rows[i].platform_bit);
        snp_forge_sign(&forge);
        accepts();
    }
    policy.require = SNP_REQUIRE_SINGLE_SOCKET | SNP_REQUIRE_ALIAS_CHECK;
    refuses(SNP_CHECK_PLATFORM_INFO);
    set_policy_bit(20);
    snp_forge_sign(&forge);
    accepts();
}

/* --- the frame ------------------------------------------------------------------------------- */

static void a_result_becomes_facts(void **state)
{
    (void)state;
    struct verifier_facts facts = { 0 };
    snp_forge_make(&forge);
    accepts();
    snp_facts(&result, &facts);
    CHECK(facts.form.status == VERDICT_PASS && facts.signature.status == VERDICT_PASS);
    CHECK(facts.debug.status == VERDICT_PASS && facts.tcb.status == VERDICT_PASS);
    CHECK(facts.subject == NULL && facts.evidence_at == 0);
    CHECK_BYTES(BYTES_ARRAY(facts.report_data), bytes_of(forge.report + 0x50, 64));
    CHECK(facts.registers_n == 7); /* no author key */
    assert_string_equal(facts.registers[0].name, "measurement");
    CHECK_BYTES(bytes_of(facts.registers[0].value, facts.registers[0].len),
                bytes_of(forge.report + 0x90, 48));
    for (size_t i = 0; i < facts.registers_n; i++)
        CHECK(verifier_register(snp_verifier, bytes_str(facts.registers[i].name))->len ==
              facts.registers[i].len);
}

/* Where the report has who launched it, and which launch it was. */
static void a_genuine_guest_of_somebody_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t at, len;
    } owners[] = { { "host_data", 0xc0, 32 },
                   { "id_key_digest", 0xe0, 48 },
                   { "author_key_digest", 0x110, 48 },
                   { "report_id", 0x140, 32 } };
    struct verifier_facts facts = { 0 };
    forge.report[0x48] |= 1; /* there is an author key */
    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        memset(forge.report + owners[i].at, (int)i + 0x31, owners[i].len);
    snp_forge_make(&forge);
    accepts();
    snp_facts(&result, &facts);
    for (size_t i = 0; i < ARRAY_LEN(owners); i++)
        foreign_law(snp_verifier, &facts, "measurement", owners[i].name);
}

static void a_failure_is_in_its_part_of_the_verdict(void **state)
{
    (void)state;
    struct verifier_facts facts = { 0 };
    set_policy_bit(19);
    make_and_refuse(SNP_CHECK_DEBUG);
    snp_facts(&result, &facts);
    CHECK(facts.signature.status == VERDICT_PASS && facts.registers_n > 0);
    CHECK(facts.debug.status == VERDICT_FAIL && facts.debug.reason == REASON_DEBUG_ENABLED);
    CHECK(facts.tcb.status == VERDICT_SKIP && facts.tcb.reason == REASON_UNCHECKED);
    assert_string_equal(facts.subject, "debug");
    facts = (struct verifier_facts){ 0 };
    forge.report[0x90] ^= 1;
    refuses(SNP_CHECK_REPORT_SIGNATURE);
    snp_facts(&result, &facts);
    CHECK(facts.signature.reason == REASON_BAD_SIGNATURE && facts.registers_n == 0);
    CHECK(facts.report_data[0] == 0);
}

static void a_bundle_meets_the_same_checks(void **state)
{
    (void)state;
    struct policy any = { 0 };
    struct verifier_facts facts = { 0 };
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    snp_forge_make(&forge);
    snp_forge_table(&forge, &table);
    struct bundle b = { .evidence = BYTES_ARRAY(forge.report), .collateral = buf_view(&table) };
    CHECK_OK(snp_verifier->examine(&b, &any, SNP_FORGE_NOW, &facts));
    assert_string_equal(facts.subject, "untrusted-ark");
    CHECK(facts.signature.reason == REASON_BAD_CHAIN);
    facts = (struct verifier_facts){ 0 };
    b.collateral = (bytes){ 0 };
    CHECK_OK(snp_verifier->examine(&b, &any, SNP_FORGE_NOW, &facts));
    CHECK(facts.signature.reason == REASON_NO_COLLATERAL);
    facts = (struct verifier_facts){ 0 };
    b.collateral = BYTES_LIT("no table");
    CHECK_OK(snp_verifier->examine(&b, &any, SNP_FORGE_NOW, &facts));
    CHECK(facts.form.reason == REASON_MALFORMED);
    CHECK(verifier_find(BYTES_LIT("sev-snp")) == snp_verifier);
}

/* --- laws on genuine evidence ---------------------------------------------------------------- */

struct genuine {
    const char *report;
    const char *leaf;
    const char *issuer;
    const char *root;
    const char *crl;
    int64_t at;
    uint32_t max_vmpl;
    struct buf files[5];
    struct snp_collateral collateral;
};

static void read_vector(struct buf *out, const char *folder, const char *name)
{
    BUF_AUTO path = BUF(1024);
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/%s", folder, name));
    law_read_file(out, buf_str(&path));
}

static void load(struct genuine *g, const char *folder)
{
    const char *const names[] = { g->report, g->leaf, g->issuer, g->root, g->crl };
    static const enum snp_entry_kind kinds[] = { SNP_ENTRY_OTHER, SNP_ENTRY_VCEK, SNP_ENTRY_ASK,
                                                 SNP_ENTRY_ARK, SNP_ENTRY_CRL };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        g->files[i] = BUF(65536);
        read_vector(&g->files[i], folder, names[i]);
        CHECK_OK(snp_collateral_add(&g->collateral, kinds[i], buf_view(&g->files[i])));
    }
}

static void unload(struct genuine *g)
{
    for (size_t i = 0; i < ARRAY_LEN(g->files); i++)
        buf_clear(&g->files[i]);
    snp_collateral_clear(&g->collateral);
}

static bool holds(struct genuine *g)
{
    struct snp_policy p = snp_policy_default;
    struct snp_settings s = { .policy = &p, .now = g->at };
    memset(&p.reported, 0, sizeof p.reported);
    p.max_vmpl = g->max_vmpl;
    CHECK_OK(snp_verify(buf_view(&g->files[0]), &g->collateral, &s, &result));
    return result.accepted;
}

/* No range is left out: every byte of a report is signed, or has one value. */
static void flip_report(struct genuine *g, size_t step)
{
    uint8_t *at = g->files[0].at;
    for (size_t bit = 0; bit < 8 * (size_t)SNP_REPORT_LEN; bit += step) {
        at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (holds(g))
            fail_msg("bit %zu of byte %zu of the report", bit % 8, bit / 8);
        at[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* Leaf and list are signed whole. */
static void flip_collateral(struct genuine *g, size_t which)
{
    uint8_t *at = g->files[which].at;
    for (size_t i = 0; i < g->files[which].len; i += 3) {
        uint8_t bit = (uint8_t)(1U << i % 8);
        at[i] ^= bit;
        if (holds(g))
            fail_msg("byte %zu of %s", i, which == 1 ? g->leaf : g->crl);
        at[i] ^= bit;
    }
}

static struct genuine all[] = {
    { "reports/milan-v2.bin",
      "reports/milan-v2.vek.der",
      "roots/ask_milan.pem",
      "roots/ark_milan.pem",
      "crl/milan-2025.der",
      1751328000,
      0,
      { { 0 } },
      { .held_n = 0 } },
    { "reports/milan-v3-vlek-aws.bin",
      "reports/milan-v3-vlek-aws.vek.der",
      "roots/asvk_milan.pem",
      "roots/ark_milan.pem",
      "crl/milan-2025.der",
      1751328000,
      1,
      { { 0 } },
      { .held_n = 0 } },
    { "reports/turin-v5.bin",
      "reports/turin-v5.vek.der",
      "roots/ask_turin.pem",
      "roots/ark_turin.pem",
      "crl/turin-2025.der",
      1756684800,
      0,
      { { 0 } },
      { .held_n = 0 } },
};

static void any_flipped_bit_of_genuine_evidence_is_refused(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        load(&all[i], folder);
        CHECK(holds(&all[i]));
        flip_report(&all[i], i == 0 ? 1 : 7);
        flip_collateral(&all[i], 1);
        flip_collateral(&all[i], 4);
        CHECK(holds(&all[i]));
        unload(&all[i]);
    }
}

/* ECDSA signs n - S as well: the same content, so it is accepted. */
static void a_negated_s_is_accepted(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    struct genuine g = all[0];
    g.report = "negative/signature-s-negated.bin";
    load(&g, folder);
    CHECK(holds(&g));
    unload(&g);
}

/* As a guest reads them: outblob, and auxblob with certificates in PEM, to which the list is added. */
static void what_a_guest_reads_from_its_kernel_is_accepted(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    struct genuine g = { "configfs-tsm/outblob",
                         "configfs-tsm/auxblob",
                         "roots/ask_genoa.pem",
                         "roots/ark_genoa.pem",
                         "crl/genoa-2024.der",
                         1756684800,
                         0,
                         { { 0 } },
                         { .held_n = 0 } };
    struct snp_settings s = { .now = g.at };
    struct snp_collateral c = { 0 };
    for (size_t i = 0; i < ARRAY_LEN(g.files); i++)
        g.files[i] = BUF(65536);
    read_vector(&g.files[0], folder, g.report);
    read_vector(&g.files[1], folder, g.leaf);
    read_vector(&g.files[4], folder, g.crl);
    CHECK_OK(snp_collateral_read(&c, buf_view(&g.files[1])));
    CHECK_OK(snp_verify(buf_view(&g.files[0]), &c, &s, &result));
    assert_string_equal(result.failed, "crl"); /* hosts bring none */
    CHECK_OK(snp_collateral_add(&c, SNP_ENTRY_CRL, buf_view(&g.files[4])));
    CHECK_OK(snp_verify(buf_view(&g.files[0]), &c, &s, &result));
    CHECK(result.accepted && result.product == SNP_GENOA);
    snp_collateral_clear(&c);
    unload(&g);
}

/* Genuine, but for nobody's identity: the frame sees that its report data bind something else. */
static void genuine_evidence_of_others_is_refused_for_its_binding(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    struct genuine g = all[0];
    struct policy *p;
    struct verdict v;
    uint8_t key[32] = { 1 };
    BUF_AUTO claims = BUF(CLAIMS_MAX);
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    load(&g, folder);
    const struct snp_entry entries[] = { { SNP_ENTRY_VCEK, buf_view(&g.files[1]) },
                                         { SNP_ENTRY_ASK, buf_view(&g.files[2]) },
                                         { SNP_ENTRY_ARK, buf_view(&g.files[3]) },
                                         { SNP_ENTRY_CRL, buf_view(&g.files[4]) } };
    CHECK_OK(snp_table_write(&table, entries, ARRAY_LEN(entries)));
    CHECK_OK(claims_write(&claims, &(struct claims){ .model = BYTES_LIT("m"),
                                                     .worker = BYTES_LIT("w"),
                                                     .software = BYTES_LIT("1"),
                                                     .model_version = BYTES_LIT("1") }));
    CHECK_OK(policy_read(&p,
                         BYTES_LIT("platforms: [sev-snp]\n"
                                   "measurements: { measurement: "
                                   "[7a1e5c266c0108dbc9bb94fa926951320940915d0aafb42464bd88b579ea1"
                                   "58d3e1a0dc39b2c60bd95b9c480cd81841f] }\n"),
                         "p", NULL));
    struct bundle b = { .version = BUNDLE_VERSION,
                        .nonce = BYTES_ARRAY(key),
                        .claims = buf_view(&claims),
                        .identity = BYTES_ARRAY(key),
                        .platform = BYTES_LIT("sev-snp"),
                        .evidence = buf_view(&g.files[0]),
                        .collateral = buf_view(&table) };
    struct verify_settings s = { .policy = p, .now = g.at, .nonce = BYTES_ARRAY(key) };
    CHECK_OK(attest_verify_evidence(&b, &s, &v));
    CHECK(!v.accepted && v.checks[VERDICT_SIGNATURE].status == VERDICT_PASS);
    assert_string_equal(verdict_failure(&v)->name, "binding");
    CHECK(verdict_register(&v, "measurement").len == SNP_MEASUREMENT_LEN);
    verdict_clear(&v);
    s.now = 1746057600; /* before the list was made */
    CHECK_OK(attest_verify_evidence(&b, &s, &v));
    assert_string_equal(verdict_failure(&v)->reason, "stale-collateral");
    assert_string_equal(verdict_failure(&v)->subject, "crl-validity");
    verdict_clear(&v);
    policy_free(p);
    unload(&g);
}

static err verify_once(void *arg)
{
    (void)arg;
    err e = snp_verify(BYTES_ARRAY(forge.report), &forge.collateral, &forge.settings, &result);
    if (err_is_ok(e) != result.accepted)
        fail_msg("%s, but %s", err_word(e), result.accepted ? "accepted" : "refused");
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    snp_forge_make(&forge);
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_forge, close_forge)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_evidence_is_accepted),
        TEST(a_root_nobody_passed_on_is_refused),
        TEST(the_form_of_the_report_is_held),
        TEST(every_certificate_is_needed),
        TEST(dates_are_held),
        TEST(the_list_must_be_that_of_the_root),
        TEST(a_leaf_without_its_extensions_is_refused),
        TEST(the_leaf_is_of_the_kind_the_report_names),
        TEST(only_p384_signs_reports),
        TEST(product_lines_must_agree),
        TEST(the_leaf_is_of_the_reported_tcb_byte_by_byte),
        TEST(the_chip_is_that_of_its_key),
        TEST(a_turin_is_read_in_its_own_order),
        TEST(what_a_guest_policy_must_not_allow_is_refused),
        TEST(the_firmware_is_as_new_as_the_guest_asked),
        TEST(the_policy_is_held),
        TEST(minimums_are_held_for_each_tcb_and_part),
        TEST(clouds_are_told_apart),
        TEST(requirements_are_held),
        TEST(a_result_becomes_facts),
        TEST(a_genuine_guest_of_somebody_else_is_refused),
        TEST(a_failure_is_in_its_part_of_the_verdict),
        TEST(a_bundle_meets_the_same_checks),
        TEST(every_allocation_fails_once),
        cmocka_unit_test(any_flipped_bit_of_genuine_evidence_is_refused),
        cmocka_unit_test(a_negated_s_is_accepted),
        cmocka_unit_test(what_a_guest_reads_from_its_kernel_is_accepted),
        cmocka_unit_test(genuine_evidence_of_others_is_refused_for_its_binding),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
