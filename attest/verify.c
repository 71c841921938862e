/*
 * One table of steps, in the order of VERDICT_CHECK_LIST. A step looks at one thing and says pass,
 * skip or fail with a reason; the loop stops at the first failure. The verdict is filled with
 * anything to act on only after the loop came through, in one place, so that no path can hand out
 * keys early.
 */
#include "attest/verify.h"

#include "attest/claims.h"
#include "attest/nvgpu.h"
#include "attest/nvgpu_summary.h"
#include "attest/reason.h"
#include "attest/rules.h"
#include "attest/statement.h"
#include "attest/verifier.h"
#include "attest/verify_test.h"
#include "crypto/secret.h"

struct run {
    const struct bundle *bundle;
    const struct verify_settings *settings;
    const struct policy *policy; /* never NULL */
    const struct verifier *verifier;
    bool with_statement;
    const char *subject; /* what the present step failed on */
    struct claims claims;
    struct statement statement;
    struct verifier_facts facts;
    struct rules rules; /* of registers from `signature` on, of claims from `binding` on */
};

typedef struct verifier_outcome outcome;
typedef err step(struct run *r, outcome *out);

/* What stands in for a policy that is not there: it names no platform. */
static const struct policy no_policy = { .max_age_s = POLICY_AGE_S_DEFAULT,
                                         .skew_s = POLICY_SKEW_S_DEFAULT };

static outcome pass(void)
{
    return (outcome){ VERDICT_PASS, REASON_PASSED };
}

static outcome skip(enum reason why)
{
    return (outcome){ VERDICT_SKIP, why };
}

static outcome refuse(enum reason why)
{
    return (outcome){ VERDICT_FAIL, why };
}

static outcome pass_if(bool holds, enum reason otherwise)
{
    return holds ? pass() : refuse(otherwise);
}

/* Evidence that is wrong is an outcome; memory that ran out, or a fault of ours, is an error. */
static bool is_evidence_fault(err e)
{
    return e.code == ERR_MALFORMED || e.code == ERR_TRUNCATED || e.code == ERR_LIMIT ||
           e.code == ERR_UNSUPPORTED || e.code == ERR_CRYPTO;
}

static enum reason form_reason(err e)
{
    return e.code == ERR_LIMIT ? REASON_TOO_LARGE : REASON_MALFORMED;
}

/* --- what the platform's verifier says ------------------------------------------------------- */

static int64_t time_to_judge_at(const struct run *r)
{
    const struct verify_settings *s = r->settings;
    bool asked = s->own_time && r->verifier->says_when != NULL;
    int64_t said = asked ? r->verifier->says_when(r->bundle->evidence) : 0;
    return said > 0 && said < s->now ? said : s->now;
}

static err step_form(struct run *r, outcome *out)
{
    err e = claims_read(r->bundle->claims, &r->claims);
    if (!err_is_ok(e)) {
        *out = refuse(form_reason(e));
        return OK;
    }
    if (r->verifier == NULL)
        r->verifier = verifier_find(r->bundle->platform);
    if (r->verifier == NULL) {
        *out = refuse(REASON_NO_VERIFIER);
        return OK;
    }
    struct bundle seen = *r->bundle;
    if (r->settings->collateral.len > 0)
        seen.collateral = r->settings->collateral;
    TRY(r->verifier->examine(&seen, r->policy, time_to_judge_at(r), &r->facts));
    *out = r->facts.form;
    return OK;
}

static err step_signature(struct run *r, outcome *out)
{
    *out = r->facts.signature;
    return OK;
}

static err step_debug(struct run *r, outcome *out)
{
    *out = r->facts.debug;
    return OK;
}

static err step_tcb(struct run *r, outcome *out)
{
    *out = r->facts.tcb;
    return OK;
}

/* --- binding and freshness ------------------------------------------------------------------- */

static err step_binding(struct run *r, outcome *out)
{
    uint8_t expected[BINDING_LEN];
    binding_digest(&(struct binding){ .platform = bytes_str(r->verifier->platform),
                                      .identity = r->bundle->identity,
                                      .nonce = r->bundle->nonce,
                                      .claims = r->bundle->claims,
                                      .gpu_evidence = r->bundle->gpu_evidence },
                   expected);
    *out = pass_if(secret_equal(BYTES_ARRAY(r->facts.report_data), BYTES_ARRAY(expected)),
                   REASON_MISMATCH);
    return OK;
}

