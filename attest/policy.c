#include "attest/policy.h"

#include "attest/claims.h"
#include "attest/enrolled_policy.h"
#include "attest/gcp_policy.h"
#include "attest/nitro_policy.h"
#include "attest/nvgpu_policy.h"
#include "attest/policy_read.h"
#include "attest/snp_policy.h"
#include "attest/tdx_policy.h"
#include "attest/verifier.h"
#include "base/mem.h"
#include "base/text.h"

/* --- numbers with units ---------------------------------------------------------------------- */

static uint32_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

static err read_seconds(const struct policy_reading *r, const struct yaml *node, const char *key,
                        uint32_t most, uint32_t *out)
{
    uint64_t n = 0;
    bytes text = node->kind == YAML_TEXT ? bytes_str(node->text) : (bytes){ 0 };
    uint32_t unit = text.len > 1 ? unit_seconds((char)text.at[text.len - 1]) : 0;
    if (unit == 0 || !text_u64(bytes_slice(text, 0, text.len - 1), &n))
        return policy_refuse(r, node, key, "give a number with its unit: 90s, 10m, 2h or 1d");
    if (n > most / unit)
        return policy_refuse(r, node, key, "too long");
    *out = (uint32_t)n * unit;
    return OK;
}

/* --- measurements ---------------------------------------------------------------------------- */

/* The register of that name in the verifier given, or in that of the first platform to have it. */
static const struct verifier_register *known_register(const struct policy *p,
                                                      const struct verifier *v, bytes name)
{
    const struct verifier_register *found = v != NULL ? verifier_register(v, name) : NULL;
    for (size_t i = 0; v == NULL && found == NULL && i < p->platforms_n; i++)
        found = verifier_register(verifier_find(bytes_str(p->platforms[i])), name);
    return found;
}

static err read_register(const struct policy_reading *r, const struct yaml *node,
                         const struct verifier *platform)
{
    const struct verifier_register *known =
        known_register(r->policy, platform, bytes_str(node->key));
    if (known == NULL)
        return policy_refuse(r, node, "measurements",
                             "no platform of this policy has that register");
    if (r->policy->registers_n == POLICY_REGISTERS_MAX)
        return policy_refuse(r, node, "measurements", "too many registers");
    struct policy_register *rule = &r->policy->registers[r->policy->registers_n++];
    rule->platform = platform != NULL ? platform->platform : NULL;
    rule->name = known->name;
    struct policy_item form = { known->len, 0,
                                "give the register in hex, in full; zeros name nothing" };
    return policy_read_list(r, node, rule->name, form, &rule->values);
}

static err read_platform_registers(const struct policy_reading *r, const struct yaml *node)
{
    const struct verifier *v = verifier_find(bytes_str(node->key));
    if (v == NULL || !policy_names_platform(r->policy, bytes_str(node->key)))
        return policy_refuse(r, node, "measurements", "name this platform under `platforms` first");
    for (const struct yaml *pair = node->first; pair != NULL; pair = pair->next)
        TRY(read_register(r, pair, v));
    return OK;
}

/* Only evidence that protects nothing may go unmeasured. */
static bool all_simulated(const struct policy *p)
{
    for (size_t i = 0; i < p->platforms_n; i++) {
        if (verifier_find(bytes_str(p->platforms[i]))->trust != TRUST_SIMULATED)
            return false;
    }
    return true;
}

static err read_any_measurements(const struct policy_reading *r, const struct yaml *node,
                                 const char *key)
{
    if (!bytes_equal(bytes_str(node->text), BYTES_LIT("any")))
        return policy_refuse(r, node, key, "give a map of registers to lists of acceptable values");
    if (!all_simulated(r->policy))
        return policy_refuse(r, node, key, "`any` is for the simulated platform alone");
    r->policy->any_measurements = true;
    return OK;
}

