#include "attest/snp_parse.h"
#include "tests/lib/law.h"

static uint8_t report[SNP_REPORT_LEN];

/* Every byte differs from its neighbours; the signature is in its bounds. */
static bytes a_report(uint8_t version)
{
    for (size_t i = 0; i < sizeof report; i++)
        report[i] = (uint8_t)(i * 7 + 3);
    memset(report, 0, 4);
    report[0] = version;
    memset(report + 0x2a0 + 48, 0, 24);
    memset(report + 0x2a0 + 72 + 48, 0, 512 - 72 - 48);
    return BYTES_ARRAY(report);
}

static void strings_stand_where_the_table_says(void **state)
{
    (void)state;
    struct snp_report r;
    CHECK_OK(snp_report_read(a_report(5), &r));
    const struct {
        bytes got;
        size_t at, len;
    } rows[] = {
        { r.family_id, 0x10, 16 },          { r.image_id, 0x20, 16 },
        { r.report_data, 0x50, 64 },        { r.measurement, 0x90, 48 },
        { r.host_data, 0xc0, 32 },          { r.id_key_digest, 0xe0, 48 },
        { r.author_key_digest, 0x110, 48 }, { r.report_id, 0x140, 32 },
        { r.report_id_ma, 0x160, 32 },      { r.chip_id, 0x1a0, 64 },
        { r.signed_part, 0, 0x2a0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_BYTES(rows[i].got, bytes_of(report + rows[i].at, rows[i].len));
    CHECK_BYTES(BYTES_ARRAY(r.current.raw), bytes_of(report + 0x38, 8));
    CHECK_BYTES(BYTES_ARRAY(r.reported.raw), bytes_of(report + 0x180, 8));
    CHECK_BYTES(BYTES_ARRAY(r.committed.raw), bytes_of(report + 0x1e0, 8));
    CHECK_BYTES(BYTES_ARRAY(r.launch.raw), bytes_of(report + 0x1f0, 8));
}

static void numbers_are_little_endian(void **state)
{
    (void)state;
    struct snp_report r;
    (void)a_report(5);
    memcpy(report + 4, "\x01\x02\x03\x04", 4);
    memcpy(report + 8, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    memcpy(report + 0x48, "\x1e\x00\x00\x00", 4);
    memcpy(report + 0x1e8, "\x04\x34\x01\x00\x05\x35\x02", 7);
    memcpy(report + 0x1f8, "\x0b\x00\x00\x00\x00\x00\x00\x80", 8);
    CHECK_OK(snp_report_read(BYTES_ARRAY(report), &r));
    CHECK(r.version == 5 && r.guest_svn == 0x04030201);
    CHECK(r.policy == UINT64_C(0x0807060504030201));
    CHECK(!r.author_key_en && r.mask_chip_key && r.signing_key == SNP_KEY_NONE);
    CHECK(r.current_version.major == 1 && r.current_version.minor == 0x34);
    CHECK(r.current_version.build == 4 && r.committed_version.major == 2);
    CHECK(r.launch_mit == UINT64_C(0x800000000000000b));
    memcpy(report + 0x48, "\x05\x00\x00\x00", 4);
    CHECK_OK(snp_report_read(BYTES_ARRAY(report), &r));
    CHECK(r.author_key_en && !r.mask_chip_key && r.signing_key == SNP_KEY_VLEK);
}

static void fields_that_came_later_are_not_read_from_earlier_versions(void **state)
{
    (void)state;
    struct snp_report r;
    CHECK_OK(snp_report_read(a_report(2), &r));
    CHECK(!r.has_cpuid && r.product == SNP_UNKNOWN && r.family == 0 && r.launch_mit == 0);
    (void)a_report(3);
    memcpy(report + 0x188, "\x1a\x02\x01", 3);
    CHECK_OK(snp_report_read(BYTES_ARRAY(report), &r));
    CHECK(r.has_cpuid && r.product == SNP_TURIN && r.stepping == 1 && r.current_mit == 0);
    CHECK_OK(snp_report_read(a_report(4), &r));
    CHECK(r.has_cpuid && r.current_mit == 0);
}

static void the_signature_is_turned_round(void **state)
{
    (void)state;
    struct snp_report r;
    CHECK_OK(snp_report_read(a_report(2), &r));
    CHECK(r.signature_fits);
    for (size_t i = 0; i < 48; i++) {
        CHECK(r.signature[i] == report[0x2a0 + 47 - i]);
        CHECK(r.signature[48 + i] == report[0x2a0 + 72 + 47 - i]);
    }
}

static void a_signature_over_its_bounds_is_told(void **state)
{
    (void)state;
    struct snp_report r;
    for (size_t at = 0x2a0; at < sizeof report; at++) {
        bool part = (at < 0x2a0 + 48) || (at >= 0x2a0 + 72 && at < 0x2a0 + 72 + 48);
        (void)a_report(2);
        report[at] ^= 0x80;
        CHECK_OK(snp_report_read(BYTES_ARRAY(report), &r));
        CHECK(r.signature_fits == part);
    }
}

static void only_its_length_and_known_versions_are_read(void **state)
{
    (void)state;
    struct snp_report r;
    uint8_t longer[SNP_REPORT_LEN + 1] = { 2 };
    CHECK_OK(snp_report_read(bytes_of(longer, SNP_REPORT_LEN), &r));
    CHECK_ERR(snp_report_read(bytes_of(longer, SNP_REPORT_LEN + 1), &r), MALFORMED);
    CHECK_ERR(snp_report_read(bytes_of(longer, SNP_REPORT_LEN - 1), &r), MALFORMED);
    CHECK_ERR(snp_report_read((bytes){ 0 }, &r), MALFORMED);
    CHECK_ERR(snp_report_read(a_report(SNP_VERSION_MIN - 1), &r), UNSUPPORTED);
    CHECK_ERR(snp_report_read(a_report(SNP_VERSION_MAX + 1), &r), UNSUPPORTED);
    CHECK(r.version == SNP_VERSION_MAX + 1);
    CHECK_OK(snp_report_read(a_report(SNP_VERSION_MAX), &r));
    report[3] = 1;
    CHECK_ERR(snp_report_read(BYTES_ARRAY(report), &r), UNSUPPORTED);
}

static void product_lines_are_told_apart(void **state)
{
    (void)state;
    CHECK(snp_product_of_cpuid(0x19, 0x01) == SNP_MILAN);
    CHECK(snp_product_of_cpuid(0x19, 0x11) == SNP_GENOA);
    CHECK(snp_product_of_cpuid(0x19, 0xa0) == SNP_GENOA);
    CHECK(snp_product_of_cpuid(0x1a, 0x11) == SNP_TURIN);
    CHECK(snp_product_of_cpuid(0x1a, 0x12) == SNP_UNKNOWN);
    CHECK(snp_product_of_cpuid(0x19, 0x20) == SNP_UNKNOWN);
    CHECK(snp_product_of_cpuid(0x17, 0x01) == SNP_UNKNOWN);
    CHECK(snp_product_of_name(BYTES_LIT("Milan-B0")) == SNP_MILAN);
    CHECK(snp_product_of_name(BYTES_LIT("Siena")) == SNP_GENOA);
    CHECK(snp_product_of_name(BYTES_LIT("Milano")) == SNP_UNKNOWN);
    CHECK(snp_product_of_name(BYTES_LIT("Mila")) == SNP_UNKNOWN);
    CHECK(snp_product_of_name((bytes){ 0 }) == SNP_UNKNOWN);
    assert_string_equal(snp_product_name(SNP_TURIN), "Turin");
    assert_string_equal(snp_product_name((enum snp_product)99), "unknown");
}

static void the_parts_of_a_tcb_stand_in_the_order_of_their_line(void **state)
{
    (void)state;
    struct snp_tcb tcb = { { 10, 11, 12, 13, 14, 15, 16, 17 } };
    static const uint8_t milan[SNP_PARTS] = { 0, 10, 11, 16, 17 };
    static const uint8_t turin[SNP_PARTS] = { 10, 11, 12, 13, 17 };
    for (unsigned i = 0; i < SNP_PARTS; i++) {
        CHECK(snp_tcb_part(&tcb, SNP_MILAN, (enum snp_part)i) == milan[i]);
        CHECK(snp_tcb_part(&tcb, SNP_GENOA, (enum snp_part)i) == milan[i]);
        CHECK(snp_tcb_part(&tcb, SNP_UNKNOWN, (enum snp_part)i) == milan[i]);
        CHECK(snp_tcb_part(&tcb, SNP_TURIN, (enum snp_part)i) == turin[i]);
    }
    CHECK(snp_tcb_place(SNP_MILAN, SNP_PARTS) == -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_stand_where_the_table_says),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(fields_that_came_later_are_not_read_from_earlier_versions),
        cmocka_unit_test(the_signature_is_turned_round),
        cmocka_unit_test(a_signature_over_its_bounds_is_told),
        cmocka_unit_test(only_its_length_and_known_versions_are_read),
        cmocka_unit_test(product_lines_are_told_apart),
        cmocka_unit_test(the_parts_of_a_tcb_stand_in_the_order_of_their_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
