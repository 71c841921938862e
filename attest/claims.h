/*
 * attest/claims.h - what a worker says about its deployment.
 *
 * A deterministic CBOR map, text keys in this order, each optional one left out when empty:
 *
 *     "model"            text  1..256   model id as clients name it
 *     "worker"           name  1..64    name of the worker
 *     "software"         name  1..64    version of the software, dotted numbers first: 0.1.0-rc1
 *     "operator_key"     bytes 32       optional; Ed25519 public key of who runs it
 *     "model_version"    text  1..128
 *     "manifest_digest"  bytes 32       optional; SHA-256 of the model manifest
 *
 * The claims are covered by the binding (attest/binding.h) as bytes, hashed as received. They are
 * the word of the measured software and worth as much as the measurements are.
 */
#pragma once

#include "base/buf.h"

enum {
    CLAIMS_MAX = 2048, /* encoded */
    CLAIMS_MODEL_MAX = 256,
    CLAIMS_MODEL_VERSION_MAX = 128,
    CLAIMS_WORKER_MAX = 64,
    CLAIMS_SOFTWARE_MAX = 64,
    CLAIMS_KEY_LEN = 32,
    CLAIMS_DIGEST_LEN = 32
};

/* All borrowed. */
struct claims {
    bytes model;
    bytes worker;
    bytes software;
    bytes operator_key; /* empty: none */
    bytes model_version;
    bytes manifest_digest; /* empty: none */
};

err claims_read(bytes in, struct claims *out);
err claims_write(struct buf *out, const struct claims *c);