static err step_identity(struct run *r, outcome *out)
{
    bytes asked = r->settings->identity;
    *out = asked.len == 0 ? skip(REASON_NOT_ASKED)
                          : pass_if(secret_equal(asked, r->bundle->identity), REASON_MISMATCH);
    return OK;
}

static err step_nonce(struct run *r, outcome *out)
{
    bytes asked = r->settings->nonce;
    if (asked.len > 0)
        *out = pass_if(secret_equal(asked, r->bundle->nonce), REASON_MISMATCH);
    else
        *out = r->settings->any_nonce ? skip(REASON_NOT_ASKED) : refuse(REASON_NO_EXPECTATION);
    return OK;
}

static err step_gpu(struct run *r, outcome *out)
{
    const struct nvgpu_means means = { .collateral = r->settings->gpu_collateral };
    return nvgpu_examine(r->bundle, r->policy, r->settings->now, &means, out, &r->subject);
}

/* Evidence without a time of its own is as fresh as the nonce that was sent for it. */
static outcome timeless(const struct verify_settings *s)
{
    if (s->nonce.len > 0)
        return pass();
    return s->any_age ? skip(REASON_NOT_ASKED) : refuse(REASON_ABSENT);
}

static err step_freshness(struct run *r, outcome *out)
{
    int64_t age;
    if (r->facts.evidence_at == 0)
        *out = timeless(r->settings);
    else if (__builtin_sub_overflow(r->settings->now, r->facts.evidence_at, &age) ||
             age < -(int64_t)r->policy->skew_s)
        *out = refuse(REASON_FROM_THE_FUTURE);
    else if (r->settings->any_age)
        *out = skip(REASON_NOT_ASKED);
    else
        *out = pass_if(age <= (int64_t)r->policy->max_age_s, REASON_TOO_OLD);
    return OK;
}

/* --- policy ---------------------------------------------------------------------------------- */

static err step_platform(struct run *r, outcome *out)
{
    if (r->settings->policy == NULL)
        *out = refuse(REASON_NO_POLICY);
    else
        *out = pass_if(policy_names_platform(r->policy, r->bundle->platform),
                       REASON_PLATFORM_NOT_NAMED);
    return OK;
}

static err step_measurements(struct run *r, outcome *out)
{
    *out = rules_measurements(&r->rules, r->policy, r->verifier, &r->facts, &r->subject);
    return OK;
}

static err take_rule(const struct run *r, const char *name, outcome *out)
{
    struct verdict_rule rule = rules_find(&r->rules, name);
    *out = (outcome){ rule.status, rule.reason };
    return OK;
}

static err step_operator(struct run *r, outcome *out)
{
    return take_rule(r, RULE_OPERATOR, out);
}

static err step_model(struct run *r, outcome *out)
{
    return take_rule(r, RULE_MODEL, out);
}

static err step_worker(struct run *r, outcome *out)
{
    return take_rule(r, RULE_WORKER, out);
}

static err step_software(struct run *r, outcome *out)
{
    return take_rule(r, RULE_SOFTWARE, out);
}

/* --- key statement --------------------------------------------------------------------------- */

static err step_statement(struct run *r, outcome *out)
{
    if (!r->with_statement) {
        *out = skip(REASON_NO_STATEMENT);
        return OK;
    }
    err e = statement_verify(r->bundle->key_statement, r->bundle->identity, &r->statement);
    if (!err_is_ok(e) && !is_evidence_fault(e))
        return e;
    if (e.code == ERR_CRYPTO)
        *out = refuse(REASON_BAD_SIGNATURE);
    else if (!err_is_ok(e))
        *out = refuse(form_reason(e));
    else
        *out = pass_if(bytes_equal(r->statement.worker, r->claims.worker), REASON_MISMATCH);
    return OK;
}

static outcome dates_outcome(enum statement_time t)
{
    switch (t) {
    case STATEMENT_EXPIRED:
        return refuse(REASON_EXPIRED);
    case STATEMENT_EARLY:
        return refuse(REASON_NOT_YET_VALID);
    case STATEMENT_CURRENT:
        return pass();
    }
    return refuse(REASON_UNCHECKED);
}

static err step_dates(struct run *r, outcome *out)
{
    *out = r->with_statement
               ? dates_outcome(statement_time(&r->statement, r->settings->now, r->policy->skew_s))
               : skip(REASON_NO_STATEMENT);
    return OK;
}

