/*
 * attest/nitro.h - the platform "nitro": AWS Nitro Enclaves, both sides.
 *
 * Evidence is the attestation document as the hardware signs it; there is no collateral, since the
 * chain is inside. Of what it signs for the enclave, user_data is the binding digest
 * (attest/binding.h), public_key the worker's identity, nonce the verifier's nonce. All three have
 * to agree with the bundle, or nothing is bound.
 *
 * Registers for policies: pcr0 to pcr15. A policy has to name pcr0 or pcr8: the others say which
 * kernel, role or instance, not whose image. Evidence states no firmware level: AWS updates it, and
 * a document is made afresh, so the `tcb` check is skipped.
 */
#pragma once

#include "attest/attester.h"
#include "attest/nitro_parse.h"
#include "attest/nsm.h"
#include "attest/verifier.h"

#define NITRO_PLATFORM "nitro"

extern const struct verifier *const nitro_verifier;

/* What a refusal is in the words of all platforms. */
enum reason nitro_reason_kind(enum nitro_reason r);

/* device is copied; its strings are borrowed. */
err nitro_attester_new(struct attester **out, const struct nsm_device *device);
