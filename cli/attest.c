/* cli/attest.c - `sealgate attest`: asks a worker for its evidence, now, and judges it. */
#include <stdio.h>

#include "attest/verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "crypto/secret.h"

enum { NONCE_LEN = 32 };

struct attest_options {
    const char *policy;
    const char *ca;
    const char *save;
    bool json;
};

#define ROW(field) .name = #field, .offset = offsetof(struct attest_options, field)

static const struct config_row ROWS[] = {
    { .group = "Flags",
      ROW(policy),
      .type = CONFIG_TEXT,
      .value = "FILE",
      .help = "Which evidence to accept: a policy file, or the word simulated. Without it the "
              "evidence is shown and refused." },
    { ROW(ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for a tls:// worker; without it the system's." },
    { ROW(save), .type = CONFIG_PATH, .help = "Keep the attestation bundle in this file." },
    { ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of text." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate attest",
    .summary =
        "Asks a worker for evidence over a fresh nonce. Exit status: 0 accepted, 1 refused, "
        "2 not decided.",
    .arguments = "ADDRESS",
    .env_prefix = "SEALGATE_ATTEST_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

static enum cli_exit judge(const struct attest_options *o, const struct policy *policy, bytes nonce,
                           bytes bundle)
{
    struct verdict verdict;
    BUF_AUTO text = BUF(256 * 1024);
    const struct verify_settings settings = { .policy = policy,
                                              .now = clock_wall_s(),
                                              .nonce = nonce };
    err e = attest_verify(bundle, &settings, &verdict);
    if (e.code == ERR_OK)
        e = o->json ? verdict_json(&verdict, &text) : verdict_explain(&verdict, &text);
    bool accepted = verdict.accepted;
    verdict_clear(&verdict);
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)puts(buf_str(&text));
    return accepted ? CLI_OK : CLI_REFUSED;
}

static enum cli_exit run(const struct attest_options *o, const char *address)
{
    uint8_t nonce[NONCE_LEN];
    struct policy *policy = NULL;
    BUF_AUTO bundle = BUF(BUNDLE_MAX);
    if (crypto_random(nonce, sizeof nonce).code != ERR_OK)
        return cli_complain("the system gives no randomness");
    enum cli_exit exit = cli_policy(&policy, o->policy);
    if (exit == CLI_OK)
        exit = ask_bundle(address, o->ca, BYTES_ARRAY(nonce), &bundle);
    if (exit == CLI_OK && o->save != NULL && file_write(o->save, buf_view(&bundle)).code != ERR_OK)
        exit = cli_complain("%s cannot be written", o->save);
    if (exit == CLI_OK)
        exit = judge(o, policy, BYTES_ARRAY(nonce), buf_view(&bundle));
    policy_free(policy);
    return exit;
}

enum cli_exit cli_attest(int argc, char **argv)
{
    struct config c = { 0 };
    struct attest_options options = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &PROGRAM, &options, argc, argv, &exit))
        exit = c.arguments_n == 1 ? run(&options, c.arguments[0])
                                  : cli_complain("name one worker: its address");
    config_clear(&c);
    return exit;
}
