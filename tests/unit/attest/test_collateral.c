/* Every genuine case of the vectors, planned, checked, joined and verified; the laws on one of each
 * platform. */
#include <stdio.h>

#include "attest/azure_hcl_verify.h"
#include "attest/collateral.h"
#include "attest/snp_verify.h"
#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/recorded.h"

#define A_TDX "v4-b0c06f-uptodate"
#define AN_SNP "milan-v2"
#define A_TURIN "turin-v5"

static bytes issuer_of(const struct collateral_plan *plan, const struct collateral_piece *pieces,
                       size_t i)
{
    int at = plan->needs[i].issuer;
    return at < 0 ? buf_view(&plan->issuer) : pieces[at].body;
}

static err check_all(const struct collateral_plan *plan, const struct collateral_piece *pieces,
                     int64_t now)
{
    for (size_t i = 0; i < plan->n; i++) {
        int64_t expires = 0;
        TRY(collateral_check(&plan->needs[i], &pieces[i], issuer_of(plan, pieces, i), now,
                             &expires));
        CHECK(expires >= now && expires < INT64_MAX);
        CHECK(collateral_refresh_at(plan->needs[i].kind, now, expires) >= now);
        CHECK(collateral_refresh_at(plan->needs[i].kind, now, expires) <= expires);
    }
    return OK;
}

/* ---- every genuine case ---- */

static size_t seen;

static enum verdict_status tdx_status_of(const struct recorded *r, bytes collateral)
{
    struct tdx_collateral c;
    struct tdx_result *result;
    CHECK_OK(tdx_collateral_read(collateral, &c));
    CHECK_OK(mem_new(&result));
    CHECK_OK(tdx_verify(
        &(struct tdx_input){ .quote = buf_view(&r->evidence), .collateral = &c, .now = r->at },
        result));
    CHECK(result->checks[TDX_CHECK_PCK_CRL] == VERDICT_PASS);
    CHECK(result->checks[TDX_CHECK_ROOT_CRL] == VERDICT_PASS);
    CHECK(result->checks[TDX_CHECK_TCB_INFO] == VERDICT_PASS);
    CHECK(result->checks[TDX_CHECK_QE_IDENTITY] == VERDICT_PASS);
    enum verdict_status status = result->checks[TDX_CHECK_TCB_SIGNER];
    mem_free(result);
    return status;
}

static void see_tdx(const struct recorded *r)
{
    struct collateral_plan plan;
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    CHECK_OK(collateral_plan_make(&plan, &r->bundle, NULL, r->at));
    CHECK(plan.n == 4);
    recorded_pieces(r, &plan, pieces);
    CHECK_OK(check_all(&plan, pieces, r->at));
    CHECK_OK(collateral_join(&whole, &plan, &r->bundle, pieces));
    CHECK(tdx_status_of(r, buf_view(&whole)) == VERDICT_PASS);
    collateral_plan_clear(&plan);

    struct bundle carries = r->bundle;
    carries.collateral = buf_view(&whole);
    CHECK_OK(collateral_plan_make(&plan, &carries, NULL, r->at));
    CHECK(plan.n == 0);
    collateral_plan_clear(&plan);
    seen++;
}

static void completes_every_genuine_quote(void **state)
{
    (void)state;
    seen = 0;
    if (!recorded_each("tdx", see_tdx))
        skip();
    CHECK(seen > 0);
}

static void snp_result_of(const struct recorded *r, bytes table, struct snp_result *out)
{
    struct snp_collateral c = { 0 };
    struct snp_policy lax = snp_policy_default;
    lax.reported = (struct snp_minimum){ 0 };
    lax.max_vmpl = SNP_VMPL_MAX;
    CHECK_OK(snp_collateral_read(&c, table));
    CHECK_OK(snp_verify(buf_view(&r->evidence), &c,
                        &(struct snp_settings){ .policy = &lax, .now = r->at }, out));
    snp_collateral_clear(&c);
}

