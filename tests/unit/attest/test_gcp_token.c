#include "attest/gcp_token.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1757061000, LARGE = 128 * 1024 };

#define AUDIENCE "z08381475938604996746"
#define NONCE "75a91c8dbe289f190d5e70ab1cb70c93cc14d7243f0ef3ff5326a622ead220a6"
#define IMAGE "sha256:e2e5e3672f416ac9ca71aa639abf86db0b713729a48c125a925af6c808b20b5d"

static struct buf token, jwks;
static bytes image;
static struct gcp_query query;

static const char *verify(void)
{
    struct gcp_result r;
    query.token = buf_view(&token);
    CHECK_OK(gcp_token_verify(&query, &r));
    const char *word = gcp_reason_word(r.reason);
    gcp_clear(&r);
    return word;
}

/* --- the genuine one, by its chain --------------------------------------------------------------- */

static void load(const char *name)
{
    BUF_AUTO path = BUF(4096);
    buf_truncate(&token, 0);
    CHECK_OK(buf_addf(&path, "%s/attest/tdx/gcp-confidential-space/%s", law_vectors(), name));
    law_read_file(&token, buf_str(&path));
    while (token.len > 0 && token.at[token.len - 1] == '\n')
        buf_truncate(&token, token.len - 1);
}

static void a_genuine_token_is_accepted_offline(void **state)
{
    (void)state;
    struct gcp_result r;
    if (law_vectors() == NULL)
        skip();
    load("token.jwt");
    query.token = buf_view(&token);
    CHECK_OK(gcp_token_verify(&query, &r));
    assert_string_equal(gcp_reason_word(r.reason), "ok");
    CHECK_BYTES(r.hwmodel, BYTES_LIT("GCP_INTEL_TDX"));
    CHECK_BYTES(r.image_digest, BYTES_LIT(IMAGE));
    CHECK(bytes_ends(r.subject, BYTES_LIT("/instances/ctf-sha2-test")));
    gcp_clear(&r);
}

static void derived_tokens_are_refused(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    load("neg-alg-none.jwt");
    assert_string_equal(verify(), "alg");
    load("neg-alg-hs256-public-key.jwt");
    assert_string_equal(verify(), "alg");
    load("neg-claim-edited.jwt");
    assert_string_equal(verify(), "signature");
}

static void what_is_asked_for_has_to_agree(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    load("token.jwt");
    query.at_s = 1757060249;
    assert_string_equal(verify(), "iat");
    query.at_s = 1757063850;
    assert_string_equal(verify(), "exp");
    query.at_s = 1800000000;
    assert_string_equal(verify(), "time");
    query.at_s = NOW;
    query.audience = BYTES_LIT("z0838147593860499674");
    assert_string_equal(verify(), "audience");
    query.audience = (bytes){ 0 };
    assert_string_equal(verify(), "audience");
    query.audience = BYTES_LIT(AUDIENCE);
    query.nonce = BYTES_LIT("75a9");
    assert_string_equal(verify(), "nonce");
    query.nonce = (bytes){ 0 };
    assert_string_equal(verify(), "nonce");
    query.nonce = BYTES_LIT(NONCE);
    image = BYTES_LIT("sha256:00");
    assert_string_equal(verify(), "image");
    query.images_n = 0;
    assert_string_equal(verify(), "image");
    query.any_image = true;
    assert_string_equal(verify(), "ok");
    query.at_s = 1757060249;
    query.skew_s = 1;
    assert_string_equal(verify(), "ok");
    query.at_s = 1757063850;
    assert_string_equal(verify(), "exp"); /* over is over */
}

static void only_the_pinned_root_counts(void **state)
{
    (void)state;
    struct x509_root other = gcp_token_root;
    if (law_vectors() == NULL)
        skip();
    load("token.jwt");
    other.sha256[0] ^= 1;
    query.roots = &other;
    query.roots_n = 1;
    assert_string_equal(verify(), "chain");
}

/* Below the header, all is signed; in the header, the chain is. Every fifth character. */
static void any_flipped_bit_of_it_is_refused(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        skip();
    load("token.jwt");
    for (size_t i = 0; i < token.len; i += 5) {
        token.at[i] ^= (uint8_t)(1U << (i % 8));
        if (strcmp(verify(), "ok") == 0)
            fail_msg("byte %zu does not count", i);
        token.at[i] ^= (uint8_t)(1U << (i % 8));
    }
}

/* --- tokens of a key set ------------------------------------------------------------------------- */

