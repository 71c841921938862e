/*
 * Three parts, each of which goes on as far as it can: who signed the quote (chain, revocation, the
 * quoting enclave, the quote), what Intel says of such a platform (attest/tdx_levels.c), and what
 * the rules say. Faults are noted in a set; a check that was reached and has none is passed.
 */
#include "attest/tdx_verify.h"

#include "attest/tdx_policy.h"
#include "attest/tdx_verify_parts.h"
#include "base/mem.h"
#include "crypto/crl.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/sign.h"

enum {
    PCK_CHAIN_LEN = 3,
    SIGNER_CHAIN_LEN = 2,
    POINT_LEN = 65,
    ATTRIBUTE_DEBUG = 0x01,
    QE_HASH_LEN = SHA256_LEN
};

#define ATTRIBUTES_RESERVED (~(ATTRIBUTE_SEPT_VE | ATTRIBUTE_MIGRATABLE | ATTRIBUTE_NEUTRAL | 1))
#define ATTRIBUTE_SEPT_VE ((uint64_t)1 << 28)
#define ATTRIBUTE_MIGRATABLE ((uint64_t)1 << 29)
#define ATTRIBUTE_NEUTRAL ((uint64_t)1 << 30 | (uint64_t)1 << 63) /* PKS, PERFMON */

const struct x509_root tdx_intel_root = { { 0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89,
                                            0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35,
                                            0x0e, 0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85,
                                            0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3 } };

static const struct tdx_policy strictest = { 0 };

void tdx_fault(struct tdx_work *w, enum tdx_fault f)
{
    tdx_fault_add(&w->result->faults, f);
}

void tdx_reached(struct tdx_work *w, enum tdx_check check)
{
    w->result->checks[check] = VERDICT_PASS;
}

bool tdx_fault_if(struct tdx_work *w, bool wrong, enum tdx_fault f)
{
    if (wrong)
        tdx_fault(w, f);
    return wrong;
}

bool tdx_is_fatal(err e)
{
    return e.code == ERR_NOMEM || e.code == ERR_INTERNAL;
}

/* --- chains ---------------------------------------------------------------------------------- */

static bool is_pinned(const struct tdx_work *w, bytes cert)
{
    uint8_t digest[SHA256_LEN];
    sha256_of(cert, digest);
    for (size_t i = 0; i < w->roots_n; i++) {
        if (bytes_equal(BYTES_ARRAY(digest), BYTES_ARRAY(w->roots[i].sha256)))
            return true;
    }
    return false;
}

static bool pinned_before_last(const struct tdx_work *w, const struct pem_certs *certs)
{
    for (size_t i = 0; i + 1 < certs->n; i++) {
        if (is_pinned(w, certs->certs[i]))
            return true;
    }
    return false;
}

static err verify_chain(const struct tdx_work *w, const struct pem_certs *certs,
                        struct x509_chain **out, struct x509_why *why)
{
    struct x509_query q = { .certs = certs->certs,
                            .certs_n = certs->n,
                            .roots = w->roots,
                            .roots_n = w->roots_n,
                            .at_s = w->input->now,
                            .why = why };
    return x509_verify(out, &q);
}

static bool has_name(const struct x509_chain *chain, size_t i, const char *name)
{
    bytes have;
    return err_is_ok(x509_common_name(chain, i, &have)) && bytes_equal(have, bytes_str(name));
}

static bool pck_names_hold(const struct x509_chain *chain)
{
    return x509_len(chain) == PCK_CHAIN_LEN && has_name(chain, 0, "Intel SGX PCK Certificate") &&
           (has_name(chain, 1, "Intel SGX PCK Platform CA") ||
            has_name(chain, 1, "Intel SGX PCK Processor CA"));
}

