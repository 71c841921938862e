/*
 * Runs receipt vectors, of AIR v1 and of our own profile: `vec_air_v1 FOLDER`, the folder and all
 * below it.
 *
 * Every *.json with a receipt_hex and every *.cbor is one case. Where an index.json lies in FOLDER, it
 * says what to expect of the files it lists: the key, policy and clock, and all failure codes. Other
 * files are judged by what they say themselves. Two rules hold in both ways:
 *   - keys out of order are one failure more (NOT_DETERMINISTIC), since this verifier is strict;
 *   - a receipt whose security_mode is none of today's is of an older generation: it must be refused
 *     for that, it may not be signed again, and what it declares for itself must show up as well.
 */
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/cose.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/sign.h"
#include "receipts/air_types.h"
#include "receipts/check.h"

enum { FILE_BYTES_MAX = 16 << 20, PATH_LEN_MAX = 1024, FILES_MAX = 4096, HELD_MAX = 48 };

/* ---- counting ---- */

static struct {
    unsigned passed, failed;
    const char *name;
    bool bad;
} run;

static void begin(const char *name)
{
    run.name = name;
    run.bad = false;
}

static void fail(const char *format, ...) PRINTF_LIKE(1, 2);
static void fail(const char *format, ...)
{
    va_list args;
    if (run.bad)
        return;
    run.bad = true;
    (void)printf("FAIL %s: ", run.name);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)printf("\n");
}

static void end(void)
{
    if (run.bad)
        run.failed++;
    else
        run.passed++;
}

/* ---- files ---- */

static bool read_file(struct buf *out, const char *path)
{
    uint8_t part[4096];
    FILE *f = fopen(path, "rb");
    bool good = f != NULL;
    for (size_t n; good && (n = fread(part, 1, sizeof part, f)) > 0;)
        good = err_is_ok(buf_add(out, bytes_of(part, n)));
    if (f != NULL)
        (void)fclose(f);
    return good;
}

static struct json *read_json(const char *path)
{
    struct json *root = NULL;
    BUF_AUTO text = BUF(FILE_BYTES_MAX);
    if (!read_file(&text, path) || !err_is_ok(json_read(&root, buf_view(&text), 16)))
        return NULL;
    return root;
}

/* The file of that name in the same folder as path. */
static void beside(char out[static PATH_LEN_MAX], const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) : 0;
    (void)snprintf(out, PATH_LEN_MAX, "%.*s/%s", folder, path, name);
}

/* ---- JSON ---- */

/* What decoded hex lives in until the case ends. */
struct held {
    struct buf at[HELD_MAX];
    size_t n;
};

static void held_clear(struct held *h)
{
    while (h->n > 0)
        buf_clear(&h->at[--h->n]);
}

#define HELD_AUTO CLEANUP(held_clear) struct held

static bool present(const struct json *v)
{
    return json_kind(v) != JSON_KIND_NONE && json_kind(v) != JSON_KIND_NULL;
}

static bytes hex_of(struct held *h, const struct json *v)
{
    bytes text;
    if (!present(v))
        return (bytes){ 0 };
    if (h->n == HELD_MAX || !json_text(v, &text)) {
        fail("hex was expected");
        return (bytes){ 0 };
    }
    struct buf *b = &h->at[h->n++];
    *b = BUF(FILE_BYTES_MAX);
    if (!err_is_ok(text_hex_decode(b, text)))
        fail("this is not hex");
    return buf_view(b);
}

static bytes text_of(const struct json *v)
{
    bytes text = { 0 };
    if (present(v) && !json_text(v, &text))
        fail("text was expected");
    return text;
}

static uint64_t number_of(const struct json *v)
{
    uint64_t n = 0;
    if (present(v) && !json_u64(v, &n))
        fail("a number was expected");
    return n;
}

static bool truth_of(const struct json *v)
{
    bool b = false;
    if (present(v) && !json_bool(v, &b))
        fail("a boolean was expected");
    return b;
}

