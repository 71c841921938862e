/*
 * One table of checks, in the order of SNP_CHECK_LIST. The chain is verified once, by the first of
 * its three checks; the others look at what it was refused for. The leaf is read as soon as its
 * chain holds, so that people see it also when something later refuses.
 */
#include "attest/snp_verify.h"

#include "base/attr.h"
#include "crypto/crl.h"

enum { CHAIN_LEN = 3, ROOTS_MAX = X509_ROOTS_MAX };

/* The roots, by SHA-256 of the certificate: kdsintf.amd.com/vcek/v1/{Milan,Genoa,Turin}/cert_chain.
 * RSA-4096 each, made 2020-10-22, 2022-01-26 and 2023-05-15, for 25 years. */
const struct x509_root snp_amd_roots[SNP_ROOTS] = {
    { { 0x69, 0xd0, 0x63, 0xb4, 0x53, 0x44, 0xd2, 0x6a, 0x2e, 0x94, 0xe1,
        0xf4, 0x21, 0x0d, 0xe4, 0x9e, 0xf5, 0x55, 0x30, 0x82, 0x87, 0xd4,
        0xc1, 0x74, 0x44, 0x5c, 0x95, 0x63, 0x9a, 0x54, 0x0b, 0xcd } },
    { { 0x4c, 0x65, 0x98, 0xd1, 0x9c, 0x18, 0x71, 0x9c, 0x5d, 0xfd, 0x4a,
        0x7d, 0x33, 0x5f, 0x67, 0x4e, 0x5b, 0xfe, 0x1d, 0x8f, 0x80, 0x0c,
        0xea, 0x2c, 0xf2, 0x70, 0xc1, 0x0d, 0x10, 0x3d, 0xb2, 0xf1 } },
    { { 0x1f, 0x08, 0x41, 0x61, 0xa4, 0x4b, 0xb6, 0xd9, 0x37, 0x78, 0xa9,
        0x04, 0x87, 0x7d, 0x48, 0x19, 0xca, 0xfa, 0x5d, 0x05, 0xef, 0x41,
        0x93, 0xb2, 0xde, 0xd9, 0xdd, 0x9c, 0x73, 0xdd, 0x3f, 0x6a } },
};

struct run {
    bytes bytes;
    const struct snp_collateral *collateral;
    const struct snp_settings *settings;
    const struct snp_policy *policy; /* never NULL */
    struct snp_result *out;
    err read; /* what snp_report_read() said */
    struct x509_why why;
    struct x509_chain *chain;
    struct crl *crl;
    err crl_verified;
};

/* PASS, FAIL, or SKIP where there is nothing to check. */
typedef enum verdict_status status;
typedef err step(struct run *r, status *out);

static void run_clear(struct run *r)
{
    x509_free(r->chain);
    crl_free(r->crl);
}

static status pass_if(bool holds)
{
    return holds ? VERDICT_PASS : VERDICT_FAIL;
}

/* --- the report's form ----------------------------------------------------------------------- */

static err check_length(struct run *r, status *out)
{
    r->read = snp_report_read(r->bytes, &r->out->report);
    r->out->has_report = err_is_ok(r->read);
    r->out->product = r->out->report.product;
    *out = pass_if(r->read.code != ERR_MALFORMED);
    return OK;
}

static err check_version(struct run *r, status *out)
{
    *out = pass_if(err_is_ok(r->read));
    return OK;
}

static err check_sig_algo(struct run *r, status *out)
{
    *out = pass_if(r->out->report.sig_algo == SNP_SIG_ALGO_ECDSA_P384_SHA384);
    return OK;
}

static err check_signing_key(struct run *r, status *out)
{
    uint8_t key = r->out->report.signing_key;
    *out = pass_if(key == SNP_KEY_VCEK || key == SNP_KEY_VLEK);
    return OK;
}

static err check_masked(struct run *r, status *out)
{
    *out = pass_if(!r->out->report.mask_chip_key);
    return OK;
}

static err check_signature_form(struct run *r, status *out)
{
    *out = pass_if(r->out->report.signature_fits);
    return OK;
}

