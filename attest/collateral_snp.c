/*
 * AMD's pieces. The host of a guest mostly hands out the certificates, sometimes those of an older
 * firmware, and never the revocation list: so the list is needed nearly always, the rest only where
 * what is carried does not chain or does not fit the report.
 */
#include "attest/azure_hcl_verify.h"
#include "attest/collateral_parts.h"
#include "attest/snp_leaf.h"
#include "attest/snp_table.h"
#include "attest/snp_verify.h"
#include "base/attr.h"
#include "base/text.h"

enum { CHAIN_LEN = 2, LEAF_CHAIN_LEN = 3 };

static void free_chain(struct x509_chain **chain)
{
    x509_free(*chain);
}

static err verify(struct x509_chain **out, const bytes *certs, size_t n, int64_t now)
{
    return x509_verify(out, &(struct x509_query){ .certs = certs,
                                                  .certs_n = n,
                                                  .roots = snp_amd_roots,
                                                  .roots_n = SNP_ROOTS,
                                                  .at_s = now });
}

/* ---- names ---- */

/* Of keys, in lower case. */
static const char *const lines[SNP_PRODUCTS] = {
    [SNP_UNKNOWN] = "", [SNP_MILAN] = "milan", [SNP_GENOA] = "genoa", [SNP_TURIN] = "turin"
};

static err name_chain(struct buf *key, struct buf *path, enum snp_product p, bool vlek)
{
    const char *kind = vlek ? "vlek" : "vcek";
    TRY(buf_addf(key, "snp-chain-%s-%s", kind, lines[p]));
    return buf_addf(path, "/%s/v1/%s/cert_chain", kind, snp_product_name(p));
}

static err name_crl(struct buf *key, struct buf *path, enum snp_product p)
{
    TRY(buf_addf(key, "snp-crl-%s", lines[p]));
    return buf_addf(path, "/vcek/v1/%s/crl", snp_product_name(p));
}

static const struct {
    enum snp_part part;
    const char *name;
} part_names[] = { { SNP_BOOTLOADER, "blSPL" },
                   { SNP_TEE, "teeSPL" },
                   { SNP_SNP, "snpSPL" },
                   { SNP_MICROCODE, "ucodeSPL" },
                   { SNP_FMC, "fmcSPL" } };

static err name_vcek(struct buf *key, struct buf *path, enum snp_product p, bytes chip,
                     const struct snp_tcb *tcb)
{
    char separator = '?';
    TRY(buf_addf(key, "snp-vcek-%s-", lines[p]));
    TRY(text_hex_encode(key, chip));
    TRY(buf_addf(path, "/vcek/v1/%s/", snp_product_name(p)));
    TRY(text_hex_encode(path, chip));
    for (size_t i = 0; i < ARRAY_LEN(part_names); i++) {
        if (snp_tcb_place(p, part_names[i].part) < 0)
            continue;
        unsigned number = snp_tcb_part(tcb, p, part_names[i].part);
        TRY(buf_addf(key, "-%u", number));
        TRY(buf_addf(path, "%c%s=%u", separator, part_names[i].name, number));
        separator = '&';
    }
    return OK;
}

static bytes chip_of(const struct snp_report *report, enum snp_product p)
{
    return bytes_slice(report->chip_id, 0, p == SNP_TURIN ? SNP_HWID_TURIN_LEN : SNP_CHIP_ID_LEN);
}

static err is_key(const struct collateral_need *need, const struct buf *key)
{
    ENSURE(bytes_equal(buf_view(key), bytes_str(need->key)), UNTRUSTED);
    return OK;
}

/* ---- what makes a piece genuine ---- */

static enum snp_product line_in(bytes name, const char *prefix)
{
    if (!bytes_starts(name, bytes_str(prefix)))
        return SNP_UNKNOWN;
    return snp_product_of_name(bytes_slice(name, strlen(prefix), name.len));
}

/* The key that this pair of ASK or ASVK and ARK is kept under. */
static err key_of_chain(const struct x509_chain *chain, struct buf *key)
{
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    bytes name;
    TRY(x509_common_name(chain, 0, &name));
    bool vlek = bytes_starts(name, BYTES_LIT("SEV-VLEK-"));
    return name_chain(key, &path, line_in(name, vlek ? "SEV-VLEK-" : "SEV-"), vlek);
}

static err check_chain(const struct collateral_need *need, const struct pem_certs *certs,
                       int64_t now, int64_t *expires)
{
    CLEANUP(free_chain) struct x509_chain *chain = NULL;
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    ENSURE(certs->n == CHAIN_LEN, MALFORMED);
    TRY(verify(&chain, certs->certs, certs->n, now));
    ENSURE(x509_len(chain) == CHAIN_LEN, UNTRUSTED);
    TRY(key_of_chain(chain, &key));
    TRY(is_key(need, &key));
    return collateral_chain_expires(chain, expires);
}

err collateral_check_snp_chain(const struct collateral_need *need,
                               const struct collateral_piece *piece, bytes issuer, int64_t now,
                               int64_t *expires)
{
    struct pem_certs certs;
    (void)issuer;
    err e = pem_read_certs(&certs, piece->body);
    if (err_is_ok(e))
        e = check_chain(need, &certs, now, expires);
    pem_clear(&certs);
    return e;
}