static enum tdx_fault pck_fault(enum x509_fault f)
{
    switch (f) {
    case X509_FAULT_ROOT:
        return TDX_FAULT_UNTRUSTED_ROOT;
    case X509_FAULT_DATE:
        return TDX_FAULT_PCK_CHAIN_VALIDITY;
    case X509_FAULT_SIGNATURE:
    case X509_FAULT_ISSUER:
        return TDX_FAULT_PCK_CHAIN_SIGNATURE;
    case X509_FAULT_NONE:
    case X509_FAULT_FORM:
    case X509_FAULT_OTHER:
        break;
    }
    return TDX_FAULT_PCK_CHAIN_FORM;
}

/* What the platform is, once its certificate is trusted. */
static void read_pck(struct tdx_work *w)
{
    bytes extension;
    bool read = err_is_ok(x509_extension(w->pck, 0, TDX_PCK_EXTENSION, &extension)) &&
                err_is_ok(tdx_pck_read(extension, &w->result->pck));
    w->result->pck_known = !tdx_fault_if(w, !read, TDX_FAULT_PCK_EXTENSION);
}

static err check_pck_chain(struct tdx_work *w)
{
    struct x509_why why = { 0 };
    err e = pem_read_certs(&w->pck_certs, w->result->quote.pck_chain);
    if (tdx_is_fatal(e))
        return e;
    tdx_reached(w, TDX_CHECK_CERT_DATA);
    if (tdx_fault_if(w, !err_is_ok(e) || w->pck_certs.n == 0, TDX_FAULT_CERT_ENCODING))
        return OK;
    tdx_reached(w, TDX_CHECK_PCK_CHAIN);
    tdx_fault_if(w, w->pck_certs.n != PCK_CHAIN_LEN, TDX_FAULT_PCK_CHAIN_LENGTH);
    if (tdx_fault_if(w, pinned_before_last(w, &w->pck_certs), TDX_FAULT_PCK_CHAIN_ORDER))
        return OK;
    e = verify_chain(w, &w->pck_certs, &w->pck, &why);
    if (tdx_is_fatal(e))
        return e;
    if (!err_is_ok(e)) {
        tdx_fault(w, pck_fault(why.fault));
        return OK;
    }
    tdx_fault_if(w, !pck_names_hold(w->pck), TDX_FAULT_PCK_CHAIN_NAMES);
    read_pck(w);
    return OK;
}

/* --- who signed ------------------------------------------------------------------------------ */

static err check_qe_signature(struct tdx_work *w)
{
    const struct tdx_quote *q = &w->result->quote;
    enum ec_curve curve;
    bytes point;
    if (w->pck == NULL)
        return OK;
    tdx_reached(w, TDX_CHECK_QE_SIGNATURE);
    err e = x509_key(w->pck, 0, &curve, &point);
    if (err_is_ok(e) && curve != EC_P256)
        e = err_raise(ERR_UNSUPPORTED, __FILE__, __func__, __LINE__);
    if (err_is_ok(e))
        e = verify_ecdsa(EC_P256, point, q->qe_report, q->qe_signature, ECDSA_RAW);
    if (tdx_is_fatal(e))
        return e;
    tdx_fault_if(w, !err_is_ok(e), TDX_FAULT_QE_SIGNATURE);
    return OK;
}

/* QE report data = SHA-256( attestation key || authentication data ) || 32 zero bytes. Without this
 * the attestation key would be anyone's. */
static void check_qe_data(struct tdx_work *w, const struct tdx_qe_report *qe)
{
    struct sha256 h;
    uint8_t expected[2 * QE_HASH_LEN] = { 0 };
    sha256_init(&h);
    sha256_add(&h, w->result->quote.key);
    sha256_add(&h, w->result->quote.qe_auth);
    sha256_end(&h, expected);
    tdx_reached(w, TDX_CHECK_QE_DATA);
    tdx_fault_if(w, !secret_equal(qe->report_data, BYTES_ARRAY(expected)), TDX_FAULT_QE_DATA);
}

