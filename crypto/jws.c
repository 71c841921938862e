#include "crypto/jws.h"

#include "base/mem.h"
#include "base/text.h"
#include "crypto/der.h"
#include "crypto/rsa.h"

enum { PARTS = 3, P384_SCALAR_LEN = 48, P384_SIG_LEN = 96, JWKS_DEPTH_MAX = 8, BIT_STRING = 0x03 };

/* What is signed is the text of the first two parts with the dot between. */
struct jws {
    struct buf signed_text;
    struct buf header_text;
    struct buf claims_text;
    struct buf signature;
    struct json *header;
    struct json *claims;
};

struct jwks {
    struct json *root;
};

const char *jws_outcome_word(enum jws_outcome o)
{
    static const char *const words[] = {
#define X(name, word) [JWS_##name] = (word),
        JWS_OUTCOME_LIST(X)
#undef X
    };
    return (size_t)o < ARRAY_LEN(words) ? words[o] : words[JWS_REFUSED];
}

/* --- reading ----------------------------------------------------------------------------------- */

static err split(bytes compact, bytes parts[static PARTS])
{
    for (size_t i = 0; i < PARTS; i++) {
        size_t end = text_find(compact, BYTES_LIT("."));
        ENSURE((end < compact.len) == (i + 1 < PARTS), MALFORMED);
        parts[i] = bytes_slice(compact, 0, end);
        compact = bytes_slice(compact, end + 1, compact.len);
    }
    return OK;
}

static err read_object(bytes part, struct buf *text, struct json **out)
{
    *text = BUF(JWS_TOKEN_MAX);
    TRY(text_base64url_decode(text, part));
    err e = json_read(out, buf_view(text), JWS_JSON_DEPTH_MAX);
    ENSURE(e.code != ERR_LIMIT, MALFORMED);
    TRY(e);
    ENSURE(json_kind(*out) == JSON_KIND_OBJECT, MALFORMED);
    return OK;
}

static err read_parts(struct jws *t, bytes compact)
{
    bytes parts[PARTS];
    TRY(split(compact, parts));
    t->signed_text = BUF(JWS_TOKEN_MAX);
    t->signature = BUF(JWS_TOKEN_MAX);
    TRY(buf_add(&t->signed_text, bytes_slice(compact, 0, parts[0].len + 1 + parts[1].len)));
    TRY(text_base64url_decode(&t->signature, parts[2]));
    TRY(read_object(parts[0], &t->header_text, &t->header));
    return read_object(parts[1], &t->claims_text, &t->claims);
}

err jws_read(struct jws **out, bytes compact)
{
    struct jws *t;
    ENSURE(compact.len <= JWS_TOKEN_MAX, LIMIT);
    TRY(mem_new(&t));
    err e = read_parts(t, compact);
    if (err_is_ok(e))
        *out = t;
    else
        jws_free(t);
    return e;
}

void jws_free(struct jws *token)
{
    if (token == NULL)
        return;
    json_free(token->header);
    json_free(token->claims);
    buf_clear(&token->signed_text);
    buf_clear(&token->header_text);
    buf_clear(&token->claims_text);
    buf_clear(&token->signature);
    mem_free(token);
}

const struct json *jws_header(const struct jws *token)
{
    return token->header;
}

const struct json *jws_claims(const struct jws *token)
{
    return token->claims;
}

bytes jws_header_text(const struct jws *token)
{
    return buf_view(&token->header_text);
}

bytes jws_claims_text(const struct jws *token)
{
    return buf_view(&token->claims_text);
}

err jws_x5c(const struct jws *token, size_t i, struct buf *out)
{
    bytes text;
    ENSURE(json_text(json_at(json_get(token->header, "x5c"), i), &text), NOT_FOUND);
    return text_base64_decode(out, text);
}

