/*
 * Evidence beside the user's policy, for attest/appraise.h: vendor evidence alone, by its
 * registers, and what Sealgate made of it, by the frame of attest/verify.h.
 */
#include "attest/appraise_parts.h"
#include "attest/binding.h"
#include "attest/rules.h"
#include "attest/verify.h"
#include "base/mem.h"

/* --- vendor evidence -------------------------------------------------------------------------- */

struct comparison {
    const struct verifier *verifier;
    const struct policy *policy;
    struct verifier_facts facts;
    struct rules rules;
};

static void copy_rules(struct appraise_work *w, const struct verdict_rule *rules, size_t n)
{
    memcpy(w->out->rules, rules, n * sizeof *rules);
    w->out->rules_n = n;
}

static enum reason measurements(struct comparison *c)
{
    const char *subject;
    rules_registers(&c->rules, c->policy, c->verifier, &c->facts);
    return rules_measurements(&c->rules, c->policy, c->verifier, &c->facts, &subject).reason;
}

static void note_if(struct appraise_work *w, const char *name, enum reason why)
{
    appraise_note(w, name, APPRAISE_ANSWER_PLATFORM,
                  why == REASON_PASSED ? VERDICT_PASS : VERDICT_FAIL, why);
}

/* What only the claims of a Sealgate document could show is not there. */
static void note_claims(struct appraise_work *w, const struct policy *p)
{
    bool asked = p->operator_keys.n > 0 || p->model_digests.n > 0 || p->worker_names.n > 0 ||
                 p->minimum_software.len > 0;
    appraise_note(w, "policy-claims", APPRAISE_ANSWER_PLATFORM, asked ? VERDICT_FAIL : VERDICT_SKIP,
                  asked ? REASON_ABSENT : REASON_NOT_ASKED);
}

static bool holds(const struct verifier_outcome *o)
{
    return o->status == VERDICT_PASS ||
           (o->status == VERDICT_SKIP && o->reason == REASON_NOT_APPLICABLE);
}

/* The frame's verifier looks as well, and both have to agree. */
static bool frame_accepts(const struct verifier_facts *f)
{
    return f->form.status == VERDICT_PASS && f->signature.status == VERDICT_PASS &&
           holds(&f->debug) && holds(&f->tcb);
}

static err examine(struct appraise_work *w, struct comparison *c)
{
    const struct bundle b = { .platform = bytes_str(c->verifier->platform),
                              .version = BUNDLE_VERSION,
                              .evidence = w->evidence,
                              .collateral = buf_view(&w->frame) };
    TRY(c->verifier->examine(&b, c->policy, w->settings->now, &c->facts));
    bool genuine = frame_accepts(&c->facts);
    if (w->accepted && !genuine)
        note_if(w, "policy-verifier", REASON_MISMATCH);
    if (genuine) {
        note_if(w, "policy-measurements", measurements(c));
        rules_claims(&c->rules, c->policy, NULL);
        copy_rules(w, c->rules.list, c->rules.n);
    } else {
        appraise_note(w, "policy-measurements", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP,
                      REASON_EARLIER_FAILURE);
    }
    return OK;
}

err appraise_by_policy(struct appraise_work *w)
{
    const struct policy *p = w->settings->policy;
    bytes platform = bytes_str(w->out->platform);
    bool named = policy_names_platform(p, platform);
    struct comparison *c;
    note_if(w, "policy-platform", named ? REASON_PASSED : REASON_PLATFORM_NOT_NAMED);
    note_claims(w, p);
    TRY(mem_new(&c));
    c->verifier = verifier_find(platform);
    c->policy = p;
    err e = OK;
    if (c->verifier == NULL)
        note_if(w, "policy-verifier", REASON_NO_VERIFIER);
    else
        e = examine(w, c);
    mem_free(c);
    return e;
}

/* --- Sealgate's own forms --------------------------------------------------------------------- */

static const char *const names[VERDICT_CHECKS] = {
#define X(name, word) [VERDICT_##name] = "sealgate-" word,
    VERDICT_CHECK_LIST(X)
#undef X
};

static bool is_settled(const struct verdict_check *c)
{
    bytes word = bytes_str(c->reason);
    static const enum reason settled[] = { REASON_NOT_ASKED, REASON_NOT_APPLICABLE,
                                           REASON_NO_STATEMENT, REASON_ANY_ALLOWED };
    for (size_t i = 0; i < sizeof settled / sizeof settled[0]; i++) {
        if (c->status == VERDICT_SKIP && bytes_equal(word, bytes_str(reason_word(settled[i]))))
            return true;
    }
    return false;
}

static void note_verdict(struct appraise_work *w, const struct verdict *v)
{
    for (size_t i = 0; i < VERDICT_CHECKS; i++) {
        const struct verdict_check *c = &v->checks[i];
        const struct appraise_check row = {
            .name = names[i],
            .status = c->status,
            .reason = c->reason,
            .sentence = c->sentence,
            .part = i == VERDICT_SIGNATURE ? APPRAISE_ANSWER_CHAIN : APPRAISE_ANSWER_PLATFORM,
            .settled = is_settled(c),
        };
        appraise_check(w, &row);
    }
}

static err note_registers(struct appraise_work *w, const struct verdict *v)
{
    for (size_t i = 0; i < v->registers_n; i++)
        TRY(appraise_field_hex(w, v->registers[i].name,
                               bytes_of(v->registers[i].value, v->registers[i].len)));
    return OK;
}

