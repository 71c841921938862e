#include "attest/nvgpu_nras.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

enum { ANSWER_DEPTH_MAX = 4 };

struct run {
    const struct nras_query *query;
    struct nras_result *result;
    struct jwks *keys;
};

const char *nras_reason_word(enum nras_reason r)
{
    static const char *const words[] = {
#define X(name, word) [NRAS_##name] = (word),
        NRAS_REASON_LIST(X)
#undef X
    };
    return (size_t)r < ARRAY_LEN(words) ? words[r] : words[NRAS_UNCHECKED];
}

/* Input that is wrong is a reason; memory that ran out is an error. */
static err reason_of(err e, enum nras_reason otherwise, enum nras_reason *out)
{
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    *out = err_is_ok(e) ? NRAS_OK : otherwise;
    return OK;
}

static bool text_is(const struct json *value, bytes wanted)
{
    bytes text;
    return json_text(value, &text) && bytes_equal(text, wanted);
}

/* --- a token ----------------------------------------------------------------------------------- */

static enum nras_reason reason_for(enum jws_outcome o)
{
    switch (o) {
    case JWS_VALID:
        return NRAS_OK;
    case JWS_ALGORITHM:
        return NRAS_ALG;
    case JWS_CRITICAL:
        return NRAS_CRIT;
    case JWS_OWN_KEY:
        return NRAS_OWN_KEY;
    case JWS_NO_KEY:
        return NRAS_KID;
    case JWS_BAD_KEY:
        return NRAS_JWKS;
    case JWS_REFUSED:
    case JWS_SIGNATURE:
        return NRAS_SIGNATURE;
    }
    return NRAS_SIGNATURE;
}

static err read_token(const struct run *r, bytes compact, struct jws **out, enum nras_reason *why)
{
    enum jws_outcome outcome = JWS_REFUSED;
    TRY(reason_of(jws_read(out, compact), NRAS_MALFORMED, why));
    if (*why != NRAS_OK)
        return OK;
    TRY(jws_verify(*out, r->keys, JWS_ES384, &outcome));
    *why = reason_for(outcome);
    return OK;
}

static err check_nonce(const struct run *r, const struct json *claims, enum nras_reason *why)
{
    bytes text;
    BUF_AUTO nonce = BUF(NRAS_NONCE_LEN);
    *why = NRAS_NONCE;
    if (r->query->nonce.len != NRAS_NONCE_LEN || !json_text(json_get(claims, "eat_nonce"), &text))
        return OK;
    TRY(reason_of(text_hex_decode(&nonce, text), NRAS_NONCE, why));
    if (*why == NRAS_OK && !secret_equal(buf_view(&nonce), r->query->nonce))
        *why = NRAS_NONCE;
    return OK;
}

/* What every token has to say. */
static err check_common(const struct run *r, const struct json *claims, enum nras_reason *why)
{
    int64_t nbf, exp, at = r->query->at_s;
    if (r->query->issuer.len == 0 || !text_is(json_get(claims, "iss"), r->query->issuer))
        *why = NRAS_ISSUER;
    else if (!json_i64(json_get(claims, "nbf"), &nbf) || at < nbf)
        *why = NRAS_NBF;
    else if (!json_i64(json_get(claims, "exp"), &exp) || at >= exp)
        *why = NRAS_EXP;
    else
        return check_nonce(r, claims, why);
    return OK;
}

static enum nras_reason check_overall(const struct json *claims)
{
    bool good;
    if (!json_bool(json_get(claims, "x-nvidia-overall-att-result"), &good))
        return NRAS_OVERALL_MISSING;
    return good ? NRAS_OK : NRAS_OVERALL_FALSE;
}

/* --- what the overall token says of the others --------------------------------------------------- */

/* submods: { name: ["DIGEST", ["SHA-256", hex]] }, exactly the names of the tokens. */
static enum nras_reason check_names(const struct json *submods, const struct json *tokens)
{
    if (json_kind(submods) != JSON_KIND_OBJECT || json_len(submods) == 0 ||
        json_len(submods) != json_len(tokens))
        return NRAS_SUBMODS;
    for (struct json_pair p = { 0 }; json_next(tokens, &p);) {
        bool found = false;
        for (struct json_pair q = { 0 }; json_next(submods, &q);)
            found = found || bytes_equal(p.key, q.key);
        if (!found)
            return NRAS_SUBMODS;
    }
    return NRAS_OK;
}

