#include "receipts/check.h"

#include <stdio.h>

#include "base/json.h"
#include "crypto/cose.h"
#include "receipts/air_read.h"
#include "receipts/air_rows.h"
#include "receipts/air_types.h"

/* Every check is in every report, in this order; what was not reached stays SKIP. The first ones are
 * in the order of enum air_part. */
enum check {
    SIZE,
    COSE_DECODE,
    UNPROTECTED,
    ALG,
    CONTENT_TYPE,
    PAYLOAD,
    CLAIMS_DECODE,
    ENCODING,
    EAT_PROFILE,
    SIG,
    CTI,
    MHASH_PRESENT,
    MEAS,
    MTYPE,
    MHASH_SCHEME,
    SECURITY_MODE,
    FRESH,
    MHASH,
    RHASH,
    OHASH,
    ADHASH,
    MODEL,
    SECURITY_MODE_POLICY,
    PLATFORM,
    NONCE,
    REPLAY,
    PROVENANCE,
    CHECKS
};

_Static_assert((int)CHECKS <= (int)FINDINGS_MAX, "every check needs its place");
_Static_assert((int)ENCODING == (int)AIR_PART_ENCODING, "layer 1 is read part by part");

static const struct {
    const char *name;
    int layer;
    bool critical;    /* not verified unless it passed */
    const char *asks; /* for people */
} checks[CHECKS] = {
    [SIZE] = { "SIZE", 1, true, "it is no longer than a receipt may be" },
    [COSE_DECODE] = { "COSE_DECODE", 1, true, "it is a signed receipt in the one accepted form" },
    [UNPROTECTED] = { "UNPROTECTED", 1, true, "no field stands outside the signature" },
    [ALG] = { "ALG", 1, true, "it is signed with Ed25519" },
    [CONTENT_TYPE] = { "CONTENT_TYPE", 1, true, "it says that claims are inside" },
    [PAYLOAD] = { "PAYLOAD", 1, true, "the claims are there" },
    [CLAIMS_DECODE] = { "CLAIMS_DECODE", 1, true,
                        "they are those of the format, each of its type" },
    [ENCODING] = { "ENCODING", 1, true, "they are written in the one allowed order" },
    [EAT_PROFILE] = { "EAT_PROFILE", 1, true, "its format is one that is known here" },
    [SIG] = { "SIG", 2, true, "the key signed it" },
    [CTI] = { "CTI", 3, true, "it has an id of its own" },
    [MHASH_PRESENT] = { "MHASH_PRESENT", 3, true, "it names the model by a hash" },
    [MEAS] = { "MEAS", 3, true, "registers of the TEE have their length" },
    [MTYPE] = { "MTYPE", 3, true, "their platform is known" },
    [MHASH_SCHEME] = { "MHASH_SCHEME", 3, true, "how the model was hashed is known" },
    [SECURITY_MODE] = { "SECURITY_MODE", 3, true, "it says whether the TEE is a real one" },
    [FRESH] = { "FRESH", 4, false, "it is neither too old nor from the future" },
    [MHASH] = { "MHASH", 4, false, "the model has the hash that was asked for" },
    [RHASH] = { "RHASH", 4, false, "the request is the one that was given" },
    [OHASH] = { "OHASH", 4, false, "the answer is the one that was given" },
    [ADHASH] = { "ADHASH", 4, false, "the evidence is the document that it names" },
    [MODEL] = { "MODEL", 4, false, "the model is the one that was asked for" },
    [SECURITY_MODE_POLICY] = { "SECURITY_MODE_POLICY", 4, true,
                               "a simulated TEE is allowed, if it is one" },
    [PLATFORM] = { "PLATFORM", 4, false, "the platform is the one that was asked for" },
    [NONCE] = { "NONCE", 4, false, "it has the nonce that was sent" },
    [REPLAY] = { "REPLAY", 4, false, "it was not seen before" },
    [PROVENANCE] = { "PROVENANCE", 4, false, "hashes and registers are not all zero" },
};

static const char *const part_codes[AIR_PARTS] = {
    [AIR_PART_SIZE] = "RECEIPT_TOO_LARGE",
    [AIR_PART_COSE] = "COSE_DECODE_FAILED",
    [AIR_PART_UNPROTECTED] = "NON_EMPTY_UNPROTECTED",
    [AIR_PART_ALG] = "BAD_ALG",
    [AIR_PART_CONTENT_TYPE] = "BAD_CONTENT_TYPE",
    [AIR_PART_PAYLOAD] = "MISSING_PAYLOAD",
    [AIR_PART_CLAIMS] = "PAYLOAD_NOT_MAP",
    [AIR_PART_ENCODING] = "NOT_DETERMINISTIC",
};

