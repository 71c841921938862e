#include "attest/nvgpu_rim.h"

#include "base/text.h"
#include "base/xml.h"

#define NS_SWID "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
#define NS_HASH "http://www.w3.org/2001/04/xmlenc#sha384"
#define NS_DSIG "http://www.w3.org/2000/09/xmldsig#"
#define ALG_C14N "http://www.w3.org/2006/12/xml-c14n11"
#define ALG_ENVELOPED "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
#define ALG_ECDSA "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
#define ALG_SHA384 "http://www.w3.org/2001/04/xmldsig-more#sha384"

enum { CANONICAL_MAX = 2 * 1024 * 1024, BASE64_MAX = 64 * 1024, NVDEC0_INDEX = 35 };

const struct x509_root nvgpu_rim_root = { {
    0x12, 0x97, 0x7b, 0x51, 0x15, 0xac, 0xb0, 0x38, 0x11, 0x79, 0x27, 0x9f, 0xff, 0xeb, 0x5a, 0x8c,
    0x4d, 0x26, 0x49, 0x71, 0xeb, 0xb3, 0x22, 0x98, 0x02, 0x3a, 0x46, 0x5f, 0xa4, 0x1d, 0xf5, 0xd1,
} };

/* --- the signature's form ---------------------------------------------------------------------- */

static bool has_algorithm(struct xml_node n, const char *wanted)
{
    bytes have;
    return xml_is_node(n) && xml_attribute(n, "", "Algorithm", &have) &&
           bytes_equal(have, bytes_str(wanted)) && xml_children(n) == 0;
}

static struct xml_node dsig(struct xml_node parent, const char *name)
{
    return xml_child(parent, NS_DSIG, name, 0);
}

/* Exactly what NVIDIA writes, so that nothing else is hashed than is read. */
static bool form_is_ours(struct xml_node info)
{
    struct xml_node reference = dsig(info, "Reference"), transforms = dsig(reference, "Transforms");
    bytes uri;
    return xml_children(info) == 3 && xml_children(reference) == 3 &&
           xml_children(transforms) == 2 &&
           has_algorithm(dsig(info, "CanonicalizationMethod"), ALG_C14N) &&
           has_algorithm(dsig(info, "SignatureMethod"), ALG_ECDSA) &&
           xml_attribute(reference, "", "URI", &uri) && uri.len == 0 &&
           has_algorithm(xml_child(transforms, NS_DSIG, "Transform", 0), ALG_ENVELOPED) &&
           has_algorithm(xml_child(transforms, NS_DSIG, "Transform", 1), ALG_C14N) &&
           has_algorithm(dsig(reference, "DigestMethod"), ALG_SHA384) &&
           xml_is_node(dsig(reference, "DigestValue"));
}

/* Base64 with line breaks. */
static err read_base64(struct xml_node n, struct buf *out)
{
    BUF_AUTO text = BUF(BASE64_MAX);
    BUF_AUTO joined = BUF(BASE64_MAX);
    TRY(xml_text(n, &text));
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.at[i];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n')
            TRY(buf_add_u8(&joined, c));
    }
    return text_base64_decode(out, buf_view(&joined));
}

/* --- signature and chain ----------------------------------------------------------------------- */

struct run {
    const struct nvgpu_settings *settings;
    struct nvgpu_rim *rim;
    struct xml *doc;
    struct x509_chain *chain; /* once it was verified */
    struct xml_node signature;
    struct buf der;
    bytes certs[NVGPU_RIM_CERTS_MAX];
    size_t certs_n;
};

/* The buffer may move while it grows, so views are made when it is complete. */
static err read_certs(struct run *r)
{
    size_t ends[NVGPU_RIM_CERTS_MAX];
    struct xml_node data = dsig(dsig(r->signature, "KeyInfo"), "X509Data");
    size_t n = xml_children(data);
    ENSURE(n > 0 && n <= NVGPU_RIM_CERTS_MAX, MALFORMED);
    for (size_t i = 0; i < n; i++) {
        TRY(read_base64(xml_child(data, NS_DSIG, "X509Certificate", i), &r->der));
        ends[i] = r->der.len;
    }
    for (size_t i = 0; i < n; i++) {
        size_t from = i == 0 ? 0 : ends[i - 1];
        r->certs[i] = bytes_slice(buf_view(&r->der), from, ends[i] - from);
    }
    r->certs_n = n;
    return OK;
}

