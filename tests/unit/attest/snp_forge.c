#include "tests/unit/attest/snp_forge.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "tests/lib/law.h"

enum { DAY = 86400, ASK_SERIAL = 7 };

struct snp_forge_keys {
    EVP_PKEY *ark, *ask, *leaf;
    X509 *ark_cert, *ask_cert;
};

void snp_forge_open(struct snp_forge *f)
{
    static const uint8_t tcb[SNP_TCB_LEN] = { 4, 0, 0, 0, 0, 0, 24, 219 };
    *f = (struct snp_forge){ .product = "Milan-B0",
                             .csp_id = "CN=cloud.example",
                             .hwid_len = SNP_CHIP_ID_LEN,
                             .crl_from = SNP_FORGE_NOW - DAY,
                             .crl_until = SNP_FORGE_NOW + DAY,
                             .leaf_until = SNP_FORGE_NOW + 2 * DAY,
                             .ark = BUF(4096),
                             .ask = BUF(4096),
                             .leaf = BUF(4096),
                             .crl = BUF(4096) };
    memcpy(f->leaf_tcb.raw, tcb, sizeof tcb);
    f->report[0] = 3;
    memcpy(f->report + 0x08, "\x1f\x00\x03\x00", 4);
    f->report[0x34] = 1;
    for (size_t i = 0; i < 64; i++) {
        f->report[0x50 + i] = (uint8_t)(i + 1);
        f->report[0x1a0 + i] = (uint8_t)(0x80 + i);
    }
    memset(f->report + 0x90, 0x77, 48);
    memcpy(f->report + 0x180, tcb, sizeof tcb);
    memcpy(f->report + 0x1e0, tcb, sizeof tcb);
    memcpy(f->report + 0x1f0, tcb, sizeof tcb);
    memcpy(f->report + 0x188, "\x19\x01\x01", 3);
    memcpy(f->report + 0x1e8, "\x1d\x37\x01\x00\x1d\x37\x01", 7);
    CHECK(err_is_ok(mem_new(&f->keys)));
}

static void let_go(struct snp_forge *f)
{
    EVP_PKEY_free(f->keys->ark);
    EVP_PKEY_free(f->keys->ask);
    EVP_PKEY_free(f->keys->leaf);
    X509_free(f->keys->ark_cert);
    X509_free(f->keys->ask_cert);
    *f->keys = (struct snp_forge_keys){ 0 };
    buf_clear(&f->ark);
    buf_clear(&f->ask);
    buf_clear(&f->leaf);
    buf_clear(&f->crl);
    snp_collateral_clear(&f->collateral);
}

void snp_forge_close(struct snp_forge *f)
{
    let_go(f);
    mem_free(f->keys);
}

static void add_der(struct buf *out, uint8_t *der, int len)
{
    CHECK(len > 0);
    CHECK_OK(buf_add(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
}

static X509 *new_cert(const char *name, EVP_PKEY *key, long serial, int64_t until)
{
    X509 *x = X509_new();
    CHECK(x != NULL && X509_set_version(x, 2) == 1 && X509_set_pubkey(x, key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), serial) == 1);
    CHECK(ASN1_TIME_set(X509_getm_notBefore(x), SNP_FORGE_NOW - DAY) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(x), until) != NULL);
    CHECK(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                     (const uint8_t *)name, -1, -1, 0) == 1);
    return x;
}

static void sign_cert(X509 *x, const X509 *issuer, EVP_PKEY *by, struct buf *out)
{
    uint8_t *der = NULL;
    CHECK(X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1);
    CHECK(X509_sign(x, by, EVP_sha384()) > 0);
    int len = i2d_X509(x, &der);
    add_der(out, der, len);
}

static void make_ca(X509 *x)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

/* --- the leaf -------------------------------------------------------------------------------- */

static void put_extension(const struct snp_forge *f, X509 *x, const char *tail, bytes content)
{
    BUF_AUTO oid = BUF(128);
    if (f->left_out != NULL && strcmp(tail, f->left_out) == 0)
        return;
    if (f->replaced != NULL && strcmp(tail, f->replaced) == 0)
        content = f->replacement;
    CHECK_OK(buf_addf(&oid, "1.3.6.1.4.1.3704.1.%s", tail));
    ASN1_OBJECT *id = OBJ_txt2obj(buf_str(&oid), 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    CHECK(id != NULL && ASN1_OCTET_STRING_set(octets, content.at, (int)content.len) == 1);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, id, 0, octets);
    CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(id);
}

static void put_small(const struct snp_forge *f, X509 *x, const char *tail, uint8_t n)
{
    const uint8_t small[] = { 2, 1, n };
    const uint8_t large[] = { 2, 2, 0, n };
    put_extension(f, x, tail, n < 0x80 ? BYTES_ARRAY(small) : BYTES_ARRAY(large));
}

static void put_text(const struct snp_forge *f, X509 *x, const char *tail, const char *text)
{
    BUF_AUTO der = BUF(256);
    CHECK_OK(buf_add_u8(&der, 0x16));
    CHECK_OK(buf_add_u8(&der, (uint8_t)strlen(text)));
    CHECK_OK(buf_add_str(&der, text));
    put_extension(f, x, tail, buf_view(&der));
}

static void put_hwid(const struct snp_forge *f, X509 *x)
{
    BUF_AUTO der = BUF(256);
    if (f->hwid_in_octets) {
        CHECK_OK(buf_add_u8(&der, 4));
        CHECK_OK(buf_add_u8(&der, (uint8_t)f->hwid_len));
    }
    CHECK_OK(buf_add(&der, bytes_of(f->report + 0x1a0, f->hwid_len)));
    put_extension(f, x, "4", buf_view(&der));
}

