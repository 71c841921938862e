/*
 * cli/evidence.c - `sealgate verify evidence`: what is this piece of evidence worth? Offline: what
 * the vendor publishes to check it with comes from files.
 */
#include <stdio.h>

#include "attest/appraise.h"
#include "attest/utc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cli.h"

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

struct inquiry {
    struct evidence_options options;
    struct appraise_settings settings;
    struct appraisal report;
    struct policy *policy;
    struct buf evidence;
    struct buf user_data;
    struct buf collateral[APPRAISE_COLLATERAL_MAX];
};

static enum cli_exit read_file(struct buf *to, const char *path)
{
    *to = BUF(APPRAISE_EVIDENCE_MAX);
    err e = file_read(to, path);
    if (e.code == ERR_LIMIT)
        return cli_complain("%s is too large", path);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s cannot be read", path);
}

static enum cli_exit read_collateral(struct inquiry *q)
{
    enum cli_exit exit = CLI_OK;
    for (size_t i = 0; exit == CLI_OK && i < q->options.collateral.n; i++) {
        exit = read_file(&q->collateral[i], q->options.collateral.at[i]);
        q->settings.collateral[i] = buf_view(&q->collateral[i]);
        q->settings.collateral_n = i + 1;
    }
    return exit;
}

static bool read_time(const char *text, int64_t *out)
{
    uint64_t seconds;
    if (text == NULL) {
        *out = clock_wall_s();
        return true;
    }
    if (utc_read(bytes_str(text), out))
        return true;
    if (!text_u64(bytes_str(text), &seconds) || seconds > INT64_MAX)
        return false;
    *out = (int64_t)seconds;
    return true;
}

static enum cli_exit read_options(struct inquiry *q)
{
    struct appraise_settings *s = &q->settings;
    const struct evidence_options *o = &q->options;
    if (!appraise_platform_read(bytes_str(o->platform), &s->platform))
        return cli_complain("--platform is one of auto, tdx, snp, nitro, sealgate");
    if (!read_time(o->at, &s->now))
        return cli_complain("--at is a time like 2026-02-01T14:49:26Z, or Unix seconds");
    if (o->max_age > INT64_MAX)
        return cli_complain("--max-age is too long");
    s->max_age_s = (int64_t)o->max_age;
    q->user_data = BUF(USER_DATA_MAX);
    s->ask_user_data = o->user_data != NULL;
    if (s->ask_user_data && text_hex_decode(&q->user_data, bytes_str(o->user_data)).code != ERR_OK)
        return cli_complain("--user-data is not hex");
    s->user_data = buf_view(&q->user_data);
    return CLI_OK;
}

static enum cli_exit gather(struct inquiry *q, const char *path)
{
    enum cli_exit exit = read_options(q);
    if (exit == CLI_OK)
        exit = cli_policy(&q->policy, q->options.policy);
    if (exit == CLI_OK)
        exit = read_collateral(q);
    if (exit == CLI_OK)
        exit = read_file(&q->evidence, path);
    q->settings.policy = q->policy;
    return exit;
}

static enum cli_exit exit_of(enum appraise_outcome o)
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

static enum cli_exit judge(struct inquiry *q)
{
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    err e = appraise(buf_view(&q->evidence), &q->settings, &q->report);
    if (e.code == ERR_OK)
        e = q->options.json ? appraise_json(&q->report, &text) : appraise_text(&q->report, &text);
    if (e.code == ERR_OK && q->options.json)
        e = buf_add_u8(&text, '\n');
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    return exit_of(q->report.outcome);
}

static void clear(struct inquiry *q)
{
    policy_free(q->policy);
    appraise_clear(&q->report);
    buf_clear(&q->evidence);
    buf_clear(&q->user_data);
    for (size_t i = 0; i < APPRAISE_COLLATERAL_MAX; i++)
        buf_clear(&q->collateral[i]);
}

enum cli_exit cli_evidence(int argc, char **argv)
{
    static struct inquiry q;
    struct config c = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &PROGRAM, &q.options, argc, argv, &exit)) {
        exit = c.arguments_n == 1 ? gather(&q, c.arguments[0])
                                  : cli_complain("name one file with evidence");
        if (exit == CLI_OK)
            exit = judge(&q);
    }
    clear(&q);
    config_clear(&c);
    return exit;
}
