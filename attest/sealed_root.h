/*
 * attest/sealed_root.h - the key that a platform has for this TEE and no other, as the root of sealed
 * secrets (attest/sealed.h).
 *
 *     sev-snp         the firmware's derived key, of guest policy, family id, image id and launch
 *                     measurement, under the chip's key (or the cloud's, where there is a VLEK): another
 *                     image, another policy or another machine has another root
 *     tdx, nitro,     the platform has none. A key service that runs inside the TEE gives one, such as
 *     azure-sev-snp,  a client of a KMS that releases it against evidence. Allowed for sev-snp as well,
 *     gcp-confidential-space    where secrets are to move between machines
 *     simulated       a file; it protects nothing
 *
 * The service listens on a unix socket. It gets one line, "sealgate-key 1 PLATFORM KEY-ID" and LF, and
 * answers 32 bytes, the same ones whenever it is asked again, and closes. Anything else is refused, and
 * so is an answer that takes longer than SEALED_SERVICE_MS in all. Whom the service gives that key to is
 * its own matter: what is sealed is as safe as that.
 */
#pragma once

#include "attest/sealed.h"
#include "attest/snp_guest.h"

enum { SEALED_SERVICE_MS = 10000 };

/* Strings are borrowed for the call. */
struct sealed_source {
    const char *platform;
    const char *service;  /* path of the key service's socket; NULL: none */
    const char *file;     /* simulated only: 32 bytes, the owner's alone to read */
    struct snp_guest snp; /* zero: the system's own */
    uint32_t vmpl;        /* of the derived key: software at that level and above it has it too */
    uint64_t service_ms;  /* 0: SEALED_SERVICE_MS */
};

/*
 * Asks for the root and derives the key. May block. ERR_UNSUPPORTED: no such platform, or one that this
 * build leaves out. ERR_CONFIG: it needs a service, or a file, and none is given; or one is given that
 * it has no use for. ERR_NOT_FOUND, ERR_UNAVAILABLE: there is no such file, service or device.
 * ERR_DENIED: a file that others can read, or a firmware that refuses (such as a VMPL above one's own).
 * ERR_TIMEOUT. ERR_MALFORMED: what comes is no key; or no key id. ERR_SYSTEM.
 */
err sealed_key_open(struct sealed_key **out, const struct sealed_source *source, bytes key_id);

/* What that error of sealed_key_open() means and what to do about it, for people: a static sentence. */
const char *sealed_key_fault(err e);
