/*
 * attest/tdx_pck.h - what Intel writes into the certificate of a platform's provisioning key (PCK).
 *
 * Extension 1.2.840.113741.1.13.1: a SEQUENCE of pairs of an OID and a value. Source: Intel SGX PCK
 * Certificate and CRL Profile Specification, section 1.3.5.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define TDX_PCK_EXTENSION "1.2.840.113741.1.13.1"

enum { TDX_COMPONENTS = 16, TDX_PPID_LEN = 16, TDX_FMSPC_LEN = 6, TDX_PCE_ID_LEN = 2 };

struct tdx_pck {
    uint8_t ppid[TDX_PPID_LEN];
    uint8_t fmspc[TDX_FMSPC_LEN];
    uint8_t pce_id[TDX_PCE_ID_LEN];
    uint16_t components[TDX_COMPONENTS];
    uint16_t pcesvn;
};

/* The content of the extension. Each of the values above stands there exactly once, in any order;
 * others are passed over. ERR_MALFORMED for anything else. */
err tdx_pck_read(bytes extension, struct tdx_pck *out);
