/* cli/policy_sign.c - `sealgate policy sign` and `sealgate policy key`. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/policy.h"
#include "crypto/pem_key.h"

/* Replaces `-o` by `--out`. At most ARGS_MAX arguments are of use to either. */
enum { ARGS_MAX = 64, SECONDS_OF_DAY = 86400 };

struct sign_options {
    const char *key;
    uint64_t version;
    const char *expires;
    const char *created;
    const char *out;
};

#define SIGN_ROW(field) .name = #field, .offset = offsetof(struct sign_options, field)

static const struct config_row SIGN_ROWS[] = {
    { .group = "Flags",
      SIGN_ROW(key),
      .type = CONFIG_PATH,
      .help = "Private key (PEM): see sealgate policy key." },
    { SIGN_ROW(version), .type = CONFIG_U64, .max = POLICY_BUNDLE_VERSION_MAX,
      .help = "Version of the signed policy, from 1, higher than any that was given out. A gateway "
              "never goes back to a lower one." },
    { SIGN_ROW(expires), .type = CONFIG_TEXT, .value = "TIME",
      .help = "When it ends: 2026-12-31T00:00:00Z, Unix seconds, or 90d for that many days from "
              "its beginning. A gateway whose policy has ended accepts no worker." },
    { SIGN_ROW(created), .type = CONFIG_TEXT, .value = "TIME",
      .help = "When it begins; without it, now." },
    { SIGN_ROW(out), .type = CONFIG_PATH,
      .help = "-o FILE: where it is written, for its owner only; without it standard output." },
};

static const struct config_program SIGN = {
    .name = "sealgate policy sign",
    .summary =
        "Signs a policy, or adds a signature to one that is signed. Exit status: 0 done, "
        "1 the policy does not read, 2 it could not be done.",
    .arguments = "FILE",
    .env_prefix = "SEALGATE_POLICY_SIGN_",
    .rows = SIGN_ROWS,
    .rows_n = ARRAY_LEN(SIGN_ROWS),
};

/* ---- sign ---- */

static bool read_end(const char *text, int64_t created, int64_t *out)
{
    uint64_t days;
    bytes t = bytes_str(text);
    if (t.len < 2 || t.at[t.len - 1] != 'd')
        return cli_time(text, out);
    if (!text_u64(bytes_slice(t, 0, t.len - 1), &days) || days > 36525)
        return false;
    *out = created + (int64_t)days * SECONDS_OF_DAY;
    return true;
}

static enum cli_exit make_bundle(const struct sign_options *o, bytes policy,
                                 const struct signing_key *key, struct buf *out)
{
    struct policy_bundle b = { .version = o->version, .policy = policy, .created = clock_wall_s() };
    if (o->version == 0 || o->expires == NULL)
        return cli_complain("--version and --expires are needed");
    if (o->created != NULL && !cli_time(o->created, &b.created))
        return cli_complain("--created is a time like 2026-02-01T14:49:26Z, or Unix seconds");
    if (!read_end(o->expires, b.created, &b.expires))
        return cli_complain("--expires is a time like 2026-12-31T00:00:00Z, Unix seconds, or 90d");
    if (policy_bundle_write(out, &b, key).code != ERR_OK)
        return cli_complain("it would end before it begins, or is too large");
    return CLI_OK;
}

static enum cli_exit add_signature(const struct sign_options *o, bytes bundle,
                                   const struct signing_key *key, struct buf *out)
{
    if (o->version != 0 || o->expires != NULL || o->created != NULL)
        return cli_complain(
            "it is signed already, and a further signature changes nothing of it; "
            "leave out --version, --expires and --created");
    err e = policy_bundle_sign(out, bundle, key);
    if (e.code == ERR_EXISTS)
        return cli_complain("this key has signed it already");
    return e.code == ERR_OK ? CLI_OK : cli_complain("no further signature can be added");
}

/* Nothing is signed that a gateway would not read. */
static enum cli_exit check_policy(struct policy_file *f, const char *name)
{
    enum cli_exit exit = policy_file_open(f, name, NULL, clock_wall_s());
    if (exit != CLI_OK || f->opened.outcome == POLICY_ACCEPTED || f->opened.outcome == POLICY_EARLY)
        return exit;
    (void)cli_complain("%s", buf_str(&f->message));
    return CLI_REFUSED;
}

static enum cli_exit deliver(const char *path, bytes content)
{
    if (path == NULL)
        return fwrite(content.at, 1, content.len, stdout) == content.len
                   ? CLI_OK
                   : cli_complain("standard output cannot be written");
    return file_write(path, content).code == ERR_OK ? CLI_OK
                                                    : cli_complain("%s cannot be written", path);
}

static enum cli_exit read_key(struct signing_key **key, const char *path)
{
    BUF_AUTO pem = BUF(PEM_KEY_TEXT_MAX);
    if (path == NULL)
        return cli_complain("--key is needed: a private key, see sealgate policy key");
    enum cli_exit exit = cli_read(&pem, path);
    if (exit == CLI_OK && pem_key_read(key, buf_view(&pem)).code != ERR_OK)
        return cli_complain("%s is not the PEM of an Ed25519 private key", path);
    return exit;
}

