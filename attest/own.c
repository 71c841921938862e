#include "attest/own.h"

#include "attest/nvgpu_summary.h"
#include "attest/policy.h"
#include "attest/reason.h"
#include "attest/verifier.h"
#include "base/attr.h"
#include "crypto/secret.h"

/* Demands nothing: platforms bring their strict defaults for what they judge at all. */
static const struct policy no_demands = { .max_age_s = POLICY_AGE_S_DEFAULT,
                                          .skew_s = POLICY_SKEW_S_DEFAULT };

static struct verifier_outcome pass_if(bool holds, enum reason otherwise)
{
    return holds ? (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED }
                 : (struct verifier_outcome){ VERDICT_FAIL, otherwise };
}

static bool passed(const struct verifier_facts *f)
{
    return f->form.status == VERDICT_PASS && f->signature.status == VERDICT_PASS;
}

/* Signatures that are false are so with any collateral. */
static bool is_false(const struct verifier_facts *f)
{
    return f->signature.status == VERDICT_FAIL && f->signature.reason == REASON_BAD_SIGNATURE;
}

static err look(const struct verifier *v, const struct bundle *b, int64_t now,
                struct verifier_facts *facts)
{
    TRY(v->examine(b, &no_demands, now, facts));
    if (passed(facts) || is_false(facts) || v->examine_own == NULL)
        return OK;
    memset(facts, 0, sizeof *facts);
    return v->examine_own(b, now, facts);
}

static struct verifier_outcome check_binding(const struct bundle *b,
                                             const struct attester_subject *subject,
                                             const struct verifier_facts *facts)
{
    uint8_t expected[BINDING_LEN];
    binding_digest(&(struct binding){ .platform = b->platform,
                                      .identity = subject->identity,
                                      .nonce = subject->nonce,
                                      .claims = subject->claims,
                                      .gpu_evidence = b->gpu_evidence },
                   expected);
    return pass_if(secret_equal(BYTES_ARRAY(facts->report_data), BYTES_ARRAY(expected)),
                   REASON_MISMATCH);
}

static void list(struct verdict *v, enum verdict_check_id id, struct verifier_outcome o,
                 const char *subject)
{
    v->checks[id] = (struct verdict_check){ .status = o.status,
                                            .name = verdict_check_name(id),
                                            .reason = reason_word(o.reason),
                                            .sentence = reason_sentence(o.reason),
                                            .advice = reason_advice(o.reason),
                                            .subject = subject };
}

/* In their order, up to the first that does not pass; what the simulated platform has nothing to
 * check in may be skipped. */
static bool list_checks(struct verdict *v, const struct verifier_facts *f,
                        struct verifier_outcome binding)
{
    const struct {
        enum verdict_check_id id;
        struct verifier_outcome outcome;
    } rows[] = {
        { VERDICT_FORM, f->form },
        { VERDICT_SIGNATURE, f->signature },
        { VERDICT_BINDING, binding },
        { VERDICT_DEBUG, f->debug },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct verifier_outcome o = rows[i].outcome;
        bool fine = o.status == VERDICT_PASS ||
                    (o.status == VERDICT_SKIP && o.reason == REASON_NOT_APPLICABLE);
        if (o.status == VERDICT_SKIP && !fine)
            o = pass_if(false, REASON_UNCHECKED);
        list(v, rows[i].id, o, fine ? NULL : f->subject);
        if (!fine)
            return false;
    }
    return true;
}

static err accept(struct verdict *v, const struct verifier *verifier, const struct bundle *b,
                  const struct verifier_facts *f)
{
    TRY(evidence_document_digest(b, v->document_digest));
    TRY(nvgpu_summary(b->gpu_evidence, &v->gpu));
    memcpy(v->identity, b->identity.at, sizeof v->identity);
    v->platform = verifier->platform;
    v->evidence_at = f->evidence_at;
    v->registers_n = f->registers_n;
    memcpy(v->registers, f->registers, sizeof v->registers);
    v->trust = verifier->trust;
    v->accepted = true;
    return OK;
}

err own_read(bytes document, const struct attester_subject *subject, int64_t now,
             struct verdict *out)
{
    struct bundle b;
    struct verifier_facts facts = { 0 };
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < VERDICT_CHECKS; i++)
        list(out, (enum verdict_check_id)i,
             (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_ASKED }, NULL);
    TRY(evidence_document_read(document, &b));
    const struct verifier *v = verifier_find(b.platform);
    ENSURE(v != NULL, UNSUPPORTED);
    TRY(look(v, &b, now, &facts));
    if (!list_checks(out, &facts, check_binding(&b, subject, &facts)))
        return OK;
    return accept(out, v, &b, &facts);
}
