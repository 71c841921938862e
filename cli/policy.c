/* cli/policy.c - the flag --policy of several subcommands; `sealgate policy check` and `explain`. */
#include "cli/policy.h"

#include <stdio.h>
#include <string.h>

#include "attest/utc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/evidence.h"

enum { EXPLAIN_MAX = 1024 * 1024 };

static const char SIMULATED_POLICY[] = "platforms: [simulated]\nmeasurements: any\n";

void policy_file_clear(struct policy_file *f)
{
    policy_free(f->opened.policy);
    buf_clear(&f->bytes);
    buf_clear(&f->message);
    *f = (struct policy_file){ 0 };
}

static enum cli_exit take_keys(const struct config_list *hex, struct policy_keys *keys)
{
    for (size_t i = 0; hex != NULL && i < hex->n; i++) {
        if (policy_keys_add(keys, bytes_str(hex->at[i])).code != ERR_OK)
            return cli_complain("--policy-key: give each public key as 64 hex digits, at most 8");
    }
    return CLI_OK;
}

enum cli_exit policy_file_open(struct policy_file *f, const char *name,
                               const struct config_list *hex, int64_t now)
{
    struct policy_keys keys = { 0 };
    bool simulated = strcmp(name, "simulated") == 0;
    *f =
        (struct policy_file){ .bytes = BUF(POLICY_BUNDLE_MAX), .message = BUF(CONFIG_MESSAGE_MAX) };
    enum cli_exit exit = take_keys(hex, &keys);
    if (exit == CLI_OK && !simulated)
        exit = cli_read(&f->bytes, name);
    if (exit != CLI_OK)
        return exit;
    bytes file = simulated ? bytes_str(SIMULATED_POLICY) : buf_view(&f->bytes);
    err e = policy_open(
        &(struct policy_ask){
            .file = file, .name = name, .keys = &keys, .now = now, .message = &f->message },
        &f->opened);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s", err_text(e));
}

enum cli_exit cli_policy(struct policy **out, const char *name)
{
    struct policy_file f;
    if (name == NULL)
        return CLI_OK;
    enum cli_exit exit = policy_file_open(&f, name, NULL, clock_wall_s());
    if (exit == CLI_OK && f.opened.outcome != POLICY_ACCEPTED)
        exit = cli_complain("%s", buf_str(&f.message));
    *out = f.opened.policy;
    f.opened.policy = NULL;
    policy_file_clear(&f);
    return exit;
}

/* ---- check ---- */

struct check_options {
    struct config_list policy_key;
    const char *at;
    bool json;
};

#define CHECK_ROW(field) .name = #field, .offset = offsetof(struct check_options, field)

static const struct config_row CHECK_ROWS[] = {
    { .group = "Flags",
      CHECK_ROW(policy_key),
      .type = CONFIG_LIST,
      .max = POLICY_BUNDLE_SIGNATURES_MAX,
      .value = "HEX",
      .help = "Public keys of which each must have signed it." },
    { CHECK_ROW(at), .type = CONFIG_TEXT, .value = "TIME",
      .help = "Check as of this time: 2026-02-01T14:49:26Z, or Unix seconds. Without it, now." },
    { CHECK_ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of text." },
};

static const struct config_program CHECK = {
    .name = "sealgate policy check",
    .summary =
        "Reads a policy, signed or not. Exit status: 0 it would be taken, 1 it would be "
        "refused, and why, 2 it could not be looked at.",
    .arguments = "FILE",
    .env_prefix = "SEALGATE_POLICY_CHECK_",
    .rows = CHECK_ROWS,
    .rows_n = ARRAY_LEN(CHECK_ROWS),
};

static const char *const WORDS[POLICY_OUTCOMES] = {
#define X(name, word) [POLICY_##name] = (word),
    POLICY_OUTCOME_LIST(X)
#undef X
};

/* The N of "NAME:N: ..."; 0: the message names no line. */
static uint64_t line_of(const struct policy_file *f, const char *name)
{
    uint64_t line = 0;
    bytes rest = bytes_slice(buf_view(&f->message), strlen(name) + 1, f->message.len);
    (void)text_u64(bytes_slice(rest, 0, text_find(rest, BYTES_LIT(":"))), &line);
    return line;
}

static err put_bundle(const struct policy_file *f, struct json_out *j)
{
    struct policy_bundle b;
    TRY(policy_bundle_read(buf_view(&f->bytes), &b));
    json_put_u64(j, "version", b.version);
    json_put_i64(j, "created_at", b.created);
    json_put_i64(j, "expires_at", b.expires);
    json_begin_array(j, "signed_by");
    for (size_t i = 0; i < b.signatures_n; i++)
        json_put_hex(j, NULL, BYTES_ARRAY(b.signatures[i].key));
    json_close(j);
    return OK;
}

static err check_json(const struct policy_file *f, const char *name, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    uint64_t line = line_of(f, name);
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "policy.check");
    json_put_str(&j, "outcome", WORDS[f->opened.outcome]);
    json_put_bool(&j, "signed", f->opened.facts.is_bundle);
    json_put_hex(&j, "sha256", BYTES_ARRAY(f->opened.facts.digest));
    if (f->opened.facts.is_bundle)
        TRY(put_bundle(f, &j));
    if (f->message.len > 0)
        json_put_text(&j, "message", buf_view(&f->message));
    if (line > 0)
        json_put_u64(&j, "line", line);
    json_close(&j);
    TRY(json_end(&j));
    return buf_add_u8(out, '\n');
}

