/*
 * attest/attesters.h - the attester of a platform by its name, over this machine's own devices.
 *
 * For hardware, and what a cloud vouches for. The simulated platform is not reachable from here: who wants it makes it by
 * itself (attest/simulated.h), so no missing device can ever lead to it.
 */
#pragma once

#include "attest/azure_attest.h"
#include "attest/detect.h"
#include "attest/snp_attest.h"
#include "attest/tdx_attest.h"

/* Who fetches what vendors publish; NULL: nobody, and what is made goes without. */
struct attesters_settings {
    tdx_collateral_fn *tdx_collateral;
    void *tdx_owner;
    snp_collateral_fn *snp_collateral;
    void *snp_owner;
    snp_collateral_fn *azure_collateral;
    void *azure_owner;
    int snp_vmpl; /* SNP_VMPL_DEFAULT: as the kernel has it */
};

/* ERR_UNSUPPORTED: no platform of that name has an attester. Else as the platform's own constructor:
 * ERR_UNAVAILABLE where the machine is none. */
err attesters_open(struct attester **out, const char *platform,
                   const struct attesters_settings *settings);

/* The one that detect_look() chooses. ERR_NOT_FOUND: this machine has no TEE that can be used.
 * *found is always set, to say so with detect_explain(). */
err attesters_open_any(struct attester **out, const struct attesters_settings *settings,
                       struct detect *found);