/* --- the chain ------------------------------------------------------------------------------- */

static bool is_vlek_report(const struct run *r)
{
    return r->out->report.signing_key == SNP_KEY_VLEK;
}

/* The leaf of the report's kind; where there is only the other one, that, for LEAF_KIND to refuse. */
static bytes leaf_of(const struct run *r)
{
    bytes first = is_vlek_report(r) ? r->collateral->vlek : r->collateral->vcek;
    bytes other = is_vlek_report(r) ? r->collateral->vcek : r->collateral->vlek;
    return first.len > 0 ? first : other;
}

static err check_collateral(struct run *r, status *out)
{
    *out = pass_if(leaf_of(r).len > 0);
    return OK;
}

static size_t gather_roots(const struct run *r, struct x509_root *roots)
{
    size_t n = SNP_ROOTS;
    memcpy(roots, snp_amd_roots, sizeof snp_amd_roots);
    for (size_t i = 0; i < r->settings->more_roots_n && n < ROOTS_MAX; i++)
        roots[n++] = r->settings->more_roots[i];
    return n;
}

_Static_assert(SNP_ISSUERS_MAX + 1 <= (int)X509_CHAIN_MAX, "all certificates fit a query");

static err check_root(struct run *r, status *out)
{
    bytes certs[SNP_ISSUERS_MAX + 1];
    struct x509_root roots[ROOTS_MAX];
    const struct snp_collateral *c = r->collateral;
    certs[0] = leaf_of(r);
    for (size_t i = 0; i < c->issuers_n; i++)
        certs[i + 1] = c->issuers[i];
    struct x509_query query = { .certs = certs,
                                .certs_n = c->issuers_n + 1,
                                .roots = roots,
                                .roots_n = gather_roots(r, roots),
                                .at_s = r->settings->now,
                                .why = &r->why };
    err e = x509_verify(&r->chain, &query);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    ENSURE(e.code != ERR_INTERNAL && e.code != ERR_CONFIG, INTERNAL);
    *out = pass_if(r->why.fault != X509_FAULT_ROOT);
    return OK;
}

static err check_chain(struct run *r, status *out)
{
    bool holds = r->chain != NULL && x509_len(r->chain) == CHAIN_LEN;
    *out = pass_if(holds || r->why.fault == X509_FAULT_DATE);
    return OK;
}

static err check_chain_validity(struct run *r, status *out)
{
    *out = pass_if(r->chain != NULL);
    return OK;
}

static err check_leaf_form(struct run *r, status *out)
{
    err e = snp_leaf_read(r->chain, &r->out->leaf);
    ENSURE(err_is_ok(e) || e.code == ERR_MALFORMED, NOMEM);
    r->out->has_leaf = err_is_ok(e);
    if (r->out->has_leaf && !r->out->report.has_cpuid)
        r->out->product = r->out->leaf.product;
    *out = pass_if(r->out->has_leaf);
    return OK;
}

/* The product line in the name of the i-th certificate, if the name begins with that prefix. */
static enum snp_product line_of(const struct run *r, size_t i, const char *prefix)
{
    bytes name;
    if (!err_is_ok(x509_common_name(r->chain, i, &name)) || !bytes_starts(name, bytes_str(prefix)))
        return SNP_UNKNOWN;
    return snp_product_of_name(bytes_slice(name, strlen(prefix), name.len));
}

static const char *issuer_prefix(const struct run *r)
{
    return r->out->leaf.vlek ? "SEV-VLEK-" : "SEV-";
}

static err check_leaf_kind(struct run *r, status *out)
{
    *out = pass_if(r->out->leaf.vlek == is_vlek_report(r) &&
                   line_of(r, 1, issuer_prefix(r)) != SNP_UNKNOWN);
    return OK;
}

/* --- revocation ------------------------------------------------------------------------------ */

static err check_crl(struct run *r, status *out)
{
    err e = crl_read(&r->crl, r->collateral->crl);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    *out = pass_if(err_is_ok(e));
    return OK;
}

