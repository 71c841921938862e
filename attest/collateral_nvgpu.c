/*
 * NVIDIA's pieces: an OCSP answer for each certificate between a device's leaf and the root, and the
 * manifests of its driver and VBIOS. Workers may carry them; what is missing is named here, and only
 * for devices that are genuine, so that nobody is asked about what somebody made up.
 */
#include "attest/collateral_parts.h"
#include "attest/nvgpu_bundle.h"
#include "attest/nvgpu_policy.h"
#include "attest/nvgpu_rim.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/der.h"
#include "crypto/hash.h"
#include "crypto/ocsp.h"

#define OCSP_KEY "nvgpu-ocsp-"
#define RIM_KEY "nvgpu-rim-"
#define RIM_PATH "/v1/rim/"

enum { RIM_JSON_DEPTH_MAX = 4 };

/* ---- a certificate and its issuer ---- */

static err take_cert(bytes *in, bytes *out)
{
    uint8_t tag;
    bytes before = *in, content;
    TRY(der_take_any(in, &tag, &content));
    *out = bytes_slice(before, 0, before.len - in->len);
    return OK;
}

static err read_pair(bytes pair, bytes *cert, bytes *issuer)
{
    TRY(take_cert(&pair, cert));
    TRY(take_cert(&pair, issuer));
    ENSURE(pair.len == 0, MALFORMED);
    return OK;
}

static err name_ocsp(struct buf *key, bytes cert, bytes issuer)
{
    struct sha256 h;
    uint8_t digest[SHA256_LEN];
    sha256_init(&h);
    sha256_add(&h, cert);
    sha256_add(&h, issuer);
    sha256_end(&h, digest);
    TRY(buf_add_str(key, OCSP_KEY));
    return text_hex_encode(key, BYTES_ARRAY(digest));
}

err collateral_request_nvgpu_ocsp(struct buf *out, bytes pair)
{
    bytes cert, issuer;
    TRY(read_pair(pair, &cert, &issuer));
    return ocsp_request_write(out, cert, issuer);
}

/* ---- what makes a piece genuine ---- */

/* An answer that says revoked is one that the verifier has to see. */
static err meaning_of(enum ocsp_outcome outcome)
{
    switch (outcome) {
    case OCSP_IS_GOOD:
    case OCSP_IS_REVOKED:
        return OK;
    case OCSP_IS_THIS_UPDATE:
    case OCSP_IS_NEXT_UPDATE:
        FAIL(STALE);
    case OCSP_IS_MALFORMED:
        FAIL(MALFORMED);
    case OCSP_IS_SIGNATURE:
        FAIL(CRYPTO);
    case OCSP_IS_REFUSED:
    case OCSP_IS_STATUS:
    case OCSP_IS_CERT_ID:
    case OCSP_IS_RESPONDER:
    case OCSP_IS_NONCE:
    case OCSP_IS_UNKNOWN:
        FAIL(UNTRUSTED);
    }
    FAIL(UNTRUSTED);
}

err collateral_check_nvgpu_ocsp(const struct collateral_need *need,
                                const struct collateral_piece *piece, bytes issuer, int64_t now,
                                int64_t *expires)
{
    bytes cert, above;
    enum ocsp_outcome outcome;
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    TRY(read_pair(issuer, &cert, &above));
    TRY(name_ocsp(&key, cert, above));
    ENSURE(bytes_equal(buf_view(&key), bytes_str(need->key)), UNTRUSTED);
    const struct ocsp_query query = { .response = piece->body,
                                      .certificate = cert,
                                      .issuer = above,
                                      .at_s = now,
                                      .until_s = expires };
    TRY(ocsp_check(&query, &outcome));
    return meaning_of(outcome);
}

/* Appends letters and digits as a key has them, and a hyphen or nothing for what stands between. */
static err add_plain(struct buf *out, const char *text, bool hyphens)
{
    for (; *text != '\0'; text++) {
        char c = *text;
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z',
             digit = c >= '0' && c <= '9';
        if (upper)
            TRY(buf_add_u8(out, (uint8_t)(c - 'A' + 'a')));
        else if (lower || digit)
            TRY(buf_add_u8(out, (uint8_t)c));
        else if (hyphens)
            TRY(buf_add_u8(out, '-'));
    }
    return OK;
}

