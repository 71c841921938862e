/*
 * crypto/pem.h - certificates and revocation lists in their text form (RFC 7468).
 *
 * Only what evidence and collateral hold: blocks labelled CERTIFICATE, or one X509 CRL, with nothing but white space
 * and NULs between them and behind the last one, as some quotes have.
 */
#pragma once

#include "base/buf.h"

enum { PEM_CERTS_MAX = 16, PEM_TEXT_MAX = 256 * 1024 };

struct pem_certs {
    struct buf der; /* owned: all of them, one behind the other */
    bytes certs[PEM_CERTS_MAX];
    size_t n;
};

/* Does it begin like a certificate in text form? */
bool pem_is_text(bytes in);

/* At least one block. *out is always set and is for pem_clear() whatever comes back. ERR_MALFORMED:
 * anything else between the blocks, or one that is not base64, or no block at all. ERR_TRUNCATED:
 * the last one does not end. ERR_LIMIT: over PEM_CERTS_MAX or PEM_TEXT_MAX. What is in a block is
 * not looked at. */
err pem_read_certs(struct pem_certs *out, bytes text);
void pem_clear(struct pem_certs *p);

/* The same for one revocation list, which is appended to out. */
bool pem_is_crl(bytes in);
err pem_read_crl(struct buf *out, bytes text);
