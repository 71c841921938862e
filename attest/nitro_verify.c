/*
 * The checks are a table, as in attest/verify.c: each looks at one thing and says NITRO_OK or why
 * not, and whether anybody asked.
 */
#include "attest/nitro_verify.h"

#include "crypto/secret.h"

/* PCR0 measures the image, PCR1 the kernel, PCR2 the application; a debug enclave has zeros. */
enum { IMAGE_PCRS = 3, MS_PER_S = 1000 };

const struct x509_root nitro_aws_root = { {
    0x64, 0x1a, 0x03, 0x21, 0xa3, 0xe2, 0x44, 0xef, 0xe4, 0x56, 0x46, 0x31, 0x95, 0xd6, 0x06, 0x31,
    0x7e, 0xd7, 0xcd, 0xcc, 0x3c, 0x17, 0x56, 0xe0, 0x98, 0x93, 0xf3, 0xc6, 0x8f, 0x79, 0xbb, 0x5b,
} };

struct run {
    const struct nitro_settings *settings;
    struct nitro_result *result;
    bytes document;
    struct x509_chain *chain;
    bool asked;
};

typedef err check(struct run *r, enum nitro_reason *why);

const char *nitro_check_name(enum nitro_check_id id)
{
    static const char *const names[NITRO_CHECKS] = {
#define X(name, word) [NITRO_CHECK_##name] = (word),
        NITRO_CHECK_LIST(X)
#undef X
    };
    return id < NITRO_CHECKS ? names[id] : "unchecked";
}

static err check_form(struct run *r, enum nitro_reason *why)
{
    *why = nitro_parse(r->document, &r->result->doc);
    return OK;
}

/* --- certificates ------------------------------------------------------------------------------ */

static int64_t seconds_of(const struct nitro_doc *d)
{
    return (int64_t)(d->timestamp_ms / MS_PER_S);
}

static int64_t time_of(const struct run *r)
{
    int64_t own = seconds_of(&r->result->doc), ahead;
    bool close = !__builtin_sub_overflow(own, r->settings->at_s, &ahead) && ahead > 0 &&
                 ahead <= (int64_t)r->settings->skew_s;
    return close ? own : r->settings->at_s;
}

static enum nitro_reason chain_reason(const struct x509_why *why)
{
    switch (why->fault) {
    case X509_FAULT_FORM:
        return NITRO_CERTIFICATE;
    case X509_FAULT_ROOT:
        return NITRO_UNTRUSTED_ROOT;
    case X509_FAULT_SIGNATURE:
        return why->depth == 0 ? NITRO_LEAF_SIGNATURE : NITRO_CHAIN_SIGNATURE;
    case X509_FAULT_DATE:
        return NITRO_TIME;
    case X509_FAULT_NONE:
    case X509_FAULT_ISSUER:
    case X509_FAULT_OTHER:
        return NITRO_CHAIN;
    }
    return NITRO_CHAIN;
}

static bool is_root(const struct run *r, bytes der)
{
    uint8_t digest[SHA256_LEN];
    const struct nitro_settings *s = r->settings;
    sha256_of(der, digest);
    if (s->roots_n == 0)
        return bytes_equal(BYTES_ARRAY(digest), BYTES_ARRAY(nitro_aws_root.sha256));
    for (size_t i = 0; i < s->roots_n; i++) {
        if (bytes_equal(BYTES_ARRAY(digest), BYTES_ARRAY(s->roots[i].sha256)))
            return true;
    }
    return false;
}

/* The leaf, then the bundle from its end: the issuers in the order they have to follow. */
static size_t order_certs(const struct nitro_doc *d, bytes certs[static NITRO_CABUNDLE_MAX + 1])
{
    size_t n = 0;
    certs[n++] = d->certificate;
    for (size_t i = d->cabundle_n; i > 0; i--)
        certs[n++] = d->cabundle[i - 1];
    return n;
}

/* Only what became part of the path may be there. */
static err check_path(struct run *r, enum nitro_reason *why)
{
    const struct nitro_result *out = r->result;
    size_t n = x509_len(r->chain);
    if (n != out->doc.cabundle_n + 1 || !is_root(r, out->doc.cabundle[0])) {
        *why = NITRO_CABUNDLE;
        return OK;
    }
    *why = out->certs[0].ca ? NITRO_CERTIFICATE : NITRO_OK;
    return OK;
}

static err check_chain(struct run *r, enum nitro_reason *why)
{
    bytes certs[NITRO_CABUNDLE_MAX + 1];
    struct x509_why fault = { 0 };
    struct x509_seen seen = { .certs = r->result->certs };
    const struct nitro_settings *s = r->settings;
    struct x509_query q = { .certs = certs,
                            .certs_n = order_certs(&r->result->doc, certs),
                            .roots = s->roots_n > 0 ? s->roots : &nitro_aws_root,
                            .roots_n = s->roots_n > 0 ? s->roots_n : 1,
                            .at_s = time_of(r),
                            .why = &fault,
                            .seen = &seen };
    err e = x509_verify(&r->chain, &q);
    r->result->certs_n = seen.n;
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    if (!err_is_ok(e)) {
        *why = chain_reason(&fault);
        return OK;
    }
    return check_path(r, why);
}

