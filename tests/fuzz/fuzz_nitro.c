/* A Nitro document, or an answer of the security module: what is read borrows from the input and is
 * within its limits, and nothing is accepted that the vendor's root did not sign. */
#include <stdlib.h>

#include "attest/nitro_verify.h"
#include "attest/nsm.h"
#include "base/mem.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static bool within(bytes part, bytes whole)
{
    return part.len == 0 || (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void parse(bytes in)
{
    struct nitro_doc d;
    bytes document;
    if (err_is_ok(nsm_attestation_response(in, &document)))
        must(document.len > 0 && within(document, in));
    if (nitro_parse(in, &d) != NITRO_OK) {
        must(d.certificate.at == NULL && d.cabundle_n == 0);
        return;
    }
    must(d.cabundle_n >= 1 && d.cabundle_n <= NITRO_CABUNDLE_MAX && d.timestamp_ms > 0);
    must(within(d.certificate, in) && within(d.nonce.value, in) && within(d.module_id, in));
    for (size_t i = 0; i < NITRO_PCRS_MAX; i++)
        must(within(d.pcrs[i], in) && (d.pcrs[i].len == 0 || d.pcrs[i].len == NITRO_PCR_LEN));
}

/* No document that a fuzzer makes is accepted, the genuine seeds being debug or out of their time. */
static void verify(bytes in)
{
    struct nitro_settings s = { .at_s = 1766668538, .max_age_s = 1 };
    struct nitro_result *r = mem_alloc(sizeof *r);
    must(r != NULL && err_is_ok(nitro_verify(in, &s, r)));
    must(!r->accepted && r->reason != NITRO_OK);
    mem_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    parse(bytes_of(data, size));
    verify(bytes_of(data, size));
    return 0;
}
