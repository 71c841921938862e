/*
 * crypto/pem_key.h - Ed25519 keys as the text files that other tools read and write.
 *
 * Exactly the form of `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`: PKCS #8 and
 * SubjectPublicKeyInfo (RFC 8410 sections 7 and 4) as one PEM block (RFC 7468), nothing around it.
 */
#pragma once

#include "base/buf.h"
#include "crypto/sign.h"

enum { PEM_KEY_TEXT_MAX = 4096 };

/* A new key; appends its private key's text. */
err pem_key_make(struct signing_key **out, struct buf *text);

/* ERR_MALFORMED for any other text. */
err pem_key_read(struct signing_key **out, bytes text);

/* Appends. */
err pem_public_write(struct buf *text, const uint8_t pk[static ED25519_PK_LEN]);

/* ERR_MALFORMED for any other text. Whether it is a point on the curve is not looked at. */
err pem_public_read(uint8_t pk[static ED25519_PK_LEN], bytes text);
