#include "attest/gcp.h"

#include "attest/gcp_policy.h"
#include "attest/gcp_token.h"
#include "attest/policy.h"
#include "base/text.h"
#include "crypto/hash.h"

enum { CERT_MAX = 16 * 1024 };

#define IMAGE_PREFIX "sha256:"

static const struct verifier_register registers[] = { { .name = "image_digest",
                                                        .len = SHA256_LEN } };

void gcp_nonce(const uint8_t report_data[static BINDING_LEN], char out[static GCP_NONCE_LEN + 1])
{
    BUF_AUTO text = BUF(GCP_NONCE_LEN);
    out[0] = '\0';
    if (!err_is_ok(text_base64url_encode(&text, bytes_of(report_data, BINDING_LEN))))
        return;
    memcpy(out, text.at, GCP_NONCE_LEN);
    out[GCP_NONCE_LEN] = '\0';
}

/* --- what the frame is told -------------------------------------------------------------------- */

/* Which of the frame's checks a reason belongs to, and what it is called there. */
static const struct {
    enum verdict_check_id part;
    enum reason reason;
} rows[] = {
    [GCP_UNCHECKED] = { VERDICT_FORM, REASON_UNCHECKED },
    [GCP_OK] = { VERDICT_CHECKS, REASON_PASSED },
    [GCP_MALFORMED] = { VERDICT_FORM, REASON_MALFORMED },
    [GCP_ALG] = { VERDICT_SIGNATURE, REASON_UNSUPPORTED },
    [GCP_CRIT] = { VERDICT_SIGNATURE, REASON_UNSUPPORTED },
    [GCP_OWN_KEY] = { VERDICT_SIGNATURE, REASON_UNSUPPORTED },
    [GCP_KID] = { VERDICT_SIGNATURE, REASON_BAD_CHAIN },
    [GCP_JWKS] = { VERDICT_SIGNATURE, REASON_BAD_CHAIN },
    [GCP_CHAIN] = { VERDICT_SIGNATURE, REASON_BAD_CHAIN },
    [GCP_TIME] = { VERDICT_SIGNATURE, REASON_EXPIRED },
    [GCP_SIGNATURE] = { VERDICT_SIGNATURE, REASON_BAD_SIGNATURE },
    [GCP_ISSUER] = { VERDICT_SIGNATURE, REASON_MISMATCH },
    [GCP_AUDIENCE] = { VERDICT_SIGNATURE, REASON_MISMATCH },
    [GCP_IAT] = { VERDICT_SIGNATURE, REASON_FROM_THE_FUTURE },
    [GCP_NBF] = { VERDICT_SIGNATURE, REASON_NOT_YET_VALID },
    [GCP_EXP] = { VERDICT_SIGNATURE, REASON_EXPIRED },
    [GCP_NONCE] = { VERDICT_BINDING, REASON_MISMATCH },
    [GCP_DBGSTAT] = { VERDICT_DEBUG, REASON_DEBUG_ENABLED },
    [GCP_SWNAME] = { VERDICT_DEBUG, REASON_SETTING },
    [GCP_SUPPORT] = { VERDICT_DEBUG, REASON_DEBUG_ENABLED },
    [GCP_HWMODEL] = { VERDICT_DEBUG, REASON_SETTING },
    [GCP_SECBOOT] = { VERDICT_DEBUG, REASON_SETTING },
    [GCP_IMAGE] = { VERDICT_MEASUREMENTS, REASON_MALFORMED },
    [GCP_OVERRIDE] = { VERDICT_MEASUREMENTS, REASON_SETTING },
};

static struct verifier_outcome settle(enum gcp_reason why, enum verdict_check_id part)
{
    if (part < rows[why].part)
        return (struct verifier_outcome){ VERDICT_PASS, REASON_PASSED };
    if (part == rows[why].part)
        return (struct verifier_outcome){ VERDICT_FAIL, rows[why].reason };
    return (struct verifier_outcome){ 0 };
}

static bool read_image(bytes text, struct verdict_register *out)
{
    BUF_AUTO digest = BUF(SHA256_LEN);
    bytes prefix = BYTES_LIT(IMAGE_PREFIX);
    if (!bytes_starts(text, prefix) ||
        !err_is_ok(text_hex_decode(&digest, bytes_slice(text, prefix.len, text.len))) ||
        digest.len != SHA256_LEN)
        return false;
    *out = (struct verdict_register){ .name = registers[0].name, .len = SHA256_LEN };
    memcpy(out->value, digest.at, SHA256_LEN);
    return true;
}

