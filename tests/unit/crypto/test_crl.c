/* Genuine lists of a vendor (RSA-PSS), and lists made here with every fault. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crypto/crl.h"
#include "crypto/init.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1750000000, DAY = 86400 };

struct made {
    const char *digest;  /* NULL: SHA256 */
    const char *revoked; /* a serial number in decimal; NULL: none */
    int64_t from_s;
    int64_t until_s; /* 0: none */
    int critical;    /* NID of a critical extension; 0: none */
};

/* A list by a key of its own, whose issuer's certificate is made with it. */
struct scene {
    EVP_PKEY *key;
    X509 *issuer;
    struct buf issuer_der;
    struct buf crl;
};

static void add_der(struct buf *out, uint8_t *der, int len)
{
    CHECK(len > 0);
    CHECK_OK(buf_add(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
}

static void scene_open(struct scene *s)
{
    uint8_t *der = NULL;
    *s = (struct scene){ .issuer_der = BUF(4096), .crl = BUF(4096) };
    s->key = EVP_EC_gen("P-256");
    s->issuer = X509_new();
    CHECK(s->key != NULL && s->issuer != NULL);
    X509_NAME *name = X509_get_subject_name(s->issuer);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"ca", -1, -1, 0));
    CHECK(X509_set_issuer_name(s->issuer, name) == 1 && X509_set_pubkey(s->issuer, s->key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(s->issuer), 5) == 1);
    CHECK(ASN1_TIME_set(X509_getm_notBefore(s->issuer), NOW - DAY) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(s->issuer), NOW + DAY) != NULL);
    CHECK(X509_sign(s->issuer, s->key, EVP_sha256()) > 0);
    int len = i2d_X509(s->issuer, &der);
    add_der(&s->issuer_der, der, len);
}

static void scene_close(struct scene *s)
{
    EVP_PKEY_free(s->key);
    X509_free(s->issuer);
    buf_clear(&s->issuer_der);
    buf_clear(&s->crl);
}

static void set_dates(X509_CRL *crl, const struct made *m)
{
    ASN1_TIME *t = ASN1_TIME_set(NULL, m->from_s);
    CHECK(X509_CRL_set1_lastUpdate(crl, t) == 1);
    ASN1_TIME_free(t);
    if (m->until_s == 0)
        return;
    t = ASN1_TIME_set(NULL, m->until_s);
    CHECK(X509_CRL_set1_nextUpdate(crl, t) == 1);
    ASN1_TIME_free(t);
}

static void add_revoked(X509_CRL *crl, const char *serial)
{
    BIGNUM *n = NULL;
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, NOW - DAY);
    CHECK(BN_dec2bn(&n, serial) > 0);
    ASN1_INTEGER *number = BN_to_ASN1_INTEGER(n, NULL);
    CHECK(X509_REVOKED_set_serialNumber(r, number) == 1);
    CHECK(X509_REVOKED_set_revocationDate(r, when) == 1);
    CHECK(X509_CRL_add0_revoked(crl, r) == 1);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(when);
    BN_free(n);
}

static void add_critical(X509_CRL *crl, int nid)
{
    ASN1_INTEGER *one = ASN1_INTEGER_new();
    CHECK(ASN1_INTEGER_set(one, 1) == 1);
    CHECK(X509_CRL_add1_ext_i2d(crl, nid, one, 1, 0) == 1);
    ASN1_INTEGER_free(one);
}

static void make(struct scene *s, const struct made *m)
{
    uint8_t *der = NULL;
    X509_CRL *crl = X509_CRL_new();
    CHECK(crl != NULL && X509_CRL_set_version(crl, 1) == 1);
    CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(s->issuer)) == 1);
    set_dates(crl, m);
    if (m->revoked != NULL)
        add_revoked(crl, m->revoked);
    if (m->critical != 0)
        add_critical(crl, m->critical);
    CHECK(X509_CRL_sign(crl, s->key, EVP_get_digestbyname(m->digest ? m->digest : "SHA256")) > 0);
    buf_truncate(&s->crl, 0);
    int len = i2d_X509_CRL(crl, &der);
    add_der(&s->crl, der, len);
    X509_CRL_free(crl);
}

static err verify(bytes der, bytes issuer, int64_t at_s)
{
    struct crl *crl = NULL;
    TRY(crl_read(&crl, der));
    err e = crl_verify(crl, issuer, at_s);
    crl_free(crl);
    return e;
}

static err verify_made(struct scene *s, struct made m)
{
    make(s, &m);
    return verify(buf_view(&s->crl), buf_view(&s->issuer_der), NOW);
}

static void a_current_list_of_its_issuer_holds(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    CHECK_OK(verify_made(&s, (struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY }));
    CHECK_OK(verify_made(&s, (struct made){ .from_s = NOW, .until_s = NOW + 1 }));
    CHECK_ERR(verify_made(&s, (struct made){ .from_s = NOW - 1, .until_s = NOW }), STALE);
    CHECK_ERR(verify_made(&s, (struct made){ .from_s = NOW + 1, .until_s = NOW + DAY }), STALE);
    CHECK_ERR(verify_made(&s, (struct made){ .from_s = NOW - DAY }), STALE);
    scene_close(&s);
}

static void what_it_cannot_judge_is_refused(void **state)
{
    (void)state;
    struct scene s;
    struct made fine = { .from_s = NOW - DAY, .until_s = NOW + DAY };
    scene_open(&s);
    struct made delta = fine;
    delta.critical = NID_delta_crl;
    CHECK_ERR(verify_made(&s, delta), UNSUPPORTED);
    struct made weak = fine;
    weak.digest = "SHA1";
    CHECK_ERR(verify_made(&s, weak), CRYPTO);
    make(&s, &fine);
    CHECK_ERR(verify(buf_view(&s.crl), BYTES_LIT("no certificate"), NOW), MALFORMED);
    scene_close(&s);
}

