/*
 * tests/unit/attest/nvgpu_maker.h - GPU and switch evidence, OCSP answers and manifests under a root
 * of the test's own, for tests to spoil in one place.
 */
#pragma once

#include "attest/nvgpu_bundle.h"
#include "attest/nvgpu_rim.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NVGPU_MAKER_NOW = 1750000000, NVGPU_MAKER_BLOCKS = 4 };

/* One device. Change any of it before nvgpu_maker_evidence(). */
struct nvgpu_made {
    enum nvgpu_kind kind;
    struct pki_cert *leaf;
    const char *driver;
    uint8_t digests[NVGPU_MAKER_BLOCKS][NVGPU_DIGEST_LEN];
    bytes pdis; /* field 22; empty: none */
    bytes gpu_pdis;
    struct buf evidence;
};

struct nvgpu_maker {
    struct pki_cert *root;
    struct pki_cert *issuer;
    struct x509_root pin; /* of root; for manifests too */
    uint8_t nonce[NVGPU_NONCE_LEN];
    struct nvgpu_made made[4];
    size_t made_n;
    struct buf ocsp; /* about issuer */
    struct buf rims[2];
};

void nvgpu_maker_open(struct nvgpu_maker *m);
void nvgpu_maker_close(struct nvgpu_maker *m);

/* Adds a device with its own key, its evidence made. */
struct nvgpu_made *nvgpu_maker_add(struct nvgpu_maker *m, enum nvgpu_kind kind);

/* Makes its evidence again. */
void nvgpu_maker_evidence(const struct nvgpu_maker *m, struct nvgpu_made *d);

struct nvgpu_device nvgpu_maker_device(const struct nvgpu_maker *m, const struct nvgpu_made *d);
struct nvgpu_settings nvgpu_maker_settings(const struct nvgpu_maker *m);

/* An answer about the issuer's certificate, and the manifests of the first device's driver (indexes
 * 0 and 1) and VBIOS (index 2), with its values. */
void nvgpu_maker_ocsp(struct nvgpu_maker *m, int status);
void nvgpu_maker_rims(struct nvgpu_maker *m);

/* A signed manifest out of its content, which has to be canonical. */
void nvgpu_maker_rim(const struct nvgpu_maker *m, const char *version, const char *resources,
                     struct buf *out);
