/*
 * tests/unit/attest/snp_forge.h - SNP evidence whole and right, by keys made here, for tests to spoil
 * in one place. Its root is trusted only by who passes it on.
 */
#pragma once

#include "attest/snp_verify.h"

#define SNP_FORGE_NOW 1750000000

struct snp_forge_keys;

/* Change what is to be wrong between snp_forge_open() and snp_forge_make(). */
struct snp_forge {
    bool vlek;
    const char *product;   /* of the leaf: "Milan-B0" */
    const char *leaf_name; /* NULL: by vlek; likewise below */
    const char *ask_name;
    const char *ark_name;
    const char *csp_id;
    const char *leaf_curve; /* NULL: P-384 */
    const char *left_out;   /* tail of the OID of an extension that is not there: "3.8" */
    const char *replaced;   /* tail of one whose content is that below instead */
    bytes replacement;
    bool hwid_in_octets;
    size_t hwid_len;
    struct snp_tcb leaf_tcb;
    bool revoked;
    int64_t crl_from, crl_until, leaf_until;
    uint8_t report[SNP_REPORT_LEN]; /* signed by snp_forge_make() */

    /* Made. */
    struct snp_forge_keys *keys;
    struct x509_root root;
    struct buf ark, ask, leaf, crl;
    struct snp_collateral collateral;
    struct snp_settings settings;
};

void snp_forge_open(struct snp_forge *f);
void snp_forge_close(struct snp_forge *f);

void snp_forge_make(struct snp_forge *f);

/* The same certificates, the report signed again. */
void snp_forge_sign(struct snp_forge *f);

/* A host's table of all of it. */
void snp_forge_table(const struct snp_forge *f, struct buf *out);
