#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/jws.h"
#include "crypto/x509.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { LARGE = 128 * 1024 };

static struct pki_cert *cert;
static struct buf token, set;

static void put_part(struct buf *out, const char *json)
{
    CHECK_OK(text_base64url_encode(out, bytes_str(json)));
}

static void make_token(const char *header, const char *claims)
{
    uint8_t sig[96];
    buf_truncate(&token, 0);
    put_part(&token, header);
    CHECK_OK(buf_add_u8(&token, '.'));
    put_part(&token, claims);
    pki_sign_p384(cert, buf_view(&token), sig);
    CHECK_OK(buf_add_u8(&token, '.'));
    CHECK_OK(text_base64url_encode(&token, BYTES_ARRAY(sig)));
}

static void put_key(const char *kid, const char *curve)
{
    bytes point = pki_point(cert);
    CHECK_OK(buf_addf(&set, "{\"kty\":\"EC\",\"crv\":\"%s\",\"kid\":\"%s\",\"x\":\"", curve, kid));
    CHECK_OK(text_base64url_encode(&set, bytes_slice(point, 1, 48)));
    CHECK_OK(buf_add_str(&set, "\",\"y\":\""));
    CHECK_OK(text_base64url_encode(&set, bytes_slice(point, 49, 48)));
    CHECK_OK(buf_add_str(&set, "\"}"));
}

static void make_set(const char *kid, const char *curve)
{
    buf_truncate(&set, 0);
    CHECK_OK(buf_add_str(&set, "{\"keys\":["));
    put_key(kid, curve);
    CHECK_OK(buf_add_str(&set, "]}"));
}

static const char *verify_as(enum jws_alg alg)
{
    struct jws *t;
    struct jwks *keys;
    enum jws_outcome outcome;
    CHECK_OK(jws_read(&t, buf_view(&token)));
    CHECK_OK(jwks_read(&keys, buf_view(&set)));
    CHECK_OK(jws_verify(t, keys, alg, &outcome));
    jwks_free(keys);
    jws_free(t);
    return jws_outcome_word(outcome);
}

static void verifies(const char *header, const char *word)
{
    make_token(header, "{\"a\":1}");
    assert_string_equal(verify_as(JWS_ES384), word);
}

static void a_token_holds_by_the_key_it_names(void **state)
{
    (void)state;
    struct jws *t;
    bytes kid;
    int64_t a;
    make_set("k", "P-384");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "ok");
    CHECK_OK(jws_read(&t, buf_view(&token)));
    CHECK(json_text(json_get(jws_header(t), "kid"), &kid) && kid.len == 1);
    CHECK(json_i64(json_get(jws_claims(t), "a"), &a) && a == 1);
    CHECK_BYTES(jws_claims_text(t), BYTES_LIT("{\"a\":1}"));
    CHECK_BYTES(jws_header_text(t), BYTES_LIT("{\"alg\":\"ES384\",\"kid\":\"k\"}"));
    jws_free(t);
}

static void the_caller_chooses_the_algorithm(void **state)
{
    (void)state;
    make_set("k", "P-384");
    verifies("{\"alg\":\"none\",\"kid\":\"k\"}", "alg");
    verifies("{\"alg\":\"HS384\",\"kid\":\"k\"}", "alg");
    verifies("{\"alg\":\"es384\",\"kid\":\"k\"}", "alg");
    verifies("{\"kid\":\"k\"}", "alg");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "ok");
    assert_string_equal(verify_as(JWS_RS256), "alg");
}

static void headers_cannot_bring_keys_or_demands(void **state)
{
    (void)state;
    make_set("k", "P-384");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\",\"crit\":[\"x\"]}", "crit");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\",\"jwk\":{}}", "key");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\",\"jku\":\"x\"}", "key");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\",\"x5u\":\"x\"}", "key");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\",\"x5c\":[]}", "key");
    verifies("{\"alg\":\"ES384\"}", "kid");
    verifies("{\"alg\":\"ES384\",\"kid\":\"\"}", "kid");
    verifies("{\"alg\":\"ES384\",\"kid\":\"K\"}", "kid");
}

