/*
 * attest/gcp.h - platform "gcp-confidential-space": a container in Google's Confidential Space, by the
 * word of Google (attest/gcp_token.h). Evidence is a token of the PKI kind, in compact form; there is
 * no collateral. The binding is one of its nonces, in base64url without padding.
 *
 * THIS IS NO HARDWARE EVIDENCE: the trust level is TRUST_VOUCHED, below hardware, and the platform has
 * to be named in a policy like any other. The one register is the digest of the container's image.
 */
#pragma once

#include "attest/verifier.h"

#define GCP_PLATFORM "gcp-confidential-space"

/* Whom tokens are for: anybody who verifies as this program does. The nonce says who asked. */
#define GCP_OUR_AUDIENCE "sealgate/attestation/v1"

/* Google takes nonces of 8 to 88 bytes. */
enum { GCP_NONCE_LEN = 86 };

/* The nonce that stands for that report data; ends with a zero byte. */
void gcp_nonce(const uint8_t report_data[static BINDING_LEN], char out[static GCP_NONCE_LEN + 1]);

extern const struct verifier *const gcp_verifier;
