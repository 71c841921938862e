#include <errno.h>

#include "attest/tpm.h"
#include "crypto/init.h"
#include "crypto/rsa.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/fake_tpm.h"

enum { INDEX = 0x01400001 };

static struct fake_tpm fake;

static int open_fake(void **state)
{
    (void)state;
    fake_tpm_open(&fake);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int close_fake(void **state)
{
    (void)state;
    fake_tpm_close(&fake);
    return 0;
}

static void an_index_of_any_length_is_read_whole(void **state)
{
    (void)state;
    static const size_t lengths[] = { 0, 1, 1023, 1024, 1025, 2600, TPM_NV_MAX };
    struct buf *content = fake_tpm_index(&fake, INDEX);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        BUF_AUTO out = BUF(TPM_NV_MAX);
        buf_truncate(content, 0);
        for (size_t k = 0; k < lengths[i]; k++)
            CHECK_OK(buf_add_u8(content, (uint8_t)(k % 251)));
        CHECK_OK(tpm_nv_read(&fake.tpm, INDEX, &out));
        CHECK_BYTES(buf_view(&out), buf_view(content));
    }
    CHECK_OK(buf_add_u8(content, 0));
    BUF_AUTO out = BUF(TPM_NV_MAX);
    CHECK_ERR(tpm_nv_read(&fake.tpm, INDEX, &out), LIMIT);
    CHECK_ERR(tpm_nv_read(&fake.tpm, INDEX + 1, &out), NOT_FOUND);
}

static void an_index_is_made_when_it_is_written_first(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(TPM_NV_MAX);
    BUF_AUTO big = BUF(TPM_NV_WRITE_MAX + 1);
    CHECK_OK(tpm_nv_write(&fake.tpm, INDEX, BYTES_LIT("first")));
    CHECK_OK(tpm_nv_write(&fake.tpm, INDEX, BYTES_LIT("other")));
    CHECK_OK(tpm_nv_read(&fake.tpm, INDEX, &out));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("other"));
    CHECK_OK(buf_add_zeros(&big, TPM_NV_WRITE_MAX));
    CHECK_OK(tpm_nv_write(&fake.tpm, INDEX + 1, buf_view(&big)));
    CHECK_OK(buf_add_u8(&big, 0));
    CHECK_ERR(tpm_nv_write(&fake.tpm, INDEX + 1, buf_view(&big)), LIMIT);
}

static void check_quoted(const struct tpm_quoted *q, bytes extra)
{
    static const uint8_t f4[] = { 1, 0, 1 };
    struct tpm_quote read;
    struct rsa_key key = { buf_view(&fake.ak_n), BYTES_ARRAY(f4) };
    CHECK_OK(tpm_quote_read(buf_view(&q->quote), &read));
    CHECK_BYTES(read.extra, extra);
    CHECK(read.selected == 0xffffff);
    CHECK_BYTES(buf_view(&q->pcrs), bytes_of(fake.pcrs, sizeof fake.pcrs));
    CHECK_OK(rsa_verify_sha256(&key, buf_view(&q->quote), buf_view(&q->signature)));
}

static void a_quote_covers_the_values_beside_it(void **state)
{
    (void)state;
    struct tpm_quoted q;
    CHECK_OK(tpm_quote(&fake.tpm, fake.key, BYTES_LIT("challenge"), &q));
    check_quoted(&q, BYTES_LIT("challenge"));
    tpm_quoted_clear(&q);
}

static void a_pcr_that_changes_meanwhile_has_it_made_again(void **state)
{
    (void)state;
    struct tpm_quoted q;
    fake.extends = TPM_QUOTE_TRIES - 1;
    CHECK_OK(tpm_quote(&fake.tpm, fake.key, BYTES_LIT("challenge"), &q));
    check_quoted(&q, BYTES_LIT("challenge"));
    tpm_quoted_clear(&q);
    fake.extends = TPM_QUOTE_TRIES;
    CHECK_ERR(tpm_quote(&fake.tpm, fake.key, BYTES_LIT("challenge"), &q), UNAVAILABLE);
    tpm_quoted_clear(&q);
}