static void pass(struct air_report *r, enum check check)
{
    r->findings[check].status = FINDING_PASS;
}

static void fail(struct air_report *r, enum check check, const char *code)
{
    r->findings[check].status = FINDING_FAIL;
    (void)snprintf(r->findings[check].code, FINDING_CODE_MAX, "%s", code);
}

static void settle(struct air_report *r, enum check check, bool good, const char *code)
{
    if (good)
        pass(r, check);
    else
        fail(r, check, code);
}

/* A value that the signer chose goes on a terminal: cut, and printable ASCII only. */
static void append_value(struct finding *f, bytes value)
{
    size_t len = strlen(f->code);
    for (size_t i = 0; i < value.len && len < FINDING_CODE_MAX - 1; i++)
        f->code[len++] = (char)(value.at[i] > ' ' && value.at[i] < 0x7f ? value.at[i] : '?');
    f->code[len] = '\0';
}

static void settle_value(struct air_report *r, enum check check, bool good, const char *code,
                         bytes value)
{
    settle(r, check, good, code);
    if (!good)
        append_value(&r->findings[check], value);
}

static void check_form(struct air_report *r, const struct air_reading *reading)
{
    for (unsigned i = 0; i < AIR_PARTS; i++) {
        if (reading->state[i] == AIR_PART_NOT_REACHED)
            continue;
        settle(r, (enum check)i, reading->state[i] == AIR_PART_GOOD, part_codes[i]);
        (void)snprintf(r->findings[i].detail, FINDING_DETAIL_MAX, "%s", reading->fault[i]);
    }
    if (reading->has_claims)
        pass(r, EAT_PROFILE);
}

static void check_signature(struct air_report *r, const struct cose_sign1 *parts, bytes key)
{
    if (parts->signature.len != AIR_SIGNATURE_LEN)
        fail(r, SIG, "BAD_SIG_LENGTH");
    else
        settle(r, SIG, err_is_ok(cose_sign1_verify_ed25519(parts, key)), "SIG_FAILED");
}

/* Of a type that nobody knows there is nothing to say, but in AIR v1 all have one length. */
static bool registers_sized(const struct air_claims *c, const struct air_type *type)
{
    bool good = true;
    if (type != NULL)
        return air_type_lengths_good(type, c);
    if (c->profile == AIR_IN_OWN)
        return true;
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        good = good && (c->registers[i].at == NULL || c->registers[i].len == AIR_REGISTER_LEN);
    return good;
}

/* The type, if it may stand in a receipt of that profile. */
static const struct air_type *type_of(const struct air_claims *c)
{
    const struct air_type *type = air_type_find(c->measurement_type);
    return type != NULL && c->profile == AIR_IN_V1 && !type->in_v1 ? NULL : type;
}

static void check_claims(struct air_report *r)
{
    const struct air_claims *c = &r->claims;
    const struct air_type *type = type_of(c);
    settle(r, CTI, !air_all_zero(bytes_of(c->cti, AIR_CTI_LEN)), "BAD_CTI_LENGTH");
    settle(r, MHASH_PRESENT, !air_all_zero(bytes_of(c->model_hash, AIR_HASH_LEN)),
           "ZERO_MODEL_HASH");
    settle(r, MEAS, registers_sized(c, type), "BAD_MEASUREMENT_LENGTH");
    settle_value(r, MTYPE, type != NULL, "UNKNOWN_MTYPE:", c->measurement_type);
    settle_value(r, MHASH_SCHEME,
                 c->model_hash_scheme.len == 0 || air_scheme_known(c->model_hash_scheme),
                 "UNKNOWN_MODEL_HASH_SCHEME:", c->model_hash_scheme);
    settle_value(r, SECURITY_MODE, air_mode_known(c->security_mode),
                 "UNKNOWN_SECURITY_MODE:", c->security_mode);
}

