/* A token or a set of keys: a token that reads is refused by an empty set, and by a set whose key
 * nobody has. */
#include <stdlib.h>

#include "crypto/init.h"
#include "crypto/jws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void verify(const struct jws *t, const struct jwks *keys)
{
    enum jws_outcome outcome;
    must(err_is_ok(jws_verify(t, keys, JWS_ES384, &outcome)) && outcome != JWS_VALID);
    must(err_is_ok(jws_verify(t, keys, JWS_RS256, &outcome)) && outcome != JWS_VALID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct jws *t, *fixed;
    struct jwks *keys;
    bytes in = bytes_of(data, size);
    if (!ready)
        must(err_is_ok(crypto_init()));
    ready = true;
    if (err_is_ok(jws_read(&t, in))) {
        enum jws_outcome outcome;
        BUF_AUTO der = BUF(JWS_TOKEN_MAX);
        must(err_is_ok(jwks_read(&keys, BYTES_LIT("{\"keys\":[{\"kid\":\"k\"}]}"))));
        verify(t, keys);
        must(err_is_ok(jws_verify_spki(t, in, JWS_RS256, &outcome)) && outcome != JWS_VALID);
        (void)jws_x5c(t, 0, &der);
        jwks_free(keys);
        jws_free(t);
    }
    if (err_is_ok(jwks_read(&keys, in))) {
        /* {"alg":"ES384","kid":"k"} */
        must(err_is_ok(jws_read(
            &fixed, BYTES_LIT("eyJhbGciOiJFUzM4NCIsImtpZCI6ImsifQ.e30.AAAAAAAAAAAAAAAAAAAAAAAA"))));
        verify(fixed, keys);
        jws_free(fixed);
        jwks_free(keys);
    }
    return 0;
}
