#include "attest/gcp_token.h"

#include "crypto/secret.h"

enum { CERTS_MAX = 4, CERT_ROOM = 16 * 1024 };

const struct x509_root gcp_token_root = { {
    0x14, 0x8b, 0x29, 0x38, 0x21, 0xbb, 0x0c, 0x6a, 0x31, 0x7f, 0x41, 0x3c, 0x8b, 0xa4, 0x75, 0x81,
    0x40, 0x91, 0xcb, 0x22, 0xd4, 0x9b, 0x9e, 0x3c, 0x94, 0x19, 0x8d, 0xb8, 0xe8, 0xf8, 0x6c, 0x39,
} };

const char *gcp_reason_word(enum gcp_reason r)
{
    static const char *const words[] = {
#define X(name, word) [GCP_##name] = (word),
        GCP_REASON_LIST(X)
#undef X
    };
    return (size_t)r < ARRAY_LEN(words) ? words[r] : words[GCP_UNCHECKED];
}

/* --- signature --------------------------------------------------------------------------------- */

static enum gcp_reason reason_for(enum jws_outcome o)
{
    switch (o) {
    case JWS_VALID:
        return GCP_OK;
    case JWS_ALGORITHM:
        return GCP_ALG;
    case JWS_CRITICAL:
        return GCP_CRIT;
    case JWS_OWN_KEY:
        return GCP_OWN_KEY;
    case JWS_NO_KEY:
        return GCP_KID;
    case JWS_BAD_KEY:
        return GCP_JWKS;
    case JWS_REFUSED:
    case JWS_SIGNATURE:
        return GCP_SIGNATURE;
    }
    return GCP_SIGNATURE;
}

/* Input that is wrong is a reason; memory that ran out is an error. */
static err reason_of(err e, enum gcp_reason otherwise, enum gcp_reason *why)
{
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    *why = err_is_ok(e) ? GCP_OK : otherwise;
    return OK;
}

static err by_set(const struct gcp_query *q, const struct jws *token, enum gcp_reason *why)
{
    struct jwks *keys = NULL;
    enum jws_outcome outcome = JWS_REFUSED;
    TRY(reason_of(jwks_read(&keys, q->jwks), GCP_JWKS, why));
    if (*why != GCP_OK)
        return OK;
    err e = jws_verify(token, keys, JWS_RS256, &outcome);
    jwks_free(keys);
    *why = reason_for(outcome);
    return e;
}

/* The certificates of x5c, one behind the other; views are made when all are there. */
static err read_chain(const struct jws *token, struct buf *der, bytes *certs, size_t *n)
{
    size_t ends[CERTS_MAX], count = json_len(json_get(jws_header(token), "x5c"));
    ENSURE(count > 0 && count <= CERTS_MAX, MALFORMED);
    for (size_t i = 0; i < count; i++) {
        TRY(jws_x5c(token, i, der));
        ends[i] = der->len;
    }
    for (size_t i = 0; i < count; i++) {
        size_t from = i == 0 ? 0 : ends[i - 1];
        certs[i] = bytes_slice(buf_view(der), from, ends[i] - from);
    }
    *n = count;
    return OK;
}

static err verify_chain(const struct gcp_query *q, const bytes *certs, size_t n,
                        enum gcp_reason *why)
{
    struct x509_chain *chain = NULL;
    struct x509_query x = { .certs = certs,
                            .certs_n = n,
                            .roots = q->roots_n > 0 ? q->roots : &gcp_token_root,
                            .roots_n = q->roots_n > 0 ? q->roots_n : 1,
                            .at_s = q->at_s };
    err e = x509_verify(&chain, &x);
    x509_free(chain);
    return reason_of(e, e.code == ERR_STALE ? GCP_TIME : GCP_CHAIN, why);
}

/* The algorithm is looked at first: a token that names another one has no chain to look at. */
static err by_chain(const struct gcp_query *q, const struct jws *token, enum gcp_reason *why)
{
    size_t n = 0;
    bytes certs[CERTS_MAX];
    enum jws_outcome outcome = JWS_REFUSED;
    BUF_AUTO der = BUF(CERTS_MAX * CERT_ROOM);
    BUF_AUTO spki = BUF(CERT_ROOM);
    TRY(jws_verify_spki(token, (bytes){ 0 }, JWS_RS256, &outcome));
    if (outcome == JWS_ALGORITHM || outcome == JWS_CRITICAL || outcome == JWS_OWN_KEY) {
        *why = reason_for(outcome);
        return OK;
    }
    TRY(reason_of(read_chain(token, &der, certs, &n), GCP_CHAIN, why));
    if (*why == GCP_OK)
        TRY(verify_chain(q, certs, n, why));
    if (*why != GCP_OK)
        return OK;
    TRY(x509_spki(certs[0], &spki));
    TRY(jws_verify_spki(token, buf_view(&spki), JWS_RS256, &outcome));
    *why = reason_for(outcome);
    return OK;
}

/* --- claims ------------------------------------------------------------------------------------ */