static err check_digest(struct run *r)
{
    uint8_t digest[SHA384_LEN];
    BUF_AUTO want = BUF(SHA384_LEN);
    BUF_AUTO canonical = BUF(CANONICAL_MAX);
    struct xml_node reference = dsig(dsig(r->signature, "SignedInfo"), "Reference");
    TRY(read_base64(dsig(reference, "DigestValue"), &want));
    TRY(xml_canonical(r->doc, (struct xml_node){ 0 }, r->signature, &canonical));
    sha384_of(buf_view(&canonical), digest);
    r->rim->digest_valid = bytes_equal(buf_view(&want), BYTES_ARRAY(digest));
    return OK;
}

/* Of the first certificate, proved or not. */
static err signer_key(const struct run *r, struct buf *out)
{
    enum ec_curve curve;
    bytes point;
    if (r->chain == NULL)
        return x509_spki(r->certs[0], out);
    TRY(x509_key(r->chain, 0, &curve, &point));
    return buf_add(out, point);
}

static err check_signature(struct run *r)
{
    BUF_AUTO value = BUF(NVGPU_SIGNATURE_LEN);
    BUF_AUTO key = BUF(1024);
    BUF_AUTO canonical = BUF(CANONICAL_MAX);
    TRY(read_base64(dsig(r->signature, "SignatureValue"), &value));
    TRY(signer_key(r, &key));
    TRY(xml_canonical(r->doc, dsig(r->signature, "SignedInfo"), (struct xml_node){ 0 },
                      &canonical));
    TRY(verify_ecdsa(EC_P384, buf_view(&key), buf_view(&canonical), buf_view(&value), ECDSA_RAW));
    r->rim->signature_valid = true;
    return OK;
}

static void take_dates(struct nvgpu_rim *rim, const struct x509_seen *seen)
{
    rim->not_before = INT64_MIN;
    rim->not_after = INT64_MAX;
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->certs[i].not_before > rim->not_before)
            rim->not_before = seen->certs[i].not_before;
        if (seen->certs[i].not_after < rim->not_after)
            rim->not_after = seen->certs[i].not_after;
    }
}

static err check_chain(struct run *r)
{
    struct x509_about abouts[NVGPU_RIM_CERTS_MAX];
    struct x509_seen seen = { .certs = abouts };
    struct x509_why why = { 0 };
    const struct nvgpu_settings *s = r->settings;
    struct x509_query q = { .certs = r->certs,
                            .certs_n = r->certs_n,
                            .roots = s->roots_n > 0 ? s->roots : &nvgpu_rim_root,
                            .roots_n = s->roots_n > 0 ? s->roots_n : 1,
                            .at_s = s->at_s,
                            .why = &why,
                            .seen = &seen };
    err e = x509_verify(&r->chain, &q);
    take_dates(r->rim, &seen);
    r->rim->root_pinned = why.fault != X509_FAULT_ROOT;
    r->rim->chain_valid = err_is_ok(e);
    return e;
}

/* --- content ----------------------------------------------------------------------------------- */

static bool copy_text(bytes text, char to[static NVGPU_TEXT_MAX + 1])
{
    if (text.len == 0 || text.len > NVGPU_TEXT_MAX)
        return false;
    memcpy(to, text.at, text.len);
    to[text.len] = '\0';
    return text_find(text, bytes_of("", 1)) == text.len;
}

