#include "attest/nvgpu_node.h"

#include "base/bytes.h"

struct pdis {
    uint8_t list[NVGPU_PDIS_MAX][NVGPU_PDI_LEN];
    size_t n;
};

static bool same_pdis(const struct pdis *a, const struct pdis *b)
{
    return bytes_equal(bytes_of(a->list, a->n * NVGPU_PDI_LEN),
                       bytes_of(b->list, b->n * NVGPU_PDI_LEN));
}

static bool has_duplicate(const struct nvgpu_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (bytes_equal(BYTES_ARRAY(results[i].key), BYTES_ARRAY(results[k].key)))
                return true;
        }
    }
    return false;
}

static bool has_pdi(const struct pdis *in, bytes pdi)
{
    for (size_t i = 0; i < in->n; i++) {
        if (bytes_equal(BYTES_ARRAY(in->list[i]), pdi))
            return true;
    }
    return false;
}

/* All devices of a kind have to list the same ones; the first sets what that is. */
static bool agree(const struct nvgpu_node *node, const struct nvgpu_result *results,
                  enum nvgpu_kind kind, struct pdis *out)
{
    bool first = true;
    for (size_t i = 0; i < node->devices_n; i++) {
        struct pdis one = { 0 };
        if (node->devices[i].kind != kind)
            continue;
        one.n = kind == NVGPU_GPU ? nvgpu_switch_pdis(&results[i].report, one.list)
                                  : nvgpu_gpu_pdis(&results[i].report, one.list);
        if (!first && !same_pdis(&one, out))
            return false;
        *out = one;
        first = false;
    }
    return true;
}

/* Each switch that gave evidence is one of those listed, and none of those listed gave none. */
static bool switches_are_listed(const struct nvgpu_node *node, const struct nvgpu_result *results,
                                const struct pdis *listed)
{
    struct pdis seen = { 0 };
    for (size_t i = 0; i < node->devices_n; i++) {
        bytes own = nvgpu_field(&results[i].report, NVGPU_FIELD_SWITCH_PDIS);
        if (node->devices[i].kind != NVGPU_SWITCH)
            continue;
        if (own.len != NVGPU_PDI_LEN || !has_pdi(listed, own) || has_pdi(&seen, own))
            return false;
        memcpy(seen.list[seen.n++], own.at, NVGPU_PDI_LEN);
    }
    return seen.n == listed->n;
}

static bool links_hold(const struct nvgpu_node *node, const struct nvgpu_result *results)
{
    struct pdis switches = { 0 }, gpus = { 0 };
    return agree(node, results, NVGPU_GPU, &switches) &&
           agree(node, results, NVGPU_SWITCH, &gpus) &&
           switches_are_listed(node, results, &switches) && gpus.n > 0 &&
           gpus.n <= node->expected_gpus;
}

static size_t count(const struct nvgpu_node *node, enum nvgpu_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < node->devices_n; i++)
        n += node->devices[i].kind == kind;
    return n;
}

static enum nvgpu_reason check_set(const struct nvgpu_node *node,
                                   const struct nvgpu_result *results)
{
    if (has_duplicate(results, node->devices_n))
        return NVGPU_DUPLICATE_DEVICE;
    if (node->devices_n == 0 || count(node, NVGPU_GPU) != node->expected_gpus ||
        count(node, NVGPU_SWITCH) != node->expected_switches)
        return NVGPU_COUNT;
    return node->expected_switches == 0 || links_hold(node, results) ? NVGPU_OK : NVGPU_TOPOLOGY;
}

err nvgpu_node_verify(const struct nvgpu_node *node, const struct nvgpu_settings *settings,
                      struct nvgpu_result *results, enum nvgpu_reason *why, size_t *at)
{
    *why = NVGPU_COUNT;
    *at = node->devices_n;
    if (node->devices_n > NVGPU_DEVICES_MAX)
        return OK;
    for (size_t i = 0; i < node->devices_n; i++) {
        TRY(nvgpu_verify(&node->devices[i], settings, &results[i]));
        if (results[i].accepted)
            continue;
        *why = results[i].reason;
        *at = i;
        return OK;
    }
    *why = check_set(node, results);
    return OK;
}
