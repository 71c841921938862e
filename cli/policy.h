/* cli/policy.h - policy files, for the files of `sealgate policy`. */
#pragma once

#include "attest/policy_bundle.h"
#include "cli/cli.h"

/* A policy file as it was judged. */
struct policy_file {
    struct buf bytes;
    struct policy_opened opened;
    struct buf message; /* for people; empty when accepted */
};

/* Reads and judges it; `hex` (NULL: none) are keys that must have signed. *f is for
 * policy_file_clear() whatever comes back. CLI_OK: see f->opened. */
enum cli_exit policy_file_open(struct policy_file *f, const char *name,
                               const struct config_list *hex, int64_t now);
void policy_file_clear(struct policy_file *f);

cli_fn policy_sign;
cli_fn policy_key;
