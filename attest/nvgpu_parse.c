#include "attest/nvgpu_parse.h"

#include "base/attr.h"

enum {
    REQUEST_LEN = 37,
    RESPONSE_HEAD_LEN = 8,
    BLOCK_HEAD_LEN = 7,
    VALUE_HEAD_LEN = 3, /* of a block: what its size counts beside the value */
    DMTF = 1,
    GPUS_OF_SWITCH = 8
};

static bool take_u16(bytes *in, uint16_t *out)
{
    bytes b;
    if (!bytes_take(in, 2, &b))
        return false;
    *out = (uint16_t)(b.at[0] | b.at[1] << 8);
    return true;
}

/* --- measurements ------------------------------------------------------------------------------ */

static bool take_block(bytes *in, struct nvgpu_report *r)
{
    bytes head, value;
    if (!bytes_take(in, BLOCK_HEAD_LEN, &head))
        return false;
    size_t index = head.at[0], size = (size_t)(head.at[2] | head.at[3] << 8);
    size_t len = (size_t)(head.at[5] | head.at[6] << 8);
    if (index == 0 || index > NVGPU_INDEX_MAX || r->measurements[index].len > 0)
        return false;
    if (head.at[1] != DMTF || size != len + VALUE_HEAD_LEN || len != NVGPU_DIGEST_LEN)
        return false;
    if (!bytes_take(in, len, &value))
        return false;
    r->measurements[index] = value;
    return true;
}

static bool read_record(bytes record, struct nvgpu_report *r)
{
    for (size_t i = 0; i < r->blocks_n; i++) {
        if (!take_block(&record, r))
            return false;
    }
    return record.len == 0;
}

/* --- opaque data ------------------------------------------------------------------------------- */

static bool take_opaque_field(bytes *in, struct nvgpu_report *r)
{
    struct nvgpu_field f;
    uint16_t len;
    if (r->fields_n == NVGPU_FIELDS_MAX || !take_u16(in, &f.type) || !take_u16(in, &len) ||
        !bytes_take(in, len, &f.value))
        return false;
    for (size_t i = 0; i < r->fields_n; i++) {
        if (r->fields[i].type == f.type)
            return false;
    }
    r->fields[r->fields_n++] = f;
    return true;
}

bytes nvgpu_field(const struct nvgpu_report *r, enum nvgpu_field_type type)
{
    for (size_t i = 0; i < r->fields_n; i++) {
        if (r->fields[i].type == (uint16_t)type)
            return r->fields[i].value;
    }
    return (bytes){ 0 };
}

bytes nvgpu_field_text(const struct nvgpu_report *r, enum nvgpu_field_type type)
{
    bytes text = nvgpu_field(r, type);
    while (text.len > 0 && text.at[text.len - 1] == '\0')
        text.len--;
    return text;
}

static bool is_printable(bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] <= ' ' || text.at[i] > '~')
            return false;
    }
    return true;
}

static bool copy_text(bytes text, char to[static NVGPU_TEXT_MAX + 1])
{
    if (text.len > NVGPU_TEXT_MAX || !is_printable(text))
        return false;
    if (text.len > 0)
        memcpy(to, text.at, text.len);
    to[text.len] = '\0';
    return true;
}

/* A GPU has it as eight bytes, of which five are the version; a switch as text. */
static bool copy_vbios(const struct nvgpu_report *r, char to[static NVGPU_TEXT_MAX + 1])
{
    static const char digits[] = "0123456789ABCDEF";
    static const uint8_t order[] = { 3, 2, 1, 0, 4 };
    bytes raw = nvgpu_field(r, NVGPU_FIELD_VBIOS), text = nvgpu_field_text(r, NVGPU_FIELD_VBIOS);
    if (raw.len != NVGPU_PDI_LEN || (text.len == raw.len && is_printable(text)))
        return copy_text(text, to);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        uint8_t b = raw.at[order[i]];
        *to++ = digits[b >> 4];
        *to++ = digits[b & 15];
        *to++ = i + 1 < ARRAY_LEN(order) ? '.' : '\0';
    }
    return true;
}

static bool read_opaque(bytes in, struct nvgpu_report *r)
{
    while (in.len > 0) {
        if (!take_opaque_field(&in, r))
            return false;
    }
    return copy_text(nvgpu_field_text(r, NVGPU_FIELD_DRIVER), r->driver) && copy_vbios(r, r->vbios);
}

