#include "attest/rules.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

enum { LEN = 48 };

/* Two registers that name the code, one that does not. */
static const struct verifier_register registers[] = {
    { .name = "code", .len = LEN },
    { .name = "kernel", .len = LEN },
    { .name = "owner", .len = LEN, .secondary = true },
};
static const struct verifier hardware = {
    .platform = "hard", .trust = TRUST_HARDWARE, .registers = registers, .registers_n = 3
};
static const struct verifier simulated = {
    .platform = "soft", .trust = TRUST_SIMULATED, .registers = registers, .registers_n = 3
};

/* What the evidence says: register i is i + 1 over and over. */
static struct verifier_facts facts(size_t n)
{
    struct verifier_facts f = { .registers_n = n };
    for (size_t i = 0; i < n; i++) {
        f.registers[i] = (struct verdict_register){ .name = registers[i].name, .len = LEN };
        memset(f.registers[i].value, (int)i + 1, LEN);
    }
    return f;
}

static struct buf values[8];

static struct policy_list list_of(size_t at, const uint8_t *fill, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        values[at + i] = BUF(LEN);
        for (size_t k = 0; k < LEN; k++)
            CHECK_OK(buf_add_u8(&values[at + i], fill[i]));
    }
    return (struct policy_list){ .items = &values[at], .n = n };
}

static int clear_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        buf_clear(&values[i]);
    return 0;
}

static struct verifier_outcome measured(const struct policy *p, const struct verifier *v,
                                        const struct verifier_facts *f, struct rules *rules,
                                        const char **subject)
{
    *rules = (struct rules){ 0 };
    *subject = NULL;
    rules_registers(rules, p, v, f);
    return rules_measurements(rules, p, v, f, subject);
}

static void a_rule_says_which_of_its_values_was_met(void **state)
{
    (void)state;
    struct rules r;
    const char *subject;
    const struct verifier_facts f = facts(3);
    struct policy_register rows[] = {
        { .name = "code", .values = list_of(0, (const uint8_t[]){ 9, 8, 1 }, 3) },
        { .platform = "hard", .name = "owner", .values = list_of(3, (const uint8_t[]){ 3 }, 1) },
        { .platform = "soft", .name = "kernel", .values = list_of(4, (const uint8_t[]){ 9 }, 1) },
        { .name = "elsewhere", .values = list_of(5, (const uint8_t[]){ 9 }, 1) },
    };
    const struct policy p = { .registers = rows, .registers_n = ARRAY_LEN(rows) };
    struct verifier_outcome o = measured(&p, &hardware, &f, &r, &subject);
    CHECK(o.status == VERDICT_PASS && subject == NULL && r.n == 2);
    CHECK(r.list[0].met == 3 && r.list[0].of == 3 && r.list[0].status == VERDICT_PASS);
    assert_string_equal(r.list[1].name, "owner");
    CHECK(r.list[1].met == 1 && r.list[1].of == 1);
}

static void every_rule_has_to_be_met(void **state)
{
    (void)state;
    struct rules r;
    const char *subject;
    const struct verifier_facts all = facts(3), some = facts(1);
    struct policy_register rows[] = {
        { .name = "code", .values = list_of(0, (const uint8_t[]){ 1 }, 1) },
        { .name = "kernel", .values = list_of(1, (const uint8_t[]){ 9 }, 1) },
    };
    const struct policy p = { .registers = rows, .registers_n = ARRAY_LEN(rows) };
    struct verifier_outcome o = measured(&p, &hardware, &all, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_MISMATCH);
    assert_string_equal(subject, "kernel");
    CHECK(r.list[0].met == 1 && r.list[1].met == 0 && r.list[1].status == VERDICT_FAIL);
    o = measured(&p, &hardware, &some, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_ABSENT);
    assert_string_equal(subject, "kernel");
}

static void one_rule_has_to_name_the_code(void **state)
{
    (void)state;
    struct rules r;
    const char *subject;
    const struct verifier_facts f = facts(3);
    struct policy_register rows[] = {
        { .name = "owner", .values = list_of(0, (const uint8_t[]){ 3 }, 1) },
    };
    const struct policy p = { .registers = rows, .registers_n = 1 };
    const struct policy none = { 0 };
    struct verifier_outcome o = measured(&p, &hardware, &f, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_NO_EXPECTATION);
    o = measured(&none, &hardware, &f, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_NO_EXPECTATION && r.n == 0);
}