static void see_snp(const struct recorded *r)
{
    struct collateral_plan plan;
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    struct snp_result result;
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    struct snp_entry leaf = { r->vlek ? SNP_ENTRY_VLEK : SNP_ENTRY_VCEK,
                              buf_view(&r->body[COLLATERAL_SNP_VCEK]) };
    CHECK_OK(collateral_plan_make(&plan, &r->bundle, NULL, r->at));
    CHECK(plan.n == (!r->says_line ? 0 : r->vlek ? 2 : 3));
    recorded_pieces(r, &plan, pieces);
    err e = check_all(&plan, pieces, r->at);
    if (plan.n > 0 && err_is_ok(e)) {
        CHECK_OK(collateral_join(&whole, &plan, &r->bundle, pieces));
        snp_result_of(r, buf_view(&whole), &result);
        CHECK(result.accepted || !r->accepted);
    }
    CHECK(err_is_ok(e) || !r->accepted);
    collateral_plan_clear(&plan);

    /* The host gives all but the list. */
    buf_truncate(&whole, 0);
    const struct snp_entry table[] = {
        leaf, { SNP_ENTRY_ASK, buf_view(&r->body[COLLATERAL_SNP_CHAIN]) }
    };
    struct bundle carries = r->bundle;
    BUF_AUTO given = BUF(BUNDLE_COLLATERAL_MAX);
    CHECK_OK(snp_table_write(&given, table, 2));
    carries.collateral = buf_view(&given);
    CHECK_OK(collateral_plan_make(&plan, &carries, NULL, r->at));
    CHECK(plan.n == 1 && plan.needs[0].kind == COLLATERAL_SNP_CRL);
    recorded_pieces(r, &plan, pieces);
    e = check_all(&plan, pieces, r->at);
    CHECK(err_is_ok(e) || !r->accepted);
    if (err_is_ok(e)) {
        CHECK_OK(collateral_join(&whole, &plan, &carries, pieces));
        snp_result_of(r, buf_view(&whole), &result);
        CHECK(result.accepted || !r->accepted);
        carries.collateral = buf_view(&whole);
        collateral_plan_clear(&plan);
        CHECK_OK(collateral_plan_make(&plan, &carries, NULL, r->at));
        CHECK(plan.n == 0);
    }
    collateral_plan_clear(&plan);
    seen++;
}

static void completes_every_genuine_report(void **state)
{
    (void)state;
    seen = 0;
    if (!recorded_each("sev-snp", see_snp))
        skip();
    CHECK(seen > 0);
}

/* ---- one case ---- */

static struct recorded tdx, snp;
static struct collateral_plan tdx_plan, snp_plan;
static struct collateral_piece tdx_pieces[COLLATERAL_NEEDS_MAX], snp_pieces[COLLATERAL_NEEDS_MAX];

static int open_recorded(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    recorded_open(&tdx, "tdx", A_TDX);
    recorded_open(&snp, "sev-snp", A_TURIN);
    CHECK_OK(collateral_plan_make(&tdx_plan, &tdx.bundle, NULL, tdx.at));
    CHECK_OK(collateral_plan_make(&snp_plan, &snp.bundle, NULL, snp.at));
    recorded_pieces(&tdx, &tdx_plan, tdx_pieces);
    recorded_pieces(&snp, &snp_plan, snp_pieces);
    return 0;
}

static int close_recorded(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    collateral_plan_clear(&tdx_plan);
    collateral_plan_clear(&snp_plan);
    recorded_close(&tdx);
    recorded_close(&snp);
    return 0;
}

static void is_at(const struct collateral_need *need, const char *key, const char *base,
                  const char *url)
{
    BUF_AUTO out = BUF(COLLATERAL_URL_MAX);
    assert_string_equal(need->key, key);
    CHECK_OK(collateral_url(&out, bytes_str(base), need));
    assert_string_equal(buf_str(&out), url);
}