static err check_quote_signature(struct tdx_work *w)
{
    const struct tdx_quote *q = &w->result->quote;
    uint8_t point[POINT_LEN] = { 0x04 };
    if (q->key.len != POINT_LEN - 1 || q->signed_part.len == 0)
        return OK;
    memcpy(point + 1, q->key.at, q->key.len);
    tdx_reached(w, TDX_CHECK_QUOTE_SIGNATURE);
    err e = verify_ecdsa(EC_P256, BYTES_ARRAY(point), q->signed_part, q->signature, ECDSA_RAW);
    if (tdx_is_fatal(e))
        return e;
    tdx_fault_if(w, !err_is_ok(e), TDX_FAULT_QUOTE_SIGNATURE);
    return OK;
}

static err check_quote(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    if (r->quote.pck_chain.len > 0)
        TRY(check_pck_chain(w));
    if (tdx_qe_report_read(r->quote.qe_report, &w->qe)) {
        r->qe_known = true;
        r->qe_isvsvn = w->qe.isvsvn;
        r->qe_isvprodid = w->qe.isvprodid;
        TRY(check_qe_signature(w));
        check_qe_data(w, &w->qe);
    }
    return check_quote_signature(w);
}

/* --- revocation ------------------------------------------------------------------------------ */

/* The faults of one list, in the order crl_verify() finds them. */
struct crl_faults {
    enum tdx_check check;
    enum tdx_fault form, issuer, signature, validity;
};

static const struct crl_faults root_crl_faults = { TDX_CHECK_ROOT_CRL, TDX_FAULT_ROOT_CRL_FORM,
                                                   TDX_FAULT_ROOT_CRL_ISSUER,
                                                   TDX_FAULT_ROOT_CRL_SIGNATURE,
                                                   TDX_FAULT_ROOT_CRL_VALIDITY };
static const struct crl_faults pck_crl_faults = { TDX_CHECK_PCK_CRL, TDX_FAULT_PCK_CRL_FORM,
                                                  TDX_FAULT_PCK_CRL_ISSUER,
                                                  TDX_FAULT_PCK_CRL_SIGNATURE,
                                                  TDX_FAULT_PCK_CRL_VALIDITY };

static enum tdx_fault crl_fault(const struct crl_faults *f, enum err_code code)
{
    if (code == ERR_UNTRUSTED)
        return f->issuer;
    if (code == ERR_CRYPTO)
        return f->signature;
    return code == ERR_STALE ? f->validity : f->form;
}

void tdx_expires(struct tdx_work *w, int64_t at)
{
    if (w->result->expires == 0 || at < w->result->expires)
        w->result->expires = at;
}

/* *out is NULL when the list says nothing that may be believed. */
static err check_crl(struct tdx_work *w, const struct crl_faults *f, bytes der, bytes issuer,
                     struct crl **out)
{
    int64_t next;
    tdx_reached(w, f->check);
    err e = crl_read(out, der);
    if (tdx_is_fatal(e))
        return e;
    if (tdx_fault_if(w, !err_is_ok(e), f->form))
        return OK;
    if (crl_next_update(*out, &next))
        tdx_expires(w, next);
    e = crl_verify(*out, issuer, w->input->now);
    if (err_is_ok(e) || tdx_is_fatal(e))
        return e;
    tdx_fault(w, crl_fault(f, e.code));
    crl_free(*out);
    *out = NULL;
    return OK;
}

/* Both lists, once the chain says who may issue them. */
static err check_crls(struct tdx_work *w)
{
    const struct tdx_collateral *c = w->input->collateral;
    const bytes *certs = w->pck_certs.certs;
    if (w->pck == NULL || w->pck_certs.n != PCK_CHAIN_LEN)
        return OK;
    TRY(check_crl(w, &root_crl_faults, c->root_crl, certs[2], &w->root_crl));
    TRY(check_crl(w, &pck_crl_faults, c->pck_crl, certs[1], &w->pck_crl));
    if (w->root_crl != NULL)
        tdx_fault_if(w, crl_lists(w->root_crl, certs[1]), TDX_FAULT_CA_REVOKED);
    if (w->pck_crl != NULL)
        tdx_fault_if(w, crl_lists(w->pck_crl, certs[0]), TDX_FAULT_PCK_REVOKED);
    return OK;
}

