#include "crypto/crl.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "crypto/der.h"

enum { SECURITY_LEVEL_BITS = 112 };

struct crl {
    X509_CRL *list;
};

static void crl_free_at(struct crl **crl)
{
    crl_free(*crl);
}

static void x509_free_at(X509 **cert)
{
    X509_free(*cert);
    ERR_clear_error();
}

static X509 *cert_of(bytes der)
{
    const unsigned char *at = der.at;
    X509 *cert = der.len <= CRL_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (cert != NULL && at == der.at + der.len)
        return cert;
    X509_free(cert);
    ERR_clear_error();
    return NULL;
}

/*
 * CertificateList = SEQUENCE { tbsCertList = SEQUENCE { version INTEGER, signature, ... },
 *                              signatureAlgorithm, signatureValue }
 *
 * The algorithm stands twice, only the first is signed, and they must be the same (RFC 5280 section
 * 5.1.1.2). Not every OpenSSL 3.0 compares them.
 */
static err check_algorithms(bytes der)
{
    bytes list, tbs, version, inner, outer;
    TRY(der_take(&der, DER_SEQUENCE, &list));
    TRY(der_take(&list, DER_SEQUENCE, &tbs));
    TRY(der_take(&list, DER_SEQUENCE, &outer));
    TRY(der_take(&tbs, DER_INTEGER, &version));
    TRY(der_take(&tbs, DER_SEQUENCE, &inner));
    ENSURE(bytes_equal(inner, outer), MALFORMED);
    return OK;
}

err crl_read(struct crl **out, bytes der)
{
    CLEANUP(crl_free_at) struct crl *crl = NULL;
    ENSURE(der.len <= CRL_MAX, LIMIT);
    TRY(check_algorithms(der));
    TRY(mem_new(&crl));
    const unsigned char *at = der.at;
    crl->list = d2i_X509_CRL(NULL, &at, (long)der.len);
    ERR_clear_error();
    ENSURE(crl->list != NULL && at == der.at + der.len, MALFORMED);
    *out = crl;
    crl = NULL;
    return OK;
}

void crl_free(struct crl *crl)
{
    if (crl == NULL)
        return;
    X509_CRL_free(crl->list);
    mem_free(crl);
}

static bool has_critical_extension(const X509_CRL *list)
{
    for (int i = 0; i < X509_CRL_get_ext_count(list); i++) {
        if (X509_EXTENSION_get_critical(X509_CRL_get_ext(list, i)))
            return true;
    }
    return false;
}

/* X509_cmp_time() answers 0 when it cannot tell. */
static bool is_current(const X509_CRL *list, int64_t at_s)
{
    time_t at = at_s;
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list);
    return until != NULL && X509_cmp_time(X509_CRL_get0_lastUpdate(list), &at) < 0 &&
           X509_cmp_time(until, &at) > 0;
}

/* Without a digest in its parameters PSS means SHA-1. */
static bool pss_is_strong(const X509_ALGOR *algorithm)
{
    RSA_PSS_PARAMS *p =
        ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter);
    bool strong = p != NULL && p->hashAlgorithm != NULL &&
                  OBJ_obj2nid(p->hashAlgorithm->algorithm) != NID_sha1;
    RSA_PSS_PARAMS_free(p);
    return strong;
}

static bool signature_is_strong(const X509_CRL *list)
{
    int digest = NID_undef;
    const X509_ALGOR *algorithm = NULL;
    X509_CRL_get0_signature(list, NULL, &algorithm);
    int id = X509_CRL_get_signature_nid(list);
    if (id == NID_rsassaPss)
        return pss_is_strong(algorithm);
    return OBJ_find_sigid_algs(id, &digest, NULL) == 1 && digest != NID_sha1 && digest != NID_md5;
}

err crl_verify(const struct crl *crl, bytes issuer, int64_t at_s)
{
    CLEANUP(x509_free_at) X509 *cert = cert_of(issuer);
    ENSURE(cert != NULL, MALFORMED);
    ENSURE(X509_NAME_cmp(X509_CRL_get_issuer(crl->list), X509_get_subject_name(cert)) == 0,
           UNTRUSTED);
    EVP_PKEY *key = X509_get0_pubkey(cert);
    ENSURE(key != NULL && EVP_PKEY_get_security_bits(key) >= SECURITY_LEVEL_BITS, CRYPTO);
    ENSURE(signature_is_strong(crl->list) && X509_CRL_verify(crl->list, key) == 1, CRYPTO);
    ENSURE(!has_critical_extension(crl->list), UNSUPPORTED);
    ENSURE(is_current(crl->list, at_s), STALE);
    return OK;
}

bool crl_lists(const struct crl *crl, bytes cert)
{
    X509_REVOKED *entry = NULL;
    CLEANUP(x509_free_at) X509 *c = cert_of(cert);
    if (c == NULL || X509_NAME_cmp(X509_get_issuer_name(c), X509_CRL_get_issuer(crl->list)) != 0)
        return true;
    return X509_CRL_get0_by_serial(crl->list, &entry, X509_get0_serialNumber(c)) != 0;
}

bool crl_next_update(const struct crl *crl, int64_t *out)
{
    struct tm tm = { 0 };
    const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl->list);
    if (until == NULL || ASN1_TIME_to_tm(until, &tm) != 1)
        return false;
    *out = timegm(&tm);
    return true;
}
