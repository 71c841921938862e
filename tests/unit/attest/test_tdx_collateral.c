#include "attest/bundle.h"
#include "attest/tdx_collateral.h"
#include "attest/tdx_tcb.h"
#include "tests/lib/law.h"

static struct tdx_collateral sample(void)
{
    return (struct tdx_collateral){ .version = TDX_COLLATERAL_VERSION,
                                    .pck_crl = BYTES_LIT("a"),
                                    .root_crl = BYTES_LIT("b"),
                                    .tcb_info = BYTES_LIT("c"),
                                    .qe_identity = BYTES_LIT("d"),
                                    .tcb_info_chain = BYTES_LIT("e"),
                                    .qe_identity_chain = BYTES_LIT("f") };
}

static void what_is_written_is_read_again_byte_for_byte(void **state)
{
    (void)state;
    struct tdx_collateral c = sample(), back;
    for (unsigned logs = 0; logs < 4; logs++) {
        BUF_AUTO once = BUF(BUNDLE_COLLATERAL_MAX);
        BUF_AUTO twice = BUF(BUNDLE_COLLATERAL_MAX);
        c.ccel = (logs & 1) != 0 ? BYTES_LIT("log") : (bytes){ 0 };
        c.dstack_log = (logs & 2) != 0 ? BYTES_LIT("[]") : (bytes){ 0 };
        CHECK_OK(tdx_collateral_write(&once, &c));
        CHECK_OK(tdx_collateral_read(buf_view(&once), &back));
        CHECK_BYTES(back.ccel, c.ccel);
        CHECK_BYTES(back.qe_identity_chain, c.qe_identity_chain);
        CHECK_OK(tdx_collateral_write(&twice, &back));
        CHECK_BYTES(buf_view(&once), buf_view(&twice));
    }
}

static void the_format_is_the_one_that_is_frozen(void **state)
{
    (void)state;
    struct tdx_collateral c = sample();
    BUF_AUTO out = BUF(1024);
    CHECK_OK(tdx_collateral_write(&out, &c));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("\xa7\x67pck_crl\x41"
                                          "a\x67version\x01\x68root_crl\x41"
                                          "b\x68tcb_info\x41"
                                          "c\x6bqe_identity\x41"
                                          "d\x6etcb_info_chain\x41"
                                          "e\x71qe_identity_chain\x41"
                                          "f"));
}

static void every_part_has_to_be_there(void **state)
{
    (void)state;
    struct tdx_collateral whole = sample();
    bytes *const parts[] = { &whole.pck_crl,     &whole.root_crl,       &whole.tcb_info,
                             &whole.qe_identity, &whole.tcb_info_chain, &whole.qe_identity_chain };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        BUF_AUTO out = BUF(1024);
        bytes kept = *parts[i];
        *parts[i] = (bytes){ 0 };
        CHECK_ERR(tdx_collateral_write(&out, &whole), LIMIT);
        *parts[i] = kept;
    }
    BUF_AUTO out = BUF(1024);
    whole.version = 2;
    CHECK_ERR(tdx_collateral_write(&out, &whole), LIMIT);
}

static void every_prefix_and_any_tail_is_refused(void **state)
{
    (void)state;
    struct tdx_collateral c = sample(), back;
    BUF_AUTO out = BUF(1024);
    CHECK_OK(tdx_collateral_write(&out, &c));
    for (size_t n = 0; n < out.len; n++)
        CHECK(!err_is_ok(tdx_collateral_read(bytes_of(out.at, n), &back)));
    CHECK_OK(buf_add_u8(&out, 0));
    CHECK_ERR(tdx_collateral_read(buf_view(&out), &back), MALFORMED);
}

static void limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct tdx_collateral c = sample();
    const struct {
        bytes *part;
        size_t most;
    } rows[] = { { &c.ccel, TDX_LOG_MAX },
                 { &c.dstack_log, TDX_LOG_MAX },
                 { &c.pck_crl, TDX_PCK_CRL_MAX },
                 { &c.root_crl, TDX_ROOT_CRL_MAX },
                 { &c.tcb_info_chain, TDX_CHAIN_MAX },
                 { &c.qe_identity_chain, TDX_CHAIN_MAX } };
    struct buf filler = BUF(TDX_PCK_CRL_MAX + 1);
    CHECK_OK(buf_add_zeros(&filler, TDX_PCK_CRL_MAX + 1));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        BUF_AUTO out = BUF(BUNDLE_COLLATERAL_MAX);
        bytes kept = *rows[i].part;
        *rows[i].part = bytes_of(filler.at, rows[i].most);
        CHECK_OK(tdx_collateral_write(&out, &c));
        *rows[i].part = bytes_of(filler.at, rows[i].most + 1);
        CHECK_ERR(tdx_collateral_write(&out, &c), LIMIT);
        *rows[i].part = kept;
    }
    buf_clear(&filler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again_byte_for_byte),
        cmocka_unit_test(the_format_is_the_one_that_is_frozen),
        cmocka_unit_test(every_part_has_to_be_there),
        cmocka_unit_test(every_prefix_and_any_tail_is_refused),
        cmocka_unit_test(limits_are_taken_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
