#include "attest/bundle.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

static void check_sha256(bytes of, const char *want_hex)
{
    uint8_t have[SHA256_LEN];
    BUF_AUTO want = BUF(SHA256_LEN);
    sha256_of(of, have);
    law_hex(&want, want_hex);
    CHECK_BYTES(BYTES_ARRAY(have), buf_view(&want));
}

/* From tests/unit/attest/second_opinion.py. */
static void agrees_with_a_second_implementation(void **state)
{
    (void)state;
    struct scene s;
    scene_open(&s);
    scene_make(&s);
    check_sha256(buf_view(&s.document),
                 "e619bb82960f16a3184a9396976c095b3434e1544d2fe22610defea14c89df3b");
    check_sha256(buf_view(&s.bundle),
                 "94a1dd1a00b4ffd9d80e86d0da6ebb121a36018933410e994dbc79f80afacf55");
    scene_close(&s);
}

static void a_bundle_minus_its_statement_is_the_evidence_document(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    uint8_t digest[BUNDLE_DIGEST_LEN];
    uint8_t want[SHA256_LEN];
    BUF_AUTO out = BUF(BUNDLE_MAX);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(bundle_read(buf_view(&s.bundle), &b));
    CHECK_OK(evidence_document_write(&out, &b));
    CHECK_BYTES(buf_view(&out), buf_view(&s.document));
    CHECK_OK(evidence_document_digest(&b, digest));
    sha256_of(buf_view(&s.document), want);
    CHECK_BYTES(BYTES_ARRAY(digest), BYTES_ARRAY(want));
    buf_truncate(&out, 0);
    CHECK_OK(bundle_write(&out, &b));
    CHECK_BYTES(buf_view(&out), buf_view(&s.bundle));
    scene_close(&s);
}

static void neither_form_is_taken_for_the_other(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    scene_open(&s);
    scene_make(&s);
    CHECK_ERR(bundle_read(buf_view(&s.document), &b), MALFORMED);
    CHECK_ERR(evidence_document_read(buf_view(&s.bundle), &b), MALFORMED);
    scene_close(&s);
}

static void refuses_every_prefix(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    scene_open(&s);
    scene_make(&s);
    for (size_t n = 0; n < s.bundle.len; n++)
        CHECK(!err_is_ok(bundle_read(bytes_of(s.bundle.at, n), &b)));
    scene_close(&s);
}

static uint8_t zeros[BUNDLE_MAX + 1];

static struct bundle full_bundle(void)
{
    return (struct bundle){ .nonce = bytes_of(zeros, BUNDLE_NONCE_MAX),
                            .claims = bytes_of(zeros, 2048),
                            .version = BUNDLE_VERSION,
                            .evidence = bytes_of(zeros, BUNDLE_EVIDENCE_MAX),
                            .identity = bytes_of(zeros, BUNDLE_IDENTITY_LEN),
                            .platform = BYTES_LIT("abcdefghijklmnopqrstuvwxyz012345"),
                            .collateral = bytes_of(zeros, BUNDLE_COLLATERAL_MAX),
                            .gpu_evidence = bytes_of(zeros, BUNDLE_GPU_EVIDENCE_MAX),
                            .key_statement = bytes_of(zeros, BUNDLE_STATEMENT_MAX) };
}

static void holds_all_parts_at_their_limits(void **state)
{
    (void)state;
    struct bundle b = full_bundle();
    struct bundle back;
    BUF_AUTO out = BUF(BUNDLE_MAX);
    CHECK_OK(bundle_write(&out, &b));
    CHECK_OK(bundle_read(buf_view(&out), &back));
    CHECK(back.collateral.len == BUNDLE_COLLATERAL_MAX);
    CHECK_ERR(bundle_read(bytes_of(zeros, BUNDLE_MAX + 1), &back), LIMIT);
    CHECK_ERR(bundle_read(bytes_of(zeros, BUNDLE_MAX), &back), MALFORMED);
}

static void refuses_each_part_over_its_limit(void **state)
{
    (void)state;
    struct bundle bad[12];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = full_bundle();
    bad[0].nonce.len++;
    bad[1].nonce.len = BUNDLE_NONCE_MIN - 1;
    bad[2].claims.len++;
    bad[3].version = 0;
    bad[4].version = 2;
    bad[5].evidence.len++;
    bad[6].identity.len--;
    bad[7].identity.len++;
    bad[8].platform = BYTES_LIT("abcdefghijklmnopqrstuvwxyz0123456");
    bad[9].collateral.len++;
    bad[10].gpu_evidence.len++;
    bad[11].key_statement.len++;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        BUF_AUTO out = BUF(2 * BUNDLE_MAX);
        CHECK_ERR(bundle_write(&out, &bad[i]), LIMIT);
    }
}

static void a_statement_can_be_joined_later(void **state)
{
    (void)state;
    struct scene s;
    struct bundle b;
    BUF_AUTO out = BUF(BUNDLE_MAX);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(bundle_join(&out, buf_view(&s.document), BYTES_LIT("another")));
    CHECK_OK(bundle_read(buf_view(&out), &b));
    CHECK_BYTES(b.key_statement, BYTES_LIT("another"));
    CHECK_ERR(bundle_join(&out, buf_view(&s.bundle), BYTES_LIT("another")), MALFORMED);
    CHECK_ERR(bundle_join(&out, buf_view(&s.document), (bytes){ 0 }), LIMIT);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_second_implementation),
        cmocka_unit_test(a_bundle_minus_its_statement_is_the_evidence_document),
        cmocka_unit_test(neither_form_is_taken_for_the_other),
        cmocka_unit_test(refuses_every_prefix),
        cmocka_unit_test(holds_all_parts_at_their_limits),
        cmocka_unit_test(refuses_each_part_over_its_limit),
        cmocka_unit_test(a_statement_can_be_joined_later),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