/* The list is by the ARK, which comes last. That it is the ARK of the right line is known by its
 * name: the list of another line does not verify by it. */
err collateral_check_snp_crl(const struct collateral_need *need,
                             const struct collateral_piece *piece, bytes issuer, int64_t now,
                             int64_t *expires)
{
    struct pem_certs certs;
    (void)need;
    err e = collateral_certs(&certs, issuer);
    if (err_is_ok(e))
        e = collateral_check_crl(piece->body, certs.certs[certs.n - 1], now, expires);
    pem_clear(&certs);
    return e;
}

static err check_leaf(const struct collateral_need *need, const struct x509_chain *chain,
                      int64_t *expires)
{
    struct snp_leaf leaf;
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    ENSURE(x509_len(chain) == LEAF_CHAIN_LEN, UNTRUSTED);
    TRY(snp_leaf_read(chain, &leaf));
    ENSURE(!leaf.vlek && leaf.product != SNP_UNKNOWN, UNTRUSTED);
    TRY(name_vcek(&key, &path, leaf.product, bytes_of(leaf.hwid, leaf.hwid_len), &leaf.tcb));
    TRY(is_key(need, &key));
    return collateral_chain_expires(chain, expires);
}

err collateral_check_snp_vcek(const struct collateral_need *need,
                              const struct collateral_piece *piece, bytes issuer, int64_t now,
                              int64_t *expires)
{
    CLEANUP(free_chain) struct x509_chain *chain = NULL;
    struct pem_certs issuers;
    bytes certs[1 + CHAIN_LEN] = { piece->body };
    err e = collateral_certs(&issuers, issuer);
    for (size_t i = 0; err_is_ok(e) && i < CHAIN_LEN; i++)
        certs[1 + i] = issuers.certs[i];
    if (err_is_ok(e) && issuers.n != CHAIN_LEN)
        e = err_raise(ERR_UNTRUSTED, __FILE__, __func__, __LINE__);
    if (err_is_ok(e))
        e = verify(&chain, certs, ARRAY_LEN(certs), now);
    pem_clear(&issuers);
    TRY(e);
    return check_leaf(need, chain, expires);
}

/* ---- what a report needs ---- */

/* A report and what is carried beside it. */
struct view {
    struct snp_report report;
    struct snp_collateral carried;
    enum snp_product product;
    bool vlek;
    bytes leaf;               /* of the report's kind; empty: none */
    struct x509_chain *chain; /* of the leaf, when it holds and fits the report; else NULL */
};

static void view_clear(struct view *v)
{
    x509_free(v->chain);
    snp_collateral_clear(&v->carried);
}

static bool fits(const struct view *v, const struct snp_leaf *leaf)
{
    bytes chip = chip_of(&v->report, leaf->product);
    bool line = !v->report.has_cpuid || leaf->product == v->report.product;
    return line && leaf->vlek == v->vlek &&
           bytes_equal(BYTES_ARRAY(leaf->tcb.raw), BYTES_ARRAY(v->report.reported.raw)) &&
           (leaf->vlek || bytes_equal(bytes_of(leaf->hwid, leaf->hwid_len), chip));
}

static err verify_leaf(struct view *v, int64_t now)
{
    bytes certs[1 + SNP_ISSUERS_MAX] = { v->leaf };
    struct snp_leaf leaf;
    for (size_t i = 0; i < v->carried.issuers_n; i++)
        certs[1 + i] = v->carried.issuers[i];
    TRY(verify(&v->chain, certs, 1 + v->carried.issuers_n, now));
    TRY(snp_leaf_read(v->chain, &leaf));
    ENSURE(x509_len(v->chain) == LEAF_CHAIN_LEN && fits(v, &leaf), UNTRUSTED);
    if (!v->report.has_cpuid)
        v->product = leaf.product;
    return OK;
}

/* On Azure it is inside the paravisor's report. */
static err read_report(const struct bundle *b, struct snp_report *out)
{
    struct azure_evidence azure;
    struct azure_hcl hcl;
    if (!bytes_equal(b->platform, BYTES_LIT(AZURE_PLATFORM)))
        return snp_report_read(b->evidence, out);
    TRY(azure_evidence_read(b->evidence, &azure));
    TRY(azure_hcl_read(azure.hcl, &hcl));
    ENSURE(hcl.report_type == AZURE_REPORT_SNP, UNSUPPORTED);
    return snp_report_read(hcl.report, out);
}

static err view_read(struct view *v, const struct bundle *b, int64_t now)
{
    TRY(read_report(b, &v->report));
    err e = snp_collateral_read(&v->carried, b->collateral);
    if (!err_is_ok(e))
        snp_collateral_clear(&v->carried);
    v->product = v->report.product;
    v->vlek = v->report.signing_key == SNP_KEY_VLEK;
    v->leaf = v->vlek ? v->carried.vlek : v->carried.vcek;
    if (err_is_ok(e) && v->leaf.len > 0)
        e = verify_leaf(v, now);
    if (err_is_ok(e))
        return OK;
    x509_free(v->chain);
    v->chain = NULL;
    return collateral_is_fault(e) ? OK : e;
}

