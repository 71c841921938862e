#include "tests/unit/attest/tdx_maker.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/hash.h"

enum { DAY = 86400, YES = 1 };

struct party {
    EVP_PKEY *key;
    X509 *cert;
};

static void put_le(struct buf *out, uint64_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        CHECK_OK(buf_add_u8(out, (uint8_t)(v >> 8 * i)));
}

static void put_same(struct buf *out, uint8_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_OK(buf_add_u8(out, v));
}

/* --- signatures ------------------------------------------------------------------------------ */

static void put_signature(struct buf *out, EVP_PKEY *key, bytes msg)
{
    uint8_t der[128], raw[64];
    size_t len = sizeof der;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == YES);
    CHECK(EVP_DigestSign(ctx, der, &len, msg.at, msg.len) == YES);
    EVP_MD_CTX_free(ctx);
    const unsigned char *at = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32) == 32);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32) == 32);
    ECDSA_SIG_free(sig);
    CHECK_OK(buf_add(out, BYTES_ARRAY(raw)));
}

static void put_point(struct buf *out, EVP_PKEY *key)
{
    uint8_t point[65];
    size_t len = 0;
    CHECK(EVP_PKEY_get_octet_string_param(key, "pub", point, sizeof point, &len) == YES);
    CHECK(len == sizeof point);
    CHECK_OK(buf_add(out, bytes_of(point + 1, 64)));
}

/* --- certificates ---------------------------------------------------------------------------- */

static void add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, (X509 *)unconst(issuer), cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(e != NULL && X509_add_ext(cert, e, -1) == YES);
    X509_EXTENSION_free(e);
}

static void add_octets(X509 *cert, const char *oid, bytes value)
{
    ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    CHECK(ASN1_OCTET_STRING_set(octets, value.at, (int)value.len) == YES);
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, id, 0, octets);
    CHECK(X509_add_ext(cert, e, -1) == YES);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(id);
}

/* issuer NULL: signed by itself. extension empty: none. */
static struct party party_new(const char *name, const struct party *issuer, bool ca,
                              bytes extension)
{
    static long serial = 1;
    struct party p = { .key = EVP_EC_gen("P-256"), .cert = X509_new() };
    const struct party *by = issuer != NULL ? issuer : &p;
    CHECK(X509_set_version(p.cert, 2) == YES);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++) == YES);
    X509_NAME *subject = X509_get_subject_name(p.cert);
    CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0) == YES);
    CHECK(X509_set_issuer_name(p.cert, X509_get_subject_name(by->cert)) == YES);
    CHECK(ASN1_TIME_set(X509_getm_notBefore(p.cert), TDX_MAKER_NOW - DAY) != NULL);
    CHECK(ASN1_TIME_set(X509_getm_notAfter(p.cert), TDX_MAKER_NOW + DAY) != NULL);
    CHECK(X509_set_pubkey(p.cert, p.key) == YES);
    add_extension(p.cert, by->cert, NID_basic_constraints,
                  ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(p.cert, by->cert, NID_key_usage,
                  ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    if (extension.len > 0)
        add_octets(p.cert, TDX_PCK_EXTENSION, extension);
    CHECK(X509_sign(p.cert, by->key, EVP_sha256()) > 0);
    return p;
}

static void party_free(struct party *p)
{
    EVP_PKEY_free(p->key);
    X509_free(p->cert);
}

static void put_der(struct buf *out, X509 *cert)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    CHECK(len > 0);
    CHECK_OK(buf_add(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
}

static void put_pem(struct buf *out, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    CHECK(PEM_write_bio_X509(bio, cert) == YES);
    long len = BIO_get_mem_data(bio, &text);
    CHECK_OK(buf_add(out, bytes_of(text, (size_t)len)));
    BIO_free(bio);
}

static void put_revoked(X509_CRL *crl, X509 *cert)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, TDX_MAKER_NOW - DAY);
    CHECK(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(cert)) == YES);
    CHECK(X509_REVOKED_set_revocationDate(r, when) == YES);
    CHECK(X509_CRL_add0_revoked(crl, r) == YES);
    ASN1_TIME_free(when);
}

static void put_crl(struct buf *out, const struct party *issuer, X509 *const *revoked, size_t n)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, TDX_MAKER_NOW - DAY);
    ASN1_TIME *until = ASN1_TIME_set(NULL, TDX_MAKER_NOW + DAY);
    CHECK(X509_CRL_set_version(crl, 1) == YES);
    CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->cert)) == YES);
    CHECK(X509_CRL_set1_lastUpdate(crl, from) == YES &&
          X509_CRL_set1_nextUpdate(crl, until) == YES);
    for (size_t i = 0; i < n; i++) {
        if (revoked[i] != NULL)
            put_revoked(crl, revoked[i]);
    }
    CHECK(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    unsigned char *der = NULL;
    int len = i2d_X509_CRL(crl, &der);
    CHECK(len > 0);
    CHECK_OK(buf_add(out, bytes_of(der, (size_t)len)));
    OPENSSL_free(der);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    X509_CRL_free(crl);
}

