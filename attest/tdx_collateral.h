/*
 * attest/tdx_collateral.h - what is needed beside a TDX quote to verify it, as it travels in the
 * bundle's `collateral`.
 *
 * A deterministic CBOR map, text keys in this order. All but the two logs are Intel's answers, byte
 * for byte; issuer chains are PEM, leaf first (percent-decoded, where they came in a header).
 *
 *     "ccel"               bytes  optional; boot event log of the firmware (ACPI table CCEL)
 *     "pck_crl"            bytes  DER
 *     "version"            uint   1
 *     "root_crl"           bytes  DER
 *     "tcb_info"           bytes  JSON: {"tcbInfo":{...},"signature":"..."}
 *     "dstack_log"         bytes  optional; event log of dstack, JSON
 *     "qe_identity"        bytes  JSON: {"enclaveIdentity":{...},"signature":"..."}
 *     "tcb_info_chain"     bytes  PEM
 *     "qe_identity_chain"  bytes  PEM
 */
#pragma once

#include "base/buf.h"

enum {
    TDX_COLLATERAL_VERSION = 1, /* frozen */
    TDX_CHAIN_MAX = 16 * 1024,
    TDX_ROOT_CRL_MAX = 64 * 1024,
    TDX_PCK_CRL_MAX = 192 * 1024,
    TDX_LOG_MAX = 128 * 1024
};

/* All borrowed; the two logs are empty when there are none. */
struct tdx_collateral {
    bytes ccel;
    bytes pck_crl;
    uint64_t version;
    bytes root_crl;
    bytes tcb_info;
    bytes dstack_log;
    bytes qe_identity;
    bytes tcb_info_chain;
    bytes qe_identity_chain;
};

err tdx_collateral_read(bytes in, struct tdx_collateral *out);
err tdx_collateral_write(struct buf *out, const struct tdx_collateral *c);
