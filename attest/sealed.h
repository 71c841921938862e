/*
 * attest/sealed.h - secrets that lie outside a TEE and can be opened inside it only: the format.
 *
 *     sealed = nonce (12, random) || ciphertext || tag (16)        AES-256-GCM, aad = name
 *     key    = HKDF-Expand(HKDF-Extract("sealgate/sealed/v1", root), name, 32)      SHA-256
 *     name   = f("sealgate/sealed/v1") || f(vendor) || f(key id)
 *     f(x)   = length of x as four bytes, big endian || x
 *
 * root is the platform's own key for this TEE (attest/sealed_root.h), vendor the platform's name as in
 * bundles. Neither vendor nor key id stands in what is sealed: who opens it has to know them, and a
 * wrong one is refused like a wrong root or any flipped bit, with one answer.
 *
 * There is nothing against rollback: an old sealed secret opens for as long as its root is the same.
 */
#pragma once

#include "base/buf.h"

enum {
    SEALED_ROOT_LEN = 32,
    SEALED_OVERHEAD = 12 + 16,
    SEALED_SECRET_MAX = 64 * 1024,
    SEALED_VENDOR_MAX = 32,
    SEALED_KEY_ID_MAX = 64 /* of A-Z a-z 0-9 . _ - */
};

/* In locked memory. */
struct sealed_key;

bool sealed_key_id_good(bytes key_id);

/* root has SEALED_ROOT_LEN bytes and stays the caller's to wipe. ERR_MALFORMED: no such key id, no
 * vendor, a root of another length, or one of zeros only. */
err sealed_key_new(struct sealed_key **out, bytes vendor, bytes key_id, bytes root);

/* NULL is allowed. */
void sealed_key_free(struct sealed_key *k);

/* Appends. ERR_LIMIT: a secret over SEALED_SECRET_MAX. */
err sealed_write(const struct sealed_key *k, bytes secret, struct buf *out);

/* Appends the secret. ERR_CRYPTO, and *out as before, for anything that this key has not sealed. */
err sealed_read(const struct sealed_key *k, bytes sealed, struct buf *out);
