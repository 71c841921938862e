#include "receipts/air_read.h"

#include <stdio.h>

#include "base/cbor.h"
#include "receipts/air_rows.h"
#include "receipts/air_types.h"

enum { LABEL_ALG = 1, LABEL_CONTENT_TYPE = 3, ALG_EDDSA = -8, CONTENT_TYPE_CWT = 61 };

/* Both arguments are words of this file or names of the table. */
static bool bad(struct air_reading *r, enum air_part part, const char *what, const char *name)
{
    r->state[part] = AIR_PART_BAD;
    (void)snprintf(r->fault[part], AIR_FAULT_MAX, "%s%s%s", what, name ? ":" : "",
                   name ? name : "");
    return false;
}

static bool bad_claim(struct air_reading *r, const char *what, const char *name)
{
    return bad(r, AIR_PART_CLAIMS, what, name);
}

/* Deterministic order: the shorter encoded key first, equal lengths by their bytes. */
static bool keys_ascend(bytes before, bytes next)
{
    if (before.len != next.len)
        return before.len < next.len;
    for (size_t i = 0; i < next.len; i++)
        if (before.at[i] != next.at[i])
            return before.at[i] < next.at[i];
    return false;
}

/* The encoded key just taken off: what `start` had and `rest` no longer has. */
static bytes taken(bytes start, bytes rest)
{
    return bytes_of(start.at, start.len - rest.len);
}

/* Keys of one map as they come. */
struct order {
    bytes latest;
};

static void order_add(struct air_reading *r, struct order *o, bytes key, const char *map)
{
    if (o->latest.len > 0 && !keys_ascend(o->latest, key))
        (void)bad(r, AIR_PART_ENCODING, "KEY_ORDER", map);
    o->latest = key;
}

/* The member of the claims that a row is about. */
static void *member(struct air_reading *r, const struct air_row *row)
{
    return (char *)&r->claims + row->at;
}

static bool read_text(struct air_reading *r, const struct air_row *row, const struct cbor_item *v)
{
    if (v->body.len < row->least || v->body.len > row->most)
        return bad_claim(r, "BAD_TEXT_LENGTH", row->name);
    if (row->at == offsetof(struct air_claims, model_hash_scheme) && !air_scheme_known(v->body))
        return bad_claim(r, "UNKNOWN_MODEL_HASH_SCHEME", NULL);
    *(bytes *)member(r, row) = v->body;
    return true;
}

static bool read_uint(struct air_reading *r, const struct air_row *row, const struct cbor_item *v)
{
    if (v->value < row->least)
        return bad_claim(r, "ZERO", row->name);
    *(uint64_t *)member(r, row) = v->value;
    return true;
}

static bool read_fixed(struct air_reading *r, const struct air_row *row, const struct cbor_item *v)
{
    if (v->body.len != row->most)
        return row->most == AIR_CTI_LEN ? bad_claim(r, "BAD_CTI_LENGTH", NULL)
                                        : bad_claim(r, "BAD_HASH_LENGTH", row->name);
    memcpy(member(r, row), v->body.at, v->body.len);
    return true;
}

static bool read_nonce(struct air_reading *r, const struct air_row *row, const struct cbor_item *v)
{
    if (v->body.len < row->least || v->body.len > row->most)
        return bad_claim(r, "BAD_NONCE_LENGTH", NULL);
    memcpy(r->claims.nonce, v->body.at, v->body.len);
    r->claims.nonce_len = v->body.len;
    return true;
}

static bool read_profile(struct air_reading *r, const struct cbor_item *v)
{
    if (bytes_equal(v->body, BYTES_LIT(AIR_PROFILE_OWN)))
        r->claims.profile = AIR_IN_OWN;
    else if (!bytes_equal(v->body, BYTES_LIT(AIR_PROFILE)))
        return bad_claim(r, "WRONG_PROFILE", NULL);
    return true;
}

/* Where the value of a measurement key goes, and its type. NULL: an unknown key. */
static bytes *measurement_slot(struct air_claims *claims, bytes key, enum cbor_kind *kind)
{
    *kind = CBOR_TEXT;
    if (bytes_equal(key, BYTES_LIT(AIR_MEASUREMENT_TYPE)))
        return &claims->measurement_type;
    *kind = CBOR_BYTES;
    enum air_register at = air_register_find(key);
    return at < AIR_REGISTERS ? &claims->registers[at] : NULL;
}

