/*
 * attest/utc.h - the one form in which vendors write times in JSON: "2026-02-01T14:49:26Z".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum { UTC_LEN = 20 };

/* Unix seconds. False for any other form, and for what is no date of the calendar. */
bool utc_read(bytes text, int64_t *out);

/* Appends. ERR_MALFORMED for a time outside the years 1970 to 9999. */
err utc_write(struct buf *out, int64_t seconds);
