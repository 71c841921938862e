#include "cli/match.h"

#include "receipts/air_types.h"

/* The simulated platform shows its registers as Nitro's. */
static bool has_same_platform(const struct air_type *type, const struct verdict *v)
{
    const char *platform = v->trust == TRUST_SIMULATED ? "nitro" : v->platform;
    return bytes_equal(bytes_str(type->platform), bytes_str(platform));
}

/* Those that the receipt's type takes from evidence, and no others. */
static bool has_same_registers(const struct air_claims *c, const struct verdict *v)
{
    const struct air_type *type = air_type_find(c->measurement_type);
    if (type == NULL || !has_same_platform(type, v))
        return false;
    for (size_t i = 0; i < type->slots_n; i++) {
        const struct air_slot *slot = &type->slots[i];
        if (!bytes_equal(c->registers[slot->at], verdict_register(v, slot->in_evidence)))
            return false;
    }
    return air_type_surplus(type, c) == AIR_REGISTERS;
}

static bool has_same_gpus(const struct air_gpu *claim, const struct verdict_gpu *evidence)
{
    return claim->gpus == evidence->gpus && claim->switches == evidence->switches &&
           bytes_equal(BYTES_ARRAY(claim->evidence_hash), BYTES_ARRAY(evidence->digest));
}

const char *match_evidence(const struct air_claims *c, const struct verdict *v)
{
    bool evaluation = bytes_equal(c->security_mode, BYTES_LIT(AIR_MODE_EVALUATION));
    if (!bytes_equal(BYTES_ARRAY(c->attestation_doc_hash), BYTES_ARRAY(v->document_digest)))
        return "the receipt names another evidence document";
    if (!has_same_registers(c, v))
        return "the registers in the receipt are not those of the evidence";
    if (!has_same_gpus(&c->gpu, &v->gpu))
        return "the GPUs in the receipt are not those of the evidence";
    if (evaluation != (v->trust != TRUST_HARDWARE))
        return "the receipt's security mode does not fit the platform";
    return NULL;
}
