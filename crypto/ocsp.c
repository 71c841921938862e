/*
 * OpenSSL reads the answer and checks its signature; who may sign it is decided here, because the
 * library's own check wants a self-signed root and today's date.
 */
#include "crypto/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "base/attr.h"
#include "base/text.h"

enum { NONCE_HEAD_LEN = 2 /* tag and length of the OCTET STRING in the extension */ };

/* What one check needs of OpenSSL's objects, released together. */
struct work {
    const struct ocsp_query *query;
    X509 *cert;
    X509 *issuer;
    OCSP_RESPONSE *response;
    OCSP_BASICRESP *basic;
    OCSP_SINGLERESP *single; /* borrowed from basic */
};

typedef enum ocsp_outcome step(struct work *w);

static void work_clear(struct work *w)
{
    OCSP_BASICRESP_free(w->basic);
    OCSP_RESPONSE_free(w->response);
    X509_free(w->issuer);
    X509_free(w->cert);
    ERR_clear_error();
}

const char *ocsp_outcome_word(enum ocsp_outcome o)
{
    static const char *const words[] = {
#define X(name, word) [OCSP_IS_##name] = (word),
        OCSP_OUTCOME_LIST(X)
#undef X
    };
    return (size_t)o < ARRAY_LEN(words) ? words[o] : words[OCSP_IS_REFUSED];
}

