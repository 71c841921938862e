#include "tests/unit/attest/nvgpu_maker.h"

#include "base/text.h"

enum { DAY = 86400, LARGE = 64 * 1024 };

#define NS_SWID "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
#define NS_HASH "http://www.w3.org/2001/04/xmlenc#sha384"

static struct pki_cert *make(const char *name, const struct pki_cert *by, const char *constraints)
{
    return pki_new(&(struct pki_spec){ .name = name,
                                       .curve = "P-384",
                                       .digest = "SHA384",
                                       .issuer = by,
                                       .constraints = constraints,
                                       .from_s = NVGPU_MAKER_NOW - DAY,
                                       .until_s = NVGPU_MAKER_NOW + DAY });
}

void nvgpu_maker_open(struct nvgpu_maker *m)
{
    *m = (struct nvgpu_maker){ .ocsp = BUF(LARGE), .rims = { BUF(LARGE), BUF(LARGE) } };
    m->root = make("root", NULL, "critical,CA:TRUE");
    m->issuer = make("issuer", m->root, "critical,CA:TRUE");
    sha256_of(pki_der(m->root), m->pin.sha256);
    memset(m->nonce, 7, sizeof m->nonce);
}

void nvgpu_maker_close(struct nvgpu_maker *m)
{
    while (m->made_n > 0) {
        struct nvgpu_made *d = &m->made[--m->made_n];
        pki_free(d->leaf);
        buf_clear(&d->evidence);
    }
    buf_clear(&m->ocsp);
    buf_clear(&m->rims[0]);
    buf_clear(&m->rims[1]);
    pki_free(m->issuer);
    pki_free(m->root);
}

struct nvgpu_made *nvgpu_maker_add(struct nvgpu_maker *m, enum nvgpu_kind kind)
{
    CHECK(m->made_n < ARRAY_LEN(m->made));
    struct nvgpu_made *d = &m->made[m->made_n++];
    *d = (struct nvgpu_made){ .kind = kind,
                              .driver = kind == NVGPU_GPU ? "550.90.07" : NULL,
                              .evidence = BUF(LARGE) };
    d->leaf =
        make(kind == NVGPU_GPU ? "GH100 A01 GSP FMC LF" : "LS_10 A01 FSP FMC LF", m->issuer, NULL);
    for (size_t i = 0; i < NVGPU_MAKER_BLOCKS; i++)
        memset(d->digests[i], (int)i + 1, NVGPU_DIGEST_LEN);
    nvgpu_maker_evidence(m, d);
    return d;
}

/* --- evidence ---------------------------------------------------------------------------------- */

static void put_u16(struct buf *out, size_t n)
{
    CHECK_OK(buf_add_u8(out, (uint8_t)n));
    CHECK_OK(buf_add_u8(out, (uint8_t)(n >> 8)));
}

static void put_field(struct buf *out, uint16_t type, bytes value)
{
    put_u16(out, type);
    put_u16(out, value.len);
    CHECK_OK(buf_add(out, value));
}

static void put_opaque(struct buf *out, const struct nvgpu_made *d)
{
    BUF_AUTO opaque = BUF(LARGE);
    put_field(&opaque, NVGPU_FIELD_VBIOS, BYTES_LIT("\x00\x9f\x00\x96\x01\x00\x00\x00"));
    if (d->driver != NULL)
        put_field(&opaque, NVGPU_FIELD_DRIVER, bytes_of(d->driver, strlen(d->driver) + 1));
    if (d->pdis.len > 0)
        put_field(&opaque, NVGPU_FIELD_SWITCH_PDIS, d->pdis);
    if (d->gpu_pdis.len > 0)
        put_field(&opaque, NVGPU_FIELD_GPU_PDIS, d->gpu_pdis);
    put_u16(out, opaque.len);
    CHECK_OK(buf_add(out, buf_view(&opaque)));
}

void nvgpu_maker_evidence(const struct nvgpu_maker *m, struct nvgpu_made *d)
{
    uint8_t signature[NVGPU_SIGNATURE_LEN];
    struct buf *out = &d->evidence;
    buf_truncate(out, 0);
    CHECK_OK(buf_add(out, BYTES_LIT("\x11\xe0\x01\xff")));
    CHECK_OK(buf_add(out, BYTES_ARRAY(m->nonce)));
    CHECK_OK(buf_add(out, BYTES_LIT("\x00\x11\x60\x00\x00")));
    CHECK_OK(buf_add_u8(out, NVGPU_MAKER_BLOCKS));
    put_u16(out, NVGPU_MAKER_BLOCKS * 55);
    CHECK_OK(buf_add_u8(out, 0));
    for (size_t i = 0; i < NVGPU_MAKER_BLOCKS; i++) {
        CHECK_OK(buf_add_u8(out, (uint8_t)(i + 1)));
        CHECK_OK(buf_add(out, BYTES_LIT("\x01\x33\x00\x01\x30\x00")));
        CHECK_OK(buf_add(out, BYTES_ARRAY(d->digests[i])));
    }
    CHECK_OK(buf_add_zeros(out, NVGPU_NONCE_LEN));
    put_opaque(out, d);
    pki_sign_p384(d->leaf, buf_view(out), signature);
    CHECK_OK(buf_add(out, BYTES_ARRAY(signature)));
}

struct nvgpu_device nvgpu_maker_device(const struct nvgpu_maker *m, const struct nvgpu_made *d)
{
    return (
        struct nvgpu_device){ .kind = d->kind,
                              .evidence = buf_view(&d->evidence),
                              .certs = { pki_der(d->leaf), pki_der(m->issuer), pki_der(m->root) },
                              .certs_n = 3 };
}

