#include "attest/nitro_parse.h"
#include "base/mem.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nitro_maker.h"

static struct nitro_maker m;
static struct nitro_doc doc;

static enum nitro_reason parse(void)
{
    nitro_maker_make(&m);
    return nitro_parse(buf_view(&m.document), &doc);
}

static void every_field_is_found_in_maps_of_either_form(void **state)
{
    (void)state;
    m.public_key = BYTES_LIT("key");
    m.user_data = BYTES_LIT("");
    for (int i = 0; i < 2; i++) {
        m.indefinite = i == 1;
        CHECK(parse() == NITRO_OK);
        CHECK_BYTES(doc.module_id, BYTES_LIT("i-1-enc1"));
        CHECK_BYTES(doc.digest, BYTES_LIT("SHA384"));
        CHECK(doc.timestamp_ms == NITRO_MAKER_NOW * 1000ULL);
        CHECK_BYTES(doc.pcrs[2], BYTES_ARRAY(m.pcrs[2]));
        CHECK(doc.pcrs[3].len == 0 && doc.cabundle_n == 2);
        CHECK_BYTES(doc.certificate, pki_der(m.leaf));
        CHECK_BYTES(doc.cabundle[0], pki_der(m.root));
        CHECK(doc.public_key.present && doc.user_data.present && !doc.nonce.present);
        CHECK_BYTES(doc.public_key.value, BYTES_LIT("key"));
        CHECK(doc.user_data.value.len == 0);
        CHECK(doc.cose.signature.len == 96);
    }
}

static void fields_at_their_limit_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    BUF_AUTO large = BUF(NITRO_FIELD_MAX + 1);
    CHECK_OK(buf_add_zeros(&large, NITRO_FIELD_MAX + 1));
    bytes most = bytes_of(large.at, NITRO_FIELD_MAX), over = buf_view(&large);
    m.public_key = m.user_data = m.nonce = most;
    CHECK(parse() == NITRO_OK);
    m.public_key = over;
    CHECK(parse() == NITRO_PUBLIC_KEY);
    m.public_key = (bytes){ 0 };
    m.user_data = over;
    CHECK(parse() == NITRO_USER_DATA);
    m.user_data = most;
    m.nonce = over;
    CHECK(parse() == NITRO_NONCE);
}

static void no_key_is_bound_by_an_empty_one(void **state)
{
    (void)state;
    m.public_key = BYTES_LIT("");
    CHECK(parse() == NITRO_PUBLIC_KEY);
}

static void a_bundle_at_its_limit_is_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    for (m.cabundle_n = 0; m.cabundle_n < NITRO_CABUNDLE_MAX; m.cabundle_n++)
        m.cabundle[m.cabundle_n] = BYTES_LIT("c");
    CHECK(parse() == NITRO_OK);
    CHECK(doc.cabundle_n == NITRO_CABUNDLE_MAX);
    m.cabundle[m.cabundle_n++] = BYTES_LIT("c");
    CHECK(parse() == NITRO_CABUNDLE);
    m.cabundle_n = 0;
    CHECK(parse() == NITRO_CABUNDLE);
}

static void a_key_that_is_not_known_is_skipped_and_one_that_comes_twice_is_refused(void **state)
{
    (void)state;
    m.surplus = BYTES_LIT("\x61x\x82\x01\x02");
    CHECK(parse() == NITRO_OK);
    m.surplus = BYTES_LIT("\x61x\x01\x61x\x02");
    CHECK(parse() == NITRO_DUPLICATE_KEY);
    m.surplus = BYTES_LIT("\x65nonce\xf6");
    CHECK(parse() == NITRO_DUPLICATE_KEY);
    m.surplus = BYTES_LIT("\x01\x02");
    CHECK(parse() == NITRO_MALFORMED);
    m.surplus = BYTES_LIT("\x61x");
    CHECK(parse() == NITRO_MALFORMED);
}

static void more_keys_than_the_limit_are_refused(void **state)
{
    (void)state;
    BUF_AUTO surplus = BUF(256);
    for (unsigned i = 9; i < NITRO_KEYS_MAX; i++)
        CHECK_OK(buf_addf(&surplus, "\x61%c%c", (char)('A' + i), 1));
    m.surplus = buf_view(&surplus);
    CHECK(parse() == NITRO_OK);
    CHECK_OK(buf_addf(&surplus, "\x61%c%c", '!', 1));
    m.surplus = buf_view(&surplus);
    CHECK(parse() == NITRO_MALFORMED);
}

static void a_document_over_its_limit_is_refused(void **state)
{
    (void)state;
    BUF_AUTO padding = BUF(NITRO_DOCUMENT_MAX);
    nitro_maker_make(&m);
    size_t room = NITRO_DOCUMENT_MAX - m.document.len - 5;
    CHECK_OK(buf_addf(&padding, "\x61x\x59%c%c", (int)(room >> 8), (int)(room & 255)));
    CHECK_OK(buf_add_zeros(&padding, room));
    m.surplus = buf_view(&padding);
    CHECK(parse() == NITRO_OK);
    CHECK(m.document.len == NITRO_DOCUMENT_MAX);
    padding.at[4]++;
    CHECK_OK(buf_add_u8(&padding, 0));
    m.surplus = buf_view(&padding);
    CHECK(parse() == NITRO_MALFORMED);
}

static enum nitro_reason spoil(size_t at, uint8_t to)
{
    nitro_maker_make(&m);
    m.document.at[at] = to;
    return nitro_parse(buf_view(&m.document), &doc);
}

/* 84 44 a1 01 38 22 a0 59 .. .. */
static void only_one_outer_form_is_taken(void **state)
{
    (void)state;
    CHECK(spoil(0, 0x84) == NITRO_OK);
    CHECK(spoil(0, 0x9f) == NITRO_MALFORMED);
    CHECK(spoil(0, 0xd2) == NITRO_MALFORMED);
    CHECK(spoil(5, 0x06) == NITRO_ALGORITHM);
    CHECK(spoil(6, 0xf6) == NITRO_UNPROTECTED);
    CHECK(spoil(7, 0x5f) == NITRO_MALFORMED);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    nitro_maker_make(&m);
    for (size_t n = 0; n < m.document.len; n++) {
        CHECK(nitro_parse(bytes_of(m.document.at, n), &doc) != NITRO_OK);
        CHECK(doc.certificate.at == NULL);
    }
    CHECK_OK(buf_add_u8(&m.document, 0));
    CHECK(nitro_parse(buf_view(&m.document), &doc) == NITRO_MALFORMED);
}

static void reasons_have_their_words(void **state)
{
    (void)state;
    assert_string_equal(nitro_reason_word(NITRO_MISSING_CABUNDLE), "missing-cabundle");
    assert_string_equal(nitro_reason_word((enum nitro_reason)1000), "unchecked");
}

static int setup(void **state)
{
    (void)state;
    nitro_maker_open(&m);
    return 0;
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
        TEST(every_field_is_found_in_maps_of_either_form),
        TEST(fields_at_their_limit_are_taken_and_one_more_is_refused),
        TEST(no_key_is_bound_by_an_empty_one),
        TEST(a_bundle_at_its_limit_is_taken_and_one_more_is_refused),
        TEST(a_key_that_is_not_known_is_skipped_and_one_that_comes_twice_is_refused),
        TEST(more_keys_than_the_limit_are_refused),
        TEST(a_document_over_its_limit_is_refused),
        TEST(only_one_outer_form_is_taken),
        TEST(every_cut_is_refused),
        TEST(reasons_have_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
