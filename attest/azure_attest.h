/*
 * attest/azure_attest.h - makes the evidence of "azure-sev-snp" inside a confidential VM on Azure, by
 * its TPM: the binding is written as user data, the paravisor's report read until it carries them,
 * and the PCRs are quoted over the first 48 bytes of the binding, as a TPM takes no more.
 *
 * Certificates are not with the TPM: the settings say who knows them (Azure serves them at
 * http://169.254.169.254/metadata/THIM/amd/certification).
 */
#pragma once

#include "attest/attester.h"
#include "attest/snp_attest.h"
#include "attest/tpm.h"

#define AZURE_AK 0x81000003U /* handle of the attestation key */

enum {
    AZURE_NV_REPORT = 0x01400001,
    AZURE_NV_USER_DATA = 0x01400002,
    AZURE_QUALIFYING_LEN = 48,
    AZURE_TRIES = 10, /* reports read until one carries the user data */
    AZURE_WAIT_MS = 1000
};

struct azure_attest_settings {
    struct tpm tpm;
    snp_collateral_fn
        *collateral; /* asked with an empty table; NULL: evidence without collateral */
    void *collateral_owner;
};

/* ERR_UNAVAILABLE: no TPM. ERR_NOT_FOUND: one without such a report, so an ordinary VM.
 * ERR_UNSUPPORTED: the report is not of SNP. Copies the settings; their strings are borrowed. */
err azure_attester_new(struct attester **out, const struct azure_attest_settings *settings);