static void report(const struct gcp_result *r, const uint8_t *report_data,
                   const struct gcp_policy *policy, struct verifier_facts *facts)
{
    enum gcp_reason why = r->reason;
    facts->form = settle(why, VERDICT_FORM);
    facts->signature = settle(why, VERDICT_SIGNATURE);
    facts->debug = settle(why, VERDICT_DEBUG);
    facts->tcb = (struct verifier_outcome){ VERDICT_SKIP, REASON_NOT_APPLICABLE };
    facts->subject = why == GCP_OK ? NULL : gcp_reason_word(why);
    if (rows[why].part <= VERDICT_BINDING)
        return;
    memcpy(facts->report_data, report_data, BINDING_LEN);
    (void)json_i64(json_get(jws_claims(r->token), "iat"), &facts->evidence_at);
    if (read_image(r->image_digest, &facts->registers[0]))
        facts->registers_n = 1;
    facts->measurements = settle(why, VERDICT_MEASUREMENTS);
    facts->measurements_subject = facts->subject;
    if (why == GCP_OK && !gcp_policy_takes(policy, r->hwmodel)) {
        facts->measurements = (struct verifier_outcome){ VERDICT_FAIL, REASON_SETTING };
        facts->measurements_subject = "hwmodel";
    }
}

/* asked: roots and times. */
static err judge(const struct bundle *b, const struct gcp_query *asked,
                 const struct gcp_policy *policy, struct verifier_facts *facts)
{
    struct gcp_result result;
    struct gcp_query q = *asked;
    char nonce[GCP_NONCE_LEN + 1];
    uint8_t report_data[BINDING_LEN];
    binding_digest(&(struct binding){ .platform = b->platform,
                                      .identity = b->identity,
                                      .nonce = b->nonce,
                                      .claims = b->claims,
                                      .gpu_evidence = b->gpu_evidence },
                   report_data);
    gcp_nonce(report_data, nonce);
    q.token = b->evidence;
    q.audience = BYTES_LIT(GCP_OUR_AUDIENCE);
    q.nonce = bytes_str(nonce);
    q.any_image = true;
    err e = gcp_token_verify(&q, &result);
    if (err_is_ok(e))
        report(&result, report_data, policy, facts);
    gcp_clear(&result);
    return e;
}

/* The pinned root, and those that the policy names loudly. */
static size_t roots_of(const struct gcp_policy *p,
                       struct x509_root roots[static GCP_EXTRA_ROOTS_MAX + 1])
{
    size_t n = 0;
    roots[n++] = gcp_token_root;
    for (size_t i = 0; p != NULL && i < p->extra_roots.n; i++)
        memcpy(roots[n++].sha256, p->extra_roots.items[i].at, SHA256_LEN);
    return n;
}

/* A token is all that there is. */
static bool is_surplus(const struct bundle *b, struct verifier_facts *facts)
{
    if (b->collateral.len > 0)
        facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_SURPLUS };
    return b->collateral.len > 0;
}

static err examine(const struct bundle *b, const struct policy *policy, int64_t now,
                   struct verifier_facts *facts)
{
    struct x509_root roots[GCP_EXTRA_ROOTS_MAX + 1];
    struct gcp_query q = { .roots = roots,
                           .roots_n = roots_of(policy->gcp, roots),
                           .at_s = now,
                           .skew_s = policy->skew_s };
    return is_surplus(b, facts) ? OK : judge(b, &q, policy->gcp, facts);
}

/* --- one's own --------------------------------------------------------------------------------- */

/* The last certificate that a token brings. */
static err own_root(bytes token, struct x509_root *out)
{
    struct jws *read = NULL;
    BUF_AUTO der = BUF(CERT_MAX);
    TRY(jws_read(&read, token));
    size_t n = 0;
    err e = jws_x5c(read, n, &der);
    while (err_is_ok(e)) {
        sha256_of(buf_view(&der), out->sha256);
        buf_truncate(&der, 0);
        e = jws_x5c(read, ++n, &der);
    }
    jws_free(read);
    ENSURE(n > 0 && e.code == ERR_NOT_FOUND, MALFORMED);
    return OK;
}

/* By whatever root it names: the launcher's socket says enough about who made it. */
static err examine_own(const struct bundle *b, int64_t now, struct verifier_facts *facts)
{
    struct x509_root root;
    struct gcp_query q = {
        .roots = &root, .roots_n = 1, .at_s = now, .skew_s = POLICY_SKEW_S_DEFAULT
    };
    if (is_surplus(b, facts))
        return OK;
    err e = own_root(b->evidence, &root);
    if (err_is_ok(e))
        return judge(b, &q, NULL, facts);
    facts->form = (struct verifier_outcome){ VERDICT_FAIL, REASON_MALFORMED };
    return e.code == ERR_NOMEM ? e : OK;
}

static int64_t says_when(bytes evidence)
{
    struct jws *token = NULL;
    int64_t at = 0;
    if (err_is_ok(jws_read(&token, evidence)))
        (void)json_i64(json_get(jws_claims(token), "iat"), &at);
    jws_free(token);
    return at;
}

static const struct verifier verifier = {
    .platform = GCP_PLATFORM,
    .trust = TRUST_VOUCHED,
    .registers = registers,
    .registers_n = ARRAY_LEN(registers),
    .no_tcb = true,
    .examine = examine,
    .says_when = says_when,
    .examine_own = examine_own,
};

const struct verifier *const gcp_verifier = &verifier;
