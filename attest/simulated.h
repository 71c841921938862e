/*
 * attest/simulated.h - evidence that proves nothing, for development and for tests.
 *
 * THERE IS NO PROTECTION HERE. The key that signs this evidence is derived from a constant printed
 * below: anybody can make evidence with any register values and any time. It exists so that every
 * step of the real path (binding, freshness, measurements, policy, refusal) runs on a machine
 * without a TEE. Its trust level is TRUST_SIMULATED, a policy has to name it, and a build with
 * -Dsimulated=false has neither side of it.
 *
 * Evidence: COSE_Sign1, tag 18, protected header exactly
 * {1: -8, 3: "application/vnd.sealgate.simulated-evidence+cbor"}, unprotected header empty, signed
 * by the Ed25519 key of SIMULATED_SEED; payload a deterministic CBOR map
 *
 *     "pcr0" "pcr1" "pcr2"  bytes 48  registers
 *     "time"                uint      Unix seconds
 *     "notice"              text      exactly "simulated: no protection"
 *     "report_data"         bytes 64
 */
#pragma once

#include <stdint.h>

#include "attest/attester.h"
#include "attest/verifier.h"

enum { SIMULATED_PCRS = 3, SIMULATED_PCR_LEN = 48 };

#define SIMULATED_PLATFORM "simulated"
#define SIMULATED_NOTICE "simulated: no protection"
#define SIMULATED_SEED "sealgate simulated: not a secret" /* 32 bytes, published on purpose */

struct simulated_registers {
    uint8_t pcr[SIMULATED_PCRS][SIMULATED_PCR_LEN];
};

/* pcr[i] = SHA-384( "sealgate/simulated/pcr" || digit i || SHA-384( image ) ). */
void simulated_measure(bytes image, struct simulated_registers *out);

/* Copies the registers. ERR_UNSUPPORTED in a build without it. */
err simulated_attester_new(struct attester **out, const struct simulated_registers *given);

/* NULL in a build without it. */
extern const struct verifier *const simulated_verifier;