/* ---- policies ---- */

static void set_policy(struct air_policy *p, struct held *h, bytes key, const struct json *v)
{
#define IS(name) bytes_equal(key, BYTES_LIT(name))
    if (IS("max_age_secs"))
        p->max_age_s = number_of(v);
    else if (IS("clock_skew_secs"))
        p->clock_skew_s = number_of(v);
    else if (IS("expected_model_hash_hex") || IS("expected_model_hash"))
        p->model_hash = hex_of(h, v);
    else if (IS("expected_request_hash_hex") || IS("expected_request_hash"))
        p->request_hash = hex_of(h, v);
    else if (IS("expected_response_hash_hex") || IS("expected_response_hash"))
        p->response_hash = hex_of(h, v);
    else if (IS("expected_attestation_doc_hash_hex") || IS("expected_attestation_doc_hash"))
        p->attestation_doc_hash = hex_of(h, v);
    else if (IS("expected_nonce_hex") || IS("expected_nonce"))
        p->nonce = hex_of(h, v);
    else if (IS("expected_model_id"))
        p->model_id = text_of(v);
    else if (IS("expected_platform") || IS("expected_measurement_type"))
        p->platform = text_of(v);
    else if (IS("expected_security_mode"))
        p->security_mode = text_of(v);
    else if (IS("allow_evaluation"))
        p->allow_evaluation = truth_of(v);
    else if (IS("require_nonce"))
        p->require_nonce = truth_of(v);
    else if (IS("now_unix"))
        p->now = (int64_t)number_of(v);
    else
        fail("policy \"%.*s\" is unknown", (int)key.len, (const char *)key.at);
#undef IS
}

static struct air_policy policy_of(struct held *h, const struct json *policy)
{
    struct air_policy p = { .now = clock_wall_s() };
    for (struct json_pair pair = { 0 }; json_next(policy, &pair);)
        set_policy(&p, h, pair.key, pair.value);
    return p;
}

/* ---- claims ---- */

static void copy_fixed(uint8_t *to, size_t len, bytes from)
{
    if (from.len != len)
        fail("a claim has %zu bytes instead of %zu", from.len, len);
    else
        memcpy(to, from.at, len);
}

/* "pcr0_hex"; of TDX also by its own name. AIR_REGISTERS: none such. */
static enum air_register register_of(bytes key)
{
    static const char *const TDX[] = { "mrtd_hex", "rtmr0_hex", "rtmr1_hex", "rtmr2_hex",
                                       "rtmr3_hex" };
    for (unsigned i = 0; i < ARRAY_LEN(TDX); i++)
        if (bytes_equal(key, bytes_str(TDX[i])))
            return (enum air_register)(AIR_PCR0 + i);
    if (!bytes_ends(key, BYTES_LIT("_hex")))
        return AIR_REGISTERS;
    return air_register_find(bytes_slice(key, 0, key.len - 4));
}

static void set_measurement(struct air_claims *c, struct held *h, bytes key, const struct json *v)
{
    enum air_register at = register_of(key);
    if (bytes_equal(key, BYTES_LIT("measurement_type")))
        c->measurement_type = text_of(v);
    else if (at == AIR_REGISTERS)
        fail("measurement \"%.*s\" is unknown", (int)key.len, (const char *)key.at);
    else if (present(v))
        c->registers[at] = hex_of(h, v);
}

static void set_gpu(struct air_gpu *gpu, struct held *h, const struct json *v)
{
    gpu->gpus = number_of(json_get(v, "gpus"));
    gpu->switches = number_of(json_get(v, "switches"));
    copy_fixed(gpu->evidence_hash, AIR_HASH_LEN, hex_of(h, json_get(v, "evidence_hash_hex")));
}

