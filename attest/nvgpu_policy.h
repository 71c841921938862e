/*
 * attest/nvgpu_policy.h - which NVIDIA devices a user accepts: the section `nvidia` of a policy
 * (attest/policy.h). Without it GPU evidence is refused, since nobody said what to expect; with it a
 * worker without GPU evidence is refused.
 *
 *     nvidia:
 *       gpus: 8                      # required; exactly as many
 *       switches: 4                  # exactly as many; default 0
 *       models: [GH100, GB100]       # first word of the device certificate's name; default any
 *       minimum_driver: 550.90.07    # dotted numbers; default none
 *       manifests: true              # all measurements as in NVIDIA's signed manifests; default
 *       revocation: true             # OCSP answers for all device certificates that have one; default
 *       nras: false                  # NVIDIA's Remote Attestation Service accepts the GPUs too; it
 *                                    # then sees their evidence; default
 *
 * A report does not say whether the GPU's development mode (DEVTOOLS) is on, nor that the GPU is
 * attached to this very machine: that is for the measured software of the CPU's TEE to see to.
 */
#pragma once

#include "attest/nvgpu_node.h"
#include "attest/policy.h"

enum { NVGPU_POLICY_MODEL_MAX = 16, NVGPU_POLICY_VERSION_MAX = 32 };

struct nvgpu_policy {
    size_t gpus;
    size_t switches;
    struct policy_list models; /* n 0: any */
    struct buf minimum_driver; /* empty: any */
    bool manifests;
    bool revocation;
    bool nras;
};

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err nvgpu_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void nvgpu_policy_free(struct policy *p);
err nvgpu_policy_explain(const struct policy *p, struct buf *out);
