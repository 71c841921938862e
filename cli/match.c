#include "cli/match.h"

#include "receipts/air_shown.h"

static bytes find_register(const void *evidence, const char *name)
{
    return verdict_register(evidence, name);
}

const char *match_evidence(const struct air_claims *claims, const struct verdict *evidence)
{
    struct air_shown shown = { .platform = bytes_str(evidence->platform),
                               .hardware = evidence->trust == TRUST_HARDWARE,
                               .document = evidence->document_digest,
                               .gpu = { .gpus = evidence->gpu.gpus,
                                        .switches = evidence->gpu.switches },
                               .find = find_register,
                               .owner = evidence };
    memcpy(shown.gpu.evidence_hash, evidence->gpu.digest, AIR_HASH_LEN);
    return air_shown_mismatch(claims, &shown);
}