static void set_claim(struct air_claims *c, struct held *h, bytes key, const struct json *v)
{
#define IS(name) bytes_equal(key, BYTES_LIT(name))
    if (IS("iss"))
        c->iss = text_of(v);
    else if (IS("iat"))
        c->iat = number_of(v);
    else if (IS("cti_hex"))
        copy_fixed(c->cti, sizeof c->cti, hex_of(h, v));
    else if (IS("eat_nonce") || IS("eat_nonce_hex")) {
        bytes nonce = hex_of(h, v);
        c->nonce_len = nonce.len <= AIR_NONCE_MAX ? nonce.len : 0;
        if (c->nonce_len > 0)
            memcpy(c->nonce, nonce.at, c->nonce_len);
    } else if (IS("eat_profile")) {
        if (bytes_equal(text_of(v), BYTES_LIT(AIR_PROFILE_OWN)))
            c->profile = AIR_IN_OWN;
        else if (!bytes_equal(text_of(v), BYTES_LIT(AIR_PROFILE)))
            fail("the profile is another one");
    } else if (IS("model_id"))
        c->model_id = text_of(v);
    else if (IS("model_version"))
        c->model_version = text_of(v);
    else if (IS("model_hash_hex"))
        copy_fixed(c->model_hash, AIR_HASH_LEN, hex_of(h, v));
    else if (IS("request_hash_hex"))
        copy_fixed(c->request_hash, AIR_HASH_LEN, hex_of(h, v));
    else if (IS("response_hash_hex"))
        copy_fixed(c->response_hash, AIR_HASH_LEN, hex_of(h, v));
    else if (IS("attestation_doc_hash_hex"))
        copy_fixed(c->attestation_doc_hash, AIR_HASH_LEN, hex_of(h, v));
    else if (IS("enclave_measurements")) {
        for (struct json_pair pair = { 0 }; json_next(v, &pair);)
            set_measurement(c, h, pair.key, pair.value);
    } else if (IS("policy_version"))
        c->policy_version = text_of(v);
    else if (IS("sequence_number"))
        c->sequence_number = number_of(v);
    else if (IS("execution_time_ms"))
        c->execution_time_ms = number_of(v);
    else if (IS("memory_peak_mb"))
        c->memory_peak_mb = number_of(v);
    else if (IS("security_mode"))
        c->security_mode = text_of(v);
    else if (IS("model_hash_scheme"))
        c->model_hash_scheme = text_of(v);
    else if (IS("gpu")) {
        if (present(v))
            set_gpu(&c->gpu, h, v);
    } else
        fail("claim \"%.*s\" is unknown", (int)key.len, (const char *)key.at);
#undef IS
}

static struct air_claims claims_of(struct held *h, const struct json *claims)
{
    struct air_claims c = { 0 };
    for (struct json_pair pair = { 0 }; json_next(claims, &pair);)
        set_claim(&c, h, pair.key, pair.value);
    return c;
}

/* ---- one receipt ---- */

static struct air_report report; /* of the present case; large */

static bool failed_with(const char *code)
{
    for (size_t i = 0; i < report.n; i++)
        if (report.findings[i].status == FINDING_FAIL &&
            bytes_equal(bytes_str(report.findings[i].code), bytes_str(code)))
            return true;
    return false;
}

static unsigned failures(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < report.n; i++)
        n += report.findings[i].status == FINDING_FAIL;
    return n;
}

static bool check_failed(const char *check)
{
    const struct finding *f = air_report_find(&report, check);
    return f != NULL && f->status == FINDING_FAIL;
}

static bool is_of_older_generation(void)
{
    return check_failed("SECURITY_MODE");
}

/* The signature is the only thing that makes one receipt another: each byte must count. */
static void refuse_changes(bytes receipt, bytes key, const struct air_policy *policy)
{
    BUF_AUTO changed = BUF(AIR_RECEIPT_MAX);
    if (!err_is_ok(buf_add(&changed, receipt)))
        return;
    for (size_t i = 0; i < changed.len; i += 7) {
        changed.at[i] ^= 1;
        air_check(buf_view(&changed), key, policy, &report);
        changed.at[i] ^= 1;
        if (report.verified)
            fail("byte %zu may be changed", i);
    }
}

