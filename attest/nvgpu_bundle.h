/*
 * attest/nvgpu_bundle.h - the GPU evidence of a bundle (`gpu_evidence` in attest/bundle.h).
 *
 * A deterministic CBOR map with exactly these text keys, in this order:
 *
 *     "ocsp"     array of at most 64 byte strings: answers of NVIDIA's OCSP responder, DER
 *     "rims"     array of at most 8 byte strings: manifests, XML
 *     "devices"  array of 1 to 16 arrays [kind, evidence, certificates]
 *                kind: 1 a GPU, 2 an NVSwitch
 *                evidence: byte string, SPDM request and response (attest/nvgpu_parse.h)
 *                certificates: array of 1 to 8 byte strings, DER, leaf first, root last
 *
 * The nonce in every device's request is nvgpu_nonce() of the bundle's own nonce and identity, so
 * that the evidence belongs to this key and this question; the CPU's report data covers the SHA-256
 * of all of it (attest/binding.h), so that neither can be exchanged.
 */
#pragma once

#include "attest/nvgpu_node.h"
#include "base/buf.h"

enum { NVGPU_OCSP_MAX = 64, NVGPU_RIMS_MAX = 8 };

/* All borrowed. Large: not for the stack. The last two come only from elsewhere. */
struct nvgpu_bundle {
    bytes ocsp[NVGPU_OCSP_MAX];
    size_t ocsp_n;
    bytes rims[NVGPU_RIMS_MAX];
    size_t rims_n;
    struct nvgpu_device devices[NVGPU_DEVICES_MAX];
    size_t devices_n;
    bytes
        nras; /* an answer of NVIDIA's Remote Attestation Service (attest/nvgpu_nras.h); or empty */
    bytes jwks; /* the keys it is signed with; or empty */
};

/* ERR_MALFORMED, ERR_TRUNCATED, ERR_LIMIT; *out is then zero. What the byte strings hold is not
 * looked at, but none is empty. */
err nvgpu_bundle_read(bytes in, struct nvgpu_bundle *out);

/* Appends. ERR_MALFORMED or ERR_LIMIT when nvgpu_bundle_read() would refuse it. */
err nvgpu_bundle_write(struct buf *out, const struct nvgpu_bundle *b);

/*
 * What somebody adds to it later, such as a verifier that asked NVIDIA's services itself: a map
 * {"jwks", "nras", "ocsp", "rims"} of two byte strings, which may be empty, and the same two arrays.
 * Nothing signs it together, and nothing has to.
 */

/* Appends that of b but for its devices. */
err nvgpu_collateral_write(struct buf *out, const struct nvgpu_bundle *b);

/* Puts the arrays behind b's own. ERR_LIMIT: no room. b is as it was when it fails. */
err nvgpu_collateral_add(bytes in, struct nvgpu_bundle *b);

/* SHA-256( f("sealgate/gpu-nonce/v1") f(nonce) f(identity) ), f as in attest/binding.h. */
void nvgpu_nonce(bytes nonce, bytes identity, uint8_t out[static NVGPU_NONCE_LEN]);