static err check_crl_signature(struct run *r, status *out)
{
    BUF_AUTO root = BUF(X509_CERT_MAX);
    TRY(x509_der(r->chain, CHAIN_LEN - 1, &root));
    r->crl_verified = crl_verify(r->crl, buf_view(&root), r->settings->now);
    *out = pass_if(err_is_ok(r->crl_verified) || r->crl_verified.code == ERR_STALE);
    return OK;
}

static err check_crl_validity(struct run *r, status *out)
{
    (void)crl_next_update(r->crl, &r->out->crl_until);
    *out = pass_if(err_is_ok(r->crl_verified));
    return OK;
}

static err check_revoked(struct run *r, status *out)
{
    BUF_AUTO issuer = BUF(X509_CERT_MAX);
    TRY(x509_der(r->chain, 1, &issuer));
    *out = pass_if(!crl_lists(r->crl, buf_view(&issuer)));
    return OK;
}

/* --- the report against its leaf ------------------------------------------------------------- */

static err check_report_signature(struct run *r, status *out)
{
    enum ec_curve curve;
    bytes key;
    const struct snp_report *report = &r->out->report;
    err e = x509_key(r->chain, 0, &curve, &key);
    if (err_is_ok(e) && curve == EC_P384)
        e = verify_ecdsa(EC_P384, key, report->signed_part, BYTES_ARRAY(report->signature),
                         ECDSA_RAW);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    *out = pass_if(err_is_ok(e) && curve == EC_P384);
    return OK;
}

static err check_product(struct run *r, status *out)
{
    enum snp_product p = r->out->product;
    *out = pass_if(p != SNP_UNKNOWN && r->out->leaf.product == p &&
                   line_of(r, 1, issuer_prefix(r)) == p && line_of(r, 2, "ARK-") == p);
    return OK;
}

static err check_tcb_leaf(struct run *r, status *out)
{
    *out = pass_if(
        bytes_equal(BYTES_ARRAY(r->out->report.reported.raw), BYTES_ARRAY(r->out->leaf.tcb.raw)));
    return OK;
}

/* A shorter HWID is followed by zeros in the report. A VLEK belongs to no chip. */
static err check_chip_id(struct run *r, status *out)
{
    uint8_t expected[SNP_CHIP_ID_LEN] = { 0 };
    const struct snp_leaf *leaf = &r->out->leaf;
    memcpy(expected, leaf->hwid, leaf->hwid_len);
    *out = leaf->vlek ? VERDICT_SKIP
                      : pass_if(bytes_equal(r->out->report.chip_id, BYTES_ARRAY(expected)));
    return OK;
}

/* --- the platform's state -------------------------------------------------------------------- */

static bool guest_may(const struct run *r, uint64_t bit)
{
    return (r->out->report.policy & bit) != 0;
}

static err check_guest_policy(struct run *r, status *out)
{
    *out = pass_if(guest_may(r, SNP_POLICY_ONE) && !guest_may(r, ~SNP_POLICY_KNOWN));
    return OK;
}

static err check_debug(struct run *r, status *out)
{
    *out = pass_if(!guest_may(r, SNP_POLICY_DEBUG));
    return OK;
}

static err check_migrate_ma(struct run *r, status *out)
{
    *out = pass_if(!guest_may(r, SNP_POLICY_MIGRATE_MA));
    return OK;
}

/* The low two bytes of POLICY are the least ABI version, minor before major. */
static err check_abi(struct run *r, status *out)
{
    unsigned asked = (unsigned)(r->out->report.policy & 0xffff);
    struct snp_firmware v = r->out->report.current_version;
    *out = pass_if((unsigned)(v.major << 8 | v.minor) >= asked);
    return OK;
}

static err check_line(struct run *r, status *out)
{
    *out = pass_if((r->policy->products >> r->out->product & 1) != 0);
    return OK;
}

static err check_key(struct run *r, status *out)
{
    *out = pass_if((r->policy->keys >> r->out->report.signing_key & 1) != 0);
    return OK;
}

