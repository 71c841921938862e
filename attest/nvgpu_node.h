/*
 * attest/nvgpu_node.h - all NVIDIA devices of one machine, under one nonce.
 *
 * Each device by itself (attest/nvgpu_verify.h), then the set: every leaf's key once, exactly as many
 * GPUs and switches as expected, and with switches the links: all GPUs list the same switches, which
 * are the ones that gave evidence, and all switches list the same GPUs, not more than there are. (A
 * genuine switch lists one GPU twice, and GPUs do not say which they are: so not exactly as many.)
 */
#pragma once

#include "attest/nvgpu_verify.h"

enum { NVGPU_DEVICES_MAX = 16 };

struct nvgpu_node {
    const struct nvgpu_device *devices;
    size_t devices_n;
    size_t expected_gpus;
    size_t expected_switches;
};

/* results has room for devices_n. *why is NVGPU_OK only when all of it holds; *at is the device that
 * failed, or devices_n when it is the set. */
err nvgpu_node_verify(const struct nvgpu_node *node, const struct nvgpu_settings *settings,
                      struct nvgpu_result *results, enum nvgpu_reason *why, size_t *at);
