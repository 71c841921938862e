#include "attest/tdx_collateral.h"

#include "attest/bundle.h"
#include "attest/map.h"
#include "attest/tdx_tcb.h"

#define AT(member) offsetof(struct tdx_collateral, member)

/* The outer object and the signature around what is signed. */
enum { ENVELOPE_MAX = 1024, HEADS_MAX = 256 };

static const struct map_field fields[] = {
    { "ccel", MAP_BYTES, true, AT(ccel), 1, TDX_LOG_MAX },
    { "pck_crl", MAP_BYTES, false, AT(pck_crl), 1, TDX_PCK_CRL_MAX },
    { "version", MAP_UINT, false, AT(version), TDX_COLLATERAL_VERSION, TDX_COLLATERAL_VERSION },
    { "root_crl", MAP_BYTES, false, AT(root_crl), 1, TDX_ROOT_CRL_MAX },
    { "tcb_info", MAP_BYTES, false, AT(tcb_info), 1, TDX_TCB_INFO_MAX + ENVELOPE_MAX },
    { "dstack_log", MAP_BYTES, true, AT(dstack_log), 1, TDX_LOG_MAX },
    { "qe_identity", MAP_BYTES, false, AT(qe_identity), 1, TDX_QE_IDENTITY_MAX + ENVELOPE_MAX },
    { "tcb_info_chain", MAP_BYTES, false, AT(tcb_info_chain), 1, TDX_CHAIN_MAX },
    { "qe_identity_chain", MAP_BYTES, false, AT(qe_identity_chain), 1, TDX_CHAIN_MAX },
};

_Static_assert((int)TDX_PCK_CRL_MAX + (int)TDX_ROOT_CRL_MAX + 2 * (int)TDX_LOG_MAX +
                       (int)TDX_TCB_INFO_MAX + (int)TDX_QE_IDENTITY_MAX + 2 * (int)ENVELOPE_MAX +
                       2 * (int)TDX_CHAIN_MAX + (int)HEADS_MAX <=
                   (int)BUNDLE_COLLATERAL_MAX,
               "the largest of everything fits into a bundle");

err tdx_collateral_read(bytes in, struct tdx_collateral *out)
{
    return map_read(in, fields, sizeof fields / sizeof fields[0], out, sizeof *out);
}

err tdx_collateral_write(struct buf *out, const struct tdx_collateral *c)
{
    return map_write(out, fields, sizeof fields / sizeof fields[0], c);
}
