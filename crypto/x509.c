/*
 * OpenSSL builds and checks the path; here its store holds the pinned certificates and nothing else,
 * and its time is the caller's. X509_V_FLAG_X509_STRICT is left off because genuine chains of two
 * vendors lack key identifiers; what matters of it, that every issuer is marked as a CA, is checked
 * here.
 */
#include "crypto/x509.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

enum { SECURITY_LEVEL = 2 /* at least 112 bits: no SHA-1, no RSA under 2048 */ };

struct x509_chain {
    STACK_OF(X509) * certs;
    bool in_order;
};

/* What one verification needs of OpenSSL's objects, released together. */
struct work {
    X509 *certs[X509_CHAIN_MAX];
    X509_STORE *roots;
    STACK_OF(X509) * others;
    X509_STORE_CTX *ctx;
};

static void work_clear(struct work *w)
{
    X509_STORE_CTX_free(w->ctx);
    sk_X509_free(w->others);
    X509_STORE_free(w->roots);
    for (size_t i = 0; i < X509_CHAIN_MAX; i++)
        X509_free(w->certs[i]);
    ERR_clear_error();
}

static err cert_read(bytes der, X509 **out)
{
    ENSURE(der.len <= X509_CERT_MAX, LIMIT);
    ENSURE(der.len > 0, MALFORMED);
    const unsigned char *at = der.at;
    X509 *cert = d2i_X509(NULL, &at, (long)der.len);
    ENSURE(cert != NULL, MALFORMED);
    if (at != der.at + der.len) {
        X509_free(cert);
        FAIL(MALFORMED);
    }
    *out = cert;
    return OK;
}

static err copy_name(const X509_NAME *name, char *to)
{
    BIO *text = BIO_new(BIO_s_mem());
    ENSURE(text != NULL, NOMEM);
    bool fine = X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253) >= 0;
    int n = fine ? BIO_read(text, to, X509_SUBJECT_MAX - 1) : 0;
    to[n > 0 ? n : 0] = '\0';
    BIO_free(text);
    ENSURE(fine, MALFORMED);
    return OK;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static err time_of(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;
    ENSURE(ASN1_TIME_to_tm(t, &tm) == 1, MALFORMED);
    *out = days_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400 + tm.tm_hour * 3600 +
           tm.tm_min * 60 + tm.tm_sec;
    return OK;
}

static err describe(X509 *cert, struct x509_about *out)
{
    *out = (struct x509_about){ .ca = X509_check_ca(cert) != 0 };
    const X509_NAME *subject = X509_get_subject_name(cert);
    TRY(copy_name(subject, out->subject));
    (void)X509_NAME_get_text_by_NID(unconst(subject), NID_serialNumber, out->serial_number,
                                    sizeof out->serial_number);
    TRY(time_of(X509_get0_notBefore(cert), &out->not_before));
    return time_of(X509_get0_notAfter(cert), &out->not_after);
}

static bool is_pinned(bytes der, const struct x509_query *q)
{
    uint8_t digest[SHA256_LEN];
    sha256_of(der, digest);
    for (size_t i = 0; i < q->roots_n; i++) {
        if (bytes_equal(BYTES_ARRAY(digest), BYTES_ARRAY(q->roots[i].sha256)))
            return true;
    }
    return false;
}

static void tell(const struct x509_query *q, enum x509_fault fault, int depth)
{
    if (q->why != NULL)
        *q->why = (struct x509_why){ fault, depth > 0 ? (unsigned)depth : 0 };
}

static err work_init(struct work *w)
{
    w->roots = X509_STORE_new();
    w->others = sk_X509_new_null();
    w->ctx = X509_STORE_CTX_new();
    ENSURE(w->roots != NULL && w->others != NULL && w->ctx != NULL, NOMEM);
    return OK;
}

/* What cannot be described is not looked at any further here; the path decides about it. */
static err see(const struct x509_query *q, size_t i, X509 *cert)
{
    if (q->seen == NULL || q->seen->n != i)
        return OK;
    err e = describe(cert, &q->seen->certs[i]);
    if (err_is_ok(e))
        q->seen->n++;
    return e.code == ERR_NOMEM ? e : OK;
}

/* Sorts the certificates into pinned ones, which are trusted, and the rest, which have to be shown
 * to descend from one. */
