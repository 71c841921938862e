#include "receipts/air_rows.h"

#define AT(member) offsetof(struct air_claims, member)
#define TEXT(k, n, max)                                                                            \
    {                                                                                              \
        .key = (k), .name = #n, .kind = AIR_KIND_TEXT, .least = 1, .most = (max), .at = AT(n)      \
    }
#define FIXED(k, n, len)                                                                           \
    {                                                                                              \
        .key = (k), .name = #n, .kind = AIR_KIND_FIXED, .least = (len), .most = (len), .at = AT(n) \
    }
#define UINT(k, n, min)                                                                            \
    {                                                                                              \
        .key = (k), .name = #n, .kind = AIR_KIND_UINT, .least = (min), .at = AT(n)                 \
    }

const struct air_row air_table[AIR_ROWS] = {
    TEXT(1, iss, AIR_ISS_MAX),
    UINT(6, iat, 1),
    FIXED(7, cti, AIR_CTI_LEN),
    { .key = 10,
      .name = "eat_nonce",
      .kind = AIR_KIND_NONCE,
      .least = AIR_NONCE_MIN,
      .most = AIR_NONCE_MAX,
      .optional = true,
      .at = AT(nonce) },
    { .key = 265, .name = "eat_profile", .kind = AIR_KIND_PROFILE },
    TEXT(-65537, model_id, AIR_MODEL_ID_MAX),
    TEXT(-65538, model_version, AIR_MODEL_VERSION_MAX),
    FIXED(-65539, model_hash, AIR_HASH_LEN),
    FIXED(-65540, request_hash, AIR_HASH_LEN),
    FIXED(-65541, response_hash, AIR_HASH_LEN),
    FIXED(-65542, attestation_doc_hash, AIR_HASH_LEN),
    { .key = -65543,
      .name = "enclave_measurements",
      .kind = AIR_KIND_MEASUREMENTS,
      .at = AT(registers) },
    TEXT(-65544, policy_version, AIR_POLICY_VERSION_MAX),
    UINT(-65545, sequence_number, 0),
    UINT(-65546, execution_time_ms, 0),
    UINT(-65547, memory_peak_mb, 0),
    TEXT(-65548, security_mode, AIR_SECURITY_MODE_MAX),
    { .key = -65549,
      .name = "model_hash_scheme",
      .kind = AIR_KIND_TEXT,
      .least = 1,
      .most = AIR_MODEL_HASH_SCHEME_MAX,
      .optional = true,
      .at = AT(model_hash_scheme) },
    { .key = -70001, .name = "gpu", .kind = AIR_KIND_GPU, .optional = true, .at = AT(gpu) },
};

bytes air_profile_name(enum air_profile profile)
{
    return profile == AIR_IN_OWN ? BYTES_LIT(AIR_PROFILE_OWN) : BYTES_LIT(AIR_PROFILE);
}

const uint8_t air_protected[AIR_PROTECTED_LEN] = { 0xa2, 0x01, 0x27, 0x03, 0x18, 0x3d };

bool air_row_absent(const struct air_row *row, const struct air_claims *claims)
{
    if (!row->optional)
        return false;
    if (row->kind == AIR_KIND_NONCE)
        return claims->nonce_len == 0;
    return row->kind == AIR_KIND_GPU ? claims->gpu.gpus == 0 : claims->model_hash_scheme.len == 0;
}

bool air_mode_known(bytes mode)
{
    return bytes_equal(mode, BYTES_LIT(AIR_MODE_PRODUCTION)) ||
           bytes_equal(mode, BYTES_LIT(AIR_MODE_EVALUATION));
}

bool air_scheme_known(bytes scheme)
{
    return bytes_equal(scheme, BYTES_LIT(AIR_SCHEME_SINGLE)) ||
           bytes_equal(scheme, BYTES_LIT(AIR_SCHEME_CONCAT)) ||
           bytes_equal(scheme, BYTES_LIT(AIR_SCHEME_MANIFEST));
}

bool air_all_zero(bytes b)
{
    uint8_t any = 0;
    for (size_t i = 0; i < b.len; i++)
        any |= b.at[i];
    return any == 0;
}