static bool read_measurement(struct air_reading *r, bytes *in, struct order *order)
{
    bytes start = *in, key;
    struct cbor_item value;
    enum cbor_kind kind;
    if (!err_is_ok(cbor_take_text(in, &key)))
        return bad_claim(r, "MEASUREMENT_KEY_NOT_TEXT", NULL);
    order_add(r, order, taken(start, *in), "enclave_measurements");
    bytes *slot = measurement_slot(&r->claims, key, &kind);
    if (slot == NULL)
        return bad_claim(r, "UNKNOWN_MEASUREMENT_KEY", NULL);
    if (slot->at != NULL)
        return bad_claim(r, "DUPLICATE_MEASUREMENT_KEY", NULL);
    if (!err_is_ok(cbor_take(in, &value)))
        return bad_claim(r, "BAD_CBOR", "enclave_measurements");
    if (value.kind != kind)
        return bad_claim(r, "WRONG_TYPE", "enclave_measurements");
    *slot = value.body;
    return true;
}

/* The map's head was taken; its pairs follow in *in. */
static bool read_measurements(struct air_reading *r, bytes *in, uint64_t pairs)
{
    struct order order = { 0 };
    if (pairs > AIR_REGISTERS + 1)
        return bad_claim(r, "UNKNOWN_MEASUREMENT_KEY", NULL);
    for (uint64_t i = 0; i < pairs; i++)
        if (!read_measurement(r, in, &order))
            return false;
    return r->claims.measurement_type.at != NULL ||
           bad_claim(r, "MISSING_CLAIM", AIR_MEASUREMENT_TYPE);
}

static bool take_gpu_number(bytes *in, const char *name, uint64_t least, uint64_t *out)
{
    bytes key;
    return err_is_ok(cbor_take_text(in, &key)) && bytes_equal(key, bytes_str(name)) &&
           err_is_ok(cbor_take_uint(in, out)) && *out >= least && *out <= AIR_GPUS_MAX;
}

static bool take_gpu_hash(bytes *in, uint8_t out[static AIR_HASH_LEN])
{
    bytes key, hash;
    if (!err_is_ok(cbor_take_text(in, &key)) || !err_is_ok(cbor_take_bytes(in, &hash)) ||
        !bytes_equal(key, BYTES_LIT(AIR_GPU_EVIDENCE_HASH)) || hash.len != AIR_HASH_LEN)
        return false;
    memcpy(out, hash.at, AIR_HASH_LEN);
    return true;
}

/* The map's head was taken. Exactly these keys in this order. */
static bool read_gpu(struct air_reading *r, bytes *in, uint64_t pairs)
{
    struct air_gpu *gpu = &r->claims.gpu;
    bool good = pairs == AIR_GPU_KEYS && take_gpu_number(in, AIR_GPU_GPUS, 1, &gpu->gpus) &&
                take_gpu_number(in, AIR_GPU_SWITCHES, 0, &gpu->switches) &&
                take_gpu_hash(in, gpu->evidence_hash);
    return good || bad_claim(r, "BAD_GPU", NULL);
}

static enum cbor_kind kind_wanted(enum air_kind kind)
{
    switch (kind) {
    case AIR_KIND_TEXT:
    case AIR_KIND_PROFILE:
        return CBOR_TEXT;
    case AIR_KIND_UINT:
        return CBOR_UINT;
    case AIR_KIND_FIXED:
    case AIR_KIND_NONCE:
        return CBOR_BYTES;
    case AIR_KIND_MEASUREMENTS:
    case AIR_KIND_GPU:
        return CBOR_MAP;
    }
    return CBOR_SIMPLE;
}

