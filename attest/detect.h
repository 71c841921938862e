/*
 * attest/detect.h - which TEE is this machine, by what stands in its file system: devices, drivers,
 * and whether this process can have evidence made.
 *
 * Looks, and touches nothing: no directory is made, no device is opened. What it says is a hint for
 * choosing an attester and for people; it proves nothing, and nobody who verifies asks it. Of a VM on
 * Azure only its TPM can tell whether it is a confidential one, so there the attester decides. The
 * simulated platform is in no row: it is never found, so never chosen, whatever is missing.
 */
#pragma once

#include "base/buf.h"

enum { DETECT_FINDINGS_MAX = 8, DETECT_ROOT_MAX = 256 };

enum detect_state {
    DETECT_ABSENT = 0,
    DETECT_UNUSABLE, /* the machine is one, but this process cannot have evidence made */
    DETECT_READY
};

/* All strings are static, paths without the root. */
struct detect_finding {
    const char *platform; /* as in bundles and policies: "sev-snp" */
    const char *title;    /* for people: "AMD SEV-SNP" */
    enum detect_state state;
    const char *found;  /* what gave it away; NULL when absent */
    const char *driver; /* the kernel's driver behind it; NULL when absent */
    const char *way;    /* how evidence is made: "configfs-tsm"; NULL unless ready */
    const char *advice; /* what to do about an unusable one; "" otherwise */
};

struct detect {
    struct detect_finding
        findings[DETECT_FINDINGS_MAX]; /* one per platform known, in fixed order */
    size_t n;

    /* The platform to use when none is named: the first that is ready. NULL: none is. */
    const char *choice;
    const char *choice_way;
};

/* root stands for the root directory: NULL or "" for the system's, a folder in tests. ERR_LIMIT: it
 * is longer than DETECT_ROOT_MAX. */
err detect_look(const char *root, struct detect *out);

/* NULL: no such platform. */
const struct detect_finding *detect_find(const struct detect *d, bytes platform);

const char *detect_state_word(enum detect_state s); /* "absent", "unusable", "ready" */

/* Readable text, a line per platform and what is chosen; ends with a newline. */
err detect_explain(const struct detect *d, struct buf *out);

/* The same as one JSON object. */
err detect_json(const struct detect *d, struct buf *out);
