/*
 * tests/unit/crypto/pki.h - certificates made for a test, with every fault one can ask for.
 */
#pragma once

#include "base/buf.h"

struct pki_cert;

struct pki_spec {
    const char *name;              /* common name; NULL: none */
    const char *san;               /* such as "DNS:worker.test"; NULL: none */
    const char *curve;             /* NULL: P-256; "RSA": a key of 2048 bits */
    const char *digest;            /* NULL: SHA256 */
    const struct pki_cert *issuer; /* NULL: signed by itself */
    const char *constraints;       /* basicConstraints, such as "critical,CA:TRUE"; NULL: none */
    const char *usage;             /* keyUsage; NULL: none */
    const char *purpose;           /* extKeyUsage; NULL: none */
    const char *extension;         /* octets of 1.2.3.4, once; NULL: none */
    const struct pki_cert *key_of; /* whose key it has; NULL: a new one */
    int64_t from_s, until_s;       /* validity */
};

/* Fails the test when it cannot. */
struct pki_cert *pki_new(const struct pki_spec *spec);
void pki_free(struct pki_cert *cert);

/* Borrowed from the certificate. */
bytes pki_der(const struct pki_cert *cert);
bytes pki_point(const struct pki_cert *cert);

/* ECDSA by the certificate's P-384 key over SHA-384 of msg, as r || s. */
void pki_sign_p384(const struct pki_cert *cert, bytes msg, uint8_t sig[96]);

/* The same by a P-256 key over SHA-256, in DER, appended. */
void pki_sign_p256(const struct pki_cert *cert, bytes msg, struct buf *out);

/* RSASSA-PKCS1-v1_5 with SHA-256 by the certificate's key of "RSA", appended. */
void pki_sign_rs256(const struct pki_cert *cert, bytes msg, struct buf *out);

/* RSASSA-PKCS1-v1_5 with SHA-256 by an RSA key of 2048 bits made for this once, whose modulus is
 * appended too. */
void pki_sign_rsa(bytes msg, struct buf *sig, struct buf *modulus);

/* Appends an OCSP answer by `signer` about cert, which `issuer` issued: 0 good, 1 revoked, 2 unknown.
 * until_s 0: no nextUpdate. nonce empty: none. The signer's certificate is inside unless it is the
 * issuer. */
struct pki_ocsp {
    const struct pki_cert *cert;
    const struct pki_cert *issuer;
    const struct pki_cert *signer;
    int status;
    int64_t from_s, until_s;
    bytes nonce;
};
void pki_ocsp_answer(struct buf *out, const struct pki_ocsp *spec);

/* PEM files; the chain holds the certificates in that order. */
void pki_write_chain(const char *path, const struct pki_cert *const *certs, size_t n);
void pki_write_key(const char *path, const struct pki_cert *cert);
