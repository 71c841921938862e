/*
 * tests/unit/attest/recorded_gpu.h - genuine evidence of one GPU of the published vectors, as a
 * bundle that carries none of what NVIDIA publishes, and what it published at that time.
 */
#pragma once

#include "attest/collateral.h"

enum { RECORDED_GPU_PIECES = 5 };

struct recorded_gpu {
    int64_t at;
    struct bundle bundle; /* borrowed from here */
    struct policy *policy;
    struct buf evidence;
    struct buf pieces[RECORDED_GPU_PIECES]; /* three OCSP answers, manifests of driver and VBIOS */
};

/* False when there are no vectors. */
bool recorded_gpu_open(struct recorded_gpu *out);
/* Puts a device of the vectors, such as "gpu/gb100-590.48.01", in place of the bundle's. */
void recorded_gpu_use(struct recorded_gpu *r, enum nvgpu_kind kind, const char *name);
void recorded_gpu_close(struct recorded_gpu *r);

/* An answer of NVIDIA's service about that GPU and the keys it is signed with, as they came, at
 * RECORDED_GPU_NRAS_S: then the policy asks for nothing else. */
enum { RECORDED_GPU_NRAS_S = 1749602000 };
void recorded_gpu_use_nras(struct recorded_gpu *r, struct buf *answer, struct buf *jwks);

/* The one that the plan's need asks for, or empty. */
bytes recorded_gpu_piece(const struct recorded_gpu *r, const struct collateral_plan *plan,
                         size_t need);
