/*
 * What Intel says of such a platform: the two signed documents, verified over the bytes received,
 * and the comparison of platform, TDX module and quoting enclave with their levels.
 */
#include <stdio.h>

#include "attest/tdx_policy.h"
#include "attest/tdx_verify_parts.h"
#include "base/json.h"

/* --- the two documents ----------------------------------------------------------------------- */

/* The faults of one document. */
struct document_faults {
    enum tdx_fault signature, form, type, validity, number;
};

static const struct document_faults tcb_faults = { TDX_FAULT_TCB_INFO_SIGNATURE,
                                                   TDX_FAULT_TCB_INFO_FORM, TDX_FAULT_TCB_INFO_TYPE,
                                                   TDX_FAULT_TCB_INFO_VALIDITY,
                                                   TDX_FAULT_TCB_INFO_NUMBER };
static const struct document_faults qe_faults = {
    TDX_FAULT_QE_IDENTITY_SIGNATURE, TDX_FAULT_QE_IDENTITY_FORM, TDX_FAULT_QE_IDENTITY_TYPE,
    TDX_FAULT_QE_IDENTITY_VALIDITY, TDX_FAULT_QE_IDENTITY_NUMBER
};

/* Notes what was wrong with reading a document; passes on only what is no fault of the evidence. */
static err note(struct tdx_work *w, const struct document_faults *f, err e)
{
    if (err_is_ok(e) || tdx_is_fatal(e))
        return e;
    if (e.code == ERR_CRYPTO)
        tdx_fault(w, f->signature);
    else
        tdx_fault(w, e.code == ERR_UNSUPPORTED ? f->type : f->form);
    return OK;
}

static void check_dates(struct tdx_work *w, const struct document_faults *f, int64_t issued,
                        int64_t next)
{
    int64_t now = w->input->now;
    tdx_fault_if(w, now < issued || now > next, f->validity);
    tdx_expires(w, next);
}

static void check_number(struct tdx_work *w, const struct document_faults *f, uint64_t number)
{
    struct tdx_result *r = w->result;
    tdx_fault_if(w, number < w->policy->minimum_evaluation, f->number);
    if (r->evaluation == 0 || number < r->evaluation)
        r->evaluation = number;
}

static err read_tcb_info(struct tdx_work *w)
{
    bytes inner;
    TRY(tdx_document_verify(w->input->collateral->tcb_info, "tcbInfo", w->tcb_signer, &inner));
    return tdx_tcb_info_read(&w->tcb, inner);
}

static err read_identity(struct tdx_work *w)
{
    bytes inner;
    TRY(tdx_document_verify(w->input->collateral->qe_identity, "enclaveIdentity", w->qe_signer,
                            &inner));
    return tdx_qe_identity_read(&w->identity, inner);
}

static err check_tcb_info(struct tdx_work *w)
{
    tdx_reached(w, TDX_CHECK_TCB_INFO);
    TRY(note(w, &tcb_faults, read_tcb_info(w)));
    if (w->tcb == NULL)
        return OK;
    check_dates(w, &tcb_faults, w->tcb->issued, w->tcb->next);
    check_number(w, &tcb_faults, w->tcb->evaluation);
    return OK;
}

static err check_identity(struct tdx_work *w)
{
    tdx_reached(w, TDX_CHECK_QE_IDENTITY);
    TRY(note(w, &qe_faults, read_identity(w)));
    if (w->identity == NULL)
        return OK;
    check_dates(w, &qe_faults, w->identity->issued, w->identity->next);
    check_number(w, &qe_faults, w->identity->evaluation);
    return OK;
}

/* --- advisories ------------------------------------------------------------------------------ */

static bool has_advisory(const struct tdx_result *r, bytes id)
{
    for (size_t i = 0; i < r->advisories_n; i++) {
        if (bytes_equal(bytes_str(r->advisories[i].id), id))
            return true;
    }
    return false;
}

/* What does not fit into the list is one that no policy can allow. */
static void add_advisory(struct tdx_work *w, bytes id)
{
    struct tdx_result *r = w->result;
    if (has_advisory(r, id))
        return;
    bool fits = r->advisories_n < TDX_ADVISORIES_MAX && id.len <= TDX_ADVISORY_LEN_MAX;
    if (tdx_fault_if(w, !fits, TDX_FAULT_ADVISORY))
        return;
    struct tdx_advisory *a = &r->advisories[r->advisories_n++];
    memcpy(a->id, id.at, id.len);
    a->id[id.len] = '\0';
}