static void refuse_with(bytes receipt, bytes key, const struct air_policy *policy, const char *code)
{
    air_check(receipt, key, policy, &report);
    if (report.verified || !failed_with(code))
        fail("no %s where it was due", code);
}

/* A policy that asks for exactly what the receipt says is met; asking for anything else is not. */
static void ask_for_claims(bytes receipt, bytes key, const struct air_claims *c)
{
    static const uint8_t OTHER[AIR_HASH_LEN] = { 0x5a };
    const struct air_policy same = { .now = (int64_t)c->iat,
                                     .max_age_s = 1,
                                     .model_hash = BYTES_ARRAY(c->model_hash),
                                     .request_hash = BYTES_ARRAY(c->request_hash),
                                     .response_hash = BYTES_ARRAY(c->response_hash),
                                     .attestation_doc_hash = BYTES_ARRAY(c->attestation_doc_hash),
                                     .model_id = c->model_id,
                                     .security_mode = c->security_mode,
                                     .platform = c->measurement_type,
                                     .nonce = bytes_of(c->nonce, c->nonce_len) };
    struct air_policy p = same;
    air_check(receipt, key, &same, &report);
    if (!report.verified)
        fail("refused by a policy made of its own claims: %s", air_report_word(&report));
    p.model_hash = BYTES_ARRAY(OTHER);
    refuse_with(receipt, key, &p, "MODEL_HASH_MISMATCH");
    p.request_hash = BYTES_ARRAY(OTHER);
    refuse_with(receipt, key, &p, "REQUEST_HASH_MISMATCH");
    p.response_hash = BYTES_ARRAY(OTHER);
    refuse_with(receipt, key, &p, "RESPONSE_HASH_MISMATCH");
    p.nonce = bytes_of(OTHER, AIR_NONCE_MIN);
    refuse_with(receipt, key, &p, c->nonce_len > 0 ? "NONCE_MISMATCH" : "NONCE_MISSING");
    p.now = (int64_t)c->iat + 2;
    refuse_with(receipt, key, &p, "TIMESTAMP_STALE");
    p.now = (int64_t)c->iat - 1;
    refuse_with(receipt, key, &p, "TIMESTAMP_FUTURE");
    refuse_changes(receipt, key, &same);
}

static void sign_again(const struct json *root, struct held *h, bytes receipt)
{
    struct signing_key *key = NULL;
    struct cose_sign1 parts;
    BUF_AUTO again = BUF(AIR_RECEIPT_MAX);
    struct air_claims c = claims_of(h, json_get(root, "claims"));
    if (!err_is_ok(
            signing_key_from_seed(&key, hex_of(h, json_get(root, "signing_key_seed_hex"))))) {
        fail("the seed makes no key");
        return;
    }
    err e = air_write(&again, &c, key);
    bytes public_key = bytes_of(signing_key_public(key), AIR_KEY_LEN);
    if (is_of_older_generation()) {
        if (err_is_ok(e))
            fail("a receipt that is refused was signed again");
        signing_key_free(key);
        return;
    }
    if (!err_is_ok(e) || !bytes_equal(buf_view(&again), receipt))
        fail("signed again from its claims it has other bytes (%s)", err_word(e));
    if (err_is_ok(cose_sign1_read(receipt, &parts)) && present(json_get(root, "payload_hex")) &&
        !bytes_equal(parts.payload, hex_of(h, json_get(root, "payload_hex"))))
        fail("the payload differs");
    ask_for_claims(receipt, public_key, &c);
    signing_key_free(key);
}

