/*
 * Whatever the evidence is, its checks become rows of one list, and all that is said of the whole
 * is worked out from those rows in one place, finish(): nothing can be verified past a row.
 */
#include "attest/appraise_parts.h"
#include "attest/nitro.h"
#include "attest/snp_verify.h"
#include "attest/tdx.h"
#include "base/attr.h"
#include "base/text.h"
#include "crypto/secret.h"

/* --- rows and fields -------------------------------------------------------------------------- */

void appraise_check(struct appraise_work *w, const struct appraise_check *check)
{
    if (w->out->checks_n < APPRAISE_CHECKS_MAX)
        w->out->checks[w->out->checks_n++] = *check;
    else
        w->accepted = false;
}

static bool settles(enum reason why)
{
    return why == REASON_NOT_ASKED || why == REASON_NOT_APPLICABLE || why == REASON_NO_STATEMENT ||
           why == REASON_ANY_ALLOWED;
}

void appraise_note(struct appraise_work *w, const char *name, enum appraise_answer part,
                   enum verdict_status status, enum reason why)
{
    const struct appraise_check c = { .name = name,
                                      .status = status,
                                      .reason = reason_word(why),
                                      .sentence = reason_sentence(why),
                                      .part = part,
                                      .settled = status == VERDICT_SKIP && settles(why) };
    appraise_check(w, &c);
}

/* The next field, already counted; NULL when there are too many. */
static struct buf *new_field(struct appraise_work *w, const char *name)
{
    if (w->out->fields_n == APPRAISE_FIELDS_MAX)
        return NULL;
    struct appraise_field *f = &w->out->fields[w->out->fields_n++];
    *f = (struct appraise_field){ .name = name, .value = BUF(APPRAISE_VALUE_MAX) };
    return &f->value;
}

err appraise_field_hex(struct appraise_work *w, const char *name, bytes value)
{
    if (value.len == 0)
        return OK;
    struct buf *to = new_field(w, name);
    ENSURE(to != NULL, INTERNAL);
    return text_hex_encode(to, value);
}

/* For terminals: nothing but printable ASCII. */
err appraise_field_text(struct appraise_work *w, const char *name, bytes value)
{
    if (value.len == 0)
        return OK;
    struct buf *to = new_field(w, name);
    ENSURE(to != NULL, INTERNAL);
    for (size_t i = 0; i < value.len; i++)
        TRY(buf_add_u8(to, value.at[i] >= ' ' && value.at[i] < 0x7f ? value.at[i] : '?'));
    return OK;
}

err appraise_field_u64(struct appraise_work *w, const char *name, uint64_t value)
{
    struct buf *to = new_field(w, name);
    ENSURE(to != NULL, INTERNAL);
    return buf_addf(to, "%llu", (unsigned long long)value);
}

err appraise_frame(struct appraise_work *w, err written)
{
    if (written.code == ERR_NOMEM)
        return written;
    if (!err_is_ok(written))
        buf_clear(&w->frame);
    return OK;
}

/* --- what the caller asked -------------------------------------------------------------------- */

static void note_user_data(struct appraise_work *w)
{
    const struct appraise_settings *s = w->settings;
    enum verdict_status status = VERDICT_SKIP;
    enum reason why = REASON_NOT_ASKED;
    if (s->ask_user_data && !w->data_known) {
        why = REASON_EARLIER_FAILURE;
    } else if (s->ask_user_data) {
        bool same = s->user_data.len > 0 && secret_equal(s->user_data, w->report_data);
        status = same ? VERDICT_PASS : VERDICT_FAIL;
        why = same ? REASON_PASSED : REASON_MISMATCH;
    }
    appraise_note(w, "user-data", APPRAISE_ANSWER_USER_DATA, status, why);
}

static void note_freshness(struct appraise_work *w)
{
    const struct appraise_settings *s = w->settings;
    int64_t skew = s->policy != NULL ? (int64_t)s->policy->skew_s : POLICY_SKEW_S_DEFAULT;
    enum verdict_status status = VERDICT_PASS;
    enum reason why = REASON_PASSED;
    if (w->evidence_at == 0) {
        status = s->max_age_s > 0 ? VERDICT_FAIL : VERDICT_SKIP;
        why = s->max_age_s > 0 ? REASON_ABSENT : REASON_NOT_APPLICABLE;
    } else if (w->evidence_at > s->now && w->evidence_at - s->now > skew) {
        status = VERDICT_FAIL;
        why = REASON_FROM_THE_FUTURE;
    } else if (s->max_age_s == 0) {
        status = VERDICT_SKIP;
        why = REASON_NOT_ASKED;
    } else if (w->evidence_at < s->now && s->now - w->evidence_at > s->max_age_s) {
        status = VERDICT_FAIL;
        why = REASON_TOO_OLD;
    }
    appraise_note(w, "freshness", APPRAISE_ANSWER_FRESHNESS, status, why);
}

/* --- the whole -------------------------------------------------------------------------------- */

/* A failure before what is open before what passed before what nobody asked for. */
static int weight(const struct appraise_check *c)
{
    switch (c->status) {
    case VERDICT_FAIL:
        return 4;
    case VERDICT_PASS:
        return 2;
    case VERDICT_SKIP:
        return c->settled ? 1 : 3;
    }
    return 4;
}