static void any_is_for_the_simulated_platform_alone(void **state)
{
    (void)state;
    struct rules r;
    const char *subject;
    const struct verifier_facts f = facts(3);
    const struct policy p = { .any_measurements = true };
    struct verifier_outcome o = measured(&p, &simulated, &f, &r, &subject);
    CHECK(o.status == VERDICT_SKIP && o.reason == REASON_ANY_ALLOWED);
    o = measured(&p, &hardware, &f, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_NO_EXPECTATION);
}

static void a_platform_may_ask_for_more(void **state)
{
    (void)state;
    struct rules r;
    const char *subject;
    struct verifier_facts f = facts(3);
    struct policy_register rows[] = {
        { .name = "code", .values = list_of(0, (const uint8_t[]){ 1 }, 1) },
    };
    const struct policy p = { .registers = rows, .registers_n = 1 };
    f.measurements = (struct verifier_outcome){ VERDICT_FAIL, REASON_NO_EXPECTATION };
    f.measurements_subject = "kernel";
    struct verifier_outcome o = measured(&p, &hardware, &f, &r, &subject);
    CHECK(o.status == VERDICT_FAIL && o.reason == REASON_NO_EXPECTATION);
    assert_string_equal(subject, "kernel");
}

static void claims_meet_the_rules_about_them(void **state)
{
    (void)state;
    struct rules r = { 0 };
    uint8_t key[LEN];
    memset(key, 5, sizeof key);
    struct policy p = { .operator_keys = list_of(0, (const uint8_t[]){ 4, 5 }, 2),
                        .model_digests = list_of(2, (const uint8_t[]){ 6 }, 1),
                        .minimum_software = BUF(16) };
    CHECK_OK(buf_add_str(&p.minimum_software, "0.2"));
    const struct claims c = { .operator_key = BYTES_ARRAY(key),
                              .worker = BYTES_LIT("w"),
                              .software = BYTES_LIT("0.1.9") };
    rules_claims(&r, &p, &c);
    CHECK(r.n == 4);
    CHECK(rules_find(&r, RULE_OPERATOR).met == 2 && rules_find(&r, RULE_OPERATOR).of == 2);
    CHECK(rules_find(&r, RULE_MODEL).reason == REASON_ABSENT);
    CHECK(rules_find(&r, RULE_WORKER).status == VERDICT_SKIP);
    CHECK(rules_find(&r, RULE_SOFTWARE).status == VERDICT_FAIL);
    CHECK(rules_find(&r, RULE_SOFTWARE).reason == REASON_MISMATCH);
    CHECK(rules_find(&r, "pcr0").status == VERDICT_FAIL);
    CHECK(rules_find(&r, "pcr0").reason == REASON_UNCHECKED);
    struct rules without = { 0 };
    rules_claims(&without, &p, NULL);
    CHECK(rules_find(&without, RULE_OPERATOR).reason == REASON_ABSENT);
    CHECK(rules_find(&without, RULE_SOFTWARE).reason == REASON_ABSENT);
    CHECK(rules_find(&without, RULE_WORKER).status == VERDICT_SKIP);
    buf_clear(&p.minimum_software);
}

static void there_is_a_row_for_as_many_rules_as_a_policy_may_have(void **state)
{
    (void)state;
    struct rules r = { 0 };
    const struct verifier_facts f = facts(3);
    static struct policy_register rows[POLICY_REGISTERS_MAX];
    for (size_t i = 0; i < POLICY_REGISTERS_MAX; i++)
        rows[i] = (struct policy_register){ .name = "code" };
    rows[0].values = list_of(0, (const uint8_t[]){ 1 }, 1);
    const struct policy p = { .registers = rows, .registers_n = POLICY_REGISTERS_MAX };
    rules_registers(&r, &p, &hardware, &f);
    rules_claims(&r, &p, NULL);
    CHECK(r.n == VERDICT_RULES_MAX);
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_values)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rule_says_which_of_its_values_was_met),
        TEST(every_rule_has_to_be_met),
        TEST(one_rule_has_to_name_the_code),
        TEST(any_is_for_the_simulated_platform_alone),
        TEST(a_platform_may_ask_for_more),
        TEST(claims_meet_the_rules_about_them),
        TEST(there_is_a_row_for_as_many_rules_as_a_policy_may_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
