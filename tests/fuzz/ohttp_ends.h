/* tests/fuzz/ohttp_ends.h - both ends of an exchange under fixed keys, for the two ohttp targets. */
#pragma once

#include <stdlib.h>

#include "crypto/hpke.h"
#include "crypto/init.h"
#include "wire/ohttp.h"
#include "wire/ohttp_test.h"

static const uint8_t ends_server_sk[32] = { 1, 2, 3 };
static const uint8_t ends_client_sk[32] = { 4, 5, 6 };
static const uint8_t ends_nonce[32] = { 7, 8, 9 };
static struct ohttp_keys *ends_keys;
static struct key_config ends_config;

static inline void demand(bool law)
{
    if (!law)
        abort();
}

static inline void ends_set_up(void)
{
    const struct ohttp_key_settings s = { .id = 7,
                                          .suites = { { 1, 1 }, { 1, 3 } },
                                          .suites_n = 2 };
    struct hpke_private_key *key;
    if (ends_keys != NULL)
        return;
    demand(err_is_ok(crypto_init()));
    demand(err_is_ok(hpke_key_load(&key, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(ends_server_sk))));
    demand(err_is_ok(ohttp_keys_new(&ends_keys)));
    demand(err_is_ok(ohttp_keys_add(ends_keys, &s, key)));
    demand(ohttp_keys_find(ends_keys, 7, &ends_config));
}

static inline struct ohttp_client *ends_client(enum ohttp_variant variant)
{
    struct ohttp_client *c;
    const struct hpke_ephemeral given = { BYTES_ARRAY(ends_client_sk) };
    demand(err_is_ok(ohttp_client_new(&c, variant, &ends_config, 1, &given)));
    return c;
}

static inline struct ohttp_server *ends_server(enum ohttp_variant variant)
{
    struct ohttp_server *s;
    demand(err_is_ok(ohttp_server_new(&s, variant, ends_keys)));
    return s;
}

/* Seals text in pieces whose lengths its own bytes choose, and an empty final chunk. */
static inline void ends_seal(struct ohttp_client *c, struct ohttp_server *s, bytes text,
                             struct buf *out)
{
    for (bytes piece; text.len > 0;) {
        size_t n = 1 + text.at[0] % 64U;
        (void)bytes_take(&text, n < text.len ? n : text.len, &piece);
        demand(err_is_ok(c != NULL ? ohttp_client_seal(c, piece, false, out)
                                   : ohttp_server_seal(s, piece, false, out)));
    }
    demand(err_is_ok(c != NULL ? ohttp_client_seal(c, text, true, out)
                               : ohttp_server_seal(s, text, true, out)));
}

/* Opens at one of the ends, in pieces of `step`; takes the ends. */
static inline err ends_open(struct ohttp_client *c, struct ohttp_server *s, bytes body, size_t step,
                            struct buf *plain)
{
    err e;
    enum ohttp_step at;
    do {
        bytes piece;
        (void)bytes_take(&body, step < body.len ? step : body.len, &piece);
        bool end = body.len == 0;
        e = c != NULL ? ohttp_client_open(c, piece, end, plain, &at)
                      : ohttp_server_open(s, piece, end, plain, &at);
        demand(e.code != ERR_OK || (at == OHTTP_DONE) == end);
    } while (body.len > 0 && e.code == ERR_OK);
    ohttp_client_free(c);
    ohttp_server_free(s);
    return e;
}

static inline void ends_check_kind(err e)
{
    demand(e.code == ERR_OK || e.code == ERR_CRYPTO || e.code == ERR_MALFORMED ||
           e.code == ERR_TRUNCATED || e.code == ERR_NOT_FOUND);
}
