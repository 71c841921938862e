/*
 * tests/unit/attest/foreign.h - the law of operator identity: genuine evidence whose owner register is
 * not one of the values that a policy names is refused, whatever else it meets.
 */
#pragma once

#include "attest/rules.h"
#include "base/text.h"
#include "tests/lib/law.h"

static inline struct verifier_outcome foreign_judge(const struct verifier *v,
                                                    const struct verifier_facts *facts,
                                                    const char *code, const char *owner,
                                                    const char *flow, const char **subject)
{
    struct rules rules = { 0 };
    struct policy *p = NULL;
    BUF_AUTO yaml = BUF(8192);
    BUF_AUTO message = BUF(1024);
    CHECK_OK(buf_addf(&yaml, "platforms: [%s]\nmeasurements:\n  %s: [", v->platform, code));
    for (size_t i = 0; i < facts->registers_n; i++) {
        const struct verdict_register *r = &facts->registers[i];
        if (bytes_equal(bytes_str(r->name), bytes_str(code)))
            CHECK_OK(text_hex_encode(&yaml, bytes_of(r->value, r->len)));
    }
    CHECK_OK(buf_addf(&yaml, "]\n  %s: [%s]\n", owner, flow));
    if (!err_is_ok(policy_read(&p, buf_view(&yaml), "p", &message)))
        fail_msg("%s", buf_str(&message));
    *subject = NULL;
    rules_registers(&rules, p, v, facts);
    struct verifier_outcome o = rules_measurements(&rules, p, v, facts, subject);
    policy_free(p);
    return o;
}

/* facts as the verifier gave them, with a value in `owner` that is not zero; `code` names the code. */
static inline void foreign_law(const struct verifier *v, const struct verifier_facts *facts,
                               const char *code, const char *owner)
{
    const char *subject;
    BUF_AUTO ours = BUF(256);
    BUF_AUTO other = BUF(256);
    BUF_AUTO both = BUF(512);
    for (size_t i = 0; i < facts->registers_n; i++) {
        const struct verdict_register *r = &facts->registers[i];
        if (!bytes_equal(bytes_str(r->name), bytes_str(owner)))
            continue;
        CHECK_OK(text_hex_encode(&ours, bytes_of(r->value, r->len)));
        CHECK_OK(buf_add(&other, buf_view(&ours)));
    }
    CHECK(ours.len > 0);
    other.at[0] = other.at[0] == '0' ? '1' : '0';
    CHECK_OK(buf_addf(&both, "%s, %s", buf_str(&other), buf_str(&ours)));
    struct verifier_outcome o = foreign_judge(v, facts, code, owner, buf_str(&both), &subject);
    CHECK(o.status == VERDICT_PASS && subject == NULL);
    o = foreign_judge(v, facts, code, owner, buf_str(&other), &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_MISMATCH);
    assert_string_equal(subject, owner);
}
