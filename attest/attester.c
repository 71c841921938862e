#include "attest/attester.h"

err attester_document(struct attester *a, const struct attester_subject *subject, int64_t now,
                      struct buf *out)
{
    return attester_document_with_gpu(a, subject, (bytes){ 0 }, now, out);
}

err attester_document_with_gpu(struct attester *a, const struct attester_subject *subject,
                               bytes gpu_evidence, int64_t now, struct buf *out)
{
    uint8_t report_data[BINDING_LEN];
    struct bundle b = { .version = BUNDLE_VERSION,
                        .nonce = subject->nonce,
                        .claims = subject->claims,
                        .identity = subject->identity,
                        .platform = bytes_str(a->kind->platform),
                        .gpu_evidence = gpu_evidence };
    binding_digest(&(struct binding){ .platform = b.platform,
                                      .identity = b.identity,
                                      .nonce = b.nonce,
                                      .claims = b.claims,
                                      .gpu_evidence = b.gpu_evidence },
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
