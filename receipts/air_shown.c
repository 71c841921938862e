#include "receipts/air_shown.h"

#include "receipts/air_types.h"

static const struct air_type *type_of(const struct air_shown *shown)
{
    bool simulated = !shown->hardware && bytes_equal(shown->platform, BYTES_LIT("simulated"));
    return air_type_of_platform(simulated ? BYTES_LIT("nitro") : shown->platform);
}

err air_show(struct air_claims *claims, const struct air_shown *shown)
{
    const struct air_type *type = type_of(shown);
    ENSURE(type != NULL, UNSUPPORTED);
    claims->profile = air_type_profile(type, shown->gpu.gpus > 0);
    claims->measurement_type = bytes_str(type->name);
    memset(claims->registers, 0, sizeof claims->registers);
    for (size_t i = 0; i < type->slots_n; i++)
        claims->registers[type->slots[i].at] =
            shown->find(shown->owner, type->slots[i].in_evidence);
    claims->gpu = shown->gpu;
    claims->security_mode =
        shown->hardware ? BYTES_LIT(AIR_MODE_PRODUCTION) : BYTES_LIT(AIR_MODE_EVALUATION);
    memcpy(claims->attestation_doc_hash, shown->document, AIR_HASH_LEN);
    return OK;
}

static bool same_registers(const struct air_claims *a, const struct air_claims *b)
{
    bool same = bytes_equal(a->measurement_type, b->measurement_type);
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        same = same && bytes_equal(a->registers[i], b->registers[i]);
    return same;
}

static bool same_gpus(const struct air_gpu *a, const struct air_gpu *b)
{
    return a->gpus == b->gpus && a->switches == b->switches &&
           bytes_equal(BYTES_ARRAY(a->evidence_hash), BYTES_ARRAY(b->evidence_hash));
}

const char *air_shown_mismatch(const struct air_claims *claims, const struct air_shown *shown)
{
    struct air_claims due = { 0 };
    if (!bytes_equal(BYTES_ARRAY(claims->attestation_doc_hash),
                     bytes_of(shown->document, AIR_HASH_LEN)))
        return "the receipt names another evidence document";
    if (!err_is_ok(air_show(&due, shown)) || !same_registers(claims, &due))
        return "the registers in the receipt are not those of the evidence";
    if (!same_gpus(&claims->gpu, &due.gpu))
        return "the GPUs in the receipt are not those of the evidence";
    if (!bytes_equal(claims->security_mode, due.security_mode))
        return "the receipt's security mode does not fit the platform";
    return NULL;
}
