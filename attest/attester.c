#include "attest/attester.h"

/* GPU evidence joins here when a platform has it: it has to be collected before the CPU is asked,
 * since the report data covers it. */
err attester_document(struct attester *a, const struct attester_subject *subject, int64_t now,
                      struct buf *out)
{
    uint8_t report_data[BINDING_LEN];
    struct bundle b = { .version = BUNDLE_VERSION,
                        .nonce = subject->nonce,
                        .claims = subject->claims,
                        .identity = subject->identity,
                        .platform = bytes_str(a->kind->platform) };
    binding_digest(
        &(struct binding){
            .platform = b.platform, .identity = b.identity, .nonce = b.nonce, .claims = b.claims },
        report_data);
    struct attester_ask ask = {
        .report_data = report_data, .identity = b.identity, .nonce = b.nonce, .now = now
    };
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    TRY(a->kind->quote(a, &ask, &evidence, &collateral));
    b.evidence = buf_view(&evidence);
    b.collateral = buf_view(&collateral);
    return evidence_document_write(out, &b);
}

void attester_free(struct attester *a)
{
    if (a != NULL)
        a->kind->free(a);
}
