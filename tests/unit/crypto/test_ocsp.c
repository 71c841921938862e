#include "base/text.h"
#include "crypto/der.h"
#include "crypto/init.h"
#include "crypto/ocsp.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1750000000, DAY = 86400, GOOD = 0, REVOKED = 1, UNKNOWN = 2 };

static struct pki_cert *issuer, *other_issuer, *cert, *other, *responder, *no_purpose, *foreign;
static struct buf answer;

static struct pki_cert *make(const char *name, const struct pki_cert *by, const char *purpose)
{
    return pki_new(&(struct pki_spec){ .name = name,
                                       .curve = "P-384",
                                       .digest = "SHA384",
                                       .issuer = by,
                                       .constraints = by == NULL ? "critical,CA:TRUE" : NULL,
                                       .purpose = purpose,
                                       .from_s = NOW - DAY,
                                       .until_s = NOW + DAY });
}

static struct pki_ocsp spec(void)
{
    return (struct pki_ocsp){ .cert = cert,
                              .issuer = issuer,
                              .signer = responder,
                              .status = GOOD,
                              .from_s = NOW - 10,
                              .until_s = NOW + 10 };
}

static struct ocsp_query query(void)
{
    return (struct ocsp_query){ .response = buf_view(&answer),
                                .certificate = pki_der(cert),
                                .issuer = pki_der(issuer),
                                .at_s = NOW };
}

static void check(const struct pki_ocsp *s, const char *word)
{
    enum ocsp_outcome outcome;
    buf_truncate(&answer, 0);
    pki_ocsp_answer(&answer, s);
    struct ocsp_query q = query();
    CHECK_OK(ocsp_check(&q, &outcome));
    assert_string_equal(ocsp_outcome_word(outcome), word);
}

static void only_good_is_good(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    check(&s, "good");
    s.status = REVOKED;
    check(&s, "revoked");
    s.status = UNKNOWN;
    check(&s, "unknown");
}

static void only_the_issuer_or_whom_it_lets_may_answer(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    s.signer = issuer;
    check(&s, "good");
    s.signer = no_purpose;
    check(&s, "responder");
    s.signer = foreign;
    check(&s, "responder");
}

static void the_answer_has_to_be_about_this_certificate(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    s.cert = other;
    check(&s, "cert-id");
    s = spec();
    s.issuer = other_issuer;
    check(&s, "cert-id");
}

static enum ocsp_outcome at(int64_t at_s, int64_t max_age_s)
{
    enum ocsp_outcome outcome;
    struct ocsp_query q = query();
    q.at_s = at_s;
    q.max_age_s = max_age_s;
    CHECK_OK(ocsp_check(&q, &outcome));
    return outcome;
}

static void dates_bound_it(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    check(&s, "good");
    CHECK(at(NOW - 11, 0) == OCSP_IS_THIS_UPDATE);
    CHECK(at(NOW + 9, 0) == OCSP_IS_GOOD);
    CHECK(at(NOW + 11, 0) == OCSP_IS_NEXT_UPDATE);
    s.until_s = 0;
    check(&s, "nextUpdate");
    CHECK(at(NOW, 60) == OCSP_IS_GOOD);
    CHECK(at(NOW + 51, 60) == OCSP_IS_NEXT_UPDATE);
}

static void a_nonce_may_be_missing_but_not_another(void **state)
{
    (void)state;
    enum ocsp_outcome outcome;
    struct pki_ocsp s = spec();
    check(&s, "good");
    struct ocsp_query q = query();
    q.nonce = BYTES_LIT("0123456789abcdef");
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_GOOD);
    s.nonce = BYTES_LIT("0123456789abcdef");
    check(&s, "good");
    q.response = buf_view(&answer);
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_GOOD);
    q.nonce = BYTES_LIT("0123456789abcdeX");
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_NONCE);
}

/* What is not signed (the status, outer lengths) is of one encoding; flipped, it cannot be read or is
 * an error status. The responder's certificate is signed by the issuer. */
static void no_flipped_bit_makes_another_good_answer(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    enum ocsp_outcome outcome;
    check(&s, "good");
    struct ocsp_query q = query();
    for (size_t i = 0; i < answer.len; i++) {
        answer.at[i] ^= (uint8_t)(1U << (i % 8));
        CHECK_OK(ocsp_check(&q, &outcome));
        if (outcome == OCSP_IS_GOOD)
            fail_msg("byte %zu does not count", i);
        answer.at[i] ^= (uint8_t)(1U << (i % 8));
    }
}

