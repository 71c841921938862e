/* A report of SEV-SNP, for attest/appraise.h. */
#include "attest/appraise_parts.h"
#include "attest/snp_verify.h"
#include "base/mem.h"

static enum appraise_answer part_of(enum snp_check_id id)
{
    return id >= SNP_CHECK_COLLATERAL && id <= SNP_CHECK_REVOKED ? APPRAISE_ANSWER_CHAIN
                                                                 : APPRAISE_ANSWER_PLATFORM;
}

/* A chain without any issuer is not a bad one: it was not given. */
static bool is_missing(enum snp_check_id id, const struct snp_collateral *c)
{
    return (id == SNP_CHECK_COLLATERAL && c->vcek.len == 0 && c->vlek.len == 0) ||
           (id == SNP_CHECK_ROOT && c->issuers_n == 0) || (id == SNP_CHECK_CRL && c->crl.len == 0);
}

static void note_check(struct appraise_work *w, const struct snp_check *check, enum snp_check_id id,
                       const struct snp_collateral *collateral)
{
    enum reason why = check->reason;
    struct appraise_check c = { .name = check->name, .status = check->status, .part = part_of(id) };
    if (c.status == VERDICT_FAIL && is_missing(id, collateral)) {
        c.status = VERDICT_SKIP;
        why = REASON_NO_COLLATERAL;
    }
    c.settled =
        c.status == VERDICT_SKIP && (why == REASON_NOT_APPLICABLE || why == REASON_NOT_ASKED);
    if (c.status == VERDICT_PASS)
        why = REASON_PASSED;
    else if (c.status == VERDICT_SKIP && why == REASON_UNCHECKED)
        why = REASON_EARLIER_FAILURE;
    c.reason = reason_word(why);
    c.sentence = reason_sentence(why);
    appraise_check(w, &c);
}

static err note_tcb(struct appraise_work *w, const char *name, const struct snp_tcb *tcb,
                    enum snp_product product)
{
    static const char *const parts[SNP_PARTS] = { "fmc", "bootloader", "tee", "snp", "microcode" };
    BUF_AUTO text = BUF(APPRAISE_VALUE_MAX);
    for (unsigned i = 0; i < SNP_PARTS; i++) {
        enum snp_part part = (enum snp_part)i;
        if (snp_tcb_place(product, part) >= 0)
            TRY(buf_addf(&text, "%s%s %u", text.len > 0 ? ", " : "", parts[i],
                         snp_tcb_part(tcb, product, part)));
    }
    return appraise_field_text(w, name, buf_view(&text));
}

static err note_numbers(struct appraise_work *w, const struct snp_report *r)
{
    BUF_AUTO text = BUF(APPRAISE_VALUE_MAX);
    TRY(appraise_field_u64(w, "version", r->version));
    TRY(appraise_field_u64(w, "guest_svn", r->guest_svn));
    TRY(appraise_field_u64(w, "vmpl", r->vmpl));
    TRY(buf_addf(&text, "0x%llx", (unsigned long long)r->policy));
    TRY(appraise_field_text(w, "policy", buf_view(&text)));
    buf_truncate(&text, 0);
    TRY(buf_addf(&text, "0x%llx", (unsigned long long)r->platform_info));
    TRY(appraise_field_text(w, "platform_info", buf_view(&text)));
    buf_truncate(&text, 0);
    TRY(buf_addf(&text, "%u.%u.%u", r->current_version.major, r->current_version.minor,
                 r->current_version.build));
    return appraise_field_text(w, "firmware", buf_view(&text));
}

static err note_tcbs(struct appraise_work *w, const struct snp_result *result)
{
    const struct snp_report *r = &result->report;
    TRY(note_tcb(w, "current_tcb", &r->current, result->product));
    TRY(note_tcb(w, "reported_tcb", &r->reported, result->product));
    TRY(note_tcb(w, "committed_tcb", &r->committed, result->product));
    return note_tcb(w, "launch_tcb", &r->launch, result->product);
}

