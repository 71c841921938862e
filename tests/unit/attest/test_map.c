#include "attest/map.h"
#include "tests/lib/law.h"

struct sample {
    bytes name;
    uint64_t count;
    bytes text;
    bytes blob;
};

static const struct map_field fields[] = {
    { "blob", MAP_BYTES, true, offsetof(struct sample, blob), 1, 3 },
    { "name", MAP_NAME, false, offsetof(struct sample, name), 1, 4 },
    { "text", MAP_TEXT, false, offsetof(struct sample, text), 0, 8 },
    { "count", MAP_UINT, false, offsetof(struct sample, count), 2, 300 },
};

static err read_sample(bytes in, struct sample *out)
{
    return map_read(in, fields, ARRAY_LEN(fields), out, sizeof *out);
}

/* a4 blob: h'0102', name: "a-1", text: "x y", count: 300 */
#define GOOD                                                                                       \
    "a464626c6f62420102646e616d6563612d316474657874637820796"                                      \
    "5636f756e7419012c"

static void reads_and_writes_the_one_encoding(void **state)
{
    (void)state;
    BUF_AUTO in = BUF(256);
    BUF_AUTO out = BUF(256);
    struct sample s;
    law_hex(&in, GOOD);
    CHECK_OK(read_sample(buf_view(&in), &s));
    CHECK_BYTES(s.blob, BYTES_LIT("\x01\x02"));
    CHECK_BYTES(s.name, BYTES_LIT("a-1"));
    CHECK_BYTES(s.text, BYTES_LIT("x y"));
    CHECK(s.count == 300);
    CHECK_OK(map_write(&out, fields, ARRAY_LEN(fields), &s));
    CHECK_BYTES(buf_view(&out), buf_view(&in));
}

static void leaves_out_what_is_optional_and_empty(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(256);
    struct sample s = { .name = BYTES_LIT("a"), .count = 2 };
    struct sample back;
    CHECK_OK(map_write(&out, fields, ARRAY_LEN(fields), &s));
    CHECK(out.at[0] == 0xa3);
    CHECK_OK(read_sample(buf_view(&out), &back));
    CHECK(back.blob.len == 0 && back.blob.at == NULL && back.count == 2);
}

static void refuses_every_prefix_and_what_stands_behind(void **state)
{
    (void)state;
    BUF_AUTO in = BUF(256);
    struct sample s;
    law_hex(&in, GOOD);
    for (size_t n = 0; n < in.len; n++)
        CHECK(!err_is_ok(read_sample(bytes_slice(buf_view(&in), 0, n), &s)));
    CHECK_OK(buf_add_u8(&in, 0));
    CHECK_ERR(read_sample(buf_view(&in), &s), MALFORMED);
    CHECK(s.count == 0 && s.name.at == NULL);
}

static void refuses_other_maps(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a3646e616d65616164746578746065636f756e741863a0", /* one behind */
        "a364746578746064"
        "6e616d65616165636f756e741863",                             /* order */
        "a4646e616d656161646e616d65616164746578746065636f756e7402", /* twice */
        "a2646e616d656161647465787460",                             /* one missing */
        "a3646e616d656161647465787460646d6f72651863",               /* unknown key */
        "a3646e616d654161647465787460"
        "65636f756e741863", /* bytes for text */
        "a3646e616d656161647465787460"
        "65636f756e7420", /* negative */
        "a3646e616d656161647465787460"
        "65636f756e741802", /* longer than needed */
        "a3446e616d656161647465787460"
        "65636f756e7402", /* key is no text */
        "a3646e616d656120647465787460"
        "65636f756e7402", /* no name */
        "a3646e616d65616164746578746107"
        "65636f756e7402", /* control character */
        "a3646e616d656161647465787462c285"
        "65636f756e7402", /* C1 control character */
        "83646e616d65",   /* no map */
        "bf646e616d656161647465787460"
        "65636f756e7402ff", /* indefinite */
    };
    BUF_AUTO in = BUF(256);
    struct sample s;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        law_hex(&in, bad[i]);
        err e = read_sample(buf_view(&in), &s);
        if (err_is_ok(e) || e.code == ERR_LIMIT)
            fail_msg("case %zu: %s", i, err_word(e));
    }
}

static void enforces_lengths_and_ranges_at_and_above(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(256);
    struct sample s = { .name = BYTES_LIT("abcd"),
                        .count = 300,
                        .text = BYTES_LIT("12345678"),
                        .blob = BYTES_LIT("123") };
    CHECK_OK(map_write(&out, fields, ARRAY_LEN(fields), &s));
    CHECK_OK(read_sample(buf_view(&out), &(struct sample){ 0 }));
    struct sample bad[] = { s, s, s, s, s, s };
    bad[0].name = BYTES_LIT("abcde");
    bad[1].count = 301;
    bad[2].count = 1;
    bad[3].text = BYTES_LIT("123456789");
    bad[4].blob = BYTES_LIT("1234");
    bad[5].name = (bytes){ 0 };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(map_write(&out, fields, ARRAY_LEN(fields), &bad[i]), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_one_encoding),
        cmocka_unit_test(leaves_out_what_is_optional_and_empty),
        cmocka_unit_test(refuses_every_prefix_and_what_stands_behind),
        cmocka_unit_test(refuses_other_maps),
        cmocka_unit_test(enforces_lengths_and_ranges_at_and_above),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