/* --- the platform ---------------------------------------------------------------------------- */

#define OID_HEAD "\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01"

static void put_tcb_values(struct buf *out, const struct tdx_recipe *r)
{
    for (unsigned i = 1; i <= 17; i++) {
        CHECK_OK(buf_add(out, BYTES_LIT("\x30\x10\x06\x0b" OID_HEAD "\x02")));
        CHECK_OK(buf_add_u8(out, (uint8_t)i));
        CHECK_OK(buf_add(out, BYTES_LIT("\x02\x01")));
        CHECK_OK(buf_add_u8(out, i == 17 ? r->pcesvn : r->component));
    }
}

static void put_pck_extension(struct buf *out, const struct tdx_recipe *r)
{
    BUF_AUTO tcb = BUF(1024);
    BUF_AUTO all = BUF(1024);
    put_tcb_values(&tcb, r);
    CHECK_OK(buf_add(&all, BYTES_LIT("\x30\x1e\x06\x0a" OID_HEAD "\x01\x04\x10"
                                     "platform number1")));
    CHECK_OK(buf_add(&all, BYTES_LIT("\x30\x82")));
    CHECK_OK(buf_add_u16be(&all, (uint16_t)(tcb.len + 16)));
    CHECK_OK(buf_add(&all, BYTES_LIT("\x06\x0a" OID_HEAD "\x02\x30\x82")));
    CHECK_OK(buf_add_u16be(&all, (uint16_t)tcb.len));
    CHECK_OK(buf_add(&all, buf_view(&tcb)));
    CHECK_OK(buf_add(&all, BYTES_LIT("\x30\x10\x06\x0a" OID_HEAD "\x03\x04\x02\x00\x00")));
    CHECK_OK(buf_add(&all, BYTES_LIT("\x30\x14\x06\x0a" OID_HEAD "\x04\x04\x06"
                                     "fmspc1")));
    CHECK_OK(buf_add(out, BYTES_LIT("\x30\x82")));
    CHECK_OK(buf_add_u16be(out, (uint16_t)all.len));
    CHECK_OK(buf_add(out, buf_view(&all)));
}

static void put_signed_part(struct buf *out, const struct tdx_recipe *r)
{
    static const uint8_t vendor[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                        0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };
    put_le(out, r->version, 2);
    put_le(out, 2, 2);
    put_le(out, 0x81, 4);
    put_le(out, 0, 4);
    CHECK_OK(buf_add(out, BYTES_ARRAY(vendor)));
    put_same(out, 0, 20);
    if (r->version == TDX_QUOTE_V5) {
        put_le(out, TDX_BODY_TD15, 2);
        put_le(out, 648, 4);
    }
    CHECK_OK(buf_add(out, BYTES_ARRAY(r->svn)));
    put_same(out, 0x5e, 48);
    put_same(out, r->mrsignerseam, 48);
    put_le(out, 0, 8);
    put_le(out, r->attributes, 8);
    put_same(out, 0, 8);
    put_same(out, r->measured, 48);
    put_same(out, 0, 3 * 48);
    put_same(out, r->measured, 3 * 48);
    put_same(out, 0, 48 + 64);
    if (r->version == TDX_QUOTE_V5) {
        CHECK_OK(buf_add(out, BYTES_ARRAY(r->svn2)));
        put_same(out, 0, 48);
    }
}

static void put_qe_report(struct buf *out, const struct tdx_recipe *r, bytes key)
{
    uint8_t digest[SHA256_LEN];
    sha256_of(key, digest); /* the authentication data is empty */
    put_same(out, 0, 128);
    put_same(out, r->qe_mrsigner, 32);
    put_same(out, 0, 96);
    put_le(out, 2, 2);
    put_le(out, r->qe_isvsvn, 2);
    put_same(out, 0, 60);
    CHECK_OK(buf_add(out, BYTES_ARRAY(digest)));
    put_same(out, 0, 32);
}