static err check_set(const struct json *root)
{
    const struct json *keys = json_get(root, "keys");
    ENSURE(json_kind(keys) == JSON_KIND_ARRAY, MALFORMED);
    ENSURE(json_len(keys) <= JWKS_KEYS_MAX, LIMIT);
    for (size_t i = 0; i < json_len(keys); i++)
        ENSURE(json_kind(json_at(keys, i)) == JSON_KIND_OBJECT, MALFORMED);
    return OK;
}

err jwks_read(struct jwks **out, bytes text)
{
    struct jwks *set;
    ENSURE(text.len <= JWKS_MAX, LIMIT);
    TRY(mem_new(&set));
    err e = json_read(&set->root, text, JWKS_DEPTH_MAX);
    if (e.code == ERR_LIMIT)
        e = (err){ ERR_MALFORMED };
    if (err_is_ok(e))
        e = check_set(set->root);
    if (err_is_ok(e))
        *out = set;
    else
        jwks_free(set);
    return e;
}

void jwks_free(struct jwks *keys)
{
    if (keys == NULL)
        return;
    json_free(keys->root);
    mem_free(keys);
}

/* --- header ------------------------------------------------------------------------------------ */

static bool text_is(const struct json *value, const char *wanted)
{
    bytes text;
    return json_text(value, &text) && bytes_equal(text, bytes_str(wanted));
}

static enum jws_outcome check_header(const struct jws *t, enum jws_alg alg, bool with_x5c)
{
    static const char *const key_sources[] = { "jwk", "jku", "x5u", "x5c" };
    if (!text_is(json_get(t->header, "alg"), alg == JWS_ES384 ? "ES384" : "RS256"))
        return JWS_ALGORITHM;
    if (json_get(t->header, "crit") != NULL)
        return JWS_CRITICAL;
    for (size_t i = 0; i < ARRAY_LEN(key_sources) - (with_x5c ? 1 : 0); i++) {
        if (json_get(t->header, key_sources[i]) != NULL)
            return JWS_OWN_KEY;
    }
    return JWS_VALID;
}

/* --- keys -------------------------------------------------------------------------------------- */

static enum jws_outcome find_key(const struct jws *t, const struct jwks *set,
                                 const struct json **out)
{
    bytes kid, have;
    const struct json *keys = json_get(set->root, "keys");
    *out = NULL;
    if (!json_text(json_get(t->header, "kid"), &kid) || kid.len == 0 || kid.len > JWS_KID_MAX)
        return JWS_NO_KEY;
    for (size_t i = 0; i < json_len(keys); i++) {
        const struct json *key = json_at(keys, i);
        if (!json_text(json_get(key, "kid"), &have) || !bytes_equal(have, kid))
            continue;
        if (*out != NULL)
            return JWS_BAD_KEY;
        *out = key;
    }
    return *out != NULL ? JWS_VALID : JWS_NO_KEY;
}

static err take_number(const struct json *key, const char *name, struct buf *out)
{
    bytes text;
    ENSURE(json_text(json_get(key, name), &text), MALFORMED);
    return text_base64url_decode(out, text);
}

static err read_point(const struct json *key, struct buf *point)
{
    ENSURE(text_is(json_get(key, "kty"), "EC") && text_is(json_get(key, "crv"), "P-384"),
           UNSUPPORTED);
    TRY(buf_add_u8(point, 0x04));
    TRY(take_number(key, "x", point));
    ENSURE(point->len == 1 + P384_SCALAR_LEN, MALFORMED);
    TRY(take_number(key, "y", point));
    ENSURE(point->len == 1 + 2 * P384_SCALAR_LEN, MALFORMED);
    return ec_point_check(EC_P384, buf_view(point));
}

static err outcome_of(err e, enum jws_outcome otherwise, enum jws_outcome *out)
{
    if (e.code == ERR_NOMEM || e.code == ERR_INTERNAL)
        return e;
    *out = err_is_ok(e) ? JWS_VALID : otherwise;
    return OK;
}

static err verify_by_point(const struct jws *t, bytes point, enum jws_outcome *out)
{
    err e = { ERR_CRYPTO };
    if (t->signature.len == P384_SIG_LEN)
        e = verify_ecdsa(EC_P384, point, buf_view(&t->signed_text), buf_view(&t->signature),
                         ECDSA_RAW);
    return outcome_of(e, JWS_SIGNATURE, out);
}