static void another_issuer_is_not_its_issuer(void **state)
{
    (void)state;
    struct scene s;
    struct scene same_name;
    scene_open(&s);
    scene_open(&same_name);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY });
    CHECK_ERR(verify(buf_view(&s.crl), buf_view(&same_name.issuer_der), NOW), CRYPTO);
    struct pki_spec spec = { .name = "other", .from_s = NOW - DAY, .until_s = NOW + DAY };
    struct pki_cert *other = pki_new(&spec);
    CHECK_ERR(verify(buf_view(&s.crl), pki_der(other), NOW), UNTRUSTED);
    pki_free(other);
    scene_close(&same_name);
    scene_close(&s);
}

static void lists_what_is_revoked_and_what_it_does_not_know(void **state)
{
    (void)state;
    struct scene s;
    struct crl *crl = NULL;
    scene_open(&s);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY, .revoked = "5" });
    CHECK_OK(crl_read(&crl, buf_view(&s.crl)));
    CHECK(crl_lists(crl, buf_view(&s.issuer_der)));
    CHECK(crl_lists(crl, BYTES_LIT("no certificate")));
    struct pki_spec spec = { .name = "other", .from_s = NOW - DAY, .until_s = NOW + DAY };
    struct pki_cert *other = pki_new(&spec);
    CHECK(crl_lists(crl, pki_der(other)));
    pki_free(other);
    crl_free(crl);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY, .revoked = "6" });
    CHECK_OK(crl_read(&crl, buf_view(&s.crl)));
    CHECK(!crl_lists(crl, buf_view(&s.issuer_der)));
    int64_t until = 0;
    CHECK(crl_next_update(crl, &until) && until == NOW + DAY);
    crl_free(crl);
    crl_free(NULL);
    scene_close(&s);
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY, .revoked = "6" });
    for (size_t bit = 0; bit < 8 * s.crl.len; bit++) {
        s.crl.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(!err_is_ok(verify(buf_view(&s.crl), buf_view(&s.issuer_der), NOW)));
        s.crl.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    CHECK_OK(verify(buf_view(&s.crl), buf_view(&s.issuer_der), NOW));
    scene_close(&s);
}

static void what_is_no_single_list_is_malformed(void **state)
{
    (void)state;
    struct scene s;
    struct crl *crl = NULL;
    scene_open(&s);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY });
    for (size_t len = 0; len < s.crl.len; len++)
        CHECK_ERR(crl_read(&crl, bytes_of(s.crl.at, len)), MALFORMED);
    CHECK_OK(buf_add_u8(&s.crl, 0));
    CHECK_ERR(crl_read(&crl, buf_view(&s.crl)), MALFORMED);
    BUF_AUTO big = BUF(CRL_MAX + 1);
    CHECK_OK(buf_add_zeros(&big, CRL_MAX));
    CHECK_ERR(crl_read(&crl, buf_view(&big)), MALFORMED);
    CHECK_OK(buf_add_u8(&big, 0));
    CHECK_ERR(crl_read(&crl, buf_view(&big)), LIMIT);
    CHECK(crl == NULL);
    scene_close(&s);
}

static void read_cert(struct buf *out, const char *folder, const char *name)
{
    BUF_AUTO path = BUF(1024);
    BUF_AUTO text = BUF(65536);
    struct pem_certs certs;
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/%s", folder, name));
    law_read_file(&text, buf_str(&path));
    CHECK_OK(pem_read_certs(&certs, buf_view(&text)));
    CHECK_OK(buf_add(out, certs.certs[0]));
    pem_clear(&certs);
}

static void a_genuine_list_with_a_revoked_certificate_is_understood(void **state)
{
    (void)state;
    const char *folder = law_vectors();
    if (folder == NULL)
        skip();
    BUF_AUTO path = BUF(1024);
    BUF_AUTO list = BUF(CRL_MAX);
    BUF_AUTO root = BUF(16384);
    BUF_AUTO below = BUF(16384);
    struct crl *crl = NULL;
    CHECK_OK(buf_addf(&path, "%s/attest/sev-snp/crl/genoa-2025.der", folder));
    law_read_file(&list, buf_str(&path));
    read_cert(&root, folder, "roots/ark_genoa.pem");
    read_cert(&below, folder, "roots/ask_genoa.pem");
    CHECK_OK(crl_read(&crl, buf_view(&list)));
    CHECK_OK(crl_verify(crl, buf_view(&root), 1773532800));
    CHECK_ERR(crl_verify(crl, buf_view(&below), 1773532800), UNTRUSTED);
    CHECK(!crl_lists(crl, buf_view(&below)));
    crl_free(crl);
}

static err read_once(void *arg)
{
    struct scene *s = arg;
    return verify(buf_view(&s->crl), buf_view(&s->issuer_der), NOW);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    make(&s, &(struct made){ .from_s = NOW - DAY, .until_s = NOW + DAY });
    law_every_allocation_fails_once(read_once, &s);
    scene_close(&s);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_current_list_of_its_issuer_holds),
        cmocka_unit_test(what_it_cannot_judge_is_refused),
        cmocka_unit_test(another_issuer_is_not_its_issuer),
        cmocka_unit_test(lists_what_is_revoked_and_what_it_does_not_know),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(what_is_no_single_list_is_malformed),
        cmocka_unit_test(a_genuine_list_with_a_revoked_certificate_is_understood),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