static err read_measurements(const struct policy_reading *r, const struct yaml *node,
                             const char *key)
{
    if (node->kind == YAML_TEXT)
        return read_any_measurements(r, node, key);
    if (node->kind != YAML_MAP || node->n == 0)
        return policy_refuse(r, node, key, "give a map of registers to lists of acceptable values");
    r->policy->registers = mem_alloc_array(POLICY_REGISTERS_MAX, sizeof *r->policy->registers);
    ENSURE(r->policy->registers != NULL, NOMEM);
    for (const struct yaml *pair = node->first; pair != NULL; pair = pair->next) {
        if (pair->kind == YAML_MAP)
            TRY(read_platform_registers(r, pair));
        else
            TRY(read_register(r, pair, NULL));
    }
    if (r->policy->registers_n == 0)
        return policy_refuse(r, node, key, "name at least one register");
    return OK;
}

/* --- the other keys -------------------------------------------------------------------------- */

static err read_platform(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    struct policy *p = r->policy;
    const struct verifier *v =
        node->kind == YAML_TEXT ? verifier_find(bytes_str(node->text)) : NULL;
    if (v == NULL)
        return policy_refuse(r, node, key, "this program cannot verify that platform");
    if (policy_names_platform(p, bytes_str(v->platform)))
        return policy_refuse(r, node, key, "named twice");
    if (p->platforms_n == POLICY_PLATFORMS_MAX)
        return policy_refuse(r, node, key, "too many platforms");
    p->platforms[p->platforms_n++] = v->platform;
    return OK;
}

static err read_platforms(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    if (node->kind != YAML_LIST || node->n == 0)
        return policy_refuse(r, node, key, "give a list in brackets with at least one platform");
    for (const struct yaml *item = node->first; item != NULL; item = item->next)
        TRY(read_platform(r, item, key));
    return OK;
}

static err read_operator_keys(const struct policy_reading *r, const struct yaml *node,
                              const char *key)
{
    struct policy_item form = { CLAIMS_KEY_LEN, 0, "give each key as 64 hex digits" };
    return policy_read_list(r, node, key, form, &r->policy->operator_keys);
}

static err read_model_digests(const struct policy_reading *r, const struct yaml *node,
                              const char *key)
{
    struct policy_item form = { CLAIMS_DIGEST_LEN, 0, "give each SHA-256 as 64 hex digits" };
    return policy_read_list(r, node, key, form, &r->policy->model_digests);
}

static err read_worker_names(const struct policy_reading *r, const struct yaml *node,
                             const char *key)
{
    struct policy_item form = { 0, CLAIMS_WORKER_MAX, "give each name in at most 64 characters" };
    return policy_read_list(r, node, key, form, &r->policy->worker_names);
}

static err read_minimum_software(const struct policy_reading *r, const struct yaml *node,
                                 const char *key)
{
    bytes text = node->kind == YAML_TEXT ? bytes_str(node->text) : (bytes){ 0 };
    if (text.len > CLAIMS_SOFTWARE_MAX || !policy_software_reaches(text, text))
        return policy_refuse(r, node, key, "give a version of dotted numbers: 0.1.0");
    r->policy->minimum_software = BUF(CLAIMS_SOFTWARE_MAX);
    return buf_add(&r->policy->minimum_software, text);
}

static err read_max_age(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    return read_seconds(r, node, key, POLICY_AGE_S_MAX, &r->policy->max_age_s);
}

static err read_clock_skew(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    return read_seconds(r, node, key, POLICY_SKEW_S_MAX, &r->policy->skew_s);
}

/* What a platform's own section needs. explain() is silent when the platform is not named. */
static const struct {
    const char *key;
    err (*read)(const struct policy_reading *r, const struct yaml *node, const char *key);
    void (*free)(struct policy *p);
    err (*explain)(const struct policy *p, struct buf *out);
} sections[] = {
    { "enrolled", enrolled_policy_read, enrolled_policy_free, enrolled_policy_explain },
    { "gcp", gcp_policy_read, gcp_policy_free, gcp_policy_explain },
    { "nitro", nitro_policy_read, nitro_policy_free, nitro_policy_explain },
    { "nvidia", nvgpu_policy_read, nvgpu_policy_free, nvgpu_policy_explain },
    { "snp", snp_policy_read, snp_policy_free, snp_policy_explain },
    { "tdx", tdx_policy_read, tdx_policy_free, tdx_policy_explain },
};

