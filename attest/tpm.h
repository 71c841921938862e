/*
 * attest/tpm.h - the few commands of a TPM 2.0 that evidence is made with (TPM 2.0 part 3): read PCRs,
 * quote them, read and write an NV index. Password authorization with the empty password throughout,
 * as Azure's vTPM has it.
 *
 * One command at a time goes through the kernel's resource manager; blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attest/tpm_quote.h"
#include "base/buf.h"

#define TPM_DEVICE "/dev/tpmrm0"

enum {
    TPM_MESSAGE_MAX = 4096,
    TPM_NV_MAX = 16 * 1024,
    TPM_NV_PART = 1024, /* read at a time: every TPM takes that */
    TPM_NV_WRITE_MAX = 512,
    TPM_SIGNATURE_MAX = 1024,
    TPM_QUOTE_TRIES = 4,
    TPM_RETRIES = 8,
    TPM_RETRY_MS = 100
};

/* The outside; what is NULL stands for the system's own. */
struct tpm {
    const char *path; /* NULL: TPM_DEVICE */
    /* Sends a command and appends the answer: 0 or an errno. */
    int (*exchange)(const struct tpm *t, bytes command, struct buf *response);
    void (*wait)(const struct tpm *t, unsigned ms);
    void *self; /* for the two above */
};

bool tpm_present(const struct tpm *t);
void tpm_wait(const struct tpm *t, unsigned ms);

/* In all: ERR_UNAVAILABLE: no such device, or the TPM stays busy. ERR_NOT_FOUND: no such index or key.
 * ERR_DENIED: the TPM does not authorize it. ERR_SYSTEM: it answers with another error.
 * ERR_MALFORMED: its answer is none. */

/* Appends the whole of an NV index. ERR_LIMIT: larger than TPM_NV_MAX. */
err tpm_nv_read(const struct tpm *t, uint32_t index, struct buf *out);

/* Replaces the content of an index of that length; makes it (owner may read and write) when there is
 * none. ERR_LIMIT over TPM_NV_WRITE_MAX. */
err tpm_nv_write(const struct tpm *t, uint32_t index, bytes content);

struct tpm_quoted {
    struct buf quote;     /* TPMS_ATTEST */
    struct buf signature; /* RSASSA with SHA-256, the bare number */
    struct buf pcrs;      /* values of all 24 PCRs of the SHA-256 bank */
};

/* A quote of all PCRs over that qualifying data by the key of that handle, with the values it covers:
 * when a PCR changes in between it is made again. *out need not be initialised; give it to
 * tpm_quoted_clear() whatever comes back. ERR_UNSUPPORTED: the key signs in another way. */
err tpm_quote(const struct tpm *t, uint32_t key, bytes qualifying, struct tpm_quoted *out);
void tpm_quoted_clear(struct tpm_quoted *q);