/* A driver's manifest has product and version in its name, a VBIOS's its version without dots. */
static err check_rim_name(const struct collateral_need *need, const struct nvgpu_rim *rim)
{
    BUF_AUTO driver = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO vbios = BUF(COLLATERAL_KEY_MAX);
    bytes key = bytes_str(need->key);
    TRY(buf_add_u8(&driver, '-'));
    TRY(add_plain(&driver, rim->product, true));
    TRY(buf_add_u8(&driver, '-'));
    TRY(add_plain(&driver, rim->version, true));
    TRY(buf_add_u8(&vbios, '-'));
    TRY(add_plain(&vbios, rim->version, false));
    ENSURE(bytes_ends(key, buf_view(&driver)) || bytes_ends(key, buf_view(&vbios)), UNTRUSTED);
    return OK;
}

static err judge_rim(const struct collateral_need *need, const struct nvgpu_rim *rim, int64_t now)
{
    ENSURE(rim->form, MALFORMED);
    ENSURE(rim->digest_valid && rim->signature_valid, CRYPTO);
    ENSURE(rim->not_before <= now && now <= rim->not_after, STALE);
    ENSURE(rim->accepted, UNTRUSTED);
    return check_rim_name(need, rim);
}

err collateral_check_nvgpu_rim(const struct collateral_need *need,
                               const struct collateral_piece *piece, bytes issuer, int64_t now,
                               int64_t *expires)
{
    struct nvgpu_rim *rim;
    (void)issuer;
    TRY(mem_new(&rim));
    err e = nvgpu_rim_verify(piece->body, &(struct nvgpu_settings){ .at_s = now }, rim);
    if (err_is_ok(e))
        e = judge_rim(need, rim, now);
    *expires = rim->not_after;
    nvgpu_rim_clear(rim);
    mem_free(rim);
    return e;
}

err collateral_take_nvgpu_rim(bytes body, struct buf *out)
{
    struct json *root = NULL;
    bytes text;
    if (body.at[0] == '<')
        return buf_add(out, body);
    TRY(json_read(&root, body, RIM_JSON_DEPTH_MAX));
    err e = json_text(json_get(root, "rim"), &text)
                ? text_base64_decode(out, text)
                : err_raise(ERR_MALFORMED, __FILE__, __func__, __LINE__);
    json_free(root);
    return e;
}

/* ---- what devices need ---- */

/* Too large for the stack, so in one piece of memory. */
struct run {
    struct collateral_plan *plan;
    const struct nvgpu_policy *policy;
    int64_t now;
    struct nvgpu_bundle bundle;
    struct nvgpu_result device;    /* one at a time */
    char gpu[NVGPU_MODEL_MAX + 1]; /* the last one's */
    uint8_t nonce[NVGPU_NONCE_LEN];
    struct nvgpu_rim rims[NVGPU_RIMS_MAX];
};

static bool is_wanted(const struct run *r, const struct buf *key)
{
    for (size_t i = r->plan->cpu_n; i < r->plan->n; i++) {
        if (bytes_equal(buf_view(key), bytes_str(r->plan->needs[i].key)))
            return true;
    }
    return false;
}

static err is_answered(const struct run *r, bytes cert, bytes issuer, bool *out)
{
    *out = false;
    for (size_t i = 0; i < r->bundle.ocsp_n && !*out; i++) {
        enum ocsp_outcome outcome;
        TRY(ocsp_check(&(struct ocsp_query){ .response = r->bundle.ocsp[i],
                                             .certificate = cert,
                                             .issuer = issuer,
                                             .at_s = r->now },
                       &outcome));
        *out = outcome == OCSP_IS_GOOD || outcome == OCSP_IS_REVOKED;
    }
    return OK;
}

