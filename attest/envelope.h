/*
 * attest/envelope.h - a payload signed as COSE_Sign1 whose content type is under the signature.
 *
 * The protected header is exactly {1: -8 (EdDSA), 3: content type}, the unprotected one is empty.
 * The content type keeps apart what one key signs for different purposes.
 */
#pragma once

#include "base/buf.h"
#include "crypto/cose.h"

enum { ENVELOPE_TYPE_MAX = 96 };

/* Signs and appends. ERR_LIMIT for a content type over ENVELOPE_TYPE_MAX. */
err envelope_write(struct buf *out, const char *content_type, bytes payload,
                   const struct signing_key *key);

/* Shape and header, no signature. ERR_UNSUPPORTED for another protected header. */
err envelope_read(bytes in, const char *content_type, struct cose_sign1 *out);