static err read_values(struct xml_node resource, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        bytes hex;
        BUF_AUTO name = BUF(16);
        TRY(buf_addf(&name, "Hash%zu", i));
        ENSURE(xml_attribute(resource, NS_HASH, buf_str(&name), &hex), MALFORMED);
        ENSURE(hex.len == 2 * NVGPU_DIGEST_LEN, MALFORMED);
        TRY(text_hex_decode(out, hex));
    }
    return OK;
}

static bool number_of(struct xml_node n, const char *name, uint64_t *out)
{
    bytes text;
    return xml_attribute(n, "", name, &text) && text_u64(text, out);
}

/* Each index once; inactive ones are only counted. */
static err read_resource(struct xml_node resource, bool *seen, struct nvgpu_rim *rim)
{
    bytes type, active;
    uint64_t index, alternatives;
    ENSURE(xml_attribute(resource, "", "type", &type) &&
               xml_attribute(resource, "", "active", &active),
           MALFORMED);
    ENSURE(bytes_equal(type, BYTES_LIT("Measurement")), MALFORMED);
    ENSURE(number_of(resource, "index", &index) && index < NVGPU_INDEX_MAX, MALFORMED);
    ENSURE(number_of(resource, "alternatives", &alternatives) && alternatives > 0 &&
               alternatives <= NVGPU_RIM_VALUES_MAX,
           MALFORMED);
    ENSURE(!seen[index], MALFORMED);
    seen[index] = true;
    if (bytes_equal(active, BYTES_LIT("False")))
        return OK;
    ENSURE(bytes_equal(active, BYTES_LIT("True")), MALFORMED);
    struct nvgpu_rim_entry *entry = &rim->active[rim->active_n++];
    entry->index = (size_t)index;
    entry->values = BUF(NVGPU_RIM_VALUES_MAX * NVGPU_DIGEST_LEN);
    return read_values(resource, (size_t)alternatives, &entry->values);
}

static err read_content(const struct xml *doc, struct nvgpu_rim *rim)
{
    bool seen[NVGPU_INDEX_MAX] = { false };
    bytes text;
    struct xml_node root = xml_root(doc), meta = xml_child(root, NS_SWID, "Meta", 0);
    struct xml_node payload = xml_child(root, NS_SWID, "Payload", 0);
    ENSURE(xml_attribute(meta, "", "product", &text) && copy_text(text, rim->product), MALFORMED);
    ENSURE(xml_attribute(meta, "", "colloquialVersion", &text) && copy_text(text, rim->version),
           MALFORMED);
    ENSURE(!xml_is_node(xml_child(root, NS_SWID, "Meta", 1)) &&
               !xml_is_node(xml_child(root, NS_SWID, "Payload", 1)),
           MALFORMED);
    size_t n = xml_children(payload);
    ENSURE(n > 0 && n <= NVGPU_INDEX_MAX, MALFORMED);
    for (size_t i = 0; i < n; i++)
        TRY(read_resource(xml_child(payload, NS_SWID, "Resource", i), seen, rim));
    return OK;
}

static err read_document(struct run *r, bytes text)
{
    TRY(xml_read(&r->doc, text));
    struct xml_node root = xml_root(r->doc);
    ENSURE(xml_is(root, NS_SWID, "SoftwareIdentity"), MALFORMED);
    r->signature = dsig(root, "Signature");
    ENSURE(xml_is_node(r->signature) && !xml_is_node(xml_child(root, NS_DSIG, "Signature", 1)),
           MALFORMED);
    ENSURE(form_is_ours(dsig(r->signature, "SignedInfo")), UNSUPPORTED);
    TRY(read_certs(r));
    return read_content(r->doc, r->rim);
}

/* --- the whole --------------------------------------------------------------------------------- */

/* All three are looked at even when one fails, for the report. */
static err run_checks(struct run *r, bytes text)
{
    TRY(read_document(r, text));
    r->rim->form = true;
    err by_digest = check_digest(r), by_chain = check_chain(r), by_signature = check_signature(r);
    TRY(by_digest);
    TRY(by_signature);
    return by_chain;
}

