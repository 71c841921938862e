/*
 * crypto/labeled.h - LabeledExtract and LabeledExpand of RFC 9180 section 4. For this folder only.
 */
#pragma once

#include "crypto/hkdf.h"

/* Extract(salt, "HPKE-v1" || suite_id || label || ikm) */
void labeled_extract(bytes suite_id, bytes salt, bytes label, bytes ikm,
                     uint8_t prk[static HKDF_PRK_LEN]);

/* What a derived value is called, and what it is bound to. */
struct labeled {
    bytes suite_id;
    bytes label;
    bytes info;
};

/* Expand(prk, I2OSP(len, 2) || "HPKE-v1" || suite_id || label || info, len) */
err labeled_expand(const uint8_t prk[static HKDF_PRK_LEN], const struct labeled *what, uint8_t *out,
                   size_t len);
