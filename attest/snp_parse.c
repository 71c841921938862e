#include "attest/snp_parse.h"

#include "base/attr.h"

static const char *const product_names[SNP_PRODUCTS] = {
    [SNP_UNKNOWN] = "unknown",
    [SNP_MILAN] = "Milan",
    [SNP_GENOA] = "Genoa",
    [SNP_TURIN] = "Turin",
};

const char *snp_product_name(enum snp_product p)
{
    return product_names[(unsigned)p < SNP_PRODUCTS ? p : SNP_UNKNOWN];
}

enum snp_product snp_product_of_cpuid(uint8_t family, uint8_t model)
{
    static const struct {
        uint8_t family, first, last;
        enum snp_product product;
    } lines[] = {
        { 0x19, 0x00, 0x0f, SNP_MILAN },
        { 0x19, 0x10, 0x1f, SNP_GENOA },
        { 0x19, 0xa0, 0xaf, SNP_GENOA },
        { 0x1a, 0x00, 0x11, SNP_TURIN },
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (family == lines[i].family && model >= lines[i].first && model <= lines[i].last)
            return lines[i].product;
    }
    return SNP_UNKNOWN;
}

/* A stepping may follow the name of the line after a hyphen. */
static bool is_line(bytes name, const char *line)
{
    bytes word = bytes_str(line);
    return bytes_starts(name, word) && (name.len == word.len || name.at[word.len] == '-');
}

enum snp_product snp_product_of_name(bytes name)
{
    static const struct {
        const char *name;
        enum snp_product product;
    } lines[] = {
        { "Milan", SNP_MILAN }, { "Genoa", SNP_GENOA }, { "Bergamo", SNP_GENOA },
        { "Siena", SNP_GENOA }, { "Turin", SNP_TURIN },
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (is_line(name, lines[i].name))
            return lines[i].product;
    }
    return SNP_UNKNOWN;
}

int snp_tcb_place(enum snp_product p, enum snp_part part)
{
    static const int milan[SNP_PARTS] = { -1, 0, 1, 6, 7 };
    static const int turin[SNP_PARTS] = { 0, 1, 2, 3, 7 };
    if ((unsigned)part >= SNP_PARTS)
        return -1;
    return p == SNP_TURIN ? turin[part] : milan[part];
}

uint8_t snp_tcb_part(const struct snp_tcb *tcb, enum snp_product p, enum snp_part part)
{
    int place = snp_tcb_place(p, part);
    return place < 0 ? 0 : tcb->raw[place];
}

/* --- the report ------------------------------------------------------------------------------ */

enum { COMPONENT_LEN = 72, COMPONENT_USED = 48, SIGNATURE_AT = 0x2a0 };

static uint32_t u32_at(bytes in, size_t at)
{
    const uint8_t *p = in.at + at;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64_at(bytes in, size_t at)
{
    return u32_at(in, at) | (uint64_t)u32_at(in, at + 4) << 32;
}

static struct snp_tcb tcb_at(bytes in, size_t at)
{
    struct snp_tcb tcb;
    memcpy(tcb.raw, in.at + at, sizeof tcb.raw);
    return tcb;
}

static struct snp_firmware firmware_at(bytes in, size_t at)
{
    return (
        struct snp_firmware){ .build = in.at[at], .minor = in.at[at + 1], .major = in.at[at + 2] };
}

static void read_numbers(bytes in, struct snp_report *out)
{
    uint32_t flags = u32_at(in, 0x48);
    out->guest_svn = u32_at(in, 0x04);
    out->policy = u64_at(in, 0x08);
    out->vmpl = u32_at(in, 0x30);
    out->sig_algo = u32_at(in, 0x34);
    out->platform_info = u64_at(in, 0x40);
    out->author_key_en = (flags & 1) != 0;
    out->mask_chip_key = (flags & 2) != 0;
    out->signing_key = flags >> 2 & 7;
    out->current = tcb_at(in, 0x38);
    out->reported = tcb_at(in, 0x180);
    out->committed = tcb_at(in, 0x1e0);
    out->launch = tcb_at(in, 0x1f0);
    out->current_version = firmware_at(in, 0x1e8);
    out->committed_version = firmware_at(in, 0x1ec);
}

static void read_newer(bytes in, struct snp_report *out)
{
    out->has_cpuid = out->version >= 3;
    if (out->has_cpuid) {
        out->family = in.at[0x188];
        out->model = in.at[0x189];
        out->stepping = in.at[0x18a];
        out->product = snp_product_of_cpuid(out->family, out->model);
    }
    if (out->version >= 5) {
        out->launch_mit = u64_at(in, 0x1f8);
        out->current_mit = u64_at(in, 0x200);
    }
}

static void read_strings(bytes in, struct snp_report *out)
{
    out->family_id = bytes_slice(in, 0x10, 16);
    out->image_id = bytes_slice(in, 0x20, 16);
    out->report_data = bytes_slice(in, 0x50, SNP_REPORT_DATA_LEN);
    out->measurement = bytes_slice(in, 0x90, SNP_MEASUREMENT_LEN);
    out->host_data = bytes_slice(in, 0xc0, 32);
    out->id_key_digest = bytes_slice(in, 0xe0, 48);
    out->author_key_digest = bytes_slice(in, 0x110, 48);
    out->report_id = bytes_slice(in, 0x140, 32);
    out->report_id_ma = bytes_slice(in, 0x160, 32);
    out->chip_id = bytes_slice(in, 0x1a0, SNP_CHIP_ID_LEN);
    out->signed_part = bytes_slice(in, 0, SNP_SIGNED_LEN);
}

static bool is_zero(bytes in)
{
    uint8_t any = 0;
    for (size_t i = 0; i < in.len; i++)
        any |= in.at[i];
    return any == 0;
}

/* Two little-endian numbers in fields of 72 bytes, and zeros up to the end. */
static void read_signature(bytes in, struct snp_report *out)
{
    const uint8_t *r = in.at + SIGNATURE_AT;
    const uint8_t *s = r + COMPONENT_LEN;
    const size_t unused = COMPONENT_LEN - COMPONENT_USED;
    for (size_t i = 0; i < COMPONENT_USED; i++) {
        out->signature[i] = r[COMPONENT_USED - 1 - i];
        out->signature[COMPONENT_USED + i] = s[COMPONENT_USED - 1 - i];
    }
    out->signature_fits = is_zero(bytes_of(r + COMPONENT_USED, unused)) &&
                          is_zero(bytes_of(s + COMPONENT_USED, unused)) &&
                          is_zero(bytes_slice(in, SIGNATURE_AT + 2 * COMPONENT_LEN, in.len));
}

_Static_assert((int)SIGNATURE_AT == (int)SNP_SIGNED_LEN, "the signature covers all before it");
_Static_assert(2 * (int)COMPONENT_USED == (int)SNP_SIGNATURE_LEN, "R and S in full");

err snp_report_read(bytes in, struct snp_report *out)
{
    *out = (struct snp_report){ 0 };
    ENSURE(in.len == SNP_REPORT_LEN, MALFORMED);
    out->version = u32_at(in, 0);
    ENSURE(out->version >= SNP_VERSION_MIN && out->version <= SNP_VERSION_MAX, UNSUPPORTED);
    read_numbers(in, out);
    read_newer(in, out);
    read_strings(in, out);
    read_signature(in, out);
    return OK;
}