static void knows_where_each_piece_is(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    const struct collateral_need *t = tdx_plan.needs;
    const struct collateral_need *s = snp_plan.needs;
    is_at(&t[0], "tdx-tcb-info-b0c06f000000", COLLATERAL_INTEL_BASE,
          "https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc=b0c06f000000");
    is_at(&t[1], "tdx-qe-identity", "https://pccs:8081/",
          "https://pccs:8081/tdx/certification/v4/qe/identity");
    is_at(&t[2], "tdx-pck-crl-platform", "https://pccs:8081/sgx/certification/v4/",
          "https://pccs:8081/sgx/certification/v4/pckcrl?ca=platform&encoding=der");
    is_at(&t[3], "tdx-root-crl", COLLATERAL_INTEL_BASE "/",
          "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
    is_at(&t[3], "tdx-root-crl", "http://127.0.0.1:8081",
          "http://127.0.0.1:8081/sgx/certification/v4/rootcacrl");
    is_at(&s[0], "snp-chain-vcek-turin", COLLATERAL_AMD_BASE,
          "https://kdsintf.amd.com/vcek/v1/Turin/cert_chain");
    is_at(&s[1], "snp-crl-turin", COLLATERAL_AMD_BASE, "https://kdsintf.amd.com/vcek/v1/Turin/crl");
    BUF_AUTO chip = BUF(64);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    struct snp_report r;
    CHECK_OK(snp_report_read(buf_view(&snp.evidence), &r));
    CHECK_OK(text_hex_encode(&chip, bytes_slice(r.chip_id, 0, SNP_HWID_TURIN_LEN)));
    const uint8_t *n = r.reported.raw;
    CHECK_OK(buf_addf(&path, "/vcek/v1/Turin/%s?blSPL=%u&teeSPL=%u&snpSPL=%u&ucodeSPL=%u&fmcSPL=%u",
                      buf_str(&chip), n[1], n[2], n[3], n[7], n[0]));
    assert_string_equal(s[2].path, buf_str(&path));
    CHECK(s[1].issuer == 0 && s[2].issuer == 0 && t[0].issuer == -1);
}

static void refuses_a_url_over_its_buffers_limit(void **state)
{
    (void)state;
    const struct collateral_need need = { .kind = COLLATERAL_TCB_INFO, .path = "/x" };
    BUF_AUTO at = BUF(4);
    BUF_AUTO above = BUF(3);
    CHECK_OK(collateral_url(&at, BYTES_LIT("ab"), &need));
    CHECK_ERR(collateral_url(&above, BYTES_LIT("ab"), &need), LIMIT);
}

/* ---- what is carried ---- */

static size_t needs_with(const struct recorded *r, bytes collateral, int64_t now)
{
    struct collateral_plan plan;
    struct bundle b = r->bundle;
    b.collateral = collateral;
    CHECK_OK(collateral_plan_make(&plan, &b, NULL, now));
    size_t n = plan.n;
    collateral_plan_clear(&plan);
    return n;
}

static struct tdx_collateral whole_tdx(void)
{
    return (struct tdx_collateral){ .version = TDX_COLLATERAL_VERSION,
                                    .pck_crl = buf_view(&tdx.body[COLLATERAL_PCK_CRL]),
                                    .root_crl = buf_view(&tdx.body[COLLATERAL_ROOT_CRL]),
                                    .tcb_info = buf_view(&tdx.body[COLLATERAL_TCB_INFO]),
                                    .qe_identity = buf_view(&tdx.body[COLLATERAL_QE_IDENTITY]),
                                    .tcb_info_chain = buf_view(&tdx.chain),
                                    .qe_identity_chain = buf_view(&tdx.chain) };
}

static void asks_only_for_what_is_not_carried(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    struct tdx_collateral c = whole_tdx();
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO part = BUF(BUNDLE_COLLATERAL_MAX);
    CHECK_OK(collateral_write_partial(&whole, &c));
    CHECK(needs_with(&tdx, buf_view(&whole), tdx.at) == 0);
    CHECK(needs_with(&tdx, BYTES_LIT("no collateral at all"), tdx.at) == 4);
    c.pck_crl = (bytes){ 0 };
    CHECK_OK(collateral_write_partial(&part, &c));
    CHECK(needs_with(&tdx, buf_view(&part), tdx.at) == 1);
    /* A week after the documents' end only the list of the root still holds. */
    CHECK(needs_with(&tdx, buf_view(&whole), tdx.at + INT64_C(30) * 86400) == 3);
}

static void keeps_the_logs_that_are_carried(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    struct tdx_collateral c = { .version = TDX_COLLATERAL_VERSION,
                                .ccel = BYTES_LIT("boot"),
                                .dstack_log = BYTES_LIT("run") };
    BUF_AUTO part = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    struct bundle b = tdx.bundle;
    CHECK_OK(collateral_write_partial(&part, &c));
    CHECK_ERR(tdx_collateral_read(buf_view(&part), &c), MALFORMED);
    b.collateral = buf_view(&part);
    CHECK_OK(collateral_join(&whole, &tdx_plan, &b, tdx_pieces));
    CHECK_OK(tdx_collateral_read(buf_view(&whole), &c));
    CHECK_BYTES(c.ccel, BYTES_LIT("boot"));
    CHECK_BYTES(c.dstack_log, BYTES_LIT("run"));
    CHECK_BYTES(c.tcb_info, buf_view(&tdx.body[COLLATERAL_TCB_INFO]));
}

static void needs_nothing_where_nothing_helps(void **state)
{
    struct collateral_plan plan;
    (void)state;
    const struct bundle simulated = { .platform = BYTES_LIT("simulated") };
    const struct bundle no_quote = { .platform = BYTES_LIT("tdx"), .evidence = BYTES_LIT("x") };
    const struct bundle no_report = { .platform = BYTES_LIT("sev-snp"),
                                      .evidence = BYTES_LIT("x") };
    const struct bundle *all[] = { &simulated, &no_quote, &no_report };
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(collateral_plan_make(&plan, all[i], NULL, 0));
        CHECK(plan.n == 0);
        collateral_plan_clear(&plan);
    }
    if (law_vectors() != NULL)
        CHECK(needs_with(&tdx, (bytes){ 0 }, 0) == 0); /* its chain is not valid yet */
}

