/*
 * attest/rules.h - the rules of a policy beside what evidence says: which value of which rule was met.
 *
 * The one place where registers and claims are compared with a policy, for attest/verify.h, which
 * acts on it, and for whoever explains it. What a platform asks of its own section of the policy is
 * the matter of its verifier.
 */
#pragma once

#include "attest/claims.h"
#include "attest/policy.h"
#include "attest/verdict.h"
#include "attest/verifier.h"

/* Zero is empty. */
struct rules {
    struct verdict_rule list[VERDICT_RULES_MAX];
    size_t n;
};

/* The rules about what claims say, by their names in a policy. */
#define RULE_OPERATOR "operator_keys"
#define RULE_MODEL "model_digests"
#define RULE_WORKER "worker_names"
#define RULE_SOFTWARE "minimum_software"

/* Appends a row for each rule about a register of v's platform, in the order of the policy. */
void rules_registers(struct rules *rules, const struct policy *p, const struct verifier *v,
                     const struct verifier_facts *facts);

/* Appends a row for each of the four above; not asked is VERDICT_SKIP. NULL: evidence without any
 * claims, which meets no rule about them. */
void rules_claims(struct rules *rules, const struct policy *p, const struct claims *claims);

/* The row of that name. One that is not there is a failure: unchecked. */
struct verdict_rule rules_find(const struct rules *rules, const char *name);

/* What follows from rules_registers(): every rule is met and one of them names the code, or the
 * policy allows any and the platform is simulated; and the platform's verifier asks no more. *subject
 * (static, or left alone) is what it failed on. */
struct verifier_outcome rules_measurements(const struct rules *rules, const struct policy *p,
                                           const struct verifier *v,
                                           const struct verifier_facts *facts,
                                           const char **subject);
