/*
 * tests/unit/attest/enrolled_maker.h - statements of enrolled keys, for tests to spoil in one place.
 */
#pragma once

#include "base/buf.h"
#include "tests/unit/crypto/pki.h"

struct enrolled_maker {
    const struct pki_cert *signer; /* a P-256 key */
    uint8_t sip;
    uint64_t timestamp;
    const char *node;
    const char *binary;
    bytes inference_key;
    const char *more; /* behind the last field */
};

/* A statement that is right but for signer, timestamp and inference_key, which are the caller's. */
struct enrolled_maker enrolled_maker_good(void);

/* Replaces *statement. */
void enrolled_make(const struct enrolled_maker *m, struct buf *statement);