static err work_read(struct work *w, const struct x509_query *q)
{
    bool any_root = false;
    for (size_t i = 0; i < q->certs_n; i++) {
        TRY(cert_read(q->certs[i], &w->certs[i]));
        TRY(see(q, i, w->certs[i]));
        if (is_pinned(q->certs[i], q)) {
            any_root = true;
            ENSURE(X509_STORE_add_cert(w->roots, w->certs[i]) == 1, NOMEM);
        } else if (i > 0) {
            ENSURE(sk_X509_push(w->others, w->certs[i]) > 0, NOMEM);
        }
    }
    if (!any_root)
        tell(q, X509_FAULT_ROOT, (int)q->certs_n - 1);
    ENSURE(any_root, UNTRUSTED);
    return OK;
}

static enum x509_fault fault_of(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return X509_FAULT_DATE;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
        return X509_FAULT_SIGNATURE;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_INVALID_CA:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return X509_FAULT_ISSUER;
    default:
        return X509_FAULT_OTHER;
    }
}

static err why_not(X509_STORE_CTX *ctx, const struct x509_query *q)
{
    int error = X509_STORE_CTX_get_error(ctx);
    enum x509_fault fault = fault_of(error);
    ENSURE(error != X509_V_ERR_OUT_OF_MEM, NOMEM);
    tell(q, fault, X509_STORE_CTX_get_error_depth(ctx));
    ENSURE(fault != X509_FAULT_DATE, STALE);
    FAIL(UNTRUSTED);
}

