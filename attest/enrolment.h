/*
 * attest/enrolment.h - platform "enrolled": the statement of a machine whose key was enrolled before
 * (attest/enrolled.h). There is no collateral. `inference_public_key` is the bundle's identity, and
 * `node_endpoint_id` the binding, 128 hex digits.
 *
 * THIS IS NO HARDWARE EVIDENCE: the trust level is TRUST_ENROLLED, below what a cloud vouches for. A
 * policy has to name the platform and the keys; without keys nothing is accepted. The one register is
 * the statement's binary_hash, where it is a SHA-256 in hex; it is the word of the software itself.
 */
#pragma once

#include "attest/verifier.h"

#define ENROLLED_PLATFORM "enrolled"

extern const struct verifier *const enrolled_verifier;