static err check_csp_id(struct run *r, status *out)
{
    const struct snp_leaf *leaf = &r->out->leaf;
    *out = !leaf->vlek || r->policy->csp_ids.n == 0
               ? VERDICT_SKIP
               : pass_if(policy_list_has(&r->policy->csp_ids, bytes_str(leaf->csp_id)));
    return OK;
}

static err check_vmpl(struct run *r, status *out)
{
    *out = pass_if(r->out->report.vmpl <= r->policy->max_vmpl);
    return OK;
}

static err check_guest_svn(struct run *r, status *out)
{
    *out = pass_if(r->out->report.guest_svn >= r->policy->minimum_guest_svn);
    return OK;
}

static bool reaches(const struct snp_tcb *have, const struct snp_minimum *least, enum snp_product p)
{
    for (unsigned i = 0; i < SNP_PARTS; i++) {
        if (snp_tcb_part(have, p, (enum snp_part)i) < least->part[p][i])
            return false;
    }
    return true;
}

static err check_minimum_tcb(struct run *r, status *out)
{
    const struct snp_report *report = &r->out->report;
    enum snp_product p = r->out->product;
    *out = pass_if(reaches(&report->reported, &r->policy->reported, p) &&
                   reaches(&report->launch, &r->policy->launch, p) &&
                   reaches(&report->committed, &r->policy->committed, p));
    return OK;
}

static err check_smt(struct run *r, status *out)
{
    *out = pass_if(r->policy->smt || !guest_may(r, SNP_POLICY_SMT));
    return OK;
}

static err check_cxl(struct run *r, status *out)
{
    *out = pass_if(r->policy->cxl || !guest_may(r, SNP_POLICY_CXL));
    return OK;
}

/* A requirement is met by what the host says it has; single_socket by the guest's own policy. */
static err check_platform_info(struct run *r, status *out)
{
    static const struct {
        unsigned require;
        uint64_t platform;
        uint64_t guest;
    } rows[] = {
        { SNP_REQUIRE_ALIAS_CHECK, SNP_PLATFORM_ALIAS_CHECK, 0 },
        { SNP_REQUIRE_ECC, SNP_PLATFORM_ECC, 0 },
        { SNP_REQUIRE_TSME, SNP_PLATFORM_TSME, 0 },
        { SNP_REQUIRE_RAPL_DISABLED, SNP_PLATFORM_RAPL_DIS, 0 },
        { SNP_REQUIRE_CIPHERTEXT_HIDING, SNP_PLATFORM_CIPHERTEXT_HIDING, 0 },
        { SNP_REQUIRE_SINGLE_SOCKET, 0, SNP_POLICY_SINGLE_SOCKET },
    };
    *out = r->policy->require == 0 ? VERDICT_SKIP : VERDICT_PASS;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool has =
            (r->out->report.platform_info & rows[i].platform) != 0 || guest_may(r, rows[i].guest);
        if ((r->policy->require & rows[i].require) != 0 && !has)
            *out = VERDICT_FAIL;
    }
    return OK;
}

