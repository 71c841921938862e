#include "receipts/air.h"

#include <stdio.h>

#include "base/cbor.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/cose.h"
#include "receipts/air_rows.h"
#include "receipts/air_types.h"

enum { PAYLOAD_MAX = AIR_RECEIPT_MAX - 128, PAYLOAD_USUAL = 1024 };

/* The member of *claims that a row is about. */
static const void *member(const struct air_row *row, const struct air_claims *claims)
{
    return (const char *)claims + row->at;
}

static bytes text_of(const struct air_row *row, const struct air_claims *claims)
{
    return *(const bytes *)member(row, claims);
}

static uint64_t uint_of(const struct air_row *row, const struct air_claims *claims)
{
    return *(const uint64_t *)member(row, claims);
}

static bytes fixed_of(const struct air_row *row, const struct air_claims *claims)
{
    return bytes_of(member(row, claims), row->most);
}

static bool measurements_good(const struct air_claims *claims)
{
    const struct air_type *type = air_type_find(claims->measurement_type);
    return type != NULL && claims->profile == air_type_profile(type, claims->gpu.gpus > 0) &&
           air_type_missing(type, claims) == AIR_REGISTERS &&
           air_type_surplus(type, claims) == AIR_REGISTERS && air_type_lengths_good(type, claims);
}

static bool row_good(const struct air_row *row, const struct air_claims *claims)
{
    if (air_row_absent(row, claims))
        return true;
    switch (row->kind) {
    case AIR_KIND_TEXT:
        return text_of(row, claims).len >= row->least && text_of(row, claims).len <= row->most &&
               text_is_utf8(text_of(row, claims));
    case AIR_KIND_UINT:
        return uint_of(row, claims) >= row->least;
    case AIR_KIND_NONCE:
        return claims->nonce_len >= row->least && claims->nonce_len <= row->most;
    case AIR_KIND_MEASUREMENTS:
        return measurements_good(claims);
    case AIR_KIND_GPU:
        return claims->gpu.gpus <= AIR_GPUS_MAX && claims->gpu.switches <= AIR_GPUS_MAX;
    case AIR_KIND_FIXED:
    case AIR_KIND_PROFILE:
        return true;
    }
    return false;
}

err air_validate(const struct air_claims *claims)
{
    for (size_t i = 0; i < AIR_ROWS; i++)
        ENSURE(row_good(&air_table[i], claims), MALFORMED);
    ENSURE(!air_all_zero(bytes_of(claims->cti, AIR_CTI_LEN)), MALFORMED);
    ENSURE(!air_all_zero(bytes_of(claims->model_hash, AIR_HASH_LEN)), MALFORMED);
    ENSURE(air_mode_known(claims->security_mode), MALFORMED);
    ENSURE(claims->gpu.gpus > 0 || claims->gpu.switches == 0, MALFORMED);
    ENSURE(claims->model_hash_scheme.len == 0 || air_scheme_known(claims->model_hash_scheme),
           MALFORMED);
    return OK;
}

static err put_type(struct buf *out, const struct air_claims *claims)
{
    TRY(cbor_put_text(out, BYTES_LIT(AIR_MEASUREMENT_TYPE)));
    return cbor_put_text(out, claims->measurement_type);
}

/* The only register whose key is longer than the type's own stands behind it. */
static err put_measurements(struct buf *out, const struct air_claims *claims)
{
    uint64_t n = 1;
    for (unsigned i = 0; i < AIR_REGISTERS; i++)
        n += claims->registers[i].at != NULL;
    TRY(cbor_put_map(out, n));
    for (unsigned i = 0; i < AIR_REGISTERS; i++) {
        if (i == AIR_AUTHOR_KEY_DIGEST)
            TRY(put_type(out, claims));
        if (claims->registers[i].at == NULL)
            continue;
        TRY(cbor_put_text(out, bytes_str(air_register_name((enum air_register)i))));
        TRY(cbor_put_bytes(out, claims->registers[i]));
    }
    return OK;
}

static err put_gpu(struct buf *out, const struct air_gpu *gpu)
{
    TRY(cbor_put_map(out, AIR_GPU_KEYS));
    TRY(cbor_put_text(out, BYTES_LIT(AIR_GPU_GPUS)));
    TRY(cbor_put_uint(out, gpu->gpus));
    TRY(cbor_put_text(out, BYTES_LIT(AIR_GPU_SWITCHES)));
    TRY(cbor_put_uint(out, gpu->switches));
    TRY(cbor_put_text(out, BYTES_LIT(AIR_GPU_EVIDENCE_HASH)));
    return cbor_put_bytes(out, BYTES_ARRAY(gpu->evidence_hash));
}

static err put_value(struct buf *out, const struct air_row *row, const struct air_claims *claims)
{
    switch (row->kind) {
    case AIR_KIND_TEXT:
        return cbor_put_text(out, text_of(row, claims));
    case AIR_KIND_UINT:
        return cbor_put_uint(out, uint_of(row, claims));
    case AIR_KIND_FIXED:
        return cbor_put_bytes(out, fixed_of(row, claims));
    case AIR_KIND_NONCE:
        return cbor_put_bytes(out, bytes_of(claims->nonce, claims->nonce_len));
    case AIR_KIND_PROFILE:
        return cbor_put_text(out, air_profile_name(claims->profile));
    case AIR_KIND_MEASUREMENTS:
        return put_measurements(out, claims);
    case AIR_KIND_GPU:
        return put_gpu(out, &claims->gpu);
    }
    FAIL(INTERNAL);
}

