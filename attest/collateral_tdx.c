/* Intel's pieces: what a quote asks for, and what makes each of them genuine. */
#include "attest/collateral_parts.h"
#include "attest/map.h"
#include "attest/tdx_verify.h"
#include "base/attr.h"
#include "base/mem.h"
#include "base/text.h"

enum { SIGNER_CHAIN_LEN = 2, PCK_CA = 1, PCK_ROOT = 2, PCK_CHAIN_LEN = 3 };

/* ---- collateral of which a part may be missing ---- */

#define AT(member) offsetof(struct tdx_collateral, member)

static const struct map_field partial_fields[] = {
    { "ccel", MAP_BYTES, true, AT(ccel), 1, TDX_LOG_MAX },
    { "pck_crl", MAP_BYTES, true, AT(pck_crl), 1, TDX_PCK_CRL_MAX },
    { "version", MAP_UINT, false, AT(version), TDX_COLLATERAL_VERSION, TDX_COLLATERAL_VERSION },
    { "root_crl", MAP_BYTES, true, AT(root_crl), 1, TDX_ROOT_CRL_MAX },
    { "tcb_info", MAP_BYTES, true, AT(tcb_info), 1, BUNDLE_COLLATERAL_MAX },
    { "dstack_log", MAP_BYTES, true, AT(dstack_log), 1, TDX_LOG_MAX },
    { "qe_identity", MAP_BYTES, true, AT(qe_identity), 1, BUNDLE_COLLATERAL_MAX },
    { "tcb_info_chain", MAP_BYTES, true, AT(tcb_info_chain), 1, TDX_CHAIN_MAX },
    { "qe_identity_chain", MAP_BYTES, true, AT(qe_identity_chain), 1, TDX_CHAIN_MAX },
};

err collateral_write_partial(struct buf *out, const struct tdx_collateral *c)
{
    return map_write(out, partial_fields, ARRAY_LEN(partial_fields), c);
}

/* What cannot be read counts as nothing carried. */
static struct tdx_collateral carried_by(const struct bundle *b)
{
    struct tdx_collateral c = { 0 };
    if (b->collateral.len > 0 && !err_is_ok(map_read(b->collateral, partial_fields,
                                                     ARRAY_LEN(partial_fields), &c, sizeof c)))
        c = (struct tdx_collateral){ 0 };
    return c;
}

static struct collateral_piece piece_in(const struct tdx_collateral *c, enum collateral_kind kind)
{
    if (kind == COLLATERAL_TCB_INFO)
        return (struct collateral_piece){ c->tcb_info, c->tcb_info_chain };
    if (kind == COLLATERAL_QE_IDENTITY)
        return (struct collateral_piece){ c->qe_identity, c->qe_identity_chain };
    return (struct collateral_piece){ kind == COLLATERAL_PCK_CRL ? c->pck_crl : c->root_crl,
                                      { 0 } };
}

/* ---- the two documents ---- */

static bool has_name(const struct x509_chain *chain, size_t i, const char *name)
{
    bytes have;
    return err_is_ok(x509_common_name(chain, i, &have)) && bytes_equal(have, bytes_str(name));
}

static err verify_signer(bytes pem, int64_t now, struct x509_chain **out, int64_t *expires)
{
    struct pem_certs certs;
    err e = pem_read_certs(&certs, pem);
    if (err_is_ok(e))
        e = x509_verify(out, &(struct x509_query){ .certs = certs.certs,
                                                   .certs_n = certs.n,
                                                   .roots = &tdx_intel_root,
                                                   .roots_n = 1,
                                                   .at_s = now });
    pem_clear(&certs);
    TRY(e);
    ENSURE(x509_len(*out) == SIGNER_CHAIN_LEN && has_name(*out, 0, "Intel SGX TCB Signing"),
           UNTRUSTED);
    return collateral_chain_expires(*out, expires);
}

static void free_chain(struct x509_chain **chain)
{
    x509_free(*chain);
}

static err open_document(const struct collateral_piece *piece, const char *name, int64_t now,
                         bytes *inner, int64_t *expires)
{
    CLEANUP(free_chain) struct x509_chain *signer = NULL;
    TRY(verify_signer(piece->chain, now, &signer, expires));
    return tdx_document_verify(piece->body, name, signer, inner);
}

static err check_dates(int64_t issued, int64_t next, int64_t now, int64_t *expires)
{
    ENSURE(issued <= now && now <= next, STALE);
    if (next < *expires)
        *expires = next;
    return OK;
}

static err tcb_key(struct buf *key, bytes fmspc)
{
    TRY(buf_add_str(key, "tdx-tcb-info-"));
    return text_hex_encode(key, fmspc);
}

static err is_for(const struct collateral_need *need, bytes fmspc)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    TRY(tcb_key(&key, fmspc));
    ENSURE(bytes_equal(buf_view(&key), bytes_str(need->key)), UNTRUSTED);
    return OK;
}

err collateral_check_tcb_info(const struct collateral_need *need,
                              const struct collateral_piece *piece, bytes issuer, int64_t now,
                              int64_t *expires)
{
    struct tdx_tcb_info *info;
    bytes inner;
    (void)issuer;
    TRY(open_document(piece, "tcbInfo", now, &inner, expires));
    TRY(tdx_tcb_info_read(&info, inner));
    err e = is_for(need, BYTES_ARRAY(info->fmspc));
    if (err_is_ok(e))
        e = check_dates(info->issued, info->next, now, expires);
    tdx_tcb_info_free(info);
    return e;
}