static void what_is_no_answer_is_malformed(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    enum ocsp_outcome outcome;
    check(&s, "good");
    struct ocsp_query q = query();
    for (size_t n = 0; n < answer.len; n += 5) {
        q.response = bytes_of(answer.at, n);
        CHECK_OK(ocsp_check(&q, &outcome));
        CHECK(outcome == OCSP_IS_MALFORMED);
    }
    CHECK_OK(buf_add_u8(&answer, 0));
    q.response = buf_view(&answer);
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_MALFORMED);
    q.response = BYTES_LIT("\x30\x03\x0a\x01\x03"); /* tryLater */
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_STATUS);
    q = query();
    q.issuer = BYTES_LIT("no");
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_MALFORMED);
}

static void it_tells_until_when_it_holds(void **state)
{
    (void)state;
    struct pki_ocsp s = spec();
    enum ocsp_outcome outcome;
    int64_t until = 7;
    check(&s, "good");
    struct ocsp_query q = query();
    q.until_s = &until;
    q.at_s = NOW + 11;
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_NEXT_UPDATE && until == 7);
    q.at_s = NOW;
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(outcome == OCSP_IS_GOOD && until == NOW + 10);
    s.status = REVOKED;
    until = 7;
    check(&s, "revoked");
    q.response = buf_view(&answer);
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(until == NOW + 10);
    s.status = UNKNOWN;
    until = 7;
    check(&s, "unknown");
    q.response = buf_view(&answer);
    CHECK_OK(ocsp_check(&q, &outcome));
    CHECK(until == 7);
}

/* What is asked about is what the answer is about: the same CertID, four sequences deep. */
static void a_request_names_the_certificate(void **state)
{
    (void)state;
    enum { DEPTH = 4 };
    struct pki_ocsp s = spec();
    BUF_AUTO request = BUF(OCSP_REQUEST_MAX);
    BUF_AUTO of_other = BUF(OCSP_REQUEST_MAX);
    check(&s, "good");
    CHECK_OK(ocsp_request_write(&request, pki_der(cert), pki_der(issuer)));
    CHECK_OK(ocsp_request_write(&of_other, pki_der(other), pki_der(issuer)));
    CHECK(!bytes_equal(buf_view(&request), buf_view(&of_other)));
    bytes in = buf_view(&request), id = in;
    for (int i = 0; i < DEPTH; i++) {
        CHECK_OK(der_take(&in, DER_SEQUENCE, &id));
        CHECK(in.len == 0);
        in = id;
    }
    CHECK(text_find(buf_view(&answer), id) < answer.len);
    CHECK_ERR(ocsp_request_write(&request, BYTES_LIT("x"), pki_der(issuer)), MALFORMED);
    CHECK_ERR(ocsp_request_write(&request, pki_der(cert), (bytes){ 0 }), MALFORMED);
}

static int setup(void **state)
{
    (void)state;
    answer = BUF(OCSP_RESPONSE_MAX);
    issuer = make("issuer", NULL, NULL);
    other_issuer = make("issuer", NULL, NULL);
    cert = make("cert", issuer, NULL);
    other = make("other", issuer, NULL);
    responder = make("responder", issuer, "OCSPSigning");
    no_purpose = make("responder", issuer, "serverAuth");
    foreign = make("responder", other_issuer, "OCSPSigning");
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    struct pki_cert *const all[] = { foreign, no_purpose,   responder, other,
                                     cert,    other_issuer, issuer };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        pki_free(all[i]);
    buf_clear(&answer);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_good_is_good),
        cmocka_unit_test(only_the_issuer_or_whom_it_lets_may_answer),
        cmocka_unit_test(the_answer_has_to_be_about_this_certificate),
        cmocka_unit_test(dates_bound_it),
        cmocka_unit_test(a_nonce_may_be_missing_but_not_another),
        cmocka_unit_test(no_flipped_bit_makes_another_good_answer),
        cmocka_unit_test(what_is_no_answer_is_malformed),
        cmocka_unit_test(it_tells_until_when_it_holds),
        cmocka_unit_test(a_request_names_the_certificate),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