/* --- who signs the collateral ---------------------------------------------------------------- */

static enum tdx_fault signer_fault(enum x509_fault f)
{
    switch (f) {
    case X509_FAULT_ROOT:
        return TDX_FAULT_TCB_CHAIN_ROOT;
    case X509_FAULT_DATE:
        return TDX_FAULT_TCB_CHAIN_VALIDITY;
    case X509_FAULT_SIGNATURE:
    case X509_FAULT_ISSUER:
        return TDX_FAULT_TCB_CHAIN_SIGNATURE;
    case X509_FAULT_NONE:
    case X509_FAULT_FORM:
    case X509_FAULT_OTHER:
        break;
    }
    return TDX_FAULT_TCB_CHAIN_FORM;
}

static err check_signer_certs(struct tdx_work *w, const struct pem_certs *certs,
                              struct x509_chain **out)
{
    struct x509_why why = { 0 };
    err e = verify_chain(w, certs, out, &why);
    if (tdx_is_fatal(e))
        return e;
    if (!err_is_ok(e)) {
        tdx_fault(w, signer_fault(why.fault));
        return OK;
    }
    bool named = x509_len(*out) == SIGNER_CHAIN_LEN && has_name(*out, 0, "Intel SGX TCB Signing");
    tdx_fault_if(w, !named, TDX_FAULT_TCB_SIGNER_SUBJECT);
    if (w->root_crl != NULL && named)
        tdx_fault_if(w, crl_lists(w->root_crl, certs->certs[0]), TDX_FAULT_SIGNER_REVOKED);
    return OK;
}

err tdx_check_signer(struct tdx_work *w, bytes pem, struct x509_chain **out)
{
    struct pem_certs certs;
    tdx_reached(w, TDX_CHECK_TCB_SIGNER);
    err e = pem_read_certs(&certs, pem);
    if (err_is_ok(e) && certs.n > 0)
        e = check_signer_certs(w, &certs, out);
    else if (!tdx_is_fatal(e)) {
        tdx_fault(w, TDX_FAULT_TCB_CHAIN_FORM);
        e = OK;
    }
    pem_clear(&certs);
    return e;
}

/* --- attributes ------------------------------------------------------------------------------ */

static void check_attributes(struct tdx_work *w)
{
    const struct tdx_policy *p = w->policy;
    uint64_t a = tdx_quote_attributes(&w->result->quote);
    if (w->result->quote.body.len == 0)
        return;
    tdx_reached(w, TDX_CHECK_DEBUG);
    tdx_reached(w, TDX_CHECK_ATTRIBUTES);
    tdx_fault_if(w, (a & ATTRIBUTE_DEBUG) != 0, TDX_FAULT_DEBUG);
    tdx_fault_if(w, (a & ATTRIBUTES_RESERVED) != 0, TDX_FAULT_RESERVED_BITS);
    tdx_fault_if(w, (a & ATTRIBUTE_SEPT_VE) == 0 && !p->any_sept_ve, TDX_FAULT_SEPT_VE);
    tdx_fault_if(w, (a & ATTRIBUTE_MIGRATABLE) != 0 && !p->migratable, TDX_FAULT_MIGRATABLE);
}

static void check_machine(struct tdx_work *w)
{
    if (w->policy->ppids.n == 0 || !w->result->pck_known)
        return;
    tdx_reached(w, TDX_CHECK_MACHINE);
    tdx_fault_if(w, !policy_list_has(&w->policy->ppids, BYTES_ARRAY(w->result->pck.ppid)),
                 TDX_FAULT_PPID);
}

/* --- the whole ------------------------------------------------------------------------------- */

