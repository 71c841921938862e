#include "attest/nvgpu_nras.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1750000000, LARGE = 512 * 1024 };

#define ISSUER "https://nras.test"
#define NONCE_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define COMMON                                                                                     \
    "\"iss\":\"" ISSUER "\",\"nbf\":1749999990,\"exp\":1750000010,\"eat_nonce\":\"" NONCE_HEX "\""
#define DEVICE                                                                                     \
    COMMON                                                                                         \
    ",\"ueid\":\"%zu\",\"hwmodel\":\"GH100 A01\",\"measres\":\"success\",\"secboot\":true,"        \
    "\"dbgstat\":\"disabled\""

static struct pki_cert *cert;
static struct buf jwks, answer, tokens[NRAS_DEVICES_MAX + 1];
static const char *device_claims, *overall_claims;
static uint8_t nonce[NRAS_NONCE_LEN];
static struct nras_query query;

static void put_token(struct buf *out, const char *claims)
{
    uint8_t sig[96];
    BUF_AUTO text = BUF(LARGE);
    CHECK_OK(text_base64url_encode(&text, BYTES_LIT("{\"alg\":\"ES384\",\"kid\":\"k\"}")));
    CHECK_OK(buf_add_u8(&text, '.'));
    CHECK_OK(text_base64url_encode(&text, bytes_str(claims)));
    pki_sign_p384(cert, buf_view(&text), sig);
    CHECK_OK(buf_add_u8(&text, '.'));
    CHECK_OK(text_base64url_encode(&text, BYTES_ARRAY(sig)));
    CHECK_OK(buf_add(out, buf_view(&text)));
}

/* device_claims may hold one %zu, which becomes the device's number. */
static void put_device_claims(struct buf *out, size_t i)
{
    bytes all = bytes_str(device_claims);
    size_t at = text_find(all, BYTES_LIT("%zu"));
    CHECK_OK(buf_add_u8(out, '{'));
    CHECK_OK(buf_add(out, bytes_slice(all, 0, at)));
    if (at < all.len)
        CHECK_OK(buf_addf(out, "%zu", i));
    CHECK_OK(buf_add(out, bytes_slice(all, at + 3, all.len)));
    CHECK_OK(buf_add_u8(out, '}'));
}

static void make(size_t devices)
{
    BUF_AUTO overall = BUF(LARGE);
    CHECK_OK(buf_addf(&overall, "{%s,\"submods\":{", overall_claims));
    for (size_t i = 0; i < devices; i++) {
        uint8_t digest[SHA256_LEN];
        BUF_AUTO claims = BUF(LARGE);
        put_device_claims(&claims, i);
        buf_truncate(&tokens[i], 0);
        put_token(&tokens[i], buf_str(&claims));
        sha256_of(buf_view(&tokens[i]), digest);
        CHECK_OK(
            buf_addf(&overall, "%s\"GPU-%zu\":[\"DIGEST\",[\"SHA-256\",\"", i > 0 ? "," : "", i));
        CHECK_OK(text_hex_encode(&overall, BYTES_ARRAY(digest)));
        CHECK_OK(buf_add_str(&overall, "\"]]"));
    }
    CHECK_OK(buf_add_str(&overall, "}}"));
    buf_truncate(&answer, 0);
    CHECK_OK(buf_add_str(&answer, "[[\"JWT\",\""));
    put_token(&answer, buf_str(&overall));
    CHECK_OK(buf_add_str(&answer, "\"],{"));
    for (size_t i = 0; i < devices; i++)
        CHECK_OK(
            buf_addf(&answer, "%s\"GPU-%zu\":\"%s\"", i > 0 ? "," : "", i, buf_str(&tokens[i])));
    CHECK_OK(buf_add_str(&answer, "}]"));
    query.answer = buf_view(&answer);
    query.expected_gpus = devices;
}

static const char *verify(void)
{
    struct nras_result r;
    CHECK_OK(nras_verify(&query, &r));
    const char *word = nras_reason_word(r.reason);
    nras_clear(&r);
    return word;
}

static void with_device(const char *claims, const char *word)
{
    device_claims = claims;
    make(1);
    assert_string_equal(verify(), word);
}

static void answers_up_to_the_limit_hold(void **state)
{
    (void)state;
    make(1);
    assert_string_equal(verify(), "ok");
    make(NRAS_DEVICES_MAX);
    assert_string_equal(verify(), "ok");
    query.expected_gpus--;
    assert_string_equal(verify(), "count");
    make(NRAS_DEVICES_MAX + 1);
    assert_string_equal(verify(), "malformed");
}

static void what_is_asked_for_has_to_agree(void **state)
{
    (void)state;
    make(1);
    query.at_s = 1749999989;
    assert_string_equal(verify(), "nbf");
    query.at_s = 1750000010;
    assert_string_equal(verify(), "exp");
    query.at_s = NOW;
    query.issuer = BYTES_LIT("https://nras.tes");
    assert_string_equal(verify(), "issuer");
    query.issuer = (bytes){ 0 };
    assert_string_equal(verify(), "issuer");
    query.issuer = BYTES_LIT(ISSUER);
    nonce[31] ^= 1;
    assert_string_equal(verify(), "nonce");
    nonce[31] ^= 1;
    query.nonce = (bytes){ 0 };
    assert_string_equal(verify(), "nonce");
}