static void put_quote(struct buf *out, const struct tdx_recipe *r, const struct party *pck,
                      bytes chain)
{
    EVP_PKEY *attestation = EVP_EC_gen("P-256");
    BUF_AUTO key = BUF(64);
    BUF_AUTO qe = BUF(384);
    uint32_t inner = 384 + 64 + 2 + 6 + (uint32_t)chain.len;
    put_point(&key, attestation);
    put_qe_report(&qe, r, buf_view(&key));
    put_signed_part(out, r);
    BUF_AUTO signature = BUF(64);
    put_signature(&signature, attestation, buf_view(out));
    put_le(out, 128 + 6 + inner, 4);
    CHECK_OK(buf_add(out, buf_view(&signature)));
    CHECK_OK(buf_add(out, buf_view(&key)));
    put_le(out, 6, 2);
    put_le(out, inner, 4);
    CHECK_OK(buf_add(out, buf_view(&qe)));
    put_signature(out, pck->key, buf_view(&qe));
    put_le(out, 0, 2);
    put_le(out, 5, 2);
    put_le(out, chain.len, 4);
    CHECK_OK(buf_add(out, chain));
    EVP_PKEY_free(attestation);
}

/* --- documents ------------------------------------------------------------------------------- */

#define DATES                                                                                      \
    "\"issueDate\":\"2023-11-14T00:00:00Z\",\"nextUpdate\":\"2023-11-16T00:00:00Z\","              \
    "\"tcbEvaluationDataNumber\":20,"
#define DATE "\"tcbDate\":\"2023-01-01T00:00:00Z\","
#define ZEROS16 "00000000000000000000000000000000"
#define MODULE                                                                                     \
    "\"mrsigner\":\"" ZEROS16 ZEROS16 ZEROS16                                                      \
    "\",\"attributes\":\"0000000000000000\","                                                      \
    "\"attributesMask\":\"FFFFFFFFFFFFFFFF\""

static void put_components(struct buf *out, const char *kind, unsigned svn)
{
    CHECK_OK(buf_addf(out, "\"%stcbcomponents\":[", kind));
    for (unsigned i = 0; i < TDX_COMPONENTS; i++)
        CHECK_OK(buf_addf(out, "%s{\"svn\":%u}", i > 0 ? "," : "", svn));
    CHECK_OK(buf_add_str(out, "],"));
}

static void put_level(struct buf *out, unsigned svn, const char *status, const char *advisory)
{
    CHECK_OK(buf_add_str(out, "{\"tcb\":{"));
    put_components(out, "sgx", svn);
    put_components(out, "tdx", svn);
    CHECK_OK(
        buf_addf(out, "\"pcesvn\":%u}," DATE "\"tcbStatus\":\"%s\"%s}", svn, status, advisory));
}

static void put_document(struct buf *out, const char *name, bytes inner, const struct party *signer)
{
    BUF_AUTO signature = BUF(64);
    put_signature(&signature, signer->key, inner);
    CHECK_OK(buf_addf(out, "{\"%s\":", name));
    CHECK_OK(buf_add(out, inner));
    CHECK_OK(buf_add_str(out, ",\"signature\":\""));
    CHECK_OK(text_hex_encode(out, buf_view(&signature)));
    CHECK_OK(buf_add_str(out, "\"}"));
}

static void put_tcb_info(struct buf *out, const struct tdx_recipe *r, const struct party *signer)
{
    BUF_AUTO inner = BUF(16 * 1024);
    CHECK_OK(buf_add_str(&inner, "{\"id\":\"TDX\",\"version\":3," DATES
                                 "\"fmspc\":\"666D73706331\",\"pceId\":\"0000\",\"tcbType\":0,"
                                 "\"tdxModule\":{" MODULE "},\"tdxModuleIdentities\":["
                                 "{\"id\":\"TDX_01\"," MODULE ",\"tcbLevels\":["
                                 "{\"tcb\":{\"isvsvn\":5}," DATE "\"tcbStatus\":\"UpToDate\"},"));
    CHECK_OK(buf_addf(&inner,
                      "{\"tcb\":{\"isvsvn\":1}," DATE "\"tcbStatus\":\"%s\","
                      "\"advisoryIDs\":[\"INTEL-SA-00002\",\"INTEL-SA-00001\"]}]}],\"tcbLevels\":[",
                      r->low_module));
    put_level(&inner, 5, "UpToDate", "");
    CHECK_OK(buf_add_u8(&inner, ','));
    put_level(&inner, 3, r->low_status, ",\"advisoryIDs\":[\"INTEL-SA-00001\"]");
    CHECK_OK(buf_add_str(&inner, "]}"));
    put_document(out, "tcbInfo", buf_view(&inner), signer);
}