/* --- the order ------------------------------------------------------------------------------- */

/* must_pass: a skip here is never acceptable; hardware_must_pass: not on hardware. */
static const struct {
    step *run;
    bool must_pass;
    bool hardware_must_pass;
    bool of_verifier; /* the platform's verifier knows what it failed on */
} steps[VERDICT_CHECKS] = {
    [VERDICT_FORM] = { step_form, true, true, true },
    [VERDICT_SIGNATURE] = { step_signature, true, true, true },
    [VERDICT_BINDING] = { step_binding, true, true, false },
    [VERDICT_IDENTITY] = { step_identity, false, false, false },
    [VERDICT_NONCE] = { step_nonce, false, false, false },
    [VERDICT_DEBUG] = { step_debug, false, true, true },
    [VERDICT_TCB] = { step_tcb, false, true, true },
    [VERDICT_GPU] = { step_gpu, false, false, false },
    [VERDICT_FRESHNESS] = { step_freshness, false, false, false },
    [VERDICT_PLATFORM] = { step_platform, true, true, false },
    [VERDICT_MEASUREMENTS] = { step_measurements, false, true, false },
    [VERDICT_OPERATOR] = { step_operator, false, false, false },
    [VERDICT_MODEL] = { step_model, false, false, false },
    [VERDICT_WORKER] = { step_worker, false, false, false },
    [VERDICT_SOFTWARE] = { step_software, false, false, false },
    [VERDICT_STATEMENT] = { step_statement, false, false, false },
    [VERDICT_DATES] = { step_dates, false, false, false },
};

/* A step that was left at zero, or skipped where it may not be, is a failure. */
static outcome settle(outcome o, size_t at, const struct verifier *v)
{
    bool hardware = v == NULL || v->trust != TRUST_SIMULATED;
    bool excused = at == VERDICT_TCB && v != NULL && v->no_tcb;
    bool needed = steps[at].must_pass || (hardware && !excused && steps[at].hardware_must_pass);
    if (o.status == VERDICT_SKIP && (needed || o.reason == REASON_UNCHECKED))
        return refuse(REASON_UNCHECKED);
    return o;
}

static void list_check(struct verdict *v, size_t at, outcome o, const char *subject)
{
    v->checks[at] = (struct verdict_check){ .status = o.status,
                                            .name = verdict_check_name((enum verdict_check_id)at),
                                            .reason = reason_word(o.reason),
                                            .sentence = reason_sentence(o.reason),
                                            .advice = reason_advice(o.reason),
                                            .subject = subject };
}

static void list_failure(struct verdict *v, size_t at, outcome o, const char *subject)
{
    list_check(v, at, o, subject);
    for (at++; at < VERDICT_CHECKS; at++)
        list_check(v, at, skip(REASON_EARLIER_FAILURE), NULL);
}

/* For people; nothing here is to be acted on. */
static void list_rules(const struct run *r, struct verdict *v)
{
    v->rules_n = r->rules.n;
    memcpy(v->rules, r->rules.list, sizeof v->rules);
}

/* The same, once the vendor's signature covers it. */
static void describe(const struct run *r, struct verdict *v)
{
    v->platform = r->verifier->platform;
    v->evidence_at = r->facts.evidence_at;
    v->registers_n = r->facts.registers_n;
    memcpy(v->registers, r->facts.registers, sizeof v->registers);
}

/* Nothing is compared that is not proved. */
static void compare(struct run *r, size_t at)
{
    if (at == VERDICT_SIGNATURE)
        rules_registers(&r->rules, r->policy, r->verifier, &r->facts);
    if (at == VERDICT_BINDING)
        rules_claims(&r->rules, r->policy, &r->claims);
}

static err run_steps(struct run *r, struct verdict *v, bool *through)
{
    for (size_t at = 0; at < VERDICT_CHECKS; at++) {
        outcome o = { 0 };
        TRY(steps[at].run(r, &o));
        o = settle(o, at, r->verifier);
        if (o.status == VERDICT_FAIL) {
            list_failure(v, at, o, steps[at].of_verifier ? r->facts.subject : r->subject);
            return OK;
        }
        list_check(v, at, o, NULL);
        if (at == VERDICT_SIGNATURE)
            describe(r, v);
        compare(r, at);
        list_rules(r, v);
    }
    *through = true;
    return OK;
}

