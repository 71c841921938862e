/*
 * attest/nvgpu.h - the `gpu` check of a verification: GPU evidence against a policy's `nvidia`.
 *
 * In this order: form; each device by itself for the nonce that derives from the bundle's nonce and
 * identity; the set; models and driver; OCSP answers for every certificate between leaf and root;
 * manifests; where the policy wants it, the word of NVIDIA's service. That the CPU's report data
 * covers the evidence is the binding check's.
 */
#pragma once

#include "attest/nvgpu_bundle.h"
#include "attest/verifier.h"

/* Zero: nothing but the bundle, and the pinned roots. */
struct nvgpu_means {
    bytes collateral; /* nvgpu_collateral_write(): beside what the bundle carries; empty: none */
    const struct x509_root *device; /* NULL: only the pinned one; for tests */
    const struct x509_root *rim;    /* likewise */
};

/* Fills *out, and *subject (static) when it fails. An err is for memory, never for evidence that is
 * wrong. */
err nvgpu_examine(const struct bundle *b, const struct policy *policy, int64_t now,
                  const struct nvgpu_means *means, struct verifier_outcome *out,
                  const char **subject);
