/* An SNP report and a host's certificate table: the first two bytes say how long the report is. What
 * is read again is the same, and nothing is accepted that no pinned root has signed. */
#include <stdlib.h>

#include "attest/snp_verify.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Entries that are understood, written and read again, are the same entries. */
static void table_round_trip(bytes in)
{
    struct snp_table t;
    struct snp_table again;
    BUF_AUTO out = BUF(SNP_TABLE_MAX);
    if (!err_is_ok(snp_table_read(in, &t)) || !err_is_ok(snp_table_write(&out, t.entries, t.n)))
        return;
    must(err_is_ok(snp_table_read(buf_view(&out), &again)) && again.n == t.n);
    for (size_t i = 0; i < t.n; i++)
        must(again.entries[i].kind == t.entries[i].kind &&
             bytes_equal(again.entries[i].data, t.entries[i].data));
}

static void verify(bytes report, bytes table)
{
    struct snp_collateral c = { 0 };
    struct snp_settings s = { .now = 1751328000 };
    struct snp_result r;
    struct verifier_facts facts = { 0 };
    (void)snp_collateral_read(&c, table);
    must(err_is_ok(snp_verify(report, &c, &s, &r)));
    must(r.accepted == (r.failed == NULL));
    snp_facts(&r, &facts);
    must(facts.registers_n == 0 || r.checks[SNP_CHECK_REPORT_SIGNATURE].status == VERDICT_PASS);
    must(!r.accepted || facts.tcb.status == VERDICT_PASS);
    snp_collateral_clear(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    uint16_t n = 0;
    bytes in = bytes_of(data, size);
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    if (!bytes_take_u16be(&in, &n))
        return 0;
    table_round_trip(bytes_slice(in, n, in.len));
    verify(bytes_slice(in, 0, n), bytes_slice(in, n, in.len));
    return 0;
}
