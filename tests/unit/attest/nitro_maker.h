/*
 * tests/unit/attest/nitro_maker.h - Nitro documents under a root of the test's own, for tests to
 * spoil in one place.
 */
#pragma once

#include "attest/nitro_verify.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

#define NITRO_MAKER_NOW 1750000000

/* Change any of it between nitro_maker_open() and nitro_maker_make(). */
struct nitro_maker {
    struct pki_cert *root;
    struct pki_cert *issuer;
    struct pki_cert *leaf;
    struct x509_root pin; /* of root */
    uint64_t timestamp_ms;
    uint8_t pcrs[3][NITRO_PCR_LEN];
    size_t pcrs_n;
    uint8_t signer; /* every byte of PCR8; 0: there is none */
    bool indefinite;
    bytes certificate;
    bytes cabundle[NITRO_CABUNDLE_MAX + 1];
    size_t cabundle_n;
    bytes public_key; /* empty with at NULL: null; likewise below */
    bytes user_data;
    bytes nonce;
    bytes surplus; /* an encoded pair more */
    struct buf document;
};

void nitro_maker_open(struct nitro_maker *m);
void nitro_maker_close(struct nitro_maker *m);

/* Replaces the document. */
void nitro_maker_make(struct nitro_maker *m);
