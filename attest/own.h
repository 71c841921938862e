/*
 * attest/own.h - a TEE reads back a document that it has just made: which registers does it show?
 *
 * For receipts, whose measurements are to be those of the evidence and not of settings. It is the
 * platform's own verifier that looks, with its pinned roots; what needs collateral that is not at
 * hand is left out, and no values are demanded, since those are for others to judge. A document that
 * does not bind this very identity, nonce and claims is refused, whatever it says, and so is one of a
 * TEE that may be debugged.
 *
 * THIS IS NO VERIFICATION for anybody but who made the document: never call it for bytes from outside.
 */
#pragma once

#include "attest/attester.h"
#include "attest/verdict.h"

/*
 * *out need not be initialised and is always set; give it to verdict_clear(). When it is accepted it
 * has platform, registers, identity, the document's digest and the trust level of the platform; the
 * checks that were not made are listed as skipped. An err means that it could not be worked out.
 */
err own_read(bytes document, const struct attester_subject *subject, int64_t now,
             struct verdict *out);