/* A vector with claims can be made again. Leaves `report` changed. */
static void check_claims(const struct json *root, struct held *h, bytes receipt)
{
    if (present(json_get(root, "claims")) && present(json_get(root, "signing_key_seed_hex")))
        sign_again(root, h, receipt);
}

static bytes key_of(const struct json *root, struct held *h)
{
    const struct json *wrong = json_get(root, "wrong_public_key_hex");
    return hex_of(h, present(wrong) ? wrong : json_get(root, "public_key_hex"));
}

/* ---- expectations of a file of its own ---- */

static void expect_declared(const struct json *expected)
{
    bytes check = text_of(json_get(expected, "check")), code = text_of(json_get(expected, "code"));
    uint64_t layer = number_of(json_get(expected, "layer"));
    bool found = false;
    for (size_t i = 0; i < report.n; i++) {
        const struct finding *f = &report.findings[i];
        found = found || (f->status == FINDING_FAIL && f->layer == (int)layer &&
                          bytes_equal(bytes_str(f->code), code) &&
                          (check.len == 0 || bytes_equal(bytes_str(f->check), check)));
    }
    if (report.verified || !found)
        fail("not refused with %.*s at layer %u, but: %s", (int)code.len, (const char *)code.at,
             (unsigned)layer, air_report_word(&report));
    if (!is_of_older_generation() && report.failed_layer != (int)layer)
        fail("refused at layer %d instead of %u", report.failed_layer, (unsigned)layer);
}

static void expect_of_itself(const struct json *root)
{
    if (present(json_get(root, "expected_failure")))
        expect_declared(json_get(root, "expected_failure"));
    else if (!report.verified && !is_of_older_generation())
        fail("refused: %s", air_report_word(&report));
    else if (report.verified && is_of_older_generation())
        fail("an older generation was accepted");
}

static void run_by_itself(const struct json *root)
{
    HELD_AUTO h = { 0 };
    struct air_policy policy = policy_of(&h, json_get(root, "verify_policy"));
    bytes receipt = hex_of(&h, json_get(root, "receipt_hex"));
    air_check(receipt, key_of(root, &h), &policy, &report);
    expect_of_itself(root);
    check_claims(root, &h, receipt);
}

/* ---- raw receipts, with what lies beside them ---- */

static bool pubkey_beside(const char *path, struct buf *out)
{
    char name[PATH_LEN_MAX];
    BUF_AUTO hex = BUF(256);
    beside(name, path, "receipt.pubkey");
    if (access(name, R_OK) != 0)
        return false;
    bool good = read_file(&hex, name);
    while (good && hex.len > 0 && hex.at[hex.len - 1] <= ' ')
        buf_truncate(&hex, hex.len - 1);
    if (!good || !err_is_ok(text_hex_decode(out, buf_view(&hex))))
        fail("the public key cannot be read");
    return true;
}

static void check_evidence_beside(const char *path)
{
    char name[PATH_LEN_MAX];
    uint8_t digest[SHA256_LEN];
    BUF_AUTO document = BUF(FILE_BYTES_MAX);
    beside(name, path, "attestation.bin");
    if (access(name, R_OK) != 0)
        return;
    if (!read_file(&document, name))
        fail("the evidence cannot be read");
    sha256_of(buf_view(&document), digest);
    if (!report.has_claims ||
        !bytes_equal(BYTES_ARRAY(digest), BYTES_ARRAY(report.claims.attestation_doc_hash)))
        fail("the evidence has another hash than the receipt says");
}

static void check_raw(const char *path, bytes receipt, const struct air_policy *policy)
{
    BUF_AUTO key = BUF(64);
    bool has_key = pubkey_beside(path, &key);
    air_check(receipt, buf_view(&key), policy, &report);
    if (has_key && check_failed("SIG"))
        fail("the signature does not verify under the key beside it");
    if (!report.has_claims)
        fail("no claims: %s", air_report_word(&report));
    check_evidence_beside(path);
}

