#include "attest/nvgpu.h"

#include "attest/nvgpu_nras.h"
#include "attest/nvgpu_policy.h"
#include "attest/nvgpu_rim.h"
#include "base/mem.h"
#include "crypto/ocsp.h"

/* Too large for the stack, so in one piece of memory. */
struct run {
    const struct nvgpu_policy *policy;
    struct nvgpu_settings settings;
    struct nvgpu_settings rim_settings;
    struct nvgpu_bundle bundle;
    struct nvgpu_result results[NVGPU_DEVICES_MAX];
    struct nvgpu_rim rims[NVGPU_RIMS_MAX];
    uint8_t nonce[NVGPU_NONCE_LEN];
};

static enum reason reason_for(enum nvgpu_reason r)
{
    switch (r) {
    case NVGPU_OK:
        return REASON_PASSED;
    case NVGPU_UNCHECKED:
        return REASON_UNCHECKED;
    case NVGPU_MALFORMED:
        return REASON_MALFORMED;
    case NVGPU_UNTRUSTED_ROOT:
    case NVGPU_CHAIN:
    case NVGPU_TYPE:
        return REASON_BAD_CHAIN;
    case NVGPU_SIGNATURE:
        return REASON_BAD_SIGNATURE;
    case NVGPU_NO_COLLATERAL:
    case NVGPU_RIM:
        return REASON_NO_COLLATERAL;
    case NVGPU_REVOKED:
        return REASON_REVOKED;
    case NVGPU_VERSION:
        return REASON_TCB_LOW;
    case NVGPU_NONCE:
    case NVGPU_FWID:
    case NVGPU_COUNT:
    case NVGPU_DUPLICATE_DEVICE:
    case NVGPU_TOPOLOGY:
    case NVGPU_MEASUREMENT:
    case NVGPU_MODEL:
    case NVGPU_SERVICE:
        return REASON_MISMATCH;
    }
    return REASON_UNCHECKED;
}

/* --- what the policy names --------------------------------------------------------------------- */

static bool model_is_named(const struct nvgpu_policy *p, const char *model)
{
    bytes name = bytes_str(model);
    for (size_t i = 0; i < p->models.n; i++) {
        bytes one = buf_view(&p->models.items[i]);
        bool whole_word = name.len == one.len || (name.len > one.len && name.at[one.len] == ' ');
        if (whole_word && bytes_starts(name, one))
            return true;
    }
    return p->models.n == 0;
}

/* A switch has no driver of its own. */
static enum nvgpu_reason check_named(const struct run *r, size_t i)
{
    bytes least = buf_view(&r->policy->minimum_driver);
    bool is_gpu = r->bundle.devices[i].kind == NVGPU_GPU;
    if (is_gpu && !model_is_named(r->policy, r->results[i].model))
        return NVGPU_MODEL;
    if (is_gpu && least.len > 0 &&
        !policy_software_reaches(bytes_str(r->results[i].report.driver), least))
        return NVGPU_VERSION;
    return NVGPU_OK;
}

/* --- revocation -------------------------------------------------------------------------------- */

/* One answer that says revoked outweighs any that says good. */
static err check_certificate(const struct run *r, bytes cert, bytes issuer, enum nvgpu_reason *why)
{
    *why = NVGPU_NO_COLLATERAL;
    for (size_t i = 0; i < r->bundle.ocsp_n && *why != NVGPU_REVOKED; i++) {
        enum ocsp_outcome outcome;
        struct ocsp_query q = { .response = r->bundle.ocsp[i],
                                .certificate = cert,
                                .issuer = issuer,
                                .at_s = r->settings.at_s };
        TRY(ocsp_check(&q, &outcome));
        if (outcome == OCSP_IS_GOOD)
            *why = NVGPU_OK;
        else if (outcome == OCSP_IS_REVOKED)
            *why = NVGPU_REVOKED;
    }
    return OK;
}

/* NVIDIA's responder does not know leaves; nobody revokes a root. */
static err check_revocation(const struct run *r, size_t i, enum nvgpu_reason *why)
{
    const struct nvgpu_device *d = &r->bundle.devices[i];
    *why = NVGPU_OK;
    if (!r->policy->revocation)
        return OK;
    for (size_t k = 1; k + 1 < d->certs_n && *why == NVGPU_OK; k++)
        TRY(check_certificate(r, d->certs[k], d->certs[k + 1], why));
    return OK;
}

/* --- the whole --------------------------------------------------------------------------------- */

