#include "attest/tdx_tcb.h"

#include <stdio.h>

#include "attest/json_span.h"
#include "attest/utc.h"
#include "base/attr.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

enum {
    SIGNATURE_LEN = 64,
    DEPTH_MAX = 8,
    MEANS_CONFIG = 2,
    MEANS_OUT_OF_DATE = 4,
    MEANS_REVOKED = 8
};

static const struct {
    const char *word;
    unsigned means;
} statuses[TDX_STATUSES] = { [TDX_STATUS_NONE] = { "", 0 },
#define X(name, word, meaning) [TDX_STATUS_##name] = { word, meaning },
                             TDX_STATUS_LIST(X)
#undef X
};

const char *tdx_status_word(enum tdx_status s)
{
    return statuses[s].word;
}

enum tdx_status tdx_status_read(bytes word)
{
    for (enum tdx_status s = TDX_STATUS_NONE + 1; s < TDX_STATUSES; s++) {
        if (bytes_equal(word, bytes_str(statuses[s].word)))
            return s;
    }
    return TDX_STATUS_NONE;
}

static enum tdx_status status_of(unsigned means)
{
    if (means & MEANS_REVOKED)
        return TDX_STATUS_REVOKED;
    if (means & MEANS_OUT_OF_DATE)
        return means & MEANS_CONFIG ? TDX_STATUS_OUT_OF_DATE_CONFIG : TDX_STATUS_OUT_OF_DATE;
    return (enum tdx_status)(TDX_STATUS_UP_TO_DATE + means);
}

enum tdx_status tdx_status_merge(enum tdx_status a, enum tdx_status b)
{
    if (a == TDX_STATUS_NONE || b == TDX_STATUS_NONE)
        return TDX_STATUS_NONE;
    return status_of(statuses[a].means | statuses[b].means);
}

/* --- the signature around a document ---------------------------------------------------------- */

/* A quoted string of hex, as the scanner cut it out. */
static err read_signature(bytes value, struct buf *out)
{
    ENSURE(value.len == 2 * SIGNATURE_LEN + 2 && value.at[0] == '"', MALFORMED);
    return text_hex_decode(out, bytes_slice(value, 1, 2 * SIGNATURE_LEN));
}

err tdx_document_verify(bytes text, const char *name, const struct x509_chain *signer, bytes *inner)
{
    struct json_span spans[] = { { .key = name }, { .key = "signature" } };
    BUF_AUTO signature = BUF(SIGNATURE_LEN);
    enum ec_curve curve;
    bytes point;
    TRY(json_span_find(text, spans, ARRAY_LEN(spans)));
    ENSURE(spans[0].value.len > 0, MALFORMED);
    TRY(read_signature(spans[1].value, &signature));
    TRY(x509_key(signer, 0, &curve, &point));
    ENSURE(curve == EC_P256, CRYPTO);
    TRY(verify_ecdsa(curve, point, spans[0].value, buf_view(&signature), ECDSA_RAW));
    *inner = spans[0].value;
    return OK;
}

/* --- values ---------------------------------------------------------------------------------- */

static err get_text(const struct json *obj, const char *key, bytes *out)
{
    ENSURE(json_text(json_get(obj, key), out), MALFORMED);
    return OK;
}

static err get_hex(const struct json *obj, const char *key, uint8_t *out, size_t len)
{
    bytes text;
    BUF_AUTO raw = BUF(len);
    TRY(get_text(obj, key, &text));
    ENSURE(text.len == 2 * len, MALFORMED);
    TRY(text_hex_decode(&raw, text));
    memcpy(out, raw.at, len);
    return OK;
}

static err get_u16(const struct json *obj, const char *key, uint16_t *out)
{
    uint64_t v;
    ENSURE(json_u64(json_get(obj, key), &v) && v <= UINT16_MAX, MALFORMED);
    *out = (uint16_t)v;
    return OK;
}

static err get_u64(const struct json *obj, const char *key, uint64_t *out)
{
    ENSURE(json_u64(json_get(obj, key), out), MALFORMED);
    return OK;
}

static err get_time(const struct json *obj, const char *key, int64_t *out)
{
    bytes text;
    TRY(get_text(obj, key, &text));
    ENSURE(utc_read(text, out), MALFORMED);
    return OK;
}

/* An array that is there and within its limit. */
static err get_array(const struct json *obj, const char *key, size_t most, const struct json **out)
{
    *out = json_get(obj, key);
    ENSURE(json_kind(*out) == JSON_KIND_ARRAY, MALFORMED);
    ENSURE(json_len(*out) <= most, LIMIT);
    return OK;
}

/* Of another kind of document? The fields that say so come first. */
static err check_type(const struct json *obj, const char *id, uint64_t version)
{
    bytes have;
    uint64_t v;
    TRY(get_text(obj, "id", &have));
    TRY(get_u64(obj, "version", &v));
    ENSURE(bytes_equal(have, bytes_str(id)) && v == version, UNSUPPORTED);
    return OK;
}