static err want_ocsp(struct run *r, bytes cert, bytes issuer)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    struct collateral_plan *plan = r->plan;
    bool answered;
    TRY(name_ocsp(&key, cert, issuer));
    if (is_wanted(r, &key))
        return OK;
    TRY(is_answered(r, cert, issuer, &answered));
    if (answered)
        return OK;
    size_t at = plan->asked.len;
    TRY(buf_add(&plan->asked, cert));
    TRY(buf_add(&plan->asked, issuer));
    TRY(buf_add_u8(&path, '/'));
    TRY(collateral_want(plan, COLLATERAL_NVGPU_OCSP, -1, &key, &path));
    plan->needs[plan->n - 1].asked_at = at;
    plan->needs[plan->n - 1].asked_len = plan->asked.len - at;
    return OK;
}

/* Neither for the leaf, which NVIDIA's responder does not know, nor for the root. */
static err want_answers(struct run *r, const struct nvgpu_device *d)
{
    for (size_t k = 1; r->policy->revocation && k + 1 < d->certs_n; k++)
        TRY(want_ocsp(r, d->certs[k], d->certs[k + 1]));
    return OK;
}

/* Texts of a report are the device's words: only what a name can have gets into a path. */
static err check_word(bytes word)
{
    ENSURE(word.len > 0 && word.len <= NVGPU_TEXT_MAX, UNSUPPORTED);
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.at[i];
        ENSURE((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                   c == '.',
               UNSUPPORTED);
    }
    return OK;
}

/* In capitals and without dots. */
static err add_word(struct buf *id, bytes word)
{
    TRY(check_word(word));
    for (size_t i = 0; i < word.len; i++) {
        uint8_t c = word.at[i];
        if (c != '.')
            TRY(buf_add_u8(id, c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c));
    }
    return OK;
}

/* Hopper's have another name than those of its successors. */
static err id_of_driver(const struct run *r, struct buf *id)
{
    bytes chip = bytes_str(r->device.model), driver = bytes_str(r->device.report.driver);
    chip = bytes_slice(chip, 0, text_find(chip, BYTES_LIT(" ")));
    bool hopper = bytes_starts(chip, BYTES_LIT("GH"));
    TRY(buf_add_str(id, hopper ? "NV_GPU_DRIVER_" : "NV_GPU_CC_DRIVER_"));
    TRY(add_word(id, chip));
    TRY(buf_add_u8(id, '_'));
    TRY(check_word(driver));
    return buf_add(id, driver);
}

static err add_board(const struct run *r, struct buf *id)
{
    static const enum nvgpu_field_type parts[] = { NVGPU_FIELD_PROJECT, NVGPU_FIELD_PROJECT_SKU,
                                                   NVGPU_FIELD_CHIP_SKU };
    TRY(buf_add_str(id, "NV_GPU_VBIOS_"));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        TRY(add_word(id, nvgpu_field_text(&r->device.report, parts[i])));
        TRY(buf_add_u8(id, '_'));
    }
    return OK;
}

/* A switch does not say its board; NVIDIA's tools have this one for all of them. */
static err id_of_vbios(const struct run *r, enum nvgpu_kind kind, struct buf *id)
{
    TRY(kind == NVGPU_GPU ? add_board(r, id) : buf_add_str(id, "NV_SWITCH_BIOS_5612_0002_890_"));
    return add_word(id, bytes_str(r->device.report.vbios));
}

static err want_rim(struct run *r, struct buf *id)
{
    BUF_AUTO key = BUF(COLLATERAL_KEY_MAX);
    BUF_AUTO path = BUF(COLLATERAL_PATH_MAX);
    ENSURE(buf_str(id) != NULL, NOMEM);
    TRY(buf_add_str(&key, RIM_KEY));
    TRY(add_plain(&key, buf_str(id), true));
    if (is_wanted(r, &key))
        return OK;
    TRY(buf_add_str(&path, RIM_PATH));
    TRY(buf_add(&path, buf_view(id)));
    return collateral_want(r->plan, COLLATERAL_NVGPU_RIM, -1, &key, &path);
}

