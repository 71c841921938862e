/*
 * enclave-worker/issue.h - a receipt for one complete answer.
 *
 * Everything that is the same for all receipts of this process is gathered once; what differs comes
 * as facts. The sequence number counts up from 1 for as long as the process, and so its identity,
 * lives.
 */
#pragma once

#include "attest/verdict.h"
#include "enclave-worker/manifest.h"
#include "receipts/air.h"

struct issuer;
struct signing_key;

/* All borrowed for the life of the issuer, but settings_digest and engine, which are copied. */
struct issuer_settings {
    const struct signing_key *identity;
    const struct verdict *evidence; /* of the worker's own document */
    const struct manifest *manifest;
    const char *issuer;
    const uint8_t *settings_digest; /* SHA-256 of the worker's effective settings */
    bytes engine;                   /* one line that says which engine this is */
};

/* ERR_UNSUPPORTED for a platform whose registers the receipt format cannot express. */
err issuer_new(struct issuer **out, const struct issuer_settings *settings);
void issuer_free(struct issuer *i);

/* What one answer was. */
struct issue_facts {
    const uint8_t *cti; /* AIR_CTI_LEN */
    bytes model;        /* as asked for; used when there is no manifest */
    const uint8_t *request_hash;
    const uint8_t *response_hash;
    bytes nonce; /* 8 to 64 bytes, or empty */
    uint64_t execution_ms;
    int64_t now;
};

/* Appends the signed receipt. */
err issue_receipt(struct issuer *i, const struct issue_facts *facts, struct buf *out);

/* 16 random bytes in the form of a UUID version 4; so never all zero. */
err issue_cti(uint8_t cti[static AIR_CTI_LEN]);

/* Puts the evidence's registers and GPUs, its hash and what kind of platform it is of into *claims,
 * which borrows from it; the receipt's profile follows from them. ERR_UNSUPPORTED for a platform whose
 * registers no profile can express. */
err issue_set_evidence(struct air_claims *claims, const struct verdict *evidence);