static void fetches_the_leaf_of_the_firmware_that_runs(void **state)
{
    (void)state;
    struct recorded old;
    if (law_vectors() == NULL)
        skip();
    recorded_open(&old, "sev-snp", AN_SNP);
    /* A genuine leaf of another chip, with its genuine issuers. */
    const struct snp_entry table[] = { { SNP_ENTRY_VCEK, buf_view(&old.body[COLLATERAL_SNP_VCEK]) },
                                       { SNP_ENTRY_ASK,
                                         buf_view(&old.body[COLLATERAL_SNP_CHAIN]) } };
    BUF_AUTO given = BUF(BUNDLE_COLLATERAL_MAX);
    CHECK_OK(snp_table_write(&given, table, 2));
    CHECK(needs_with(&old, buf_view(&given), old.at) == 1);
    CHECK(needs_with(&snp, buf_view(&given), snp.at) == 3);
    recorded_close(&old);
}

static void finds_the_report_inside_azures(void **state)
{
    (void)state;
    struct collateral_plan plan;
    char path[1024];
    BUF_AUTO hcl = BUF(AZURE_HCL_MAX);
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    struct recorded inner;
    static const uint8_t filler[256];
    if (law_vectors() == NULL)
        skip();
    recorded_open(&inner, "sev-snp", "azure-milan-v3");
    (void)snprintf(path, sizeof path, "%s/attest/sev-snp/azure/hcl_report.bin", law_vectors());
    law_read_file(&hcl, path);
    CHECK_OK(azure_evidence_write(&evidence,
                                  &(struct azure_evidence){ .hcl = buf_view(&hcl),
                                                            .pcrs = BYTES_ARRAY(filler),
                                                            .quote = BYTES_ARRAY(filler),
                                                            .signature = BYTES_ARRAY(filler) }));
    const struct bundle b = { .platform = BYTES_LIT(AZURE_PLATFORM),
                              .evidence = buf_view(&evidence) };
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    struct snp_result result;
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    CHECK_OK(collateral_plan_make(&plan, &b, NULL, inner.at));
    CHECK(plan.n == 3);
    recorded_pieces(&inner, &plan, pieces);
    CHECK_OK(check_all(&plan, pieces, inner.at));
    CHECK_OK(collateral_join(&whole, &plan, &b, pieces));
    snp_result_of(&inner, buf_view(&whole), &result);
    CHECK(result.accepted);
    collateral_plan_clear(&plan);
    recorded_close(&inner);
}

/* ---- what is not genuine ---- */

static err check_tdx(const char *folder, const char *file, const char *chain, size_t which)
{
    char path[1024];
    int64_t expires;
    BUF_AUTO body = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO pem = BUF(COLLATERAL_CHAIN_MAX);
    struct collateral_piece piece = tdx_pieces[which];
    (void)snprintf(path, sizeof path, "%s/attest/tdx/negative-collateral/%s/%s", law_vectors(),
                   folder, file);
    law_read_file(&body, path);
    piece.body = buf_view(&body);
    if (chain != NULL) {
        (void)snprintf(path, sizeof path, "%s/attest/tdx/negative-collateral/%s/%s", law_vectors(),
                       folder, chain);
        law_read_file(&pem, path);
        piece.chain = buf_view(&pem);
    }
    return collateral_check(&tdx_plan.needs[which], &piece, buf_view(&tdx_plan.issuer), tdx.at,
                            &expires);
}

