/*
 * attest/binding.h - the 64 bytes of report data that tie evidence to a key, a nonce and claims.
 *
 * One function for both sides: the attester asks the hardware to sign this digest, the verifier
 * computes it again from what stands beside the evidence.
 *
 *     SHA-512( f(label) f(role) f(platform) f(identity) f(nonce) f(claims digest) f(gpu digest) )
 *     f(x) = length of x as four bytes, big endian, then x
 *
 * label "sealgate/attestation/v1", role "worker", platform as text, identity 32 bytes, nonce as the
 * verifier sent it, SHA-256 of the encoded claims, SHA-256 of the GPU evidence or no bytes at all.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"

enum { BINDING_LEN = 64 };

struct binding {
    bytes platform;
    bytes identity;
    bytes nonce;
    bytes claims;       /* encoded, as it travels */
    bytes gpu_evidence; /* empty: none */
};

void binding_digest(const struct binding *b, uint8_t out[static BINDING_LEN]);