/* --- levels ---------------------------------------------------------------------------------- */

static err read_advisories(const struct json *obj, const struct json **out)
{
    bytes text;
    *out = json_get(obj, "advisoryIDs");
    if (*out == NULL)
        return OK;
    ENSURE(json_kind(*out) == JSON_KIND_ARRAY, MALFORMED);
    for (size_t i = 0; i < json_len(*out); i++)
        ENSURE(json_text(json_at(*out, i), &text), MALFORMED);
    return OK;
}

static err read_level(const struct json *obj, struct tdx_level *out)
{
    bytes word;
    int64_t date;
    TRY(get_text(obj, "tcbStatus", &word));
    out->status = tdx_status_read(word);
    ENSURE(out->status != TDX_STATUS_NONE, MALFORMED);
    TRY(get_text(obj, "tcbDate", &out->date));
    ENSURE(utc_read(out->date, &date), MALFORMED);
    return read_advisories(obj, &out->advisories);
}

static err read_svn_levels(const struct json *obj, struct tdx_svn_levels *out)
{
    const struct json *list;
    TRY(get_array(obj, "tcbLevels", TDX_SVN_LEVELS_MAX, &list));
    for (size_t i = 0; i < json_len(list); i++) {
        struct tdx_svn_level *level = &out->at[i];
        TRY(read_level(json_at(list, i), &level->level));
        TRY(get_u16(json_get(json_at(list, i), "tcb"), "isvsvn", &level->isvsvn));
    }
    out->n = json_len(list);
    return OK;
}

/* Exactly sixteen: a shorter list would leave components uncompared. */
static err read_components(const struct json *tcb, const char *key, uint16_t *out)
{
    const struct json *list;
    TRY(get_array(tcb, key, TDX_COMPONENTS, &list));
    ENSURE(json_len(list) == TDX_COMPONENTS, MALFORMED);
    for (size_t i = 0; i < TDX_COMPONENTS; i++)
        TRY(get_u16(json_at(list, i), "svn", &out[i]));
    return OK;
}

static err read_tcb_levels(const struct json *obj, struct tdx_tcb_info *out)
{
    const struct json *list;
    TRY(get_array(obj, "tcbLevels", TDX_TCB_LEVELS_MAX, &list));
    for (size_t i = 0; i < json_len(list); i++) {
        struct tdx_tcb_level *level = &out->levels[i];
        const struct json *tcb = json_get(json_at(list, i), "tcb");
        TRY(read_level(json_at(list, i), &level->level));
        TRY(read_components(tcb, "sgxtcbcomponents", level->sgx));
        TRY(read_components(tcb, "tdxtcbcomponents", level->tdx));
        TRY(get_u16(tcb, "pcesvn", &level->pcesvn));
    }
    out->levels_n = json_len(list);
    return OK;
}

/* --- TCB info -------------------------------------------------------------------------------- */

static err read_module(const struct json *obj, struct tdx_module *out)
{
    TRY(get_hex(obj, "mrsigner", out->mrsigner, sizeof out->mrsigner));
    TRY(get_hex(obj, "attributes", out->attributes, sizeof out->attributes));
    return get_hex(obj, "attributesMask", out->attributes_mask, sizeof out->attributes_mask);
}

/* Platforms without such modules have no list of them. */
static err read_modules(const struct json *obj, struct tdx_tcb_info *out)
{
    const struct json *list;
    if (json_get(obj, "tdxModuleIdentities") == NULL)
        return OK;
    TRY(get_array(obj, "tdxModuleIdentities", TDX_MODULES_MAX, &list));
    for (size_t i = 0; i < json_len(list); i++) {
        struct tdx_module *m = &out->modules[i];
        TRY(get_text(json_at(list, i), "id", &m->id));
        TRY(read_module(json_at(list, i), m));
        TRY(read_svn_levels(json_at(list, i), &m->levels));
    }
    out->modules_n = json_len(list);
    return OK;
}

static err read_tcb_info(const struct json *obj, struct tdx_tcb_info *out)
{
    uint64_t tcb_type;
    TRY(check_type(obj, "TDX", 3));
    TRY(get_u64(obj, "tcbType", &tcb_type));
    ENSURE(tcb_type == 0, UNSUPPORTED);
    TRY(get_time(obj, "issueDate", &out->issued));
    TRY(get_time(obj, "nextUpdate", &out->next));
    TRY(get_u64(obj, "tcbEvaluationDataNumber", &out->evaluation));
    TRY(get_hex(obj, "fmspc", out->fmspc, sizeof out->fmspc));
    TRY(get_hex(obj, "pceId", out->pce_id, sizeof out->pce_id));
    TRY(read_module(json_get(obj, "tdxModule"), &out->module));
    TRY(read_modules(obj, out));
    return read_tcb_levels(obj, out);
}