/* What may be skipped in an accepted result. */
static bool may_skip(const struct tdx_work *w, enum tdx_check check)
{
    if (check == TDX_CHECK_MACHINE)
        return w->policy->ppids.n == 0;
    if (check == TDX_CHECK_EVENT_LOG)
        return !tdx_log_expected(w->policy);
    return check == TDX_CHECK_ADVISORIES && w->result->status == TDX_STATUS_UP_TO_DATE;
}

static void settle(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    r->accepted = true;
    for (enum tdx_check c = 0; c < TDX_CHECKS; c++) {
        if (tdx_fault_of(&r->faults, c) != TDX_FAULTS)
            r->checks[c] = VERDICT_FAIL;
        bool fine =
            r->checks[c] == VERDICT_PASS || (r->checks[c] == VERDICT_SKIP && may_skip(w, c));
        r->accepted = r->accepted && fine;
    }
}

static void pin_roots(struct tdx_work *w)
{
    w->roots[w->roots_n++] = tdx_intel_root;
    for (size_t i = 0; i < w->policy->roots.n && w->roots_n < TDX_ROOTS_MAX; i++) {
        bytes digest = buf_view(&w->policy->roots.items[i]);
        if (digest.len == SHA256_LEN)
            memcpy(w->roots[w->roots_n++].sha256, digest.at, SHA256_LEN);
    }
}

static void read_quote(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    tdx_quote_read(w->input->quote, &r->quote, &r->faults);
    tdx_reached(w, TDX_CHECK_HEADER);
    tdx_reached(w, TDX_CHECK_FORM);
    if (r->quote.signature.len > 0)
        tdx_reached(w, TDX_CHECK_TRAILING);
}

static err run(struct tdx_work *w)
{
    read_quote(w);
    TRY(check_quote(w));
    check_attributes(w);
    check_machine(w);
    if (w->input->collateral == NULL) {
        tdx_fault(w, TDX_FAULT_NO_COLLATERAL);
        return OK;
    }
    TRY(check_crls(w));
    TRY(tdx_check_collateral(w));
    return tdx_check_logs(w);
}

static void work_clear(struct tdx_work *w)
{
    x509_free(w->pck);
    pem_clear(&w->pck_certs);
    crl_free(w->root_crl);
    crl_free(w->pck_crl);
    if (w->qe_signer != w->tcb_signer)
        x509_free(w->qe_signer);
    x509_free(w->tcb_signer);
    tdx_tcb_info_free(w->tcb);
    tdx_qe_identity_free(w->identity);
}

err tdx_verify(const struct tdx_input *input, struct tdx_result *out)
{
    *out = (struct tdx_result){ 0 };
    CLEANUP(work_clear)
    struct tdx_work w = { .input = input,
                          .policy = input->policy != NULL ? input->policy : &strictest,
                          .result = out };
    pin_roots(&w);
    err e = run(&w);
    if (err_is_ok(e))
        settle(&w);
    else
        *out = (struct tdx_result){ 0 };
    return e;
}

err tdx_quote_platform(bytes quote, int64_t now, struct tdx_pck *out, bool *processor)
{
    struct tdx_result *r = mem_alloc(sizeof *r);
    ENSURE(r != NULL, NOMEM);
    CLEANUP(work_clear)
    struct tdx_work w = { .input = &(struct tdx_input){ .quote = quote, .now = now },
                          .policy = &strictest,
                          .result = r };
    pin_roots(&w);
    read_quote(&w);
    err e = r->quote.pck_chain.len > 0 ? check_pck_chain(&w)
                                       : err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    bool known =
        err_is_ok(e) && r->pck_known && tdx_fault_of(&r->faults, TDX_CHECK_PCK_CHAIN) == TDX_FAULTS;
    if (known) {
        *out = r->pck;
        *processor = has_name(w.pck, 1, "Intel SGX PCK Processor CA");
    } else if (err_is_ok(e))
        e = err_raise(ERR_UNTRUSTED, __FILE__, __func__, __LINE__);
    mem_free(r);
    return e;
}