#define HEAD                                                                                       \
    "{\"iss\":\"" GCP_TOKEN_ISSUER "\",\"aud\":\"" AUDIENCE                                        \
    "\",\"iat\":1757060250,"                                                                       \
    "\"nbf\":1757060250,\"exp\":1757063850,\"eat_nonce\":[\"other-nonce\",\"" NONCE "\"],"
#define MACHINE                                                                                    \
    "\"dbgstat\":\"disabled-since-boot\",\"swname\":\"CONFIDENTIAL_SPACE\","                       \
    "\"hwmodel\":\"GCP_AMD_SEV\",\"secboot\":true,"
#define SUBMODS(support, more)                                                                     \
    "\"submods\":{\"confidential_space\":{\"support_attributes\":[" support                        \
    "]},"                                                                                          \
    "\"container\":{\"image_digest\":\"" IMAGE "\"" more "}}}"

static void make(const char *claims)
{
    BUF_AUTO sig = BUF(512);
    BUF_AUTO modulus = BUF(512);
    buf_truncate(&token, 0);
    buf_truncate(&jwks, 0);
    CHECK_OK(text_base64url_encode(&token, BYTES_LIT("{\"alg\":\"RS256\",\"kid\":\"k\"}")));
    CHECK_OK(buf_add_u8(&token, '.'));
    CHECK_OK(text_base64url_encode(&token, bytes_str(claims)));
    pki_sign_rsa(buf_view(&token), &sig, &modulus);
    CHECK_OK(buf_add_u8(&token, '.'));
    CHECK_OK(text_base64url_encode(&token, buf_view(&sig)));
    CHECK_OK(
        buf_add_str(&jwks, "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"k\",\"e\":\"AQAB\",\"n\":\""));
    CHECK_OK(text_base64url_encode(&jwks, buf_view(&modulus)));
    CHECK_OK(buf_add_str(&jwks, "\"}]}"));
    query.jwks = buf_view(&jwks);
}

static void gives(const char *claims, const char *word)
{
    make(claims);
    assert_string_equal(verify(), word);
}

static void a_key_set_does_for_the_other_kind(void **state)
{
    (void)state;
    gives(HEAD MACHINE SUBMODS("\"LATEST\",\"STABLE\"", ""), "ok");
    query.jwks = BYTES_LIT("{\"keys\":[]}");
    assert_string_equal(verify(), "kid");
    query.jwks = BYTES_LIT("[]");
    assert_string_equal(verify(), "jwks");
    query.jwks = (bytes){ 0 };
    assert_string_equal(verify(), "chain");
}

static void the_machine_and_the_container_have_to_be_right(void **state)
{
    (void)state;
    gives(HEAD MACHINE SUBMODS("\"USABLE\"", ""), "support");
    gives(HEAD MACHINE SUBMODS("\"STABLE\"", ",\"env_override\":{\"A\":\"1\"}"), "override");
    gives(HEAD MACHINE SUBMODS("\"STABLE\"", ",\"cmd_override\":[\"sh\"]"), "override");
    gives(HEAD "\"dbgstat\":\"enabled\"}", "dbgstat");
    gives(HEAD "\"dbgstat\":\"disabled-since-boot\",\"swname\":\"GCE\"}", "swname");
    gives("{\"iss\":\"" GCP_TOKEN_ISSUER ".test\"}", "issuer");
    gives("{}", "issuer");
}

static err verify_once(void *arg)
{
    (void)arg;
    struct gcp_result r;
    err e = gcp_token_verify(&query, &r);
    CHECK(!err_is_ok(e) || r.reason == GCP_OK);
    gcp_clear(&r);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    gives(HEAD MACHINE SUBMODS("\"STABLE\"", ""), "ok");
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    token = BUF(LARGE);
    jwks = BUF(LARGE);
    image = BYTES_LIT(IMAGE);
    query = (struct gcp_query){ .audience = BYTES_LIT(AUDIENCE),
                                .nonce = BYTES_LIT(NONCE),
                                .at_s = NOW,
                                .images = &image,
                                .images_n = 1 };
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    buf_clear(&token);
    buf_clear(&jwks);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_genuine_token_is_accepted_offline),
        TEST(derived_tokens_are_refused),
        TEST(what_is_asked_for_has_to_agree),
        TEST(only_the_pinned_root_counts),
        TEST(any_flipped_bit_of_it_is_refused),
        TEST(a_key_set_does_for_the_other_kind),
        TEST(the_machine_and_the_container_have_to_be_right),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