static void refuses_every_wrong_piece_of_the_vectors(void **state)
{
    (void)state;
    static const char tcb[] = "tcb_info.json";
    static const char qe[] = "qe_identity.json";
    static const char pem[] = "tcb_signing_chain.pem";
    if (law_vectors() == NULL)
        skip();
    CHECK_ERR(check_tdx("col-other-fmspc", tcb, NULL, 0), UNTRUSTED);
    CHECK_ERR(check_tdx("col-tcb-info-resaved", tcb, NULL, 0), CRYPTO);
    CHECK_ERR(check_tdx("col-tcb-status-edited", tcb, NULL, 0), CRYPTO);
    CHECK_ERR(check_tdx("col-signer-is-pck", tcb, pem, 0), UNTRUSTED);
    CHECK_ERR(check_tdx("col-qe-identity-sgx", qe, NULL, 1), UNSUPPORTED);
    CHECK_ERR(check_tdx("col-qe-identity-forged", qe, pem, 1), UNTRUSTED);
    CHECK_ERR(check_tdx("col-pck-crl-stale", "pck_crl.der", NULL, 2), STALE);
    CHECK_ERR(check_tdx("col-pck-crl-other-issuer", "pck_crl.der", NULL, 2), UNTRUSTED);
    CHECK_ERR(check_tdx("col-pck-crl-flipped", "pck_crl.der", NULL, 2), CRYPTO);
    CHECK_ERR(check_tdx("col-pck-crl-forged-revocation", "pck_crl.der", NULL, 2), CRYPTO);
    CHECK_ERR(check_tdx("col-root-crl-stale", "root_ca_crl.der", NULL, 3), STALE);
}

static void refuses_all_at_the_wrong_time(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    for (size_t i = 0; i < tdx_plan.n; i++) {
        int64_t expires;
        bytes issuer = buf_view(&tdx_plan.issuer);
        CHECK_OK(collateral_check(&tdx_plan.needs[i], &tdx_pieces[i], issuer, tdx.at, &expires));
        int64_t last = expires;
        int64_t unused;
        err e = collateral_check(&tdx_plan.needs[i], &tdx_pieces[i], issuer, last - 1, &unused);
        CHECK_OK(e);
        CHECK_ERR(collateral_check(&tdx_plan.needs[i], &tdx_pieces[i], issuer, last + 1, &unused),
                  STALE);
        CHECK_ERR(collateral_check(&tdx_plan.needs[i], &tdx_pieces[i], issuer, 0, &unused), STALE);
    }
}

/* What is behind the end of a certificate's signature, and white space, may differ. */
static void flip_all(const struct collateral_plan *plan, const struct collateral_piece *pieces,
                     int64_t now)
{
    for (size_t i = 0; i < plan->n; i++) {
        BUF_AUTO body = BUF(COLLATERAL_BODY_MAX);
        int64_t expires;
        CHECK_OK(buf_add(&body, pieces[i].body));
        for (size_t at = 0; at < body.len; at += 1 + body.len / 512) {
            struct collateral_piece piece = { buf_view(&body), pieces[i].chain };
            body.at[at] ^= 1;
            err e = collateral_check(&plan->needs[i], &piece, issuer_of(plan, pieces, i), now,
                                     &expires);
            if (err_is_ok(e))
                fail_msg("%s: bit of byte %zu does not matter", plan->needs[i].key, at);
            body.at[at] ^= 1;
        }
    }
}

static void refuses_any_flipped_bit(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    flip_all(&tdx_plan, tdx_pieces, tdx.at);
    flip_all(&snp_plan, snp_pieces, snp.at);
}

static void refuses_a_piece_for_another_need(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    for (size_t i = 0; i < snp_plan.n; i++) {
        for (size_t k = 0; k < snp_plan.n; k++) {
            int64_t expires;
            err e = collateral_check(&snp_plan.needs[i], &snp_pieces[k],
                                     issuer_of(&snp_plan, snp_pieces, i), snp.at, &expires);
            CHECK(err_is_ok(e) == (i == k));
        }
        struct collateral_need other = snp_plan.needs[i];
        int64_t expires;
        other.key[0] = 'x';
        err e = collateral_check(&other, &snp_pieces[i], issuer_of(&snp_plan, snp_pieces, i),
                                 snp.at, &expires);
        /* A list says by its signature whose it is. */
        CHECK(err_is_ok(e) == (other.kind == COLLATERAL_SNP_CRL));
    }
}

/* ---- answers ---- */

static err take(enum collateral_kind kind, bytes body, bytes header, struct buf *out,
                struct buf *chain)
{
    buf_truncate(out, 0);
    buf_truncate(chain, 0);
    return collateral_take(kind, body, header, out, chain);
}

static void percent_encode(struct buf *out, bytes in)
{
    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (plain)
            CHECK_OK(buf_add_u8(out, c));
        else
            CHECK_OK(buf_addf(out, "%%%02X", c));
    }
}