static err check_signature(struct run *r, enum nitro_reason *why)
{
    enum ec_curve curve;
    bytes point;
    err e = x509_key(r->chain, 0, &curve, &point);
    if (!err_is_ok(e) || curve != EC_P384) {
        *why = NITRO_ALGORITHM;
        return e.code == ERR_NOMEM ? e : OK;
    }
    e = cose_sign1_verify_ecdsa(&r->result->doc.cose, EC_P384, point);
    *why = err_is_ok(e) ? NITRO_OK : NITRO_COSE_SIGNATURE;
    return e.code == ERR_NOMEM ? e : OK;
}

/* --- what it says ------------------------------------------------------------------------------ */

static bool is_zero(bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.at[i];
    return any == 0;
}

/* No image measures to zero, so one zero among the three is enough. */
static err check_debug(struct run *r, enum nitro_reason *why)
{
    *why = NITRO_OK;
    for (size_t i = 0; i < IMAGE_PCRS; i++) {
        if (r->result->doc.pcrs[i].len == 0) {
            *why = NITRO_PCRS;
            return OK;
        }
        r->result->debug |= is_zero(r->result->doc.pcrs[i]);
    }
    if (r->result->debug && !r->settings->allow_debug)
        *why = NITRO_DEBUG_MODE;
    return OK;
}

static err check_freshness(struct run *r, enum nitro_reason *why)
{
    int64_t age, most = r->settings->max_age_s;
    r->asked = most > 0;
    if (!r->asked)
        return OK;
    bool sane = !__builtin_sub_overflow(r->settings->at_s, seconds_of(&r->result->doc), &age);
    *why = !sane || age < -most ? NITRO_FUTURE : age > most ? NITRO_STALE : NITRO_OK;
    return OK;
}

static void compare(struct run *r, const struct nitro_expected *want,
                    const struct nitro_field *have, enum nitro_reason otherwise,
                    enum nitro_reason *why)
{
    r->asked = want->asked;
    bool same = have->present && want->value.len > 0 && secret_equal(have->value, want->value);
    *why = same ? NITRO_OK : otherwise;
}

static err check_nonce(struct run *r, enum nitro_reason *why)
{
    compare(r, &r->settings->nonce, &r->result->doc.nonce, NITRO_NONCE, why);
    return OK;
}

static err check_public_key(struct run *r, enum nitro_reason *why)
{
    compare(r, &r->settings->public_key, &r->result->doc.public_key, NITRO_PUBLIC_KEY, why);
    return OK;
}

static err check_user_data(struct run *r, enum nitro_reason *why)
{
    compare(r, &r->settings->user_data, &r->result->doc.user_data, NITRO_USER_DATA, why);
    return OK;
}

static err check_measurements(struct run *r, enum nitro_reason *why)
{
    r->asked = false;
    *why = NITRO_OK;
    for (size_t i = 0; i < NITRO_PCRS_MAX; i++) {
        bytes want = r->settings->pcrs[i], have = r->result->doc.pcrs[i];
        if (want.len == 0)
            continue;
        r->asked = true;
        if (have.len == 0 || !secret_equal(have, want))
            *why = NITRO_MEASUREMENT;
    }
    return OK;
}

/* --- the order --------------------------------------------------------------------------------- */

static check *const checks[NITRO_CHECKS] = {
    [NITRO_CHECK_FORM] = check_form,
    [NITRO_CHECK_CHAIN] = check_chain,
    [NITRO_CHECK_SIGNATURE] = check_signature,
    [NITRO_CHECK_DEBUG] = check_debug,
    [NITRO_CHECK_FRESHNESS] = check_freshness,
    [NITRO_CHECK_NONCE] = check_nonce,
    [NITRO_CHECK_PUBLIC_KEY] = check_public_key,
    [NITRO_CHECK_USER_DATA] = check_user_data,
    [NITRO_CHECK_MEASUREMENTS] = check_measurements,
};

static err run_checks(struct run *r)
{
    struct nitro_result *out = r->result;
    for (size_t i = 0; i < NITRO_CHECKS; i++) {
        enum nitro_reason why = NITRO_UNCHECKED;
        r->asked = true;
        TRY(checks[i](r, &why));
        if (!r->asked) {
            out->checks[i] = (struct nitro_check){ VERDICT_SKIP, NITRO_OK };
            continue;
        }
        bool fine = why == NITRO_OK;
        out->checks[i] = (struct nitro_check){ fine ? VERDICT_PASS : VERDICT_FAIL, why };
        out->reason = why;
        if (!fine)
            return OK;
    }
    out->reason = NITRO_OK;
    out->accepted = true;
    return OK;
}

err nitro_verify(bytes document, const struct nitro_settings *settings, struct nitro_result *out)
{
    *out = (struct nitro_result){ 0 };
    struct run r = { .settings = settings, .result = out, .document = document };
    err e = run_checks(&r);
    x509_free(r.chain);
    return e;
}
