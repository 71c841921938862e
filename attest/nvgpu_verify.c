/* The checks are a table, as in attest/verify.c: each looks at one thing and says NVGPU_OK or why
 * not. */
#include "attest/nvgpu_verify.h"

#include "crypto/der.h"
#include "crypto/secret.h"

#define OID_DEVICE "2.23.133.5.4.1"
#define OID_TCB_INFO "2.23.133.5.4.1.1"

enum { TAG_FWIDS = 0xa6 /* [6], constructed */ };

const struct x509_root nvgpu_device_root = { {
    0x10, 0x2b, 0xf6, 0x59, 0xd5, 0x41, 0x96, 0x14, 0xc9, 0xd8, 0xe6, 0xae, 0xce, 0xbc, 0x80, 0x45,
    0x4e, 0xb2, 0x6b, 0x1d, 0xf6, 0xa7, 0x69, 0xac, 0x72, 0x0b, 0x9a, 0x69, 0x0b, 0x16, 0x7b, 0x48,
} };

struct run {
    const struct nvgpu_device *device;
    const struct nvgpu_settings *settings;
    struct nvgpu_result *result;
    struct x509_chain *chain;
};

typedef err check(struct run *r, enum nvgpu_reason *why);

const char *nvgpu_reason_word(enum nvgpu_reason r)
{
    static const char *const words[] = {
#define X(name, word) [NVGPU_##name] = (word),
        NVGPU_REASON_LIST(X)
#undef X
    };
    return (size_t)r < ARRAY_LEN(words) ? words[r] : words[NVGPU_UNCHECKED];
}

const char *nvgpu_check_name(enum nvgpu_check_id id)
{
    static const char *const names[NVGPU_CHECKS] = {
#define X(name, word) [NVGPU_CHECK_##name] = (word),
        NVGPU_CHECK_LIST(X)
#undef X
    };
    return id < NVGPU_CHECKS ? names[id] : "unchecked";
}

static err check_form(struct run *r, enum nvgpu_reason *why)
{
    *why = nvgpu_parse(r->device->evidence, &r->result->report) ? NVGPU_OK : NVGPU_MALFORMED;
    return OK;
}

static err check_nonce(struct run *r, enum nvgpu_reason *why)
{
    bytes want = r->settings->nonce;
    bool same = want.len == NVGPU_NONCE_LEN && secret_equal(want, r->result->report.request_nonce);
    *why = same ? NVGPU_OK : NVGPU_NONCE;
    return OK;
}

/* --- certificates ------------------------------------------------------------------------------ */

/* The path has to be what was given, in the order it was given. */
static bool is_in_order(const struct run *r)
{
    enum ec_curve curve;
    bytes point;
    for (size_t i = 0; i < x509_len(r->chain); i++) {
        if (!err_is_ok(x509_key(r->chain, i, &curve, &point)) || curve != EC_P384)
            return false;
    }
    return x509_in_order(r->chain);
}

static err describe(struct run *r)
{
    enum ec_curve curve;
    bytes name, point;
    struct nvgpu_result *out = r->result;
    TRY(x509_about(r->chain, 0, &out->leaf));
    TRY(x509_key(r->chain, 0, &curve, &point));
    sha256_of(point, out->key);
    if (err_is_ok(x509_common_name(r->chain, 0, &name)) && name.len <= NVGPU_MODEL_MAX)
        memcpy(out->model, name.at, name.len);
    return OK;
}

static err check_chain(struct run *r, enum nvgpu_reason *why)
{
    const struct nvgpu_settings *s = r->settings;
    struct x509_why fault = { 0 };
    struct x509_query q = { .certs = r->device->certs,
                            .certs_n = r->device->certs_n,
                            .roots = s->roots_n > 0 ? s->roots : &nvgpu_device_root,
                            .roots_n = s->roots_n > 0 ? s->roots_n : 1,
                            .at_s = s->at_s,
                            .why = &fault };
    err e = x509_verify(&r->chain, &q);
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    if (!err_is_ok(e) || !is_in_order(r)) {
        *why = fault.fault == X509_FAULT_ROOT ? NVGPU_UNTRUSTED_ROOT : NVGPU_CHAIN;
        return OK;
    }
    *why = NVGPU_OK;
    return describe(r);
}

/* "GH100 A01 GSP FMC LF", "LS_10 A01 FSP FMC LF": a switch must not stand for a GPU. */
static err check_type(struct run *r, enum nvgpu_reason *why)
{
    bytes model = bytes_str(r->result->model);
    bool fits = r->device->kind == NVGPU_SWITCH ? bytes_starts(model, BYTES_LIT("LS"))
                                                : bytes_starts(model, BYTES_LIT("G"));
    *why = fits ? NVGPU_OK : NVGPU_TYPE;
    return OK;
}