static err note_fields(struct appraise_work *w, const struct snp_result *result)
{
    const struct snp_report *r = &result->report;
    TRY(appraise_field_text(w, "product", bytes_str(snp_product_name(result->product))));
    TRY(appraise_field_hex(w, "measurement", r->measurement));
    TRY(appraise_field_hex(w, "host_data", r->host_data));
    TRY(appraise_field_hex(w, "report_data", r->report_data));
    TRY(appraise_field_hex(w, "id_key_digest", r->id_key_digest));
    TRY(appraise_field_hex(w, "author_key_digest", r->author_key_digest));
    TRY(appraise_field_hex(w, "family_id", r->family_id));
    TRY(appraise_field_hex(w, "image_id", r->image_id));
    TRY(appraise_field_hex(w, "report_id", r->report_id));
    TRY(appraise_field_hex(w, "report_id_ma", r->report_id_ma));
    TRY(appraise_field_hex(w, "chip_id", r->chip_id));
    TRY(note_numbers(w, r));
    TRY(note_tcbs(w, result));
    return result->has_leaf ? appraise_field_text(w, "csp_id", bytes_str(result->leaf.csp_id)) : OK;
}

/* As one table, which is the form the frame takes. */
static err write_frame(struct appraise_work *w, const struct snp_collateral *c)
{
    struct snp_entry entries[SNP_ENTRIES_MAX];
    size_t n = 0;
    const struct snp_entry first[] = { { SNP_ENTRY_VCEK, c->vcek },
                                       { SNP_ENTRY_VLEK, c->vlek },
                                       { SNP_ENTRY_CRL, c->crl } };
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (first[i].data.len > 0)
            entries[n++] = first[i];
    }
    for (size_t i = 0; i < c->issuers_n; i++)
        entries[n++] = (struct snp_entry){ SNP_ENTRY_ASK, c->issuers[i] };
    return appraise_frame(w, snp_table_write(&w->frame, entries, n));
}

_Static_assert((int)SNP_ISSUERS_MAX + 3 <= (int)SNP_ENTRIES_MAX, "all of them fit into a table");

static err judge(struct appraise_work *w, bytes report, const struct snp_collateral *collateral,
                 struct snp_result *r)
{
    const struct policy *p = w->settings->policy;
    struct snp_settings s = { .policy = p != NULL ? p->snp : NULL, .now = w->settings->now };
    TRY(snp_verify(report, collateral, &s, r));
    for (unsigned i = 0; i < SNP_CHECKS; i++)
        note_check(w, &r->checks[i], (enum snp_check_id)i, collateral);
    w->accepted = r->accepted;
    if (!r->has_report)
        return OK;
    w->report_data = r->report.report_data;
    w->data_known = true;
    return note_fields(w, r);
}

static err run(struct appraise_work *w, bytes report, const struct snp_collateral *collateral)
{
    struct snp_result *r;
    TRY(mem_new(&r));
    err e = judge(w, report, collateral, r);
    mem_free(r);
    return e;
}

err appraise_snp(struct appraise_work *w)
{
    struct snp_collateral collateral = { 0 };
    enum reason why = REASON_PASSED;
    bytes report = bytes_slice(w->evidence, 0, SNP_REPORT_LEN);
    bytes table = bytes_slice(w->evidence, SNP_REPORT_LEN, w->evidence.len);
    w->out->platform = SNP_PLATFORM;
    err e = appraise_gather_snp(w->settings, table, &collateral, &why);
    if (err_is_ok(e) && why != REASON_PASSED)
        appraise_note(w, "collateral-form", APPRAISE_ANSWER_CHAIN,
                      table.len > 0 ? VERDICT_FAIL : VERDICT_SKIP, why);
    if (err_is_ok(e))
        e = run(w, report, &collateral);
    if (err_is_ok(e))
        e = write_frame(w, &collateral);
    w->evidence = report;
    snp_collateral_clear(&collateral);
    return e;
}
