/*
 * cli/measure.c - `sealgate measure`: the values to pin, as a policy, from evidence.
 *
 * Only genuine evidence in a good state is measured, by the platforms' strict defaults and pinned
 * roots, and the policy that comes out is tried on the very same evidence. What runs behind these
 * values is another question, which no evidence answers; the policy says so in its first lines.
 */
#include <stdio.h>

#include "attest/claims.h"
#include "attest/eif.h"
#include "attest/nitro.h"
#include "attest/utc.h"
#include "attest/verifier.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/ask.h"
#include "cli/evidence.h"
#include "crypto/secret.h"

enum { NONCE_LEN = 32, POLICY_TEXT_MAX = 64 * 1024, IMAGE_MAX = 1024 * 1024 * 1024 };

struct measure_options {
    const char *evidence;
    const char *image;
    struct config_list collateral;
    const char *at;
    const char *ca;
    bool simulated;
    bool json;
};

#define ROW(field) .name = #field, .offset = offsetof(struct measure_options, field)

static const struct config_row ROWS[] = {
    { .group = "What is measured",
      ROW(evidence),
      .type = CONFIG_PATH,
      .help = "Evidence in a file instead of a worker: a quote, report or document, or what "
              "`sealgate attest --save` kept." },
    { ROW(image), .type = CONFIG_PATH,
      .help = "An enclave image (EIF) for AWS Nitro instead: PCR0 to PCR2 computed from the file, "
              "as nitro-cli describe-eif does. PCR8 of a signed image is not computed." },
    { ROW(collateral), .type = CONFIG_LIST, .max = APPRAISE_COLLATERAL_MAX, .value = "FILES",
      .help = "What the vendor publishes to check it with: see sealgate verify evidence." },
    { ROW(at), .type = CONFIG_TEXT, .value = "TIME",
      .help = "With --evidence, judge as of this time: 2026-02-01T14:49:26Z, or Unix seconds." },
    { ROW(ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for a tls:// worker; without it the system's." },
    { ROW(simulated), .type = CONFIG_BOOL,
      .help = "Measure a simulated worker as well, which protects nothing." },
    { ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of the policy." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate measure",
    .summary =
        "Prints a policy that pins what a running worker shows. That proves genuine hardware, not "
        "that the right program runs there: measure only a worker that you trust already, or "
        "compare the values with those of your own build. Of images only those of Nitro are "
        "measured; for the launch digest of SEV-SNP use sev-snp-measure, for TDX what the image's "
        "maker gives. Exit status: 0 done, 1 the evidence was refused, 2 it could not be decided.",
    .arguments = "[ADDRESS]",
    .env_prefix = "SEALGATE_MEASURE_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

/* One measurement under way. */
struct measuring {
    const struct measure_options *options;
    bool fresh; /* it answered a nonce of ours */
    struct buf evidence;
    struct appraisal report;
    struct buf policy;
};

/* ---- genuine? ---- */

static bool is_simulated(const struct appraisal *report)
{
    return report->platform != NULL &&
           bytes_equal(bytes_str(report->platform), BYTES_LIT("simulated"));
}

static enum cli_exit refuse(const struct appraisal *report)
{
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    if (appraise_text(report, &text).code == ERR_OK)
        (void)fputs(buf_str(&text), stderr);
    (void)cli_complain("nothing to pin: this evidence is not verified%s",
                       is_simulated(report) ? "; --simulated measures it all the same" : "");
    return evidence_exit(report->outcome);
}

static enum cli_exit judge(struct measuring *m, const struct policy *policy)
{
    const struct evidence_ask ask = { .collateral = &m->options->collateral,
                                      .at = m->options->at,
                                      .policy = policy };
    appraise_clear(&m->report);
    enum cli_exit exit = evidence_judge(&ask, buf_view(&m->evidence), &m->report);
    if (exit == CLI_OK && m->report.outcome != APPRAISE_VERIFIED)
        exit = refuse(&m->report);
    return exit;
}

static enum cli_exit judge_genuine(struct measuring *m)
{
    struct policy *policy = NULL;
    enum cli_exit exit = m->options->simulated ? cli_policy(&policy, "simulated") : CLI_OK;
    if (exit == CLI_OK)
        exit = judge(m, policy);
    policy_free(policy);
    return exit;
}

/* ---- which registers ---- */

/* Those that differ from machine to machine, or from start to start: shown, and not pinned. */
static const struct {
    const char *platform, *name, *why;
} PASSING[] = {
    { "tdx", "mrseam", "the TDX module: another with each update of the host" },
    { "sev-snp", "chip_id", "this one processor" },
    { "sev-snp", "report_id", "this one start of the guest" },
    { "nitro", "pcr3", "the instance's IAM role" },
    { "nitro", "pcr4", "this one instance" },
};

static const char *passing(const char *platform, const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(PASSING); i++) {
        if (bytes_equal(bytes_str(PASSING[i].platform), bytes_str(platform)) &&
            bytes_equal(bytes_str(PASSING[i].name), bytes_str(name)))
            return PASSING[i].why;
    }
    return NULL;
}

/* Its value in hex; empty when it is not there, or nothing was ever measured into it. */
static bytes value_of(const struct appraisal *a, const char *name)
{
    for (size_t i = 0; i < a->fields_n; i++) {
        bytes value = buf_view(&a->fields[i].value);
        if (!bytes_equal(bytes_str(a->fields[i].name), bytes_str(name)))
            continue;
        for (size_t k = 0; k < value.len; k++) {
            if (value.at[k] != '0')
                return value;
        }
    }
    return (bytes){ 0 };
}

/* ---- the policy ---- */

static const char PROVES[] =
    "# PROVED: genuine hardware of that kind, in a good state, by the vendor's pinned root%s.\n"
    "# NOT PROVED: that what runs there is the program you want. Whoever started it chose it. Pin\n"
    "# these values only if you trust that worker already, or if they are those of your own "
    "build.\n";
static const char SIMULATED[] =
    "# SIMULATED: NO PROTECTION. Anybody can make this evidence; nothing at all is proved.\n";

static err put_head(struct measuring *m, const char *platform)
{
    struct buf *to = &m->policy;
    TRY(buf_addf(to, "# Made by `sealgate measure` of "));
    TRY(buf_add_str(to, m->fresh ? "a running worker, " : "evidence in a file, judged as of "));
    TRY(utc_write(to, m->report.at));
    TRY(buf_add_str(to, ".\n"));
    if (m->options->simulated && bytes_equal(bytes_str(platform), BYTES_LIT("simulated")))
        TRY(buf_add_str(to, SIMULATED));
    else
        TRY(buf_addf(to, PROVES, m->fresh ? ",\n# over a nonce made for this" : ""));
    return buf_addf(to, "platforms: [%s]\nmeasurements:\n", platform);
}

static err put_registers(struct measuring *m, const struct verifier *v)
{
    for (size_t i = 0; i < v->registers_n; i++) {
        const char *name = v->registers[i].name;
        bytes value = value_of(&m->report, name);
        const char *why = passing(v->platform, name);
        if (value.len == 0)
            continue;
        TRY(buf_addf(&m->policy, "  %s%s: [", why != NULL ? "# " : "", name));
        TRY(buf_add(&m->policy, value));
        TRY(buf_addf(&m->policy, "]%s%s\n", why != NULL ? " # " : "", why != NULL ? why : ""));
    }
    return OK;
}

static err put_claim(struct buf *to, const char *rule, bytes value, bool hex)
{
    if (value.len == 0)
        return OK;
    TRY(buf_addf(to, "# %s: [", rule));
    TRY(hex ? text_hex_encode(to, value) : buf_add(to, value));
    return buf_add_str(to, "]\n");
}

/* As comments: what it says of itself, to be asked of it or not. */
static err put_claims(struct measuring *m)
{
    struct bundle b;
    struct claims c;
    bytes in = buf_view(&m->evidence);
    if ((bundle_read(in, &b).code != ERR_OK && evidence_document_read(in, &b).code != ERR_OK) ||
        claims_read(b.claims, &c).code != ERR_OK)
        return OK;
    TRY(put_claim(&m->policy, "worker_names", c.worker, false));
    TRY(put_claim(&m->policy, "operator_keys", c.operator_key, true));
    return put_claim(&m->policy, "model_digests", c.manifest_digest, true);
}

static err write_policy(struct measuring *m)
{
    const struct verifier *v = verifier_find(bytes_str(m->report.platform));
    ENSURE(v != NULL, UNSUPPORTED);
    TRY(put_head(m, v->platform));
    TRY(put_registers(m, v));
    return put_claims(m);
}

/* The policy has to accept the evidence that it was made of. */
static enum cli_exit try_policy(struct measuring *m)
{
    struct policy *policy = NULL;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    err e = policy_read(&policy, buf_view(&m->policy), "the policy made", &message);
    if (e.code != ERR_OK)
        return cli_complain("%s", message.len > 0 ? buf_str(&message) : err_text(e));
    enum cli_exit exit = judge(m, policy);
    policy_free(policy);
    return exit;
}

/* ---- what is shown ---- */

static err write_json(struct measuring *m, struct buf *out)
{
    struct json_out j = JSON_OUT(out);
    const struct verifier *v = verifier_find(bytes_str(m->report.platform));
    json_begin_object(&j, NULL);
    json_put_str(&j, "object", "measurement");
    json_put_str(&j, "platform", m->report.platform);
    json_put_bool(&j, "fresh", m->fresh);
    json_begin_object(&j, "registers");
    for (size_t i = 0; v != NULL && i < v->registers_n; i++) {
        bytes value = value_of(&m->report, v->registers[i].name);
        if (value.len > 0)
            json_put_text(&j, v->registers[i].name, value);
    }
    json_close(&j);
    json_put_text(&j, "policy", buf_view(&m->policy));
    json_close(&j);
    TRY(json_end(&j));
    return buf_add_u8(out, '\n');
}

static enum cli_exit show(struct measuring *m)
{
    BUF_AUTO text = BUF(APPRAISE_TEXT_MAX);
    err e = m->options->json ? write_json(m, &text) : buf_add(&text, buf_view(&m->policy));
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    if (m->options->image == NULL)
        (void)cli_complain("this pins what runs there NOW, whatever it is; see the first lines");
    return CLI_OK;
}

/* ---- an image ---- */

static const char OF_IMAGE[] =
    "# Computed by `sealgate measure` from an enclave image. An enclave that shows these values "
    "runs\n"
    "# that image, whoever started it. Nothing is proved about any machine.\n"
    "platforms: [nitro]\nmeasurements:\n";

static err write_image_policy(const struct eif *image, struct buf *to, struct appraisal *report)
{
    static const char *const names[EIF_PCRS] = { "pcr0", "pcr1", "pcr2" };
    TRY(buf_add_str(to, OF_IMAGE));
    report->platform = NITRO_PLATFORM;
    for (size_t i = 0; i < EIF_PCRS; i++) {
        struct appraise_field *f = &report->fields[report->fields_n++];
        *f = (struct appraise_field){ .name = names[i], .value = BUF(2 * SHA384_LEN) };
        TRY(text_hex_encode(&f->value, BYTES_ARRAY(image->pcr[i])));
        TRY(buf_addf(to, "  %s: [", names[i]));
        TRY(buf_add(to, buf_view(&f->value)));
        TRY(buf_add_str(to, "]\n"));
    }
    return image->is_signed ? buf_add_str(to, "  # signed: nitro-cli describe-eif shows its pcr8\n")
                            : OK;
}

static enum cli_exit measure_image(struct measuring *m, const char *path)
{
    struct eif image;
    m->evidence = BUF(IMAGE_MAX);
    enum cli_exit exit = cli_read(&m->evidence, path);
    if (exit != CLI_OK)
        return exit;
    err e = eif_measure(buf_view(&m->evidence), &image);
    if (e.code != ERR_OK)
        return cli_complain("%s is not a whole enclave image: %s", path, err_text(e));
    if (write_image_policy(&image, &m->policy, &m->report).code != ERR_OK)
        return cli_complain("out of memory");
    return show(m);
}

/* ---- the whole ---- */

/* The nonce in the bundle is under its binding, which is judged later. */
static enum cli_exit ask_worker(struct measuring *m, const char *address)
{
    uint8_t nonce[NONCE_LEN];
    struct bundle b;
    if (crypto_random(nonce, sizeof nonce).code != ERR_OK)
        return cli_complain("the system gives no randomness");
    enum cli_exit exit = ask_bundle(address, m->options->ca, BYTES_ARRAY(nonce), &m->evidence);
    if (exit != CLI_OK)
        return exit;
    if (bundle_read(buf_view(&m->evidence), &b).code != ERR_OK ||
        !bytes_equal(b.nonce, BYTES_ARRAY(nonce)))
        return cli_complain("%s did not answer what it was asked", address);
    m->fresh = true;
    return CLI_OK;
}

static enum cli_exit measure(struct measuring *m, const char *address)
{
    if (m->options->image != NULL)
        return measure_image(m, m->options->image);
    enum cli_exit exit =
        address != NULL ? ask_worker(m, address) : cli_read(&m->evidence, m->options->evidence);
    if (exit == CLI_OK)
        exit = judge_genuine(m);
    if (exit == CLI_OK && write_policy(m).code != ERR_OK)
        exit = cli_complain("no policy can be made of this");
    if (exit == CLI_OK)
        exit = try_policy(m);
    return exit == CLI_OK ? show(m) : exit;
}

enum cli_exit cli_measure(int argc, char **argv)
{
    static struct measuring m;
    struct config c = { 0 };
    struct measure_options options = { 0 };
    enum cli_exit exit;
    m = (struct measuring){ .options = &options,
                            .evidence = BUF(APPRAISE_EVIDENCE_MAX),
                            .policy = BUF(POLICY_TEXT_MAX) };
    if (cli_load(&c, &PROGRAM, &options, argc, argv, &exit)) {
        bool one = c.arguments_n + (options.evidence != NULL) + (options.image != NULL) == 1;
        bool dated = options.at != NULL && options.evidence == NULL;
        exit = one && !dated
                   ? measure(&m, c.arguments_n == 1 ? c.arguments[0] : NULL)
                   : cli_complain(
                         "name one worker, or --evidence FILE (and then --at), or --image FILE");
    }
    appraise_clear(&m.report);
    buf_clear(&m.evidence);
    buf_clear(&m.policy);
    config_clear(&c);
    return exit;
}
