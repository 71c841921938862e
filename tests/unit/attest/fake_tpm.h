/*
 * tests/unit/attest/fake_tpm.h - a TPM of a few commands, with the faults it is told to have. Its quotes
 * are signed by an RSA key made here.
 */
#pragma once

#include "attest/tpm.h"

enum { FAKE_TPM_INDICES = 4 };

struct fake_tpm_index {
    uint32_t index; /* 0: none */
    struct buf content;
};

struct fake_tpm {
    struct tpm tpm;
    struct fake_tpm_index indices[FAKE_TPM_INDICES];
    uint8_t pcrs[TPM_PCRS][TPM_PCR_LEN];
    uint32_t key; /* its handle; 0: none */
    struct buf ak_n;
    struct buf attest; /* room */
    struct buf out;
    void *ak;
    unsigned busy;    /* so many answers are "again" */
    uint32_t result;  /* not 0: what every command comes to */
    unsigned extends; /* so many times PCR 16 changes between reading and quoting */
    uint16_t scheme;  /* of signatures; 0: RSASSA */
    size_t cut;       /* not 0: answers are so many bytes shorter */
    int error;        /* of the exchange */
    unsigned commands;
    unsigned waits;
    void (*written)(struct fake_tpm *t, uint32_t index); /* NULL: nobody looks */
};

void fake_tpm_open(struct fake_tpm *t);
void fake_tpm_close(struct fake_tpm *t);

/* The content of an index, made when it is not there. */
struct buf *fake_tpm_index(struct fake_tpm *t, uint32_t index);
