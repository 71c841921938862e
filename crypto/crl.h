/*
 * crypto/crl.h - revocation lists of X.509 (RFC 5280 section 5), checked at a given time.
 *
 * Whole lists of one issuer only: a list with a critical extension (delta lists, partitioned or
 * indirect ones) is refused. Reading proves nothing; crl_verify() does.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum { CRL_MAX = 1024 * 1024 };

struct crl;

/* One list in DER and nothing behind it: else ERR_MALFORMED. ERR_LIMIT above CRL_MAX. */
err crl_read(struct crl **out, bytes der);
void crl_free(struct crl *crl);

/* Is it the list of that issuer, given as a whole certificate in DER that the caller has verified?
 * ERR_UNTRUSTED: its name is that of another issuer. ERR_CRYPTO: the signature does not hold.
 * ERR_UNSUPPORTED: a critical extension. ERR_STALE: at_s (Unix seconds) is before its thisUpdate or
 * not before its nextUpdate, or it has none. In that order. */
err crl_verify(const struct crl *crl, bytes issuer, int64_t at_s);

/* Does it list the certificate (DER)? The certificate must be one of the same issuer: another one,
 * or what is no certificate, counts as listed. Call crl_verify() first. */
bool crl_lists(const struct crl *crl, bytes cert);

/* Unix seconds; false when it has none. */
bool crl_next_update(const struct crl *crl, int64_t *out);
