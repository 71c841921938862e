/*
 * attest/tdx_attest.h - makes TDX evidence inside a TD: a quote by configfs-tsm or, where the
 * kernel lacks that, by /dev/tdx_guest and the quoting service; and the collateral for the bundle.
 */
#pragma once

#include "attest/attester.h"
#include "attest/tdx_collateral.h"
#include "attest/tdx_guest.h"
#include "attest/tsm.h"

#define TDX_CCEL "/sys/firmware/acpi/tables/data/CCEL"

/* Appends Intel's collateral for a quote, encoded as attest/tdx_collateral.h has it, logs left out.
 * ERR_UNAVAILABLE when there is none now. May block. */
typedef err tdx_collateral_fn(void *owner, bytes quote, int64_t now, struct buf *out);

struct tdx_attest_settings {
    struct tsm_tree tsm;
    struct tdx_guest guest;
    tdx_collateral_fn
        *collateral; /* NULL: the evidence goes without, and the verifier has to care */
    void *collateral_owner;
    const char *ccel; /* NULL: TDX_CCEL; a file that cannot be read means that there is no log */
};

/* Which way the kernel offers. */
enum tdx_way { TDX_WAY_NONE = 0, TDX_WAY_TSM, TDX_WAY_GUEST };
enum tdx_way tdx_attest_way(const struct tdx_attest_settings *s);

/* ERR_UNAVAILABLE: this is no TD, or its kernel offers no way. Copies the settings; the strings in
 * them are borrowed for the attester's life. */
err tdx_attester_new(struct attester **out, const struct tdx_attest_settings *settings);
