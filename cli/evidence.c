/*
 * cli/evidence.c - `sealgate verify evidence`: what is this piece of evidence worth? Offline: what
 * the vendor publishes to check it with comes from files.
 */
#include "cli/evidence.h"

#include <stdio.h>

#include "attest/collateral.h"
#include "base/clock.h"
#include "base/text.h"

enum { USER_DATA_MAX = 1024 };

struct evidence_options {
    const char *platform;
    const char *policy;
    const char *at;
    struct config_list collateral;
    const char *user_data;
    uint64_t max_age;
    bool json;
};

#define ROW(field) .name = #field, .offset = offsetof(struct evidence_options, field)

static const struct config_row ROWS[] = {
    { .group = "What it is",
      ROW(platform),
      .type = CONFIG_TEXT,
      .fallback = "auto",
      .value = "PLATFORM",
      .help = "tdx, snp, nitro, or sealgate for what a worker or a gateway gave out. auto tells by "
              "the structure of the file." },
    { ROW(collateral), .type = CONFIG_LIST, .max = APPRAISE_COLLATERAL_MAX, .value = "FILES",
      .help =
          "What the vendor publishes to check it with, files with commas between them. TDX: TCB "
          "info and QE identity (JSON), their issuer chain (PEM), both revocation lists (DER). "
          "SEV-SNP: certificates (DER, PEM or the host's table) and the revocation list (DER)." },

    { .group = "What to ask of it",
      ROW(policy),
      .type = CONFIG_TEXT,
      .value = "FILE",
      .help = "What to accept: a policy file, or the word simulated. Without it the platforms' "
              "strict defaults hold, and it is not asked which program runs there." },
    { ROW(user_data), .type = CONFIG_TEXT, .value = "HEX",
      .help = "What it must carry, exactly: TDX and SEV-SNP: all 64 bytes of report data; Nitro: "
              "user_data." },
    { ROW(max_age), .type = CONFIG_SECONDS, .help = "How old it may be; 0 for any age." },
    { ROW(at), .type = CONFIG_TEXT, .value = "TIME",
      .help = "Judge as of this time: 2026-02-01T14:49:26Z, or Unix seconds. Without it, now." },
    { ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of text." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate verify evidence",
    .summary =
        "Verifies a TEE's evidence offline. Exit status: 0 verified, 1 refused, 2 not "
        "decided.",
    .arguments = "FILE",
    .env_prefix = "SEALGATE_EVIDENCE_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

/* What is held while it is judged. */
struct inquiry {
    struct appraise_settings settings;
    struct buf user_data;
    struct buf collateral[APPRAISE_COLLATERAL_MAX];
};

static enum cli_exit read_collateral(struct inquiry *q, const struct config_list *files)
{
    enum cli_exit exit = CLI_OK;
    for (size_t i = 0; exit == CLI_OK && files != NULL && i < files->n; i++) {
        q->collateral[i] = BUF(APPRAISE_EVIDENCE_MAX);
        exit = cli_read(&q->collateral[i], files->at[i]);
        if (exit == CLI_OK && collateral_list_as_der(&q->collateral[i]).code != ERR_OK)
            exit = cli_complain("out of memory");
        q->settings.collateral[i] = buf_view(&q->collateral[i]);
        q->settings.collateral_n = i + 1;
    }
    return exit;
}

static enum cli_exit read_ask(struct inquiry *q, const struct evidence_ask *ask)
{
    struct appraise_settings *s = &q->settings;
    s->policy = ask->policy;
    if (ask->platform != NULL && !appraise_platform_read(bytes_str(ask->platform), &s->platform))
        return cli_complain("--platform is one of auto, tdx, snp, nitro, sealgate");
    if (ask->at == NULL)
        s->now = clock_wall_s();
    else if (!cli_time(ask->at, &s->now))
        return cli_complain("--at is a time like 2026-02-01T14:49:26Z, or Unix seconds");
    if (ask->max_age > INT64_MAX)
        return cli_complain("--max-age is too long");
    s->max_age_s = (int64_t)ask->max_age;
    q->user_data = BUF(USER_DATA_MAX);
    s->ask_user_data = ask->user_data != NULL;
    if (s->ask_user_data &&
        text_hex_decode(&q->user_data, bytes_str(ask->user_data)).code != ERR_OK)
        return cli_complain("--user-data is not hex");
    s->user_data = buf_view(&q->user_data);
    return read_collateral(q, ask->collateral);
}

enum cli_exit evidence_judge(const struct evidence_ask *ask, bytes evidence,
                             struct appraisal *report)
{
    struct inquiry q = { 0 };
    memset(report, 0, sizeof *report);
    enum cli_exit exit = read_ask(&q, ask);
    err e = exit == CLI_OK ? appraise(evidence, &q.settings, report) : OK;
    if (e.code != ERR_OK)
        exit = cli_complain("%s", err_text(e));
    buf_clear(&q.user_data);
    for (size_t i = 0; i < APPRAISE_COLLATERAL_MAX; i++)
        buf_clear(&q.collateral[i]);
    return exit;
}

enum cli_exit evidence_judge_file(const struct evidence_ask *ask, const char *path,
                                  struct appraisal *report)
{
    BUF_AUTO evidence = BUF(APPRAISE_EVIDENCE_MAX);
    memset(report, 0, sizeof *report);
    enum cli_exit exit = cli_read(&evidence, path);
    return exit == CLI_OK ? evidence_judge(ask, buf_view(&evidence), report) : exit;
}

enum cli_exit evidence_exit(enum appraise_outcome o)
{
    switch (o) {
    case APPRAISE_NOT_DECIDED:
        return CLI_NOT_DECIDED;
    case APPRAISE_REFUSED:
        return CLI_REFUSED;
    case APPRAISE_VERIFIED:
        return CLI_OK;
    }
    return CLI_NOT_DECIDED;
}

static enum cli_exit show(const struct appraisal *report, bool json)
{
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    err e = json ? appraise_json(report, &text) : appraise_text(report, &text);
    if (e.code == ERR_OK && json)
        e = buf_add_u8(&text, '\n');
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    return evidence_exit(report->outcome);
}

static enum cli_exit run(const struct evidence_options *o, const char *path)
{
    static struct appraisal report;
    struct policy *policy = NULL;
    enum cli_exit exit = cli_policy(&policy, o->policy);
    const struct evidence_ask ask = { .platform = o->platform,
                                      .collateral = &o->collateral,
                                      .user_data = o->user_data,
                                      .max_age = o->max_age,
                                      .at = o->at,
                                      .policy = policy };
    if (exit == CLI_OK)
        exit = evidence_judge_file(&ask, path, &report);
    if (exit == CLI_OK)
        exit = show(&report, o->json);
    appraise_clear(&report);
    policy_free(policy);
    return exit;
}

enum cli_exit cli_evidence(int argc, char **argv)
{
    struct config c = { 0 };
    struct evidence_options options = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &PROGRAM, &options, argc, argv, &exit))
        exit = c.arguments_n == 1 ? run(&options, c.arguments[0])
                                  : cli_complain("name one file with evidence");
    config_clear(&c);
    return exit;
}
