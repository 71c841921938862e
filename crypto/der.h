/*
 * crypto/der.h - the little of DER (X.690) that extensions of certificates need, as a cursor.
 *
 * Strict: tags of one byte, definite lengths in their shortest form, nothing past the input. It does
 * not recurse: the caller goes in as deep as its format is. Readers move *in past the element, and
 * only on success; everything else is ERR_MALFORMED.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_IA5 = 0x16,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31
};

/* The next element, whatever it is. */
err der_take_any(bytes *in, uint8_t *tag, bytes *content);

/* The next element, which must be of that tag. */
err der_take(bytes *in, enum der_tag tag, bytes *content);

/* A non-negative INTEGER (or ENUMERATED, by its tag) in its shortest form. ERR_LIMIT: over 64 bits. */
err der_take_uint(bytes *in, enum der_tag tag, uint64_t *out);
