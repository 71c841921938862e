#include "base/cbor_any.h"
#include "tests/lib/law.h"

static err sum_array(bytes *in, uint64_t *sum)
{
    struct cbor_run run;
    uint64_t v;
    TRY(cbor_any_array(in, &run));
    while (cbor_any_more(in, &run)) {
        TRY(cbor_take_uint(in, &v));
        *sum += v;
    }
    return cbor_any_end(&run);
}

static err sum_map(bytes *in, uint64_t *sum)
{
    struct cbor_run run;
    uint64_t v;
    bytes key;
    TRY(cbor_any_map(in, &run));
    while (cbor_any_more(in, &run)) {
        TRY(cbor_take_text(in, &key));
        TRY(cbor_take_uint(in, &v));
        *sum += v * key.len;
    }
    return cbor_any_end(&run);
}

static err sum(err (*by)(bytes *in, uint64_t *total), const char *hex, uint64_t want, size_t rest)
{
    BUF_AUTO b = BUF(256);
    law_hex(&b, hex);
    bytes in = buf_view(&b);
    uint64_t total = 0;
    TRY(by(&in, &total));
    CHECK(total == want && in.len == rest);
    return OK;
}

static void both_length_forms_are_the_same_to_the_reader(void **state)
{
    (void)state;
    CHECK_OK(sum(sum_array, "83010203", 6, 0));
    CHECK_OK(sum(sum_array, "9f010203ff", 6, 0));
    CHECK_OK(sum(sum_array, "9f01ff02", 1, 1));
    CHECK_OK(sum(sum_array, "80", 0, 0));
    CHECK_OK(sum(sum_array, "9fff", 0, 0));
    CHECK_OK(sum(sum_map, "a26161016262620a", 21, 0));
    CHECK_OK(sum(sum_map, "bf6161016262620aff", 21, 0));
    CHECK_OK(sum(sum_map, "a0ff", 0, 1));
    CHECK_OK(sum(sum_map, "bfff", 0, 0));
}

static void an_end_that_does_not_come_is_truncated(void **state)
{
    (void)state;
    CHECK_ERR(sum(sum_array, "9f0102", 0, 0), TRUNCATED);
    CHECK_ERR(sum(sum_array, "9f", 0, 0), TRUNCATED);
    CHECK_ERR(sum(sum_map, "bf616101", 0, 0), TRUNCATED);
    CHECK_ERR(sum(sum_array, "8301", 0, 0), TRUNCATED);
    CHECK_ERR(sum(sum_array, "9b1000000000000000", 0, 0), TRUNCATED);
    CHECK_ERR(sum(sum_map, "bb7fffffffffffffff0102", 0, 0), TRUNCATED);
}

static void a_break_where_none_belongs_is_malformed(void **state)
{
    (void)state;
    CHECK_ERR(sum(sum_array, "8201ff", 0, 0), MALFORMED);
    CHECK_ERR(sum(sum_map, "a16161ff", 0, 0), MALFORMED);
    CHECK_ERR(sum(sum_map, "bf6161ff", 0, 0), MALFORMED);
    CHECK_ERR(sum(sum_map, "80", 0, 0), MALFORMED);
    CHECK_ERR(sum(sum_array, "bf", 0, 0), MALFORMED);
    CHECK_ERR(sum(sum_array, "980101", 0, 0), MALFORMED);
}

static void a_run_that_is_over_stays_over(void **state)
{
    (void)state;
    bytes in = BYTES_LIT("\x9f\xff\xff");
    struct cbor_run run;
    CHECK_OK(cbor_any_array(&in, &run));
    CHECK_ERR(cbor_any_end(&run), TRUNCATED);
    CHECK(!cbor_any_more(&in, &run) && !cbor_any_more(&in, &run));
    CHECK_OK(cbor_any_end(&run));
    CHECK(in.len == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_length_forms_are_the_same_to_the_reader),
        cmocka_unit_test(an_end_that_does_not_come_is_truncated),
        cmocka_unit_test(a_break_where_none_belongs_is_malformed),
        cmocka_unit_test(a_run_that_is_over_stays_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
