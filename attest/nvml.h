/*
 * attest/nvml.h - collects evidence of the GPUs of this machine through NVIDIA's management library
 * (libnvidia-ml.so.1), if it is installed.
 *
 * The library is opened while the program runs, since machines without GPUs have none. Only the few
 * calls that confidential computing needs are looked up; a test gives its own functions. Switches
 * have another library and are not collected here. What comes out is proved by nobody yet.
 */
#pragma once

#include "base/buf.h"

#define NVML_LIBRARY "libnvidia-ml.so.1"

enum {
    NVML_GPUS_MAX = 16,
    NVML_REPORT_MAX = 0x2000,
    NVML_CEC_MAX = 0x1000,
    NVML_CHAIN_MAX = 0x1000,
    NVML_ATTESTATION_CHAIN_MAX = 0x1400,
    NVML_NONCE_LEN = 32
};

/* nvmlConfComputeGpuAttestationReport_t and nvmlConfComputeGpuCertificate_t of nvml.h. */
struct nvml_report {
    uint32_t is_cec_present;
    uint32_t size;
    uint32_t cec_size;
    uint8_t nonce[NVML_NONCE_LEN];
    uint8_t report[NVML_REPORT_MAX];
    uint8_t cec[NVML_CEC_MAX];
};

struct nvml_certificate {
    uint32_t size;
    uint32_t attestation_size;
    uint8_t chain[NVML_CHAIN_MAX];
    uint8_t attestation_chain[NVML_ATTESTATION_CHAIN_MAX];
};

/* nvmlSystemConfComputeSettings_t, version 1 */
struct nvml_settings {
    uint32_t version;
    uint32_t environment;
    uint32_t feature;   /* 1: confidential computing is on */
    uint32_t dev_tools; /* 1: a debugger may look in */
    uint32_t multi_gpu;
};

/* The library's functions; 0 is success. */
struct nvml_calls {
    int (*init)(void);
    int (*shutdown)(void);
    int (*count)(unsigned *n);
    int (*handle)(unsigned index, void **device);
    int (*report)(void *device, struct nvml_report *report);
    int (*certificate)(void *device, struct nvml_certificate *certificate);
    int (*settings)(struct nvml_settings *settings);
};

struct nvml;

/* path NULL: NVML_LIBRARY. ERR_UNAVAILABLE: no such library, or not all of its functions. */
err nvml_open(struct nvml **out, const char *path);

/* calls are copied; nothing is opened. */
err nvml_open_with(struct nvml **out, const struct nvml_calls *calls);
void nvml_close(struct nvml *n);

/* Can GPUs be asked? ERR_UNAVAILABLE: there is none, or they cannot say. ERR_DENIED: confidential
 * computing is off, or on with development tools. */
err nvml_check(const struct nvml *n);

/* Asks every GPU for a report over that nonce (NVML_NONCE_LEN bytes) and appends the GPU evidence of
 * a bundle (attest/nvgpu_bundle.h), with these answers and manifests in it. ERR_UNAVAILABLE: no GPU,
 * or one that does not answer. ERR_DENIED: confidential computing is off, or on with development
 * tools, which no report shows: such a machine is not to be attested. */
struct nvml_extras {
    const bytes *ocsp;
    size_t ocsp_n;
    const bytes *rims;
    size_t rims_n;
};
err nvml_collect(const struct nvml *n, bytes nonce, const struct nvml_extras *extras,
                 struct buf *out);