static err verify_es384(const struct jws *t, const struct json *key, enum jws_outcome *out)
{
    BUF_AUTO point = BUF(1 + 2 * P384_SCALAR_LEN);
    TRY(outcome_of(read_point(key, &point), JWS_BAD_KEY, out));
    return *out == JWS_VALID ? verify_by_point(t, buf_view(&point), out) : OK;
}

static err verify_by_rsa(const struct jws *t, const struct rsa_key *key, enum jws_outcome *out)
{
    err e = rsa_verify_sha256(key, buf_view(&t->signed_text), buf_view(&t->signature));
    return outcome_of(e, e.code == ERR_UNSUPPORTED ? JWS_BAD_KEY : JWS_SIGNATURE, out);
}

static err read_rsa(const struct json *key, struct buf *n, struct buf *e)
{
    ENSURE(text_is(json_get(key, "kty"), "RSA"), UNSUPPORTED);
    TRY(take_number(key, "n", n));
    return take_number(key, "e", e);
}

static err verify_rs256(const struct jws *t, const struct json *key, enum jws_outcome *out)
{
    BUF_AUTO n = BUF(RSA_BITS_MAX / 8);
    BUF_AUTO e = BUF(16);
    TRY(outcome_of(read_rsa(key, &n, &e), JWS_BAD_KEY, out));
    struct rsa_key rsa = { buf_view(&n), buf_view(&e) };
    return *out == JWS_VALID ? verify_by_rsa(t, &rsa, out) : OK;
}

err jws_verify(const struct jws *token, const struct jwks *keys, enum jws_alg alg,
               enum jws_outcome *out)
{
    const struct json *key = NULL;
    *out = check_header(token, alg, false);
    if (*out == JWS_VALID)
        *out = find_key(token, keys, &key);
    if (*out != JWS_VALID)
        return OK;
    *out = JWS_REFUSED;
    return alg == JWS_ES384 ? verify_es384(token, key, out) : verify_rs256(token, key, out);
}

/* --- a key out of a certificate ---------------------------------------------------------------- */

/* An INTEGER without the zero byte that keeps it positive. */
static err take_positive(bytes *in, bytes *out)
{
    TRY(der_take(in, DER_INTEGER, out));
    if (out->len > 1 && out->at[0] == 0)
        *out = bytes_slice(*out, 1, out->len);
    return OK;
}

/* SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING { SEQUENCE { n, e } } }, RFC 8017 A.1 */
static err rsa_of_spki(bytes spki, struct rsa_key *out)
{
    static const uint8_t algorithm[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                         0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
    bytes body, name, bits;
    uint8_t tag;
    TRY(der_take(&spki, DER_SEQUENCE, &body));
    TRY(der_take(&body, DER_SEQUENCE, &name));
    ENSURE(bytes_equal(name, BYTES_ARRAY(algorithm)), UNSUPPORTED);
    TRY(der_take_any(&body, &tag, &bits));
    ENSURE(tag == BIT_STRING && bits.len > 1 && bits.at[0] == 0, MALFORMED);
    bits = bytes_slice(bits, 1, bits.len);
    TRY(der_take(&bits, DER_SEQUENCE, &body));
    TRY(take_positive(&body, &out->n));
    return take_positive(&body, &out->e);
}

err jws_verify_spki(const struct jws *token, bytes spki, enum jws_alg alg, enum jws_outcome *out)
{
    struct rsa_key rsa;
    *out = check_header(token, alg, true);
    if (*out != JWS_VALID)
        return OK;
    *out = JWS_REFUSED;
    if (alg == JWS_ES384)
        return verify_by_point(token, spki, out);
    TRY(outcome_of(rsa_of_spki(spki, &rsa), JWS_BAD_KEY, out));
    return *out == JWS_VALID ? verify_by_rsa(token, &rsa, out) : OK;
}