static void keys_have_to_be_of_the_right_kind_and_there_once(void **state)
{
    (void)state;
    make_set("k", "P-256");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "jwks");
    buf_truncate(&set, 0);
    CHECK_OK(buf_add_str(&set, "{\"keys\":["));
    put_key("k", "P-384");
    CHECK_OK(buf_add_u8(&set, ','));
    put_key("k", "P-384");
    CHECK_OK(buf_add_str(&set, "]}"));
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "jwks");
    buf_truncate(&set, 0);
    CHECK_OK(buf_add_str(&set, "{\"keys\":[]}"));
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "kid");
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    make_set("k", "P-384");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "ok");
    for (size_t i = 0; i < 8 * token.len; i++) {
        struct jws *t;
        struct jwks *keys;
        enum jws_outcome outcome = JWS_REFUSED;
        token.at[i / 8] ^= (uint8_t)(1U << (i % 8));
        CHECK_OK(jwks_read(&keys, buf_view(&set)));
        if (err_is_ok(jws_read(&t, buf_view(&token)))) {
            CHECK_OK(jws_verify(t, keys, JWS_ES384, &outcome));
            jws_free(t);
        }
        CHECK(outcome != JWS_VALID);
        jwks_free(keys);
        token.at[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
}

static void what_is_no_token_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = { "",
                                       "e30",
                                       "e30.e30",
                                       "e30.e30.AA.AA",
                                       "e30.e30.A",
                                       "e30.e30.AA=",
                                       "e30.W10.AA",
                                       "W10.e30.AA",
                                       "e30 .e30.AA",
                                       "e30.e3.AA",
                                       "eyJhIjoxLCJhIjoyfQ.e30.AA" };
    struct jws *t = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(jws_read(&t, bytes_str(bad[i])), MALFORMED);
    CHECK_OK(jws_read(&t, BYTES_LIT("e30.e30.AA")));
    jws_free(t);
    jws_free(NULL);
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct jws *t = NULL;
    struct jwks *keys = NULL;
    BUF_AUTO large = BUF(JWKS_MAX + 1);
    CHECK_OK(buf_add_str(&large, "e30.e30."));
    while (large.len < JWS_TOKEN_MAX)
        CHECK_OK(buf_add_u8(&large, 'A'));
    CHECK_OK(jws_read(&t, buf_view(&large)));
    jws_free(t);
    CHECK_OK(buf_add_u8(&large, 'A'));
    CHECK_ERR(jws_read(&t, buf_view(&large)), LIMIT);

    buf_truncate(&large, 0);
    CHECK_OK(buf_add_str(&large, "{\"keys\":[{}"));
    for (size_t i = 1; i < JWKS_KEYS_MAX; i++)
        CHECK_OK(buf_add_str(&large, ",{}"));
    size_t len = large.len;
    CHECK_OK(buf_add_str(&large, "]}"));
    CHECK_OK(jwks_read(&keys, buf_view(&large)));
    jwks_free(keys);
    buf_truncate(&large, len);
    CHECK_OK(buf_add_str(&large, ",{}]}"));
    CHECK_ERR(jwks_read(&keys, buf_view(&large)), LIMIT);
    CHECK_ERR(jwks_read(&keys, BYTES_LIT("[]")), MALFORMED);
    CHECK_ERR(jwks_read(&keys, BYTES_LIT("{\"keys\":[1]}")), MALFORMED);
    while (large.len <= JWKS_MAX)
        CHECK_OK(buf_add_u8(&large, ' '));
    CHECK_ERR(jwks_read(&keys, buf_view(&large)), LIMIT);
    jwks_free(NULL);
}

static void a_key_out_of_a_certificate_may_be_named_by_x5c(void **state)
{
    (void)state;
    struct jws *t;
    enum jws_outcome outcome;
    BUF_AUTO spki = BUF(1024);
    BUF_AUTO der = BUF(16);
    CHECK_OK(x509_spki(pki_der(cert), &spki));
    make_token("{\"alg\":\"ES384\",\"x5c\":[\"AQI=\"]}", "{}");
    CHECK_OK(jws_read(&t, buf_view(&token)));
    CHECK_OK(jws_verify_spki(t, buf_view(&spki), JWS_ES384, &outcome));
    CHECK(outcome == JWS_VALID);
    CHECK_OK(jws_verify_spki(t, buf_view(&spki), JWS_RS256, &outcome));
    CHECK(outcome == JWS_ALGORITHM);
    CHECK_OK(jws_x5c(t, 0, &der));
    CHECK_BYTES(buf_view(&der), BYTES_LIT("\x01\x02"));
    CHECK_ERR(jws_x5c(t, 1, &der), NOT_FOUND);
    jws_free(t);
}

static err verify_once(void *arg)
{
    (void)arg;
    struct jws *t = NULL;
    struct jwks *keys = NULL;
    enum jws_outcome outcome = JWS_REFUSED;
    err e = jws_read(&t, buf_view(&token));
    if (err_is_ok(e))
        e = jwks_read(&keys, buf_view(&set));
    if (err_is_ok(e))
        e = jws_verify(t, keys, JWS_ES384, &outcome);
    CHECK(!err_is_ok(e) || outcome == JWS_VALID);
    jwks_free(keys);
    jws_free(t);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    make_set("k", "P-384");
    verifies("{\"alg\":\"ES384\",\"kid\":\"k\"}", "ok");
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    cert = pki_new(&(struct pki_spec){
        .name = "signer", .curve = "P-384", .from_s = 1000000000, .until_s = 2000000000 });
    token = BUF(LARGE);
    set = BUF(LARGE);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(cert);
    buf_clear(&token);
    buf_clear(&set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_holds_by_the_key_it_names),
        cmocka_unit_test(the_caller_chooses_the_algorithm),
        cmocka_unit_test(headers_cannot_bring_keys_or_demands),
        cmocka_unit_test(keys_have_to_be_of_the_right_kind_and_there_once),
        cmocka_unit_test(any_flipped_bit_is_refused),
        cmocka_unit_test(what_is_no_token_is_malformed),
        cmocka_unit_test(the_limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(a_key_out_of_a_certificate_may_be_named_by_x5c),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
