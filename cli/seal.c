/* cli/seal.c - `sealgate seal` and `sealgate unseal`: a secret that only this TEE can open. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "attest/detect.h"
#include "attest/sealed_root.h"
#include "attest/simulated.h"
#include "base/file.h"
#include "cli/cli.h"

struct seal_options {
    unsigned platform;
    const char *key_id;
    const char *key_service;
    const char *key_file;
    uint64_t vmpl;
    const char *in;
    const char *out;
};

/* The first one stands for what this machine is; the rest are platforms as in bundles. */
static const char *const PLATFORMS[] = { "auto",
                                         "sev-snp",
                                         "tdx",
                                         "nitro",
                                         "azure-sev-snp",
                                         "gcp-confidential-space",
                                         SIMULATED_PLATFORM,
                                         NULL };

#define ROW(field) .name = #field, .offset = offsetof(struct seal_options, field)

static const struct config_row ROWS[] = {
    { .group = "Whose key",
      ROW(key_id),
      .type = CONFIG_TEXT,
      .value = "NAME",
      .help = "Which key: A-Z a-z 0-9 . _ - and up to 64 of them. Unsealing needs the same name." },
    { ROW(platform), .type = CONFIG_WORD, .words = PLATFORMS, .fallback = "auto",
      .help = "The TEE: auto takes what this machine is. simulated takes its key from key_file and "
              "protects nothing." },
    { ROW(key_service), .type = CONFIG_PATH,
      .help = "Unix socket of a key service inside this TEE. sev-snp has a key of its own without; "
              "every other one needs it." },
    { ROW(key_file), .type = CONFIG_PATH,
      .help = "simulated only: a file of 32 bytes that nobody else can read." },
    { ROW(vmpl), .type = CONFIG_U64, .max = 3,
      .help = "sev-snp only: the privilege level whose key is taken, not above this kernel's own. "
              "Software at that level and at more privileged ones has the same key." },

    { .group = "What",
      ROW(in),
      .type = CONFIG_PATH,
      .help = "File to read; without it standard input." },
    { ROW(out), .type = CONFIG_PATH,
      .help = "File to write, for its owner only; without it standard output." },
};

