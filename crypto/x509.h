/*
 * crypto/x509.h - certificate chains of attestation evidence: to a pinned root, at a given time.
 *
 * No system store, no network, no clock: the roots are those the caller pins, the time is the one
 * it passes, so that an old chain can be checked for ever.
 */
#pragma once

#include "base/buf.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

enum { X509_CHAIN_MAX = 10, X509_CERT_MAX = 16 * 1024, X509_ROOTS_MAX = 16 };

/* SHA-256 of the whole certificate in DER. */
struct x509_root {
    uint8_t sha256[SHA256_LEN];
};

/* What a chain was refused for. */
enum x509_fault {
    X509_FAULT_NONE = 0,
    X509_FAULT_FORM,      /* not DER, bytes behind it, too many or too large */
    X509_FAULT_ROOT,      /* no pinned root among the certificates */
    X509_FAULT_SIGNATURE, /* one does not verify by the certificate that is named as its issuer */
    X509_FAULT_ISSUER,    /* an issuer is missing, or no CA, or may not have as many below it */
    X509_FAULT_DATE,
    X509_FAULT_OTHER
};

struct x509_why {
    enum x509_fault fault;
    unsigned depth; /* of the certificate it was found at: 0 is the leaf */
};

/* What people want to see of a certificate, and whether it may issue others. */
enum { X509_SUBJECT_MAX = 512, X509_SERIAL_MAX = 64 };
struct x509_about {
    char subject[X509_SUBJECT_MAX];      /* RFC 4514, cut when longer */
    char serial_number[X509_SERIAL_MAX]; /* the subject's attribute of that name, cut; or empty */
    int64_t not_before;                  /* Unix seconds */
    int64_t not_after;
    bool ca;
};

/* Of the certificates in the order of the query, whatever comes of their chain. Stops at the first
 * that cannot be read. */
struct x509_seen {
    struct x509_about *certs; /* room for as many as the query has */
    size_t n;
};

struct x509_query {
    const bytes *certs; /* DER; the leaf first, then in any order, a pinned root among them */
    size_t certs_n;
    const struct x509_root *roots;
    size_t roots_n;
    int64_t at_s;           /* Unix time at which every certificate has to be valid */
    struct x509_why *why;   /* NULL: not wanted; set when the chain is refused */
    struct x509_seen *seen; /* NULL: not wanted */
};

/* A chain that was verified, leaf first, the root last. */
struct x509_chain;

/* Sets *out only when the leaf chains by valid signatures to a pinned, self-signed root that is
 * among the certificates. ERR_MALFORMED: not a DER certificate, or bytes behind one. ERR_LIMIT:
 * too many or too large. ERR_STALE: a date. ERR_CONFIG: no root is pinned. ERR_UNTRUSTED: anything
 * else. */
err x509_verify(struct x509_chain **out, const struct x509_query *query);
void x509_free(struct x509_chain *chain);

/* Certificates of the verified path, the root included. */
size_t x509_len(const struct x509_chain *chain);

/* True when the path is all that was given, in the order it was given. */
bool x509_in_order(const struct x509_chain *chain);

/* The public key of the i-th certificate as an uncompressed point, borrowed from the chain.
 * ERR_UNSUPPORTED: not P-256 or P-384. */
err x509_key(const struct x509_chain *chain, size_t i, enum ec_curve *curve, bytes *point);

/* The common name of the i-th certificate's subject, as it stands there. ERR_NOT_FOUND: none, or
 * more than one. */
err x509_common_name(const struct x509_chain *chain, size_t i, bytes *out);

/* About the i-th certificate. */
err x509_about(const struct x509_chain *chain, size_t i, struct x509_about *out);

/* The same of one in DER that nobody has verified. ERR_MALFORMED: no certificate. */
err x509_about_der(bytes cert, struct x509_about *out);

/* Appends the DER of a certificate's SubjectPublicKeyInfo. ERR_MALFORMED: no certificate. */
err x509_spki(bytes cert, struct buf *out);

/* The content of the i-th certificate's extension with that dotted OID. ERR_NOT_FOUND: none, or
 * more than one. */
err x509_extension(const struct x509_chain *chain, size_t i, const char *oid, bytes *out);

/* Appends the i-th certificate in DER. */
err x509_der(const struct x509_chain *chain, size_t i, struct buf *out);