static bool read_value(struct air_reading *r, const struct air_row *row, bytes *in)
{
    struct cbor_item v;
    if (!err_is_ok(cbor_take(in, &v)))
        return bad_claim(r, "BAD_CBOR", row->name);
    if (v.kind != kind_wanted(row->kind))
        return bad_claim(r, "WRONG_TYPE", row->name);
    switch (row->kind) {
    case AIR_KIND_TEXT:
        return read_text(r, row, &v);
    case AIR_KIND_UINT:
        return read_uint(r, row, &v);
    case AIR_KIND_FIXED:
        return read_fixed(r, row, &v);
    case AIR_KIND_NONCE:
        return read_nonce(r, row, &v);
    case AIR_KIND_PROFILE:
        return read_profile(r, &v);
    case AIR_KIND_MEASUREMENTS:
        return read_measurements(r, in, v.value);
    case AIR_KIND_GPU:
        return read_gpu(r, in, v.value);
    }
    return false;
}

static size_t row_of_key(int64_t key)
{
    size_t i = 0;
    while (i < AIR_ROWS && air_table[i].key != key)
        i++;
    return i;
}

static bool read_claim(struct air_reading *r, bytes *in, struct order *order, uint32_t *seen)
{
    bytes start = *in;
    int64_t key;
    if (!err_is_ok(cbor_take_int(in, &key)))
        return bad_claim(r, "BAD_KEY", NULL);
    order_add(r, order, taken(start, *in), "claims");
    size_t i = row_of_key(key);
    if (i == AIR_ROWS)
        return bad_claim(r, "UNKNOWN_CLAIM", NULL);
    if (*seen & 1U << i)
        return bad_claim(r, "DUPLICATE_CLAIM", air_table[i].name);
    *seen |= 1U << i;
    return read_value(r, &air_table[i], in);
}

/* An unknown type is a later layer's to name; in AIR v1 it has to look like Nitro's all the same. */
static const struct air_type *type_to_hold_to(const struct air_claims *c)
{
    const struct air_type *type = air_type_find(c->measurement_type);
    if (c->profile == AIR_IN_V1 && (type == NULL || !type->in_v1))
        return air_type_find(BYTES_LIT(AIR_TYPE_NITRO));
    return type;
}

static bool registers_complete(struct air_reading *r, const struct air_type *type)
{
    enum air_register surplus = air_type_surplus(type, &r->claims);
    enum air_register missing = air_type_missing(type, &r->claims);
    if (missing != AIR_REGISTERS)
        return bad_claim(r, "MISSING_CLAIM", air_register_name(missing));
    if (surplus == AIR_PCR8 && bytes_equal(r->claims.measurement_type, BYTES_LIT(AIR_TYPE_TDX)))
        return bad_claim(r, "TDX_PCR8_FORBIDDEN", NULL);
    return surplus == AIR_REGISTERS || bad_claim(r, "UNKNOWN_MEASUREMENT_KEY", NULL);
}

/* What AIR v1 can say is not said in our own profile. */
static bool profile_fits(struct air_reading *r, const struct air_type *type)
{
    const struct air_claims *c = &r->claims;
    if (c->profile == AIR_IN_V1)
        return c->gpu.gpus == 0 || bad_claim(r, "UNKNOWN_CLAIM", NULL);
    return type == NULL || air_type_profile(type, c->gpu.gpus > 0) == AIR_IN_OWN ||
           bad_claim(r, "MISSING_CLAIM", "gpu");
}

static bool claims_complete(struct air_reading *r, uint32_t seen)
{
    const struct air_type *type = type_to_hold_to(&r->claims);
    for (size_t i = 0; i < AIR_ROWS; i++)
        if (!air_table[i].optional && !(seen & 1U << i))
            return bad_claim(r, "MISSING_CLAIM", air_table[i].name);
    return (type == NULL || registers_complete(r, type)) && profile_fits(r, type);
}

static bool read_claims(struct air_reading *r, bytes payload)
{
    struct order order = { 0 };
    uint64_t pairs;
    uint32_t seen = 0;
    if (!err_is_ok(cbor_take_map(&payload, &pairs)))
        return bad_claim(r, "NOT_A_MAP", NULL);
    if (pairs > AIR_ROWS)
        return bad_claim(r, "UNKNOWN_CLAIM", NULL);
    for (uint64_t i = 0; i < pairs; i++)
        if (!read_claim(r, &payload, &order, &seen))
            return false;
    if (payload.len > 0)
        return bad_claim(r, "TRAILING_BYTES", NULL);
    return claims_complete(r, seen);
}

struct header {
    bool alg_good;
    bool content_type_good;
    bool extra; /* any other label */
};