static err check_bundle_text(const struct policy_file *f, struct buf *out)
{
    struct policy_bundle b;
    TRY(policy_bundle_read(buf_view(&f->bytes), &b));
    TRY(buf_addf(out, "version %llu, created ", (unsigned long long)b.version));
    TRY(utc_write(out, b.created));
    TRY(buf_add_str(out, ", expires "));
    TRY(utc_write(out, b.expires));
    for (size_t i = 0; i < b.signatures_n; i++) {
        TRY(buf_add_str(out, "\nsigned by "));
        TRY(text_hex_encode(out, BYTES_ARRAY(b.signatures[i].key)));
    }
    return buf_add_u8(out, '\n');
}

static err check_text(struct policy_file *f, const char *name, struct buf *out)
{
    if (f->opened.outcome == POLICY_ACCEPTED)
        TRY(buf_addf(out, "%s: ok, %s\n", name,
                     f->opened.facts.is_bundle ? "signed" : "not signed"));
    else
        TRY(buf_addf(out, "%s: %s\n", WORDS[f->opened.outcome], buf_str(&f->message)));
    return f->opened.facts.is_bundle ? check_bundle_text(f, out) : OK;
}

static enum cli_exit check(const struct check_options *o, const char *name)
{
    struct policy_file f;
    int64_t now = clock_wall_s();
    BUF_AUTO text = BUF(EXPLAIN_MAX);
    if (o->at != NULL && !cli_time(o->at, &now))
        return cli_complain("--at is a time like 2026-02-01T14:49:26Z, or Unix seconds");
    enum cli_exit exit = policy_file_open(&f, name, &o->policy_key, now);
    if (exit == CLI_OK) {
        err e = o->json ? check_json(&f, name, &text) : check_text(&f, name, &text);
        exit = f.opened.outcome == POLICY_ACCEPTED ? CLI_OK : CLI_REFUSED;
        if (e.code != ERR_OK)
            exit = cli_complain("%s", err_text(e));
        else
            (void)fputs(buf_str(&text), stdout);
    }
    policy_file_clear(&f);
    return exit;
}

static enum cli_exit run_check(int argc, char **argv)
{
    struct config c = { 0 };
    struct check_options options = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &CHECK, &options, argc, argv, &exit))
        exit = c.arguments_n == 1 ? check(&options, c.arguments[0])
                                  : cli_complain("name one policy file");
    config_clear(&c);
    return exit;
}

/* ---- explain ---- */

struct explain_options {
    const char *evidence;
    const char *platform;
    struct config_list collateral;
    const char *at;
    bool json;
};

#define EXPLAIN_ROW(field) .name = #field, .offset = offsetof(struct explain_options, field)