static const struct appraise_check *heaviest(const struct appraisal *a, enum appraise_answer part)
{
    const struct appraise_check *found = NULL;
    for (size_t i = 0; i < a->checks_n; i++) {
        if (a->checks[i].part == part && (found == NULL || weight(&a->checks[i]) > weight(found)))
            found = &a->checks[i];
    }
    return found;
}

static struct appraise_finding finding(enum verdict_status status, enum reason why)
{
    return (struct appraise_finding){ status, reason_word(why), reason_sentence(why) };
}

static void answer(struct appraisal *a, enum appraise_answer part)
{
    const struct appraise_check *c = heaviest(a, part);
    a->answers[part] = c != NULL ? (struct appraise_finding){ c->status, c->reason, c->sentence }
                                 : finding(VERDICT_SKIP, REASON_UNCHECKED);
}

static bool passed(const struct appraisal *a, enum appraise_answer part)
{
    return a->answers[part].status == VERDICT_PASS;
}

/* Nothing that the evidence says is shown as passed when the hardware's word is not. */
static void withdraw(struct appraisal *a, enum appraise_answer part)
{
    if (passed(a, part))
        a->answers[part] = finding(VERDICT_SKIP, REASON_EARLIER_FAILURE);
}

static enum appraise_outcome outcome_of(const struct appraise_work *w)
{
    const struct appraisal *a = w->out;
    int most = 0;
    for (size_t i = 0; i < a->checks_n; i++)
        most = weight(&a->checks[i]) > most ? weight(&a->checks[i]) : most;
    if (most >= 4)
        return APPRAISE_REFUSED;
    if (most == 3 || a->platform == NULL)
        return APPRAISE_NOT_DECIDED;
    bool proved =
        w->accepted && passed(a, APPRAISE_ANSWER_PLATFORM) && passed(a, APPRAISE_ANSWER_CHAIN);
    return proved ? APPRAISE_VERIFIED : APPRAISE_REFUSED;
}

static void finish(struct appraise_work *w)
{
    struct appraisal *a = w->out;
    for (unsigned i = 0; i < APPRAISE_ANSWERS; i++)
        answer(a, (enum appraise_answer)i);
    if (!passed(a, APPRAISE_ANSWER_CHAIN))
        withdraw(a, APPRAISE_ANSWER_PLATFORM);
    if (!passed(a, APPRAISE_ANSWER_PLATFORM)) {
        withdraw(a, APPRAISE_ANSWER_USER_DATA);
        withdraw(a, APPRAISE_ANSWER_FRESHNESS);
    }
    a->outcome = outcome_of(w);
}

/* --- which ------------------------------------------------------------------------------------ */

static err appraise_raw(struct appraise_work *w, appraise_vendor *vendor)
{
    TRY(vendor(w));
    return w->settings->policy != NULL ? appraise_by_policy(w) : OK;
}

static err dispatch(struct appraise_work *w, enum appraise_platform platform)
{
    switch (platform) {
    case APPRAISE_TDX:
        return appraise_raw(w, appraise_tdx);
    case APPRAISE_SNP:
        return appraise_raw(w, appraise_snp);
    case APPRAISE_NITRO:
        return appraise_raw(w, appraise_nitro);
    case APPRAISE_SEALGATE:
        return appraise_sealgate(w);
    case APPRAISE_AUTO:
    case APPRAISE_PLATFORMS:
        break;
    }
    appraise_note(w, "kind", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, REASON_UNSUPPORTED);
    return OK;
}

appraise_vendor *appraise_vendor_of(bytes platform)
{
    if (bytes_equal(platform, BYTES_LIT(TDX_PLATFORM)))
        return appraise_tdx;
    if (bytes_equal(platform, BYTES_LIT(SNP_PLATFORM)))
        return appraise_snp;
    return bytes_equal(platform, BYTES_LIT(NITRO_PLATFORM)) ? appraise_nitro : NULL;
}

static err run(struct appraise_work *w)
{
    enum appraise_platform platform = w->settings->platform;
    if (platform == APPRAISE_AUTO)
        platform = appraise_recognise(w->evidence);
    if (w->evidence.len > APPRAISE_EVIDENCE_MAX ||
        w->settings->collateral_n > APPRAISE_COLLATERAL_MAX) {
        appraise_note(w, "kind", APPRAISE_ANSWER_PLATFORM, VERDICT_FAIL, REASON_TOO_LARGE);
        return OK;
    }
    TRY(dispatch(w, platform));
    note_user_data(w);
    note_freshness(w);
    return OK;
}

err appraise(bytes evidence, const struct appraise_settings *settings, struct appraisal *out)
{
    memset(out, 0, sizeof *out);
    out->at = settings->now;
    struct appraise_work w = {
        .settings = settings, .out = out, .evidence = evidence, .frame = BUF(BUNDLE_COLLATERAL_MAX)
    };
    err e = run(&w);
    if (err_is_ok(e))
        finish(&w);
    else
        appraise_clear(out);
    buf_clear(&w.frame);
    if (err_is_ok(e) || e.code == ERR_NOMEM)
        return e;
    FAIL(INTERNAL);
}

void appraise_clear(struct appraisal *a)
{
    for (size_t i = 0; i < a->fields_n; i++)
        buf_clear(&a->fields[i].value);
    memset(a, 0, sizeof *a);
}