err nvgpu_rim_verify(bytes xml, const struct nvgpu_settings *s, struct nvgpu_rim *out)
{
    *out = (struct nvgpu_rim){ 0 };
    struct run r = { .settings = s, .rim = out, .der = BUF(NVGPU_RIM_CERTS_MAX * BASE64_MAX) };
    err e = run_checks(&r, xml);
    xml_free(r.doc);
    x509_free(r.chain);
    buf_clear(&r.der);
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL) {
        nvgpu_rim_clear(out);
        return e;
    }
    out->accepted =
        err_is_ok(e) && out->form && out->digest_valid && out->signature_valid && out->chain_valid;
    return OK;
}

void nvgpu_rim_clear(struct nvgpu_rim *rim)
{
    for (size_t i = 0; i < rim->active_n; i++)
        buf_clear(&rim->active[i].values);
    *rim = (struct nvgpu_rim){ 0 };
}

/* --- comparison -------------------------------------------------------------------------------- */

/* The product is the first word of the leaf's name, "GH100 A01 GSP FMC LF"; a switch's is "LS_10" in
 * the one and may be "LS10" in the other. */
static bool is_product(bytes model, bytes product)
{
    bytes word = bytes_slice(model, 0, text_find(model, BYTES_LIT(" ")));
    size_t k = 0;
    if (bytes_equal(word, product))
        return true;
    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] == '_')
            continue;
        if (k >= product.len || product.at[k] != word.at[i])
            return false;
        k++;
    }
    return word.len > 0 && k == product.len;
}

static const struct nvgpu_rim *find(const struct nvgpu_result *device, const char *version,
                                    const struct nvgpu_rim *rims, size_t n)
{
    bytes model = bytes_str(device->model);
    for (size_t i = 0; i < n && version[0] != '\0'; i++) {
        if (rims[i].accepted && is_product(model, bytes_str(rims[i].product)) &&
            text_equal_nocase(bytes_str(rims[i].version), bytes_str(version)))
            return &rims[i];
    }
    return NULL;
}

static bool conflict(const struct nvgpu_rim *a, const struct nvgpu_rim *b)
{
    for (size_t i = 0; i < a->active_n; i++) {
        for (size_t k = 0; k < b->active_n; k++) {
            if (a->active[i].index == b->active[k].index)
                return true;
        }
    }
    return false;
}

static bool is_expected(const struct nvgpu_rim_entry *entry, bytes have)
{
    bytes values = buf_view(&entry->values), one;
    while (bytes_take(&values, NVGPU_DIGEST_LEN, &one)) {
        if (bytes_equal(one, have))
            return true;
    }
    return false;
}

static bool compare(const struct nvgpu_report *r, const struct nvgpu_rim *rim, size_t *index)
{
    bytes nvdec0 = nvgpu_field(r, NVGPU_FIELD_NVDEC0);
    bool skips = nvdec0.len == 1 && nvdec0.at[0] == NVGPU_DISABLED;
    for (size_t i = 0; i < rim->active_n; i++) {
        size_t at = rim->active[i].index;
        if ((skips && at == NVDEC0_INDEX) || is_expected(&rim->active[i], r->measurements[at + 1]))
            continue;
        if (index != NULL)
            *index = at;
        return false;
    }
    return true;
}

enum nvgpu_reason nvgpu_rim_compare(const struct nvgpu_result *device, enum nvgpu_kind kind,
                                    const struct nvgpu_rim *rims, size_t n, size_t *index)
{
    const struct nvgpu_rim *vbios = find(device, device->report.vbios, rims, n), *driver = NULL;
    if (vbios == NULL || vbios->active_n == 0)
        return NVGPU_RIM;
    if (kind == NVGPU_GPU) {
        driver = find(device, device->report.driver, rims, n);
        if (driver == NULL || driver->active_n == 0 || conflict(driver, vbios))
            return NVGPU_RIM;
    }
    bool holds = compare(&device->report, vbios, index) &&
                 (driver == NULL || compare(&device->report, driver, index));
    return holds ? NVGPU_OK : NVGPU_MEASUREMENT;
}
