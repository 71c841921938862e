/*
 * attest/nvgpu_verify.h - is this evidence of an NVIDIA GPU or NVSwitch genuine, and for this nonce?
 *
 * A pure function of the evidence, its certificates, the nonce and a time. What the measurements
 * should be is attest/nvgpu_rim.h, whether a certificate was revoked is crypto/ocsp.h, and whether
 * the right devices are there is attest/nvgpu_node.h.
 *
 * Choices: the certificates must be exactly one path, leaf first, to a pinned root that is among
 * them; another order is refused. A negated s in a signature is accepted, since ECDSA is like that
 * and evidence is no key of anything. A report without FWID is accepted, since older drivers and
 * switches make none; one that has it must have the leaf's.
 */
#pragma once

#include "attest/nvgpu_parse.h"
#include "attest/verdict.h"
#include "crypto/x509.h"

/* "CN=NVIDIA Device Identity CA, O=NVIDIA", 2021-11-05 to 9999-12-31. The root that NVIDIA's
 * attestation SDK carries (nvtrust: local_gpu_verifier/src/verifier/certs). */
extern const struct x509_root nvgpu_device_root;

/* One word each, which stays as it is. */
#define NVGPU_REASON_LIST(X)                                                                       \
    X(UNCHECKED, "unchecked")                                                                      \
    X(OK, "ok")                                                                                    \
    X(MALFORMED, "malformed")                                                                      \
    X(NONCE, "nonce")                                                                              \
    X(UNTRUSTED_ROOT, "untrusted-root")                                                            \
    X(CHAIN, "chain")                                                                              \
    X(TYPE, "device-type")                                                                         \
    X(SIGNATURE, "signature")                                                                      \
    X(FWID, "fwid")                                                                                \
    X(COUNT, "count")                                                                              \
    X(DUPLICATE_DEVICE, "duplicate-device")                                                        \
    X(TOPOLOGY, "topology")                                                                        \
    X(NO_COLLATERAL, "no-collateral")                                                              \
    X(REVOKED, "revoked")                                                                          \
    X(RIM, "rim")                                                                                  \
    X(MEASUREMENT, "measurement")                                                                  \
    X(VERSION, "version")                                                                          \
    X(MODEL, "model")                                                                              \
    X(SERVICE, "service") /* NVIDIA's says no */

enum nvgpu_reason {
#define X(name, word) NVGPU_##name,
    NVGPU_REASON_LIST(X)
#undef X
};

const char *nvgpu_reason_word(enum nvgpu_reason r);

/* The checks in their fixed order; the first that fails ends it, and the rest are skipped. */
#define NVGPU_CHECK_LIST(X)                                                                        \
    X(FORM, "form")                                                                                \
    X(NONCE, "nonce")                                                                              \
    X(CHAIN, "chain")                                                                              \
    X(TYPE, "device-type")                                                                         \
    X(SIGNATURE, "signature")                                                                      \
    X(FWID, "fwid")

enum nvgpu_check_id {
#define X(name, word) NVGPU_CHECK_##name,
    NVGPU_CHECK_LIST(X)
#undef X
        NVGPU_CHECKS
};

enum { NVGPU_CHAIN_MAX = 8, NVGPU_MODEL_MAX = 64 };

/* Borrowed. */
struct nvgpu_device {
    enum nvgpu_kind kind;
    bytes evidence;
    bytes certs[NVGPU_CHAIN_MAX]; /* DER, leaf first, the root last */
    size_t certs_n;
};

struct nvgpu_check {
    enum verdict_status status;
    enum nvgpu_reason reason;
};

struct nvgpu_settings {
    const struct x509_root *roots; /* roots_n 0: only nvgpu_device_root */
    size_t roots_n;
    bytes nonce;  /* NVGPU_NONCE_LEN */
    int64_t at_s; /* Unix seconds */
};

/* Extensions of a leaf that hold a FWID. */
enum {
    NVGPU_FWID_DEVICE = 1U /* 2.23.133.5.4.1 */,
    NVGPU_FWID_TCB_INFO = 2U /* 2.23.133.5.4.1.1 */
};

/* Large: not for the stack. Borrows from the device. */
struct nvgpu_result {
    bool accepted;
    enum nvgpu_reason reason; /* of the check that failed, or NVGPU_OK */
    struct nvgpu_check checks[NVGPU_CHECKS];
    struct nvgpu_report report;      /* zero unless `form` passed; proved by `signature` */
    char model[NVGPU_MODEL_MAX + 1]; /* common name of the leaf; proved by `chain` */
    struct x509_about leaf;
    uint8_t key[SHA256_LEN]; /* SHA-256 of the leaf's key: which device this is */
    unsigned fwid_extensions;
    uint8_t leaf_fwid[NVGPU_DIGEST_LEN];
};

/* *out is always set. An err means only that it could not be worked out. */
err nvgpu_verify(const struct nvgpu_device *device, const struct nvgpu_settings *settings,
                 struct nvgpu_result *out);

const char *nvgpu_check_name(enum nvgpu_check_id id);
