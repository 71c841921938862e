/*
 * attest/tsm.h - reports from the kernel's configfs-tsm (Documentation/ABI/testing/configfs-tsm).
 *
 * One directory is made per report and removed again, so that nobody else writes into it; the
 * `generation` counter is held to what we wrote all the same. Shared by the platforms whose kernel
 * drivers stand behind it. Blocks; call it off the loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define TSM_BASE "/sys/kernel/config/tsm/report"

enum {
    TSM_INBLOB_LEN = 64,
    TSM_OUTBLOB_MAX = 64 * 1024,
    TSM_AUXBLOB_MAX = 64 * 1024,
    TSM_NAME_MAX = 64,
    TSM_TRIES_DEFAULT = 8,
    TSM_WAIT_MS_DEFAULT = 50, /* doubled with each try, up to TSM_WAIT_MS_MAX */
    TSM_WAIT_MS_MAX = 2000,
    TSM_PRIVLEVEL_NONE = -1
};

/* What is done to the tree: 0 or an errno. The system's own is tsm_files; a test has others. Each
 * gets the base path and the directory's name. */
struct tsm_tree {
    int (*make)(const struct tsm_tree *t, const char *name);
    int (*write)(const struct tsm_tree *t, const char *name, const char *attribute, bytes value);
    int (*read)(const struct tsm_tree *t, const char *name, const char *attribute,
                struct buf *out); /* appends; ENOMEM, EFBIG over the limit of out */
    void (*remove)(const struct tsm_tree *t, const char *name);
    void (*wait)(const struct tsm_tree *t, unsigned ms);
    const char *base;
};

/* Files and directories under a base path; NULL: TSM_BASE. */
struct tsm_tree tsm_files(const char *base);

struct tsm_ask {
    const char *provider;  /* "tdx_guest", "sev_guest": another one refuses */
    const uint8_t *inblob; /* TSM_INBLOB_LEN bytes */
    int privlevel;         /* TSM_PRIVLEVEL_NONE: as the kernel has it */
    unsigned tries;        /* 0: TSM_TRIES_DEFAULT */
    bool want_auxblob;
};

/*
 * Appends the report to outblob, and to auxblob what comes beside it, if that is wanted (SNP: a
 * table of certificates; it may be empty). A busy quoting service and a race are tried again.
 * ERR_UNAVAILABLE: there is no such tree, or it stayed busy. ERR_UNSUPPORTED: another provider.
 * ERR_SYSTEM: anything else the kernel refuses.
 */
err tsm_report(const struct tsm_tree *tree, const struct tsm_ask *ask, struct buf *outblob,
               struct buf *auxblob);

/* Does the kernel offer it? */
bool tsm_present(const char *base);