/* Both when one is missing: the other costs one question in its lifetime. */
static err want_rims(struct run *r, enum nvgpu_kind kind)
{
    BUF_AUTO driver = BUF(COLLATERAL_PATH_MAX);
    BUF_AUTO vbios = BUF(COLLATERAL_PATH_MAX);
    if (!r->policy->manifests ||
        nvgpu_rim_compare(&r->device, kind, r->rims, r->bundle.rims_n, NULL) != NVGPU_RIM)
        return OK;
    TRY(id_of_vbios(r, kind, &vbios));
    TRY(want_rim(r, &vbios));
    if (kind != NVGPU_GPU)
        return OK;
    TRY(id_of_driver(r, &driver));
    return want_rim(r, &driver);
}

/* Genuine, whatever its nonce: that the verifier sees to. */
static err read_device(struct run *r, const struct nvgpu_device *d)
{
    struct nvgpu_settings settings = { .at_s = r->now };
    ENSURE(nvgpu_parse(d->evidence, &r->device.report), MALFORMED);
    settings.nonce = r->device.report.request_nonce;
    TRY(nvgpu_verify(d, &settings, &r->device));
    ENSURE(r->device.accepted, UNTRUSTED);
    memcpy(r->nonce, settings.nonce.at, sizeof r->nonce);
    if (d->kind == NVGPU_GPU)
        memcpy(r->gpu, r->device.model, sizeof r->gpu);
    return OK;
}

static err plan_all(struct run *r, bytes evidence)
{
    TRY(nvgpu_bundle_read(evidence, &r->bundle));
    ENSURE(r->bundle.devices_n <= r->policy->gpus + r->policy->switches, UNTRUSTED);
    for (size_t i = 0; r->policy->manifests && i < r->bundle.rims_n; i++)
        TRY(nvgpu_rim_verify(r->bundle.rims[i], &(struct nvgpu_settings){ .at_s = r->now },
                             &r->rims[i]));
    for (size_t i = 0; i < r->bundle.devices_n; i++) {
        TRY(read_device(r, &r->bundle.devices[i]));
        TRY(want_answers(r, &r->bundle.devices[i]));
        TRY(want_rims(r, r->bundle.devices[i].kind));
    }
    return r->policy->nras
               ? collateral_plan_nras(r->plan, &r->bundle, bytes_str(r->gpu), BYTES_ARRAY(r->nonce))
               : OK;
}

err collateral_plan_nvgpu(struct collateral_plan *out, const struct bundle *b,
                          const struct policy *policy, int64_t now)
{
    struct run *r;
    if (policy == NULL || policy->nvidia == NULL || b->gpu_evidence.len == 0)
        return OK;
    TRY(mem_new(&r));
    r->plan = out;
    r->policy = policy->nvidia;
    r->now = now;
    err e = plan_all(r, b->gpu_evidence);
    for (size_t i = 0; i < NVGPU_RIMS_MAX; i++)
        nvgpu_rim_clear(&r->rims[i]);
    mem_free(r);
    return e;
}

/* ---- together ---- */

static void put_pieces(struct nvgpu_bundle *to, const struct collateral_plan *plan,
                       const struct collateral_piece *pieces)
{
    for (size_t i = plan->cpu_n; i < plan->n; i++) {
        if (plan->needs[i].kind == COLLATERAL_NVGPU_OCSP && to->ocsp_n < NVGPU_OCSP_MAX)
            to->ocsp[to->ocsp_n++] = pieces[i].body;
        else if (plan->needs[i].kind == COLLATERAL_NVGPU_RIM && to->rims_n < NVGPU_RIMS_MAX)
            to->rims[to->rims_n++] = pieces[i].body;
        else if (plan->needs[i].kind == COLLATERAL_NVGPU_JWKS)
            to->jwks = pieces[i].body;
        else if (plan->needs[i].kind == COLLATERAL_NVGPU_NRAS)
            to->nras = pieces[i].body;
    }
}

err collateral_join_gpu(struct buf *out, const struct collateral_plan *plan,
                        const struct collateral_piece *pieces)
{
    struct nvgpu_bundle *whole;
    if (plan->n == plan->cpu_n)
        return OK;
    TRY(mem_new(&whole));
    put_pieces(whole, plan, pieces);
    err e = nvgpu_collateral_write(out, whole);
    mem_free(whole);
    return e;
}