static err read_rims(struct run *r)
{
    for (size_t i = 0; r->policy->manifests && i < r->bundle.rims_n; i++)
        TRY(nvgpu_rim_verify(r->bundle.rims[i], &r->rim_settings, &r->rims[i]));
    return OK;
}

/* A second opinion, on all GPUs together. */
static err check_service(const struct run *r, enum nvgpu_reason *why)
{
    struct nras_result result;
    const struct nras_query query = { .answer = r->bundle.nras,
                                      .jwks = r->bundle.jwks,
                                      .issuer = BYTES_LIT(NRAS_SERVICE),
                                      .nonce = r->settings.nonce,
                                      .at_s = r->settings.at_s,
                                      .expected_gpus = r->policy->gpus };
    if (!r->policy->nras)
        return OK;
    *why = NVGPU_NO_COLLATERAL;
    if (query.answer.len == 0)
        return OK;
    err e = nras_verify(&query, &result);
    *why = result.reason == NRAS_OK ? NVGPU_OK : NVGPU_SERVICE;
    nras_clear(&result);
    return e;
}

static err check_device(struct run *r, size_t i, enum nvgpu_reason *why)
{
    *why = check_named(r, i);
    if (*why == NVGPU_OK)
        TRY(check_revocation(r, i, why));
    if (*why == NVGPU_OK && r->policy->manifests)
        *why = nvgpu_rim_compare(&r->results[i], r->bundle.devices[i].kind, r->rims,
                                 r->bundle.rims_n, NULL);
    return OK;
}

static err run_checks(struct run *r, enum nvgpu_reason *why)
{
    size_t at;
    struct nvgpu_node node = { .devices = r->bundle.devices,
                               .devices_n = r->bundle.devices_n,
                               .expected_gpus = r->policy->gpus,
                               .expected_switches = r->policy->switches };
    TRY(nvgpu_node_verify(&node, &r->settings, r->results, why, &at));
    if (*why != NVGPU_OK)
        return OK;
    TRY(read_rims(r));
    for (size_t i = 0; i < node.devices_n && *why == NVGPU_OK; i++)
        TRY(check_device(r, i, why));
    return *why == NVGPU_OK ? check_service(r, why) : OK;
}

static void run_init(struct run *r, const struct bundle *b, const struct policy *policy,
                     int64_t now, const struct nvgpu_means *means)
{
    r->policy = policy->nvidia;
    nvgpu_nonce(b->nonce, b->identity, r->nonce);
    r->settings = (struct nvgpu_settings){ .nonce = BYTES_ARRAY(r->nonce), .at_s = now };
    r->rim_settings = (struct nvgpu_settings){ .at_s = now };
    r->settings.roots = means->device;
    r->settings.roots_n = means->device != NULL;
    r->rim_settings.roots = means->rim;
    r->rim_settings.roots_n = means->rim != NULL;
}

static err examine(struct run *r, bytes evidence, bytes collateral, enum nvgpu_reason *why)
{
    *why = NVGPU_MALFORMED;
    err e = nvgpu_bundle_read(evidence, &r->bundle);
    if (err_is_ok(e) && collateral.len > 0)
        e = nvgpu_collateral_add(collateral, &r->bundle);
    return err_is_ok(e) ? run_checks(r, why) : OK;
}

/* True when there is nothing more to look at. */
static bool settle_without_looking(const struct bundle *b, const struct policy *policy,
                                   struct verifier_outcome *out)
{
    bool wanted = policy->nvidia != NULL, there = b->gpu_evidence.len > 0;
    if (wanted && there)
        return false;
    if (!wanted && !there)
        *out = (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_APPLICABLE };
    else
        *out = (struct verifier_outcome){ VERDICT_FAIL,
                                          wanted ? REASON_ABSENT : REASON_NO_EXPECTATION };
    return true;
}

err nvgpu_examine(const struct bundle *b, const struct policy *policy, int64_t now,
                  const struct nvgpu_means *means, struct verifier_outcome *out,
                  const char **subject)
{
    struct run *r;
    enum nvgpu_reason why = NVGPU_UNCHECKED;
    if (settle_without_looking(b, policy, out))
        return OK;
    TRY(mem_new(&r));
    run_init(r, b, policy, now, means);
    err e = examine(r, b->gpu_evidence, means->collateral, &why);
    for (size_t i = 0; i < NVGPU_RIMS_MAX; i++)
        nvgpu_rim_clear(&r->rims[i]);
    mem_free(r);
    TRY(e);
    out->status = why == NVGPU_OK ? VERDICT_PASS : VERDICT_FAIL;
    out->reason = reason_for(why);
    *subject = why == NVGPU_OK ? NULL : nvgpu_reason_word(why);
    return OK;
}