static const struct json *submod_of(const struct json *submods, bytes name)
{
    for (struct json_pair p = { 0 }; json_next(submods, &p);) {
        if (bytes_equal(p.key, name))
            return p.value;
    }
    return NULL;
}

static err check_digest(const struct json *submod, bytes token, enum nras_reason *why)
{
    bytes hex;
    uint8_t want[SHA256_LEN];
    BUF_AUTO have = BUF(SHA256_LEN);
    const struct json *inner = json_at(submod, 1);
    *why = NRAS_DIGEST;
    if (json_len(submod) != 2 || !text_is(json_at(submod, 0), BYTES_LIT("DIGEST")) ||
        json_len(inner) != 2 || !text_is(json_at(inner, 0), BYTES_LIT("SHA-256")) ||
        !json_text(json_at(inner, 1), &hex))
        return OK;
    TRY(reason_of(text_hex_decode(&have, hex), NRAS_DIGEST, why));
    sha256_of(token, want);
    if (*why == NRAS_OK && !secret_equal(buf_view(&have), BYTES_ARRAY(want)))
        *why = NRAS_DIGEST;
    return OK;
}

/* --- a device ---------------------------------------------------------------------------------- */

static bool is_true(const struct json *value)
{
    bool b;
    return json_bool(value, &b) && b;
}

/* The service's own findings, where an answer has them. */
static bool findings_hold(const struct json *claims)
{
    static const char *const names[] = { "x-nvidia-gpu-attestation-report-nonce-match",
                                         "x-nvidia-gpu-attestation-report-signature-verified",
                                         "x-nvidia-gpu-attestation-report-cert-chain-fwid-match",
                                         "x-nvidia-gpu-arch-check" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *value = json_get(claims, names[i]);
        if (value != NULL && !is_true(value))
            return false;
    }
    return text_is(json_get(claims, "measres"), BYTES_LIT("success"));
}

static bool chains_hold(const struct json *claims)
{
    static const char *const names[] = { "x-nvidia-gpu-attestation-report-cert-chain",
                                         "x-nvidia-gpu-driver-rim-cert-chain",
                                         "x-nvidia-gpu-vbios-rim-cert-chain" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *chain = json_get(claims, names[i]);
        if (chain == NULL)
            continue;
        if (!text_is(json_get(chain, "x-nvidia-cert-status"), BYTES_LIT("valid")) ||
            !text_is(json_get(chain, "x-nvidia-cert-ocsp-status"), BYTES_LIT("good")))
            return false;
    }
    return true;
}

static bool model_is_expected(const struct nras_query *q, const struct json *claims)
{
    bytes model;
    if (!json_text(json_get(claims, "hwmodel"), &model))
        return false;
    for (size_t i = 0; i < q->models_n; i++) {
        if (bytes_starts(model, q->models[i]))
            return true;
    }
    return q->models_n == 0;
}

static bool has_warning(const struct json *claims)
{
    enum json_kind k = json_kind(json_get(claims, "x-nvidia-attestation-warning"));
    return k != JSON_KIND_NONE && k != JSON_KIND_NULL;
}

static enum nras_reason check_device_claims(const struct run *r, const struct json *claims)
{
    if (!findings_hold(claims))
        return NRAS_MEASRES;
    if (!is_true(json_get(claims, "secboot")))
        return NRAS_SECBOOT;
    if (!text_is(json_get(claims, "dbgstat"), BYTES_LIT("disabled")))
        return NRAS_DBGSTAT;
    if (!model_is_expected(r->query, claims))
        return NRAS_HWMODEL;
    if (!chains_hold(claims))
        return NRAS_REVOKED;
    return has_warning(claims) ? NRAS_WARNING : NRAS_OK;
}

/* Two entries for one device would count it twice. */
static enum nras_reason check_identity(const struct nras_result *r, const struct json *claims)
{
    bytes own, other;
    if (!json_text(json_get(claims, "ueid"), &own) || own.len == 0)
        return NRAS_DUPLICATE_DEVICE;
    for (size_t i = 0; i + 1 < r->devices_n; i++) {
        const struct json *before = jws_claims(r->devices[i].token);
        if (json_text(json_get(before, "ueid"), &other) && bytes_equal(own, other))
            return NRAS_DUPLICATE_DEVICE;
    }
    return NRAS_OK;
}

