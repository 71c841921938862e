#include "base/cbor.h"
#include "tests/lib/law.h"

static void writes_the_examples_of_rfc_8949(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    BUF_AUTO want = BUF(256);
    CHECK_OK(cbor_put_uint(&b, 23));
    CHECK_OK(cbor_put_uint(&b, 24));
    CHECK_OK(cbor_put_uint(&b, 1000000));
    CHECK_OK(cbor_put_uint(&b, UINT64_MAX));
    CHECK_OK(cbor_put_int(&b, -1));
    CHECK_OK(cbor_put_int(&b, -1000));
    CHECK_OK(cbor_put_text(&b, BYTES_LIT("IETF")));
    CHECK_OK(cbor_put_bytes(&b, BYTES_LIT("\x01\x02")));
    CHECK_OK(cbor_put_array(&b, 2));
    CHECK_OK(cbor_put_bool(&b, true));
    CHECK_OK(cbor_put_null(&b));
    CHECK_OK(cbor_put_tag(&b, 18));
    CHECK_OK(cbor_put_map(&b, 0));
    law_hex(&want, "1718181a000f42401bffffffffffffffff203903e7644945544642010282f5f6d2a0");
    CHECK_BYTES(buf_view(&b), buf_view(&want));
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    static const int64_t numbers[] = { 0,         23, 24,  255, 256,    65535,    65536,
                                       INT64_MAX, -1, -24, -25, -65537, INT64_MIN };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        BUF_AUTO b = BUF(16);
        int64_t v;
        CHECK_OK(cbor_put_int(&b, numbers[i]));
        bytes in = buf_view(&b);
        CHECK_OK(cbor_take_int(&in, &v));
        CHECK(v == numbers[i] && in.len == 0);
    }
}

static void refuses_what_is_not_deterministic(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "1817",
        "190017",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff", /* longer than needed */
        "5f",
        "7f",
        "9f",
        "bf",
        "ff",
        "1c",
        "1f", /* indefinite, reserved */
        "f93c00",
        "fa00000000",
        "f7",
        "e0",
        "f820", /* floats, other simples */
        "61ff", /* not UTF-8 */
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO b = BUF(16);
        struct cbor_item item;
        law_hex(&b, bad[i]);
        bytes in = buf_view(&b);
        CHECK_ERR(cbor_take(&in, &item), MALFORMED);
        CHECK(in.len == b.len);
    }
}

static void never_runs_past_the_input(void **state)
{
    (void)state;
    static const char *const cut[] = { "",     "18",         "1b00",       "4201",
                                       "62c3", "5affffffff", "9affffffff", "bb7fffffffffffffff",
                                       "8301", "a101",       "c1" };
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        BUF_AUTO b = BUF(16);
        bytes raw;
        law_hex(&b, cut[i]);
        bytes in = buf_view(&b);
        CHECK_ERR(cbor_take_raw(&in, &raw), TRUNCATED);
    }
}

static void takes_nested_items_whole(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    bytes raw;
    law_hex(&b, "a20182020302c1a16178f507");
    for (size_t cut = 0; cut < b.len - 1; cut++) {
        bytes part = bytes_slice(buf_view(&b), 0, cut);
        CHECK_ERR(cbor_take_raw(&part, &raw), TRUNCATED);
    }
    bytes in = buf_view(&b);
    CHECK_OK(cbor_take_raw(&in, &raw));
    CHECK(raw.len == b.len - 1 && in.len == 1);
}

static void bounds_the_depth(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(256);
    bytes raw;
    for (int i = 0; i < CBOR_DEPTH_MAX; i++)
        CHECK_OK(cbor_put_array(&b, 1));
    CHECK_OK(cbor_put_uint(&b, 1));
    bytes in = buf_view(&b);
    CHECK_OK(cbor_take_raw(&in, &raw));
    BUF_AUTO deeper = BUF(256);
    CHECK_OK(cbor_put_array(&deeper, 1));
    CHECK_OK(buf_add(&deeper, buf_view(&b)));
    in = buf_view(&deeper);
    CHECK_ERR(cbor_take_raw(&in, &raw), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_examples_of_rfc_8949),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(refuses_what_is_not_deterministic),
        cmocka_unit_test(never_runs_past_the_input),
        cmocka_unit_test(takes_nested_items_whole),
        cmocka_unit_test(bounds_the_depth),
    };
    return cmocka_run_group_tests_name("base/cbor", tests, NULL, NULL);
}
