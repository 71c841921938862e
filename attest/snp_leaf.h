/*
 * attest/snp_leaf.h - what AMD writes into the certificate of a key that signs SNP reports: a VCEK
 * (of one chip) or a VLEK (of one cloud). "VCEK Certificate and KDS Interface" (AMD 57230), table 8.
 */
#pragma once

#include <stdint.h>

#include "attest/snp_parse.h"
#include "crypto/x509.h"

enum { SNP_PRODUCT_NAME_MAX = 31, SNP_CSP_TEXT_MAX = 127 };

struct snp_leaf {
    bool vlek; /* by its subject: SEV-VLEK, else SEV-VCEK */
    uint8_t structure;
    char product_name[SNP_PRODUCT_NAME_MAX + 1]; /* "Milan-B0" */
    enum snp_product product;
    struct snp_tcb tcb; /* in the order of the report of that product line */
    uint8_t hwid[SNP_CHIP_ID_LEN];
    size_t hwid_len;                   /* 64, on Turin 8, of a VLEK 0 */
    char csp_id[SNP_CSP_TEXT_MAX + 1]; /* of a VLEK, else empty */
    int64_t not_before;
    int64_t not_after;
};

/* Of the first certificate of a verified chain. ERR_MALFORMED: an extension that must be there is
 * not, or is of another form, or the subject is that of neither kind. */
err snp_leaf_read(const struct x509_chain *chain, struct snp_leaf *out);
