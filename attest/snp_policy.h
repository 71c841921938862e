/*
 * attest/snp_policy.h - what a user accepts of AMD SEV-SNP beyond measurements: the section `snp`
 * of a policy (attest/policy.h). Every key is optional; what is not given is the strict default.
 *
 *     snp:
 *       products: [milan, genoa, turin]  # lines accepted; default all
 *       keys: [vcek, vlek]               # who may sign: the chip's key, a cloud's key; default both
 *       csp_ids: [CN=cc-us-east-2...]    # then a VLEK must be of one of these clouds
 *       max_vmpl: 0                      # 0 to 3
 *       minimum_guest_svn: 0
 *       minimum_tcb:                     # REPORTED_TCB, per line; default snp 24 for milan, 23 for
 *         milan: { bootloader: 4, tee: 0, snp: 24, microcode: 219 }  # genoa, 0 for turin
 *         turin: { fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 71 }
 *       minimum_launch_tcb: { ... }      # the same of LAUNCH_TCB; default 0
 *       minimum_committed_tcb: { ... }   # the same of COMMITTED_TCB; default 0
 *       smt: true                        # may other threads of a core belong to others
 *       cxl: false                       # may memory be behind CXL
 *       require: [alias_check, ecc, tsme, rapl_disabled, ciphertext_hiding, single_socket]
 *                                        # what host and guest policy must have; default none
 *
 * The default minimums are the levels after AMD-SB-3019 (signature of microcode, CVE-2024-56161).
 * A part that a given map leaves out has no minimum. DEBUG and MIGRATE_MA are never accepted: there
 * is no key for them.
 */
#pragma once

#include "attest/policy.h"
#include "attest/snp_parse.h"

enum { SNP_VMPL_MAX = 3, SNP_CSP_ID_MAX = 128 };

/* For `require`. */
enum {
    SNP_REQUIRE_ALIAS_CHECK = 1U << 0,
    SNP_REQUIRE_ECC = 1U << 1,
    SNP_REQUIRE_TSME = 1U << 2,
    SNP_REQUIRE_RAPL_DISABLED = 1U << 3,
    SNP_REQUIRE_CIPHERTEXT_HIDING = 1U << 4,
    SNP_REQUIRE_SINGLE_SOCKET = 1U << 5
};

/* Least numbers per product line and part. */
struct snp_minimum {
    uint8_t part[SNP_PRODUCTS][SNP_PARTS];
};

struct snp_policy {
    unsigned products; /* bit p: enum snp_product p is accepted */
    unsigned keys;     /* bit k: SNP_KEY_VCEK, SNP_KEY_VLEK */
    struct policy_list csp_ids;
    uint32_t max_vmpl;
    uint32_t minimum_guest_svn;
    struct snp_minimum reported, launch, committed;
    bool smt;
    bool cxl;
    unsigned require;
};

/* What holds without a section. */
extern const struct snp_policy snp_policy_default;

struct policy_reading;
struct yaml;

/* For the table of sections in attest/policy.c. */
err snp_policy_read(const struct policy_reading *r, const struct yaml *node, const char *key);
void snp_policy_free(struct policy *p);
err snp_policy_explain(const struct policy *p, struct buf *out);
