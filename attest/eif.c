#include "attest/eif.h"

#include "base/attr.h"

enum { VERSION_LEAST = 2, VERSION_WITH_METADATA = 4, COUNT_LEAST = 2 };
enum { AT_VERSION = 0x04, AT_FLAGS = 0x06, AT_COUNT = 0x1a, AT_OFFSETS = 0x1c, AT_SIZES = 0x11c };
enum { AT_CRC = 0x220, CRC_LEN = 4 };

/* As in the file. */
enum kind { KERNEL = 1, CMDLINE, RAMDISK, SIGNATURE, METADATA, KINDS };

struct section {
    enum kind kind;
    bytes data;
};

static uint64_t number(bytes in, size_t at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++)
        v = v << 8 | in.at[at + i];
    return v;
}

/* --- checksum --------------------------------------------------------------------------------- */

static void make_table(uint32_t table[static 256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ 0xedb88320U : c >> 1;
        table[i] = c;
    }
}

static uint32_t add_crc(const uint32_t table[static 256], uint32_t crc, bytes in)
{
    for (size_t i = 0; i < in.len; i++)
        crc = table[(crc ^ in.at[i]) & 0xff] ^ crc >> 8;
    return crc;
}

static bool crc_fits(bytes image)
{
    uint32_t table[256];
    make_table(table);
    uint32_t crc = add_crc(table, UINT32_MAX, bytes_slice(image, 0, AT_CRC));
    crc = add_crc(table, crc, bytes_slice(image, AT_CRC + CRC_LEN, image.len));
    return (crc ^ UINT32_MAX) == number(image, AT_CRC, CRC_LEN);
}

/* --- sections --------------------------------------------------------------------------------- */

static err read_section(bytes image, size_t i, size_t *at, struct section *out)
{
    uint64_t offset = number(image, AT_OFFSETS + 8 * i, 8);
    uint64_t size = number(image, AT_SIZES + 8 * i, 8);
    ENSURE(offset == *at, MALFORMED);
    ENSURE(image.len - *at >= EIF_SECTION_HEAD_LEN, TRUNCATED);
    uint64_t kind = number(image, *at, 2);
    ENSURE(number(image, *at + 4, 8) == size, MALFORMED);
    ENSURE(size <= image.len - *at - EIF_SECTION_HEAD_LEN, TRUNCATED);
    ENSURE(kind >= KERNEL && kind < KINDS, UNSUPPORTED);
    out->kind = (enum kind)kind;
    out->data = bytes_slice(image, *at + EIF_SECTION_HEAD_LEN, (size_t)size);
    *at += EIF_SECTION_HEAD_LEN + (size_t)size;
    return OK;
}

static bool counts_are_right(const size_t n[static KINDS], unsigned version)
{
    return n[KERNEL] == 1 && n[CMDLINE] == 1 && n[RAMDISK] >= 1 && n[SIGNATURE] <= 1 &&
           n[METADATA] == (version >= VERSION_WITH_METADATA);
}

static err read_sections(bytes image, size_t count, unsigned version, struct section *out)
{
    size_t n[KINDS] = { 0 };
    size_t at = EIF_HEAD_LEN;
    for (size_t i = 0; i < count; i++) {
        TRY(read_section(image, i, &at, &out[i]));
        ENSURE(out[i].kind != RAMDISK || n[KERNEL] == 1, MALFORMED);
        n[out[i].kind]++;
    }
    ENSURE(at == image.len && counts_are_right(n, version), MALFORMED);
    return OK;
}

/* --- measuring -------------------------------------------------------------------------------- */

static void extend(const uint8_t content[static SHA384_LEN], uint8_t out[static SHA384_LEN])
{
    uint8_t both[2 * SHA384_LEN] = { 0 };
    memcpy(both + SHA384_LEN, content, SHA384_LEN);
    sha384_of(BYTES_ARRAY(both), out);
}

/* Which PCRs a section goes into, as bits. */
static unsigned measured_into(enum kind kind, size_t ramdisks_before)
{
    switch (kind) {
    case KERNEL:
    case CMDLINE:
        return 1U << 0 | 1U << 1;
    case RAMDISK:
        return 1U << 0 | (ramdisks_before == 0 ? 1U << 1 : 1U << 2);
    case SIGNATURE:
    case METADATA:
    case KINDS:
        break;
    }
    return 0;
}

static void measure(const struct section *sections, size_t count, struct eif *out)
{
    struct sha512 hash[EIF_PCRS];
    uint8_t content[SHA384_LEN];
    size_t ramdisks = 0;
    for (size_t p = 0; p < EIF_PCRS; p++)
        sha384_init(&hash[p]);
    for (size_t i = 0; i < count; i++) {
        unsigned into = measured_into(sections[i].kind, ramdisks);
        for (size_t p = 0; p < EIF_PCRS; p++) {
            if ((into >> p & 1) != 0)
                sha512_add(&hash[p], sections[i].data);
        }
        ramdisks += sections[i].kind == RAMDISK;
        out->is_signed = out->is_signed || sections[i].kind == SIGNATURE;
    }
    for (size_t p = 0; p < EIF_PCRS; p++) {
        sha384_end(&hash[p], content);
        extend(content, out->pcr[p]);
    }
}

err eif_measure(bytes image, struct eif *out)
{
    struct section sections[EIF_SECTIONS_MAX];
    *out = (struct eif){ 0 };
    ENSURE(bytes_starts(image, BYTES_LIT(".eif")), UNSUPPORTED);
    ENSURE(image.len >= EIF_HEAD_LEN, TRUNCATED);
    unsigned version = (unsigned)number(image, AT_VERSION, 2);
    size_t count = (size_t)number(image, AT_COUNT, 2);
    ENSURE(version >= VERSION_LEAST && version <= VERSION_WITH_METADATA, UNSUPPORTED);
    ENSURE(count >= COUNT_LEAST && count <= EIF_SECTIONS_MAX, MALFORMED);
    TRY(read_sections(image, count, version, sections));
    ENSURE(crc_fits(image), CRYPTO);
    out->version = version;
    out->aarch64 = (number(image, AT_FLAGS, 2) & 1) != 0;
    measure(sections, count, out);
    return OK;
}