static void add_advisories(struct tdx_work *w, const struct tdx_level *level)
{
    bytes id;
    for (size_t i = 0; i < json_len(level->advisories); i++) {
        if (json_text(json_at(level->advisories, i), &id) && id.len > 0)
            add_advisory(w, id);
    }
}

/* --- levels ---------------------------------------------------------------------------------- */

/* What one TEE_TCB_SVN comes to. NULL: no such level. */
struct evaluation {
    bool module_known;
    bool module_matches;
    bool has_module_status;
    const struct tdx_svn_level *module;
    const struct tdx_tcb_level *platform;
};

static bool module_matches(const struct tdx_module *m, const struct tdx_quote *q)
{
    return bytes_equal(tdx_quote_field(q, TDX_MRSIGNERSEAM), BYTES_ARRAY(m->mrsigner)) &&
           tdx_masked_equal(tdx_quote_field(q, TDX_SEAM_ATTRIBUTES),
                            BYTES_ARRAY(m->attributes_mask), BYTES_ARRAY(m->attributes));
}

static struct evaluation evaluate(const struct tdx_work *w, bytes svn)
{
    const struct tdx_module *m = tdx_module_find(w->tcb, svn);
    struct evaluation e = { .module_known = m != NULL,
                            .has_module_status = svn.at[1] > 0,
                            .platform = tdx_level_find(w->tcb, &w->result->pck, svn) };
    if (m != NULL) {
        e.module_matches = module_matches(m, &w->result->quote);
        e.module = tdx_svn_level_find(&m->levels, svn.at[0]);
    }
    return e;
}

/* TDX_STATUS_NONE when a part of it has no level. */
static enum tdx_status status_of(const struct tdx_work *w, const struct evaluation *e)
{
    enum tdx_status s = e->platform != NULL ? e->platform->level.status : TDX_STATUS_NONE;
    if (e->has_module_status)
        s = tdx_status_merge(s, e->module != NULL ? e->module->level.status : TDX_STATUS_NONE);
    return tdx_status_merge(s, w->result->qe_status);
}

static void check_evaluation(struct tdx_work *w, const struct evaluation *e)
{
    tdx_reached(w, TDX_CHECK_MODULE);
    tdx_reached(w, TDX_CHECK_PLATFORM);
    tdx_fault_if(w, !e->module_known, TDX_FAULT_MODULE_UNKNOWN);
    tdx_fault_if(w, e->module_known && !e->module_matches, TDX_FAULT_MODULE_MISMATCH);
    tdx_fault_if(w, e->module_known && e->has_module_status && e->module == NULL,
                 TDX_FAULT_MODULE_NOT_SUPPORTED);
    tdx_fault_if(w, e->platform == NULL, TDX_FAULT_TCB_NOT_SUPPORTED);
}

static void copy_date(struct tdx_result *r, bytes date)
{
    if (date.len < sizeof r->tcb_date) {
        memcpy(r->tcb_date, date.at, date.len);
        r->tcb_date[date.len] = '\0';
    }
}

static void report(struct tdx_work *w, const struct evaluation *e)
{
    struct tdx_result *r = w->result;
    if (e->platform != NULL) {
        r->platform_status = e->platform->level.status;
        copy_date(r, e->platform->level.date);
        add_advisories(w, &e->platform->level);
    }
    if (e->has_module_status && e->module != NULL) {
        r->module_status = e->module->level.status;
        add_advisories(w, &e->module->level);
    }
}

static bool is_out_of_date(enum tdx_status s)
{
    return s == TDX_STATUS_OUT_OF_DATE || s == TDX_STATUS_OUT_OF_DATE_CONFIG;
}

/* The module that runs now, where it is another one than at launch. */
static void check_present_module(struct tdx_work *w, bytes svn2)
{
    struct tdx_result *r = w->result;
    struct evaluation e = evaluate(w, svn2);
    enum tdx_status s = status_of(w, &e);
    check_evaluation(w, &e);
    r->relaunch_advised = is_out_of_date(r->status) && s != TDX_STATUS_NONE && !is_out_of_date(s) &&
                          s != TDX_STATUS_REVOKED;
    if (s == TDX_STATUS_REVOKED || s == TDX_STATUS_NONE)
        r->status = tdx_status_merge(r->status, s);
}

static void check_levels(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    bytes svn = tdx_quote_field(&r->quote, TDX_TEE_TCB_SVN);
    bytes svn2 = tdx_quote_field(&r->quote, TDX_TEE_TCB_SVN2);
    struct evaluation e = evaluate(w, svn);
    check_evaluation(w, &e);
    report(w, &e);
    r->status = status_of(w, &e);
    if (svn2.len > 0)
        check_present_module(w, svn2);
}