/* Read in this order whatever the order in the file: measurements need to know the platforms. */
static const struct {
    const char *key;
    bool required;
    err (*read)(const struct policy_reading *r, const struct yaml *node, const char *key);
} keys[] = {
    { "platforms", true, read_platforms },
    { "measurements", true, read_measurements },
    { "operator_keys", false, read_operator_keys },
    { "model_digests", false, read_model_digests },
    { "worker_names", false, read_worker_names },
    { "minimum_software", false, read_minimum_software },
    { "max_age", false, read_max_age },
    { "clock_skew", false, read_clock_skew },
};

static bool is_known_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (bytes_equal(bytes_str(key), bytes_str(keys[i].key)))
            return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (bytes_equal(bytes_str(key), bytes_str(sections[i].key)))
            return true;
    }
    return false;
}

static err check_keys(const struct policy_reading *r, const struct yaml *root)
{
    if (root->kind != YAML_MAP)
        return policy_refuse(r, root, "policy", "give a map of settings");
    for (const struct yaml *pair = root->first; pair != NULL; pair = pair->next) {
        if (!is_known_key(pair->key))
            return policy_refuse(r, pair, pair->key, "no such setting in a policy");
    }
    return OK;
}

static err read_keys(const struct policy_reading *r, const struct yaml *root)
{
    TRY(check_keys(r, root));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const struct yaml *node = yaml_get(root, keys[i].key);
        if (node != NULL)
            TRY(keys[i].read(r, node, keys[i].key));
        else if (keys[i].required)
            return policy_refuse(r, root, keys[i].key,
                                 "missing, and nothing is accepted without it");
    }
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        const struct yaml *node = yaml_get(root, sections[i].key);
        if (node != NULL)
            TRY(sections[i].read(r, node, sections[i].key));
    }
    return OK;
}

/* --- the whole ------------------------------------------------------------------------------- */

static err read_tree(struct policy **out, bytes text, const char *name, struct buf *message)
{
    struct yaml *root;
    err e = yaml_read(&root, text, name, message);
    if (e.code == ERR_MALFORMED || e.code == ERR_LIMIT)
        FAIL(CONFIG);
    TRY(e);
    struct policy *p;
    e = mem_new(&p);
    if (!err_is_ok(e)) {
        yaml_free(root);
        return e;
    }
    p->max_age_s = POLICY_AGE_S_DEFAULT;
    p->skew_s = POLICY_SKEW_S_DEFAULT;
    e = read_keys(&(struct policy_reading){ .policy = p, .name = name, .message = message }, root);
    yaml_free(root);
    if (err_is_ok(e))
        *out = p;
    else
        policy_free(p);
    return e;
}

err policy_read(struct policy **out, bytes yaml, const char *name, struct buf *message)
{
    return read_tree(out, yaml, name, message);
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->registers_n; i++)
        policy_list_clear(&p->registers[i].values);
    mem_free(p->registers);
    policy_list_clear(&p->operator_keys);
    policy_list_clear(&p->model_digests);
    policy_list_clear(&p->worker_names);
    buf_clear(&p->minimum_software);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        sections[i].free(p);
    mem_free(p);
}

bool policy_names_platform(const struct policy *p, bytes platform)
{
    for (size_t i = 0; i < p->platforms_n; i++) {
        if (bytes_equal(platform, bytes_str(p->platforms[i])))
            return true;
    }
    return false;
}

/* --- versions -------------------------------------------------------------------------------- */

enum { VERSION_NUMBERS = 4, VERSION_DIGITS = 9 };

struct version {
    uint64_t number[VERSION_NUMBERS];
    bytes before; /* what follows a `-`, up to a `+` */
};

