/*
 * tests/unit/attest/recorded.h - genuine evidence of the published vectors, with what the vendors
 * published at its time: one case of TDX or SEV-SNP as a bundle without collateral, and the pieces.
 */
#pragma once

#include "attest/collateral.h"

struct recorded {
    char id[80];
    bool accepted; /* by the vectors' strict policy */
    bool vlek;
    bool says_line; /* an SNP report that names its product line */
    int64_t at;
    struct bundle
        bundle; /* platform, evidence, and for a VLEK that certificate; borrowed from here */
    struct buf evidence;
    struct buf carried;
    struct buf body[COLLATERAL_KINDS]; /* empty: not of this platform */
    struct buf chain;                  /* of TCB info and QE identity */
};

/* Calls see() for every genuine case of "tdx" or "sev-snp". False, with nothing called, when there
 * are no vectors. */
bool recorded_each(const char *platform, void (*see)(const struct recorded *r));

/* One of them by its id; fails the test when there is none. */
void recorded_open(struct recorded *out, const char *platform, const char *id);
void recorded_close(struct recorded *r);

/* The pieces that the plan asks for. */
void recorded_pieces(const struct recorded *r, const struct collateral_plan *plan,
                     struct collateral_piece *out);
