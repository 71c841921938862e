#include "attest/tpm_quote.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"

/* A quote of PCRs 0 and 9 with two bytes of qualifying data. */
static const char quote_hex[] =
    "ff544347"
    "8018"
    "0003aabbcc"
    "0002dead"
    "0000000000000105"
    "00000007"
    "00000009"
    "01"
    "2020031200120003"
    "00000001"
    "000b"
    "03"
    "010200"
    "0020";

static uint8_t pcrs[2][TPM_PCR_LEN];

static void make(struct buf *out)
{
    uint8_t digest[SHA256_LEN];
    memset(pcrs[0], 0x11, TPM_PCR_LEN);
    memset(pcrs[1], 0x99, TPM_PCR_LEN);
    sha256_of(bytes_of(pcrs, sizeof pcrs), digest);
    law_hex(out, quote_hex);
    CHECK_OK(buf_add(out, BYTES_ARRAY(digest)));
}

static void every_field_is_read(void **state)
{
    (void)state;
    struct tpm_quote q;
    BUF_AUTO in = BUF(TPM_QUOTE_MAX);
    make(&in);
    CHECK_OK(tpm_quote_read(buf_view(&in), &q));
    CHECK_BYTES(q.signer, BYTES_LIT("\xaa\xbb\xcc"));
    CHECK_BYTES(q.extra, BYTES_LIT("\xde\xad"));
    CHECK(q.clock_ms == 0x105 && q.resets == 7 && q.restarts == 9 && q.clock_safe);
    CHECK(q.firmware == UINT64_C(0x2020031200120003) && q.selected == (1U << 0 | 1U << 9));
    CHECK(q.pcr_digest.len == SHA256_LEN);
}

static void the_selected_values_are_found_by_their_number(void **state)
{
    (void)state;
    struct tpm_quote q;
    BUF_AUTO in = BUF(TPM_QUOTE_MAX);
    make(&in);
    CHECK_OK(tpm_quote_read(buf_view(&in), &q));
    bytes all = bytes_of(pcrs, sizeof pcrs);
    CHECK(tpm_quote_covers(&q, all));
    CHECK_BYTES(tpm_quote_pcr(&q, all, 0), BYTES_ARRAY(pcrs[0]));
    CHECK_BYTES(tpm_quote_pcr(&q, all, 9), BYTES_ARRAY(pcrs[1]));
    CHECK(tpm_quote_pcr(&q, all, 1).len == 0);
    CHECK(tpm_quote_pcr(&q, all, 24).len == 0);
    CHECK(tpm_quote_pcr(&q, bytes_of(pcrs, TPM_PCR_LEN), 9).len == 0);
    CHECK(!tpm_quote_covers(&q, bytes_of(pcrs, TPM_PCR_LEN)));
    CHECK(!tpm_quote_covers(&q, (bytes){ 0 }));
    pcrs[1][0] ^= 1;
    CHECK(!tpm_quote_covers(&q, all));
}

static void no_selection_covers_nothing(void **state)
{
    (void)state;
    struct tpm_quote q = { .selected = 0 };
    uint8_t digest[SHA256_LEN];
    sha256_of((bytes){ 0 }, digest);
    q.pcr_digest = BYTES_ARRAY(digest);
    CHECK(!tpm_quote_covers(&q, (bytes){ 0 }));
}

static void a_part_of_it_or_more_is_refused(void **state)
{
    (void)state;
    struct tpm_quote q;
    BUF_AUTO in = BUF(TPM_QUOTE_MAX + 1);
    make(&in);
    for (size_t len = 0; len < in.len; len++)
        CHECK_ERR(tpm_quote_read(bytes_of(in.at, len), &q), TRUNCATED);
    CHECK_OK(buf_add_u8(&in, 0));
    CHECK_ERR(tpm_quote_read(buf_view(&in), &q), MALFORMED);
    CHECK(q.selected == 0);
    CHECK_OK(buf_add_zeros(&in, TPM_QUOTE_MAX - in.len));
    CHECK_ERR(tpm_quote_read(buf_view(&in), &q), MALFORMED);
    CHECK_OK(buf_add_u8(&in, 0));
    CHECK_ERR(tpm_quote_read(buf_view(&in), &q), LIMIT);
}

static err read_with(size_t at, uint8_t value)
{
    struct tpm_quote q;
    BUF_AUTO in = BUF(TPM_QUOTE_MAX);
    make(&in);
    in.at[at] = value;
    return tpm_quote_read(buf_view(&in), &q);
}

static void what_is_no_quote_of_sha256_is_refused(void **state)
{
    (void)state;
    CHECK_ERR(read_with(0, 0), MALFORMED);
    CHECK_ERR(read_with(5, 0x17), UNSUPPORTED);  /* a certification */
    CHECK_ERR(read_with(12, 65), LIMIT);         /* qualifying data */
    CHECK_ERR(read_with(31, 2), MALFORMED);      /* neither yes nor no */
    CHECK_ERR(read_with(43, 2), UNSUPPORTED);    /* two banks */
    CHECK_ERR(read_with(45, 0x04), UNSUPPORTED); /* SHA-1 */
    CHECK_ERR(read_with(46, 4), UNSUPPORTED);
    CHECK_ERR(read_with(51, 0x1f), MALFORMED);
    CHECK_ERR(read_with(51, 0x21), LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_read),
        cmocka_unit_test(the_selected_values_are_found_by_their_number),
        cmocka_unit_test(no_selection_covers_nothing),
        cmocka_unit_test(a_part_of_it_or_more_is_refused),
        cmocka_unit_test(what_is_no_quote_of_sha256_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
