/*
 * crypto/jws.h - signed tokens (JWS compact serialisation, RFC 7515) and sets of keys (RFC 7517).
 *
 * Reading proves nothing; jws_verify() does, over the bytes as received. The algorithm is the
 * caller's choice, never the token's: a token that names another one is refused. Base64url is
 * strict, JSON has no repeated keys.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"
#include "crypto/sign.h"

enum {
    JWS_TOKEN_MAX = 64 * 1024, /* compact form */
    JWS_JSON_DEPTH_MAX = 16,
    JWKS_MAX = 256 * 1024,
    JWKS_KEYS_MAX = 64,
    JWS_KID_MAX = 256
};

enum jws_alg { JWS_ES384 = 1, JWS_RS256 };

/* One word for each reason, in the order in which they are looked for. */
#define JWS_OUTCOME_LIST(X)                                                                        \
    X(REFUSED, "refused")                                                                          \
    X(VALID, "ok")                                                                                 \
    X(ALGORITHM, "alg") /* not the one that is asked for */                                        \
    X(CRITICAL, "crit") /* a header parameter that must be understood */                           \
    X(OWN_KEY, "key")   /* the token brings its own key, or says where to fetch one */             \
    X(NO_KEY, "kid")    /* none of that id in the set, or no id */                                 \
    X(BAD_KEY, "jwks")  /* the key is of another kind, or not on its curve, or there twice */      \
    X(SIGNATURE, "signature")

enum jws_outcome {
#define X(name, word) JWS_##name,
    JWS_OUTCOME_LIST(X)
#undef X
};

const char *jws_outcome_word(enum jws_outcome o);

struct jws;

/* Three parts, of which the first two are JSON objects. Borrows nothing. ERR_LIMIT: over
 * JWS_TOKEN_MAX. ERR_MALFORMED: anything else. */
err jws_read(struct jws **out, bytes compact);
void jws_free(struct jws *token);

const struct json *jws_header(const struct jws *token);
const struct json *jws_claims(const struct jws *token);

/* The JSON as it was signed. */
bytes jws_header_text(const struct jws *token);
bytes jws_claims_text(const struct jws *token);

struct jwks;

/* {"keys": [...]}; keys are looked at when they are used. ERR_LIMIT: over JWKS_MAX or JWKS_KEYS_MAX.
 * ERR_MALFORMED: anything else. */
err jwks_read(struct jwks **out, bytes text);
void jwks_free(struct jwks *keys);

/* By the key of the set that the header's `kid` names. *out is always set; an err is for memory
 * only. Says nothing about the claims. */
err jws_verify(const struct jws *token, const struct jwks *keys, enum jws_alg alg,
               enum jws_outcome *out);

/* By a key that the caller has proved otherwise, as a SubjectPublicKeyInfo in DER: the header may
 * then hold x5c, where it came from. */
err jws_verify_spki(const struct jws *token, bytes spki, enum jws_alg alg, enum jws_outcome *out);

/* The i-th certificate of the header's x5c, appended as DER. ERR_NOT_FOUND: no more. */
err jws_x5c(const struct jws *token, size_t i, struct buf *out);
