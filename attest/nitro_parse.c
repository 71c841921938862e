#include "attest/nitro_parse.h"

#include "base/cbor_any.h"

enum { PARTS = 4, CBOR_NULL = 22, SIGNATURE_LEN = 96 };

/* {1: -35}: ES384, and nothing else. */
static const uint8_t protected_es384[] = { 0xa1, 0x01, 0x38, 0x22 };
static const uint8_t unprotected_empty[] = { 0xa0 };

const char *nitro_reason_word(enum nitro_reason r)
{
    static const char *const words[] = {
#define X(name, word) [NITRO_##name] = (word),
        NITRO_REASON_LIST(X)
#undef X
    };
    return (size_t)r < ARRAY_LEN(words) ? words[r] : "unchecked";
}

/* Takes a null off *in, if there is one. */
static bool take_null(bytes *in)
{
    bytes rest = *in;
    struct cbor_item item;
    if (!err_is_ok(cbor_take(&rest, &item)) || item.kind != CBOR_SIMPLE || item.value != CBOR_NULL)
        return false;
    *in = rest;
    return true;
}

/* What no item can start with is the document's fault, not the field's. */
static bool starts_item(bytes in)
{
    struct cbor_item item;
    struct cbor_run run;
    bytes other = in;
    return err_is_ok(cbor_take(&in, &item)) || err_is_ok(cbor_any_map(&other, &run)) ||
           err_is_ok(cbor_any_array(&other, &run));
}

/* --- the fields; each takes its value off *in -------------------------------------------------- */

typedef enum nitro_reason take_field(bytes *in, struct nitro_doc *d);

static enum nitro_reason take_module_id(bytes *in, struct nitro_doc *d)
{
    bool fine = err_is_ok(cbor_take_text(in, &d->module_id)) && d->module_id.len > 0 &&
                d->module_id.len <= NITRO_MODULE_ID_MAX;
    return fine ? NITRO_OK : NITRO_MODULE_ID;
}

static enum nitro_reason take_digest(bytes *in, struct nitro_doc *d)
{
    bool fine =
        err_is_ok(cbor_take_text(in, &d->digest)) && bytes_equal(d->digest, BYTES_LIT("SHA384"));
    return fine ? NITRO_OK : NITRO_DIGEST;
}

static enum nitro_reason take_timestamp(bytes *in, struct nitro_doc *d)
{
    bool fine = err_is_ok(cbor_take_uint(in, &d->timestamp_ms)) && d->timestamp_ms > 0 &&
                d->timestamp_ms <= INT64_MAX;
    return fine ? NITRO_OK : NITRO_TIMESTAMP;
}

static bool take_pcr(bytes *in, struct nitro_doc *d)
{
    uint64_t index;
    bytes value;
    if (!err_is_ok(cbor_take_uint(in, &index)) || !err_is_ok(cbor_take_bytes(in, &value)))
        return false;
    if (index >= NITRO_PCRS_MAX || value.len != NITRO_PCR_LEN || d->pcrs[index].len > 0)
        return false;
    d->pcrs[index] = value;
    return true;
}

static enum nitro_reason take_pcrs(bytes *in, struct nitro_doc *d)
{
    struct cbor_run run;
    size_t n = 0;
    if (!err_is_ok(cbor_any_map(in, &run)))
        return NITRO_PCRS;
    while (cbor_any_more(in, &run)) {
        if (!take_pcr(in, d))
            return NITRO_PCRS;
        n++;
    }
    return n > 0 && err_is_ok(cbor_any_end(&run)) ? NITRO_OK : NITRO_PCRS;
}

static enum nitro_reason take_certificate(bytes *in, struct nitro_doc *d)
{
    bool fine = err_is_ok(cbor_take_bytes(in, &d->certificate)) && d->certificate.len > 0;
    return fine ? NITRO_OK : NITRO_CERTIFICATE;
}

/* A length that cannot be is the document's fault as a whole, not this field's. */
static enum nitro_reason take_cabundle(bytes *in, struct nitro_doc *d)
{
    struct cbor_run run;
    err e = cbor_any_array(in, &run);
    if (!err_is_ok(e))
        return e.code == ERR_TRUNCATED ? NITRO_MALFORMED : NITRO_CABUNDLE;
    while (cbor_any_more(in, &run)) {
        if (d->cabundle_n == NITRO_CABUNDLE_MAX ||
            !err_is_ok(cbor_take_bytes(in, &d->cabundle[d->cabundle_n])) ||
            d->cabundle[d->cabundle_n].len == 0)
            return NITRO_CABUNDLE;
        d->cabundle_n++;
    }
    return d->cabundle_n > 0 && err_is_ok(cbor_any_end(&run)) ? NITRO_OK : NITRO_CABUNDLE;
}

static bool take_optional(bytes *in, size_t least, struct nitro_field *out)
{
    out->present = err_is_ok(cbor_take_bytes(in, &out->value));
    return out->present && out->value.len >= least && out->value.len <= NITRO_FIELD_MAX;
}

static enum nitro_reason take_public_key(bytes *in, struct nitro_doc *d)
{
    return take_optional(in, 1, &d->public_key) ? NITRO_OK : NITRO_PUBLIC_KEY;
}