err tdx_tcb_info_read(struct tdx_tcb_info **out, bytes text)
{
    struct tdx_tcb_info *info;
    ENSURE(text.len <= TDX_TCB_INFO_MAX, LIMIT);
    TRY(mem_new(&info));
    err e = json_read(&info->tree, text, DEPTH_MAX);
    if (err_is_ok(e))
        e = read_tcb_info(info->tree, info);
    if (err_is_ok(e))
        *out = info;
    else
        tdx_tcb_info_free(info);
    return e;
}

void tdx_tcb_info_free(struct tdx_tcb_info *info)
{
    if (info == NULL)
        return;
    json_free(info->tree);
    mem_free(info);
}

/* --- QE identity ----------------------------------------------------------------------------- */

static err read_identity(const struct json *obj, struct tdx_qe_identity *out)
{
    TRY(check_type(obj, "TD_QE", 2));
    TRY(get_time(obj, "issueDate", &out->issued));
    TRY(get_time(obj, "nextUpdate", &out->next));
    TRY(get_u64(obj, "tcbEvaluationDataNumber", &out->evaluation));
    TRY(get_hex(obj, "miscselect", out->miscselect, sizeof out->miscselect));
    TRY(get_hex(obj, "miscselectMask", out->miscselect_mask, sizeof out->miscselect_mask));
    TRY(get_hex(obj, "attributes", out->attributes, sizeof out->attributes));
    TRY(get_hex(obj, "attributesMask", out->attributes_mask, sizeof out->attributes_mask));
    TRY(get_hex(obj, "mrsigner", out->mrsigner, sizeof out->mrsigner));
    TRY(get_u16(obj, "isvprodid", &out->isvprodid));
    return read_svn_levels(obj, &out->levels);
}

err tdx_qe_identity_read(struct tdx_qe_identity **out, bytes text)
{
    struct tdx_qe_identity *identity;
    ENSURE(text.len <= TDX_QE_IDENTITY_MAX, LIMIT);
    TRY(mem_new(&identity));
    err e = json_read(&identity->tree, text, DEPTH_MAX);
    if (err_is_ok(e))
        e = read_identity(identity->tree, identity);
    if (err_is_ok(e))
        *out = identity;
    else
        tdx_qe_identity_free(identity);
    return e;
}

void tdx_qe_identity_free(struct tdx_qe_identity *identity)
{
    if (identity == NULL)
        return;
    json_free(identity->tree);
    mem_free(identity);
}

/* --- comparing ------------------------------------------------------------------------------- */

static bool reaches(const struct tdx_tcb_level *level, const struct tdx_pck *pck, bytes svn)
{
    for (size_t i = 0; i < TDX_COMPONENTS; i++) {
        if (pck->components[i] < level->sgx[i])
            return false;
    }
    if (pck->pcesvn < level->pcesvn)
        return false;
    for (size_t i = svn.at[1] > 0 ? 2 : 0; i < TDX_COMPONENTS; i++) {
        if (svn.at[i] < level->tdx[i])
            return false;
    }
    return true;
}

const struct tdx_tcb_level *tdx_level_find(const struct tdx_tcb_info *info,
                                           const struct tdx_pck *pck, bytes svn)
{
    if (svn.len != TDX_COMPONENTS)
        return NULL;
    for (size_t i = 0; i < info->levels_n; i++) {
        if (reaches(&info->levels[i], pck, svn))
            return &info->levels[i];
    }
    return NULL;
}

const struct tdx_module *tdx_module_find(const struct tdx_tcb_info *info, bytes svn)
{
    char id[8];
    if (svn.len != TDX_COMPONENTS)
        return NULL;
    if (svn.at[1] == 0)
        return &info->module;
    (void)snprintf(id, sizeof id, "TDX_%02X", svn.at[1]);
    for (size_t i = 0; i < info->modules_n; i++) {
        if (text_equal_nocase(info->modules[i].id, bytes_str(id)))
            return &info->modules[i];
    }
    return NULL;
}

const struct tdx_svn_level *tdx_svn_level_find(const struct tdx_svn_levels *levels, unsigned svn)
{
    for (size_t i = 0; i < levels->n; i++) {
        if (levels->at[i].isvsvn <= svn)
            return &levels->at[i];
    }
    return NULL;
}

bool tdx_masked_equal(bytes value, bytes mask, bytes expected)
{
    if (value.len != mask.len || value.len != expected.len)
        return false;
    uint8_t differs = 0;
    for (size_t i = 0; i < value.len; i++)
        differs |= (uint8_t)((value.at[i] & mask.at[i]) ^ expected.at[i]);
    return differs == 0;
}
