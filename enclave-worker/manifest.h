/*
 * enclave-worker/manifest.h - which model this is, by its operator's word.
 *
 * A JSON object of at most MANIFEST_MAX bytes:
 *
 *     model_id           text, 1..256 bytes
 *     model_version      text, 1..128 bytes
 *     model_hash         64 hex digits: SHA-256 of the weights
 *     model_hash_scheme  what was hashed: sha256-single (the one file), sha256-concat (all files, in
 *                        the order of their names), sha256-manifest (a list of files and hashes)
 *
 * Other members are allowed and only hashed. The digest of the file is in the attested claims.
 */
#pragma once

#include "base/buf.h"

enum { MANIFEST_MAX = 256 * 1024, MANIFEST_HASH_LEN = 32 };

/* Zero is no manifest. */
struct manifest {
    bool present;
    struct buf model_id;
    struct buf model_version;
    struct buf scheme;
    uint8_t model_hash[MANIFEST_HASH_LEN];
    uint8_t digest[MANIFEST_HASH_LEN]; /* SHA-256 of the file */
};

/* ERR_CONFIG and a sentence in *message for one that cannot be used. */
err manifest_read(struct manifest *out, bytes text, struct buf *message);
void manifest_clear(struct manifest *m);