/* --- the order ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum reason reason;
    enum verdict_check_id part;
} rows[SNP_CHECKS] = {
#define X(id, word, why, of) [SNP_CHECK_##id] = { (word), REASON_##why, VERDICT_##of },
    SNP_CHECK_LIST(X)
#undef X
};

static step *const steps[SNP_CHECKS] = {
    [SNP_CHECK_LENGTH] = check_length,
    [SNP_CHECK_VERSION] = check_version,
    [SNP_CHECK_SIG_ALGO] = check_sig_algo,
    [SNP_CHECK_SIGNING_KEY] = check_signing_key,
    [SNP_CHECK_MASKED] = check_masked,
    [SNP_CHECK_SIGNATURE_FORM] = check_signature_form,
    [SNP_CHECK_COLLATERAL] = check_collateral,
    [SNP_CHECK_ROOT] = check_root,
    [SNP_CHECK_CHAIN] = check_chain,
    [SNP_CHECK_CHAIN_VALIDITY] = check_chain_validity,
    [SNP_CHECK_LEAF_FORM] = check_leaf_form,
    [SNP_CHECK_LEAF_KIND] = check_leaf_kind,
    [SNP_CHECK_CRL] = check_crl,
    [SNP_CHECK_CRL_SIGNATURE] = check_crl_signature,
    [SNP_CHECK_CRL_VALIDITY] = check_crl_validity,
    [SNP_CHECK_REVOKED] = check_revoked,
    [SNP_CHECK_REPORT_SIGNATURE] = check_report_signature,
    [SNP_CHECK_PRODUCT] = check_product,
    [SNP_CHECK_TCB_LEAF] = check_tcb_leaf,
    [SNP_CHECK_CHIP_ID] = check_chip_id,
    [SNP_CHECK_GUEST_POLICY] = check_guest_policy,
    [SNP_CHECK_DEBUG] = check_debug,
    [SNP_CHECK_MIGRATE_MA] = check_migrate_ma,
    [SNP_CHECK_ABI] = check_abi,
    [SNP_CHECK_LINE] = check_line,
    [SNP_CHECK_KEY] = check_key,
    [SNP_CHECK_CSP_ID] = check_csp_id,
    [SNP_CHECK_VMPL] = check_vmpl,
    [SNP_CHECK_GUEST_SVN] = check_guest_svn,
    [SNP_CHECK_MINIMUM_TCB] = check_minimum_tcb,
    [SNP_CHECK_SMT] = check_smt,
    [SNP_CHECK_CXL] = check_cxl,
    [SNP_CHECK_PLATFORM_INFO] = check_platform_info,
};

static void clear(struct snp_result *out)
{
    *out = (struct snp_result){ 0 };
    for (size_t i = 0; i < SNP_CHECKS; i++)
        out->checks[i] = (struct snp_check){ rows[i].name, VERDICT_SKIP, REASON_EARLIER_FAILURE };
}

static enum reason reason_of(size_t at, status s)
{
    switch (s) {
    case VERDICT_PASS:
        return REASON_PASSED;
    case VERDICT_SKIP:
        return REASON_NOT_APPLICABLE;
    case VERDICT_FAIL:
        break;
    }
    return rows[at].reason;
}

static err run_steps(struct run *r)
{
    for (size_t at = 0; at < SNP_CHECKS; at++) {
        status s = VERDICT_FAIL;
        TRY(steps[at](r, &s));
        r->out->checks[at].status = s;
        r->out->checks[at].reason = reason_of(at, s);
        if (s != VERDICT_FAIL)
            continue;
        r->out->failed = rows[at].name;
        return OK;
    }
    r->out->accepted = true;
    return OK;
}

err snp_verify(bytes report, const struct snp_collateral *collateral,
               const struct snp_settings *settings, struct snp_result *out)
{
    CLEANUP(run_clear)
    struct run r = { .bytes = report,
                     .collateral = collateral,
                     .settings = settings,
                     .policy = settings->policy != NULL ? settings->policy : &snp_policy_default,
                     .out = out };
    clear(out);
    err e = run_steps(&r);
    if (!err_is_ok(e))
        clear(out);
    return e;
}

/* --- for the frame --------------------------------------------------------------------------- */

const struct verifier_register snp_registers[SNP_REGISTERS] = {
    { .name = "measurement", .len = SNP_MEASUREMENT_LEN },
    { .name = "host_data", .len = 32, .secondary = true },
    { .name = "id_key_digest", .len = 48, .secondary = true },
    { .name = "author_key_digest", .len = 48, .secondary = true },
    { .name = "family_id", .len = 16, .secondary = true },
    { .name = "image_id", .len = 16, .secondary = true },
    { .name = "chip_id", .len = SNP_CHIP_ID_LEN, .secondary = true },
    { .name = "report_id", .len = 32, .secondary = true },
};

static void add_register(struct verifier_facts *out, size_t which, bytes value)
{
    struct verdict_register *r = &out->registers[out->registers_n++];
    r->name = snp_registers[which].name;
    r->len = value.len;
    memcpy(r->value, value.at, value.len);
}

