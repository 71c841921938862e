#include "tests/unit/crypto/pki.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/lib/law.h"

struct pki_cert {
    X509 *x509;
    EVP_PKEY *key;
    uint8_t *der;
    size_t der_len;
};

static void set_name(X509 *x, const char *common_name)
{
    X509_NAME *name = X509_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"test", -1, -1, 0));
    if (common_name != NULL)
        CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)common_name, -1,
                                         -1, 0));
}

static void add_extension(X509 *x, int nid, const char *value)
{
    if (value == NULL)
        return;
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static void add_octets(X509 *x, const char *oid, const char *value)
{
    if (value == NULL)
        return;
    ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    CHECK(ASN1_OCTET_STRING_set(octets, (const uint8_t *)value, (int)strlen(value)) == 1);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, id, 0, octets);
    CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(id);
}

static void sign(struct pki_cert *c, const struct pki_spec *s)
{
    EVP_PKEY *key = s->issuer ? s->issuer->key : c->key;
    const X509 *issuer = s->issuer ? s->issuer->x509 : c->x509;
    CHECK(X509_set_issuer_name(c->x509, X509_get_subject_name(issuer)) == 1);
    CHECK(X509_sign(c->x509, key, EVP_get_digestbyname(s->digest ? s->digest : "SHA256")) > 0);
    int len = i2d_X509(c->x509, &c->der);
    CHECK(len > 0);
    c->der_len = (size_t)len;
}

static EVP_PKEY *new_key(const char *curve)
{
    if (curve != NULL && strcmp(curve, "RSA") == 0)
        return EVP_RSA_gen(2048);
    return EVP_EC_gen(curve != NULL ? curve : "P-256");
}

struct pki_cert *pki_new(const struct pki_spec *spec)
{
    static long serial = 1;
    struct pki_cert *c = mem_alloc(sizeof *c);
    CHECK(c != NULL);
    c->key = spec->key_of ? spec->key_of->key : new_key(spec->curve);
    if (spec->key_of != NULL)
        CHECK(EVP_PKEY_up_ref(c->key) == 1);
    c->x509 = X509_new();
    CHECK(c->key != NULL && c->x509 != NULL);
    CHECK(X509_set_version(c->x509, 2) == 1 && X509_set_pubkey(c->x509, c->key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(c->x509), serial++) == 1);
    CHECK(ASN1_TIME_set(X509_getm_notBefore(c->x509), spec->from_s) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(c->x509), spec->until_s) != NULL);
    set_name(c->x509, spec->name);
    add_extension(c->x509, NID_basic_constraints, spec->constraints);
    add_extension(c->x509, NID_key_usage, spec->usage);
    add_extension(c->x509, NID_ext_key_usage, spec->purpose);
    add_extension(c->x509, NID_subject_alt_name, spec->san);
    add_octets(c->x509, "1.2.3.4", spec->extension);
    sign(c, spec);
    return c;
}

void pki_free(struct pki_cert *cert)
{
    if (cert == NULL)
        return;
    X509_free(cert->x509);
    EVP_PKEY_free(cert->key);
    OPENSSL_free(cert->der);
    mem_free(cert);
}

bytes pki_der(const struct pki_cert *cert)
{
    return bytes_of(cert->der, cert->der_len);
}

bytes pki_point(const struct pki_cert *cert)
{
    const unsigned char *at;
    int len;
    CHECK(X509_PUBKEY_get0_param(NULL, &at, &len, NULL, X509_get_X509_PUBKEY(cert->x509)) == 1);
    return bytes_of(at, (size_t)len);
}

void pki_sign_p384(const struct pki_cert *cert, bytes msg, uint8_t sig[96])
{
    uint8_t der[128];
    size_t len = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, cert->key) == 1);
    CHECK(EVP_DigestSign(ctx, der, &len, msg.at, msg.len) == 1);
    EVP_MD_CTX_free(ctx);
    const unsigned char *at = der;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)len);
    CHECK(parts != NULL);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(parts), sig, 48) == 48);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(parts), sig + 48, 48) == 48);
    ECDSA_SIG_free(parts);
}

void pki_sign_p256(const struct pki_cert *cert, bytes msg, struct buf *out)
{
    uint8_t der[128];
    size_t len = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, cert->key) == 1);
    CHECK(EVP_DigestSign(ctx, der, &len, msg.at, msg.len) == 1);
    EVP_MD_CTX_free(ctx);
    CHECK_OK(buf_add(out, bytes_of(der, len)));
}

void pki_sign_rsa(bytes msg, struct buf *sig, struct buf *modulus)
{
    uint8_t bytes_out[256];
    size_t len = sizeof bytes_out;
    BIGNUM *n = NULL;
    EVP_PKEY *key = EVP_RSA_gen(2048);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(key != NULL && ctx != NULL);
    CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1);
    CHECK(EVP_DigestSign(ctx, bytes_out, &len, msg.at, msg.len) == 1);
    CHECK_OK(buf_add(sig, bytes_of(bytes_out, len)));
    CHECK(EVP_PKEY_get_bn_param(key, "n", &n) == 1);
    CHECK(BN_bn2binpad(n, bytes_out, 256) == 256);
    CHECK_OK(buf_add(modulus, BYTES_ARRAY(bytes_out)));
    BN_free(n);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

void pki_sign_rs256(const struct pki_cert *cert, bytes msg, struct buf *out)
{
    uint8_t sig[256];
    size_t len = sizeof sig;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, cert->key) == 1);
    CHECK(EVP_DigestSign(ctx, sig, &len, msg.at, msg.len) == 1);
    EVP_MD_CTX_free(ctx);
    CHECK_OK(buf_add(out, bytes_of(sig, len)));
}

static ASN1_GENERALIZEDTIME *time_of(int64_t at_s)
{
    ASN1_GENERALIZEDTIME *t = at_s > 0 ? ASN1_GENERALIZEDTIME_set(NULL, at_s) : NULL;
    CHECK(at_s == 0 || t != NULL);
    return t;
}

void pki_ocsp_answer(struct buf *out, const struct pki_ocsp *s)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha384(), s->cert->x509, s->issuer->x509);
    ASN1_GENERALIZEDTIME *from = time_of(s->from_s), *until = time_of(s->until_s);
    CHECK(OCSP_basic_add1_status(basic, id, s->status, 0, from, from, until) != NULL);
    if (s->nonce.len > 0)
        CHECK(OCSP_basic_add1_nonce(basic, unconst(s->nonce.at), (int)s->nonce.len) == 1);
    unsigned long flags = s->signer == s->issuer ? OCSP_NOCERTS : 0;
    CHECK(OCSP_basic_sign(basic, s->signer->x509, s->signer->key, EVP_sha384(), NULL, flags) == 1);
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    uint8_t *der = NULL;
    int len = i2d_OCSP_RESPONSE(response, &der);
    CHECK(len > 0);
    CHECK_OK(buf_add(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    ASN1_GENERALIZEDTIME_free(from);
    ASN1_GENERALIZEDTIME_free(until);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
}

void pki_write_chain(const char *path, const struct pki_cert *const *certs, size_t n)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    for (size_t i = 0; i < n; i++)
        CHECK(PEM_write_X509(f, certs[i]->x509) == 1);
    CHECK(fclose(f) == 0);
}

void pki_write_key(const char *path, const struct pki_cert *cert)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK(PEM_write_PKCS8PrivateKey(f, cert->key, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(fclose(f) == 0);
}
