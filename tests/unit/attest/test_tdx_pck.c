#include "attest/tdx_pck.h"
#include "tests/lib/law.h"

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
        cmocka_unit_test(the_extension_is_read_in_any_order),
        cmocka_unit_test(a_value_that_is_missing_or_there_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