err collateral_check_qe_identity(const struct collateral_need *need,
                                 const struct collateral_piece *piece, bytes issuer, int64_t now,
                                 int64_t *expires)
{
    struct tdx_qe_identity *identity;
    bytes inner;
    (void)need;
    (void)issuer;
    TRY(open_document(piece, "enclaveIdentity", now, &inner, expires));
    TRY(tdx_qe_identity_read(&identity, inner));
    err e = check_dates(identity->issued, identity->next, now, expires);
    tdx_qe_identity_free(identity);
    return e;
}

/* ---- the two lists ---- */

/* issuer is the chain of the quote. */
static err check_list(const struct collateral_piece *piece, bytes issuer, size_t which, int64_t now,
                      int64_t *expires)
{
    struct pem_certs certs;
    err e = collateral_certs(&certs, issuer);
    if (err_is_ok(e) && certs.n != PCK_CHAIN_LEN)
        e = err_raise(ERR_UNTRUSTED, __FILE__, __func__, __LINE__);
    if (err_is_ok(e))
        e = collateral_check_crl(piece->body, certs.certs[which], now, expires);
    pem_clear(&certs);
    return e;
}

err collateral_check_pck_crl(const struct collateral_need *need,
                             const struct collateral_piece *piece, bytes issuer, int64_t now,
                             int64_t *expires)
{
    (void)need;
    return check_list(piece, issuer, PCK_CA, now, expires);
}

err collateral_check_root_crl(const struct collateral_need *need,
                              const struct collateral_piece *piece, bytes issuer, int64_t now,
                              int64_t *expires)
{
    (void)need;
    return check_list(piece, issuer, PCK_ROOT, now, expires);
}

/* ---- what a quote needs ---- */

static err name_tcb_info(struct buf *key, struct buf *path, const struct tdx_pck *pck)
{
    TRY(tcb_key(key, BYTES_ARRAY(pck->fmspc)));
    TRY(buf_add_str(path, "/tdx/certification/v4/tcb?fmspc="));
    return text_hex_encode(path, BYTES_ARRAY(pck->fmspc));
}

static err name_piece(enum collateral_kind kind, const struct tdx_pck *pck, bool processor,
                      struct buf *key, struct buf *path)
{
    const char *ca = processor ? "processor" : "platform";
    if (kind == COLLATERAL_TCB_INFO)
        return name_tcb_info(key, path, pck);
    if (kind == COLLATERAL_QE_IDENTITY) {
        TRY(buf_add_str(key, "tdx-qe-identity"));
        return buf_add_str(path, "/tdx/certification/v4/qe/identity");
    }
    if (kind == COLLATERAL_PCK_CRL) {
        TRY(buf_addf(key, "tdx-pck-crl-%s", ca));
        return buf_addf(path, "/sgx/certification/v4/pckcrl?ca=%s&encoding=der", ca);
    }
    TRY(buf_add_str(key, "tdx-root-crl"));
    return buf_add_str(path, "/sgx/certification/v4/rootcacrl");
}

/* Wanted, unless what is carried will do. */
static err want_piece(struct collateral_plan *plan, enum collateral_kind kind,
                      const struct tdx_pck *pck, bool processor, const struct tdx_collateral *c,
                      int64_t now)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    struct collateral_piece piece = piece_in(c, kind);
    int64_t expires;
    TRY(name_piece(kind, pck, processor, &key, &path));
    TRY(collateral_want(plan, kind, -1, &key, &path));
    if (piece.body.len == 0)
        return OK;
    const struct collateral_need *need = &plan->needs[plan->n - 1];
    err e = collateral_check(need, &piece, buf_view(&plan->issuer), now, &expires);
    if (err_is_ok(e))
        plan->n--;
    return collateral_is_fault(e) ? OK : e;
}

/* The chain inside the quote, which tdx_quote_platform() has verified. */
static err keep_issuers(struct collateral_plan *plan, bytes quote)
{
    struct tdx_quote q = { 0 };
    struct tdx_faults faults = { 0 };
    tdx_quote_read(quote, &q, &faults);
    return buf_add(&plan->issuer, q.pck_chain);
}

err collateral_plan_tdx(struct collateral_plan *out, const struct bundle *b, int64_t now)
{
    struct tdx_pck pck;
    bool processor = false;
    struct tdx_collateral carried = carried_by(b);
    TRY(tdx_quote_platform(b->evidence, now, &pck, &processor));
    TRY(keep_issuers(out, b->evidence));
    for (unsigned kind = COLLATERAL_TCB_INFO; kind <= COLLATERAL_ROOT_CRL; kind++)
        TRY(want_piece(out, (enum collateral_kind)kind, &pck, processor, &carried, now));
    return OK;
}

/* ---- together ---- */

static void put_piece(struct tdx_collateral *c, enum collateral_kind kind,
                      const struct collateral_piece *piece)
{
    if (kind == COLLATERAL_TCB_INFO) {
        c->tcb_info = piece->body;
        c->tcb_info_chain = piece->chain;
    } else if (kind == COLLATERAL_QE_IDENTITY) {
        c->qe_identity = piece->body;
        c->qe_identity_chain = piece->chain;
    } else if (kind == COLLATERAL_PCK_CRL) {
        c->pck_crl = piece->body;
    } else {
        c->root_crl = piece->body;
    }
}

err collateral_join_tdx(struct buf *out, const struct collateral_plan *plan, const struct bundle *b,
                        const struct collateral_piece *pieces)
{
    struct tdx_collateral c = carried_by(b);
    c.version = TDX_COLLATERAL_VERSION;
    for (size_t i = 0; i < plan->cpu_n; i++)
        put_piece(&c, plan->needs[i].kind, &pieces[i]);
    return tdx_collateral_write(out, &c);
}