/* --- handing out ----------------------------------------------------------------------------- */

static void copy_name(char *to, bytes name)
{
    memcpy(to, name.at, name.len);
    to[name.len] = '\0';
}

static void copy_optional(uint8_t *to, bytes value)
{
    if (value.len > 0)
        memcpy(to, value.at, value.len);
}

#define FITS(larger, smaller) _Static_assert((int)(larger) >= (int)(smaller), "it fits")
FITS(VERDICT_NAME_MAX, CLAIMS_WORKER_MAX);
FITS(VERDICT_NAME_MAX, CLAIMS_SOFTWARE_MAX);
FITS(VERDICT_DIGEST_LEN, CLAIMS_DIGEST_LEN);
FITS(VERDICT_DIGEST_LEN, BUNDLE_DIGEST_LEN);
FITS(VERDICT_KEY_LEN, CLAIMS_KEY_LEN);
FITS(VERDICT_EHBP_KEY_MAX, STATEMENT_EHBP_KEY_MAX);
FITS(VERDICT_KEY_LEN, BUNDLE_IDENTITY_LEN);

static err accept(const struct run *r, struct verdict *v)
{
    TRY(evidence_document_digest(r->bundle, v->document_digest));
    TRY(nvgpu_summary(r->bundle->gpu_evidence, &v->gpu));
    if (r->with_statement) {
        v->key_list = BUF(STATEMENT_KEY_LIST_MAX);
        TRY(buf_add(&v->key_list, r->statement.key_list));
        v->ehbp_key_len = r->statement.ehbp_key.len;
        if (v->ehbp_key_len > 0)
            memcpy(v->ehbp_key, r->statement.ehbp_key.at, v->ehbp_key_len);
        v->not_before = (int64_t)r->statement.not_before;
        v->not_after = (int64_t)r->statement.not_after;
        v->generation = r->statement.generation;
    }
    memcpy(v->identity, r->bundle->identity.at, sizeof v->identity);
    copy_optional(v->manifest_digest, r->claims.manifest_digest);
    copy_optional(v->operator_key, r->claims.operator_key);
    copy_name(v->worker, r->claims.worker);
    copy_name(v->software, r->claims.software);
    v->trust = r->verifier->trust;
    v->accepted = true;
    return OK;
}

static err run_and_accept(struct run *r, struct verdict *v)
{
    bool through = false;
    TRY(run_steps(r, v, &through));
    return through ? accept(r, v) : OK;
}

static err verify(struct run *r, struct verdict *out)
{
    r->policy = r->settings->policy != NULL ? r->settings->policy : &no_policy;
    err e = run_and_accept(r, out);
    if (!err_is_ok(e))
        verdict_clear(out);
    return e;
}

static err refuse_form(err e, struct verdict *out)
{
    if (!is_evidence_fault(e))
        return e;
    list_failure(out, VERDICT_FORM, refuse(form_reason(e)), NULL);
    return OK;
}

err attest_verify_with(const struct verifier *v, bytes bundle,
                       const struct verify_settings *settings, struct verdict *out)
{
    struct bundle b;
    memset(out, 0, sizeof *out);
    err e = bundle_read(bundle, &b);
    if (!err_is_ok(e))
        return refuse_form(e, out);
    struct run r = { .bundle = &b, .settings = settings, .verifier = v, .with_statement = true };
    return verify(&r, out);
}

err attest_verify(bytes bundle, const struct verify_settings *settings, struct verdict *out)
{
    return attest_verify_with(NULL, bundle, settings, out);
}

err attest_verify_document(bytes document, const struct verify_settings *settings,
                           struct verdict *out)
{
    struct bundle b;
    memset(out, 0, sizeof *out);
    err e = evidence_document_read(document, &b);
    struct run r = { .bundle = &b, .settings = settings };
    return err_is_ok(e) ? verify(&r, out) : refuse_form(e, out);
}

/* Written and read again, so that parts from anywhere meet the same bounds. */
err attest_verify_evidence(const struct bundle *parts, const struct verify_settings *settings,
                           struct verdict *out)
{
    BUF_AUTO document = BUF(BUNDLE_MAX);
    memset(out, 0, sizeof *out);
    err e = evidence_document_write(&document, parts);
    return err_is_ok(e) ? attest_verify_document(buf_view(&document), settings, out)
                        : refuse_form(e, out);
}