static const struct config_row EXPLAIN_ROWS[] = {
    { .group = "Beside evidence",
      EXPLAIN_ROW(evidence),
      .type = CONFIG_PATH,
      .help = "Evidence, or a worker's document: which rule does each of its registers and claims "
              "meet? See sealgate verify evidence, also for the next three." },
    { EXPLAIN_ROW(platform), .type = CONFIG_TEXT, .fallback = "auto", .value = "PLATFORM",
      .help = "tdx, snp, nitro, sealgate, or auto." },
    { EXPLAIN_ROW(collateral), .type = CONFIG_LIST, .max = APPRAISE_COLLATERAL_MAX,
      .value = "FILES", .help = "What the vendor publishes to check it with." },
    { EXPLAIN_ROW(at), .type = CONFIG_TEXT, .value = "TIME",
      .help = "Judge as of this time: 2026-02-01T14:49:26Z, or Unix seconds. Without it, now." },
    { EXPLAIN_ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of text." },
};

static const struct config_program EXPLAIN = {
    .name = "sealgate policy explain",
    .summary =
        "Says in plain words what a policy accepts. Exit status: 0, or that of the verdict "
        "on the evidence: 0 verified, 1 refused, 2 not decided; 1 also for a policy that "
        "would be refused.",
    .arguments = "FILE",
    .env_prefix = "SEALGATE_POLICY_EXPLAIN_",
    .rows = EXPLAIN_ROWS,
    .rows_n = ARRAY_LEN(EXPLAIN_ROWS),
};

static void put_lines(struct json_out *j, bytes text)
{
    json_begin_array(j, "accepts");
    while (text.len > 0) {
        bytes line = bytes_slice(text, 0, text_find(text, BYTES_LIT("\n")));
        json_put_text(j, NULL, line);
        text = bytes_slice(text, line.len + 1, text.len);
    }
    json_close(j);
}

static err explain_json(bytes words, const struct appraisal *report, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    BUF_AUTO findings = BUF(APPRAISE_TEXT_MAX);
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "policy.explanation");
    put_lines(&j, words);
    if (report != NULL) {
        TRY(appraise_json(report, &findings));
        json_put_raw(&j, "findings", buf_view(&findings));
    }
    json_close(&j);
    TRY(json_end(&j));
    return buf_add_u8(out, '\n');
}

static err explain_text(bytes words, const struct appraisal *report, struct buf *out)
{
    TRY(buf_add(out, words));
    if (report == NULL)
        return OK;
    TRY(buf_add_u8(out, '\n'));
    return appraise_text(report, out);
}

static enum cli_exit write_explanation(const struct explain_options *o, const struct policy *policy,
                                       const struct appraisal *report)
{
    BUF_AUTO words = BUF(EXPLAIN_MAX);
    BUF_AUTO text = BUF(4 * EXPLAIN_MAX);
    err e = policy_explain(policy, &words);
    if (e.code == ERR_OK)
        e = o->json ? explain_json(buf_view(&words), report, &text)
                    : explain_text(buf_view(&words), report, &text);
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    return report != NULL ? evidence_exit(report->outcome) : CLI_OK;
}

static enum cli_exit explain_beside(const struct explain_options *o, const struct policy *policy)
{
    static struct appraisal report;
    const struct evidence_ask ask = {
        .platform = o->platform, .collateral = &o->collateral, .at = o->at, .policy = policy
    };
    enum cli_exit exit = evidence_judge_file(&ask, o->evidence, &report);
    if (exit == CLI_OK)
        exit = write_explanation(o, policy, &report);
    appraise_clear(&report);
    return exit;
}

static enum cli_exit explain(const struct explain_options *o, const char *name)
{
    struct policy_file f;
    enum cli_exit exit = policy_file_open(&f, name, NULL, clock_wall_s());
    if (exit == CLI_OK && f.opened.outcome != POLICY_ACCEPTED) {
        (void)cli_complain("%s", buf_str(&f.message));
        exit = CLI_REFUSED;
    } else if (exit == CLI_OK) {
        exit = o->evidence != NULL ? explain_beside(o, f.opened.policy)
                                   : write_explanation(o, f.opened.policy, NULL);
    }
    policy_file_clear(&f);
    return exit;
}

static enum cli_exit run_explain(int argc, char **argv)
{
    struct config c = { 0 };
    struct explain_options options = { 0 };
    enum cli_exit exit;
    if (cli_load(&c, &EXPLAIN, &options, argc, argv, &exit))
        exit = c.arguments_n == 1 ? explain(&options, c.arguments[0])
                                  : cli_complain("name one policy file");
    config_clear(&c);
    return exit;
}

/* ---- which ---- */

static const struct {
    const char *name;
    cli_fn *run;
    const char *summary;
} VERBS[] = {
    { "check", run_check, "read a policy and say what is wrong with it" },
    { "explain", run_explain, "say in words what it accepts, also beside evidence" },
    { "sign", policy_sign, "make a signed policy of it, or add a signature" },
    { "key", policy_key, "make a key to sign with, or show its public half" },
};

static void usage(FILE *to)
{
    (void)fputs("usage: sealgate policy VERB [FLAGS]\n\n", to);
    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++)
        (void)fprintf(to, "  %-8s %s\n", VERBS[i].name, VERBS[i].summary);
    (void)fputs("\n`sealgate policy VERB --help` tells more.\n", to);
}

enum cli_exit cli_policy_command(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
        if (strcmp(VERBS[i].name, verb) == 0)
            return VERBS[i].run(argc - 1, argv + 1);
    }
    bool asked = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0;
    if (!asked && argc > 1)
        (void)cli_complain("policy: unknown verb \"%s\"", verb);
    usage(asked ? stdout : stderr);
    return asked ? CLI_OK : CLI_NOT_DECIDED;
}