struct nvgpu_settings nvgpu_maker_settings(const struct nvgpu_maker *m)
{
    return (struct nvgpu_settings){
        .roots = &m->pin, .roots_n = 1, .nonce = BYTES_ARRAY(m->nonce), .at_s = NVGPU_MAKER_NOW
    };
}

/* --- collateral -------------------------------------------------------------------------------- */

void nvgpu_maker_ocsp(struct nvgpu_maker *m, int status)
{
    buf_truncate(&m->ocsp, 0);
    pki_ocsp_answer(&m->ocsp, &(struct pki_ocsp){ .cert = m->issuer,
                                                  .issuer = m->root,
                                                  .signer = m->root,
                                                  .status = status,
                                                  .from_s = NVGPU_MAKER_NOW - 10,
                                                  .until_s = NVGPU_MAKER_NOW + 10 });
}

static void put_signed_info(struct buf *out, bytes digest, bool with_namespaces)
{
#define DSIG "http://www.w3.org/2000/09/xmldsig#"
#define DSIG_MORE "http://www.w3.org/2001/04/xmldsig-more#"
#define C14N "http://www.w3.org/2006/12/xml-c14n11"
    CHECK_OK(buf_add_str(out, "<ds:SignedInfo"));
    if (with_namespaces)
        CHECK_OK(buf_add_str(out, " xmlns=\"" NS_SWID "\" xmlns:ds=\"" DSIG "\" xmlns:h=\"" NS_HASH
                                  "\""));
    CHECK_OK(buf_add_str(
        out, "><ds:CanonicalizationMethod Algorithm=\"" C14N "\"></ds:CanonicalizationMethod>"
             "<ds:SignatureMethod Algorithm=\"" DSIG_MORE "ecdsa-sha384\"></ds:SignatureMethod>"
             "<ds:Reference URI=\"\"><ds:Transforms><ds:Transform Algorithm=\"" DSIG
             "enveloped-signature\"></ds:Transform><ds:Transform Algorithm=\"" C14N
             "\"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm=\"" DSIG_MORE
             "sha384\"></ds:DigestMethod><ds:DigestValue>"));
    CHECK_OK(text_base64_encode(out, digest));
    CHECK_OK(buf_add_str(out, "</ds:DigestValue></ds:Reference></ds:SignedInfo>"));
}

static void put_signature(const struct nvgpu_maker *m, bytes digest, struct buf *out)
{
    uint8_t signature[NVGPU_SIGNATURE_LEN];
    const struct pki_cert *const chain[] = { m->issuer, m->root };
    BUF_AUTO info = BUF(LARGE);
    put_signed_info(&info, digest, true);
    pki_sign_p384(m->issuer, buf_view(&info), signature);
    CHECK_OK(buf_add_str(out, "<ds:Signature xmlns:ds=\"" DSIG "\">"));
    put_signed_info(out, digest, false);
    CHECK_OK(buf_add_str(out, "<ds:SignatureValue>"));
    CHECK_OK(text_base64_encode(out, BYTES_ARRAY(signature)));
    CHECK_OK(buf_add_str(out, "</ds:SignatureValue><ds:KeyInfo><ds:X509Data>"));
    for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
        CHECK_OK(buf_add_str(out, "<ds:X509Certificate>"));
        CHECK_OK(text_base64_encode(out, pki_der(chain[i])));
        CHECK_OK(buf_add_str(out, "</ds:X509Certificate>"));
    }
    CHECK_OK(buf_add_str(out, "</ds:X509Data></ds:KeyInfo></ds:Signature>"));
}

void nvgpu_maker_rim(const struct nvgpu_maker *m, const char *version, const char *resources,
                     struct buf *out)
{
    uint8_t digest[SHA384_LEN];
    buf_truncate(out, 0);
    CHECK_OK(buf_addf(out,
                      "<SoftwareIdentity xmlns=\"" NS_SWID "\" xmlns:h=\"" NS_HASH "\">"
                      "<Meta colloquialVersion=\"%s\" product=\"GH100\"></Meta>"
                      "<Payload>%s</Payload>",
                      version, resources));
    size_t cut = out->len;
    CHECK_OK(buf_add_str(out, "</SoftwareIdentity>"));
    sha384_of(buf_view(out), digest);
    buf_truncate(out, cut);
    put_signature(m, BYTES_ARRAY(digest), out);
    CHECK_OK(buf_add_str(out, "</SoftwareIdentity>"));
}

static void put_resource(struct buf *out, size_t index, const uint8_t digest[NVGPU_DIGEST_LEN])
{
    CHECK_OK(buf_addf(out,
                      "<Resource active=\"True\" alternatives=\"1\" index=\"%zu\" "
                      "type=\"Measurement\" h:Hash0=\"",
                      index));
    CHECK_OK(text_hex_encode(out, bytes_of(digest, NVGPU_DIGEST_LEN)));
    CHECK_OK(buf_add_str(out, "\"></Resource>"));
}

void nvgpu_maker_rims(struct nvgpu_maker *m)
{
    BUF_AUTO driver = BUF(LARGE);
    BUF_AUTO vbios = BUF(LARGE);
    put_resource(&driver, 0, m->made[0].digests[0]);
    put_resource(&driver, 1, m->made[0].digests[1]);
    put_resource(&vbios, 2, m->made[0].digests[2]);
    nvgpu_maker_rim(m, "550.90.07", buf_str(&driver), &m->rims[0]);
    nvgpu_maker_rim(m, "96.00.9F.00.01", buf_str(&vbios), &m->rims[1]);
}
