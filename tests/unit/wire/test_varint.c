#include "tests/lib/law.h"
#include "wire/varint.h"

static const struct {
    uint64_t value;
    const char *hex;
} samples[] = {
    { 0, "00" },
    { 63, "3f" },
    { 64, "4040" },
    { 16383, "7fff" },
    { 16384, "80004000" },
    { (1U << 30) - 1, "bfffffff" },
    { 1U << 30, "c000000040000000" },
    { VARINT_MAX, "ffffffffffffffff" },
    /* RFC 9000 appendix A.1 */
    { 151288809941952652, "c2197c5eff14e88c" },
    { 494878333, "9d7f3e7d" },
    { 15293, "7bbd" },
    { 37, "25" },
};

static void writes_the_shortest_form(void **state)
{
    (void)state;
    BUF_AUTO want = BUF(16);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        BUF_AUTO got = BUF(16);
        law_hex(&want, samples[i].hex);
        CHECK_OK(varint_write(&got, samples[i].value));
        CHECK_BYTES(buf_view(&got), buf_view(&want));
        CHECK(varint_size(samples[i].value) == want.len);
    }
}

static void refuses_to_write_above_the_maximum(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(16);
    CHECK_ERR(varint_write(&b, VARINT_MAX + 1), LIMIT);
    CHECK(b.len == 0);
}

static void reads_what_it_writes_a_byte_at_a_time(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(16);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        struct varint_reader r = { 0 };
        uint64_t v = 0;
        size_t size = 0;
        law_hex(&b, samples[i].hex);
        for (size_t at = 0; at < b.len; at++) {
            bytes one = bytes_slice(buf_view(&b), at, 1);
            CHECK(varint_take(&r, &one, &v, &size) == (at + 1 == b.len));
            CHECK(one.len == 0);
        }
        CHECK(v == samples[i].value && size == b.len);
    }
}

static void reads_long_forms_and_leaves_what_follows(void **state)
{
    (void)state;
    BUF_AUTO b = BUF(32);
    law_hex(&b, "c0000000000000254025");
    bytes in = buf_view(&b);
    struct varint_reader r = { 0 };
    uint64_t v = 0;
    size_t size = 0;
    CHECK(varint_take(&r, &in, &v, &size) && v == 37 && size == 8 && in.len == 2);
    CHECK(varint_take(&r, &in, &v, &size) && v == 37 && size == 2 && in.len == 0);
    CHECK(!varint_take(&r, &in, &v, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_shortest_form),
        cmocka_unit_test(refuses_to_write_above_the_maximum),
        cmocka_unit_test(reads_what_it_writes_a_byte_at_a_time),
        cmocka_unit_test(reads_long_forms_and_leaves_what_follows),
    };
    return cmocka_run_group_tests_name("wire/varint", tests, NULL, NULL);
}
