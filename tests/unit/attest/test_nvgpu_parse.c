#include "attest/nvgpu_parse.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

enum { BLOCKS_AT = 37 + 8, BLOCK_LEN = 55 };

static struct nvgpu_maker m;
static struct nvgpu_made *gpu;
static struct nvgpu_report report;

static bool parses(void)
{
    return nvgpu_parse(buf_view(&gpu->evidence), &report);
}

static void every_part_is_found(void **state)
{
    (void)state;
    CHECK(parses());
    CHECK_BYTES(report.request_nonce, BYTES_ARRAY(m.nonce));
    CHECK(report.blocks_n == NVGPU_MAKER_BLOCKS && report.record_len == 4 * BLOCK_LEN);
    CHECK_BYTES(report.measurements[3], BYTES_ARRAY(gpu->digests[2]));
    CHECK(report.measurements[5].len == 0);
    assert_string_equal(report.driver, "550.90.07");
    assert_string_equal(report.vbios, "96.00.9F.00.01");
    CHECK_BYTES(nvgpu_field_text(&report, NVGPU_FIELD_DRIVER), BYTES_LIT("550.90.07"));
    CHECK(nvgpu_field(&report, NVGPU_FIELD_FWID).at == NULL);
    CHECK(report.signed_part.len + NVGPU_SIGNATURE_LEN == gpu->evidence.len);
}

static void only_zeros_may_stand_behind_the_signature(void **state)
{
    (void)state;
    CHECK_OK(buf_add_zeros(&gpu->evidence, 2));
    CHECK(parses());
    gpu->evidence.at[gpu->evidence.len - 1] = 1;
    CHECK(!parses());
    CHECK(report.signed_part.at == NULL);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < gpu->evidence.len; n++)
        CHECK(!nvgpu_parse(bytes_of(gpu->evidence.at, n), &report));
}

static bool with_byte(size_t at, uint8_t to)
{
    nvgpu_maker_evidence(&m, gpu);
    gpu->evidence.at[at] = to;
    return parses();
}

static void lengths_and_indexes_have_to_fit(void **state)
{
    (void)state;
    CHECK(with_byte(0, 0x11));
    CHECK(!with_byte(0, 0x12));
    CHECK(!with_byte(1, 0xe1));
    CHECK(!with_byte(38, 0x7f));
    CHECK(!with_byte(41, 3));
    CHECK(!with_byte(42, 0xdb));
    CHECK(!with_byte(BLOCKS_AT, 0));
    CHECK(!with_byte(BLOCKS_AT, 2));
    CHECK(!with_byte(BLOCKS_AT, NVGPU_INDEX_MAX + 1));
    CHECK(with_byte(BLOCKS_AT, NVGPU_INDEX_MAX));
    CHECK(!with_byte(BLOCKS_AT + 1, 2));
    CHECK(!with_byte(BLOCKS_AT + 2, 0x32));
    CHECK(!with_byte(BLOCKS_AT + 5, 0x2f));
}

static void a_report_over_its_limit_is_refused(void **state)
{
    (void)state;
    struct buf *e = &gpu->evidence;
    CHECK_OK(buf_add_zeros(e, NVGPU_EVIDENCE_MAX - e->len));
    CHECK(parses());
    CHECK_OK(buf_add_u8(e, 0));
    CHECK(!parses());
}

static void linked_devices_are_listed_once_and_in_order(void **state)
{
    (void)state;
    uint8_t pdis[NVGPU_PDIS_MAX][NVGPU_PDI_LEN];
    static const uint8_t field[] = { 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0,
                                     9, 7, 6, 5, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1 };
    gpu->pdis = BYTES_ARRAY(field);
    nvgpu_maker_evidence(&m, gpu);
    CHECK(parses());
    CHECK(nvgpu_switch_pdis(&report, pdis) == 2);
    CHECK_BYTES(BYTES_ARRAY(pdis[0]), BYTES_LIT("\x01\x02\x03\x04\x05\x06\x07\x08"));
    CHECK_BYTES(BYTES_ARRAY(pdis[1]), BYTES_LIT("\x01\x02\x03\x04\x05\x06\x07\x09"));
    CHECK(nvgpu_gpu_pdis(&report, pdis) == 0);
    gpu->gpu_pdis = BYTES_ARRAY(field);
    nvgpu_maker_evidence(&m, gpu);
    CHECK(parses());
    CHECK(nvgpu_gpu_pdis(&report, pdis) == 2);
    CHECK_BYTES(BYTES_ARRAY(pdis[0]), BYTES_LIT("\x08\x07\x06\x05\x04\x03\x02\x01"));
}

static void a_text_that_is_none_is_refused(void **state)
{
    (void)state;
    gpu->driver = "550 90";
    nvgpu_maker_evidence(&m, gpu);
    CHECK(!parses());
    gpu->driver = "12345678901234567890123456789012";
    nvgpu_maker_evidence(&m, gpu);
    CHECK(parses());
    gpu->driver = "123456789012345678901234567890123";
    nvgpu_maker_evidence(&m, gpu);
    CHECK(!parses());
}

static int setup(void **state)
{
    (void)state;
    nvgpu_maker_open(&m);
    gpu = nvgpu_maker_add(&m, NVGPU_GPU);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nvgpu_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_part_is_found),
        TEST(only_zeros_may_stand_behind_the_signature),
        TEST(every_cut_is_refused),
        TEST(lengths_and_indexes_have_to_fit),
        TEST(a_report_over_its_limit_is_refused),
        TEST(linked_devices_are_listed_once_and_in_order),
        TEST(a_text_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