static err check_device(struct run *r, const struct json_pair *pair, enum nras_reason *why)
{
    bytes compact;
    struct nras_result *out = r->result;
    const struct json *submods = json_get(jws_claims(out->overall), "submods");
    *why = NRAS_MALFORMED;
    out->subject = pair->key;
    if (!json_text(pair->value, &compact))
        return OK;
    TRY(check_digest(submod_of(submods, pair->key), compact, why));
    if (*why != NRAS_OK)
        return OK;
    struct nras_device *device = &out->devices[out->devices_n++];
    device->name = pair->key;
    TRY(read_token(r, compact, &device->token, why));
    if (*why == NRAS_OK)
        TRY(check_common(r, jws_claims(device->token), why));
    if (*why == NRAS_OK)
        *why = check_device_claims(r, jws_claims(device->token));
    if (*why == NRAS_OK)
        *why = check_identity(out, jws_claims(device->token));
    return OK;
}

/* --- the whole --------------------------------------------------------------------------------- */

static err read_answer(struct run *r, const struct json **tokens, bytes *overall,
                       enum nras_reason *why)
{
    struct json *root = NULL;
    *why = NRAS_MALFORMED;
    if (r->query->answer.len > NRAS_ANSWER_MAX)
        return OK;
    TRY(reason_of(json_read(&root, r->query->answer, ANSWER_DEPTH_MAX), NRAS_MALFORMED, why));
    r->result->answer = root;
    const struct json *pair = json_at(root, 0);
    *tokens = json_at(root, 1);
    bool fine = *why == NRAS_OK && json_len(root) == 2 && json_kind(root) == JSON_KIND_ARRAY &&
                json_kind(pair) == JSON_KIND_ARRAY && json_len(pair) == 2 &&
                text_is(json_at(pair, 0), BYTES_LIT("JWT")) &&
                json_text(json_at(pair, 1), overall) && json_kind(*tokens) == JSON_KIND_OBJECT &&
                json_len(*tokens) <= NRAS_DEVICES_MAX;
    *why = fine ? NRAS_OK : NRAS_MALFORMED;
    return OK;
}

static err check_whole(struct run *r, const struct json *tokens, bytes overall,
                       enum nras_reason *why)
{
    TRY(reason_of(jwks_read(&r->keys, r->query->jwks), NRAS_JWKS, why));
    if (*why == NRAS_OK)
        TRY(read_token(r, overall, &r->result->overall, why));
    if (*why == NRAS_OK)
        TRY(check_common(r, jws_claims(r->result->overall), why));
    if (*why == NRAS_OK)
        *why = check_overall(jws_claims(r->result->overall));
    if (*why == NRAS_OK)
        *why = check_names(json_get(jws_claims(r->result->overall), "submods"), tokens);
    return OK;
}

static err run_checks(struct run *r, enum nras_reason *why)
{
    const struct json *tokens = NULL;
    bytes overall = { 0 };
    TRY(read_answer(r, &tokens, &overall, why));
    if (*why == NRAS_OK)
        TRY(check_whole(r, tokens, overall, why));
    for (struct json_pair p = { 0 }; *why == NRAS_OK && json_next(tokens, &p);)
        TRY(check_device(r, &p, why));
    if (*why != NRAS_OK)
        return OK;
    r->result->subject = (bytes){ 0 };
    if (r->result->devices_n == 0 || r->result->devices_n != r->query->expected_gpus)
        *why = NRAS_COUNT;
    return OK;
}

err nras_verify(const struct nras_query *query, struct nras_result *out)
{
    *out = (struct nras_result){ 0 };
    struct run r = { .query = query, .result = out };
    enum nras_reason why = NRAS_UNCHECKED;
    err e = run_checks(&r, &why);
    jwks_free(r.keys);
    out->reason = err_is_ok(e) ? why : NRAS_UNCHECKED;
    return e;
}

void nras_clear(struct nras_result *r)
{
    for (size_t i = 0; i < r->devices_n; i++)
        jws_free(r->devices[i].token);
    jws_free(r->overall);
    json_free(r->answer);
    *r = (struct nras_result){ 0 };
}