static void run_raw_by_itself(const char *path)
{
    BUF_AUTO receipt = BUF(FILE_BYTES_MAX);
    const struct air_policy policy = { .now = clock_wall_s() };
    if (!read_file(&receipt, path))
        fail("it cannot be read");
    check_raw(path, buf_view(&receipt), &policy);
    if (report.verified && is_of_older_generation())
        fail("an older generation was accepted");
}

/* ---- expectations of the index ---- */

static void expect_codes(const struct json *entry, bool has_key)
{
    const struct json *codes = json_get(entry, "codes_when_all_layers_run");
    bool unordered =
        bytes_equal(text_of(json_get(entry, "payload_encoding")), BYTES_LIT("not deterministic"));
    size_t expected = json_len(codes) + unordered;
    for (size_t i = 0; i < json_len(codes); i++) {
        char code[FINDING_CODE_MAX];
        bytes text = text_of(json_at(codes, i));
        (void)snprintf(code, sizeof code, "%.*s", (int)text.len, (const char *)text.at);
        if (!failed_with(code))
            fail("no %s", code);
    }
    if (failed_with("NOT_DETERMINISTIC") != unordered)
        fail("the order of the keys is %s", unordered ? "wrong and passed" : "right and refused");
    if (failures() - (!has_key && failed_with("SIG_FAILED")) != expected)
        fail("%u failures instead of %zu, the first: %s", failures(), expected,
             air_report_word(&report));
}

static void expect_of_index(const struct json *entry, bool has_key)
{
    bytes verdict = text_of(json_get(entry, "expect"));
    bool accept = bytes_equal(verdict, BYTES_LIT("accept"));
    if (!accept && !bytes_equal(verdict, BYTES_LIT("reject")))
        fail("the index expects neither accept nor reject");
    if (report.verified != accept)
        fail("%s: %s", accept ? "refused" : "accepted", air_report_word(&report));
    expect_codes(entry, has_key);
}

static void check_receipt_is(const struct json *entry, struct held *h, bytes receipt)
{
    uint8_t digest[SHA256_LEN];
    sha256_of(receipt, digest);
    if (present(json_get(entry, "receipt_sha256")) &&
        !bytes_equal(BYTES_ARRAY(digest), hex_of(h, json_get(entry, "receipt_sha256"))))
        fail("the receipt has another hash than the index says");
    if (present(json_get(entry, "receipt_bytes")) &&
        receipt.len != number_of(json_get(entry, "receipt_bytes")))
        fail("the receipt has another length than the index says");
}

static void check_evidence_is(const struct json *entry, struct held *h)
{
    bytes digest = hex_of(h, json_get(entry, "attestation_doc_sha256"));
    if (digest.len > 0 && (!report.has_claims ||
                           !bytes_equal(digest, BYTES_ARRAY(report.claims.attestation_doc_hash))))
        fail("the receipt means another evidence document");
}

/* The layer is the declared one, when the declared failure is all that is wrong. */
static void check_layer(const struct json *root)
{
    const struct json *expected = json_get(root, "expected_failure");
    if (present(expected) && failures() == 1)
        expect_declared(expected);
}

static void run_entry(const struct json *entry, const char *path, const struct json *root)
{
    HELD_AUTO h = { 0 };
    BUF_AUTO raw = BUF(FILE_BYTES_MAX);
    struct air_policy policy = policy_of(&h, json_get(entry, "policy"));
    if (present(json_get(entry, "now_unix")))
        policy.now = (int64_t)number_of(json_get(entry, "now_unix"));
    if (root == NULL && !read_file(&raw, path))
        fail("it cannot be read");
    bytes receipt = root ? hex_of(&h, json_get(root, "receipt_hex")) : buf_view(&raw);
    bool has_key = present(json_get(entry, "public_key_hex"));
    check_receipt_is(entry, &h, receipt);
    air_check(receipt, hex_of(&h, json_get(entry, "public_key_hex")), &policy, &report);
    expect_of_index(entry, has_key);
    check_evidence_is(entry, &h);
    if (root == NULL) {
        check_raw(path, receipt, &policy);
        return;
    }
    check_layer(root);
    check_claims(root, &h, receipt);
}

