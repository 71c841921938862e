/*
 * attest/tdx.h - Intel TDX as a platform of this program: its verifier.
 *
 * The evidence is a quote, the collateral that of attest/tdx_collateral.h. The registers are mrtd,
 * rtmr0 to rtmr3, mrconfigid, mrowner, mrownerconfig, mrseam and, of a TD 1.5, mrservicetd. A quote
 * has no time of its own: it is as fresh as the nonce in its report data.
 */
#pragma once

#include "attest/verifier.h"

#define TDX_PLATFORM "tdx"

extern const struct verifier *const tdx_verifier;