static bool text_is(const struct json *value, bytes wanted)
{
    bytes text;
    return json_text(value, &text) && bytes_equal(text, wanted);
}

/* One text, or an array with it. */
static bool has_text(const struct json *value, bytes wanted)
{
    bytes text;
    if (wanted.len == 0)
        return false;
    if (json_text(value, &text))
        return secret_equal(text, wanted);
    bool found = false;
    for (size_t i = 0; i < json_len(value); i++)
        found = found || (json_text(json_at(value, i), &text) && secret_equal(text, wanted));
    return found;
}

static enum gcp_reason check_time(const struct json *c, const struct gcp_query *q)
{
    int64_t iat, nbf, exp;
    if (!json_i64(json_get(c, "iat"), &iat) || q->at_s + q->skew_s < iat)
        return GCP_IAT;
    if (!json_i64(json_get(c, "nbf"), &nbf) || q->at_s + q->skew_s < nbf)
        return GCP_NBF;
    return json_i64(json_get(c, "exp"), &exp) && q->at_s < exp ? GCP_OK : GCP_EXP;
}

/* The audience is one text in these tokens, and only that is taken. */
static enum gcp_reason check_addressee(const struct gcp_query *q, const struct json *c)
{
    if (!text_is(json_get(c, "iss"), BYTES_LIT(GCP_TOKEN_ISSUER)))
        return GCP_ISSUER;
    if (q->audience.len == 0 || !text_is(json_get(c, "aud"), q->audience))
        return GCP_AUDIENCE;
    enum gcp_reason why = check_time(c, q);
    if (why != GCP_OK)
        return why;
    return has_text(json_get(c, "eat_nonce"), q->nonce) ? GCP_OK : GCP_NONCE;
}

static bool model_is_known(bytes model)
{
    static const char *const models[] = { "GCP_INTEL_TDX", "GCP_AMD_SEV", "GCP_AMD_SEV_SNP" };
    for (size_t i = 0; i < ARRAY_LEN(models); i++) {
        if (bytes_equal(model, bytes_str(models[i])))
            return true;
    }
    return false;
}

static enum gcp_reason check_machine(const struct json *c, struct gcp_result *out)
{
    bool secboot;
    const struct json *space = json_get(json_get(c, "submods"), "confidential_space");
    if (!text_is(json_get(c, "dbgstat"), BYTES_LIT("disabled-since-boot")))
        return GCP_DBGSTAT;
    if (!text_is(json_get(c, "swname"), BYTES_LIT("CONFIDENTIAL_SPACE")))
        return GCP_SWNAME;
    if (!has_text(json_get(space, "support_attributes"), BYTES_LIT("STABLE")))
        return GCP_SUPPORT;
    if (!json_text(json_get(c, "hwmodel"), &out->hwmodel) || !model_is_known(out->hwmodel))
        return GCP_HWMODEL;
    return json_bool(json_get(c, "secboot"), &secboot) && secboot ? GCP_OK : GCP_SECBOOT;
}

static enum gcp_reason check_container(const struct gcp_query *q, const struct json *c,
                                       struct gcp_result *out)
{
    const struct json *container = json_get(json_get(c, "submods"), "container");
    bool listed = q->any_image;
    if (!json_text(json_get(container, "image_digest"), &out->image_digest))
        return GCP_IMAGE;
    for (size_t i = 0; i < q->images_n; i++)
        listed = listed || (q->images[i].len > 0 && secret_equal(q->images[i], out->image_digest));
    if (!listed)
        return GCP_IMAGE;
    bool overridden = json_len(json_get(container, "env_override")) > 0 ||
                      json_len(json_get(container, "cmd_override")) > 0;
    return overridden ? GCP_OVERRIDE : GCP_OK;
}

static err run_checks(const struct gcp_query *q, struct gcp_result *out, enum gcp_reason *why)
{
    TRY(reason_of(jws_read(&out->token, q->token), GCP_MALFORMED, why));
    if (*why != GCP_OK)
        return OK;
    TRY(q->jwks.len > 0 ? by_set(q, out->token, why) : by_chain(q, out->token, why));
    const struct json *claims = jws_claims(out->token);
    if (*why == GCP_OK)
        *why = check_addressee(q, claims);
    if (*why == GCP_OK)
        *why = check_machine(claims, out);
    if (*why == GCP_OK)
        *why = check_container(q, claims, out);
    if (*why == GCP_OK)
        (void)json_text(json_get(claims, "sub"), &out->subject);
    return OK;
}

err gcp_token_verify(const struct gcp_query *query, struct gcp_result *out)
{
    enum gcp_reason why = GCP_UNCHECKED;
    *out = (struct gcp_result){ 0 };
    err e = run_checks(query, out, &why);
    out->reason = err_is_ok(e) ? why : GCP_UNCHECKED;
    return e;
}

void gcp_clear(struct gcp_result *r)
{
    jws_free(r->token);
    *r = (struct gcp_result){ 0 };
}
