#include "attest/nitro_verify.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nitro_maker.h"

enum { NOW = NITRO_MAKER_NOW, LARGE = 64 * 1024 };

static struct nitro_maker m;
static struct nitro_settings settings;
static struct nitro_result result;

static enum nitro_reason verify(bytes document)
{
    CHECK_OK(nitro_verify(document, &settings, &result));
    CHECK(result.accepted == (result.reason == NITRO_OK));
    return result.reason;
}

static enum nitro_reason made(void)
{
    nitro_maker_make(&m);
    return verify(buf_view(&m.document));
}

static void a_document_under_a_root_that_is_named_is_accepted(void **state)
{
    (void)state;
    CHECK(made() == NITRO_OK);
    CHECK(result.certs_n == 3 && !result.debug);
    assert_string_equal(result.certs[1].subject, "CN=issuer,O=test");
    CHECK(result.checks[NITRO_CHECK_SIGNATURE].status == VERDICT_PASS);
    CHECK(result.checks[NITRO_CHECK_NONCE].status == VERDICT_SKIP);
    settings.roots_n = 0;
    CHECK(made() == NITRO_UNTRUSTED_ROOT);
    CHECK(result.checks[NITRO_CHECK_SIGNATURE].status == VERDICT_SKIP);
}

static void only_the_one_path_from_the_root_down_is_taken(void **state)
{
    (void)state;
    bytes root = m.cabundle[0], issuer = m.cabundle[1];
    m.cabundle[0] = issuer;
    m.cabundle[1] = root;
    CHECK(made() == NITRO_CABUNDLE);
    m.cabundle[0] = root;
    m.cabundle[1] = issuer;
    m.cabundle[m.cabundle_n++] = issuer;
    CHECK(made() == NITRO_CABUNDLE);
    m.cabundle_n = 1;
    CHECK(made() == NITRO_CHAIN);
    m.cabundle[0] = issuer;
    CHECK(made() == NITRO_UNTRUSTED_ROOT);
}

static void an_enclave_cannot_issue_for_another(void **state)
{
    (void)state;
    struct pki_cert *leaf = m.leaf;
    m.leaf = m.issuer;
    m.certificate = pki_der(m.issuer);
    m.cabundle_n = 1;
    CHECK(made() == NITRO_CERTIFICATE);
    m.leaf = leaf;
}

static void dates_are_those_of_the_caller_or_a_little_ahead(void **state)
{
    (void)state;
    settings.at_s = NOW - 86400 - 5;
    m.timestamp_ms = (uint64_t)(NOW - 86400 + 1) * 1000;
    CHECK(made() == NITRO_TIME);
    settings.skew_s = 6;
    CHECK(made() == NITRO_OK);
    settings.skew_s = 5;
    CHECK(made() == NITRO_TIME);
    settings.at_s = NOW + 86400 + 1;
    CHECK(made() == NITRO_TIME);
}

static void age_counts_in_both_directions(void **state)
{
    (void)state;
    settings.max_age_s = 60;
    settings.at_s = NOW + 60;
    CHECK(made() == NITRO_OK);
    settings.at_s = NOW + 61;
    CHECK(made() == NITRO_STALE);
    settings.at_s = NOW - 60;
    CHECK(made() == NITRO_OK);
    settings.at_s = NOW - 61;
    CHECK(made() == NITRO_FUTURE);
    m.timestamp_ms = 0;
    CHECK(made() == NITRO_TIMESTAMP);
    m.timestamp_ms = UINT64_MAX;
    CHECK(made() == NITRO_TIMESTAMP);
}

static void a_zero_among_the_image_registers_is_debug_and_a_missing_one_no_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        uint8_t kept[NITRO_PCR_LEN];
        memcpy(kept, m.pcrs[i], sizeof kept);
        memset(m.pcrs[i], 0, sizeof kept);
        CHECK(made() == NITRO_DEBUG_MODE);
        CHECK(result.debug);
        settings.allow_debug = true;
        CHECK(made() == NITRO_OK);
        settings.allow_debug = false;
        memcpy(m.pcrs[i], kept, sizeof kept);
    }
    m.pcrs_n = 2;
    CHECK(made() == NITRO_PCRS);
    settings.allow_debug = true;
    CHECK(made() == NITRO_PCRS);
}

