/* cli/cli.h - the command for people and auditors: what its parts share. */
#pragma once

#include "base/buf.h"
#include "base/config.h"

/* What a program says with its exit status, for scripts. */
enum cli_exit {
    CLI_OK = 0,
    CLI_REFUSED = 1,    /* looked at and refused */
    CLI_NOT_DECIDED = 2 /* could not be looked at: wrong usage, no file, no connection */
};

/* One subcommand; argv[0] is its name. */
typedef enum cli_exit cli_fn(int argc, char **argv);

cli_fn cli_up;
cli_fn cli_verify;
cli_fn cli_attest;
cli_fn cli_chat;
cli_fn cli_detect;
cli_fn cli_seal;
cli_fn cli_unseal;
cli_fn cli_evidence; /* by cli_verify */
cli_fn cli_policy_command;
cli_fn cli_measure;

/* Loads settings and answers --help, --version and --print-config. False when all is said; *exit is
 * then what to end with. */
bool cli_load(struct config *c, const struct config_program *program, void *settings, int argc,
              char **argv, enum cli_exit *exit);

/* "sealgate: MESSAGE" on standard error. */
enum cli_exit cli_complain(const char *format, ...) PRINTF_LIKE(1, 2);

/* Appends a whole file; complains when it cannot be read or is too large. */
enum cli_exit cli_read(struct buf *to, const char *path);

/* Unix seconds of "2026-02-01T14:49:26Z" or of a number of them. */
bool cli_time(const char *text, int64_t *out);

struct policy;

/* The policy in that file, which may be a signed one, or of the word "simulated", or none for NULL;
 * *out is for policy_free() and stays NULL otherwise. */
enum cli_exit cli_policy(struct policy **out, const char *name);