static err put_payload(struct buf *out, const struct air_claims *claims)
{
    uint64_t n = AIR_ROWS;
    for (size_t i = 0; i < AIR_ROWS; i++)
        n -= air_row_absent(&air_table[i], claims);
    TRY(cbor_put_map(out, n));
    for (size_t i = 0; i < AIR_ROWS; i++) {
        const struct air_row *row = &air_table[i];
        if (air_row_absent(row, claims))
            continue;
        TRY(cbor_put_int(out, row->key));
        TRY(put_value(out, row, claims));
    }
    return OK;
}

err air_write_payload(struct buf *out, const struct air_claims *claims)
{
    TRY(air_validate(claims));
    size_t before = out->len;
    err e = put_payload(out, claims);
    if (!err_is_ok(e))
        buf_truncate(out, before);
    return e;
}

err air_write(struct buf *out, const struct air_claims *claims, const struct signing_key *key)
{
    BUF_AUTO payload = BUF(PAYLOAD_MAX);
    uint8_t *room;
    size_t before = out->len;
    TRY(buf_reserve(&payload, PAYLOAD_USUAL, &room));
    TRY(air_write_payload(&payload, claims));
    err e = cose_sign1_write(out, BYTES_ARRAY(air_protected), buf_view(&payload), key);
    if (!err_is_ok(e))
        buf_truncate(out, before);
    return e;
}

void air_id(const struct air_claims *claims, char out[static AIR_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < AIR_CTI_LEN; i++) {
        out[2 * i] = digits[claims->cti[i] >> 4];
        out[2 * i + 1] = digits[claims->cti[i] & 15];
    }
    out[AIR_ID_LEN] = '\0';
}

static void json_text_or_null(struct json_out *j, const char *key, bytes v)
{
    if (v.len == 0)
        json_put_null(j, key);
    else
        json_put_text(j, key, v);
}

static void json_hex_or_null(struct json_out *j, const char *key, bytes v)
{
    if (v.at == NULL || v.len == 0)
        json_put_null(j, key);
    else
        json_put_hex(j, key, v);
}

static void json_register(struct json_out *j, const struct air_claims *claims, enum air_register at)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s_hex", air_register_name(at));
    json_hex_or_null(j, name, claims->registers[at]);
}

/* Of AIR v1 the same members whatever the type is. */
static void json_measurements(struct json_out *j, const struct air_claims *claims)
{
    const struct air_type *type = air_type_find(claims->measurement_type);
    if (type == NULL || type->in_v1)
        type = air_type_find(BYTES_LIT(AIR_TYPE_NITRO));
    json_begin_object(j, "enclave_measurements");
    json_put_text(j, "measurement_type", claims->measurement_type);
    for (size_t i = 0; i < type->slots_n; i++)
        json_register(j, claims, type->slots[i].at);
    json_close(j);
}

static void json_hash(struct json_out *j, const char *key, const uint8_t hash[static AIR_HASH_LEN])
{
    json_put_hex(j, key, bytes_of(hash, AIR_HASH_LEN));
}

static void json_gpu(struct json_out *j, const struct air_claims *claims)
{
    if (claims->profile == AIR_IN_V1)
        return;
    if (claims->gpu.gpus == 0) {
        json_put_null(j, "gpu");
        return;
    }
    json_begin_object(j, "gpu");
    json_put_u64(j, "gpus", claims->gpu.gpus);
    json_put_u64(j, "switches", claims->gpu.switches);
    json_hash(j, "evidence_hash_hex", claims->gpu.evidence_hash);
    json_close(j);
}

err air_write_json(struct buf *out, const struct air_claims *claims)
{
    struct json_out j = JSON_OUT(out);
    json_begin_object(&j, NULL);
    json_put_text(&j, "iss", claims->iss);
    json_put_u64(&j, "iat", claims->iat);
    json_put_hex(&j, "cti_hex", bytes_of(claims->cti, AIR_CTI_LEN));
    json_hex_or_null(&j, "eat_nonce_hex", bytes_of(claims->nonce, claims->nonce_len));
    json_put_text(&j, "eat_profile", air_profile_name(claims->profile));
    json_put_text(&j, "model_id", claims->model_id);
    json_put_text(&j, "model_version", claims->model_version);
    json_hash(&j, "model_hash_hex", claims->model_hash);
    json_hash(&j, "request_hash_hex", claims->request_hash);
    json_hash(&j, "response_hash_hex", claims->response_hash);
    json_hash(&j, "attestation_doc_hash_hex", claims->attestation_doc_hash);
    json_measurements(&j, claims);
    json_put_text(&j, "policy_version", claims->policy_version);
    json_put_u64(&j, "sequence_number", claims->sequence_number);
    json_put_u64(&j, "execution_time_ms", claims->execution_time_ms);
    json_put_u64(&j, "memory_peak_mb", claims->memory_peak_mb);
    json_put_text(&j, "security_mode", claims->security_mode);
    json_text_or_null(&j, "model_hash_scheme", claims->model_hash_scheme);
    json_gpu(&j, claims);
    json_close(&j);
    return json_end(&j);
}
