#include "attest/tdx_parse.h"
#include "attest/tdx_pck.h"
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

static void words_and_checks_of_faults_are_all_there_and_all_different(void **state)
{
    (void)state;
    for (enum tdx_fault f = 0; f < TDX_FAULTS; f++) {
        struct tdx_faults set = { 0 };
        CHECK(tdx_fault_word(f)[0] != '\0' && tdx_fault_check(f) < TDX_CHECKS);
        tdx_fault_add(&set, f);
        CHECK(tdx_fault_has(&set, f) && tdx_fault_of(&set, tdx_fault_check(f)) == f);
        for (enum tdx_fault g = 0; g < f; g++) {
            CHECK(strcmp(tdx_fault_word(f), tdx_fault_word(g)) != 0);
            CHECK(!tdx_fault_has(&set, g));
        }
    }
    for (enum tdx_check c = 0; c < TDX_CHECKS; c++)
        CHECK(tdx_check_word(c)[0] != '\0');
}

/* --- the PCK extension ----------------------------------------------------------------------- */

#define OID(n) "\x06\x0a\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01" n
#define PPID                                                                                       \
    "\x30\x1e" OID("\x01") "\x04\x10" "0123456789abcdef"
#define PCE_ID "\x30\x10" OID("\x03") "\x04\x02\x00\x01"
#define FMSPC                                                                                      \
    "\x30\x14" OID("\x04") "\x04\x06" "\xb0\xc0\x6f\x00\x00\x00"

static err put_tcb(struct buf *out, unsigned values)
{
    BUF_AUTO pairs = BUF(1024);
    for (unsigned i = 1; i <= values; i++) {
        TRY(buf_add(&pairs, BYTES_LIT("\x30\x10\x06\x0b\x2a\x86\x48\x86\xf8\x4d\x01\x0d\x01\x02")));
        TRY(buf_add_u8(&pairs, (uint8_t)i));
        TRY(buf_add(&pairs, BYTES_LIT("\x02\x01")));
        TRY(buf_add_u8(&pairs, (uint8_t)(i + 1)));
    }
    TRY(buf_add(out, BYTES_LIT("\x30\x82")));
    TRY(buf_add_u16be(out, (uint16_t)(pairs.len + 16)));
    TRY(buf_add(out, BYTES_LIT(OID("\x02") "\x30\x82")));
    TRY(buf_add_u16be(out, (uint16_t)pairs.len));
    return buf_add(out, buf_view(&pairs));
}

static err read_extension(bytes before, unsigned values, bytes after, struct tdx_pck *out)
{
    BUF_AUTO inner = BUF(4096);
    BUF_AUTO whole = BUF(4096);
    CHECK_OK(buf_add(&inner, before));
    CHECK_OK(put_tcb(&inner, values));
    CHECK_OK(buf_add(&inner, after));
    CHECK_OK(buf_add(&whole, BYTES_LIT("\x30\x82")));
    CHECK_OK(buf_add_u16be(&whole, (uint16_t)inner.len));
    CHECK_OK(buf_add(&whole, buf_view(&inner)));
    return tdx_pck_read(buf_view(&whole), out);
}

static void the_extension_is_read_in_any_order(void **state)
{
    (void)state;
    struct tdx_pck a, b;
    CHECK_OK(read_extension(BYTES_LIT(PPID), 17, BYTES_LIT(PCE_ID FMSPC), &a));
    CHECK_OK(read_extension(BYTES_LIT(FMSPC PCE_ID), 17, BYTES_LIT(PPID), &b));
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK(a.components[0] == 2 && a.components[15] == 17 && a.pcesvn == 18);
    CHECK(a.fmspc[0] == 0xb0 && a.pce_id[1] == 1 && a.ppid[15] == 'f');
}

static void a_value_that_is_missing_or_there_twice_is_refused(void **state)
{
    (void)state;
    struct tdx_pck p;
    CHECK_ERR(read_extension(BYTES_LIT(PPID), 16, BYTES_LIT(PCE_ID FMSPC), &p), MALFORMED);
    CHECK_ERR(read_extension(BYTES_LIT(PPID), 17, BYTES_LIT(PCE_ID), &p), MALFORMED);
    CHECK_ERR(read_extension(BYTES_LIT(PPID PPID), 17, BYTES_LIT(PCE_ID FMSPC), &p), MALFORMED);
    CHECK_ERR(read_extension(BYTES_LIT(PPID), 17, BYTES_LIT(PCE_ID FMSPC "\x05\x00"), &p),
              MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_versions_are_taken_apart),
        cmocka_unit_test(each_fault_of_the_header_is_told_by_itself),
        cmocka_unit_test(lengths_have_to_nest_exactly),
        cmocka_unit_test(words_and_checks_of_faults_are_all_there_and_all_different),
        cmocka_unit_test(the_extension_is_read_in_any_order),
        cmocka_unit_test(a_value_that_is_missing_or_there_twice_is_refused),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
