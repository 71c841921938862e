#include "attest/tdx_parse.h"

#include "base/attr.h"

enum {
    HEADER_LEN = 48,
    TD10_LEN = 584,
    TD15_LEN = 648,
    PAIR_LEN = 64, /* r || s, and x || y */
    QE_REPORT_LEN = 384,
    KEY_TYPE_P256 = 2,
    TEE_TYPE_TDX = 0x81,
    CERT_DATA_QE_REPORT = 6,
    CERT_DATA_PCK_CHAIN = 5
};

/* 939a7233-f79c-4ca9-940a-0db3957f0607: Intel's quoting enclave. */
static const uint8_t intel_vendor[16] = { 0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                          0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07 };

static const struct {
    const char *name;
    size_t at, len;
} fields[TDX_FIELDS] = {
#define X(name, word, at, len) [TDX_##name] = { word, at, len },
    TDX_FIELD_LIST(X)
#undef X
};

static uint64_t load_le(bytes b)
{
    uint64_t v = 0;
    for (size_t i = b.len; i > 0; i--)
        v = v << 8 | b.at[i - 1];
    return v;
}

static bool take_u16(bytes *in, uint16_t *out)
{
    bytes b;
    if (!bytes_take(in, 2, &b))
        return false;
    *out = (uint16_t)load_le(b);
    return true;
}

static bool take_u32(bytes *in, uint32_t *out)
{
    bytes b;
    if (!bytes_take(in, 4, &b))
        return false;
    *out = (uint32_t)load_le(b);
    return true;
}

static bool is_zero(bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.at[i];
    return any == 0;
}

static void fault_if(struct tdx_faults *faults, bool wrong, enum tdx_fault f)
{
    if (wrong)
        tdx_fault_add(faults, f);
}

/* False, with a fault, when there is nothing to go on with. */
static bool need(bool got, struct tdx_faults *faults, enum tdx_fault f)
{
    fault_if(faults, !got, f);
    return got;
}

static bool read_header(bytes *in, struct tdx_quote *out, struct tdx_faults *faults)
{
    bytes reserved;
    bool got = take_u16(in, &out->version) && take_u16(in, &out->key_type) &&
               take_u32(in, &out->tee_type) && bytes_take(in, 4, &reserved) &&
               bytes_take(in, sizeof intel_vendor, &out->vendor) &&
               bytes_take(in, 20, &out->user_data);
    if (!need(got, faults, TDX_FAULT_TRUNCATED))
        return false;
    bool known = out->version == TDX_QUOTE_V4 || out->version == TDX_QUOTE_V5;
    fault_if(faults, out->key_type != KEY_TYPE_P256, TDX_FAULT_KEY_TYPE);
    fault_if(faults, out->tee_type != TEE_TYPE_TDX, TDX_FAULT_TEE_TYPE);
    fault_if(faults, !bytes_equal(out->vendor, BYTES_ARRAY(intel_vendor)), TDX_FAULT_VENDOR);
    return need(known, faults, TDX_FAULT_VERSION);
}

/* Version 5 says which body it has and how long that is; both have to fit together. */
static bool read_descriptor(bytes *in, struct tdx_quote *out, struct tdx_faults *faults)
{
    uint32_t len = TD10_LEN;
    out->body_type = TDX_BODY_TD10;
    if (out->version == TDX_QUOTE_V5) {
        bool got = take_u16(in, &out->body_type) && take_u32(in, &len);
        if (!need(got, faults, TDX_FAULT_TRUNCATED))
            return false;
    }
    bool fits = (out->body_type == TDX_BODY_TD10 && len == TD10_LEN) ||
                (out->body_type == TDX_BODY_TD15 && len == TD15_LEN);
    if (!need(fits, faults, TDX_FAULT_BODY_TYPE))
        return false;
    return need(bytes_take(in, len, &out->body), faults, TDX_FAULT_TRUNCATED);
}

/* The innermost part: what the quoting enclave is and who vouches for it. */
static void read_qe_part(bytes in, struct tdx_quote *out, struct tdx_faults *faults)
{
    uint16_t auth_len;
    uint16_t type;
    uint32_t len;
    bool got = bytes_take(&in, QE_REPORT_LEN, &out->qe_report) &&
               bytes_take(&in, PAIR_LEN, &out->qe_signature) && take_u16(&in, &auth_len) &&
               bytes_take(&in, auth_len, &out->qe_auth) && take_u16(&in, &type) &&
               take_u32(&in, &len);
    if (!need(got && len == in.len, faults, TDX_FAULT_LENGTHS))
        return;
    if (need(type == CERT_DATA_PCK_CHAIN, faults, TDX_FAULT_CERT_DATA_TYPE))
        out->pck_chain = in;
}

