#include "crypto/init.h"
#include "crypto/x509.h"
#include "tests/lib/law.h"
#include "tests/unit/crypto/pki.h"

enum { NOW = 1700000000, DAY = 86400 };

#define CA "critical,CA:TRUE"

static struct pki_cert *root, *issuer, *leaf, *foreign_root;

static struct pki_spec spec(const char *name, const struct pki_cert *by, const char *constraints)
{
    return (struct pki_spec){ .name = name,
                              .issuer = by,
                              .constraints = constraints,
                              .from_s = NOW - DAY,
                              .until_s = NOW + DAY };
}

static struct x509_root pin(const struct pki_cert *cert)
{
    struct x509_root r;
    sha256_of(pki_der(cert), r.sha256);
    return r;
}

static err verify_at(const bytes *certs, size_t n, const struct pki_cert *pinned, int64_t at_s)
{
    struct x509_root r = pin(pinned);
    struct x509_chain *chain = NULL;
    struct x509_query q = { certs, n, &r, 1, at_s, NULL, NULL };
    err e = x509_verify(&chain, &q);
    CHECK((chain != NULL) == (e.code == ERR_OK));
    x509_free(chain);
    return e;
}

static err verify(const bytes *certs, size_t n)
{
    return verify_at(certs, n, root, NOW);
}

