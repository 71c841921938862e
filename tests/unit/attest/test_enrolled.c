#include "attest/enrolled.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/enrolled_maker.h"

enum { NOW = 1750000000, LARGE = 64 * 1024 };

static struct pki_cert *holder, *stranger;
static struct buf statement;
static bytes key, binary;
static const uint8_t inference_key[ENROLLED_INFERENCE_KEY_LEN] = { 9, 8, 7 };
static struct enrolled_query query;

static struct enrolled_maker said;

static const char *verify(void)
{
    enum enrolled_reason why;
    query.statement = buf_view(&statement);
    CHECK_OK(enrolled_verify(&query, &why));
    return enrolled_reason_word(why);
}

static const char *made(void)
{
    enrolled_make(&said, &statement);
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

/* Only what stands under an enrolled key's signature, and only where it has the form. */
static void what_was_said_is_handed_out(void **state)
{
    (void)state;
    struct enrolled_said out;
    static const char hash[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    query.said = &out;
    query.any_binary = true;
    assert_string_equal(made(), "ok");
    CHECK(out.at_s == NOW && !out.has_binary && !out.has_node);
    said.binary = hash;
    assert_string_equal(made(), "ok");
    CHECK(out.has_binary && out.binary[1] == 0x11 && out.binary[31] == 0xff);
    said.signer = stranger;
    assert_string_equal(made(), "key");
    CHECK(out.at_s == 0 && !out.has_binary);
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

static err verify_once(void *arg)
{
    enum enrolled_reason why = ENROLLED_UNCHECKED;
    (void)arg;
    TRY(enrolled_verify(&query, &why));
    assert_string_equal(enrolled_reason_word(why), "ok");
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    assert_string_equal(made(), "ok");
    law_every_allocation_fails_once(verify_once, NULL);
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
    said = enrolled_maker_good();
    said.timestamp = NOW;
    said.signer = holder;
    said.inference_key = BYTES_ARRAY(inference_key);
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
        TEST(an_enrolled_key_is_believed),      TEST(no_other_key_is),
        TEST(what_is_expected_has_to_be_there), TEST(its_time_is_bounded),
        TEST(what_was_said_is_handed_out),      TEST(what_is_not_signed_is_not_read),
        TEST(any_flipped_bit_is_refused),       TEST(the_limit_is_taken_and_one_more_is_refused),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