static void what_is_asked_for_has_to_be_there_in_full(void **state)
{
    (void)state;
    struct nitro_expected *const asked[] = { &settings.nonce, &settings.public_key,
                                             &settings.user_data };
    bytes *const given[] = { &m.nonce, &m.public_key, &m.user_data };
    static const enum nitro_reason reasons[] = { NITRO_NONCE, NITRO_PUBLIC_KEY, NITRO_USER_DATA };
    for (size_t i = 0; i < 3; i++) {
        *asked[i] = (struct nitro_expected){ true, BYTES_LIT("value") };
        CHECK(made() == reasons[i]);
        *given[i] = BYTES_LIT("valu");
        CHECK(made() == reasons[i]);
        *given[i] = BYTES_LIT("value");
        CHECK(made() == NITRO_OK);
        *asked[i] = (struct nitro_expected){ true, BYTES_LIT("valu") };
        CHECK(made() == reasons[i]);
        *asked[i] = (struct nitro_expected){ true, { 0 } };
        *given[i] = (bytes){ 0 };
        CHECK(made() == reasons[i]);
        *asked[i] = (struct nitro_expected){ 0 };
    }
}

static void registers_are_compared_and_absent_ones_equal_nothing(void **state)
{
    (void)state;
    static const uint8_t zeros[NITRO_PCR_LEN];
    settings.pcrs[1] = BYTES_ARRAY(m.pcrs[1]);
    CHECK(made() == NITRO_OK);
    settings.pcrs[0] = BYTES_ARRAY(m.pcrs[1]);
    CHECK(made() == NITRO_MEASUREMENT);
    settings.pcrs[0] = (bytes){ 0 };
    settings.pcrs[17] = BYTES_ARRAY(zeros);
    CHECK(made() == NITRO_MEASUREMENT);
}

/* Every byte is signed, or is the signature, or is of the one outer form that is taken: nothing in a
 * document is irrelevant. */
static void any_flipped_bit_of_a_made_document_is_refused(void **state)
{
    (void)state;
    CHECK(made() == NITRO_OK);
    for (size_t i = 0; i < m.document.len; i += 5) {
        uint8_t bit = (uint8_t)(1U << (i % 8));
        m.document.at[i] ^= bit;
        if (verify(buf_view(&m.document)) == NITRO_OK)
            fail_msg("byte %zu does not count", i);
        m.document.at[i] ^= bit;
    }
}

static void any_flipped_bit_of_a_genuine_document_is_refused(void **state)
{
    (void)state;
    BUF_AUTO path = BUF(4096);
    BUF_AUTO document = BUF(LARGE);
    if (law_vectors() == NULL)
        skip();
    CHECK_OK(buf_addf(&path, "%s/attest/nitro/docs/prod-2025-12-us-east-1.cbor", law_vectors()));
    law_read_file(&document, buf_str(&path));
    settings = (struct nitro_settings){ .at_s = 1766668538 };
    CHECK(verify(buf_view(&document)) == NITRO_OK);
    for (size_t i = 0; i < document.len; i++) {
        uint8_t bit = (uint8_t)(1U << (i % 8));
        document.at[i] ^= bit;
        if (verify(buf_view(&document)) == NITRO_OK)
            fail_msg("byte %zu does not count", i);
        document.at[i] ^= bit;
    }
}

static err verify_once(void *arg)
{
    (void)arg;
    TRY(nitro_verify(buf_view(&m.document), &settings, &result));
    CHECK(result.accepted);
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    CHECK(made() == NITRO_OK);
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    nitro_maker_open(&m);
    settings = (struct nitro_settings){ .roots = &m.pin, .roots_n = 1, .at_s = NOW };
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nitro_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_document_under_a_root_that_is_named_is_accepted),
        TEST(only_the_one_path_from_the_root_down_is_taken),
        TEST(an_enclave_cannot_issue_for_another),
        TEST(dates_are_those_of_the_caller_or_a_little_ahead),
        TEST(age_counts_in_both_directions),
        TEST(a_zero_among_the_image_registers_is_debug_and_a_missing_one_no_match),
        TEST(what_is_asked_for_has_to_be_there_in_full),
        TEST(registers_are_compared_and_absent_ones_equal_nothing),
        TEST(any_flipped_bit_of_a_made_document_is_refused),
        TEST(any_flipped_bit_of_a_genuine_document_is_refused),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