/* --- the whole --------------------------------------------------------------------------------- */

static bool take_request(bytes *in, struct nvgpu_report *r)
{
    static const uint8_t head[] = { 0x11, 0xE0, 0x01, 0xFF };
    bytes request;
    if (!bytes_take(in, REQUEST_LEN, &request) || !bytes_starts(request, BYTES_ARRAY(head)))
        return false;
    r->request_nonce = bytes_slice(request, sizeof head, NVGPU_NONCE_LEN);
    return true;
}

static bool take_response(bytes *in, struct nvgpu_report *r)
{
    bytes head, record, opaque;
    uint16_t opaque_len;
    if (!bytes_take(in, RESPONSE_HEAD_LEN, &head) || head.at[0] != 0x11 || head.at[1] != 0x60)
        return false;
    r->blocks_n = head.at[4];
    r->record_len = (size_t)head.at[5] | (size_t)head.at[6] << 8 | (size_t)head.at[7] << 16;
    if (!bytes_take(in, r->record_len, &record) || !read_record(record, r) ||
        !bytes_take(in, NVGPU_NONCE_LEN, &r->response_nonce) || !take_u16(in, &opaque_len) ||
        !bytes_take(in, opaque_len, &opaque))
        return false;
    r->opaque_len = opaque_len;
    return read_opaque(opaque, r);
}

static bool is_zero(bytes b)
{
    for (size_t i = 0; i < b.len; i++) {
        if (b.at[i] != 0)
            return false;
    }
    return true;
}

static bool read_all(bytes in, struct nvgpu_report *r)
{
    bytes rest = in;
    if (in.len > NVGPU_EVIDENCE_MAX || !take_request(&rest, r) || !take_response(&rest, r))
        return false;
    r->signed_part = bytes_slice(in, 0, in.len - rest.len);
    return bytes_take(&rest, NVGPU_SIGNATURE_LEN, &r->signature) && is_zero(rest);
}

bool nvgpu_parse(bytes in, struct nvgpu_report *out)
{
    *out = (struct nvgpu_report){ 0 };
    if (read_all(in, out))
        return true;
    *out = (struct nvgpu_report){ 0 };
    return false;
}

/* --- who is linked to whom --------------------------------------------------------------------- */

static bool is_before(const uint8_t *a, const uint8_t *b)
{
    size_t i = 0;
    while (i + 1 < NVGPU_PDI_LEN && a[i] == b[i])
        i++;
    return a[i] < b[i];
}

/* Keeps the list sorted and without repetitions. */
static size_t insert(uint8_t list[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN], size_t n,
                     const uint8_t pdi[static NVGPU_PDI_LEN])
{
    size_t at = 0;
    while (at < n && is_before(list[at], pdi))
        at++;
    if (at < n && !is_before(pdi, list[at]))
        return n;
    memmove(list[at + 1], list[at], (n - at) * NVGPU_PDI_LEN);
    memcpy(list[at], pdi, NVGPU_PDI_LEN);
    return n + 1;
}

static size_t gather(bytes field, size_t most, bool reversed,
                     uint8_t out[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN])
{
    size_t n = 0;
    bytes one;
    for (size_t i = 0; i < most && bytes_take(&field, NVGPU_PDI_LEN, &one); i++) {
        uint8_t pdi[NVGPU_PDI_LEN];
        for (size_t k = 0; k < NVGPU_PDI_LEN; k++)
            pdi[k] = one.at[reversed ? NVGPU_PDI_LEN - 1 - k : k];
        if (!is_zero(one) && n < NVGPU_PDIS_MAX)
            n = insert(out, n, pdi);
    }
    return n;
}

size_t nvgpu_switch_pdis(const struct nvgpu_report *gpu,
                         uint8_t out[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN])
{
    return gather(nvgpu_field(gpu, NVGPU_FIELD_SWITCH_PDIS), NVGPU_PDIS_MAX, true, out);
}

size_t nvgpu_gpu_pdis(const struct nvgpu_report *nvswitch,
                      uint8_t out[static NVGPU_PDIS_MAX][NVGPU_PDI_LEN])
{
    return gather(nvgpu_field(nvswitch, NVGPU_FIELD_GPU_PDIS), GPUS_OF_SWITCH, false, out);
}