static enum cli_exit sign(const struct sign_options *o, const char *name)
{
    struct policy_file f;
    struct signing_key *key = NULL;
    BUF_AUTO out = BUF(POLICY_BUNDLE_MAX);
    enum cli_exit exit = check_policy(&f, name);
    if (exit == CLI_OK)
        exit = read_key(&key, o->key);
    if (exit == CLI_OK)
        exit = f.opened.facts.is_bundle ? add_signature(o, buf_view(&f.bytes), key, &out)
                                        : make_bundle(o, buf_view(&f.bytes), key, &out);
    if (exit == CLI_OK)
        exit = deliver(o->out, buf_view(&out));
    signing_key_free(key);
    policy_file_clear(&f);
    return exit;
}

/* ---- key ---- */

struct key_options {
    const char *out;
};

#define KEY_ROW(field) .name = #field, .offset = offsetof(struct key_options, field)

static const struct config_row KEY_ROWS[] = {
    { .group = "Flags",
      KEY_ROW(out),
      .type = CONFIG_PATH,
      .help = "-o FILE: make a key. FILE gets the private half (PEM, for its owner only) and must "
              "not be there yet, FILE.pub the public one." },
};

static const struct config_program KEY = {
    .name = "sealgate policy key",
    .summary =
        "Makes an Ed25519 key to sign policies with, and prints its public half as policy_key "
        "wants it; or does that for a key (PEM, either half) that is there. Exit status: 0 done, "
        "2 it could not be done.",
    .arguments = "[FILE]",
    .env_prefix = "SEALGATE_POLICY_KEY_",
    .rows = KEY_ROWS,
    .rows_n = ARRAY_LEN(KEY_ROWS),
};

static enum cli_exit print_public(const uint8_t pk[static ED25519_PK_LEN])
{
    BUF_AUTO hex = BUF(2 * ED25519_PK_LEN);
    if (text_hex_encode(&hex, bytes_of(pk, ED25519_PK_LEN)).code != ERR_OK)
        return cli_complain("out of memory");
    (void)puts(buf_str(&hex));
    return CLI_OK;
}

static enum cli_exit write_halves(const char *path, bytes private_text,
                                  const uint8_t pk[static ED25519_PK_LEN])
{
    BUF_AUTO name = BUF(CONFIG_TEXT_MAX + 8);
    BUF_AUTO text = BUF(PEM_KEY_TEXT_MAX);
    if (buf_addf(&name, "%s.pub", path).code != ERR_OK ||
        pem_public_write(&text, pk).code != ERR_OK)
        return cli_complain("out of memory");
    enum cli_exit exit = deliver(path, private_text);
    return exit == CLI_OK ? deliver(buf_str(&name), buf_view(&text)) : exit;
}

static enum cli_exit make_key(const char *path)
{
    struct signing_key *key = NULL;
    BUF_AUTO text = BUF(PEM_KEY_TEXT_MAX);
    BUF_AUTO there = BUF(1);
    if (file_read(&there, path).code != ERR_NOT_FOUND)
        return cli_complain("%s is there already; keys are not replaced", path);
    if (pem_key_make(&key, &text).code != ERR_OK)
        return cli_complain("no key can be made");
    enum cli_exit exit = write_halves(path, buf_view(&text), signing_key_public(key));
    if (exit == CLI_OK)
        exit = print_public(signing_key_public(key));
    signing_key_free(key);
    return exit;
}

static enum cli_exit show_key(const char *path)
{
    struct signing_key *key = NULL;
    uint8_t pk[ED25519_PK_LEN];
    BUF_AUTO text = BUF(PEM_KEY_TEXT_MAX);
    enum cli_exit exit = cli_read(&text, path);
    if (exit != CLI_OK)
        return exit;
    if (pem_public_read(pk, buf_view(&text)).code == ERR_OK)
        return print_public(pk);
    if (pem_key_read(&key, buf_view(&text)).code != ERR_OK)
        return cli_complain("%s is not the PEM of an Ed25519 key", path);
    exit = print_public(signing_key_public(key));
    signing_key_free(key);
    return exit;
}

/* ---- both ---- */

/* argv with -o spelt out, in `to`; NULL: too many. */
static char **spell_out(int argc, char **argv, char *to[static ARGS_MAX + 1])
{
    static char out[] = "--out";
    if (argc > ARGS_MAX)
        return NULL;
    for (int i = 0; i < argc; i++)
        to[i] = strcmp(argv[i], "-o") == 0 ? out : argv[i];
    to[argc] = NULL;
    return to;
}

enum cli_exit policy_sign(int argc, char **argv)
{
    char *spelt[ARGS_MAX + 1];
    struct config c = { 0 };
    struct sign_options options = { 0 };
    enum cli_exit exit;
    if (spell_out(argc, argv, spelt) == NULL)
        return cli_complain("too many arguments");
    if (cli_load(&c, &SIGN, &options, argc, spelt, &exit))
        exit = c.arguments_n == 1 ? sign(&options, c.arguments[0])
                                  : cli_complain("name one policy file");
    config_clear(&c);
    return exit;
}

enum cli_exit policy_key(int argc, char **argv)
{
    char *spelt[ARGS_MAX + 1];
    struct config c = { 0 };
    struct key_options options = { 0 };
    enum cli_exit exit;
    if (spell_out(argc, argv, spelt) == NULL)
        return cli_complain("too many arguments");
    if (cli_load(&c, &KEY, &options, argc, spelt, &exit)) {
        if (c.arguments_n == 1 && options.out == NULL)
            exit = show_key(c.arguments[0]);
        else if (c.arguments_n == 0 && options.out != NULL)
            exit = make_key(options.out);
        else
            exit = cli_complain("give -o FILE to make a key, or name one key file");
    }
    config_clear(&c);
    return exit;
}
