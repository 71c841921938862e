/*
 * Stands in for NVIDIA's management library, where a worker finds it by LD_LIBRARY_PATH: GPUs whose
 * reports were recorded, whatever nonce they are asked for. SEALGATE_TEST_NVML is a folder with
 * report and chain (PEM); SEALGATE_TEST_NVML_FEATURE=0 says that confidential computing is off.
 */
#include <stdlib.h>
#include <string.h>

#include "attest/nvml.h"
#include "base/file.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int nvmlInit_v2(void);
EXPORTED int nvmlShutdown(void);
EXPORTED int nvmlDeviceGetCount_v2(unsigned *n);
EXPORTED int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
EXPORTED int nvmlDeviceGetConfComputeGpuAttestationReport(void *device, struct nvml_report *out);
EXPORTED int nvmlDeviceGetConfComputeGpuCertificate(void *device, struct nvml_certificate *out);
EXPORTED int nvmlSystemGetConfComputeSettings(struct nvml_settings *out);

enum { FAILED = 999 };

static int read_recorded(const char *name, uint8_t *to, size_t room, uint32_t *len)
{
    const char *folder = getenv("SEALGATE_TEST_NVML"); /* NOLINT(concurrency-mt-unsafe) */
    BUF_AUTO path = BUF(512);
    BUF_AUTO content = BUF(room);
    if (folder == NULL || !err_is_ok(buf_addf(&path, "%s/%s", folder, name)) ||
        !err_is_ok(file_read(&content, buf_str(&path))))
        return FAILED;
    memcpy(to, content.at, content.len);
    *len = (uint32_t)content.len;
    return 0;
}

int nvmlInit_v2(void)
{
    return 0;
}

int nvmlShutdown(void)
{
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *n)
{
    *n = 1;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    static char only;
    *device = &only;
    return index == 0 ? 0 : FAILED;
}

int nvmlDeviceGetConfComputeGpuAttestationReport(void *device, struct nvml_report *out)
{
    (void)device;
    return read_recorded("report", out->report, sizeof out->report, &out->size);
}

int nvmlDeviceGetConfComputeGpuCertificate(void *device, struct nvml_certificate *out)
{
    (void)device;
    return read_recorded("chain", out->attestation_chain, sizeof out->attestation_chain,
                         &out->attestation_size);
}

int nvmlSystemGetConfComputeSettings(struct nvml_settings *out)
{
    const char *feature = getenv("SEALGATE_TEST_NVML_FEATURE"); /* NOLINT(concurrency-mt-unsafe) */
    out->feature = feature == NULL || strcmp(feature, "0") != 0;
    out->dev_tools = 0;
    return 0;
}