static void another_key_or_scheme_is_refused(void **state)
{
    (void)state;
    struct tpm_quoted q;
    uint8_t longest[TPM_EXTRA_MAX + 1] = { 0 };
    CHECK_ERR(tpm_quote(&fake.tpm, fake.key + 1, BYTES_LIT("c"), &q), NOT_FOUND);
    tpm_quoted_clear(&q);
    fake.scheme = 0x0016; /* PSS */
    CHECK_ERR(tpm_quote(&fake.tpm, fake.key, BYTES_LIT("c"), &q), UNSUPPORTED);
    tpm_quoted_clear(&q);
    fake.scheme = 0;
    CHECK_ERR(tpm_quote(&fake.tpm, fake.key, BYTES_ARRAY(longest), &q), LIMIT);
    tpm_quoted_clear(&q);
    CHECK_OK(tpm_quote(&fake.tpm, fake.key, bytes_of(longest, TPM_EXTRA_MAX), &q));
    tpm_quoted_clear(&q);
}

static void a_busy_tpm_is_asked_again_but_not_for_ever(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(TPM_NV_MAX);
    CHECK_OK(buf_add_str(fake_tpm_index(&fake, INDEX), "content"));
    fake.busy = TPM_RETRIES - 1;
    CHECK_OK(tpm_nv_read(&fake.tpm, INDEX, &out));
    CHECK(fake.waits == TPM_RETRIES - 1);
    fake.busy = TPM_RETRIES;
    CHECK_ERR(tpm_nv_read(&fake.tpm, INDEX, &out), UNAVAILABLE);
}

static err read_with(uint32_t result)
{
    BUF_AUTO out = BUF(TPM_NV_MAX);
    fake.result = result;
    return tpm_nv_read(&fake.tpm, INDEX, &out);
}

static void its_errors_are_told_apart(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(TPM_NV_MAX);
    CHECK_ERR(read_with(0x18b), NOT_FOUND);
    CHECK_ERR(read_with(0x28b), NOT_FOUND);
    CHECK_ERR(read_with(0x910), NOT_FOUND);
    CHECK_ERR(read_with(0x14a), NOT_FOUND);
    CHECK_ERR(read_with(0x98e), DENIED);
    CHECK_ERR(read_with(0x9a2), DENIED);
    CHECK_ERR(read_with(0x149), DENIED);
    CHECK_ERR(read_with(0x101), SYSTEM);
    fake.result = 0;
    fake.error = EIO;
    CHECK_ERR(tpm_nv_read(&fake.tpm, INDEX, &out), UNAVAILABLE);
}

static void an_answer_that_is_cut_is_refused(void **state)
{
    (void)state;
    struct tpm_quoted q;
    for (fake.cut = 1; fake.cut < 60; fake.cut++) {
        BUF_AUTO out = BUF(TPM_NV_MAX);
        CHECK_ERR(tpm_nv_read(&fake.tpm, INDEX, &out), MALFORMED);
        CHECK_ERR(tpm_quote(&fake.tpm, fake.key, BYTES_LIT("c"), &q), MALFORMED);
        tpm_quoted_clear(&q);
    }
}

static void a_device_that_is_not_there_is_told(void **state)
{
    (void)state;
    struct tpm none = { .path = "/nonexistent/tpm" };
    BUF_AUTO out = BUF(TPM_NV_MAX);
    CHECK(!tpm_present(&none));
    CHECK_ERR(tpm_nv_read(&none, INDEX, &out), UNAVAILABLE);
}

static err quote_once(void *arg)
{
    struct tpm_quoted q;
    (void)arg;
    err e = tpm_quote(&fake.tpm, fake.key, BYTES_LIT("c"), &q);
    tpm_quoted_clear(&q);
    return e;
}

static void every_allocation_of_ours_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(quote_once, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fake, close_fake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_index_of_any_length_is_read_whole),
        TEST(an_index_is_made_when_it_is_written_first),
        TEST(a_quote_covers_the_values_beside_it),
        TEST(a_pcr_that_changes_meanwhile_has_it_made_again),
        TEST(another_key_or_scheme_is_refused),
        TEST(a_busy_tpm_is_asked_again_but_not_for_ever),
        TEST(its_errors_are_told_apart),
        TEST(an_answer_that_is_cut_is_refused),
        TEST(a_device_that_is_not_there_is_told),
        TEST(every_allocation_of_ours_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