static void a_chain_to_the_pinned_root_is_taken_in_any_order_of_its_issuers(void **state)
{
    (void)state;
    const bytes a[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    const bytes b[] = { pki_der(leaf), pki_der(root), pki_der(issuer) };
    const bytes surplus[] = { pki_der(leaf), pki_der(foreign_root), pki_der(root),
                              pki_der(issuer) };
    CHECK_OK(verify(a, 3));
    CHECK_OK(verify(b, 3));
    CHECK_OK(verify(surplus, 4));
}

static void what_the_leaf_says_is_read_from_the_verified_chain(void **state)
{
    (void)state;
    struct x509_root r = pin(root);
    struct x509_chain *chain = NULL;
    const bytes certs[] = { pki_der(leaf), pki_der(root), pki_der(issuer) };
    struct x509_query q = { certs, 3, &r, 1, NOW, NULL, NULL };
    enum ec_curve curve;
    bytes point, name, octets;
    CHECK_OK(x509_verify(&chain, &q));
    CHECK(x509_len(chain) == 3);
    CHECK_OK(x509_key(chain, 0, &curve, &point));
    CHECK(curve == EC_P384);
    CHECK_BYTES(point, pki_point(leaf));
    CHECK_OK(x509_key(chain, 2, &curve, &point));
    CHECK(curve == EC_P256);
    CHECK_BYTES(point, pki_point(root));
    CHECK_OK(x509_common_name(chain, 0, &name));
    CHECK_BYTES(name, BYTES_LIT("leaf"));
    CHECK_OK(x509_common_name(chain, 1, &name));
    CHECK_BYTES(name, BYTES_LIT("issuer"));
    CHECK_OK(x509_extension(chain, 0, "1.2.3.4", &octets));
    CHECK_BYTES(octets, BYTES_LIT("tcb 7"));
    CHECK_ERR(x509_extension(chain, 1, "1.2.3.4", &octets), NOT_FOUND);
    CHECK_ERR(x509_extension(chain, 0, "1.2.3.5", &octets), NOT_FOUND);
    CHECK_ERR(x509_key(chain, 3, &curve, &point), NOT_FOUND);
    x509_free(chain);
}

static void dates_and_names_are_read_for_people(void **state)
{
    (void)state;
    struct x509_root r = pin(root);
    struct x509_chain *chain = NULL;
    const bytes certs[] = { pki_der(leaf), pki_der(root), pki_der(issuer) };
    struct x509_query q = { certs, 3, &r, 1, NOW, NULL, NULL };
    struct x509_about about;
    CHECK_OK(x509_verify(&chain, &q));
    CHECK_OK(x509_about(chain, 0, &about));
    assert_string_equal(about.subject, "CN=leaf,O=test");
    assert_string_equal(about.serial_number, "");
    CHECK(about.not_before == NOW - DAY && about.not_after == NOW + DAY && !about.ca);
    CHECK_OK(x509_about(chain, 1, &about));
    CHECK(about.ca);
    CHECK_ERR(x509_about(chain, 3, &about), NOT_FOUND);
    BUF_AUTO der = BUF(X509_CERT_MAX);
    CHECK_OK(x509_der(chain, 1, &der));
    CHECK_BYTES(buf_view(&der), pki_der(issuer));
    CHECK_ERR(x509_der(chain, 3, &der), NOT_FOUND);
    x509_free(chain);

    CHECK_OK(x509_about_der(pki_der(issuer), &about));
    assert_string_equal(about.subject, "CN=issuer,O=test");
    CHECK_ERR(x509_about_der(BYTES_LIT("no"), &about), MALFORMED);

    BUF_AUTO spki = BUF(1024);
    CHECK_OK(x509_spki(pki_der(leaf), &spki));
    CHECK(bytes_ends(buf_view(&spki), pki_point(leaf)));
    CHECK_ERR(x509_spki(BYTES_LIT("no"), &spki), MALFORMED);
}

static bool in_order(const bytes *certs, size_t n)
{
    struct x509_root r = pin(root);
    struct x509_chain *chain = NULL;
    struct x509_query q = { certs, n, &r, 1, NOW, NULL, NULL };
    CHECK_OK(x509_verify(&chain, &q));
    bool is = x509_in_order(chain);
    x509_free(chain);
    return is;
}

static void only_the_whole_path_in_its_order_is_in_order(void **state)
{
    (void)state;
    const bytes good[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    const bytes crossed[] = { pki_der(leaf), pki_der(root), pki_der(issuer) };
    const bytes surplus[] = { pki_der(leaf), pki_der(issuer), pki_der(root),
                              pki_der(foreign_root) };
    const bytes twice[] = { pki_der(leaf), pki_der(issuer), pki_der(issuer), pki_der(root) };
    CHECK(in_order(good, 3));
    CHECK(!in_order(crossed, 3));
    CHECK(!in_order(surplus, 4));
    CHECK(!in_order(twice, 4));
}

/* For people, and also when there is no path: what was given, as far as it can be read. */
static void what_was_given_is_seen_whatever_comes_of_it(void **state)
{
    (void)state;
    struct x509_root r = pin(foreign_root);
    struct x509_chain *chain = NULL;
    struct x509_about abouts[3];
    struct x509_seen seen = { abouts, 7 };
    const bytes certs[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    const bytes broken[] = { pki_der(leaf), BYTES_LIT("no"), pki_der(root) };
    struct x509_query q = { certs, 3, &r, 1, NOW + 3 * DAY, NULL, &seen };
    CHECK_ERR(x509_verify(&chain, &q), UNTRUSTED);
    CHECK(seen.n == 3);
    assert_string_equal(abouts[0].subject, "CN=leaf,O=test");
    CHECK(abouts[1].ca && abouts[0].not_after == NOW + DAY);
    q.certs = broken;
    CHECK_ERR(x509_verify(&chain, &q), MALFORMED);
    CHECK(seen.n == 1);
    q.roots_n = 0;
    CHECK_ERR(x509_verify(&chain, &q), CONFIG);
    CHECK(seen.n == 0);
}

static enum x509_fault why_not(const bytes *certs, size_t n, const struct pki_cert *pinned,
                               int64_t at_s, unsigned *depth)
{
    struct x509_root r = pin(pinned);
    struct x509_chain *chain = NULL;
    struct x509_why why = { 0 };
    struct x509_query q = { certs, n, &r, 1, at_s, &why, NULL };
    err e = x509_verify(&chain, &q);
    CHECK(err_is_ok(e) == (why.fault == X509_FAULT_NONE));
    x509_free(chain);
    *depth = why.depth;
    return why.fault;
}

static void a_refusal_says_what_was_wrong_and_where(void **state)
{
    (void)state;
    unsigned depth;
    BUF_AUTO flipped = BUF(X509_CERT_MAX);
    CHECK_OK(buf_add(&flipped, pki_der(leaf)));
    flipped.at[flipped.len - 1] ^= 1;
    const bytes fine[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    const bytes no_issuer[] = { pki_der(leaf), pki_der(root) };
    const bytes bad[] = { buf_view(&flipped), pki_der(issuer), pki_der(root) };
    const bytes text[] = { BYTES_LIT("text"), pki_der(root) };
    CHECK(why_not(fine, 3, root, NOW, &depth) == X509_FAULT_NONE);
    CHECK(why_not(fine, 3, foreign_root, NOW, &depth) == X509_FAULT_ROOT);
    CHECK(why_not(no_issuer, 2, root, NOW, &depth) == X509_FAULT_ISSUER);
    CHECK(why_not(fine, 3, root, 0, &depth) == X509_FAULT_DATE);
    CHECK(why_not(text, 2, root, NOW, &depth) == X509_FAULT_FORM);
    CHECK(why_not(bad, 3, root, NOW, &depth) == X509_FAULT_SIGNATURE);
    CHECK(depth == 0);
}

static void only_a_pinned_root_is_trusted(void **state)
{
    (void)state;
    const bytes certs[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    CHECK_ERR(verify_at(certs, 3, foreign_root, NOW), UNTRUSTED);
    CHECK_ERR(verify(certs, 2), UNTRUSTED);

    /* The genuine root merely appended to a foreign chain, and a root of the same name. */
    struct pki_spec s = spec("leaf", foreign_root, NULL);
    struct pki_cert *forged = pki_new(&s);
    const bytes appended[] = { pki_der(forged), pki_der(foreign_root), pki_der(root) };
    CHECK_ERR(verify(appended, 3), UNTRUSTED);
    pki_free(forged);
}

static void an_issuer_that_is_no_ca_is_refused(void **state)
{
    (void)state;
    static const char *const constraints[] = { NULL, "CA:FALSE", "critical,CA:FALSE" };
    for (size_t i = 0; i < ARRAY_LEN(constraints); i++) {
        struct pki_spec s = spec("not a ca", root, constraints[i]);
        s.usage = constraints[i] ? NULL : "keyCertSign";
        struct pki_cert *middle = pki_new(&s);
        struct pki_spec t = spec("leaf", middle, NULL);
        struct pki_cert *end = pki_new(&t);
        const bytes certs[] = { pki_der(end), pki_der(middle), pki_der(root) };
        CHECK_ERR(verify(certs, 3), UNTRUSTED);
        pki_free(end);
        pki_free(middle);
    }
}

static void a_path_longer_than_its_issuer_allows_is_refused(void **state)
{
    (void)state;
    struct pki_spec a = spec("short", root, "critical,CA:TRUE,pathlen:0");
    struct pki_cert *top = pki_new(&a);
    struct pki_spec b = spec("below", top, CA);
    struct pki_cert *middle = pki_new(&b);
    struct pki_spec c = spec("leaf", middle, NULL);
    struct pki_cert *end = pki_new(&c);
    const bytes certs[] = { pki_der(end), pki_der(middle), pki_der(top), pki_der(root) };
    CHECK_ERR(verify(certs, 4), UNTRUSTED);
    pki_free(end);
    pki_free(middle);
    pki_free(top);
}

static void a_weak_digest_is_refused(void **state)
{
    (void)state;
    struct pki_spec s = spec("leaf", root, NULL);
    s.digest = "SHA1";
    struct pki_cert *weak = pki_new(&s);
    const bytes certs[] = { pki_der(weak), pki_der(root) };
    CHECK_ERR(verify(certs, 2), UNTRUSTED);
    pki_free(weak);
}

static void every_certificate_has_to_be_valid_at_the_given_time(void **state)
{
    (void)state;
    const bytes certs[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    CHECK_OK(verify_at(certs, 3, root, NOW - DAY + 1));
    CHECK_OK(verify_at(certs, 3, root, NOW + DAY - 1));
    CHECK_ERR(verify_at(certs, 3, root, NOW - DAY - 1), STALE);
    CHECK_ERR(verify_at(certs, 3, root, NOW + DAY + 1), STALE);
    CHECK_ERR(verify_at(certs, 3, root, 0), STALE);

    struct pki_spec s = spec("old", root, CA);
    s.until_s = NOW - 1;
    struct pki_cert *old = pki_new(&s);
    struct pki_spec t = spec("leaf", old, NULL);
    struct pki_cert *end = pki_new(&t);
    const bytes through_old[] = { pki_der(end), pki_der(old), pki_der(root) };
    CHECK_ERR(verify(through_old, 3), STALE);
    CHECK_OK(verify_at(through_old, 3, root, NOW - 2));
    pki_free(end);
    pki_free(old);
}

/* Below the outermost lengths every bit of the leaf is signed, or is its signature. */
static void any_flipped_bit_of_the_leaf_is_refused(void **state)
{
    (void)state;
    BUF_AUTO copy = BUF(X509_CERT_MAX);
    CHECK_OK(buf_add(&copy, pki_der(leaf)));
    const bytes certs[] = { buf_view(&copy), pki_der(issuer), pki_der(root) };
    CHECK_OK(verify(certs, 3));
    for (size_t bit = 0; bit < 8 * copy.len; bit++) {
        copy.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
        CHECK(verify(certs, 3).code != ERR_OK);
        copy.at[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void what_is_no_single_certificate_is_malformed(void **state)
{
    (void)state;
    BUF_AUTO longer = BUF(X509_CERT_MAX);
    CHECK_OK(buf_add(&longer, pki_der(leaf)));
    CHECK_OK(buf_add_u8(&longer, 0));
    bytes certs[] = { buf_view(&longer), pki_der(issuer), pki_der(root) };
    CHECK_ERR(verify(certs, 3), MALFORMED);
    for (size_t len = 0; len < pki_der(leaf).len; len += 7) {
        certs[0] = bytes_of(longer.at, len);
        CHECK_ERR(verify(certs, 3), MALFORMED);
    }
    CHECK_ERR(verify(certs, 0), MALFORMED);
}

static void the_limits_are_taken_and_one_more_is_refused(void **state)
{
    (void)state;
    bytes certs[X509_CHAIN_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(certs); i++)
        certs[i] = pki_der(foreign_root);
    certs[0] = pki_der(leaf);
    certs[1] = pki_der(issuer);
    certs[X509_CHAIN_MAX - 1] = pki_der(root);
    CHECK_OK(verify(certs, X509_CHAIN_MAX));
    CHECK_ERR(verify(certs, X509_CHAIN_MAX + 1), LIMIT);

    BUF_AUTO big = BUF(X509_CERT_MAX + 1);
    CHECK_OK(buf_add_zeros(&big, X509_CERT_MAX + 1));
    certs[0] = bytes_of(big.at, X509_CERT_MAX);
    CHECK_ERR(verify(certs, 3), MALFORMED);
    certs[0] = buf_view(&big);
    CHECK_ERR(verify(certs, 3), LIMIT);
}

static void a_query_pins_at_least_one_root_and_not_too_many(void **state)
{
    (void)state;
    struct x509_root roots[X509_ROOTS_MAX + 1] = { 0 };
    struct x509_chain *chain = NULL;
    const bytes certs[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    struct x509_query q = { certs, 3, roots, 0, NOW, NULL, NULL };
    CHECK_ERR(x509_verify(&chain, &q), CONFIG);
    roots[X509_ROOTS_MAX - 1] = pin(root);
    q.roots_n = X509_ROOTS_MAX + 1;
    CHECK_ERR(x509_verify(&chain, &q), LIMIT);
    CHECK(chain == NULL);
    q.roots_n = X509_ROOTS_MAX;
    CHECK_OK(x509_verify(&chain, &q));
    x509_free(chain);
    x509_free(NULL);
}

static err verify_once(void *arg)
{
    (void)arg;
    const bytes certs[] = { pki_der(leaf), pki_der(issuer), pki_der(root) };
    return verify(certs, 3);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    struct pki_spec r = spec("root", NULL, CA), f = spec("root", NULL, CA);
    root = pki_new(&r);
    foreign_root = pki_new(&f);
    struct pki_spec i = spec("issuer", root, CA);
    issuer = pki_new(&i);
    struct pki_spec l = spec("leaf", issuer, NULL);
    l.curve = "P-384";
    l.extension = "tcb 7";
    leaf = pki_new(&l);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pki_free(leaf);
    pki_free(issuer);
    pki_free(root);
    pki_free(foreign_root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_to_the_pinned_root_is_taken_in_any_order_of_its_issuers),
        cmocka_unit_test(what_the_leaf_says_is_read_from_the_verified_chain),
        cmocka_unit_test(dates_and_names_are_read_for_people),
        cmocka_unit_test(only_the_whole_path_in_its_order_is_in_order),
        cmocka_unit_test(what_was_given_is_seen_whatever_comes_of_it),
        cmocka_unit_test(a_refusal_says_what_was_wrong_and_where),
        cmocka_unit_test(only_a_pinned_root_is_trusted),
        cmocka_unit_test(an_issuer_that_is_no_ca_is_refused),
        cmocka_unit_test(a_path_longer_than_its_issuer_allows_is_refused),
        cmocka_unit_test(a_weak_digest_is_refused),
        cmocka_unit_test(every_certificate_has_to_be_valid_at_the_given_time),
        cmocka_unit_test(any_flipped_bit_of_the_leaf_is_refused),
        cmocka_unit_test(what_is_no_single_certificate_is_malformed),
        cmocka_unit_test(the_limits_are_taken_and_one_more_is_refused),
        cmocka_unit_test(a_query_pins_at_least_one_root_and_not_too_many),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
