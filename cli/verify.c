/*
 * cli/verify.c - `sealgate verify`: is this receipt good, and how much does that mean?
 *
 * Three steps, and the answer names how far they went:
 *   signature   the receipt is well-formed and signed by the key; its hashes are those asked for
 *   platform    its evidence document was accepted by the policy, binds that key, is the one the
 *               receipt names, and shows the same registers and GPUs
 *   provenance  and the policy says which registers to expect
 */
#include "attest/verify.h"

#include <stdio.h>
#include <stdlib.h>

#include "attest/utc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/fetch.h"
#include "cli/match.h"
#include "crypto/hash.h"
#include "receipts/check.h"
#include "receipts/transcript.h"

enum { DEPTH_MAX = 8, CONTENT_MAX = 256 * 1024 * 1024, VIEW_MAX = 8 * 1024 * 1024 };

struct verify_options {
    const char *gateway;
    const char *ca;
    const char *token_file;
    const char *key;
    const char *evidence;
    const char *policy;
    const char *request;
    const char *response;
    bool sse;
    const char *model;
    const char *nonce;
    uint64_t max_age;
    uint64_t at;
    bool production;
    bool json;
    const char *save;
};

#define ROW(field) .name = #field, .offset = offsetof(struct verify_options, field)

static const struct config_row ROWS[] = {
    { .group = "Where it comes from",
      ROW(gateway),
      .type = CONFIG_TEXT,
      .value = "URL",
      .help = "Fetch the receipt, with its key and evidence, from this gateway by its receipt, "
              "request, completion or response id." },
    { ROW(ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for an https:// gateway; without it the system's." },
    { ROW(token_file), .type = CONFIG_PATH, .help = "File with a bearer token for that gateway." },
    { ROW(key), .type = CONFIG_TEXT, .value = "HEX",
      .help = "The signing key you expect; without it the one that the evidence binds." },
    { ROW(evidence), .type = CONFIG_PATH,
      .help = "The evidence document, for a receipt in a file of its own." },
    { ROW(save), .type = CONFIG_PATH,
      .help = "Keep what was fetched in this file, for verifying offline later." },

    { .group = "What to ask of it",
      ROW(policy),
      .type = CONFIG_TEXT,
      .value = "FILE",
      .help = "Which evidence to accept: a policy file, or the word simulated. Without it the "
              "evidence is not judged, only the signature." },
    { ROW(request), .type = CONFIG_PATH,
      .help = "File with the request's body as sent: must have the receipt's hash." },
    { ROW(response), .type = CONFIG_PATH, .help = "File with the answer's body as received." },
    { ROW(sse), .type = CONFIG_BOOL,
      .help = "That answer is an event stream: comment lines do not count." },
    { ROW(model), .type = CONFIG_TEXT, .help = "The model id it must name." },
    { ROW(nonce), .type = CONFIG_TEXT, .value = "BASE64URL",
      .help = "The x-receipt-nonce you sent." },
    { ROW(max_age), .type = CONFIG_SECONDS, .help = "How old it may be; 0 for any age." },
    { ROW(at), .type = CONFIG_U64, .value = "UNIX-TIME",
      .help = "Judge as of this time. 0, the default: now, and a TEE's evidence as of when it was "
              "signed, if it says so." },
    { ROW(production), .type = CONFIG_BOOL,
      .help = "Refuse receipts of simulated TEEs (security_mode evaluation)." },
    { ROW(json), .type = CONFIG_BOOL, .help = "Print one JSON object instead of text." },
};

static const struct config_program PROGRAM = {
    .name = "sealgate verify",
    .summary =
        "Verifies a receipt offline; `sealgate verify evidence FILE` a TEE's evidence. Exit "
        "status: 0 verified, 1 refused, 2 not decided.",
    .arguments = "RECEIPT",
    .env_prefix = "SEALGATE_VERIFY_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

enum assurance {
    ASSURANCE_NONE = 0,
    ASSURANCE_SIGNATURE,
    ASSURANCE_PLATFORM,
    ASSURANCE_PROVENANCE
};
static const char *const ASSURANCE_WORDS[] = { "none", "signature", "platform", "provenance" };

struct verification {
    struct verify_options options;
    const char *what; /* id or file */
    struct buf receipt;
    struct buf evidence;
    struct buf key;
    struct buf nonce;
    uint8_t request_hash[AIR_HASH_LEN];
    uint8_t response_hash[AIR_HASH_LEN];
    struct policy *policy;
    bool provenance; /* the policy expects registers */
    struct air_report report;
    struct verdict verdict;
    bool judged;
    const char *mismatch; /* between receipt and evidence; NULL: none */
};

/* ---- getting it ---- */

static err take_base64(const struct json *root, const char *key, struct buf *out)
{
    bytes text = { 0 };
    if (!json_text(json_get(root, key), &text))
        return OK;
    return text_base64_decode(out, text);
}

/* What GET /v1/receipts/ID gives: everything in one JSON object. */
static err read_view(struct verification *v, bytes text)
{
    struct json *root = NULL;
    bytes hex = { 0 };
    TRY(json_read(&root, text, DEPTH_MAX));
    err e = take_base64(root, "receipt", &v->receipt);
    if (e.code == ERR_OK)
        e = take_base64(root, "evidence", &v->evidence);
    if (e.code == ERR_OK && v->key.len == 0 && json_text(json_get(root, "signing_key"), &hex))
        e = text_hex_decode(&v->key, hex);
    json_free(root);
    TRY(e);
    ENSURE(v->receipt.len > 0, MALFORMED);
    return OK;
}

static enum cli_exit read_receipt(struct verification *v, bytes raw)
{
    bool is_view = raw.len > 0 && raw.at[0] == '{';
    err e = is_view ? read_view(v, raw) : buf_add(&v->receipt, raw);
    if (e.code != ERR_OK)
        return cli_complain("%s is neither a receipt nor a gateway's view of one", v->what);
    return CLI_OK;
}

static enum cli_exit fetch_receipt(struct verification *v)
{
    BUF_AUTO url = BUF(4096);
    BUF_AUTO body = BUF(VIEW_MAX);
    BUF_AUTO token = BUF(4096);
    BUF_AUTO message = BUF(1024);
    long status = 0;
    err e = v->options.token_file != NULL ? file_read_line(&token, v->options.token_file) : OK;
    if (e.code != ERR_OK)
        return cli_complain("%s %s", v->options.token_file, file_trouble(e));
    if (buf_addf(&url, "%s/v1/receipts/%s", v->options.gateway, v->what).code != ERR_OK)
        return cli_complain("the URL is too long");
    const struct fetch f = { .url = buf_str(&url),
                             .ca_path = v->options.ca,
                             .accept = "application/json",
                             .token = token.len > 0 ? buf_str(&token) : NULL,
                             .timeout_s = 30,
                             .out = &body };
    if (fetch_run(&f, &status, &message).code != ERR_OK)
        return cli_complain("%s: %s", buf_str(&url), buf_str(&message));
    if (status == 404)
        return cli_complain("the gateway has no receipt for %s", v->what);
    if (status != 200)
        return cli_complain("%s answered %ld", buf_str(&url), status);
    if (v->options.save != NULL && file_write(v->options.save, buf_view(&body)).code != ERR_OK)
        return cli_complain("%s cannot be written", v->options.save);
    return read_receipt(v, buf_view(&body));
}

static enum cli_exit read_files(struct verification *v)
{
    BUF_AUTO raw = BUF(VIEW_MAX);
    err e = file_read(&raw, v->what);
    if (e.code != ERR_OK)
        return cli_complain("%s %s; is it an id? then name its --gateway", v->what,
                            file_trouble(e));
    enum cli_exit exit = read_receipt(v, buf_view(&raw));
    if (exit != CLI_OK || v->options.evidence == NULL)
        return exit;
    buf_clear(&v->evidence);
    return cli_read(&v->evidence, v->options.evidence);
}

static enum cli_exit hash_file(const char *path, bool sse, uint8_t out[static AIR_HASH_LEN])
{
    struct buf content = BUF(CONTENT_MAX);
    err e = path != NULL ? file_read(&content, path) : OK;
    if (e.code == ERR_OK)
        transcript_of(buf_view(&content), sse, out);
    buf_clear(&content);
    return e.code == ERR_OK ? CLI_OK : cli_complain("%s %s", path, file_trouble(e));
}

static enum cli_exit read_policy(struct verification *v)
{
    enum cli_exit exit = cli_policy(&v->policy, v->options.policy);
    v->provenance = v->policy != NULL && !v->policy->any_measurements;
    return exit;
}

static enum cli_exit gather(struct verification *v)
{
    const struct verify_options *o = &v->options;
    if (o->key != NULL && text_hex_decode(&v->key, bytes_str(o->key)).code != ERR_OK)
        return cli_complain("--key is not hex");
    if (o->nonce != NULL && text_base64url_decode(&v->nonce, bytes_str(o->nonce)).code != ERR_OK)
        return cli_complain("--nonce is not base64url");
    enum cli_exit exit = read_policy(v);
    if (exit == CLI_OK)
        exit = hash_file(o->request, false, v->request_hash);
    if (exit == CLI_OK)
        exit = hash_file(o->response, o->sse, v->response_hash);
    if (exit == CLI_OK)
        exit = o->gateway != NULL ? fetch_receipt(v) : read_files(v);
    return exit;
}

/* ---- judging it ---- */

/* The key that the evidence binds, if we were not told one. */
static void find_key(struct verification *v)
{
    struct bundle document;
    if (v->key.len > 0 || v->evidence.len == 0)
        return;
    if (evidence_document_read(buf_view(&v->evidence), &document).code == ERR_OK)
        (void)buf_add(&v->key, document.identity);
}

/* The document that comes along must be the one the receipt names, also when nobody judges it. */
static void check_receipt(struct verification *v)
{
    const struct verify_options *o = &v->options;
    uint8_t document[SHA256_LEN];
    sha256_of(buf_view(&v->evidence), document);
    const struct air_policy policy = {
        .now = o->at > 0 ? (int64_t)o->at : clock_wall_s(),
        .max_age_s = o->max_age,
        .clock_skew_s = 300,
        .request_hash = o->request != NULL ? BYTES_ARRAY(v->request_hash) : (bytes){ 0 },
        .response_hash = o->response != NULL ? BYTES_ARRAY(v->response_hash) : (bytes){ 0 },
        .attestation_doc_hash = v->evidence.len > 0 ? BYTES_ARRAY(document) : (bytes){ 0 },
        .model_id = bytes_str(o->model),
        .nonce = buf_view(&v->nonce),
        .allow_evaluation = !o->production,
    };
    air_check(buf_view(&v->receipt), buf_view(&v->key), &policy, &v->report);
}

static err judge_evidence(struct verification *v)
{
    const struct verify_settings settings = {
        .policy = v->policy,
        .now = v->options.at > 0 ? (int64_t)v->options.at : clock_wall_s(),
        .identity = buf_view(&v->key),
        .any_nonce = true,
        .any_age = true,
        .own_time = v->options.at == 0,
    };
    TRY(attest_verify_document(buf_view(&v->evidence), &settings, &v->verdict));
    v->judged = true;
    if (!v->verdict.accepted || !v->report.has_claims)
        return OK;
    v->mismatch = match_evidence(&v->report.claims, &v->verdict);
    return OK;
}

static enum assurance assurance_of(const struct verification *v)
{
    if (!v->report.verified)
        return ASSURANCE_NONE;
    if (!v->judged || !v->verdict.accepted || v->mismatch != NULL)
        return ASSURANCE_SIGNATURE;
    return v->provenance ? ASSURANCE_PROVENANCE : ASSURANCE_PLATFORM;
}

static bool is_refused(const struct verification *v)
{
    return !v->report.verified || (v->judged && !v->verdict.accepted) || v->mismatch != NULL;
}

/* ---- saying it ---- */

static err write_json(const struct verification *v, struct buf *out)
{
    BUF_AUTO part = BUF(256 * 1024);
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_bool(&j, "verified", !is_refused(v));
    json_put_str(&j, "assurance", ASSURANCE_WORDS[assurance_of(v)]);
    json_put_str(&j, "mismatch", v->mismatch);
    TRY(air_report_json(&part, &v->report));
    json_put_raw(&j, "receipt", buf_view(&part));
    buf_truncate(&part, 0);
    if (v->judged)
        TRY(verdict_json(&v->verdict, &part));
    else
        TRY(buf_add_str(&part, "null"));
    json_put_raw(&j, "evidence", buf_view(&part));
    json_close(&j);
    TRY(json_end(&j));
    return buf_add_u8(out, '\n');
}

static err write_word(struct buf *out, const char *name, bytes text)
{
    TRY(buf_addf(out, "  %-9s ", name));
    TRY(text_json_quote(out, text));
    return buf_add_u8(out, '\n');
}

static err write_hash(struct buf *out, const char *name, const uint8_t hash[static AIR_HASH_LEN])
{
    TRY(buf_addf(out, "  %-9s SHA-256 ", name));
    TRY(text_hex_encode(out, bytes_of(hash, AIR_HASH_LEN)));
    return buf_add_u8(out, '\n');
}

static err write_claims(const struct air_claims *c, bool verified, struct buf *out)
{
    TRY(buf_add_str(out, verified ? "it says\n" : "it says, which is not proved\n"));
    TRY(write_word(out, "worker", c->iss));
    TRY(buf_add_str(out, "  at        "));
    if (utc_write(out, (int64_t)c->iat).code != ERR_OK)
        TRY(buf_addf(out, "%llu", (unsigned long long)c->iat));
    TRY(buf_add_u8(out, '\n'));
    TRY(write_word(out, "model", c->model_id));
    TRY(write_word(out, "version", c->model_version));
    TRY(write_word(out, "mode", c->security_mode));
    TRY(write_hash(out, "request", c->request_hash));
    return write_hash(out, "answer", c->response_hash);
}

static err write_text(const struct verification *v, struct buf *out)
{
    static const char *const MEANINGS[] = {
        "nothing may be concluded from this receipt",
        "the key signed it; where that key lives was not judged (see --policy)",
        "a platform that the policy accepts holds the key; its registers were not pinned",
        "a platform with the registers that the policy expects holds the key",
    };
    TRY(air_report_text(out, &v->report));
    if (v->report.has_claims)
        TRY(write_claims(&v->report.claims, v->report.verified, out));
    if (v->judged) {
        TRY(buf_add_str(out, "\nevidence\n"));
        TRY(verdict_explain(&v->verdict, out));
    }
    if (v->mismatch != NULL)
        TRY(buf_addf(out, "REFUSED: %s\n", v->mismatch));
    if (v->report.has_claims && !v->options.production &&
        bytes_equal(v->report.claims.security_mode, BYTES_LIT(AIR_MODE_EVALUATION)))
        TRY(buf_add_str(out,
                        "\nEVALUATION: a simulated TEE made this receipt; it proves nothing "
                        "about hardware\n"));
    return buf_addf(out, "\n%s, assurance: %s (%s)\n", is_refused(v) ? "REFUSED" : "VERIFIED",
                    ASSURANCE_WORDS[assurance_of(v)], MEANINGS[assurance_of(v)]);
}

static enum cli_exit judge(struct verification *v)
{
    BUF_AUTO text = BUF(1024 * 1024);
    find_key(v);
    check_receipt(v);
    if (v->key.len == 0 && !v->report.has_claims)
        return cli_complain("%s is not a receipt, nor a gateway's view of one", v->what);
    if (v->key.len == 0)
        return cli_complain("no signing key: name it with --key, or its document with --evidence");
    if (v->policy != NULL && v->evidence.len == 0)
        return cli_complain("no evidence to judge by the policy: name it with --evidence");
    err e = v->policy != NULL ? judge_evidence(v) : OK;
    if (e.code == ERR_OK)
        e = v->options.json ? write_json(v, &text) : write_text(v, &text);
    if (e.code != ERR_OK)
        return cli_complain("%s", err_text(e));
    (void)fputs(buf_str(&text), stdout);
    return is_refused(v) ? CLI_REFUSED : CLI_OK;
}

enum cli_exit cli_verify(int argc, char **argv)
{
    struct config c = { 0 };
    if (argc > 1 && strcmp(argv[1], "evidence") == 0)
        return cli_evidence(argc - 1, argv + 1);
    enum cli_exit exit;
    static struct verification v;
    v.receipt = BUF(AIR_RECEIPT_MAX);
    v.evidence = BUF(BUNDLE_MAX);
    v.key = BUF(AIR_KEY_LEN);
    v.nonce = BUF(AIR_NONCE_MAX);
    if (cli_load(&c, &PROGRAM, &v.options, argc, argv, &exit)) {
        v.what = c.arguments_n == 1 ? c.arguments[0] : NULL;
        exit = v.what != NULL ? gather(&v) : cli_complain("name one receipt: a file or an id");
        if (exit == CLI_OK)
            exit = judge(&v);
    }
    policy_free(v.policy);
    verdict_clear(&v.verdict);
    buf_clear(&v.receipt);
    buf_clear(&v.evidence);
    buf_clear(&v.key);
    buf_clear(&v.nonce);
    config_clear(&c);
    return exit;
}