static enum nitro_reason take_user_data(bytes *in, struct nitro_doc *d)
{
    return take_optional(in, 0, &d->user_data) ? NITRO_OK : NITRO_USER_DATA;
}

static enum nitro_reason take_nonce(bytes *in, struct nitro_doc *d)
{
    return take_optional(in, 0, &d->nonce) ? NITRO_OK : NITRO_NONCE;
}

/* --- the map ----------------------------------------------------------------------------------- */

static const struct {
    const char *key;
    take_field *take;
    enum nitro_reason missing; /* NITRO_OK: it may be */
} fields[] = {
    { "module_id", take_module_id, NITRO_MISSING_MODULE_ID },
    { "digest", take_digest, NITRO_MISSING_DIGEST },
    { "timestamp", take_timestamp, NITRO_MISSING_TIMESTAMP },
    { "pcrs", take_pcrs, NITRO_MISSING_PCRS },
    { "certificate", take_certificate, NITRO_MISSING_CERTIFICATE },
    { "cabundle", take_cabundle, NITRO_MISSING_CABUNDLE },
    { "public_key", take_public_key, NITRO_OK },
    { "user_data", take_user_data, NITRO_OK },
    { "nonce", take_nonce, NITRO_OK },
};

/* The keys seen so far, and which of the table have a value. */
struct seen {
    bytes keys[NITRO_KEYS_MAX];
    size_t n;
    bool has[ARRAY_LEN(fields)];
};

static enum nitro_reason remember(struct seen *s, bytes key)
{
    for (size_t i = 0; i < s->n; i++) {
        if (bytes_equal(s->keys[i], key))
            return NITRO_DUPLICATE_KEY;
    }
    if (s->n == NITRO_KEYS_MAX)
        return NITRO_MALFORMED;
    s->keys[s->n++] = key;
    return NITRO_OK;
}

static enum nitro_reason take_value(bytes *in, bytes key, struct nitro_doc *d, struct seen *s)
{
    bytes skipped;
    if (take_null(in))
        return NITRO_OK;
    if (!starts_item(*in))
        return NITRO_MALFORMED;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!bytes_equal(key, bytes_str(fields[i].key)))
            continue;
        s->has[i] = true;
        return fields[i].take(in, d);
    }
    return err_is_ok(cbor_take_raw(in, &skipped)) ? NITRO_OK : NITRO_MALFORMED;
}

static enum nitro_reason take_pair(bytes *in, struct nitro_doc *d, struct seen *s)
{
    bytes key;
    if (!err_is_ok(cbor_take_text(in, &key)))
        return NITRO_MALFORMED;
    enum nitro_reason r = remember(s, key);
    return r == NITRO_OK ? take_value(in, key, d, s) : r;
}

static enum nitro_reason check_missing(const struct seen *s)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!s->has[i] && fields[i].missing != NITRO_OK)
            return fields[i].missing;
    }
    return NITRO_OK;
}

static enum nitro_reason read_payload(bytes in, struct nitro_doc *d)
{
    struct cbor_run run;
    struct seen seen = { 0 };
    if (!err_is_ok(cbor_any_map(&in, &run)))
        return NITRO_MALFORMED;
    while (cbor_any_more(&in, &run)) {
        enum nitro_reason r = take_pair(&in, d, &seen);
        if (r != NITRO_OK)
            return r;
    }
    if (!err_is_ok(cbor_any_end(&run)) || in.len > 0)
        return NITRO_MALFORMED;
    return check_missing(&seen);
}

/* By hand, so that what is signed is judged before what is not. */
static err read_parts(bytes in, struct cose_sign1 *out)
{
    uint64_t n;
    ENSURE(in.len <= NITRO_DOCUMENT_MAX, LIMIT);
    TRY(cbor_take_array(&in, &n));
    ENSURE(n == PARTS, MALFORMED);
    TRY(cbor_take_bytes(&in, &out->protected_map));
    TRY(cbor_take_raw(&in, &out->unprotected_map));
    TRY(cbor_take_bytes(&in, &out->payload));
    TRY(cbor_take_bytes(&in, &out->signature));
    ENSURE(in.len == 0, MALFORMED);
    return OK;
}

static enum nitro_reason read_document(bytes in, struct nitro_doc *d)
{
    if (!err_is_ok(read_parts(in, &d->cose)))
        return NITRO_MALFORMED;
    if (!bytes_equal(d->cose.protected_map, BYTES_ARRAY(protected_es384)))
        return NITRO_ALGORITHM;
    enum nitro_reason r = read_payload(d->cose.payload, d);
    if (r != NITRO_OK)
        return r;
    if (!bytes_equal(d->cose.unprotected_map, BYTES_ARRAY(unprotected_empty)))
        return NITRO_UNPROTECTED;
    return d->cose.signature.len == SIGNATURE_LEN ? NITRO_OK : NITRO_COSE_SIGNATURE;
}

enum nitro_reason nitro_parse(bytes in, struct nitro_doc *out)
{
    struct nitro_doc d = { 0 };
    enum nitro_reason r = read_document(in, &d);
    *out = r == NITRO_OK ? d : (struct nitro_doc){ 0 };
    return r;
}