static void put_tcb(const struct snp_forge *f, X509 *x)
{
    static const char *const milan[] = { "3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8" };
    static const char *const turin[] = { "3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8" };
    bool is_turin = bytes_starts(bytes_str(f->product), BYTES_LIT("Turin"));
    for (size_t i = 0; i < SNP_TCB_LEN; i++)
        put_small(f, x, is_turin ? turin[i] : milan[i], f->leaf_tcb.raw[i]);
}

static void make_leaf(struct snp_forge *f)
{
    const char *name = f->leaf_name ? f->leaf_name : f->vlek ? "SEV-VLEK" : "SEV-VCEK";
    f->keys->leaf = EVP_EC_gen(f->leaf_curve ? f->leaf_curve : "P-384");
    X509 *x = new_cert(name, f->keys->leaf, 0, f->leaf_until);
    put_small(f, x, "1", 0);
    put_text(f, x, "2", f->product);
    put_tcb(f, x);
    if (f->vlek)
        put_text(f, x, "5", f->csp_id);
    else
        put_hwid(f, x);
    sign_cert(x, f->keys->ask_cert, f->keys->ask, &f->leaf);
    X509_free(x);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void make_issuers(struct snp_forge *f)
{
    struct snp_forge_keys *k = f->keys;
    const char *ask = f->ask_name ? f->ask_name : f->vlek ? "SEV-VLEK-Milan" : "SEV-Milan";
    k->ark = EVP_EC_gen("P-384");
    k->ask = EVP_EC_gen("P-384");
    k->ark_cert =
        new_cert(f->ark_name ? f->ark_name : "ARK-Milan", k->ark, 1, SNP_FORGE_NOW + 9 * DAY);
    make_ca(k->ark_cert);
    sign_cert(k->ark_cert, k->ark_cert, k->ark, &f->ark);
    k->ask_cert = new_cert(ask, k->ask, ASK_SERIAL, SNP_FORGE_NOW + 9 * DAY);
    make_ca(k->ask_cert);
    sign_cert(k->ask_cert, k->ark_cert, k->ark, &f->ask);
    sha256_of(buf_view(&f->ark), f->root.sha256);
}

static void make_crl(struct snp_forge *f)
{
    uint8_t *der = NULL;
    X509_CRL *crl = X509_CRL_new();
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, f->crl_from);
    ASN1_TIME *until = ASN1_TIME_set(NULL, f->crl_until);
    CHECK(X509_CRL_set_version(crl, 1) == 1);
    CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(f->keys->ark_cert)) == 1);
    CHECK(X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, until) == 1);
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    CHECK(ASN1_INTEGER_set(serial, f->revoked ? ASK_SERIAL : ASK_SERIAL + 1) == 1);
    CHECK(X509_REVOKED_set_serialNumber(entry, serial) == 1);
    CHECK(X509_REVOKED_set_revocationDate(entry, from) == 1);
    CHECK(X509_CRL_add0_revoked(crl, entry) == 1);
    CHECK(X509_CRL_sign(crl, f->keys->ark, EVP_sha384()) > 0);
    int len = i2d_X509_CRL(crl, &der);
    add_der(&f->crl, der, len);
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(crl);
}

/* r or s, little endian in its field. */
static void put_number(uint8_t *field, const BIGNUM *n)
{
    CHECK(BN_bn2lebinpad(n, field, 72) == 72);
}

void snp_forge_sign(struct snp_forge *f)
{
    uint8_t der[256];
    size_t len = sizeof der;
    const uint8_t *at = der;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(md, NULL, EVP_sha384(), NULL, f->keys->leaf) == 1);
    CHECK(EVP_DigestSign(md, der, &len, f->report, SNP_SIGNED_LEN) == 1);
    EVP_MD_CTX_free(md);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    CHECK(sig != NULL);
    put_number(f->report + SNP_SIGNED_LEN, ECDSA_SIG_get0_r(sig));
    put_number(f->report + SNP_SIGNED_LEN + 72, ECDSA_SIG_get0_s(sig));
    ECDSA_SIG_free(sig);
}

void snp_forge_make(struct snp_forge *f)
{
    let_go(f);
    make_issuers(f);
    make_leaf(f);
    make_crl(f);
    snp_forge_sign(f);
    enum snp_entry_kind kind = f->vlek ? SNP_ENTRY_VLEK : SNP_ENTRY_VCEK;
    CHECK_OK(snp_collateral_add(&f->collateral, kind, buf_view(&f->leaf)));
    CHECK_OK(snp_collateral_add(&f->collateral, SNP_ENTRY_ASK, buf_view(&f->ask)));
    CHECK_OK(snp_collateral_add(&f->collateral, SNP_ENTRY_ARK, buf_view(&f->ark)));
    CHECK_OK(snp_collateral_add(&f->collateral, SNP_ENTRY_CRL, buf_view(&f->crl)));
    f->settings.now = SNP_FORGE_NOW;
    f->settings.more_roots = &f->root;
    f->settings.more_roots_n = 1;
}

void snp_forge_table(const struct snp_forge *f, struct buf *out)
{
    const struct snp_entry entries[] = {
        { f->vlek ? SNP_ENTRY_VLEK : SNP_ENTRY_VCEK, buf_view(&f->leaf) },
        { SNP_ENTRY_ASK, buf_view(&f->ask) },
        { SNP_ENTRY_ARK, buf_view(&f->ark) },
        { SNP_ENTRY_CRL, buf_view(&f->crl) },
    };
    CHECK_OK(snp_table_write(out, entries, ARRAY_LEN(entries)));
}