/* False when the clock is needed and cannot be read: then the rest of the policy is not asked. */
static bool check_fresh(struct air_report *r, const struct air_policy *p)
{
    uint64_t iat = r->claims.iat;
    if (p->now <= 0) {
        if (p->max_age_s > 0)
            fail(r, FRESH, "CLOCK_ERROR");
        return p->max_age_s == 0;
    }
    uint64_t now = (uint64_t)p->now;
    uint64_t latest = p->clock_skew_s > UINT64_MAX - now ? UINT64_MAX : now + p->clock_skew_s;
    if (iat > latest)
        fail(r, FRESH, "TIMESTAMP_FUTURE");
    else
        settle(r, FRESH, p->max_age_s == 0 || now <= iat || now - iat <= p->max_age_s,
               "TIMESTAMP_STALE");
    return true;
}

static void check_hash(struct air_report *r, enum check check, bytes expected,
                       const uint8_t claim[static AIR_HASH_LEN], const char *code)
{
    if (expected.len > 0)
        settle(r, check, bytes_equal(expected, bytes_of(claim, AIR_HASH_LEN)), code);
}

static void check_mode(struct air_report *r, const struct air_policy *p)
{
    bytes mode = r->claims.security_mode;
    if (p->security_mode.len > 0)
        settle(r, SECURITY_MODE_POLICY, bytes_equal(mode, p->security_mode),
               "SECURITY_MODE_MISMATCH");
    else
        settle(r, SECURITY_MODE_POLICY,
               p->allow_evaluation || !bytes_equal(mode, BYTES_LIT(AIR_MODE_EVALUATION)),
               "EVALUATION_MODE_REJECTED");
}

static void check_nonce(struct air_report *r, const struct air_policy *p)
{
    const struct air_claims *c = &r->claims;
    if (p->nonce.len == 0 && !p->require_nonce)
        return;
    if (c->nonce_len == 0)
        fail(r, NONCE, "NONCE_MISSING");
    else
        settle(r, NONCE,
               p->nonce.len == 0 || bytes_equal(p->nonce, bytes_of(c->nonce, c->nonce_len)),
               "NONCE_MISMATCH");
}

static bytes first_register(const struct air_claims *c)
{
    static const enum air_register first[] = { AIR_MEASUREMENT, AIR_IMAGE_DIGEST };
    for (size_t i = 0; i < ARRAY_LEN(first); i++) {
        if (c->registers[first[i]].at != NULL)
            return c->registers[first[i]];
    }
    return c->registers[AIR_PCR0];
}

static void check_provenance(struct air_report *r)
{
    const struct air_claims *c = &r->claims;
    if (air_all_zero(bytes_of(c->attestation_doc_hash, AIR_HASH_LEN)))
        fail(r, PROVENANCE, "ZERO_ATTESTATION_DOC_HASH");
    else if (air_all_zero(bytes_of(c->request_hash, AIR_HASH_LEN)))
        fail(r, PROVENANCE, "ZERO_REQUEST_HASH");
    else
        settle(r, PROVENANCE, !air_all_zero(first_register(c)), "ZERO_MEASUREMENTS");
}

static void check_policy(struct air_report *r, const struct air_policy *p)
{
    const struct air_claims *c = &r->claims;
    if (!check_fresh(r, p))
        return;
    check_hash(r, MHASH, p->model_hash, c->model_hash, "MODEL_HASH_MISMATCH");
    check_hash(r, RHASH, p->request_hash, c->request_hash, "REQUEST_HASH_MISMATCH");
    check_hash(r, OHASH, p->response_hash, c->response_hash, "RESPONSE_HASH_MISMATCH");
    check_hash(r, ADHASH, p->attestation_doc_hash, c->attestation_doc_hash,
               "ATTESTATION_DOC_HASH_MISMATCH");
    if (p->model_id.len > 0)
        settle(r, MODEL, bytes_equal(p->model_id, c->model_id), "MODEL_ID_MISMATCH");
    check_mode(r, p);
    if (p->platform.len > 0 && !bytes_equal(p->platform, BYTES_LIT("any")))
        settle(r, PLATFORM, bytes_equal(p->platform, c->measurement_type), "PLATFORM_MISMATCH");
    check_nonce(r, p);
    if (p->seen != NULL)
        settle(r, REPLAY, !p->seen(p->owner, c->cti), "REPLAY_CTI");
    if (p->require_provenance)
        check_provenance(r);
}

static void conclude(struct air_report *r)
{
    bool good = true;
    for (unsigned i = 0; i < CHECKS; i++) {
        enum finding_status status = r->findings[i].status;
        bool needed = checks[i].critical && status != FINDING_PASS;
        good = good && status != FINDING_FAIL && !needed;
        if (status == FINDING_FAIL && r->failed_layer == 0)
            r->failed_layer = r->findings[i].layer;
    }
    r->verified = good;
}

