/* A TDX quote, for attest/appraise.h. */
#include "attest/appraise_parts.h"
#include "attest/tdx.h"
#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "base/mem.h"

static const enum reason reasons[TDX_FAULTS] = {
#define X(name, check, word, reason) [TDX_FAULT_##name] = REASON_##reason,
    TDX_FAULT_LIST(X)
#undef X
};

static enum appraise_answer part_of(enum tdx_check check)
{
    bool chain =
        check == TDX_CHECK_PCK_CHAIN || check == TDX_CHECK_ROOT_CRL || check == TDX_CHECK_PCK_CRL;
    return chain ? APPRAISE_ANSWER_CHAIN : APPRAISE_ANSWER_PLATFORM;
}

/* Checks that are skipped when there was nothing to look at or nobody asked. */
static bool may_skip(enum tdx_check check)
{
    return check == TDX_CHECK_ADVISORIES || check == TDX_CHECK_MACHINE ||
           check == TDX_CHECK_EVENT_LOG;
}

static enum reason reason_of_skip(const struct tdx_result *r, enum tdx_check check)
{
    if (may_skip(check))
        return REASON_NOT_ASKED;
    return tdx_fault_has(&r->faults, TDX_FAULT_NO_COLLATERAL) ? REASON_NO_COLLATERAL
                                                              : REASON_EARLIER_FAILURE;
}

static void note_check(struct appraise_work *w, const struct tdx_result *r, enum tdx_check check)
{
    enum tdx_fault f = tdx_fault_of(&r->faults, check);
    enum reason why = f != TDX_FAULTS ? reasons[f] : REASON_PASSED;
    struct appraise_check c = { .name = tdx_check_word(check),
                                .status = f != TDX_FAULTS ? VERDICT_FAIL : r->checks[check],
                                .part = part_of(check) };
    if (f == TDX_FAULT_NO_COLLATERAL || (f == TDX_FAULTS && c.status != VERDICT_PASS)) {
        c.status = VERDICT_SKIP;
        why = reason_of_skip(r, check);
        f = TDX_FAULTS;
    }
    c.settled = why == REASON_NOT_ASKED;
    c.reason = f != TDX_FAULTS ? tdx_fault_word(f) : reason_word(why);
    c.sentence = reason_sentence(why);
    appraise_check(w, &c);
}

static err note_statuses(struct appraise_work *w, const struct tdx_result *r)
{
    TRY(appraise_field_text(w, "tcb_status", bytes_str(tdx_status_word(r->status))));
    TRY(appraise_field_text(w, "platform_tcb_status",
                            bytes_str(tdx_status_word(r->platform_status))));
    TRY(appraise_field_text(w, "tdx_module_id", bytes_str(r->module_id)));
    TRY(appraise_field_text(w, "tdx_module_status", bytes_str(tdx_status_word(r->module_status))));
    TRY(appraise_field_text(w, "qe_status", bytes_str(tdx_status_word(r->qe_status))));
    TRY(appraise_field_text(w, "tcb_date", bytes_str(r->tcb_date)));
    if (r->evaluation != 0)
        TRY(appraise_field_u64(w, "tcb_evaluation", r->evaluation));
    BUF_AUTO list = BUF(APPRAISE_VALUE_MAX);
    for (size_t i = 0; i < r->advisories_n; i++)
        TRY(buf_addf(&list, "%s%s", i > 0 ? " " : "", r->advisories[i].id));
    return appraise_field_text(w, "advisories", buf_view(&list));
}

static err note_pck(struct appraise_work *w, const struct tdx_pck *pck)
{
    BUF_AUTO list = BUF(APPRAISE_VALUE_MAX);
    TRY(appraise_field_hex(w, "fmspc", BYTES_ARRAY(pck->fmspc)));
    TRY(appraise_field_hex(w, "pce_id", BYTES_ARRAY(pck->pce_id)));
    TRY(appraise_field_hex(w, "ppid", BYTES_ARRAY(pck->ppid)));
    TRY(appraise_field_u64(w, "pck_pcesvn", pck->pcesvn));
    for (size_t i = 0; i < TDX_COMPONENTS; i++)
        TRY(buf_addf(&list, "%s%u", i > 0 ? " " : "", pck->components[i]));
    return appraise_field_text(w, "pck_tcb_components", buf_view(&list));
}

static err note_fields(struct appraise_work *w, const struct tdx_result *r)
{
    if (r->quote.version != 0)
        TRY(appraise_field_u64(w, "version", r->quote.version));
    for (enum tdx_field f = 0; f < TDX_FIELDS; f++)
        TRY(appraise_field_hex(w, tdx_field_name(f), tdx_quote_field(&r->quote, f)));
    TRY(note_statuses(w, r));
    return r->pck_known ? note_pck(w, &r->pck) : OK;
}

static err judge(struct appraise_work *w, const struct tdx_collateral *collateral,
                 struct tdx_result *r)
{
    const struct policy *p = w->settings->policy;
    struct tdx_input in = { .quote = w->evidence,
                            .collateral = collateral,
                            .policy = p != NULL ? p->tdx : NULL,
                            .now = w->settings->now };
    TRY(tdx_verify(&in, r));
    for (enum tdx_check c = 0; c < TDX_CHECKS; c++)
        note_check(w, r, c);
    w->accepted = r->accepted;
    w->report_data = tdx_quote_field(&r->quote, TDX_REPORT_DATA);
    w->data_known = w->report_data.len > 0;
    if (collateral != NULL)
        TRY(appraise_frame(w, tdx_collateral_write(&w->frame, collateral)));
    return note_fields(w, r);
}

err appraise_tdx(struct appraise_work *w)
{
    struct tdx_collateral collateral;
    struct tdx_result *r;
    enum reason why;
    bool complete = appraise_gather_tdx(w->settings, &collateral, &why);
    w->out->platform = TDX_PLATFORM;
    if (!complete)
        appraise_note(w, "collateral", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, why);
    TRY(mem_new(&r));
    err e = judge(w, complete ? &collateral : NULL, r);
    mem_free(r);
    return e;
}