static void decodes_the_chain_in_the_header(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO chain = BUF(COLLATERAL_CHAIN_MAX);
    BUF_AUTO header = BUF(COLLATERAL_HEADER_MAX);
    const bytes pem = BYTES_LIT("-----BEGIN CERTIFICATE-----\nMA+/\n-----END CERTIFICATE-----\n");
    percent_encode(&header, pem);
    CHECK_OK(take(COLLATERAL_TCB_INFO, BYTES_LIT("{}"), buf_view(&header), &out, &chain));
    CHECK_BYTES(buf_view(&chain), pem);
    CHECK_BYTES(buf_view(&out), BYTES_LIT("{}"));
    CHECK_OK(take(COLLATERAL_TCB_INFO, BYTES_LIT("{}"), pem, &out, &chain));
    CHECK_BYTES(buf_view(&chain), pem);
    static const char *const wrong[] = { "", "%", "%4", "%zz", "x" };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        CHECK_ERR(take(COLLATERAL_QE_IDENTITY, BYTES_LIT("{}"), bytes_str(wrong[i]), &out, &chain),
                  MALFORMED);
    /* Not asked for, not looked at. */
    CHECK_OK(take(COLLATERAL_SNP_CHAIN, BYTES_LIT("x"), BYTES_LIT("%"), &out, &chain));
    CHECK(chain.len == 0);
}

static void takes_lists_in_hex_and_leaves_in_pem(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO chain = BUF(COLLATERAL_CHAIN_MAX);
    static const uint8_t der[] = { 0x30, 0x81, 0x01 };
    CHECK_OK(take(COLLATERAL_ROOT_CRL, BYTES_ARRAY(der), (bytes){ 0 }, &out, &chain));
    CHECK_BYTES(buf_view(&out), BYTES_ARRAY(der));
    CHECK_OK(take(COLLATERAL_ROOT_CRL, BYTES_LIT("308101\r\n"), (bytes){ 0 }, &out, &chain));
    CHECK_BYTES(buf_view(&out), BYTES_ARRAY(der));
    CHECK_OK(take(COLLATERAL_PCK_CRL, BYTES_LIT("\"308101\""), (bytes){ 0 }, &out, &chain));
    CHECK_BYTES(buf_view(&out), BYTES_ARRAY(der));
    CHECK_ERR(take(COLLATERAL_PCK_CRL, BYTES_LIT("<html>"), (bytes){ 0 }, &out, &chain), MALFORMED);
    CHECK_ERR(take(COLLATERAL_SNP_VCEK, (bytes){ 0 }, (bytes){ 0 }, &out, &chain), MALFORMED);
    const bytes one = BYTES_LIT("-----BEGIN CERTIFICATE-----\nMIEB\n-----END CERTIFICATE-----\n");
    CHECK_OK(take(COLLATERAL_SNP_VCEK, one, (bytes){ 0 }, &out, &chain));
    CHECK_BYTES(buf_view(&out), BYTES_ARRAY(der));
    const bytes two = BYTES_LIT(
        "-----BEGIN CERTIFICATE-----\nMIEB\n-----END CERTIFICATE-----\n"
        "-----BEGIN CERTIFICATE-----\nMIEB\n-----END CERTIFICATE-----\n");
    CHECK_ERR(take(COLLATERAL_SNP_VCEK, two, (bytes){ 0 }, &out, &chain), MALFORMED);
}

static void write_pem(struct buf *out, bytes der)
{
    CHECK_OK(buf_add_str(out, "-----BEGIN X509 CRL-----\n"));
    CHECK_OK(text_base64_encode(out, der));
    CHECK_OK(buf_add_str(out, "\n-----END X509 CRL-----\n"));
}

static void stays(bytes in)
{
    BUF_AUTO part = BUF(COLLATERAL_BODY_MAX);
    CHECK_OK(buf_add(&part, in));
    CHECK_OK(collateral_list_as_der(&part));
    CHECK_BYTES(buf_view(&part), in);
}