static void read_signature_data(bytes in, struct tdx_quote *out, struct tdx_faults *faults)
{
    uint16_t type;
    uint32_t len;
    bool got = bytes_take(&in, PAIR_LEN, &out->signature) && bytes_take(&in, PAIR_LEN, &out->key);
    if (!need(got, faults, TDX_FAULT_TRUNCATED))
        return;
    if (!need(in.len > 0, faults, TDX_FAULT_NO_CERT_DATA))
        return;
    got = take_u16(&in, &type) && take_u32(&in, &len);
    if (!need(got && len == in.len, faults, TDX_FAULT_LENGTHS))
        return;
    if (need(type == CERT_DATA_QE_REPORT, faults, TDX_FAULT_CERT_DATA_TYPE))
        read_qe_part(in, out, faults);
}

void tdx_quote_read(bytes in, struct tdx_quote *out, struct tdx_faults *faults)
{
    bytes rest = in;
    bytes signature_data;
    uint32_t len;
    *out = (struct tdx_quote){ 0 };
    if (!need(in.len <= TDX_QUOTE_MAX, faults, TDX_FAULT_TOO_LARGE))
        return;
    if (!read_header(&rest, out, faults) || !read_descriptor(&rest, out, faults))
        return;
    out->signed_part = bytes_slice(in, 0, in.len - rest.len);
    if (!need(take_u32(&rest, &len), faults, TDX_FAULT_TRUNCATED))
        return;
    if (!need(bytes_take(&rest, len, &signature_data), faults, TDX_FAULT_LENGTHS))
        return;
    out->trailing = rest.len;
    out->trailing_zeros = is_zero(rest);
    fault_if(faults, !out->trailing_zeros, TDX_FAULT_TRAILING_DATA);
    read_signature_data(signature_data, out, faults);
}

bytes tdx_quote_field(const struct tdx_quote *q, enum tdx_field field)
{
    bytes found = bytes_slice(q->body, fields[field].at, fields[field].len);
    return found.len == fields[field].len ? found : (bytes){ 0 };
}

const char *tdx_field_name(enum tdx_field field)
{
    return fields[field].name;
}

uint64_t tdx_quote_attributes(const struct tdx_quote *q)
{
    return load_le(tdx_quote_field(q, TDX_TD_ATTRIBUTES));
}

bool tdx_qe_report_read(bytes report, struct tdx_qe_report *out)
{
    *out = (struct tdx_qe_report){ 0 };
    if (report.len != QE_REPORT_LEN)
        return false;
    out->miscselect = bytes_slice(report, 16, 4);
    out->attributes = bytes_slice(report, 48, 16);
    out->mrenclave = bytes_slice(report, 64, 32);
    out->mrsigner = bytes_slice(report, 128, 32);
    out->isvprodid = (uint16_t)load_le(bytes_slice(report, 256, 2));
    out->isvsvn = (uint16_t)load_le(bytes_slice(report, 258, 2));
    out->report_data = bytes_slice(report, 320, 64);
    return true;
}

err tdx_report_read(bytes in, struct tdx_report *out)
{
    enum { TDINFO_AT = 512 };
    ENSURE(in.len == TDX_REPORT_LEN && in.at[0] == TEE_TYPE_TDX, MALFORMED);
    bytes info = bytes_slice(in, TDINFO_AT, in.len);
    *out = (struct tdx_report){ .report_data = bytes_slice(in, 128, TDX_REPORT_DATA_LEN),
                                .attributes = bytes_slice(info, 0, 8),
                                .xfam = bytes_slice(info, 8, 8),
                                .mrtd = bytes_slice(info, 16, TDX_REGISTER_LEN),
                                .mrconfigid = bytes_slice(info, 64, TDX_REGISTER_LEN),
                                .mrowner = bytes_slice(info, 112, TDX_REGISTER_LEN),
                                .mrownerconfig = bytes_slice(info, 160, TDX_REGISTER_LEN) };
    for (size_t i = 0; i < ARRAY_LEN(out->rtmr); i++)
        out->rtmr[i] = bytes_slice(info, 208 + i * TDX_REGISTER_LEN, TDX_REGISTER_LEN);
    return OK;
}