static void check_same_platform(struct tdx_work *w)
{
    const struct tdx_pck *pck = &w->result->pck;
    tdx_fault_if(w, !bytes_equal(BYTES_ARRAY(pck->fmspc), BYTES_ARRAY(w->tcb->fmspc)),
                 TDX_FAULT_FMSPC);
    tdx_fault_if(w, !bytes_equal(BYTES_ARRAY(pck->pce_id), BYTES_ARRAY(w->tcb->pce_id)),
                 TDX_FAULT_PCE_ID);
}

/* --- the quoting enclave --------------------------------------------------------------------- */

static bool qe_matches(const struct tdx_qe_identity *id, const struct tdx_qe_report *qe)
{
    return tdx_masked_equal(qe->miscselect, BYTES_ARRAY(id->miscselect_mask),
                            BYTES_ARRAY(id->miscselect)) &&
           tdx_masked_equal(qe->attributes, BYTES_ARRAY(id->attributes_mask),
                            BYTES_ARRAY(id->attributes)) &&
           bytes_equal(qe->mrsigner, BYTES_ARRAY(id->mrsigner)) && qe->isvprodid == id->isvprodid;
}

static const struct tdx_svn_level *check_qe(struct tdx_work *w)
{
    const struct tdx_svn_level *level = tdx_svn_level_find(&w->identity->levels, w->qe.isvsvn);
    tdx_fault_if(w, !qe_matches(w->identity, &w->qe), TDX_FAULT_QE_MISMATCH);
    tdx_reached(w, TDX_CHECK_QE_TCB);
    tdx_fault_if(w, level == NULL, TDX_FAULT_QE_NOT_SUPPORTED);
    if (level != NULL)
        w->result->qe_status = level->level.status;
    return level;
}

/* --- the rules ------------------------------------------------------------------------------- */

static bool is_allowed(const struct tdx_policy *p, enum tdx_status s)
{
    if (s == TDX_STATUS_NONE || s == TDX_STATUS_REVOKED)
        return false;
    return s == TDX_STATUS_UP_TO_DATE || (p->statuses >> s & 1) != 0;
}

/* A status for which Intel names advisories is accepted only with each of them known. */
static void check_status(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    tdx_reached(w, TDX_CHECK_STATUS);
    tdx_fault_if(w, !is_allowed(w->policy, r->status), TDX_FAULT_TCB_STATUS);
    if (r->status == TDX_STATUS_UP_TO_DATE)
        return;
    tdx_reached(w, TDX_CHECK_ADVISORIES);
    for (size_t i = 0; i < r->advisories_n && !w->policy->any_advisory; i++) {
        bool listed = policy_list_has(&w->policy->advisories, bytes_str(r->advisories[i].id));
        tdx_fault_if(w, !listed, TDX_FAULT_ADVISORY);
    }
}

/* --- the whole ------------------------------------------------------------------------------- */

static err check_signers(struct tdx_work *w)
{
    const struct tdx_collateral *c = w->input->collateral;
    TRY(tdx_check_signer(w, c->tcb_info_chain, &w->tcb_signer));
    if (!bytes_equal(c->tcb_info_chain, c->qe_identity_chain))
        return tdx_check_signer(w, c->qe_identity_chain, &w->qe_signer);
    w->qe_signer = w->tcb_signer;
    return OK;
}

static void name_module(struct tdx_work *w)
{
    bytes svn = tdx_quote_field(&w->result->quote, TDX_TEE_TCB_SVN);
    if (svn.len == 0)
        return;
    if (svn.at[1] == 0)
        (void)snprintf(w->result->module_id, sizeof w->result->module_id, "v0");
    else
        (void)snprintf(w->result->module_id, sizeof w->result->module_id, "TDX_%02X", svn.at[1]);
}

static void evaluate_all(struct tdx_work *w)
{
    struct tdx_result *r = w->result;
    const struct tdx_svn_level *qe = NULL;
    name_module(w);
    if (w->identity != NULL && r->qe_known)
        qe = check_qe(w);
    if (w->tcb == NULL || !r->pck_known || r->quote.body.len == 0)
        return;
    check_same_platform(w);
    check_levels(w);
    if (qe != NULL)
        add_advisories(w, &qe->level);
    if (r->platform_status != TDX_STATUS_NONE)
        check_status(w);
}

err tdx_check_collateral(struct tdx_work *w)
{
    TRY(check_signers(w));
    if (w->tcb_signer != NULL)
        TRY(check_tcb_info(w));
    if (w->qe_signer != NULL)
        TRY(check_identity(w));
    evaluate_all(w);
    return OK;
}