static const struct config_program SEAL = {
    .name = "sealgate seal",
    .summary =
        "Seals a secret of up to 64 KiB to this TEE. Exit status: 0 done, 2 not possible here.",
    .env_prefix = "SEALGATE_SEAL_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

static const struct config_program UNSEAL = {
    .name = "sealgate unseal",
    .summary =
        "Opens what `sealgate seal` made. Exit status: 0 done, 1 it is not of this TEE and key, or "
        "was changed, 2 not possible here.",
    .env_prefix = "SEALGATE_SEAL_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

/* ---- in and out ---- */

/* Not by stdio, whose buffers nobody wipes; and not by /dev/stdin, which a hardened process may not
 * open. Stops when out is full. */
static err read_input(struct buf *out)
{
    uint8_t *room;
    TRY(buf_reserve(out, out->max, &room));
    for (ssize_t n = 1; n != 0;) {
        n = read(STDIN_FILENO, room + out->len, out->max - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        ENSURE(n >= 0, SYSTEM);
        buf_commit(out, (size_t)n);
        if (out->len == out->max)
            return OK;
    }
    return OK;
}

static err write_output(bytes b)
{
    while (b.len > 0) {
        ssize_t n = write(STDOUT_FILENO, b.at, b.len);
        if (n < 0 && errno == EINTR)
            continue;
        ENSURE(n > 0, SYSTEM);
        b = bytes_slice(b, (size_t)n, b.len);
    }
    return OK;
}

/* out has room for one byte more than there may be. */
static enum cli_exit take_input(const struct seal_options *o, struct buf *out)
{
    const char *name = o->in != NULL ? o->in : "standard input";
    err e = o->in != NULL ? file_read(out, o->in) : read_input(out);
    if (e.code == ERR_LIMIT || (e.code == ERR_OK && out->len == out->max))
        return cli_complain("%s is longer than may be sealed", name);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s %s", name, file_trouble(e));
}

static enum cli_exit give_output(const struct seal_options *o, bytes b)
{
    err e = o->out != NULL ? file_write(o->out, b) : write_output(b);
    return e.code == ERR_OK
               ? CLI_OK
               : cli_complain("%s cannot be written", o->out != NULL ? o->out : "standard output");
}

/* ---- the key ---- */

static enum cli_exit choose_platform(const struct seal_options *o, struct sealed_source *s)
{
    struct detect found;
    s->platform = PLATFORMS[o->platform];
    if (o->platform != 0)
        return CLI_OK;
    if (detect_look(NULL, &found).code != ERR_OK || found.choice == NULL)
        return cli_complain("this machine has no TEE that can be used; see sealgate detect");
    s->platform = found.choice;
    return CLI_OK;
}

static enum cli_exit open_key(const struct seal_options *o, struct sealed_key **out)
{
    struct sealed_source source = { .service = o->key_service,
                                    .file = o->key_file,
                                    .vmpl = (uint32_t)o->vmpl };
    if (o->key_id == NULL)
        return cli_complain("name a key with --key-id");
    enum cli_exit exit = choose_platform(o, &source);
    if (exit != CLI_OK)
        return exit;
    err e = sealed_key_open(out, &source, bytes_str(o->key_id));
    if (e.code != ERR_OK)
        return cli_complain("%s: %s", source.platform, sealed_key_fault(e));
    if (strcmp(source.platform, SIMULATED_PLATFORM) == 0)
        (void)fputs("sealgate: SIMULATED: NO PROTECTION. Whoever has key_file opens this.\n",
                    stderr);
    return CLI_OK;
}

/* ---- both ways ---- */

static enum cli_exit seal(const struct seal_options *o, const struct sealed_key *k)
{
    BUF_AUTO in = BUF(SEALED_SECRET_MAX + 1);
    BUF_AUTO out = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD);
    enum cli_exit exit = take_input(o, &in);
    if (exit != CLI_OK)
        return exit;
    err e = sealed_write(k, buf_view(&in), &out);
    return e.code == ERR_OK ? give_output(o, buf_view(&out)) : cli_complain("%s", err_text(e));
}

static enum cli_exit unseal(const struct seal_options *o, const struct sealed_key *k)
{
    BUF_AUTO in = BUF(SEALED_SECRET_MAX + SEALED_OVERHEAD + 1);
    BUF_AUTO out = BUF(SEALED_SECRET_MAX);
    enum cli_exit exit = take_input(o, &in);
    if (exit != CLI_OK)
        return exit;
    err e = sealed_read(k, buf_view(&in), &out);
    if (e.code == ERR_OK)
        return give_output(o, buf_view(&out));
    (void)cli_complain("refused: it was not sealed to this TEE under this key id, or was changed");
    return e.code == ERR_CRYPTO ? CLI_REFUSED : CLI_NOT_DECIDED;
}

static enum cli_exit run(const struct config_program *program, int argc, char **argv,
                         enum cli_exit (*fn)(const struct seal_options *,
                                             const struct sealed_key *))
{
    struct config c = { 0 };
    struct seal_options options = { 0 };
    struct sealed_key *key = NULL;
    enum cli_exit exit;
    if (cli_load(&c, program, &options, argc, argv, &exit)) {
        exit = open_key(&options, &key);
        if (exit == CLI_OK)
            exit = fn(&options, key);
    }
    sealed_key_free(key);
    config_clear(&c);
    return exit;
}

enum cli_exit cli_seal(int argc, char **argv)
{
    return run(&SEAL, argc, argv, seal);
}

enum cli_exit cli_unseal(int argc, char **argv)
{
    return run(&UNSEAL, argc, argv, unseal);
}
