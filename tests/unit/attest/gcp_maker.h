/*
 * tests/unit/attest/gcp_maker.h - tokens in the manner of Google's Confidential Space, under a root of
 * the test's own, for tests to spoil in one place.
 */
#pragma once

#include "attest/gcp.h"
#include "attest/gcp_token.h"
#include "tests/unit/crypto/pki.h"

#define GCP_MAKER_IMAGE "e2e5e3672f416ac9ca71aa639abf86db0b713729a48c125a925af6c808b20b5d"

/* Change any of it between gcp_maker_open() and gcp_maker_make(). */
struct gcp_maker {
    struct pki_cert *root;
    struct pki_cert *issuer;
    struct pki_cert *leaf;
    struct x509_root pin; /* of root */
    int64_t at_s;
    const char *audience;
    const char *dbgstat;
    const char *support;
    const char *hwmodel;
    const char *image;   /* hex */
    const char *surplus; /* within `container`, such as ",\"cmd_override\":[\"sh\"]" */
    struct buf token;
};

void gcp_maker_open(struct gcp_maker *m, int64_t at_s);
void gcp_maker_close(struct gcp_maker *m);

/* Replaces the token by one with that nonce. */
void gcp_maker_make(struct gcp_maker *m, const char *nonce);
