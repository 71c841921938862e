/*
 * attest/snp_attest.h - makes SNP evidence inside a guest: by configfs-tsm or, where the kernel lacks
 * that, by /dev/sev-guest; the host's certificate table is the collateral.
 */
#pragma once

#include "attest/attester.h"
#include "attest/snp_guest.h"
#include "attest/tsm.h"

enum { SNP_VMPL_DEFAULT = -1 };

/* Appends what the verifier needs for that report: the host's table, cleaned, with what is missing
 * (a certificate, the revocation list) added. ERR_UNAVAILABLE when there is none now. May block. */
typedef err snp_collateral_fn(void *owner, bytes report, bytes table, int64_t now, struct buf *out);

struct snp_attest_settings {
    struct tsm_tree tsm; /* base NULL: not to be used */
    struct snp_guest guest;
    int vmpl;                      /* SNP_VMPL_DEFAULT: as the kernel has it */
    snp_collateral_fn *collateral; /* NULL: the host's table as it is */
    void *collateral_owner;
};

/* Which way the kernel offers. */
enum snp_way { SNP_WAY_NONE = 0, SNP_WAY_TSM, SNP_WAY_GUEST };
enum snp_way snp_attest_way(const struct snp_attest_settings *s);

/* ERR_UNAVAILABLE: this is no SNP guest, or its kernel offers no way. Copies the settings; the strings
 * in them are borrowed for the attester's life. */
err snp_attester_new(struct attester **out, const struct snp_attest_settings *settings);
