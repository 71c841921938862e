#include "attest/tdx.h"

#include "attest/policy.h"
#include "attest/tdx_policy.h"
#include "attest/tdx_verify.h"
#include "base/mem.h"

/* Which fields of the body are registers, and what is asked of one that no policy names. */
static const struct {
    enum tdx_field field;
    enum { NAMED, ZERO, ANY } unnamed;
} rules[] = {
    { TDX_MRTD, NAMED },   { TDX_RTMR0, NAMED },        { TDX_RTMR1, NAMED },
    { TDX_RTMR2, NAMED },  { TDX_RTMR3, ZERO },         { TDX_MRCONFIGID, ZERO },
    { TDX_MROWNER, ZERO }, { TDX_MROWNERCONFIG, ZERO }, { TDX_MRSERVICETD, ZERO },
    { TDX_MRSEAM, ANY },
};

static const struct verifier_register registers[] = {
    { "mrtd", TDX_REGISTER_LEN, false },       { "rtmr0", TDX_REGISTER_LEN, false },
    { "rtmr1", TDX_REGISTER_LEN, false },      { "rtmr2", TDX_REGISTER_LEN, false },
    { "rtmr3", TDX_REGISTER_LEN, true },       { "mrconfigid", TDX_REGISTER_LEN, true },
    { "mrowner", TDX_REGISTER_LEN, true },     { "mrownerconfig", TDX_REGISTER_LEN, true },
    { "mrservicetd", TDX_REGISTER_LEN, true }, { "mrseam", TDX_REGISTER_LEN, true },
};

_Static_assert(ARRAY_LEN(rules) == ARRAY_LEN(registers), "one rule for each register");

/* --- faults, as the frame reports them ------------------------------------------------------- */

static const enum reason reasons[TDX_FAULTS] = {
#define X(name, check, word, reason) [TDX_FAULT_##name] = REASON_##reason,
    TDX_FAULT_LIST(X)
#undef X
};

/* The frame's checks, each made of several of ours. Lists end with TDX_CHECKS. */
static const enum tdx_check form_checks[] = { TDX_CHECK_HEADER, TDX_CHECK_FORM, TDX_CHECK_CERT_DATA,
                                              TDX_CHECK_TRAILING, TDX_CHECKS };
static const enum tdx_check signature_checks[] = { TDX_CHECK_PCK_CHAIN, TDX_CHECK_ROOT_CRL,
                                                   TDX_CHECK_PCK_CRL,   TDX_CHECK_QE_SIGNATURE,
                                                   TDX_CHECK_QE_DATA,   TDX_CHECK_QUOTE_SIGNATURE,
                                                   TDX_CHECKS };
static const enum tdx_check debug_checks[] = { TDX_CHECK_DEBUG, TDX_CHECK_ATTRIBUTES, TDX_CHECKS };
static const enum tdx_check tcb_checks[] = { TDX_CHECK_TCB_SIGNER,  TDX_CHECK_TCB_INFO,
                                             TDX_CHECK_QE_IDENTITY, TDX_CHECK_QE_TCB,
                                             TDX_CHECK_MODULE,      TDX_CHECK_PLATFORM,
                                             TDX_CHECK_STATUS,      TDX_CHECK_ADVISORIES,
                                             TDX_CHECK_MACHINE,     TDX_CHECKS };

static struct verifier_outcome pass(void)
{
    return (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
}

static struct verifier_outcome refuse(enum reason why)
{
    return (struct verifier_outcome){ VERDICT_FAIL, why };
}

/* A check that may be skipped in an accepted result is one nobody asked for. */
static bool may_skip(enum tdx_check check)
{
    return check == TDX_CHECK_ADVISORIES || check == TDX_CHECK_MACHINE;
}

static struct verifier_outcome outcome_of(const struct tdx_result *r, const enum tdx_check *checks,
                                          const char **subject)
{
    for (; *checks != TDX_CHECKS; checks++) {
        enum tdx_fault f = tdx_fault_of(&r->faults, *checks);
        if (f != TDX_FAULTS) {
            *subject = tdx_fault_word(f);
            return refuse(reasons[f]);
        }
        if (r->checks[*checks] != VERDICT_PASS && !may_skip(*checks)) {
            *subject = tdx_check_word(*checks);
            return refuse(REASON_UNCHECKED);
        }
    }
    return pass();
}

/* In the frame's order, up to the first that fails: its subject is the one reported. */
static void report_outcomes(const struct tdx_result *r, struct verifier_facts *facts)
{
    facts->form = outcome_of(r, form_checks, &facts->subject);
    if (facts->form.status != VERDICT_PASS)
        return;
    facts->signature = outcome_of(r, signature_checks, &facts->subject);
    if (facts->signature.status != VERDICT_PASS)
        return;
    facts->debug = outcome_of(r, debug_checks, &facts->subject);
    if (facts->debug.status == VERDICT_PASS)
        facts->tcb = outcome_of(r, tcb_checks, &facts->subject);
}

/* --- registers ------------------------------------------------------------------------------- */

static bool names(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->registers_n; i++) {
        const struct policy_register *rule = &p->registers[i];
        bool ours = rule->platform == NULL ||
                    bytes_equal(bytes_str(rule->platform), BYTES_LIT(TDX_PLATFORM));
        if (ours && bytes_equal(bytes_str(rule->name), bytes_str(name)))
            return true;
    }
    return false;
}