static err work_verify(struct work *w, const struct x509_query *q)
{
    ENSURE(X509_STORE_CTX_init(w->ctx, w->roots, w->certs[0], w->others) == 1, NOMEM);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(w->ctx);
    X509_VERIFY_PARAM_set_time(param, q->at_s);
    X509_VERIFY_PARAM_set_depth(param, X509_CHAIN_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    if (X509_verify_cert(w->ctx) != 1)
        return why_not(w->ctx, q);
    return OK;
}

/* OpenSSL would also take an issuer without basic constraints, as of version 1 or by key usage. */
static err issuers_check(STACK_OF(X509) * certs, const struct x509_query *q)
{
    for (int i = 1; i < sk_X509_num(certs); i++) {
        if (X509_check_ca(sk_X509_value(certs, i)) == 1)
            continue;
        tell(q, X509_FAULT_ISSUER, i);
        FAIL(UNTRUSTED);
    }
    return OK;
}

static bool is_in_order(const struct work *w, STACK_OF(X509) * path, size_t certs_n)
{
    if ((size_t)sk_X509_num(path) != certs_n)
        return false;
    for (size_t i = 0; i < certs_n; i++) {
        if (sk_X509_value(path, (int)i) != w->certs[i])
            return false;
    }
    return true;
}

static void chain_free_at(struct x509_chain **chain)
{
    x509_free(*chain);
}

static err work_result(struct work *w, const struct x509_query *q, struct x509_chain **out)
{
    TRY(issuers_check(X509_STORE_CTX_get0_chain(w->ctx), q));
    CLEANUP(chain_free_at) struct x509_chain *chain = NULL;
    TRY(mem_new(&chain));
    chain->certs = X509_STORE_CTX_get1_chain(w->ctx);
    ENSURE(chain->certs != NULL, NOMEM);
    chain->in_order = is_in_order(w, chain->certs, q->certs_n);
    *out = chain;
    chain = NULL;
    return OK;
}

err x509_verify(struct x509_chain **out, const struct x509_query *query)
{
    if (query->seen != NULL)
        query->seen->n = 0;
    ENSURE(query->roots_n > 0, CONFIG);
    tell(query, X509_FAULT_FORM, 0);
    ENSURE(query->certs_n > 0, MALFORMED);
    ENSURE(query->certs_n <= X509_CHAIN_MAX && query->roots_n <= X509_ROOTS_MAX, LIMIT);
    CLEANUP(work_clear) struct work w = { 0 };
    TRY(work_init(&w));
    TRY(work_read(&w, query));
    TRY(work_verify(&w, query));
    TRY(work_result(&w, query, out));
    tell(query, X509_FAULT_NONE, 0);
    return OK;
}

void x509_free(struct x509_chain *chain)
{
    if (chain == NULL)
        return;
    sk_X509_pop_free(chain->certs, X509_free);
    mem_free(chain);
}

size_t x509_len(const struct x509_chain *chain)
{
    return (size_t)sk_X509_num(chain->certs);
}

bool x509_in_order(const struct x509_chain *chain)
{
    return chain->in_order;
}

static err cert_at(const struct x509_chain *chain, size_t i, X509 **out)
{
    ENSURE(i < x509_len(chain), NOT_FOUND);
    *out = sk_X509_value(chain->certs, (int)i);
    return OK;
}

static enum ec_curve curve_of(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *id;
    const void *parameter;
    int type;
    X509_ALGOR_get0(&id, &type, &parameter, algorithm);
    if (OBJ_obj2nid(id) != NID_X9_62_id_ecPublicKey || type != V_ASN1_OBJECT)
        return 0;
    switch (OBJ_obj2nid(parameter)) {
    case NID_X9_62_prime256v1:
        return EC_P256;
    case NID_secp384r1:
        return EC_P384;
    default:
        return 0;
    }
}

err x509_key(const struct x509_chain *chain, size_t i, enum ec_curve *curve, bytes *point)
{
    X509 *cert = NULL;
    X509_ALGOR *algorithm;
    const unsigned char *at;
    int len;
    TRY(cert_at(chain, i, &cert));
    X509_PUBKEY *key = X509_get_X509_PUBKEY(cert);
    ENSURE(X509_PUBKEY_get0_param(NULL, &at, &len, &algorithm, key) == 1, MALFORMED);
    enum ec_curve c = curve_of(algorithm);
    bytes p = bytes_of(at, (size_t)len);
    ENSURE(c != 0 && p.len == ec_point_len(c) && p.at[0] == 0x04, UNSUPPORTED);
    *curve = c;
    *point = p;
    return OK;
}

err x509_common_name(const struct x509_chain *chain, size_t i, bytes *out)
{
    X509 *cert = NULL;
    TRY(cert_at(chain, i, &cert));
    const X509_NAME *name = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    ENSURE(at >= 0 && X509_NAME_get_index_by_NID(name, NID_commonName, at) < 0, NOT_FOUND);
    const ASN1_STRING *text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    *out = bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    return OK;
}

err x509_extension(const struct x509_chain *chain, size_t i, const char *oid, bytes *out)
{
    X509 *cert = NULL;
    TRY(cert_at(chain, i, &cert));
    ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
    ENSURE(id != NULL, INTERNAL);
    int at = X509_get_ext_by_OBJ(cert, id, -1);
    int second = at < 0 ? -1 : X509_get_ext_by_OBJ(cert, id, at);
    ASN1_OBJECT_free(id);
    ENSURE(at >= 0 && second < 0, NOT_FOUND);
    const ASN1_STRING *data = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    *out = bytes_of(ASN1_STRING_get0_data(data), (size_t)ASN1_STRING_length(data));
    return OK;
}

err x509_about(const struct x509_chain *chain, size_t i, struct x509_about *out)
{
    X509 *cert = NULL;
    TRY(cert_at(chain, i, &cert));
    return describe(cert, out);
}

err x509_about_der(bytes cert, struct x509_about *out)
{
    X509 *x = NULL;
    TRY(cert_read(cert, &x));
    err e = describe(x, out);
    X509_free(x);
    return e;
}

err x509_spki(bytes cert, struct buf *out)
{
    X509 *x = NULL;
    unsigned char *der = NULL;
    TRY(cert_read(cert, &x));
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    err e = len > 0 ? buf_add(out, bytes_of(der, (size_t)len))
                    : err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__);
    OPENSSL_free(der);
    X509_free(x);
    return e;
}

err x509_der(const struct x509_chain *chain, size_t i, struct buf *out)
{
    X509 *cert = NULL;
    uint8_t *room = NULL;
    TRY(cert_at(chain, i, &cert));
    int len = i2d_X509(cert, NULL);
    ENSURE(len > 0, NOMEM);
    TRY(buf_reserve(out, (size_t)len, &room));
    ENSURE(i2d_X509(cert, &room) == len, NOMEM);
    buf_commit(out, (size_t)len);
    return OK;
}