static err want_chain(struct collateral_plan *plan, const struct view *v)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    TRY(name_chain(&key, &path, v->product, v->vlek));
    return collateral_want(plan, COLLATERAL_SNP_CHAIN, -1, &key, &path);
}

static err want_crl(struct collateral_plan *plan, const struct view *v, int issuer)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    TRY(name_crl(&key, &path, v->product));
    return collateral_want(plan, COLLATERAL_SNP_CRL, issuer, &key, &path);
}

static err want_vcek(struct collateral_plan *plan, const struct view *v, int issuer)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    TRY(name_vcek(&key, &path, v->product, chip_of(&v->report, v->product), &v->report.reported));
    return collateral_want(plan, COLLATERAL_SNP_VCEK, issuer, &key, &path);
}

/* All but the list is carried. */
static err plan_list(struct collateral_plan *plan, const struct view *v, int64_t now)
{
    int64_t expires;
    const struct collateral_piece carried = { .body = v->carried.crl };
    TRY(x509_der(v->chain, LEAF_CHAIN_LEN - 1, &plan->issuer));
    TRY(want_crl(plan, v, -1));
    if (carried.body.len == 0)
        return OK;
    err e = collateral_check(&plan->needs[0], &carried, buf_view(&plan->issuer), now, &expires);
    if (err_is_ok(e))
        plan->n = 0;
    return collateral_is_fault(e) ? OK : e;
}

static bool is_zero(bytes in)
{
    uint8_t any = 0;
    for (size_t i = 0; i < in.len; i++)
        any |= in.at[i];
    return any == 0;
}

/* A VLEK cannot be fetched, and neither can the VCEK of a chip that does not say which it is. */
static bool is_hopeless(const struct view *v)
{
    return v->product == SNP_UNKNOWN || (v->vlek ? v->leaf.len == 0 : is_zero(v->report.chip_id));
}

static err plan_view(struct collateral_plan *plan, const struct view *v, int64_t now)
{
    if (is_hopeless(v))
        return OK;
    if (v->chain != NULL)
        return plan_list(plan, v, now);
    TRY(want_chain(plan, v));
    TRY(want_crl(plan, v, 0));
    return v->vlek ? OK : want_vcek(plan, v, 0);
}

err collateral_plan_snp(struct collateral_plan *out, const struct bundle *b, int64_t now)
{
    CLEANUP(view_clear) struct view v = { 0 };
    TRY(view_read(&v, b, now));
    return plan_view(out, &v, now);
}

/* ---- together ---- */

struct table {
    struct snp_entry entries[SNP_ENTRIES_MAX];
    size_t n;
};

static void put(struct table *t, enum snp_entry_kind kind, bytes data)
{
    t->entries[t->n++] = (struct snp_entry){ kind, data };
}

_Static_assert((int)SNP_ISSUERS_MAX + 2 <= (int)SNP_ENTRIES_MAX, "a leaf, issuers and a list");

/* Fetched issuers take the place of the carried ones, since those did not do. */
static void put_issuers(struct table *t, const struct collateral_piece *fetched,
                        const struct snp_collateral *carried)
{
    if (fetched != NULL)
        put(t, SNP_ENTRY_ASK, fetched->body);
    for (size_t i = 0; fetched == NULL && i < carried->issuers_n; i++)
        put(t, SNP_ENTRY_ASK, carried->issuers[i]);
}

static err join(struct buf *out, const struct collateral_plan *plan,
                const struct snp_report *report, const struct snp_collateral *carried,
                const struct collateral_piece *pieces)
{
    struct table t = { 0 };
    bool vlek = report->signing_key == SNP_KEY_VLEK;
    bytes leaf = vlek ? carried->vlek : carried->vcek;
    const struct collateral_piece *vcek = collateral_piece_of(plan, pieces, COLLATERAL_SNP_VCEK);
    const struct collateral_piece *crl = collateral_piece_of(plan, pieces, COLLATERAL_SNP_CRL);
    put(&t, vlek ? SNP_ENTRY_VLEK : SNP_ENTRY_VCEK, vcek != NULL ? vcek->body : leaf);
    put_issuers(&t, collateral_piece_of(plan, pieces, COLLATERAL_SNP_CHAIN), carried);
    put(&t, SNP_ENTRY_CRL, crl != NULL ? crl->body : carried->crl);
    return snp_table_write(out, t.entries, t.n);
}

err collateral_join_snp(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                        const struct collateral_piece *pieces)
{
    struct snp_collateral carried = { 0 };
    struct snp_report report;
    TRY(read_report(b, &report));
    err e = snp_collateral_read(&carried, b->collateral);
    if (collateral_is_fault(e)) {
        snp_collateral_clear(&carried);
        e = OK;
    }
    if (err_is_ok(e))
        e = join(out, plan, &report, &carried, pieces);
    snp_collateral_clear(&carried);
    return e;
}