static bool is_zero(bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.at[i];
    return any == 0;
}

/* Registers 1 to 4 are the RTMRs, which a log can explain as well. */
static bool is_explained(const struct policy *p, size_t i)
{
    return i >= 1 && i <= EVENT_RTMRS && p->tdx != NULL && tdx_policy_explains(p->tdx, i - 1);
}

/* What the frame's comparison cannot see: registers that the policy forgot, and the log. */
static void report_measurements(const struct tdx_result *r, const struct policy *p,
                                struct verifier_facts *facts)
{
    enum tdx_fault f = tdx_fault_of(&r->faults, TDX_CHECK_EVENT_LOG);
    if (f != TDX_FAULTS) {
        facts->measurements = refuse(reasons[f]);
        facts->measurements_subject = tdx_fault_word(f);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        bytes value = tdx_quote_field(&r->quote, rules[i].field);
        bool fine = rules[i].unnamed == ANY || names(p, registers[i].name) || is_explained(p, i) ||
                    (rules[i].unnamed == ZERO && is_zero(value));
        if (fine)
            continue;
        facts->measurements = refuse(REASON_NO_EXPECTATION);
        facts->measurements_subject = registers[i].name;
        return;
    }
}

static void report_registers(const struct tdx_result *r, struct verifier_facts *facts)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        bytes value = tdx_quote_field(&r->quote, rules[i].field);
        if (value.len != TDX_REGISTER_LEN)
            continue;
        struct verdict_register *to = &facts->registers[facts->registers_n++];
        to->name = registers[i].name;
        to->len = value.len;
        memcpy(to->value, value.at, value.len);
    }
}

static void report(const struct tdx_result *r, const struct policy *p, struct verifier_facts *facts)
{
    bytes report_data = tdx_quote_field(&r->quote, TDX_REPORT_DATA);
    report_outcomes(r, facts);
    if (facts->signature.status != VERDICT_PASS || report_data.len != BINDING_LEN)
        return;
    memcpy(facts->report_data, report_data.at, BINDING_LEN);
    report_registers(r, facts);
    report_measurements(r, p, facts);
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct tdx_collateral collateral;
    struct tdx_result *r;
    err e = tdx_collateral_read(b->collateral, &collateral);
    if (e.code == ERR_NOMEM)
        return e;
    if (!err_is_ok(e)) {
        facts->form = refuse(b->collateral.len == 0 ? REASON_ABSENT : REASON_MALFORMED);
        facts->subject = "collateral";
        return OK;
    }
    TRY(mem_new(&r));
    struct tdx_input in = {
        .quote = b->evidence, .collateral = &collateral, .policy = policy->tdx, .now = now
    };
    e = tdx_verify(&in, r);
    if (err_is_ok(e))
        report(r, policy, facts);
    mem_free(r);
    return e;
}

/* What needs no collateral: the chain to Intel's root and the three signatures below it. */
static err examine_own(const struct bundle *b, int64_t now, struct verifier_facts *facts)
{
    static const enum tdx_check checks[] = { TDX_CHECK_PCK_CHAIN, TDX_CHECK_QE_SIGNATURE,
                                             TDX_CHECK_QE_DATA, TDX_CHECK_QUOTE_SIGNATURE,
                                             TDX_CHECKS };
    struct tdx_result *r;
    TRY(mem_new(&r));
    err e = tdx_verify(&(struct tdx_input){ .quote = b->evidence, .now = now }, r);
    if (err_is_ok(e)) {
        bytes report_data = tdx_quote_field(&r->quote, TDX_REPORT_DATA);
        facts->form = outcome_of(r, form_checks, &facts->subject);
        facts->signature = outcome_of(r, checks, &facts->subject);
        facts->debug = outcome_of(r, debug_checks, &facts->subject);
        bool holds = facts->form.status == VERDICT_PASS && facts->signature.status == VERDICT_PASS;
        if (holds && report_data.len == BINDING_LEN) {
            memcpy(facts->report_data, report_data.at, BINDING_LEN);
            report_registers(r, facts);
        }
    }
    mem_free(r);
    return e;
}

static const struct verifier verifier = {
    .platform = TDX_PLATFORM,
    .trust = TRUST_HARDWARE,
    .registers = registers,
    .registers_n = ARRAY_LEN(registers),
    .examine = examine,
    .examine_own = examine_own,
};

const struct verifier *const tdx_verifier = &verifier;
