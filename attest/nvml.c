#include "attest/nvml.h"

#include <dlfcn.h>

#include "attest/nvgpu_bundle.h"
#include "base/mem.h"
#include "crypto/pem.h"

#define SETTINGS_VERSION ((uint32_t)(sizeof(struct nvml_settings) | 1U << 24U))

enum { FEATURE_ON = 1, DEV_TOOLS_OFF = 0 };

struct nvml {
    void *library; /* NULL: the functions are somebody else's */
    struct nvml_calls calls;
};

/* --- the library ------------------------------------------------------------------------------- */

/* ISO C has no cast from an object's address to a function's; POSIX promises that this works. */
static bool look_up(void *library, const char *name, void *function)
{
    void *at = dlsym(library, name);
    memcpy(function, &at, sizeof at);
    return at != NULL;
}

static bool look_up_all(struct nvml *n)
{
    struct nvml_calls *c = &n->calls;
    return look_up(n->library, "nvmlInit_v2", &c->init) &&
           look_up(n->library, "nvmlShutdown", &c->shutdown) &&
           look_up(n->library, "nvmlDeviceGetCount_v2", &c->count) &&
           look_up(n->library, "nvmlDeviceGetHandleByIndex_v2", &c->handle) &&
           look_up(n->library, "nvmlDeviceGetConfComputeGpuAttestationReport", &c->report) &&
           look_up(n->library, "nvmlDeviceGetConfComputeGpuCertificate", &c->certificate) &&
           look_up(n->library, "nvmlSystemGetConfComputeSettings", &c->settings);
}

static err start(struct nvml *n)
{
    ENSURE(n->calls.init() == 0, UNAVAILABLE);
    return OK;
}

err nvml_open(struct nvml **out, const char *path)
{
    struct nvml *n;
    TRY(mem_new(&n));
    n->library = dlopen(path != NULL ? path : NVML_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    err e = { ERR_UNAVAILABLE };
    if (n->library != NULL && look_up_all(n))
        e = start(n);
    if (err_is_ok(e)) {
        *out = n;
        return OK;
    }
    if (n->library != NULL)
        (void)dlclose(n->library);
    mem_free(n);
    return e;
}

err nvml_open_with(struct nvml **out, const struct nvml_calls *calls)
{
    struct nvml *n;
    TRY(mem_new(&n));
    n->calls = *calls;
    err e = start(n);
    if (err_is_ok(e))
        *out = n;
    else
        mem_free(n);
    return e;
}

void nvml_close(struct nvml *n)
{
    if (n == NULL)
        return;
    (void)n->calls.shutdown();
    if (n->library != NULL)
        (void)dlclose(n->library);
    mem_free(n);
}

/* --- collecting -------------------------------------------------------------------------------- */

/* What one collection holds until it is written. */
struct work {
    struct nvgpu_bundle bundle;
    struct nvml_report reports[NVML_GPUS_MAX];
    struct nvml_certificate certificates[NVML_GPUS_MAX];
    struct pem_certs chains[NVML_GPUS_MAX];
};

static err check_settings(const struct nvml *n)
{
    struct nvml_settings s = { .version = SETTINGS_VERSION };
    ENSURE(n->calls.settings(&s) == 0, UNAVAILABLE);
    ENSURE(s.feature == FEATURE_ON && s.dev_tools == DEV_TOOLS_OFF, DENIED);
    return OK;
}

err nvml_check(const struct nvml *n)
{
    unsigned count = 0;
    TRY(check_settings(n));
    ENSURE(n->calls.count(&count) == 0 && count > 0, UNAVAILABLE);
    return OK;
}

static err ask_device(const struct nvml *n, unsigned i, bytes nonce, struct work *w)
{
    void *device = NULL;
    struct nvml_report *report = &w->reports[i];
    struct nvml_certificate *certificate = &w->certificates[i];
    /* nvml_collect() has looked at the length, so this pointer is set. */
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker)
    memcpy(report->nonce, nonce.at, NVML_NONCE_LEN);
    ENSURE(n->calls.handle(i, &device) == 0, UNAVAILABLE);
    ENSURE(n->calls.report(device, report) == 0, UNAVAILABLE);
    ENSURE(n->calls.certificate(device, certificate) == 0, UNAVAILABLE);
    ENSURE(report->size > 0 && report->size <= NVML_REPORT_MAX, MALFORMED);
    ENSURE(certificate->attestation_size <= NVML_ATTESTATION_CHAIN_MAX, MALFORMED);
    return OK;
}

static err put_device(unsigned i, struct work *w)
{
    struct nvgpu_device *d = &w->bundle.devices[w->bundle.devices_n++];
    const struct nvml_certificate *certificate = &w->certificates[i];
    struct pem_certs *chain = &w->chains[i];
    TRY(pem_read_certs(chain,
                       bytes_of(certificate->attestation_chain, certificate->attestation_size)));
    ENSURE(chain->n <= NVGPU_CHAIN_MAX, LIMIT);
    d->kind = NVGPU_GPU;
    d->evidence = bytes_of(w->reports[i].report, w->reports[i].size);
    d->certs_n = chain->n;
    for (size_t k = 0; k < chain->n; k++)
        d->certs[k] = chain->certs[k];
    return OK;
}

static err put_extras(const struct nvml_extras *extras, struct nvgpu_bundle *b)
{
    ENSURE(extras->ocsp_n <= NVGPU_OCSP_MAX && extras->rims_n <= NVGPU_RIMS_MAX, LIMIT);
    for (; b->ocsp_n < extras->ocsp_n; b->ocsp_n++)
        b->ocsp[b->ocsp_n] = extras->ocsp[b->ocsp_n];
    for (; b->rims_n < extras->rims_n; b->rims_n++)
        b->rims[b->rims_n] = extras->rims[b->rims_n];
    return OK;
}

static err collect(const struct nvml *n, bytes nonce, const struct nvml_extras *extras,
                   struct work *w)
{
    unsigned count = 0;
    TRY(nvml_check(n));
    ENSURE(n->calls.count(&count) == 0, UNAVAILABLE);
    ENSURE(count <= NVML_GPUS_MAX, LIMIT);
    for (unsigned i = 0; i < count; i++) {
        TRY(ask_device(n, i, nonce, w));
        TRY(put_device(i, w));
    }
    return extras != NULL ? put_extras(extras, &w->bundle) : OK;
}

err nvml_collect(const struct nvml *n, bytes nonce, const struct nvml_extras *extras,
                 struct buf *out)
{
    struct work *w;
    ENSURE(nonce.at != NULL && nonce.len == NVML_NONCE_LEN, INTERNAL);
    TRY(mem_new(&w));
    err e = collect(n, nonce, extras, w);
    if (err_is_ok(e))
        e = nvgpu_bundle_write(out, &w->bundle);
    for (size_t i = 0; i < NVML_GPUS_MAX; i++)
        pem_clear(&w->chains[i]);
    mem_free(w);
    return e;
}