static err check_signature(struct run *r, enum nvgpu_reason *why)
{
    enum ec_curve curve;
    bytes point;
    const struct nvgpu_report *report = &r->result->report;
    TRY(x509_key(r->chain, 0, &curve, &point));
    err e = verify_ecdsa(curve, point, report->signed_part, report->signature, ECDSA_RAW);
    *why = err_is_ok(e) ? NVGPU_OK : NVGPU_SIGNATURE;
    return e.code == ERR_NOMEM ? e : OK;
}

/* --- FWID: which firmware the leaf's key was made for ------------------------------------------- */

/* SEQUENCE { OID, OCTET STRING of 48 } */
static bool take_fwid(bytes *in, uint8_t out[static NVGPU_DIGEST_LEN])
{
    static const uint8_t sha384[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02 };
    bytes body, oid, digest;
    if (!err_is_ok(der_take(in, DER_SEQUENCE, &body)) ||
        !err_is_ok(der_take(&body, DER_OID, &oid)) || !bytes_equal(oid, BYTES_ARRAY(sha384)) ||
        !err_is_ok(der_take(&body, DER_OCTETS, &digest)) || digest.len != NVGPU_DIGEST_LEN)
        return false;
    memcpy(out, digest.at, NVGPU_DIGEST_LEN);
    return body.len == 0;
}

/* SEQUENCE { version, SubjectPublicKeyInfo, fwid } */
static bool fwid_of_device(bytes extension, uint8_t out[static NVGPU_DIGEST_LEN])
{
    bytes body, skipped;
    return err_is_ok(der_take(&extension, DER_SEQUENCE, &body)) && extension.len == 0 &&
           err_is_ok(der_take(&body, DER_INTEGER, &skipped)) &&
           err_is_ok(der_take(&body, DER_SEQUENCE, &skipped)) && take_fwid(&body, out) &&
           body.len == 0;
}

/* DICE TCB info: SEQUENCE { ..., [6] { fwid, ... }, ... } */
static bool fwid_of_tcb_info(bytes extension, uint8_t out[static NVGPU_DIGEST_LEN])
{
    bytes body, content;
    uint8_t tag = 0;
    if (!err_is_ok(der_take(&extension, DER_SEQUENCE, &body)) || extension.len > 0)
        return false;
    while (tag != TAG_FWIDS) {
        if (!err_is_ok(der_take_any(&body, &tag, &content)))
            return false;
    }
    return take_fwid(&content, out);
}

static bool read_leaf_fwid(struct run *r)
{
    bytes extension;
    struct nvgpu_result *out = r->result;
    bool found = false;
    if (err_is_ok(x509_extension(r->chain, 0, OID_DEVICE, &extension))) {
        out->fwid_extensions |= NVGPU_FWID_DEVICE;
        found = fwid_of_device(extension, out->leaf_fwid);
    }
    if (err_is_ok(x509_extension(r->chain, 0, OID_TCB_INFO, &extension))) {
        out->fwid_extensions |= NVGPU_FWID_TCB_INFO;
        found = !found && fwid_of_tcb_info(extension, out->leaf_fwid);
    }
    return found;
}

static err check_fwid(struct run *r, enum nvgpu_reason *why)
{
    bytes have = nvgpu_field(&r->result->report, NVGPU_FIELD_FWID);
    bool found = read_leaf_fwid(r);
    bool same = found && bytes_equal(have, BYTES_ARRAY(r->result->leaf_fwid));
    *why = have.at == NULL || same ? NVGPU_OK : NVGPU_FWID;
    return OK;
}

/* --- the order --------------------------------------------------------------------------------- */

static check *const checks[NVGPU_CHECKS] = {
    [NVGPU_CHECK_FORM] = check_form,           [NVGPU_CHECK_NONCE] = check_nonce,
    [NVGPU_CHECK_CHAIN] = check_chain,         [NVGPU_CHECK_TYPE] = check_type,
    [NVGPU_CHECK_SIGNATURE] = check_signature, [NVGPU_CHECK_FWID] = check_fwid,
};

static err run_checks(struct run *r)
{
    struct nvgpu_result *out = r->result;
    for (size_t i = 0; i < NVGPU_CHECKS; i++) {
        enum nvgpu_reason why = NVGPU_UNCHECKED;
        TRY(checks[i](r, &why));
        bool fine = why == NVGPU_OK;
        out->checks[i] = (struct nvgpu_check){ fine ? VERDICT_PASS : VERDICT_FAIL, why };
        out->reason = why;
        if (!fine)
            return OK;
    }
    out->accepted = true;
    return OK;
}

err nvgpu_verify(const struct nvgpu_device *device, const struct nvgpu_settings *settings,
                 struct nvgpu_result *out)
{
    *out = (struct nvgpu_result){ 0 };
    struct run r = { .device = device, .settings = settings, .result = out };
    err e = run_checks(&r);
    x509_free(r.chain);
    return e;
}
