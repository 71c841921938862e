#include "attest/rules.h"

#include "base/attr.h"

typedef struct verifier_outcome outcome;

_Static_assert((int)VERDICT_RULES_MAX >= (int)POLICY_REGISTERS_MAX + 4, "every rule has a row");
_Static_assert((int)POLICY_VALUES_MAX < UINT16_MAX, "places of values fit");

static outcome pass_if(bool holds, enum reason otherwise)
{
    return holds ? (outcome){ VERDICT_PASS, REASON_PASSED } : (outcome){ VERDICT_FAIL, otherwise };
}

static void add(struct rules *rules, const char *name, outcome o, size_t met, size_t of)
{
    if (rules->n < VERDICT_RULES_MAX)
        rules->list[rules->n++] = (struct verdict_rule){ .name = name,
                                                         .status = o.status,
                                                         .reason = o.reason,
                                                         .met = (uint16_t)met,
                                                         .of = (uint16_t)of };
}

/* An empty value is one that is not there. */
static void add_listed(struct rules *rules, const char *name, const struct policy_list *list,
                       bytes value)
{
    size_t met = value.len > 0 ? policy_list_place(list, value) : 0;
    enum reason otherwise = value.len > 0 ? REASON_MISMATCH : REASON_ABSENT;
    add(rules, name, pass_if(met > 0, otherwise), met, list->n);
}

/* --- registers -------------------------------------------------------------------------------- */

/* A rule without a platform is for every platform that has such a register. */
static bool applies(const struct policy_register *rule, const struct verifier *v)
{
    if (rule->platform != NULL)
        return bytes_equal(bytes_str(rule->platform), bytes_str(v->platform));
    return verifier_register(v, bytes_str(rule->name)) != NULL;
}

static bytes find_register(const struct verifier_facts *f, const char *name)
{
    for (size_t i = 0; i < f->registers_n; i++) {
        if (bytes_equal(bytes_str(f->registers[i].name), bytes_str(name)))
            return bytes_of(f->registers[i].value, f->registers[i].len);
    }
    return (bytes){ 0 };
}

void rules_registers(struct rules *rules, const struct policy *p, const struct verifier *v,
                     const struct verifier_facts *facts)
{
    for (size_t i = 0; i < p->registers_n; i++) {
        const struct policy_register *rule = &p->registers[i];
        if (applies(rule, v))
            add_listed(rules, rule->name, &rule->values, find_register(facts, rule->name));
    }
}

static bool names_the_code(const struct verdict_rule *rule, const struct verifier *v)
{
    const struct verifier_register *known = verifier_register(v, bytes_str(rule->name));
    return known != NULL && !known->secondary;
}

outcome rules_measurements(const struct rules *rules, const struct policy *p,
                           const struct verifier *v, const struct verifier_facts *facts,
                           const char **subject)
{
    bool any = p->any_measurements && v->trust == TRUST_SIMULATED;
    outcome o =
        any ? (outcome){ VERDICT_SKIP, REASON_ANY_ALLOWED } : pass_if(false, REASON_NO_EXPECTATION);
    for (size_t i = 0; i < rules->n; i++) {
        const struct verdict_rule *rule = &rules->list[i];
        if (verifier_register(v, bytes_str(rule->name)) == NULL)
            continue;
        if (rule->status != VERDICT_PASS) {
            *subject = rule->name;
            return (outcome){ VERDICT_FAIL, rule->reason };
        }
        if (names_the_code(rule, v))
            o = pass_if(true, REASON_PASSED);
    }
    if (o.status == VERDICT_FAIL || facts->measurements.status != VERDICT_FAIL)
        return o;
    *subject = facts->measurements_subject;
    return facts->measurements;
}

/* --- claims ----------------------------------------------------------------------------------- */

static void add_claim(struct rules *rules, const char *name, const struct policy_list *list,
                      bytes value)
{
    if (list->n == 0)
        add(rules, name, (outcome){ VERDICT_SKIP, REASON_NOT_ASKED }, 0, 0);
    else
        add_listed(rules, name, list, value);
}

static void add_software(struct rules *rules, const struct policy *p, bytes software)
{
    bytes least = buf_view(&p->minimum_software);
    bool reaches = policy_software_reaches(software, least);
    if (least.len == 0)
        add(rules, RULE_SOFTWARE, (outcome){ VERDICT_SKIP, REASON_NOT_ASKED }, 0, 0);
    else
        add(rules, RULE_SOFTWARE,
            pass_if(reaches, software.len > 0 ? REASON_MISMATCH : REASON_ABSENT), reaches, 1);
}

void rules_claims(struct rules *rules, const struct policy *p, const struct claims *claims)
{
    static const struct claims none = { 0 };
    const struct claims *c = claims != NULL ? claims : &none;
    add_claim(rules, RULE_OPERATOR, &p->operator_keys, c->operator_key);
    add_claim(rules, RULE_MODEL, &p->model_digests, c->manifest_digest);
    add_claim(rules, RULE_WORKER, &p->worker_names, c->worker);
    add_software(rules, p, c->software);
}

struct verdict_rule rules_find(const struct rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->n; i++) {
        if (bytes_equal(bytes_str(rules->list[i].name), bytes_str(name)))
            return rules->list[i];
    }
    return (
        struct verdict_rule){ .name = name, .status = VERDICT_FAIL, .reason = REASON_UNCHECKED };
}
