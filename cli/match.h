/*
 * cli/match.h - does a receipt say what its evidence says? The two formats do not know each other, so
 * whoever verifies both has to compare them: nothing in a receipt's own checks does.
 */
#pragma once

#include "attest/verdict.h"
#include "receipts/air.h"

/* Of an accepted verdict about the receipt's document: NULL when document, platform, registers, GPUs
 * and security mode agree, else the first that does not, as a static sentence. */
const char *match_evidence(const struct air_claims *claims, const struct verdict *evidence);
