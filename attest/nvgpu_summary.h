/*
 * attest/nvgpu_summary.h - GPU evidence in three numbers, for receipts: how many devices it is of, and
 * its digest. Says nothing about whether it is genuine; ask that first (attest/nvgpu.h).
 */
#pragma once

#include "attest/verdict.h"

/* No evidence at all, or of switches alone, is a summary of zeros. ERR_MALFORMED, ERR_TRUNCATED, ERR_LIMIT as by
 * nvgpu_bundle_read(); *out is then zero. */
err nvgpu_summary(bytes gpu_evidence, struct verdict_gpu *out);