/* ---- the folder ---- */

static char *files[FILES_MAX];
static size_t files_n;

static int on_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    bytes name = bytes_str(path);
    bool wanted = bytes_ends(name, BYTES_LIT(".json")) || bytes_ends(name, BYTES_LIT(".cbor"));
    if (type == FTW_F && wanted && files_n < FILES_MAX)
        files[files_n++] = mem_strdup(path);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static const struct json *entry_of(const struct json *index, const char *relative)
{
    const struct json *vectors = json_get(index, "vectors");
    for (size_t i = 0; i < json_len(vectors); i++) {
        bytes path = { 0 };
        (void)json_text(json_get(json_at(vectors, i), "path"), &path);
        if (bytes_equal(path, bytes_str(relative)))
            return json_at(vectors, i);
    }
    return NULL;
}

static void run_file(const struct json *index, const char *path, const char *relative)
{
    const struct json *entry = entry_of(index, relative);
    bool is_json = bytes_ends(bytes_str(path), BYTES_LIT(".json"));
    struct json *root = is_json ? read_json(path) : NULL;
    begin(relative);
    if (is_json && !present(json_get(root, "receipt_hex")))
        fail(root ? "its format is unknown" : "it cannot be read as JSON");
    else if (entry != NULL)
        run_entry(entry, path, root);
    else if (is_json)
        run_by_itself(root);
    else
        run_raw_by_itself(path);
    end();
    json_free(root);
}

/* What the index lists must be there. */
static void check_listed(const struct json *index, const char *folder)
{
    const struct json *vectors = json_get(index, "vectors");
    for (size_t i = 0; i < json_len(vectors); i++) {
        char path[PATH_LEN_MAX];
        bytes name = text_of(json_get(json_at(vectors, i), "path"));
        (void)snprintf(path, sizeof path, "%s/%.*s", folder, (int)name.len, (const char *)name.at);
        if (access(path, R_OK) == 0)
            continue;
        begin(path);
        fail("the index lists it, but it is not there");
        end();
    }
}

static void run_folder(const char *folder)
{
    char index_path[PATH_LEN_MAX];
    size_t folder_len = strlen(folder);
    (void)snprintf(index_path, sizeof index_path, "%s/index.json", folder);
    struct json *index = read_json(index_path);
    begin("index.json");
    if (index == NULL && access(index_path, F_OK) == 0) {
        fail("it cannot be read as JSON");
        end();
    }
    (void)nftw(folder, on_file, 16, FTW_PHYS);
    qsort((void *)files, files_n, sizeof files[0], by_name);
    for (size_t i = 0; i < files_n; i++) {
        const char *relative = files[i] + folder_len + 1;
        if (strcmp(relative, "index.json") != 0)
            run_file(index, files[i], relative);
        mem_free(files[i]);
    }
    check_listed(index, folder);
    json_free(index);
}

int main(int argc, char **argv)
{
    char folder[PATH_LEN_MAX / 2];
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 1;
    }
    (void)snprintf(folder, sizeof folder, "%s", argv[1]);
    for (size_t len = strlen(folder); len > 1 && folder[len - 1] == '/'; len--)
        folder[len - 1] = '\0';
    if (access(folder, R_OK) != 0) {
        (void)printf("SKIPPED: there are no vectors at %s\n", folder);
        return 77;
    }
    if (!err_is_ok(crypto_init()))
        return 1;
    run_folder(folder);
    (void)printf("%u passed, %u failed, 0 skipped\n", run.passed, run.failed);
    return run.failed > 0 || run.passed == 0;
}
