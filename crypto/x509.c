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

static err work_init(struct work *w)
{
    w->roots = X509_STORE_new();
    w->others = sk_X509_new_null();
    w->ctx = X509_STORE_CTX_new();
    ENSURE(w->roots != NULL && w->others != NULL && w->ctx != NULL, NOMEM);
    return OK;
}

/* Sorts the certificates into pinned ones, which are trusted, and the rest, which have to be shown
 * to descend from one. */
static err work_read(struct work *w, const struct x509_query *q)
{
    bool any_root = false;
    for (size_t i = 0; i < q->certs_n; i++) {
        TRY(cert_read(q->certs[i], &w->certs[i]));
        if (is_pinned(q->certs[i], q)) {
            any_root = true;
            ENSURE(X509_STORE_add_cert(w->roots, w->certs[i]) == 1, NOMEM);
        } else if (i > 0) {
            ENSURE(sk_X509_push(w->others, w->certs[i]) > 0, NOMEM);
        }
    }
    ENSURE(any_root, UNTRUSTED);
    return OK;
}

static err why_not(int error)
{
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        FAIL(STALE);
    case X509_V_ERR_OUT_OF_MEM:
        FAIL(NOMEM);
    default:
        FAIL(UNTRUSTED);
    }
}

static err work_verify(struct work *w, int64_t at_s)
{
    ENSURE(X509_STORE_CTX_init(w->ctx, w->roots, w->certs[0], w->others) == 1, NOMEM);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(w->ctx);
    X509_VERIFY_PARAM_set_time(param, at_s);
    X509_VERIFY_PARAM_set_depth(param, X509_CHAIN_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    if (X509_verify_cert(w->ctx) != 1)
        return why_not(X509_STORE_CTX_get_error(w->ctx));
    return OK;
}

/* OpenSSL would also take an issuer without basic constraints, as of version 1 or by key usage. */
static err issuers_check(STACK_OF(X509) * certs)
{
    for (int i = 1; i < sk_X509_num(certs); i++)
        ENSURE(X509_check_ca(sk_X509_value(certs, i)) == 1, UNTRUSTED);
    return OK;
}

static void chain_free_at(struct x509_chain **chain)
{
    x509_free(*chain);
}

static err work_result(struct work *w, struct x509_chain **out)
{
    TRY(issuers_check(X509_STORE_CTX_get0_chain(w->ctx)));
    CLEANUP(chain_free_at) struct x509_chain *chain = NULL;
    TRY(mem_new(&chain));
    chain->certs = X509_STORE_CTX_get1_chain(w->ctx);
    ENSURE(chain->certs != NULL, NOMEM);
    *out = chain;
    chain = NULL;
    return OK;
}

err x509_verify(struct x509_chain **out, const struct x509_query *query)
{
    ENSURE(query->roots_n > 0, CONFIG);
    ENSURE(query->certs_n > 0, MALFORMED);
    ENSURE(query->certs_n <= X509_CHAIN_MAX && query->roots_n <= X509_ROOTS_MAX, LIMIT);
    CLEANUP(work_clear) struct work w = { 0 };
    TRY(work_init(&w));
    TRY(work_read(&w, query));
    TRY(work_verify(&w, query->at_s));
    return work_result(&w, out);
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
