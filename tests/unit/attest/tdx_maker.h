/*
 * tests/unit/attest/tdx_maker.h - TDX evidence and collateral under a root of our own, for what no
 * genuine evidence shows: revoked keys, other modules, another quoting enclave.
 */
#pragma once

#include "tests/unit/attest/tdx_scene.h"

#define TDX_MAKER_NOW 1700000000

/* What is to be made. tdx_recipe_good() is accepted under the maker's root. */
struct tdx_recipe {
    uint16_t version; /* 4, or 5 for a TD 1.5 */
    uint8_t svn[TDX_SVN_LEN];
    uint8_t svn2[TDX_SVN_LEN];
    uint64_t attributes;
    uint8_t component; /* each of the sixteen of the PCK certificate */
    uint8_t pcesvn;
    uint16_t qe_isvsvn;
    uint8_t qe_mrsigner;    /* each byte of it; the identity asks for 0x51 */
    uint8_t mrsignerseam;   /* each byte; the module identities ask for 0 */
    uint8_t measured;       /* each byte of MRTD and RTMR0 to RTMR2 */
    const char *low_status; /* of levels below the good ones */
    const char *low_module; /* of module levels below the good ones */
    const char *leaf_name;  /* NULL: as Intel's */
    bool pck_revoked, ca_revoked, signer_revoked;
};

struct tdx_recipe tdx_recipe_good(void);

/* Fills a scene whose policy pins the root. Close it by tdx_scene_close(). */
void tdx_make(struct tdx_scene *s, const struct tdx_recipe *recipe);
