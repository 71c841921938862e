/* cli/attest.c - `sealgate attest`: asks a worker for its evidence, now, and judges it. */
#include <stdio.h>

#include "attest/verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/sock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/fetch.h"
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

/* The address as the servers write it becomes what libcurl wants. */
static err write_url(const struct sock_addr *a, struct buf *url)
{
    bool v6 = strchr(a->host, ':') != NULL;
    if (a->kind == SOCK_KIND_UNIX)
        return buf_add_str(url, "http://worker/attestation");
    ENSURE(a->kind == SOCK_KIND_TCP, UNSUPPORTED);
    return buf_addf(url, "%s://%s%s%s:%u/attestation", a->tls ? "https" : "http", v6 ? "[" : "",
                    a->host, v6 ? "]" : "", a->port);
}

static enum cli_exit ask(const struct attest_options *o, const char *address, bytes nonce,
                         struct buf *bundle)
{
    struct sock_addr addr;
    BUF_AUTO url = BUF(1024);
    BUF_AUTO body = BUF(256);
    BUF_AUTO message = BUF(1024);
    long status = 0;
    if (sock_addr_read(bytes_str(address), &addr).code != ERR_OK ||
        write_url(&addr, &url).code != ERR_OK)
        return cli_complain("%s is not an address; write HOST:PORT, tls://HOST:PORT or unix:PATH",
                            address);
    err e = buf_add_str(&body, "{\"nonce\":\"");
    if (e.code == ERR_OK)
        e = text_base64url_encode(&body, nonce);
    if (e.code == ERR_OK)
        e = buf_add_str(&body, "\"}");
    const struct fetch f = { .url = buf_str(&url),
                             .unix_path = addr.kind == SOCK_KIND_UNIX ? addr.path : NULL,
                             .ca_path = o->ca,
                             .http2 = !addr.tls,
                             .body = buf_view(&body),
                             .timeout_s = 30,
                             .out = bundle };
    if (e.code == ERR_OK)
        e = fetch_run(&f, &status, &message);
    if (e.code != ERR_OK)
        return cli_complain("%s: %s", address, message.len > 0 ? buf_str(&message) : err_text(e));
    return status == 200 ? CLI_OK : cli_complain("%s answered %ld", address, status);
}

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
        exit = ask(o, address, BYTES_ARRAY(nonce), &bundle);
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