static void takes_a_list_however_it_was_saved(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    bytes list = buf_view(&tdx.body[COLLATERAL_PCK_CRL]);
    BUF_AUTO pem = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO hex = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO taken = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO unused = BUF(16);
    write_pem(&pem, list);
    CHECK_OK(text_hex_encode(&hex, list));
    CHECK_OK(buf_add_u8(&hex, '\n'));
    CHECK_OK(collateral_take(COLLATERAL_PCK_CRL, buf_view(&pem), (bytes){ 0 }, &taken, &unused));
    CHECK_BYTES(buf_view(&taken), list);
    CHECK_OK(collateral_list_as_der(&pem));
    CHECK_BYTES(buf_view(&pem), list);
    CHECK_OK(collateral_list_as_der(&hex));
    CHECK_BYTES(buf_view(&hex), list);
    stays(list);
    stays(buf_view(&tdx.body[COLLATERAL_TCB_INFO]));
    stays(buf_view(&tdx.chain));
    stays(BYTES_LIT("30 is no list"));
    stays(BYTES_LIT("3031"));
    stays(BYTES_LIT("-----BEGIN X509 CRL-----\n*"));
    stays((bytes){ 0 });
}

static void bounds_every_answer(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(COLLATERAL_BODY_MAX);
    BUF_AUTO chain = BUF(COLLATERAL_HEADER_MAX);
    BUF_AUTO body = BUF(2 * COLLATERAL_BODY_MAX);
    BUF_AUTO header = BUF(2 * COLLATERAL_HEADER_MAX);
    for (unsigned k = COLLATERAL_NONE + 1; k < COLLATERAL_KINDS; k++) {
        enum collateral_kind kind = (enum collateral_kind)k;
        size_t most = collateral_body_max(kind);
        CHECK(most > 0 && most <= COLLATERAL_BODY_MAX);
        buf_truncate(&body, 0);
        CHECK_OK(buf_add_zeros(&body, most + 1));
        bytes at = bytes_slice(buf_view(&body), 0, most);
        err e = take(kind, at, BYTES_LIT("-----BEGIN CERTIFICATE-----"), &out, &chain);
        CHECK(e.code == ERR_OK || e.code == ERR_MALFORMED);
        CHECK_ERR(take(kind, buf_view(&body), (bytes){ 0 }, &out, &chain), LIMIT);
    }
    CHECK_OK(buf_add_str(&header, "-----BEGIN CERTIFICATE-----"));
    while (header.len < COLLATERAL_HEADER_MAX)
        CHECK_OK(buf_add_u8(&header, 'a'));
    CHECK_OK(take(COLLATERAL_TCB_INFO, BYTES_LIT("{}"), buf_view(&header), &out, &chain));
    CHECK_OK(buf_add_u8(&header, 'a'));
    CHECK_ERR(take(COLLATERAL_TCB_INFO, BYTES_LIT("{}"), buf_view(&header), &out, &chain), LIMIT);
}

/* ---- entries ---- */

static struct collateral_entry an_entry(void)
{
    return (struct collateral_entry){ .key = BYTES_LIT("tdx-qe-identity"),
                                      .body = BYTES_LIT("{}"),
                                      .kind = BYTES_LIT("tdx-qe-identity"),
                                      .chain = BYTES_LIT("PEM"),
                                      .version = COLLATERAL_ENTRY_VERSION,
                                      .expires_at = 2000,
                                      .fetched_at = 1000 };
}

static const struct collateral_need qe_need = { .kind = COLLATERAL_QE_IDENTITY,
                                                .key = "tdx-qe-identity" };

static void writes_and_reads_an_entry(void **state)
{
    (void)state;
    struct collateral_entry e = an_entry();
    struct collateral_entry back;
    BUF_AUTO out = BUF(COLLATERAL_ENTRY_MAX);
    CHECK_OK(collateral_entry_write(&out, &e));
    CHECK_OK(collateral_entry_read(buf_view(&out), &qe_need, &back));
    CHECK_BYTES(back.body, e.body);
    CHECK_BYTES(back.chain, e.chain);
    CHECK(back.expires_at == 2000 && back.fetched_at == 1000);
    struct collateral_need other = qe_need;
    other.key[0] = 'x';
    CHECK_ERR(collateral_entry_read(buf_view(&out), &other, &back), UNTRUSTED);
    other = qe_need;
    other.kind = COLLATERAL_TCB_INFO;
    CHECK_ERR(collateral_entry_read(buf_view(&out), &other, &back), UNTRUSTED);
    for (size_t i = 0; i < out.len; i++) {
        err cut = collateral_entry_read(bytes_slice(buf_view(&out), 0, i), &qe_need, &back);
        CHECK(cut.code == ERR_TRUNCATED || cut.code == ERR_MALFORMED);
    }
    CHECK_OK(buf_add_u8(&out, 0));
    CHECK_ERR(collateral_entry_read(buf_view(&out), &qe_need, &back), MALFORMED);
}