static size_t count_digits(bytes text)
{
    size_t n = 0;
    while (n < text.len && text.at[n] >= '0' && text.at[n] <= '9')
        n++;
    return n;
}

/* *rest is what stands behind the numbers. */
static bool take_numbers(bytes text, struct version *out, bytes *rest)
{
    for (size_t i = 0; i < VERSION_NUMBERS; i++) {
        size_t n = count_digits(text);
        if (n > VERSION_DIGITS || !text_u64(bytes_slice(text, 0, n), &out->number[i]))
            return false;
        text = bytes_slice(text, n, text.len);
        if (text.len == 0 || text.at[0] != '.') {
            *rest = text;
            return true;
        }
        text = bytes_slice(text, 1, text.len);
    }
    return false;
}

static bool version_read(bytes text, struct version *out)
{
    bytes rest;
    *out = (struct version){ 0 };
    if (!take_numbers(text, out, &rest))
        return false;
    if (rest.len == 0)
        return true;
    if (rest.at[0] == '-')
        out->before = bytes_slice(rest, 1, text_find(rest, BYTES_LIT("+")) - 1);
    return rest.at[0] == '+' || out->before.len > 0;
}

bool policy_software_reaches(bytes have, bytes least)
{
    struct version a;
    struct version b;
    if (!version_read(have, &a) || !version_read(least, &b))
        return false;
    for (size_t i = 0; i < VERSION_NUMBERS; i++) {
        if (a.number[i] != b.number[i])
            return a.number[i] > b.number[i];
    }
    return a.before.len == 0 || bytes_equal(a.before, b.before);
}

/* --- in words -------------------------------------------------------------------------------- */

static err explain_list(const struct policy_list *list, const char *what, bool hex, struct buf *out)
{
    if (list->n == 0)
        return buf_addf(out, "%s: not asked\n", what);
    TRY(buf_addf(out, "%s: one of\n", what));
    for (size_t i = 0; i < list->n; i++) {
        bytes item = buf_view(&list->items[i]);
        TRY(buf_add_str(out, "    "));
        TRY(hex ? text_hex_encode(out, item) : buf_add(out, item));
        TRY(buf_add_u8(out, '\n'));
    }
    return OK;
}

static err explain_registers(const struct policy *p, struct buf *out)
{
    if (p->any_measurements)
        TRY(buf_add_str(out, "measurements: NOT COMPARED (simulated platform only)\n"));
    for (size_t i = 0; i < p->registers_n; i++) {
        const struct policy_register *rule = &p->registers[i];
        TRY(buf_addf(out, "%s%s", rule->platform != NULL ? rule->platform : "",
                     rule->platform != NULL ? " " : ""));
        TRY(explain_list(&rule->values, rule->name, true, out));
    }
    return OK;
}

err policy_explain(const struct policy *p, struct buf *out)
{
    TRY(buf_add_str(out, "platforms:"));
    for (size_t i = 0; i < p->platforms_n; i++)
        TRY(buf_addf(out, " %s", p->platforms[i]));
    TRY(buf_add_u8(out, '\n'));
    if (policy_names_platform(p, BYTES_LIT("simulated")))
        TRY(buf_add_str(out, "WARNING: accepts SIMULATED evidence, which protects nothing\n"));
    TRY(explain_registers(p, out));
    TRY(explain_list(&p->operator_keys, "operator key", true, out));
    TRY(explain_list(&p->model_digests, "model manifest digest", true, out));
    TRY(explain_list(&p->worker_names, "worker name", false, out));
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        TRY(sections[i].explain(p, out));
    bytes least = buf_view(&p->minimum_software);
    TRY(buf_add_str(out, "software: "));
    TRY(least.len > 0 ? buf_add(out, least) : buf_add_str(out, "any version"));
    TRY(buf_add_str(out, least.len > 0 ? " or later\n" : "\n"));
    return buf_addf(out, "evidence at most %u s old, clocks at most %u s apart\n", p->max_age_s,
                    p->skew_s);
}
