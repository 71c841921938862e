#include "crypto/der.h"
#include "tests/lib/law.h"

static void elements_are_taken_one_after_the_other(void **state)
{
    (void)state;
    bytes in = BYTES_LIT("\x30\x06\x02\x01\x05\x04\x01\xff\x05");
    bytes seq, octets;
    uint64_t n;
    CHECK_OK(der_take(&in, DER_SEQUENCE, &seq));
    CHECK(in.len == 1);
    CHECK_OK(der_take_uint(&seq, DER_INTEGER, &n));
    CHECK(n == 5);
    CHECK_OK(der_take(&seq, DER_OCTETS, &octets));
    CHECK_BYTES(octets, BYTES_LIT("\xff"));
    CHECK(seq.len == 0);
    CHECK_ERR(der_take(&in, DER_SEQUENCE, &seq), MALFORMED);
    CHECK(in.len == 1);
}

static void lengths_have_their_shortest_form(void **state)
{
    (void)state;
    uint8_t whole[3 + 0x80] = { 0x04, 0x81, 0x80 };
    uint8_t longer[4 + 0x100] = { 0x04, 0x82, 0x01, 0x00 };
    bytes in = BYTES_ARRAY(whole), content;
    uint8_t tag;
    CHECK_OK(der_take_any(&in, &tag, &content));
    CHECK(tag == DER_OCTETS && content.len == 0x80 && in.len == 0);
    in = BYTES_ARRAY(longer);
    CHECK_OK(der_take_any(&in, &tag, &content));
    CHECK(content.len == 0x100);
    static const char *const bad[] = { "\x04\x81\x7f", "\x04\x82\x00\x80", "\x04\x80",
                                       "\x04\x85\x01\x00\x00\x00\x00", "\x1f\x01\x00" };
    static const size_t lens[] = { 3, 4, 2, 7, 3 };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        in = bytes_of(bad[i], lens[i]);
        CHECK_ERR(der_take_any(&in, &tag, &content), MALFORMED);
        CHECK(in.len == lens[i]);
    }
}

static void every_prefix_is_refused(void **state)
{
    (void)state;
    bytes whole = BYTES_LIT("\x30\x03\x02\x01\x05");
    for (size_t n = 0; n < whole.len; n++) {
        bytes in = bytes_slice(whole, 0, n), content;
        CHECK_ERR(der_take(&in, DER_SEQUENCE, &content), MALFORMED);
    }
}

static void numbers_are_not_negative_and_in_their_shortest_form(void **state)
{
    (void)state;
    static const struct {
        const char *der;
        size_t len;
        const char *outcome;
        uint64_t value;
    } rows[] = {
        { "\x02\x01\x00", 3, "ok", 0 },
        { "\x02\x02\x00\x80", 4, "ok", 128 },
        { "\x02\x08\x7f\xff\xff\xff\xff\xff\xff\xff", 10, "ok", INT64_MAX },
        { "\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff", 11, "ok", UINT64_MAX },
        { "\x02\x09\x01\x00\x00\x00\x00\x00\x00\x00\x00", 11, "LIMIT", 0 },
        { "\x02\x01\x80", 3, "MALFORMED", 0 },
        { "\x02\x02\x00\x7f", 4, "MALFORMED", 0 },
        { "\x02\x00", 2, "MALFORMED", 0 },
        { "\x0a\x01\x01", 3, "MALFORMED", 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bytes in = bytes_of(rows[i].der, rows[i].len);
        uint64_t n = 0;
        err e = der_take_uint(&in, DER_INTEGER, &n);
        assert_string_equal(err_word(e), rows[i].outcome);
        CHECK(n == rows[i].value || !err_is_ok(e));
        CHECK(in.len == (err_is_ok(e) ? 0 : rows[i].len));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_taken_one_after_the_other),
        cmocka_unit_test(lengths_have_their_shortest_form),
        cmocka_unit_test(every_prefix_is_refused),
        cmocka_unit_test(numbers_are_not_negative_and_in_their_shortest_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