static void bounds_an_entry(void **state)
{
    (void)state;
    struct collateral_entry e = an_entry();
    struct collateral_entry back;
    BUF_AUTO body = BUF(COLLATERAL_BODY_MAX + 1);
    BUF_AUTO chain = BUF(COLLATERAL_CHAIN_MAX + 1);
    BUF_AUTO out = BUF(2 * COLLATERAL_ENTRY_MAX);
    CHECK_OK(buf_add_zeros(&body, COLLATERAL_BODY_MAX + 1));
    CHECK_OK(buf_add_zeros(&chain, COLLATERAL_CHAIN_MAX + 1));
    e.body = bytes_slice(buf_view(&body), 0, COLLATERAL_BODY_MAX);
    e.chain = bytes_slice(buf_view(&chain), 0, COLLATERAL_CHAIN_MAX);
    CHECK_OK(collateral_entry_write(&out, &e));
    CHECK(out.len <= COLLATERAL_ENTRY_MAX);
    CHECK_OK(collateral_entry_read(buf_view(&out), &qe_need, &back));
    e.chain = buf_view(&chain);
    CHECK_ERR(collateral_entry_write(&out, &e), LIMIT);
    e = an_entry();
    e.body = buf_view(&body);
    CHECK_ERR(collateral_entry_write(&out, &e), LIMIT);
    buf_truncate(&out, 0);
    CHECK_OK(buf_add_zeros(&out, COLLATERAL_ENTRY_MAX + 1));
    CHECK_ERR(collateral_entry_read(buf_view(&out), &qe_need, &back), LIMIT);
}

static void looks_again_in_time(void **state)
{
    (void)state;
    const int64_t day = 86400;
    /* A list for a month, fetched at 0: half a day. */
    CHECK(collateral_refresh_at(COLLATERAL_PCK_CRL, 0, 30 * day) == day / 2);
    /* Fetched when hardly anything of it was left: half of that. */
    CHECK(collateral_refresh_at(COLLATERAL_PCK_CRL, 0, 3600) == 1800);
    /* A leaf for seven years: a month before its end. */
    CHECK(collateral_refresh_at(COLLATERAL_SNP_VCEK, 0, 2555 * day) == 2525 * day);
    CHECK(collateral_refresh_at(COLLATERAL_SNP_VCEK, 0, 10 * day) == 5 * day);
}

static err plan_and_join(void *arg)
{
    struct collateral_plan plan;
    const struct recorded *r = arg;
    BUF_AUTO whole = BUF(BUNDLE_COLLATERAL_MAX);
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    TRY(collateral_plan_make(&plan, &r->bundle, NULL, r->at));
    recorded_pieces(r, &plan, pieces);
    err e = check_all(&plan, pieces, r->at);
    if (err_is_ok(e))
        e = collateral_join(&whole, &plan, &r->bundle, pieces);
    collateral_plan_clear(&plan);
    return e;
}

static void survives_every_failed_allocation(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    law_every_allocation_fails_once(plan_and_join, &tdx);
    law_every_allocation_fails_once(plan_and_join, &snp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(completes_every_genuine_quote),
        cmocka_unit_test(completes_every_genuine_report),
        cmocka_unit_test(knows_where_each_piece_is),
        cmocka_unit_test(refuses_a_url_over_its_buffers_limit),
        cmocka_unit_test(asks_only_for_what_is_not_carried),
        cmocka_unit_test(keeps_the_logs_that_are_carried),
        cmocka_unit_test(needs_nothing_where_nothing_helps),
        cmocka_unit_test(fetches_the_leaf_of_the_firmware_that_runs),
        cmocka_unit_test(finds_the_report_inside_azures),
        cmocka_unit_test(refuses_every_wrong_piece_of_the_vectors),
        cmocka_unit_test(refuses_all_at_the_wrong_time),
        cmocka_unit_test(refuses_any_flipped_bit),
        cmocka_unit_test(refuses_a_piece_for_another_need),
        cmocka_unit_test(decodes_the_chain_in_the_header),
        cmocka_unit_test(takes_lists_in_hex_and_leaves_in_pem),
        cmocka_unit_test(takes_a_list_however_it_was_saved),
        cmocka_unit_test(bounds_every_answer),
        cmocka_unit_test(writes_and_reads_an_entry),
        cmocka_unit_test(bounds_an_entry),
        cmocka_unit_test(looks_again_in_time),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, open_recorded, close_recorded);
}
