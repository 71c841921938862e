#include "attest/nvgpu_policy.h"

#include "attest/policy_read.h"
#include "base/mem.h"

static err read_count(const struct policy_reading *r, const struct yaml *node, const char *key,
                      size_t *out)
{
    uint64_t n = 0;
    TRY(policy_read_u64(r, node, key, NVGPU_DEVICES_MAX, &n));
    *out = (size_t)n;
    return OK;
}

static err read_gpus(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    struct nvgpu_policy *p = into;
    return read_count(r, node, key, &p->gpus);
}

static err read_switches(const struct policy_reading *r, const struct yaml *node, const char *key,
                         void *into)
{
    struct nvgpu_policy *p = into;
    return read_count(r, node, key, &p->switches);
}

static err read_models(const struct policy_reading *r, const struct yaml *node, const char *key,
                       void *into)
{
    struct nvgpu_policy *p = into;
    struct policy_item item = { 0, NVGPU_POLICY_MODEL_MAX, "give names of chips: GH100" };
    return policy_read_list(r, node, key, item, &p->models);
}

static err read_minimum_driver(const struct policy_reading *r, const struct yaml *node,
                               const char *key, void *into)
{
    struct nvgpu_policy *p = into;
    bytes text = node->kind == YAML_TEXT ? bytes_str(node->text) : (bytes){ 0 };
    if (text.len > NVGPU_POLICY_VERSION_MAX || !policy_software_reaches(text, text))
        return policy_refuse(r, node, key, "give a version of dotted numbers: 550.90.07");
    p->minimum_driver = BUF(NVGPU_POLICY_VERSION_MAX);
    return buf_add(&p->minimum_driver, text);
}

static err read_manifests(const struct policy_reading *r, const struct yaml *node, const char *key,
                          void *into)
{
    struct nvgpu_policy *p = into;
    return policy_read_bool(r, node, key, &p->manifests);
}

static err read_revocation(const struct policy_reading *r, const struct yaml *node, const char *key,
                           void *into)
{
    struct nvgpu_policy *p = into;
    return policy_read_bool(r, node, key, &p->revocation);
}

static err read_nras(const struct policy_reading *r, const struct yaml *node, const char *key,
                     void *into)
{
    struct nvgpu_policy *p = into;
    return policy_read_bool(r, node, key, &p->nras);
}

static const struct policy_key section_keys[] = {
    { "gpus", read_gpus },           { "switches", read_switches },
    { "models", read_models },       { "minimum_driver", read_minimum_driver },
    { "manifests", read_manifests }, { "revocation", read_revocation },
    { "nras", read_nras },
};

err nvgpu_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key)
{
    TRY(mem_new(&r->policy->nvidia));
    struct nvgpu_policy *p = r->policy->nvidia;
    p->manifests = p->revocation = true;
    TRY(policy_read_map(r, node, key, section_keys, ARRAY_LEN(section_keys), p));
    if (p->gpus == 0)
        return policy_refuse(r, node, key, "say with `gpus` how many are expected");
    return OK;
}

void nvgpu_policy_free(struct policy *p)
{
    if (p->nvidia == NULL)
        return;
    policy_list_clear(&p->nvidia->models);
    buf_clear(&p->nvidia->minimum_driver);
    mem_free(p->nvidia);
    p->nvidia = NULL;
}

err nvgpu_policy_explain(const struct policy *p, struct buf *out)
{
    const struct nvgpu_policy *n = p->nvidia;
    if (n == NULL)
        return OK;
    TRY(buf_addf(out, "nvidia: exactly %zu GPUs and %zu switches\n", n->gpus, n->switches));
    for (size_t i = 0; i < n->models.n; i++) {
        TRY(buf_add_str(out, "nvidia model: "));
        TRY(buf_add(out, buf_view(&n->models.items[i])));
        TRY(buf_add_u8(out, '\n'));
    }
    if (n->minimum_driver.len > 0) {
        TRY(buf_add_str(out, "nvidia driver: at least "));
        TRY(buf_add(out, buf_view(&n->minimum_driver)));
        TRY(buf_add_u8(out, '\n'));
    }
    TRY(buf_addf(out, "nvidia manifests: %s\n", n->manifests ? "required" : "NOT COMPARED"));
    TRY(buf_addf(out, "nvidia revocation: %s\n", n->revocation ? "required" : "NOT CHECKED"));
    return n->nras ? buf_add_str(out, "nvidia service (NRAS): required\n") : OK;
}
