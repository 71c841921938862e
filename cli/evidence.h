/* cli/evidence.h - evidence from files, judged, for several subcommands. */
#pragma once

#include "attest/appraise.h"
#include "cli/cli.h"

/* Everything is borrowed; what is NULL or zero is not asked. */
struct evidence_ask {
    const char *platform;                 /* a word; NULL: auto */
    const struct config_list *collateral; /* files */
    const char *user_data;                /* hex */
    uint64_t max_age;                     /* seconds */
    const char *at;                       /* as cli_time() reads it; NULL: now */
    const struct policy *policy;
};

/* Large: not for the stack. *report is for appraise_clear() whatever comes back; CLI_OK when it was
 * worked out. */
enum cli_exit evidence_judge(const struct evidence_ask *ask, bytes evidence,
                             struct appraisal *report);

/* The same of a file. */
enum cli_exit evidence_judge_file(const struct evidence_ask *ask, const char *path,
                                  struct appraisal *report);

/* What a program that has shown it exits with. */
enum cli_exit evidence_exit(enum appraise_outcome o);