void air_check(bytes receipt, bytes key, const struct air_policy *policy, struct air_report *out)
{
    static const struct air_policy nothing;
    struct air_reading reading;
    *out = (struct air_report){ .n = CHECKS };
    for (unsigned i = 0; i < CHECKS; i++) {
        out->findings[i].check = checks[i].name;
        out->findings[i].layer = checks[i].layer;
    }
    air_read_parts(receipt, &reading);
    check_form(out, &reading);
    if (reading.has_claims) {
        out->has_claims = true;
        out->claims = reading.claims;
        check_signature(out, &reading.parts, key);
        check_claims(out);
        check_policy(out, policy ? policy : &nothing);
    }
    conclude(out);
}

const struct finding *air_report_find(const struct air_report *report, const char *check)
{
    for (size_t i = 0; i < report->n; i++)
        if (bytes_equal(bytes_str(report->findings[i].check), bytes_str(check)))
            return &report->findings[i];
    return NULL;
}

const char *air_report_word(const struct air_report *report)
{
    for (size_t i = 0; i < report->n; i++)
        if (report->findings[i].status == FINDING_FAIL)
            return report->findings[i].check;
    return report->verified ? "verified" : "unchecked";
}

static const char *status_word(enum finding_status status)
{
    switch (status) {
    case FINDING_SKIP:
        return "skip";
    case FINDING_PASS:
        return "pass";
    case FINDING_FAIL:
        return "fail";
    }
    return "fail";
}

static err text_failure(struct buf *out, const struct finding *f)
{
    const struct finding_help *help = finding_help(f->code);
    TRY(buf_addf(out, "  %s", f->code));
    if (f->detail[0] != '\0')
        TRY(buf_addf(out, " (%s)", f->detail));
    return buf_addf(out, "\n      why: %s\n      fix: %s", help->why, help->fix);
}

err air_report_text(struct buf *out, const struct air_report *report)
{
    for (size_t i = 0; i < report->n; i++) {
        const struct finding *f = &report->findings[i];
        TRY(buf_addf(out, "%s  %d  %-20s", status_word(f->status), f->layer, f->check));
        if (f->status == FINDING_FAIL)
            TRY(text_failure(out, f));
        else
            TRY(buf_addf(out, "  %s", checks[i].asks));
        TRY(buf_add_u8(out, '\n'));
    }
    if (report->verified)
        return buf_add_str(out, "receipt: verified\n");
    return buf_addf(out, "receipt: refused at layer %d\n", report->failed_layer);
}

static void json_finding(struct json_out *j, const struct finding *f)
{
    bool failed = f->status == FINDING_FAIL;
    const struct finding_help *help = finding_help(f->code);
    json_begin_object(j, NULL);
    json_put_str(j, "check", f->check);
    json_put_i64(j, "layer", f->layer);
    json_put_str(j, "status", status_word(f->status));
    json_put_str(j, "code", failed ? f->code : NULL);
    json_put_str(j, "detail", failed && f->detail[0] != '\0' ? f->detail : NULL);
    json_put_str(j, "why", failed ? help->why : NULL);
    json_put_str(j, "fix", failed ? help->fix : NULL);
    json_close(j);
}

/* The claims as a text of their own, so that both writers can be used alone. */
static err json_claims(struct json_out *j, const struct air_report *report)
{
    enum { CLAIMS_MAX = 1024 * 1024 };
    BUF_AUTO claims = BUF(CLAIMS_MAX);
    if (!report->has_claims) {
        json_put_null(j, "claims");
        return OK;
    }
    TRY(air_write_json(&claims, &report->claims));
    json_put_raw(j, "claims", buf_view(&claims));
    return OK;
}

err air_report_json(struct buf *out, const struct air_report *report)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_bool(&j, "verified", report->verified);
    if (report->failed_layer > 0)
        json_put_i64(&j, "failed_layer", report->failed_layer);
    else
        json_put_null(&j, "failed_layer");
    json_begin_array(&j, "findings");
    for (size_t i = 0; i < report->n; i++)
        json_finding(&j, &report->findings[i]);
    json_close(&j);
    TRY(json_claims(&j, report));
    json_close(&j);
    return json_end(&j);
}
