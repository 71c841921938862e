/*
 * attest/gcp_policy.h - what a user accepts of Google's Confidential Space beyond the image: the section
 * `gcp` of a policy (attest/policy.h).
 *
 *     gcp:
 *       hwmodels: [intel-tdx, amd-sev-snp]   # also amd-sev; default any of the three
 *       extra_roots: [<hex of 32>]           # SHA-256 of further root certificates; default none
 *
 * The model is Google's word too. An extra root is for a laboratory: whoever has its key can make any
 * token. Google's root is always pinned.
 */
#pragma once

#include "attest/policy.h"

enum { GCP_EXTRA_ROOTS_MAX = 8 };

struct gcp_policy {
    unsigned hwmodels; /* bits in the order of the words; 0: any */
    struct policy_list extra_roots;
};

/* hwmodel as a token says it: "GCP_INTEL_TDX". policy NULL: any. */
bool gcp_policy_takes(const struct gcp_policy *policy, bytes hwmodel);

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err gcp_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void gcp_policy_free(struct policy *p);
err gcp_policy_explain(const struct policy *p, struct buf *out);
