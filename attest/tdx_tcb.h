/*
 * attest/tdx_tcb.h - Intel's TCB info (version 3) and TD_QE identity (version 2), and how a
 * platform is compared with them.
 *
 * Source: Intel PCS API version 4 and its Quote Verification Library. Reading is for bytes whose
 * signature was verified already; it is strict all the same, and an unknown status is refused.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attest/tdx_pck.h"
#include "base/bytes.h"
#include "base/err.h"

/* Intel's word, what it means */
#define TDX_STATUS_LIST(X)                                                                         \
    X(UP_TO_DATE, "UpToDate", 0)                                                                   \
    X(SW_HARDENING, "SWHardeningNeeded", 1)                                                        \
    X(CONFIG, "ConfigurationNeeded", 2)                                                            \
    X(CONFIG_SW_HARDENING, "ConfigurationAndSWHardeningNeeded", 3)                                 \
    X(OUT_OF_DATE, "OutOfDate", 4)                                                                 \
    X(OUT_OF_DATE_CONFIG, "OutOfDateConfigurationNeeded", 6)                                       \
    X(REVOKED, "Revoked", 8)

enum tdx_status {
    TDX_STATUS_NONE = 0, /* not known; never acceptable */
#define X(name, word, meaning) TDX_STATUS_##name,
    TDX_STATUS_LIST(X)
#undef X
        TDX_STATUSES
};

const char *tdx_status_word(enum tdx_status s); /* "" of TDX_STATUS_NONE */
enum tdx_status tdx_status_read(bytes word);    /* TDX_STATUS_NONE: unknown */

/* Of a platform that has a part of the other status: Revoked wins, OutOfDate takes the place of
 * UpToDate and SWHardeningNeeded, and with a Configuration... it is OutOfDateConfigurationNeeded.
 * TDX_STATUS_NONE wins over all. */
enum tdx_status tdx_status_merge(enum tdx_status a, enum tdx_status b);

enum {
    TDX_TCB_INFO_MAX = 128 * 1024, /* bytes of text */
    TDX_QE_IDENTITY_MAX = 32 * 1024,
    TDX_TCB_LEVELS_MAX = 64,
    TDX_SVN_LEVELS_MAX = 32,
    TDX_MODULES_MAX = 16,
    TDX_MRSIGNER_MAX = 48
};

struct json;
struct x509_chain;

/* The part that all levels have. Borrowed from the tree. */
struct tdx_level {
    enum tdx_status status;
    bytes date;
    const struct json *advisories; /* NULL: none; an array of text */
};

struct tdx_tcb_level {
    struct tdx_level level;
    uint16_t sgx[TDX_COMPONENTS];
    uint16_t tdx[TDX_COMPONENTS];
    uint16_t pcesvn;
};

struct tdx_svn_level {
    struct tdx_level level;
    uint16_t isvsvn;
};

struct tdx_svn_levels {
    struct tdx_svn_level at[TDX_SVN_LEVELS_MAX];
    size_t n;
};

struct tdx_module {
    bytes id; /* "TDX_01"; empty for the module of version 0 */
    uint8_t mrsigner[TDX_MRSIGNER_MAX];
    uint8_t attributes[8];
    uint8_t attributes_mask[8];
    struct tdx_svn_levels levels; /* none for the module of version 0 */
};

struct tdx_tcb_info {
    struct json *tree;
    int64_t issued;
    int64_t next;
    uint64_t evaluation;
    uint8_t fmspc[TDX_FMSPC_LEN];
    uint8_t pce_id[TDX_PCE_ID_LEN];
    struct tdx_module module;
    struct tdx_module modules[TDX_MODULES_MAX];
    size_t modules_n;
    struct tdx_tcb_level levels[TDX_TCB_LEVELS_MAX];
    size_t levels_n;
};

struct tdx_qe_identity {
    struct json *tree;
    int64_t issued;
    int64_t next;
    uint64_t evaluation;
    uint8_t miscselect[4];
    uint8_t miscselect_mask[4];
    uint8_t attributes[16];
    uint8_t attributes_mask[16];
    uint8_t mrsigner[32];
    uint16_t isvprodid;
    struct tdx_svn_levels levels;
};

/* Verifies {"<name>":{...},"signature":"<hex>"} over the bytes of the inner value, which are *inner
 * then; the signer is the chain's first. ERR_MALFORMED: not of that form. ERR_CRYPTO: does not
 * verify. */
err tdx_document_verify(bytes text, const char *name, const struct x509_chain *signer,
                        bytes *inner);

/* The object inside, as signed. ERR_UNSUPPORTED: of another id or version. ERR_MALFORMED: not as it
 * must be. ERR_LIMIT: over a limit. */
err tdx_tcb_info_read(struct tdx_tcb_info **out, bytes text);
void tdx_tcb_info_free(struct tdx_tcb_info *info);
err tdx_qe_identity_read(struct tdx_qe_identity **out, bytes text);
void tdx_qe_identity_free(struct tdx_qe_identity *identity);

/* The first level that the platform reaches, or NULL. svn is TEE_TCB_SVN, 16 bytes. Its first two
 * bytes are compared only when svn[1] is 0: else the module has an identity of its own. */
const struct tdx_tcb_level *tdx_level_find(const struct tdx_tcb_info *info,
                                           const struct tdx_pck *pck, bytes svn);

/* The module that svn names, or NULL. */
const struct tdx_module *tdx_module_find(const struct tdx_tcb_info *info, bytes svn);

/* The first level with an isvsvn of at most that, or NULL. */
const struct tdx_svn_level *tdx_svn_level_find(const struct tdx_svn_levels *levels, unsigned svn);

/* (value & mask) == expected, all of one length. */
bool tdx_masked_equal(bytes value, bytes mask, bytes expected);
