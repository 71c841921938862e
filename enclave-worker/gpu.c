#include "enclave-worker/gpu.h"

#include "attest/nvgpu_bundle.h"
#include "base/mem.h"

struct gpu {
    struct nvml *library;
};

const char *const gpu_words[] = { "auto", "off", "required", NULL };

static err open_library(struct nvml **out, const struct nvml_calls *calls)
{
    return calls != NULL ? nvml_open_with(out, calls) : nvml_open(out, NULL);
}

/* No library, no GPU and a driver that is too old are all the same: nothing to show. */
static err look(struct nvml **out, const struct nvml_calls *calls, enum gpu_found *found)
{
    struct nvml *library;
    *found = GPU_NONE;
    err e = open_library(&library, calls);
    if (!err_is_ok(e))
        return e.code == ERR_UNAVAILABLE ? OK : e;
    e = nvml_check(library);
    if (err_is_ok(e)) {
        *found = GPU_PRIVATE;
        *out = library;
        return OK;
    }
    nvml_close(library);
    *found = e.code == ERR_DENIED ? GPU_NOT_PRIVATE : GPU_NONE;
    return e.code == ERR_DENIED || e.code == ERR_UNAVAILABLE ? OK : e;
}

static err refuse(enum gpu_found found, struct buf *message)
{
    TRY(buf_add_str(message, found == GPU_NOT_PRIVATE
                                 ? "gpu: the GPUs are not in confidential mode, or are open to "
                                   "debuggers (DevTools); set the mode, or gpu: off"
                                 : "gpu: there is no NVIDIA GPU, or no driver whose library "
                                   "(" NVML_LIBRARY ") can attest one; install it, or gpu: off"));
    FAIL(CONFIG);
}

err gpu_open(struct gpu **out, enum gpu_use use, const struct nvml_calls *calls,
             enum gpu_found *found, struct buf *message)
{
    struct nvml *library = NULL;
    struct gpu *g;
    *out = NULL;
    *found = GPU_NONE;
    if (use != GPU_OFF)
        TRY(look(&library, calls, found));
    if (use == GPU_REQUIRED && *found != GPU_PRIVATE)
        return refuse(*found, message);
    if (*found != GPU_PRIVATE)
        return OK;
    err e = mem_new(&g);
    if (!err_is_ok(e)) {
        nvml_close(library);
        return e;
    }
    g->library = library;
    *out = g;
    return OK;
}

void gpu_close(struct gpu *g)
{
    if (g == NULL)
        return;
    nvml_close(g->library);
    mem_free(g);
}

err gpu_evidence(const struct gpu *g, bytes nonce, bytes identity, struct buf *out)
{
    uint8_t gpu_nonce[NVGPU_NONCE_LEN];
    if (g == NULL)
        return OK;
    nvgpu_nonce(nonce, identity, gpu_nonce);
    return nvml_collect(g->library, BYTES_ARRAY(gpu_nonce), NULL, out);
}
