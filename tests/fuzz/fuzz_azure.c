/* A paravisor's report, its runtime data, or the evidence map around it: parts stay inside what they
 * came from, the map has one encoding, and nothing unsigned is accepted. */
#include <stdlib.h>

#include "attest/azure_hcl_verify.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool is_inside(bytes part, bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void verify(const struct azure_evidence *e)
{
    struct snp_collateral none = { 0 };
    struct snp_settings s = { .now = 1751328000 };
    struct azure_result r;
    must(err_is_ok(azure_verify(e, &none, &s, &r)));
    must(!r.accepted && r.failed != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct azure_hcl hcl;
    struct azure_runtime runtime;
    struct tpm_quote quote;
    struct azure_evidence e;
    BUF_AUTO again = BUF(BUNDLE_EVIDENCE_MAX);
    bytes in = bytes_of(data, size);
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    if (err_is_ok(azure_hcl_read(in, &hcl)))
        must(is_inside(hcl.json, in) && is_inside(hcl.report, in));
    if (err_is_ok(azure_runtime_read(in, &runtime)))
        must(runtime.ak_n.len <= AZURE_RSA_MAX);
    azure_runtime_clear(&runtime);
    if (err_is_ok(tpm_quote_read(in, &quote)))
        must(is_inside(quote.extra, in) && is_inside(quote.pcr_digest, in));
    if (!err_is_ok(azure_evidence_read(in, &e)))
        return 0;
    must(err_is_ok(azure_evidence_write(&again, &e)) && bytes_equal(buf_view(&again), in));
    verify(&e);
    return 0;
}