/* One label and its value. False: not CBOR of ours. */
static bool read_label(bytes *in, struct header *h)
{
    struct cbor_item label;
    bytes value;
    if (!err_is_ok(cbor_take(in, &label)) || !err_is_ok(cbor_take_raw(in, &value)))
        return false;
    int64_t v = 0;
    bool is_int = err_is_ok(cbor_take_int(&value, &v));
    if (label.kind == CBOR_UINT && label.value == LABEL_ALG)
        h->alg_good = is_int && v == ALG_EDDSA;
    else if (label.kind == CBOR_UINT && label.value == LABEL_CONTENT_TYPE)
        h->content_type_good = is_int && v == CONTENT_TYPE_CWT;
    else
        h->extra = true;
    return true;
}

/* A header of other bytes than ours is refused in any case; this finds out what to call it. */
static bool read_header(struct air_reading *r, bytes map)
{
    struct header h = { 0 };
    uint64_t pairs = 0;
    bool is_ours = bytes_equal(map, BYTES_ARRAY(air_protected));
    if (map.len > 0 && !err_is_ok(cbor_take_map(&map, &pairs)))
        return bad(r, AIR_PART_COSE, "BAD_HEADER", NULL);
    for (uint64_t i = 0; i < pairs; i++)
        if (!read_label(&map, &h))
            return bad(r, AIR_PART_COSE, "BAD_HEADER", NULL);
    if (h.extra || map.len > 0)
        return bad(r, AIR_PART_COSE, "EXTRA_HEADER", NULL);
    if (h.alg_good && h.content_type_good && !is_ours)
        return bad(r, AIR_PART_COSE, "HEADER_NOT_DETERMINISTIC", NULL);
    r->state[AIR_PART_ALG] = AIR_PART_GOOD;
    r->state[AIR_PART_CONTENT_TYPE] = AIR_PART_GOOD;
    if (!h.alg_good)
        (void)bad(r, AIR_PART_ALG, "NOT_EDDSA", NULL);
    if (!h.content_type_good)
        (void)bad(r, AIR_PART_CONTENT_TYPE, "NOT_CWT", NULL);
    return true;
}

static bool read_envelope(struct air_reading *r, bytes receipt)
{
    if (receipt.len > AIR_RECEIPT_MAX)
        return bad(r, AIR_PART_SIZE, "TOO_LARGE", NULL);
    r->state[AIR_PART_SIZE] = AIR_PART_GOOD;
    if (!err_is_ok(cose_sign1_read(receipt, &r->parts)))
        return bad(r, AIR_PART_COSE, "NOT_COSE_SIGN1", NULL);
    if (!bytes_equal(r->parts.unprotected_map, BYTES_LIT("\xa0"))) {
        r->state[AIR_PART_COSE] = AIR_PART_GOOD;
        return bad(r, AIR_PART_UNPROTECTED, "NOT_EMPTY", NULL);
    }
    r->state[AIR_PART_UNPROTECTED] = AIR_PART_GOOD;
    if (!read_header(r, r->parts.protected_map))
        return false;
    r->state[AIR_PART_COSE] = AIR_PART_GOOD;
    if (r->parts.payload.len == 0)
        return bad(r, AIR_PART_PAYLOAD, "NONE", NULL);
    r->state[AIR_PART_PAYLOAD] = AIR_PART_GOOD;
    return true;
}

void air_read_parts(bytes receipt, struct air_reading *out)
{
    *out = (struct air_reading){ 0 };
    if (!read_envelope(out, receipt) || !read_claims(out, out->parts.payload)) {
        out->claims = (struct air_claims){ 0 };
        return;
    }
    out->has_claims = true;
    out->state[AIR_PART_CLAIMS] = AIR_PART_GOOD;
    if (out->state[AIR_PART_ENCODING] == AIR_PART_NOT_REACHED)
        out->state[AIR_PART_ENCODING] = AIR_PART_GOOD;
}

err air_read(bytes receipt, struct air_claims *out)
{
    struct air_reading r;
    air_read_parts(receipt, &r);
    for (unsigned i = 0; i < AIR_PARTS; i++)
        ENSURE(r.state[i] == AIR_PART_GOOD, MALFORMED);
    *out = r.claims;
    return OK;
}
