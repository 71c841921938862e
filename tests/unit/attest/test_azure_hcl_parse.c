#include "attest/azure_hcl_parse.h"
#include "tests/lib/law.h"

enum { JSON_AT = 32 + SNP_REPORT_LEN + 20 };

static void put32(uint8_t *at, size_t v)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> 8 * i);
}

static void make(struct buf *out, const char *json)
{
    uint8_t head[JSON_AT] = { 'H', 'C', 'L', 'A', 1 };
    size_t len = strlen(json);
    put32(head + 8, JSON_AT + len);
    head[12] = 2;
    memset(head + 32, 0x55, SNP_REPORT_LEN);
    put32(head + JSON_AT - 20, len + 20);
    head[JSON_AT - 16] = 1;
    head[JSON_AT - 12] = AZURE_REPORT_SNP;
    head[JSON_AT - 8] = AZURE_SHA256;
    put32(head + JSON_AT - 4, len);
    buf_truncate(out, 0);
    CHECK_OK(buf_add(out, BYTES_ARRAY(head)));
    CHECK_OK(buf_add_str(out, json));
}

static void the_parts_are_found(void **state)
{
    (void)state;
    struct azure_hcl h;
    BUF_AUTO in = BUF(AZURE_HCL_MAX);
    make(&in, "{}");
    CHECK_OK(buf_add_zeros(&in, 100)); /* the rest of the index */
    CHECK_OK(azure_hcl_read(buf_view(&in), &h));
    CHECK(h.version == 1 && h.report_type == AZURE_REPORT_SNP && h.hash_type == AZURE_SHA256);
    CHECK_BYTES(h.report, bytes_of(in.at + 32, SNP_REPORT_LEN));
    CHECK_BYTES(h.json, BYTES_LIT("{}"));
}

static void a_part_of_it_is_refused(void **state)
{
    (void)state;
    struct azure_hcl h;
    BUF_AUTO in = BUF(AZURE_HCL_MAX);
    make(&in, "{}");
    for (size_t len = 0; len < in.len; len++)
        CHECK_ERR(azure_hcl_read(bytes_of(in.at, len), &h), TRUNCATED);
    CHECK(h.json.at == NULL);
}

static err read_with(size_t at, size_t value)
{
    struct azure_hcl h;
    BUF_AUTO in = BUF(AZURE_HCL_MAX);
    make(&in, "{}");
    put32(in.at + at, value);
    return azure_hcl_read(buf_view(&in), &h);
}

static void lengths_fit_each_other_and_versions_are_known(void **state)
{
    (void)state;
    CHECK_ERR(read_with(0, 0), MALFORMED);
    CHECK_OK(read_with(4, 2));
    CHECK_ERR(read_with(4, 3), UNSUPPORTED);
    CHECK_ERR(read_with(8, JSON_AT + 1), MALFORMED);
    CHECK_ERR(read_with(8, UINT32_MAX), MALFORMED);
    CHECK_ERR(read_with(12, 1), UNSUPPORTED);
    CHECK_ERR(read_with(JSON_AT - 20, 23), MALFORMED);
    CHECK_ERR(read_with(JSON_AT - 20, 0), MALFORMED);
    CHECK_ERR(read_with(JSON_AT - 16, 2), UNSUPPORTED);
    CHECK_ERR(read_with(JSON_AT - 4, 0), LIMIT);
    CHECK_ERR(read_with(JSON_AT - 4, 3), MALFORMED);
    CHECK_ERR(read_with(JSON_AT - 4, UINT32_MAX), LIMIT);
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct azure_hcl h;
    BUF_AUTO json = BUF(AZURE_JSON_MAX + 1);
    BUF_AUTO in = BUF(AZURE_HCL_MAX + 1);
    for (size_t i = 0; i < AZURE_JSON_MAX; i++)
        CHECK_OK(buf_add_u8(&json, ' '));
    make(&in, buf_str(&json) != NULL ? buf_str(&json) : "");
    CHECK_OK(azure_hcl_read(buf_view(&in), &h));
    CHECK_OK(buf_add_zeros(&in, AZURE_HCL_MAX - in.len));
    CHECK_OK(azure_hcl_read(buf_view(&in), &h));
    CHECK_OK(buf_add_u8(&in, 0));
    CHECK_ERR(azure_hcl_read(buf_view(&in), &h), LIMIT);
}

/* --- the runtime data ------------------------------------------------------------------------ */

#define USER                                                                                       \
    "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"                             \
    "202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F"
#define AK "{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"_wAB\"}"
#define VM "\"vm-configuration\":{\"secure-boot\":true,\"tpm-enabled\":true}"
#define GOOD "{\"keys\":[" AK "]," VM ",\"user-data\":\"" USER "\"}"

static err read_runtime(const char *json)
{
    struct azure_runtime r;
    err e = azure_runtime_read(bytes_str(json), &r);
    azure_runtime_clear(&r);
    return e;
}

static void key_challenge_and_settings_are_read(void **state)
{
    (void)state;
    struct azure_runtime r;
    CHECK_OK(azure_runtime_read(BYTES_LIT(GOOD), &r));
    CHECK_BYTES(buf_view(&r.ak_n), BYTES_LIT("\xff\x00\x01"));
    CHECK_BYTES(buf_view(&r.ak_e), BYTES_LIT("\x01\x00\x01"));
    for (size_t i = 0; i < sizeof r.user_data; i++)
        CHECK(r.user_data[i] == i);
    CHECK(r.secure_boot && r.tpm_enabled);
    azure_runtime_clear(&r);
    CHECK_OK(azure_runtime_read(BYTES_LIT("{\"keys\":[{\"kid\":\"x\"}," AK "],"
                                          "\"vm-configuration\":{\"secure-boot\":1},"
                                          "\"user-data\":\"" USER "\"}"),
                                &r));
    CHECK(!r.secure_boot && !r.tpm_enabled);
    azure_runtime_clear(&r);
}

static void other_runtime_data_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        GOOD "x",
        "{\"keys\":[" AK "," AK "]," VM ",\"user-data\":\"" USER "\"}",
        "{\"keys\":[]," VM ",\"user-data\":\"" USER "\"}",
        "{\"keys\":" AK "," VM ",\"user-data\":\"" USER "\"}",
        "{\"keys\":[" AK "],\"user-data\":\"" USER "\"}",
        "{\"keys\":[" AK "]," VM "}",
        "{\"keys\":[" AK "]," VM ",\"user-data\":\"" USER "00\"}",
        "{\"keys\":[" AK "]," VM ",\"user-data\":\"00\"}",
        "{\"keys\":[" AK "]," VM ",\"user-data\":7}",
        "{\"keys\":[" AK "]," VM ",\"user-data\":\"" USER "\",\"user-data\":\"" USER "\"}",
        "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"EC\",\"e\":\"AQAB\",\"n\":\"_wAB\"}]," VM
        ",\"user-data\":\"" USER "\"}",
        "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\"}]," VM
        ",\"user-data\":\"" USER "\"}",
        "{\"keys\":[{\"kid\":\"HCLAkPub\",\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"/wAB\"}]," VM
        ",\"user-data\":\"" USER "\"}",
    };
    CHECK_OK(read_runtime(GOOD));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(read_runtime(bad[i]), MALFORMED);
}

static err read_once(void *arg)
{
    (void)arg;
    return read_runtime(GOOD);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_are_found),
        cmocka_unit_test(a_part_of_it_is_refused),
        cmocka_unit_test(lengths_fit_each_other_and_versions_are_known),
        cmocka_unit_test(the_limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(key_challenge_and_settings_are_read),
        cmocka_unit_test(other_runtime_data_are_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
