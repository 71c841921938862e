#include "crypto/pem.h"
#include "tests/lib/law.h"

#define BLOCK(text) "-----BEGIN CERTIFICATE-----\n" text "\n-----END CERTIFICATE-----\n"

static void blocks_come_out_in_their_order(void **state)
{
    (void)state;
    struct pem_certs got;
    CHECK_OK(pem_read_certs(&got, BYTES_LIT(" \r\n" BLOCK("AQ\nID") "\n" BLOCK("/w==") "\n\0\0")));
    CHECK(got.n == 2);
    CHECK_BYTES(got.certs[0], BYTES_LIT("\x01\x02\x03"));
    CHECK_BYTES(got.certs[1], BYTES_LIT("\xff"));
    pem_clear(&got);
    CHECK(got.n == 0);
    CHECK(pem_is_text(BYTES_LIT("\n" BLOCK("AQID"))) && !pem_is_text(BYTES_LIT("\x30\x82")));
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x",
        "x" BLOCK("AQID"),
        BLOCK("AQID") "x",
        BLOCK("AQI"),
        BLOCK("AQ-D"),
        "",
        " \n",
        "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n",
        BLOCK("-----BEGIN CERTIFICATE-----AQID"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct pem_certs got;
        CHECK_ERR(pem_read_certs(&got, bytes_str(bad[i])), MALFORMED);
        CHECK(got.n == 0 && got.der.at == NULL);
    }
}

static void a_block_without_its_end_is_refused(void **state)
{
    (void)state;
    struct pem_certs got;
    CHECK_ERR(pem_read_certs(&got, BYTES_LIT("-----BEGIN CERTIFICATE-----\nAQID\n")), TRUNCATED);
    CHECK(got.n == 0 && got.der.at == NULL);
}

#define LIST(text) "-----BEGIN X509 CRL-----\n" text "\n-----END X509 CRL-----\n"

static void one_list_comes_out(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(64);
    CHECK(pem_is_crl(BYTES_LIT("\r\n" LIST("AQID"))) && !pem_is_crl(BYTES_LIT(BLOCK("AQID"))));
    CHECK(!pem_is_text(BYTES_LIT(LIST("AQID"))));
    CHECK_OK(pem_read_crl(&out, BYTES_LIT("\n" LIST("AQ\r\nID") "\0")));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("\x01\x02\x03"));
    CHECK_ERR(pem_read_crl(&out, BYTES_LIT(LIST("AQID") LIST("AQID"))), MALFORMED);
    CHECK_ERR(pem_read_crl(&out, BYTES_LIT(BLOCK("AQID"))), MALFORMED);
    CHECK_ERR(pem_read_crl(&out, BYTES_LIT(LIST(""))), MALFORMED);
    CHECK_ERR(pem_read_crl(&out, BYTES_LIT(LIST("A*"))), MALFORMED);
    CHECK_ERR(pem_read_crl(&out, BYTES_LIT("-----BEGIN X509 CRL-----\nAQID")), TRUNCATED);
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    struct pem_certs got;
    BUF_AUTO text = BUF(PEM_TEXT_MAX + 1);
    for (size_t i = 0; i < PEM_CERTS_MAX; i++)
        CHECK_OK(buf_add_str(&text, BLOCK("AQID")));
    CHECK_OK(pem_read_certs(&got, buf_view(&text)));
    CHECK(got.n == PEM_CERTS_MAX);
    pem_clear(&got);
    size_t len = text.len;
    CHECK_OK(buf_add_str(&text, BLOCK("AQID")));
    CHECK_ERR(pem_read_certs(&got, buf_view(&text)), LIMIT);
    buf_truncate(&text, len);
    CHECK_OK(buf_add_zeros(&text, PEM_TEXT_MAX - len));
    CHECK_OK(pem_read_certs(&got, buf_view(&text)));
    pem_clear(&got);
    CHECK_OK(buf_add_u8(&text, 0));
    CHECK_ERR(pem_read_certs(&got, buf_view(&text)), LIMIT);
}

static err read_once(void *arg)
{
    (void)arg;
    struct pem_certs got;
    err e = pem_read_certs(&got, BYTES_LIT(BLOCK("AQID") BLOCK("/w==")));
    pem_clear(&got);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(read_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_out_in_their_order),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(a_block_without_its_end_is_refused),
        cmocka_unit_test(one_list_comes_out),
        cmocka_unit_test(the_limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
