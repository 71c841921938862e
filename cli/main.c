/* cli/main.c - the table of subcommands. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/utc.h"
#include "base/file.h"
#include "base/harden.h"
#include "base/text.h"
#include "cli/cli.h"
#include "crypto/init.h"

struct command {
    const char *name;
    cli_fn *run;
    const char *summary;
};

static const struct command COMMANDS[] = {
    { "up", cli_up, "run worker and gateway on this machine, with a demo engine or yours" },
    { "chat", cli_chat, "ask something through a gateway, from the terminal" },
    { "verify", cli_verify,
      "verify a receipt, or with `verify evidence` a TEE's evidence, offline" },
    { "attest", cli_attest, "ask a worker for its evidence and judge it" },
    { "policy", cli_policy_command, "check, explain and sign policies; make keys for that" },
    { "measure", cli_measure, "make a policy of what a worker, or evidence of it, shows" },
    { "detect", cli_detect, "what this machine can make evidence with" },
    { "seal", cli_seal, "seal a secret so that only this TEE can open it" },
    { "unseal", cli_unseal, "open a secret that was sealed to this TEE" },
};

enum cli_exit cli_complain(const char *format, ...)
{
    va_list args;
    (void)fputs("sealgate: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return CLI_NOT_DECIDED;
}

enum cli_exit cli_read(struct buf *to, const char *path)
{
    err e = file_read(to, path);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s %s", path, file_trouble(e));
}

bool cli_time(const char *text, int64_t *out)
{
    uint64_t seconds;
    if (utc_read(bytes_str(text), out))
        return true;
    if (!text_u64(bytes_str(text), &seconds) || seconds > INT64_MAX)
        return false;
    *out = (int64_t)seconds;
    return true;
}

bool cli_load(struct config *c, const struct config_program *program, void *settings, int argc,
              char **argv, enum cli_exit *exit)
{
    BUF_AUTO text = BUF(256 * 1024);
    err e = config_load(c, program, settings, argc, argv, environ, &text);
    if (e.code != ERR_OK) {
        *exit = cli_complain("%s", text.len > 0 ? buf_str(&text) : err_text(e));
        return false;
    }
    *exit = CLI_OK;
    if (!config_reply(c, program, settings, &text))
        return true;
    (void)fputs(buf_str(&text), stdout);
    return false;
}

static void usage(FILE *to)
{
    (void)fputs(
        "usage: sealgate COMMAND [FLAGS]\n\n"
        "Sealed, attested, receipted answers from OpenAI-compatible model servers.\n\n",
        to);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        (void)fprintf(to, "  %-8s %s\n", COMMANDS[i].name, COMMANDS[i].summary);
    (void)fputs(
        "\n`sealgate COMMAND --help` tells more. The servers are programs of their own:\n"
        "sealgate-gateway and sealgate-worker.\n",
        to);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    const struct command *command = find(name);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(argc > 1 ? stdout : stderr);
        return argc > 1 ? CLI_OK : CLI_NOT_DECIDED;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        (void)puts("sealgate " SEALGATE_VERSION);
        return CLI_OK;
    }
    if (command == NULL) {
        (void)cli_complain("unknown command \"%s\"", name);
        usage(stderr);
        return CLI_NOT_DECIDED;
    }
    if (harden_process().code != ERR_OK || crypto_init().code != ERR_OK)
        return (int)cli_complain("cannot start: a library or the kernel lacks something");
    return (int)command->run(argc - 1, argv + 1);
}
