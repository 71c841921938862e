/* What Azure's service of certificates may say, under one level of firmware. Law: what is accepted is a
 * table that reads as one with a leaf and issuers; what is not is refused for a known reason. */
#include <stdlib.h>

#include "attest/snp_table.h"
#include "enclave-worker/thim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool law)
{
    if (!law)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct snp_tcb level = { { 4, 0, 0, 0, 0, 0, 0x18, 0xdb } };
    struct snp_collateral found = { 0 };
    BUF_AUTO table = BUF(SNP_TABLE_MAX);
    err e = thim_read(bytes_of(data, size), &level, &table);
    demand(e.code == ERR_OK || e.code == ERR_MALFORMED || e.code == ERR_STALE ||
           e.code == ERR_TRUNCATED || e.code == ERR_LIMIT);
    if (e.code == ERR_OK) {
        demand(err_is_ok(snp_collateral_read(&found, buf_view(&table))));
        demand(found.vcek.len > 0 && found.issuers_n > 0);
        snp_collateral_clear(&found);
    }
    return 0;
}
