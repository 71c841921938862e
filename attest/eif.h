/*
 * attest/eif.h - what an AWS Nitro enclave of an image file will show: PCR0 to PCR2, from the file.
 *
 * EIF versions 2 to 4, by the "Enclave Image File (EIF) Specification" of 2024-06-21 in
 * github.com/aws/aws-nitro-enclaves-image-format, and held by a test to what AWS's eif_build says of
 * an image of its own. Every number is big-endian:
 *
 *     0x000 ".eif"  0x004 version u16  0x006 flags u16 (bit 0: aarch64)  0x008 unused
 *     0x01a sections u16  0x01c offset u64[32]  0x11c size u64[32]  0x21c unused
 *     0x220 CRC-32 of the whole file but itself
 *     0x224 sections, each: type u16, flags u16, size u64, data
 *
 * PCR i is SHA-384(48 zeros || SHA-384(contents)), where the contents are, in the order of the file,
 * of PCR0 kernel, command line and all ramdisks, of PCR1 kernel, command line and the first ramdisk,
 * of PCR2 the other ramdisks. PCR8, of the certificate that signed an image, is not computed here.
 *
 * Stricter than the specification: sections follow one another without gaps and fill the file.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "crypto/hash.h"

enum { EIF_PCRS = 3, EIF_SECTIONS_MAX = 32, EIF_HEAD_LEN = 548, EIF_SECTION_HEAD_LEN = 12 };

struct eif {
    unsigned version;
    bool aarch64;
    bool is_signed;
    uint8_t pcr[EIF_PCRS][SHA384_LEN];
};

/* ERR_UNSUPPORTED: no EIF, or of another version, or a section of an unknown type. ERR_TRUNCATED,
 * ERR_MALFORMED. ERR_CRYPTO: the checksum does not fit. */
err eif_measure(bytes image, struct eif *out);