static void models_may_be_asked_for(void **state)
{
    (void)state;
    bytes models[] = { BYTES_LIT("GB100"), BYTES_LIT("GH200") };
    make(1);
    query.models = models;
    query.models_n = 2;
    assert_string_equal(verify(), "hwmodel");
    models[1] = BYTES_LIT("GH100");
    assert_string_equal(verify(), "ok");
}

static void a_device_has_to_be_found_good(void **state)
{
    (void)state;
    with_device(DEVICE, "ok");
    with_device(DEVICE ",\"x-nvidia-gpu-arch-check\":false", "measres");
    with_device(DEVICE ",\"x-nvidia-gpu-attestation-report-nonce-match\":\"true\"", "measres");
    with_device(DEVICE ",\"x-nvidia-attestation-warning\":null", "ok");
    with_device(DEVICE ",\"x-nvidia-attestation-warning\":\"\"", "warning");
    with_device(DEVICE ",\"x-nvidia-gpu-driver-rim-cert-chain\":{}", "revoked");
    with_device(COMMON ",\"measres\":\"fail\"", "measres");
    with_device(COMMON ",\"measres\":\"success\"", "secboot");
    with_device(COMMON ",\"measres\":\"success\",\"secboot\":true", "dbgstat");
    with_device(COMMON ",\"measres\":\"success\",\"secboot\":true,\"dbgstat\":\"disabled\"",
                "hwmodel");
    with_device("\"a\":1", "issuer");
}

static void one_device_counts_once(void **state)
{
    (void)state;
    device_claims = COMMON
        ",\"ueid\":\"1\",\"hwmodel\":\"GH100\",\"measres\":\"success\","
        "\"secboot\":true,\"dbgstat\":\"disabled\"";
    make(2);
    assert_string_equal(verify(), "duplicate-device");
}

static void the_overall_result_is_boolean_true(void **state)
{
    (void)state;
    static const char *const bad[] = { COMMON, COMMON ",\"x-nvidia-overall-att-result\":\"true\"",
                                       COMMON ",\"x-nvidia-overall-att-result\":1",
                                       COMMON ",\"x-nvidia-overall-att-result\":false" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        overall_claims = bad[i];
        make(1);
        assert_string_equal(verify(), i < 3 ? "overall-missing" : "overall-false");
    }
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    make(1);
    for (size_t i = 0; i < answer.len; i++) {
        answer.at[i] ^= (uint8_t)(1U << (i % 8));
        if (strcmp(verify(), "ok") == 0)
            fail_msg("byte %zu does not count", i);
        answer.at[i] ^= (uint8_t)(1U << (i % 8));
    }
}

static void an_answer_over_its_limit_is_refused(void **state)
{
    (void)state;
    make(1);
    while (answer.len < NRAS_ANSWER_MAX)
        CHECK_OK(buf_add_u8(&answer, ' '));
    query.answer = buf_view(&answer);
    assert_string_equal(verify(), "ok");
    CHECK_OK(buf_add_u8(&answer, ' '));
    query.answer = buf_view(&answer);
    assert_string_equal(verify(), "malformed");
}

static err verify_once(void *arg)
{
    (void)arg;
    struct nras_result r;
    err e = nras_verify(&query, &r);
    CHECK(!err_is_ok(e) || r.reason == NRAS_OK);
    nras_clear(&r);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    make(1);
    law_every_allocation_fails_once(verify_once, NULL);
}

static void make_jwks(void)
{
    bytes point = pki_point(cert);
    CHECK_OK(
        buf_add_str(&jwks, "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-384\",\"kid\":\"k\",\"x\":\""));
    CHECK_OK(text_base64url_encode(&jwks, bytes_slice(point, 1, 48)));
    CHECK_OK(buf_add_str(&jwks, "\",\"y\":\""));
    CHECK_OK(text_base64url_encode(&jwks, bytes_slice(point, 49, 48)));
    CHECK_OK(buf_add_str(&jwks, "\"}]}"));
}

static int setup(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    cert = pki_new(&(struct pki_spec){
        .name = "nras", .curve = "P-384", .from_s = NOW - 10, .until_s = NOW + 10 });
    jwks = BUF(LARGE);
    answer = BUF(LARGE);
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        tokens[i] = BUF(LARGE);
    make_jwks();
    for (size_t i = 0; i < NRAS_NONCE_LEN; i++)
        nonce[i] = (uint8_t)i;
    device_claims = DEVICE;
    overall_claims = COMMON ",\"x-nvidia-overall-att-result\":true";
    query = (struct nras_query){ .jwks = buf_view(&jwks),
                                 .issuer = BYTES_LIT(ISSUER),
                                 .nonce = BYTES_ARRAY(nonce),
                                 .at_s = NOW };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(cert);
    buf_clear(&jwks);
    buf_clear(&answer);
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++)
        buf_clear(&tokens[i]);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(answers_up_to_the_limit_hold), TEST(what_is_asked_for_has_to_agree),
        TEST(models_may_be_asked_for),      TEST(a_device_has_to_be_found_good),
        TEST(one_device_counts_once),       TEST(the_overall_result_is_boolean_true),
        TEST(any_flipped_bit_is_refused),   TEST(an_answer_over_its_limit_is_refused),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