static void put_identity(struct buf *out, const struct party *signer)
{
    BUF_AUTO inner = BUF(4096);
    CHECK_OK(buf_add_str(&inner, "{\"id\":\"TD_QE\",\"version\":2," DATES
                                 "\"miscselect\":\"00000000\",\"miscselectMask\":\"FFFFFFFF\","
                                 "\"attributes\":\"" ZEROS16 "\",\"attributesMask\":\"" ZEROS16
                                 "\",\"isvprodid\":2,\"mrsigner\":\""));
    for (unsigned i = 0; i < 32; i++)
        CHECK_OK(buf_add_str(&inner, "51"));
    CHECK_OK(buf_add_str(&inner,
                         "\",\"tcbLevels\":["
                         "{\"tcb\":{\"isvsvn\":5}," DATE "\"tcbStatus\":\"UpToDate\"},"
                         "{\"tcb\":{\"isvsvn\":3}," DATE "\"tcbStatus\":\"OutOfDate\"}]}"));
    put_document(out, "enclaveIdentity", buf_view(&inner), signer);
}

/* --- together -------------------------------------------------------------------------------- */

struct tdx_recipe tdx_recipe_good(void)
{
    struct tdx_recipe r = { .version = TDX_QUOTE_V5,
                            .attributes = (uint64_t)1 << 28,
                            .component = 5,
                            .pcesvn = 5,
                            .qe_isvsvn = 5,
                            .qe_mrsigner = 0x51,
                            .low_status = "OutOfDate",
                            .low_module = "OutOfDate" };
    memset(r.svn, 5, sizeof r.svn);
    r.svn[1] = 1;
    memcpy(r.svn2, r.svn, sizeof r.svn);
    return r;
}

struct parties {
    struct party root, ca, pck, signer;
};

static void pin(struct tdx_scene *s, const struct party *root)
{
    BUF_AUTO der = BUF(4096);
    uint8_t digest[SHA256_LEN];
    put_der(&der, root->cert);
    sha256_of(buf_view(&der), digest);
    s->root = BUF(SHA256_LEN);
    CHECK_OK(buf_add(&s->root, BYTES_ARRAY(digest)));
    s->policy.roots = (struct policy_list){ &s->root, 1 };
}

static void put_files(struct tdx_scene *s, const struct tdx_recipe *r, const struct parties *p)
{
    BUF_AUTO chain = BUF(16 * 1024);
    X509 *const by_root[] = { r->ca_revoked ? p->ca.cert : NULL,
                              r->signer_revoked ? p->signer.cert : NULL };
    X509 *const by_ca[] = { r->pck_revoked ? p->pck.cert : NULL };
    put_pem(&chain, p->pck.cert);
    put_pem(&chain, p->ca.cert);
    put_pem(&chain, p->root.cert);
    put_quote(&s->files[SCENE_QUOTE], r, &p->pck, buf_view(&chain));
    put_tcb_info(&s->files[SCENE_TCB], r, &p->signer);
    put_identity(&s->files[SCENE_QE], &p->signer);
    put_pem(&s->files[SCENE_CHAIN], p->signer.cert);
    put_pem(&s->files[SCENE_CHAIN], p->root.cert);
    put_crl(&s->files[SCENE_ROOT_CRL], &p->root, by_root, ARRAY_LEN(by_root));
    put_crl(&s->files[SCENE_PCK_CRL], &p->ca, by_ca, ARRAY_LEN(by_ca));
}

void tdx_make(struct tdx_scene *s, const struct tdx_recipe *r)
{
    struct parties p;
    BUF_AUTO extension = BUF(1024);
    *s = (struct tdx_scene){ 0 };
    for (size_t i = 0; i < TDX_SCENE_FILES; i++)
        s->files[i] = BUF(64 * 1024);
    put_pck_extension(&extension, r);
    p.root = party_new("Intel SGX Root CA", NULL, true, (bytes){ 0 });
    p.ca = party_new("Intel SGX PCK Platform CA", &p.root, true, (bytes){ 0 });
    p.pck = party_new(r->leaf_name != NULL ? r->leaf_name : "Intel SGX PCK Certificate", &p.ca,
                      false, buf_view(&extension));
    p.signer = party_new("Intel SGX TCB Signing", &p.root, false, (bytes){ 0 });
    pin(s, &p.root);
    put_files(s, r, &p);
    party_free(&p.root);
    party_free(&p.ca);
    party_free(&p.pck);
    party_free(&p.signer);
    s->input = (struct tdx_input){ .collateral = &s->collateral,
                                   .policy = &s->policy,
                                   .now = TDX_MAKER_NOW };
    CHECK_OK(mem_new(&s->result));
}
