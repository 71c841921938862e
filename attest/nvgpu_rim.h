/*
 * attest/nvgpu_rim.h - NVIDIA's reference integrity manifests: what a device should measure.
 *
 * A SWID tag (ISO/IEC 19770-2) in XML with an enveloped signature (XML-DSig): Canonical XML 1.1,
 * SHA-384, ECDSA P-384, the signer's chain in KeyInfo. One for the driver and one for the VBIOS of a
 * device. Their active values have to be there: index N of a manifest is SPDM index N + 1.
 *
 * Only this one form of a signature is taken: one Signature right inside the root element, one
 * reference to the whole document, the two transforms in their order. What is read
 * afterwards is read from the same tree that was hashed.
 */
#pragma once

#include "attest/nvgpu_verify.h"
#include "base/buf.h"

/* "CN=NVIDIA CoRIM signing Root CA, O=NVIDIA, C=US", 2023-03-16 to 2053-03-08. The root that
 * NVIDIA's attestation SDK carries. */
extern const struct x509_root nvgpu_rim_root;

enum { NVGPU_RIM_VALUES_MAX = 16, NVGPU_RIM_CERTS_MAX = 8 };

/* The active values of one index, one behind the other. */
struct nvgpu_rim_entry {
    size_t index; /* of the manifest */
    struct buf values;
};

struct nvgpu_rim {
    bool accepted; /* all four below; zero is refused */
    bool form;
    bool digest_valid;
    bool signature_valid; /* by the first certificate, proved or not */
    bool chain_valid;
    bool root_pinned;
    char product[NVGPU_TEXT_MAX + 1]; /* "GH100" */
    char version[NVGPU_TEXT_MAX + 1]; /* "550.90.07" or "96.00.9F.00.01" */
    int64_t not_before;               /* when all certificates are valid; Unix seconds */
    int64_t not_after;
    struct nvgpu_rim_entry active[NVGPU_INDEX_MAX];
    size_t active_n;
};

/* Roots and time of s only. *out is always set and is for nvgpu_rim_clear(). An err means only that
 * it could not be worked out. */
err nvgpu_rim_verify(bytes xml, const struct nvgpu_settings *s, struct nvgpu_rim *out);
void nvgpu_rim_clear(struct nvgpu_rim *rim);

/* The device's measurements against its two manifests, found by product and version among n that
 * were accepted. NVGPU_RIM: one is missing, or two name the same index. NVGPU_MEASUREMENT: a value is
 * not one of those expected; *index (NULL: not wanted) is the manifest's. Index 35 does not count
 * while NVDEC0 is disabled. A switch has only a VBIOS manifest. */
enum nvgpu_reason nvgpu_rim_compare(const struct nvgpu_result *device, enum nvgpu_kind kind,
                                    const struct nvgpu_rim *rims, size_t n, size_t *index);
