/*
 * attest/verifier.h - what each platform brings to a verification, and the table of them.
 *
 * A verifier is a pure function of bytes and a time. It does not decide: it reports facts and the
 * outcome of the checks only it can make, and attest/verify.c puts them in their order, stops at
 * the first failure and applies the policy. What a verifier leaves at zero counts as not checked,
 * which refuses.
 */
#pragma once

#include "attest/binding.h"
#include "attest/bundle.h"
#include "attest/reason.h"
#include "attest/verdict.h"

struct policy;

/* VERDICT_SKIP goes only with REASON_NOT_APPLICABLE, and never for hardware, `no_tcb` apart. */
struct verifier_outcome {
    enum verdict_status status;
    enum reason reason;
};

struct verifier_facts {
    struct verifier_outcome form;
    struct verifier_outcome signature;
    struct verifier_outcome debug;
    struct verifier_outcome tcb;
    uint8_t report_data[BINDING_LEN];
    struct verdict_register registers[VERDICT_REGISTERS_MAX];
    size_t registers_n;
    int64_t evidence_at; /* Unix seconds; 0: the evidence does not say */
    const char *subject; /* static; which of the verifier's own checks failed, or NULL */

    /* What the platform asks of the policy's measurements beyond those the policy names: VERDICT_FAIL
     * refuses under `measurements`, with the subject. Zero: nothing more. */
    struct verifier_outcome measurements;
    const char *measurements_subject; /* static */
};

/* A register that evidence of the platform can have, for policies to be read strictly. */
struct verifier_register {
    const char *name;
    size_t len;
    bool secondary; /* does not say which code runs: a policy has to name another one as well */
};

struct verifier {
    const char *platform;
    enum trust_level trust;
    bool no_tcb; /* its evidence states no firmware level, so `tcb` may be skipped */
    const struct verifier_register *registers;
    size_t registers_n;

    /* Called with a bundle whose shape is right and whose platform is this one. Fills *facts, which
     * is zeroed; stops by itself at its first failure. policy is not NULL and is for TCB rules and
     * the like only. An err is for memory, never for evidence that is wrong. */
    err (*examine)(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts);

    /* When the evidence says it was signed, in Unix seconds; 0: it does not say. Verifies nothing: for
     * verify_settings.own_time. NULL: no date that examine() checks depends on it. */
    int64_t (*says_when)(bytes evidence);

    /* For the machine that has just made it itself, and has nothing from the vendor at hand
     * (attest/own.h): fills form, signature, debug, report data and registers by what stands in the
     * evidence, and checks all of it that needs no collateral. Proves nothing to anybody else. NULL:
     * examine() needs no collateral. */
    err (*examine_own)(const struct bundle *b, int64_t now, struct verifier_facts *facts);
};

/* NULL when there is none. */
const struct verifier *verifier_find(bytes platform);

/* Its register of that name, or NULL. */
const struct verifier_register *verifier_register(const struct verifier *v, bytes name);
