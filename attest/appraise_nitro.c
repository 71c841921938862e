/* A Nitro document, for attest/appraise.h. */
#include "attest/appraise_parts.h"
#include "attest/nitro.h"
#include "attest/nitro_policy.h"
#include "attest/nitro_verify.h"
#include "base/mem.h"

enum { MS_PER_S = 1000 };

#define NAMES_OF_10(a)                                                                             \
    "pcr" #a "0", "pcr" #a "1", "pcr" #a "2", "pcr" #a "3", "pcr" #a "4", "pcr" #a "5",            \
        "pcr" #a "6", "pcr" #a "7", "pcr" #a "8", "pcr" #a "9"
static const char *const pcr_names[NITRO_PCRS_MAX] = { NAMES_OF_10(), NAMES_OF_10(1),
                                                       NAMES_OF_10(2), "pcr30", "pcr31" };

/* What is asked of it beyond these is compared for all platforms alike. */
static bool is_ours(enum nitro_check_id id)
{
    return id <= NITRO_CHECK_DEBUG;
}

static void note_check(struct appraise_work *w, const struct nitro_check *check,
                       enum nitro_check_id id)
{
    bool skipped = check->status == VERDICT_SKIP;
    enum reason why = skipped ? REASON_EARLIER_FAILURE : nitro_reason_kind(check->reason);
    const struct appraise_check c = {
        .name = nitro_check_name(id),
        .status = check->status,
        .reason =
            check->status == VERDICT_FAIL ? nitro_reason_word(check->reason) : reason_word(why),
        .sentence = reason_sentence(why),
        .part = id == NITRO_CHECK_CHAIN ? APPRAISE_ANSWER_CHAIN : APPRAISE_ANSWER_PLATFORM,
    };
    appraise_check(w, &c);
}

static err note_fields(struct appraise_work *w, const struct nitro_doc *d)
{
    TRY(appraise_field_text(w, "module_id", d->module_id));
    TRY(appraise_field_text(w, "digest", d->digest));
    if (d->timestamp_ms != 0)
        TRY(appraise_field_u64(w, "timestamp_ms", d->timestamp_ms));
    for (size_t i = 0; i < NITRO_PCRS_MAX; i++)
        TRY(appraise_field_hex(w, pcr_names[i], d->pcrs[i]));
    TRY(appraise_field_hex(w, "public_key", d->public_key.value));
    TRY(appraise_field_hex(w, "user_data", d->user_data.value));
    return appraise_field_hex(w, "nonce", d->nonce.value);
}

static size_t roots_of(const struct policy *p,
                       struct x509_root roots[static NITRO_EXTRA_ROOTS_MAX + 1])
{
    size_t n = 0;
    roots[n++] = nitro_aws_root;
    for (size_t i = 0; p != NULL && p->nitro != NULL && i < p->nitro->extra_roots.n; i++)
        memcpy(roots[n++].sha256, p->nitro->extra_roots.items[i].at, SHA256_LEN);
    return n;
}

static err judge(struct appraise_work *w, struct nitro_result *r)
{
    const struct policy *p = w->settings->policy;
    struct x509_root roots[NITRO_EXTRA_ROOTS_MAX + 1];
    struct nitro_settings s = { .roots = roots,
                                .roots_n = roots_of(p, roots),
                                .at_s = w->settings->now,
                                .skew_s = p != NULL ? p->skew_s : POLICY_SKEW_S_DEFAULT };
    TRY(nitro_verify(w->evidence, &s, r));
    for (unsigned i = 0; is_ours((enum nitro_check_id)i); i++)
        note_check(w, &r->checks[i], (enum nitro_check_id)i);
    w->accepted = r->accepted;
    if (r->checks[NITRO_CHECK_FORM].status != VERDICT_PASS)
        return OK;
    w->report_data = r->doc.user_data.value;
    w->data_known = true;
    w->evidence_at = (int64_t)(r->doc.timestamp_ms / MS_PER_S);
    return note_fields(w, &r->doc);
}

err appraise_nitro(struct appraise_work *w)
{
    struct nitro_result *r;
    w->out->platform = NITRO_PLATFORM;
    TRY(mem_new(&r));
    err e = judge(w, r);
    mem_free(r);
    return e;
}