static err note_accepted(struct appraise_work *w, const struct verdict *v)
{
    TRY(appraise_field_text(w, "trust", bytes_str(trust_word(v->trust))));
    TRY(appraise_field_hex(w, "identity", BYTES_ARRAY(v->identity)));
    TRY(appraise_field_hex(w, "document_sha256", BYTES_ARRAY(v->document_digest)));
    TRY(appraise_field_text(w, "worker", bytes_str(v->worker)));
    return appraise_field_text(w, "software", bytes_str(v->software));
}

static err judge(struct appraise_work *w, bytes whole, bool has_statement, bool has_fields)
{
    const struct verify_settings s = {
        .policy = w->settings->policy, .now = w->settings->now, .any_nonce = true, .any_age = true
    };
    struct verdict *v;
    TRY(mem_new(&v));
    err e = has_statement ? attest_verify(whole, &s, v) : attest_verify_document(whole, &s, v);
    if (err_is_ok(e)) {
        note_verdict(w, v);
        copy_rules(w, v->rules, v->rules_n);
        w->accepted = v->accepted;
        w->evidence_at = v->evidence_at != 0 ? v->evidence_at : w->evidence_at;
        e = has_fields ? OK : note_registers(w, v);
    }
    if (err_is_ok(e) && v->accepted)
        e = note_accepted(w, v);
    verdict_clear(v);
    mem_free(v);
    return e;
}

/* The vendor's evidence inside, with the collateral that came along and whatever was given. */
static err judge_inside(struct appraise_work *w, const struct bundle *b, appraise_vendor *vendor)
{
    struct appraise_settings s = *w->settings;
    const struct appraise_settings *outer = w->settings;
    if (b->collateral.len > 0) {
        s.collateral[0] = b->collateral;
        s.collateral_n = 1;
    }
    w->settings = &s;
    w->evidence = b->evidence;
    err e = vendor(w);
    w->settings = outer;
    return e;
}

static void bind(const struct bundle *b, uint8_t out[static BINDING_LEN])
{
    binding_digest(&(struct binding){ .platform = b->platform,
                                      .identity = b->identity,
                                      .nonce = b->nonce,
                                      .claims = b->claims,
                                      .gpu_evidence = b->gpu_evidence },
                   out);
}

/* Without a policy nothing but the binding can be said about what Sealgate put around it. */
static void note_binding(struct appraise_work *w, const struct bundle *b)
{
    uint8_t expected[BINDING_LEN];
    bind(b, expected);
    if (w->data_known)
        note_if(w, "binding",
                bytes_equal(w->report_data, BYTES_ARRAY(expected)) ? REASON_PASSED
                                                                   : REASON_MISMATCH);
    else
        appraise_note(w, "binding", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, REASON_EARLIER_FAILURE);
    if (b->gpu_evidence.len > 0)
        appraise_note(w, "gpu", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, REASON_NO_POLICY);
}

/* Of a platform whose own form is not looked into here: accepted, so this is its report data. */
static void take_binding(struct appraise_work *w, const struct bundle *b)
{
    bind(b, w->bound);
    w->report_data = BYTES_ARRAY(w->bound);
    w->data_known = true;
}

static void note_unnamed(struct appraise_work *w, const struct bundle *b)
{
    const struct verifier *v = verifier_find(b->platform);
    if (v == NULL)
        appraise_note(w, "platform", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, REASON_NO_VERIFIER);
    else if (v->trust == TRUST_SIMULATED)
        note_if(w, "platform", REASON_PLATFORM_NOT_NAMED);
    else
        appraise_note(w, "platform", APPRAISE_ANSWER_PLATFORM, VERDICT_SKIP, REASON_NO_POLICY);
}

/* False when the bytes have neither form. */
static bool read_either(bytes in, struct bundle *out, bool *has_statement)
{
    *has_statement = err_is_ok(bundle_read(in, out));
    return *has_statement || err_is_ok(evidence_document_read(in, out));
}

static err judge_parts(struct appraise_work *w, const struct bundle *b, bytes whole,
                       bool has_statement)
{
    appraise_vendor *vendor = appraise_vendor_of(b->platform);
    const struct verifier *v = verifier_find(b->platform);
    w->out->platform = v != NULL ? v->platform : NULL;
    TRY(appraise_field_hex(w, "sealgate_identity", b->identity));
    TRY(appraise_field_hex(w, "sealgate_nonce", b->nonce));
    if (vendor != NULL)
        TRY(judge_inside(w, b, vendor));
    bool vendor_accepts = vendor == NULL || w->accepted;
    if (w->settings->policy != NULL)
        TRY(judge(w, whole, has_statement, vendor != NULL));
    else if (vendor != NULL)
        note_binding(w, b);
    else
        note_unnamed(w, b);
    if (vendor == NULL && w->accepted)
        take_binding(w, b);
    w->accepted = w->accepted && vendor_accepts;
    return OK;
}

err appraise_sealgate(struct appraise_work *w)
{
    struct bundle b;
    bool has_statement;
    bytes whole = w->evidence;
    if (!read_either(whole, &b, &has_statement)) {
        note_if(w, "form", REASON_MALFORMED);
        return OK;
    }
    return judge_parts(w, &b, whole, has_statement);
}
