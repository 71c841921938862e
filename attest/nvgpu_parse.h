/*
 * attest/nvgpu_parse.h - evidence of one NVIDIA GPU or NVSwitch: bytes to struct, nothing proved.
 *
 * An SPDM 1.1 GET_MEASUREMENTS request (11 E0 01 FF, nonce 32, slot) and the MEASUREMENTS response
 * (11 60 ...): number of blocks, a record of blocks {index u8, 1, size u16, value type u8, value size
 * u16, SHA-384}, a nonce of the responder, opaque data of fields {type u16, length u16, value}, an
 * ECDSA P-384 signature r || s over all before it. Numbers are little endian. DMTF DSP0274; field
 * types as in NVIDIA's local_gpu_verifier.
 *
 * Choices: lengths have to nest exactly, each measurement index and each field type comes at most
 * once, and behind the signature, whose place follows from the lengths, only zero bytes may stand:
 * genuine collectors hand out buffers with some.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

enum {
    NVGPU_EVIDENCE_MAX = 16 * 1024,
    NVGPU_NONCE_LEN = 32,
    NVGPU_DIGEST_LEN = 48,
    NVGPU_SIGNATURE_LEN = 96,
    NVGPU_INDEX_MAX = 128,
    NVGPU_FIELDS_MAX = 64,
    NVGPU_TEXT_MAX = 32,
    NVGPU_PDI_LEN = 8,
    NVGPU_PDIS_MAX = 18
};

enum nvgpu_kind { NVGPU_GPU = 1, NVGPU_SWITCH };

/* Types of opaque fields that mean something here. */
enum nvgpu_field_type {
    NVGPU_FIELD_DRIVER = 3,
    NVGPU_FIELD_VBIOS = 6,
    NVGPU_FIELD_NVDEC0 = 11,
    NVGPU_FIELD_CHIP_SKU = 15,
    NVGPU_FIELD_PROJECT = 17,
    NVGPU_FIELD_PROJECT_SKU = 18,
    NVGPU_FIELD_FWID = 20,
    NVGPU_FIELD_PROTECTED_PCIE = 21,
    NVGPU_FIELD_SWITCH_PDIS = 22, /* of a switch: its own */
    NVGPU_FIELD_GPU_PDIS = 26,
    NVGPU_FIELD_OPAQUE_VERSION = 34,
    NVGPU_FIELD_CHIP_INFO = 35,
    NVGPU_FIELD_FEATURE = 36
};

/* NVDEC0 and protected PCIe: enabled and disabled. */
enum { NVGPU_ENABLED = 0xAA, NVGPU_DISABLED = 0x55 };

struct nvgpu_field {
    uint16_t type;
    bytes value;
};

/* All borrowed but the texts. */
struct nvgpu_report {
    bytes signed_part;
    bytes signature;
    bytes request_nonce;
    bytes response_nonce;
    size_t blocks_n;
    size_t record_len;
    bytes measurements[NVGPU_INDEX_MAX + 1]; /* by SPDM index, from 1; empty: not there */
    size_t opaque_len;
    struct nvgpu_field fields[NVGPU_FIELDS_MAX];
    size_t fields_n;
    char driver[NVGPU_TEXT_MAX + 1]; /* "550.90.07"; empty: none */
    char vbios[NVGPU_TEXT_MAX + 1];  /* "96.00.9F.00.01"; empty: none */
};

/* False, with *out zero, for anything else. */
bool nvgpu_parse(bytes in, struct nvgpu_report *out);

/* The field of that type, or an empty view. */
bytes nvgpu_field(const struct nvgpu_report *r, enum nvgpu_field_type type);

/* The same without the NULs behind its text. */
bytes nvgpu_field_text(const struct nvgpu_report *r, enum nvgpu_field_type type);

/* The different PDIs that are not zero, in ascending order; returns how many, which is at most
 * NVGPU_PDIS_MAX. Of a GPU: those of the switches, as the switches spell them. Of a switch: those of
 * its eight GPUs. */
size_t nvgpu_switch_pdis(const struct nvgpu_report *gpu,
                         uint8_t out[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN]);
size_t nvgpu_gpu_pdis(const struct nvgpu_report *nvswitch,
                      uint8_t out[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN]);