static X509 *cert_of(bytes der)
{
    const unsigned char *at = der.at;
    X509 *cert =
        der.len > 0 && der.len <= OCSP_RESPONSE_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (cert != NULL && at != der.at + der.len) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* The library checks the signature over what it writes again, so that has to be what was received. */
static bool stands_as_written(const struct work *w)
{
    unsigned char *basic = NULL;
    int len = i2d_OCSP_BASICRESP(w->basic, &basic);
    bytes written = bytes_of(basic, len > 0 ? (size_t)len : 0), in = w->query->response;
    bool same = len > 0 && text_find(in, written) + written.len == in.len;
    OPENSSL_free(basic);
    return same;
}

static enum ocsp_outcome read_all(struct work *w)
{
    bytes in = w->query->response;
    const unsigned char *at = in.at;
    w->cert = cert_of(w->query->certificate);
    w->issuer = cert_of(w->query->issuer);
    if (w->cert == NULL || w->issuer == NULL || in.len == 0 || in.len > OCSP_RESPONSE_MAX)
        return OCSP_IS_MALFORMED;
    w->response = d2i_OCSP_RESPONSE(NULL, &at, (long)in.len);
    if (w->response == NULL || at != in.at + in.len)
        return OCSP_IS_MALFORMED;
    if (OCSP_response_status(w->response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return OCSP_IS_STATUS;
    w->basic = OCSP_response_get1_basic(w->response);
    return w->basic != NULL && stands_as_written(w) ? OCSP_IS_GOOD : OCSP_IS_MALFORMED;
}

/* SHA-1 would let somebody find another key with the same id. */
static const EVP_MD *strong_digest(const ASN1_OBJECT *id)
{
    switch (OBJ_obj2nid(id)) {
    case NID_sha256:
        return EVP_sha256();
    case NID_sha384:
        return EVP_sha384();
    case NID_sha512:
        return EVP_sha512();
    default:
        return NULL;
    }
}

static bool is_about(const struct work *w, OCSP_SINGLERESP *single)
{
    OCSP_CERTID *have = unconst(OCSP_SINGLERESP_get0_id(single));
    ASN1_OBJECT *algorithm = NULL;
    if (OCSP_id_get0_info(NULL, &algorithm, NULL, NULL, have) != 1)
        return false;
    const EVP_MD *digest = strong_digest(algorithm);
    OCSP_CERTID *want = digest != NULL ? OCSP_cert_to_id(digest, w->cert, w->issuer) : NULL;
    bool same = want != NULL && OCSP_id_cmp(have, want) == 0;
    OCSP_CERTID_free(want);
    return same;
}

static enum ocsp_outcome find_single(struct work *w)
{
    for (int i = 0; i < OCSP_resp_count(w->basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(w->basic, i);
        if (!is_about(w, single))
            continue;
        if (w->single != NULL)
            return OCSP_IS_MALFORMED;
        w->single = single;
    }
    return w->single != NULL ? OCSP_IS_GOOD : OCSP_IS_CERT_ID;
}

/* --- responder and signature ------------------------------------------------------------------- */

static bool in_time(const ASN1_TIME *from, const ASN1_TIME *until, int64_t at_s)
{
    time_t at = at_s;
    return X509_cmp_time(from, &at) < 0 && X509_cmp_time(until, &at) > 0;
}

/* RFC 6960 section 4.2.2.2: issued directly by the issuer, for this purpose. */
static bool may_answer(const struct work *w, X509 *signer)
{
    uint32_t flags = X509_get_extension_flags(signer);
    return X509_check_issued(w->issuer, signer) == X509_V_OK &&
           X509_verify(signer, X509_get0_pubkey(w->issuer)) == 1 && (flags & EXFLAG_XKUSAGE) != 0 &&
           (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) != 0 &&
           in_time(X509_get0_notBefore(signer), X509_get0_notAfter(signer), w->query->at_s);
}

static enum ocsp_outcome check_responder(struct work *w)
{
    X509 *signer = NULL;
    STACK_OF(X509) *more = sk_X509_new_null();
    bool found = more != NULL && sk_X509_push(more, w->issuer) > 0 &&
                 OCSP_resp_get0_signer(w->basic, &signer, more) == 1;
    bool trusted = found && (X509_cmp(signer, w->issuer) == 0 || may_answer(w, signer));
    /* With this flag only the signature is checked, by the signer that was found above. */
    bool genuine = trusted && OCSP_basic_verify(w->basic, more, NULL, OCSP_NOVERIFY) == 1;
    sk_X509_free(more);
    return !trusted ? OCSP_IS_RESPONDER : genuine ? OCSP_IS_GOOD : OCSP_IS_SIGNATURE;
}

/* --- what it says ------------------------------------------------------------------------------ */

static enum ocsp_outcome check_nonce(struct work *w)
{
    bytes want = w->query->nonce;
    int at = OCSP_BASICRESP_get_ext_by_NID(w->basic, NID_id_pkix_OCSP_Nonce, -1);
    if (want.len == 0 || at < 0)
        return OCSP_IS_GOOD;
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(w->basic, at));
    bytes have = bytes_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
    bool wrapped = have.len >= NONCE_HEAD_LEN && have.at[0] == V_ASN1_OCTET_STRING &&
                   have.at[1] == have.len - NONCE_HEAD_LEN;
    return wrapped && bytes_equal(bytes_slice(have, NONCE_HEAD_LEN, have.len), want)
               ? OCSP_IS_GOOD
               : OCSP_IS_NONCE;
}

static enum ocsp_outcome check_dates(const struct work *w, const ASN1_GENERALIZEDTIME *from,
                                     const ASN1_GENERALIZEDTIME *until)
{
    time_t at = w->query->at_s, oldest;
    if (from == NULL || X509_cmp_time(from, &at) >= 0)
        return OCSP_IS_THIS_UPDATE;
    if (until != NULL)
        return X509_cmp_time(until, &at) > 0 ? OCSP_IS_GOOD : OCSP_IS_NEXT_UPDATE;
    if (w->query->max_age_s <= 0 || __builtin_sub_overflow(at, w->query->max_age_s, &oldest))
        return OCSP_IS_NEXT_UPDATE;
    return X509_cmp_time(from, &oldest) > 0 ? OCSP_IS_GOOD : OCSP_IS_NEXT_UPDATE;
}

static void tell_until(const struct work *w, const ASN1_GENERALIZEDTIME *until)
{
    struct tm at = { 0 };
    if (w->query->until_s != NULL && until != NULL && ASN1_TIME_to_tm(until, &at) == 1)
        *w->query->until_s = timegm(&at);
}

static enum ocsp_outcome check_status(struct work *w)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status = OCSP_single_get0_status(w->single, NULL, NULL, &from, &until);
    enum ocsp_outcome dates = check_dates(w, from, until);
    if (dates != OCSP_IS_GOOD)
        return dates;
    if (status != V_OCSP_CERTSTATUS_GOOD && status != V_OCSP_CERTSTATUS_REVOKED)
        return OCSP_IS_UNKNOWN;
    tell_until(w, until);
    return status == V_OCSP_CERTSTATUS_GOOD ? OCSP_IS_GOOD : OCSP_IS_REVOKED;
}

err ocsp_check(const struct ocsp_query *query, enum ocsp_outcome *out)
{
    static step *const steps[] = { read_all, find_single, check_responder, check_nonce,
                                   check_status };
    CLEANUP(work_clear) struct work w = { .query = query };
    *out = OCSP_IS_GOOD;
    for (size_t i = 0; i < ARRAY_LEN(steps) && *out == OCSP_IS_GOOD; i++)
        *out = steps[i](&w);
    return OK;
}

/* --- requests ---------------------------------------------------------------------------------- */

struct asking {
    X509 *cert;
    X509 *issuer;
    OCSP_REQUEST *request;
    unsigned char *der;
};

static void asking_clear(struct asking *a)
{
    OPENSSL_free(a->der);
    OCSP_REQUEST_free(a->request);
    X509_free(a->issuer);
    X509_free(a->cert);
    ERR_clear_error();
}

err ocsp_request_write(struct buf *out, bytes certificate, bytes issuer)
{
    CLEANUP(asking_clear)
    struct asking a = { .cert = cert_of(certificate), .issuer = cert_of(issuer) };
    ENSURE(a.cert != NULL && a.issuer != NULL, MALFORMED);
    a.request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha384(), a.cert, a.issuer);
    if (a.request == NULL || id == NULL || OCSP_request_add0_id(a.request, id) == NULL) {
        OCSP_CERTID_free(id);
        FAIL(NOMEM);
    }
    int len = i2d_OCSP_REQUEST(a.request, &a.der);
    ENSURE(len > 0, NOMEM);
    ENSURE(len <= OCSP_REQUEST_MAX, LIMIT);
    return buf_add(out, bytes_of(a.der, (size_t)len));
}
