/*
 * attest/tpm_quote.h - what a TPM 2.0 signs in TPM2_Quote: a TPMS_ATTEST (TPM 2.0 part 2, 10.12.8).
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum {
    TPM_QUOTE_MAX = 1024,
    TPM_PCRS = 24,
    TPM_PCR_LEN = 32, /* SHA-256 bank */
    TPM_EXTRA_MAX = 64
};

/* All borrowed. */
struct tpm_quote {
    bytes signer; /* qualified name of the key */
    bytes extra;  /* qualifying data: the nonce */
    uint64_t clock_ms;
    uint32_t resets;
    uint32_t restarts;
    bool clock_safe;
    uint64_t firmware;
    uint32_t selected; /* bit i: PCR i of the SHA-256 bank */
    bytes pcr_digest;  /* SHA-256 of the selected values in ascending order */
};

/* ERR_MALFORMED, ERR_TRUNCATED: not one such structure, or bytes behind it. ERR_UNSUPPORTED: another
 * type than a quote, not exactly the SHA-256 bank, or PCRs above 23. ERR_LIMIT above the maximums. */
err tpm_quote_read(bytes in, struct tpm_quote *out);

/* Are these, one behind the other, the values of the selected PCRs that were quoted? */
bool tpm_quote_covers(const struct tpm_quote *q, bytes pcrs);

/* The value of PCR i out of `pcrs`, or empty when it is not among them. */
bytes tpm_quote_pcr(const struct tpm_quote *q, bytes pcrs, unsigned i);
