/*
 * attest/snp_guest.h - the kernel's /dev/sev-guest (linux/sev-guest.h): reports from the SNP firmware,
 * the host's certificate table beside them, and keys derived from the chip's.
 *
 * The kernel speaks with the firmware through the host, which can refuse and delay but not change
 * what is said. What comes back is held to its form; who reads it decides. Blocks; call it off the
 * loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "attest/snp_parse.h"
#include "base/buf.h"

#define SNP_GUEST_DEVICE "/dev/sev-guest"

enum {
    SNP_GUEST_TRIES = 8,
    SNP_GUEST_WAIT_MS = 50, /* doubled with each try, up to SNP_GUEST_WAIT_MS_MAX */
    SNP_GUEST_WAIT_MS_MAX = 2000,
    SNP_GUEST_CERTS_FIRST =
        16 * 1024, /* room for certificates, if the host does not ask for more */
    SNP_GUEST_CERTS_MAX = 64 * 1024,
    SNP_GUEST_KEY_LEN = 32
};

/* The outside, as far as it is used here; what is NULL stands for the system's own. */
struct snp_guest {
    const char *path;                                           /* NULL: SNP_GUEST_DEVICE */
    int (*control)(int fd, unsigned long code, void *argument); /* ioctl(); errno on -1 */
    void (*wait)(unsigned ms);
};

bool snp_guest_present(const struct snp_guest *g);

/*
 * Appends the report for these 64 bytes at that VMPL, and with certs not NULL the host's table; a host
 * that has none, or does not offer it, gives none. A busy host is asked again. ERR_UNAVAILABLE: no
 * such device, or the host stays busy. ERR_LIMIT: a table over SNP_GUEST_CERTS_MAX.
 * ERR_DENIED: the firmware refuses, as for a VMPL above one's own. ERR_SYSTEM: anything else.
 */
err snp_guest_report(const struct snp_guest *g, const uint8_t report_data[static 64], uint32_t vmpl,
                     struct buf *report, struct buf *certs);

/* What a derived key depends on besides chip (or cloud) and guest policy; it changes with each. */
enum {
    SNP_KEY_WITH_POLICY = 1U << 0,
    SNP_KEY_WITH_IMAGE_ID = 1U << 1,
    SNP_KEY_WITH_FAMILY_ID = 1U << 2,
    SNP_KEY_WITH_MEASUREMENT = 1U << 3,
    SNP_KEY_WITH_GUEST_SVN = 1U << 4,
    SNP_KEY_WITH_TCB = 1U << 5
};

struct snp_key_ask {
    uint64_t fields; /* SNP_KEY_WITH_... */
    uint32_t vmpl;
    uint32_t guest_svn; /* not above the guest's own */
    uint64_t tcb;       /* not above COMMITTED_TCB */
};

/* A secret: the caller wipes it. Errors as above. */
err snp_guest_derive_key(const struct snp_guest *g, const struct snp_key_ask *ask,
                         uint8_t key[static SNP_GUEST_KEY_LEN]);