/* What the hardware did not fill in is absent: it must not meet a rule. */
static void add_registers(const struct snp_result *r, struct verifier_facts *out)
{
    const struct snp_report *report = &r->report;
    add_register(out, 0, report->measurement);
    add_register(out, 1, report->host_data);
    add_register(out, 2, report->id_key_digest);
    if (report->author_key_en)
        add_register(out, 3, report->author_key_digest);
    add_register(out, 4, report->family_id);
    add_register(out, 5, report->image_id);
    if (r->has_leaf && !r->leaf.vlek)
        add_register(out, 6, report->chip_id);
    add_register(out, 7, report->report_id);
}

/* A check that was not made leaves its part unchecked. */
static struct verifier_outcome part_of(const struct snp_result *r, enum verdict_check_id part)
{
    for (size_t i = 0; i < SNP_CHECKS; i++) {
        const struct snp_check *c = &r->checks[i];
        if (rows[i].part != part || c->status == VERDICT_PASS || c->reason == REASON_NOT_APPLICABLE)
            continue;
        return c->status == VERDICT_FAIL
                   ? (struct verifier_outcome){ VERDICT_FAIL, c->reason }
                   : (struct verifier_outcome){ VERDICT_SKIP, REASON_UNCHECKED };
    }
    return (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
}

_Static_assert((int)SNP_REPORT_DATA_LEN == (int)BINDING_LEN, "report data is the binding");

void snp_facts(const struct snp_result *r, struct verifier_facts *out)
{
    out->form = part_of(r, VERDICT_FORM);
    out->signature = part_of(r, VERDICT_SIGNATURE);
    out->debug = part_of(r, VERDICT_DEBUG);
    out->tcb = part_of(r, VERDICT_TCB);
    out->subject = r->failed;
    if (!r->has_report || out->signature.status != VERDICT_PASS)
        return;
    memcpy(out->report_data, r->report.report_data.at, BINDING_LEN);
    add_registers(r, out);
}

static err verify_bundle(const struct bundle *b, const struct policy *policy, int64_t now,
                         struct snp_collateral *collateral, struct verifier_facts *facts)
{
    struct snp_result result;
    struct snp_settings settings = { .policy = policy->snp, .now = now };
    err e = snp_collateral_read(collateral, b->collateral);
    ENSURE(e.code != ERR_NOMEM, NOMEM);
    if (!err_is_ok(e)) {
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_MALFORMED };
        facts->subject = rows[SNP_CHECK_COLLATERAL].name;
        return OK;
    }
    TRY(snp_verify(b->evidence, collateral, &settings, &result));
    snp_facts(&result, facts);
    return OK;
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct snp_collateral collateral = { 0 };
    err e = verify_bundle(b, policy, now, &collateral, facts);
    snp_collateral_clear(&collateral);
    return e;
}

/* A report says by itself what it is, and no more: all that proves it is collateral. */
void snp_own_facts(const struct snp_report *report, struct verifier_facts *out)
{
    const struct snp_result r = { .has_report = true, .report = *report };
    const struct verifier_outcome pass = { VERDICT_PASS, REASON_PASSED };
    out->form = pass;
    out->signature = pass;
    out->debug = (report->policy & SNP_POLICY_DEBUG) == 0
                     ? pass
                     : (struct verifier_outcome){ VERDICT_FAIL, REASON_DEBUG_ENABLED };
    memcpy(out->report_data, report->report_data.at, BINDING_LEN);
    add_registers(&r, out);
}

static err examine_own(const struct bundle *b, int64_t now, struct verifier_facts *facts)
{
    struct snp_report report;
    (void)now;
    if (err_is_ok(snp_report_read(b->evidence, &report)))
        snp_own_facts(&report, facts);
    else
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_MALFORMED };
    return OK;
}

static const struct verifier verifier = { .platform = SNP_PLATFORM,
                                          .trust = TRUST_HARDWARE,
                                          .registers = snp_registers,
                                          .registers_n = SNP_REGISTERS,
                                          .examine = examine,
                                          .examine_own = examine_own };

const struct verifier *const snp_verifier = &verifier;
