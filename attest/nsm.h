/*
 * attest/nsm.h - the Nitro Security Module: its messages, and the device that carries them.
 *
 * A request is a CBOR map of one pair, {"Attestation": {"user_data", "nonce", "public_key"}} with
 * byte strings or null; an answer is {"Attestation": {"document": bytes}} or {"Error": text}. One
 * ioctl carries both (aws-nitro-enclaves-nsm-api, src/driver and src/api).
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"

#define NSM_DEVICE "/dev/nsm"

enum { NSM_REQUEST_MAX = 0x1000, NSM_RESPONSE_MAX = 0x3000, NSM_FIELD_MAX = 1024 };

/* Empty: null. */
struct nsm_ask {
    bytes user_data;
    bytes nonce;
    bytes public_key;
};

/* Appends the request. ERR_LIMIT for a field over NSM_FIELD_MAX. */
err nsm_attestation_request(struct buf *out, const struct nsm_ask *ask);

/* The document in an answer, borrowed from it. ERR_UNAVAILABLE: the module says an error.
 * ERR_MALFORMED, ERR_TRUNCATED: anything else than that answer. */
err nsm_attestation_response(bytes in, bytes *document);

/* The system's ioctl() as far as it is used here; errno on -1. */
typedef int nsm_ioctl(int fd, unsigned long code, void *argument);

struct nsm_device {
    const char *path;   /* NULL: NSM_DEVICE */
    nsm_ioctl *control; /* NULL: the system's */
};

/* Asks for a document and appends it. Blocks for as long as the hardware takes. ERR_UNAVAILABLE: no
 * such device, or it answers with an error; ERR_SYSTEM: the ioctl fails. */
err nsm_attest(const struct nsm_device *device, const struct nsm_ask *ask, struct buf *document);

/* Is there such a device? */
bool nsm_present(const struct nsm_device *device);
