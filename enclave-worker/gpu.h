/*
 * enclave-worker/gpu.h - evidence of this machine's NVIDIA GPUs beside that of its TEE, when there are
 * some in confidential mode: the setting `gpu`.
 *
 * Whether there are any is found out once, at start. From then on every question for evidence has
 * theirs or fails: a worker never goes on without what it began with. Manifests and OCSP answers are
 * left to gateways. Asking may block.
 */
#pragma once

#include "attest/nvml.h"

struct gpu;

enum gpu_use { GPU_AUTO = 0, GPU_OFF, GPU_REQUIRED };

/* The words of the setting, in the order of enum gpu_use; ends with NULL. */
extern const char *const gpu_words[];

enum gpu_found {
    GPU_NONE = 0,    /* no library of NVIDIA's, or no GPU, or it is not wanted */
    GPU_NOT_PRIVATE, /* not in confidential mode, or open to debuggers: no evidence */
    GPU_PRIVATE
};

/* *out is NULL unless *found is GPU_PRIVATE. calls NULL: the library that is installed. With
 * GPU_REQUIRED anything else is ERR_CONFIG, and *message says what is missing. */
err gpu_open(struct gpu **out, enum gpu_use use, const struct nvml_calls *calls,
             enum gpu_found *found, struct buf *message);
void gpu_close(struct gpu *g);

/* Appends evidence of all GPUs for the bundle with that nonce and identity. NULL: there are none, and
 * nothing is appended. */
err gpu_evidence(const struct gpu *g, bytes nonce, bytes identity, struct buf *out);
