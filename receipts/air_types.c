#include "receipts/air_types.h"

#include "base/attr.h"

#define PCR48(n, must, evidence)                                                                   \
    {                                                                                              \
        AIR_PCR##n, AIR_REGISTER_LEN, must, evidence                                               \
    }

static const struct air_slot nitro_slots[] = {
    PCR48(0, true, "pcr0"),  PCR48(1, true, "pcr1"),  PCR48(2, true, "pcr2"),
    PCR48(3, false, "pcr3"), PCR48(4, false, "pcr4"), PCR48(8, false, "pcr8"),
};

static const struct air_slot tdx_slots[] = {
    PCR48(0, true, "mrtd"),   PCR48(1, true, "rtmr0"),  PCR48(2, true, "rtmr1"),
    PCR48(3, false, "rtmr2"), PCR48(4, false, "rtmr3"),
};

#define SNP_SLOTS                                                                                  \
    { AIR_IMAGE_ID, 16, true, "image_id" }, { AIR_FAMILY_ID, 16, true, "family_id" },              \
        { AIR_HOST_DATA, 32, true, "host_data" }, { AIR_MEASUREMENT, 48, true, "measurement" },    \
        { AIR_ID_KEY_DIGEST, 48, true, "id_key_digest" },                                          \
    {                                                                                              \
        AIR_AUTHOR_KEY_DIGEST, 48, false, "author_key_digest"                                      \
    }

#define TPM_PCR(n)                                                                                 \
    {                                                                                              \
        AIR_PCR##n, 32, false, "pcr" #n                                                            \
    }

static const struct air_slot snp_slots[] = { SNP_SLOTS };

static const struct air_slot azure_slots[] = {
    TPM_PCR(0),  TPM_PCR(1),  TPM_PCR(2),  TPM_PCR(3),  TPM_PCR(4),  TPM_PCR(5),  TPM_PCR(6),
    TPM_PCR(7),  TPM_PCR(8),  TPM_PCR(9),  TPM_PCR(10), TPM_PCR(11), TPM_PCR(12), TPM_PCR(13),
    TPM_PCR(14), TPM_PCR(15), TPM_PCR(16), TPM_PCR(17), TPM_PCR(18), TPM_PCR(19), TPM_PCR(20),
    TPM_PCR(21), TPM_PCR(22), TPM_PCR(23), SNP_SLOTS,
};

static const struct air_slot gcp_slots[] = { { AIR_IMAGE_DIGEST, 32, true, "image_digest" } };

static const struct air_type types[] = {
    { .name = AIR_TYPE_NITRO,
      .platform = "nitro",
      .in_v1 = true,
      .slots = nitro_slots,
      .slots_n = ARRAY_LEN(nitro_slots) },
    { .name = AIR_TYPE_TDX,
      .platform = "tdx",
      .in_v1 = true,
      .slots = tdx_slots,
      .slots_n = ARRAY_LEN(tdx_slots) },
    { .name = AIR_TYPE_SNP,
      .platform = "sev-snp",
      .slots = snp_slots,
      .slots_n = ARRAY_LEN(snp_slots) },
    { .name = AIR_TYPE_AZURE_SNP,
      .platform = "azure-sev-snp",
      .needs_pcr = true,
      .slots = azure_slots,
      .slots_n = ARRAY_LEN(azure_slots) },
    { .name = AIR_TYPE_GCP,
      .platform = "gcp-confidential-space",
      .slots = gcp_slots,
      .slots_n = ARRAY_LEN(gcp_slots) },
};

static const char *const names[AIR_REGISTERS] = {
    [AIR_PCR0] = "pcr0",
    [AIR_PCR1] = "pcr1",
    [AIR_PCR2] = "pcr2",
    [AIR_PCR3] = "pcr3",
    [AIR_PCR4] = "pcr4",
    [AIR_PCR5] = "pcr5",
    [AIR_PCR6] = "pcr6",
    [AIR_PCR7] = "pcr7",
    [AIR_PCR8] = "pcr8",
    [AIR_PCR9] = "pcr9",
    [AIR_PCR10] = "pcr10",
    [AIR_PCR11] = "pcr11",
    [AIR_PCR12] = "pcr12",
    [AIR_PCR13] = "pcr13",
    [AIR_PCR14] = "pcr14",
    [AIR_PCR15] = "pcr15",
    [AIR_PCR16] = "pcr16",
    [AIR_PCR17] = "pcr17",
    [AIR_PCR18] = "pcr18",
    [AIR_PCR19] = "pcr19",
    [AIR_PCR20] = "pcr20",
    [AIR_PCR21] = "pcr21",
    [AIR_PCR22] = "pcr22",
    [AIR_PCR23] = "pcr23",
    [AIR_IMAGE_ID] = "image_id",
    [AIR_FAMILY_ID] = "family_id",
    [AIR_HOST_DATA] = "host_data",
    [AIR_MEASUREMENT] = "measurement",
    [AIR_IMAGE_DIGEST] = "image_digest",
    [AIR_ID_KEY_DIGEST] = "id_key_digest",
    [AIR_AUTHOR_KEY_DIGEST] = "author_key_digest",
};

const struct air_type *air_type_find(bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (bytes_equal(name, bytes_str(types[i].name)))
            return &types[i];
    }
    return NULL;
}

const struct air_type *air_type_of_platform(bytes platform)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (bytes_equal(platform, bytes_str(types[i].platform)))
            return &types[i];
    }
    return NULL;
}

const char *air_register_name(enum air_register at)
{
    return at < AIR_REGISTERS ? names[at] : "none";
}

enum air_register air_register_find(bytes name)
{
    unsigned at = 0;
    while (at < AIR_REGISTERS && !bytes_equal(name, bytes_str(names[at])))
        at++;
    return (enum air_register)at;
}

const struct air_slot *air_type_slot(const struct air_type *type, enum air_register at)
{
    for (size_t i = 0; i < type->slots_n; i++) {
        if (type->slots[i].at == at)
            return &type->slots[i];
    }
    return NULL;
}

enum air_profile air_type_profile(const struct air_type *type, bool with_gpu)
{
    return type->in_v1 && !with_gpu ? AIR_IN_V1 : AIR_IN_OWN;
}

static bool has_pcr(const struct air_claims *claims)
{
    bool any = false;
    for (unsigned at = AIR_PCR0; at <= AIR_PCR23; at++)
        any = any || claims->registers[at].at != NULL;
    return any;
}

enum air_register air_type_missing(const struct air_type *type, const struct air_claims *claims)
{
    for (size_t i = 0; i < type->slots_n; i++) {
        const struct air_slot *slot = &type->slots[i];
        if (slot->required && claims->registers[slot->at].at == NULL)
            return slot->at;
    }
    return type->needs_pcr && !has_pcr(claims) ? AIR_PCR0 : AIR_REGISTERS;
}

enum air_register air_type_surplus(const struct air_type *type, const struct air_claims *claims)
{
    for (unsigned at = 0; at < AIR_REGISTERS; at++) {
        if (claims->registers[at].at != NULL && air_type_slot(type, (enum air_register)at) == NULL)
            return (enum air_register)at;
    }
    return AIR_REGISTERS;
}

bool air_type_lengths_good(const struct air_type *type, const struct air_claims *claims)
{
    for (size_t i = 0; i < type->slots_n; i++) {
        bytes v = claims->registers[type->slots[i].at];
        if (v.at != NULL && v.len != type->slots[i].len)
            return false;
    }
    return true;
}
