#include "attest/enrolment.h"

#include "attest/enrolled.h"
#include "attest/enrolled_policy.h"
#include "attest/policy.h"
#include "crypto/hash.h"

static const struct verifier_register registers[] = { { .name = "binary_hash",
                                                        .len = SHA256_LEN } };

/* Which of the frame's checks a reason belongs to, and what it is called there. */
static const struct {
    enum verdict_check_id part;
    enum reason reason;
} rows[] = {
    [ENROLLED_UNCHECKED] = { VERDICT_FORM, REASON_UNCHECKED },
    [ENROLLED_OK] = { VERDICT_CHECKS, REASON_PASSED },
    [ENROLLED_MALFORMED] = { VERDICT_FORM, REASON_MALFORMED },
    [ENROLLED_KEY] = { VERDICT_SIGNATURE, REASON_NO_EXPECTATION },
    [ENROLLED_SIGNATURE] = { VERDICT_SIGNATURE, REASON_BAD_SIGNATURE },
    [ENROLLED_STALE] = { VERDICT_DEBUG, REASON_TOO_OLD }, /* left to the frame */
    [ENROLLED_FUTURE] = { VERDICT_DEBUG, REASON_FROM_THE_FUTURE },
    [ENROLLED_SETTING] = { VERDICT_DEBUG, REASON_SETTING },
    [ENROLLED_BINARY] = { VERDICT_MEASUREMENTS, REASON_MISMATCH },
    [ENROLLED_INFERENCE_KEY] = { VERDICT_BINDING, REASON_MISMATCH },
};

static struct verifier_outcome settle(enum enrolled_reason why, enum verdict_check_id part)
{
    if (part < rows[why].part)
        return (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
    if (part == rows[why].part)
        return (struct verifier_outcome){ VERDICT_FAIL, rows[why].reason };
    return (struct verifier_outcome){ 0 };
}

/* A statement of another identity says nothing about this one, so its report data stays zero. */
static void report(enum enrolled_reason why, const struct enrolled_said *said,
                   struct verifier_facts *facts)
{
    facts->form = settle(why, VERDICT_FORM);
    facts->signature = settle(why, VERDICT_SIGNATURE);
    facts->debug = settle(why, VERDICT_DEBUG);
    facts->tcb = (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_APPLICABLE };
    facts->subject = why == ENROLLED_OK ? NULL : enrolled_reason_word(why);
    if (facts->signature.status != VERDICT_PASS)
        return;
    facts->evidence_at = said->at_s;
    if (said->has_binary) {
        facts->registers[0] =
            (struct verdict_register){ .name = registers[0].name, .len = SHA256_LEN };
        memcpy(facts->registers[0].value, said->binary, SHA256_LEN);
        facts->registers_n = 1;
    }
    if (said->has_node && why != ENROLLED_INFERENCE_KEY)
        memcpy(facts->report_data, said->node, BINDING_LEN);
}

static err judge(const struct bundle *b, const struct enrolled_policy *policy, int64_t now,
                 struct verifier_facts *facts)
{
    bytes keys[ENROLLED_KEYS_MAX];
    enum enrolled_reason why;
    struct enrolled_said said;
    struct enrolled_query q = { .statement = b->evidence,
                                .keys = keys,
                                .any_binary = true,
                                .inference_key = b->identity,
                                .at_s = now,
                                .max_age_s = INT64_MAX,
                                .skew_s = INT64_MAX,
                                .said = &said };
    for (; policy != NULL && q.keys_n < policy->keys.n; q.keys_n++)
        keys[q.keys_n] = buf_view(&policy->keys.items[q.keys_n]);
    TRY(enrolled_verify(&q, &why));
    report(why, &said, facts);
    return OK;
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    if (b->collateral.len == 0)
        return judge(b, policy->enrolled, now, facts);
    facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_SURPLUS };
    return OK;
}

static const struct verifier verifier = {
    .platform = ENROLLED_PLATFORM,
    .trust = TRUST_ENROLLED,
    .registers = registers,
    .registers_n = ARRAY_LEN(registers),
    .no_tcb = true,
    .examine = examine,
};

const struct verifier *const enrolled_verifier = &verifier;
