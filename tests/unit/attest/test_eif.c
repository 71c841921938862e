/*
 * The images in eif_golden.h were made by AWS's own eif_build, which printed their PCRs; the others
 * are made here.
 */
#include "attest/eif.h"
#include "base/attr.h"
#include "base/text.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/eif_golden.h"

enum { KERNEL = 1, CMDLINE, RAMDISK, SIGNATURE, METADATA, IMAGE_MAX = 64 * 1024 };

struct part {
    unsigned kind;
    const char *data;
};

static const struct part usual[] = {
    { KERNEL, "kernel" }, { CMDLINE, "quiet" },  { METADATA, "{}" },
    { RAMDISK, "first" }, { RAMDISK, "second" },
};

static void put_number(struct buf *out, size_t at, uint64_t v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out->at[at + i] = (uint8_t)(v >> 8 * (len - 1 - i));
}

static uint32_t crc_of(bytes in)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < in.len; i++) {
        if (i >= 0x220 && i < 0x224)
            continue;
        crc ^= in.at[i];
        for (int k = 0; k < 8; k++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320U : crc >> 1;
    }
    return ~crc;
}

static void seal(struct buf *image)
{
    put_number(image, 0x220, crc_of(buf_view(image)), 4);
}

static struct buf image_of(unsigned version, const struct part *parts, size_t n)
{
    struct buf out = BUF(IMAGE_MAX);
    CHECK_OK(buf_add_str(&out, ".eif"));
    CHECK_OK(buf_add_zeros(&out, EIF_HEAD_LEN - 4));
    put_number(&out, 4, version, 2);
    put_number(&out, 0x1a, n, 2);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(parts[i].data);
        if (i < EIF_SECTIONS_MAX) {
            put_number(&out, 0x1c + 8 * i, out.len, 8);
            put_number(&out, 0x11c + 8 * i, len, 8);
        }
        CHECK_OK(buf_add_u16be(&out, (uint16_t)parts[i].kind));
        CHECK_OK(buf_add_u16be(&out, 0));
        CHECK_OK(buf_add_u64be(&out, len));
        CHECK_OK(buf_add_str(&out, parts[i].data));
    }
    seal(&out);
    return out;
}

static void agrees_with_the_maker_of_the_format(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(eif_golden); i++) {
        struct eif e;
        BUF_AUTO image = BUF(IMAGE_MAX);
        BUF_AUTO pcr = BUF(SHA384_LEN);
        law_hex(&image, eif_golden[i].image);
        CHECK_OK(eif_measure(buf_view(&image), &e));
        CHECK(e.version == 4 && !e.aarch64 && e.is_signed == eif_golden[i].is_signed);
        for (size_t p = 0; p < EIF_PCRS; p++) {
            buf_truncate(&pcr, 0);
            law_hex(&pcr, eif_golden[i].pcr[p]);
            CHECK_BYTES(BYTES_ARRAY(e.pcr[p]), buf_view(&pcr));
        }
    }
}

static void any_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct eif e;
    BUF_AUTO image = image_of(4, usual, ARRAY_LEN(usual));
    CHECK_OK(eif_measure(buf_view(&image), &e));
    for (size_t i = 0; i < image.len * 8; i++) {
        image.at[i / 8] ^= (uint8_t)(1U << i % 8);
        CHECK(!err_is_ok(eif_measure(buf_view(&image), &e)));
        image.at[i / 8] ^= (uint8_t)(1U << i % 8);
    }
}

static void a_cut_or_longer_image_is_refused(void **state)
{
    (void)state;
    struct eif e;
    BUF_AUTO image = image_of(4, usual, ARRAY_LEN(usual));
    for (size_t n = 0; n < image.len; n++)
        CHECK(!err_is_ok(eif_measure(bytes_slice(buf_view(&image), 0, n), &e)));
    CHECK_OK(buf_add_u8(&image, 0));
    seal(&image);
    CHECK_ERR(eif_measure(buf_view(&image), &e), MALFORMED);
}

