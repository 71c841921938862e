#include "attest/tdx_parse.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

static bool open_quote(struct buf *out, const char *path)
{
    if (law_vectors() == NULL)
        return false;
    tdx_scene_read(out, path);
    return true;
}

static struct tdx_faults read_faults(bytes in, struct tdx_quote *q)
{
    struct tdx_faults faults = { 0 };
    tdx_quote_read(in, q, &faults);
    return faults;
}

static bool has_only(const struct tdx_faults *set, enum tdx_fault f)
{
    struct tdx_faults want = { 0 };
    tdx_fault_add(&want, f);
    return memcmp(set->bits, want.bits, sizeof want.bits) == 0;
}

static void both_versions_are_taken_apart(void **state)
{
    (void)state;
    static const char *const paths[] = { "quotes/v4-b0c06f-uptodate.bin",
                                         "quotes/v5-90c06f-uptodate.bin" };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct buf quote;
        struct tdx_quote q;
        if (!open_quote(&quote, paths[i]))
            skip();
        struct tdx_faults faults = read_faults(buf_view(&quote), &q);
        for (enum tdx_check c = 0; c < TDX_CHECKS; c++)
            CHECK(tdx_fault_of(&faults, c) == TDX_FAULTS);
        CHECK(q.version == 4 + i && q.body_type == 2 + i);
        CHECK(q.signed_part.at == quote.at && q.key.len == 64 && q.qe_auth.len == 32);
        CHECK(tdx_quote_field(&q, TDX_MRSERVICETD).len == (i == 0 ? 0 : 48));
        CHECK(tdx_quote_attributes(&q) == (uint64_t)1 << 28);
        buf_clear(&quote);
    }
}

static void each_fault_of_the_header_is_told_by_itself(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        enum tdx_fault fault;
    } rows[] = { { 2, TDX_FAULT_KEY_TYPE }, { 4, TDX_FAULT_TEE_TYPE }, { 12, TDX_FAULT_VENDOR } };
    struct buf quote;
    struct tdx_quote q;
    if (!open_quote(&quote, "quotes/v4-b0c06f-uptodate.bin"))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        quote.at[rows[i].at] ^= 0x40;
        struct tdx_faults faults = read_faults(buf_view(&quote), &q);
        CHECK(has_only(&faults, rows[i].fault));
        quote.at[rows[i].at] ^= 0x40;
    }
    quote.at[0] = 3;
    struct tdx_faults faults = read_faults(buf_view(&quote), &q);
    CHECK(has_only(&faults, TDX_FAULT_VERSION));
    buf_clear(&quote);
}

/* Offsets in a version 4 quote: signature data, outer, authentication data, inner. */
static void lengths_have_to_nest_exactly(void **state)
{
    (void)state;
    static const size_t lengths[] = { 632, 766, 1218, 1254 };
    struct buf quote;
    struct tdx_quote q;
    if (!open_quote(&quote, "quotes/v4-b0c06f-uptodate.bin"))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        for (int by = -1; by <= 1; by += 2) {
            uint8_t *byte = &quote.at[lengths[i]];
            *byte = (uint8_t)(*byte + by);
            struct tdx_faults faults = read_faults(buf_view(&quote), &q);
            CHECK(tdx_fault_of(&faults, TDX_CHECK_FORM) != TDX_FAULTS);
            CHECK(q.pck_chain.len == 0);
            *byte = (uint8_t)(*byte - by);
        }
    }
    buf_clear(&quote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_taken_apart),
        cmocka_unit_test(each_fault_of_the_header_is_told_by_itself),
        cmocka_unit_test(lengths_have_to_nest_exactly),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
