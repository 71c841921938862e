#include "attest/nvgpu_summary.h"

#include "attest/nvgpu_bundle.h"
#include "base/mem.h"
#include "crypto/hash.h"

static err count(struct nvgpu_bundle *b, bytes evidence, struct verdict_gpu *out)
{
    TRY(nvgpu_bundle_read(evidence, b));
    for (size_t i = 0; i < b->devices_n; i++) {
        out->gpus += b->devices[i].kind == NVGPU_GPU;
        out->switches += b->devices[i].kind == NVGPU_SWITCH;
    }
    if (out->gpus > 0)
        sha256_of(evidence, out->digest);
    else
        out->switches = 0;
    return OK;
}

err nvgpu_summary(bytes gpu_evidence, struct verdict_gpu *out)
{
    struct nvgpu_bundle *b;
    memset(out, 0, sizeof *out);
    if (gpu_evidence.len == 0)
        return OK;
    TRY(mem_new(&b));
    err e = count(b, gpu_evidence, out);
    mem_free(b);
    return e;
}