static void each_pcr_covers_its_sections_and_no_other(void **state)
{
    (void)state;
    static const unsigned covers[][EIF_PCRS] = {
        { 1, 1, 0 }, { 1, 1, 0 }, { 0, 0, 0 }, { 1, 1, 0 }, { 1, 0, 1 }
    };
    struct eif before, after;
    BUF_AUTO plain = image_of(4, usual, ARRAY_LEN(usual));
    CHECK_OK(eif_measure(buf_view(&plain), &before));
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        struct part changed[ARRAY_LEN(usual)];
        memcpy(changed, usual, sizeof usual);
        changed[i].data = "other";
        BUF_AUTO image = image_of(4, changed, ARRAY_LEN(changed));
        CHECK_OK(eif_measure(buf_view(&image), &after));
        for (size_t p = 0; p < EIF_PCRS; p++)
            CHECK(bytes_equal(BYTES_ARRAY(before.pcr[p]), BYTES_ARRAY(after.pcr[p])) !=
                  (covers[i][p] != 0));
    }
}

static void versions_and_their_sections_are_told_apart(void **state)
{
    (void)state;
    static const struct part older[] = {
        { KERNEL, "k" }, { CMDLINE, "c" }, { RAMDISK, "r" }, { SIGNATURE, "s" }
    };
    struct eif e;
    for (unsigned version = 0; version < 6; version++) {
        BUF_AUTO with = image_of(version, usual, ARRAY_LEN(usual));
        BUF_AUTO without = image_of(version, older, ARRAY_LEN(older));
        CHECK(err_is_ok(eif_measure(buf_view(&with), &e)) == (version == 4));
        bool fine = err_is_ok(eif_measure(buf_view(&without), &e));
        CHECK(fine == (version == 2 || version == 3));
        CHECK(!fine || (e.is_signed && e.version == version));
    }
}

static void what_the_hypervisor_would_not_start_is_refused(void **state)
{
    (void)state;
    static const struct part no_kernel[] = { { CMDLINE, "c" }, { RAMDISK, "r" } };
    static const struct part two_kernels[] = {
        { KERNEL, "k" }, { KERNEL, "k" }, { CMDLINE, "c" }, { RAMDISK, "r" }
    };
    static const struct part early[] = { { RAMDISK, "r" }, { KERNEL, "k" }, { CMDLINE, "c" } };
    static const struct part unknown[] = {
        { KERNEL, "k" }, { CMDLINE, "c" }, { RAMDISK, "r" }, { 6, "x" }
    };
    static const struct part no_disk[] = { { KERNEL, "k" }, { CMDLINE, "c" } };
    static const struct {
        const struct part *parts;
        size_t n;
    } cases[] = {
        { no_kernel, 2 }, { two_kernels, 4 }, { early, 3 }, { unknown, 4 }, { no_disk, 2 }
    };
    struct eif e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        BUF_AUTO image = image_of(3, cases[i].parts, cases[i].n);
        CHECK(!err_is_ok(eif_measure(buf_view(&image), &e)));
    }
    CHECK_ERR(eif_measure(BYTES_LIT("elf?"), &e), UNSUPPORTED);
}

static void as_many_sections_as_fit_and_no_more(void **state)
{
    (void)state;
    struct part parts[EIF_SECTIONS_MAX + 1];
    struct eif e;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        parts[i] = (struct part){ i < 2 ? KERNEL + (unsigned)i : RAMDISK, "x" };
    BUF_AUTO most = image_of(3, parts, EIF_SECTIONS_MAX);
    CHECK_OK(eif_measure(buf_view(&most), &e));
    BUF_AUTO over = image_of(3, parts, EIF_SECTIONS_MAX + 1);
    CHECK_ERR(eif_measure(buf_view(&over), &e), MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_maker_of_the_format),
        cmocka_unit_test(any_flipped_bit_is_noticed),
        cmocka_unit_test(a_cut_or_longer_image_is_refused),
        cmocka_unit_test(each_pcr_covers_its_sections_and_no_other),
        cmocka_unit_test(versions_and_their_sections_are_told_apart),
        cmocka_unit_test(what_the_hypervisor_would_not_start_is_refused),
        cmocka_unit_test(as_many_sections_as_fit_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
