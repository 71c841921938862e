#include "attest/enrolled.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1750000000, LARGE = 64 * 1024 };

static struct pki_cert *holder, *stranger;
static struct buf statement;
static bytes key, binary;
static const uint8_t inference_key[ENROLLED_INFERENCE_KEY_LEN] = { 9, 8, 7 };
static struct enrolled_query query;

/* What the statement says. */
static struct {
    uint8_t sip;
    uint64_t timestamp;
    const char *binary;
    const char *more;
    const struct pki_cert *signer;
} said;

static void hash_text(struct sha256 *h, bytes text)
{
    uint8_t len[4] = { (uint8_t)text.len, (uint8_t)(text.len >> 8), 0, 0 };
    sha256_add(h, BYTES_ARRAY(len));
    sha256_add(h, text);
}

static void hash_number(struct sha256 *h, uint64_t v)
{
    uint8_t le[8];
    for (size_t i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    sha256_add(h, BYTES_ARRAY(le));
}

static void digest(bytes inference, bytes se, uint8_t out[SHA256_LEN])
{
    struct sha256 h;
    uint8_t flags[] = { said.sip, 1, 1 };
    sha256_init(&h);
    sha256_add(&h, BYTES_LIT("mesh-llm-hardware-attestation-v1:"));
    hash_text(&h, BYTES_LIT("Apple M4"));
    hash_text(&h, BYTES_LIT("Mac16,1"));
    hash_number(&h, 68719476736);
    sha256_add(&h, BYTES_ARRAY(flags));
    hash_text(&h, BYTES_LIT("node"));
    hash_text(&h, inference);
    hash_text(&h, se);
    hash_text(&h, bytes_str(said.binary));
    hash_number(&h, said.timestamp);
    sha256_end(&h, out);
}

static const char *verify(void)
{
    enum enrolled_reason why;
    query.statement = buf_view(&statement);
    CHECK_OK(enrolled_verify(&query, &why));
    return enrolled_reason_word(why);
}

static const char *made(void)
{
    uint8_t message[SHA256_LEN];
    BUF_AUTO inference = BUF(256);
    BUF_AUTO se = BUF(256);
    BUF_AUTO sig = BUF(256);
    CHECK_OK(text_base64_encode(&inference, BYTES_ARRAY(inference_key)));
    CHECK_OK(text_base64_encode(&se, pki_point(said.signer)));
    digest(buf_view(&inference), buf_view(&se), message);
    pki_sign_p256(said.signer, BYTES_ARRAY(message), &sig);
    buf_truncate(&statement, 0);
    CHECK_OK(buf_addf(&statement,
                      "{\"attestation\":{\"chip_name\":\"Apple M4\",\"hardware_model\":\"Mac16,1\","
                      "\"unified_memory_bytes\":68719476736,\"sip_enabled\":%s,"
                      "\"secure_boot_enabled\":true,\"rdma_disabled\":true,"
                      "\"node_endpoint_id\":\"node\",\"inference_public_key\":\"%s\","
                      "\"se_public_key\":\"%s\",\"binary_hash\":\"%s\",\"timestamp\":%llu%s},"
                      "\"signature\":\"",
                      said.sip ? "true" : "false", buf_str(&inference), buf_str(&se), said.binary,
                      (unsigned long long)said.timestamp, said.more));
    CHECK_OK(text_base64_encode(&statement, buf_view(&sig)));
    CHECK_OK(buf_add_str(&statement, "\"}"));
    return verify();
}

static void an_enrolled_key_is_believed(void **state)
{
    (void)state;
    assert_string_equal(made(), "ok");
}

static void no_other_key_is(void **state)
{
    (void)state;
    said.signer = stranger;
    assert_string_equal(made(), "key");
    said.signer = holder;
    query.keys_n = 0;
    assert_string_equal(made(), "key");
}

static void what_is_expected_has_to_be_there(void **state)
{
    (void)state;
    said.sip = 0;
    assert_string_equal(made(), "setting");
    said.sip = 1;
    said.binary = "other";
    assert_string_equal(made(), "binary-hash");
    said.binary = "";
    assert_string_equal(made(), "binary-hash");
    said.binary = "hash";
    query.binaries_n = 0;
    assert_string_equal(made(), "binary-hash");
    query.binaries_n = 1;
    query.inference_key = bytes_of(inference_key, ENROLLED_INFERENCE_KEY_LEN - 1);
    assert_string_equal(made(), "inference-key");
    query.inference_key = (bytes){ 0 };
    assert_string_equal(made(), "inference-key");
}

static void its_time_is_bounded(void **state)
{
    (void)state;
    said.timestamp = NOW - 60;
    assert_string_equal(made(), "ok");
    said.timestamp = NOW - 61;
    assert_string_equal(made(), "stale");
    said.timestamp = NOW + 5;
    assert_string_equal(made(), "ok");
    said.timestamp = NOW + 6;
    assert_string_equal(made(), "future");
}

static void what_is_not_signed_is_not_read(void **state)
{
    (void)state;
    said.more = ",\"more\":1";
    assert_string_equal(made(), "malformed");
    said.more = ",\"timestamp\":1";
    assert_string_equal(made(), "malformed");
    buf_truncate(&statement, 0);
    CHECK_OK(buf_add_str(&statement, "{}"));
    assert_string_equal(verify(), "malformed");
}

static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    assert_string_equal(made(), "ok");
    for (size_t i = 0; i < 8 * statement.len; i++) {
        statement.at[i / 8] ^= (uint8_t)(1U << (i % 8));
        if (strcmp(verify(), "ok") == 0)
            fail_msg("byte %zu does not count", i / 8);
        statement.at[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
}

static void the_limit_is_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    assert_string_equal(made(), "ok");
    while (statement.len < ENROLLED_STATEMENT_MAX)
        CHECK_OK(buf_add_u8(&statement, ' '));
    assert_string_equal(verify(), "ok");
    CHECK_OK(buf_add_u8(&statement, ' '));
    assert_string_equal(verify(), "malformed");
}

static struct pki_cert *key_holder(const char *name)
{
    return pki_new(&(struct pki_spec){ .name = name, .from_s = NOW, .until_s = NOW + 1 });
}

static int setup(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    holder = key_holder("holder");
    stranger = key_holder("stranger");
    statement = BUF(LARGE);
    key = pki_point(holder);
    binary = BYTES_LIT("hash");
    said.sip = 1;
    said.timestamp = NOW;
    said.binary = "hash";
    said.more = "";
    said.signer = holder;
    query = (struct enrolled_query){ .keys = &key,
                                     .keys_n = 1,
                                     .binaries = &binary,
                                     .binaries_n = 1,
                                     .inference_key = BYTES_ARRAY(inference_key),
                                     .at_s = NOW,
                                     .max_age_s = 60,
                                     .skew_s = 5 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(holder);
    pki_free(stranger);
    buf_clear(&statement);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_enrolled_key_is_believed),
        TEST(no_other_key_is),
        TEST(what_is_expected_has_to_be_there),
        TEST(its_time_is_bounded),
        TEST(what_is_not_signed_is_not_read),
        TEST(any_flipped_bit_is_refused),
        TEST(the_limit_is_taken_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
