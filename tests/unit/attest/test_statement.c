#include "attest/statement.h"
#include "crypto/cose.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

/* From tests/unit/attest/second_opinion.py. */
#define SIGNED                                                                                     \
    "d2845831a2012703782b6170706c69636174696f6e2f766e642e7365616c676174652e6b65792d73746174656d65" \
    "6e742b63626f72a05874a566776f726b657268776f726b65722d31686b65795f6c697374582dabababababababab" \
    "ababababababababababababababababababababababababababababababababababababab696e6f745f61667465" \
    "721a684eef906a67656e65726174696f6e036a6e6f745f6265666f72651a684ee1445840c96d6e70fe314706169b" \
    "432590d4f1dc62090e56814ae2787ddb58d263eeba3af0e4370609b92ea6530e526352941597f1063cad39895c92" \
    "182eba91cd9bc30f"

/* {1: -8, 3: 61}: what the receipts signed by the same identity carry. */
#define RECEIPT_HEADER BYTES_LIT("\xa2\x01\x27\x03\x18\x3d")

static bytes identity_of(const struct scene *s)
{
    return bytes_of(signing_key_public(s->identity), 32);
}

static void agrees_with_a_second_implementation(void **state)
{
    (void)state;
    struct scene s;
    struct statement back;
    BUF_AUTO want = BUF(BUNDLE_STATEMENT_MAX);
    scene_open(&s);
    scene_make(&s);
    law_hex(&want, SIGNED);
    CHECK_BYTES(buf_view(&s.key_statement), buf_view(&want));
    CHECK_OK(statement_verify(buf_view(&want), identity_of(&s), &back));
    CHECK_BYTES(back.worker, BYTES_LIT("worker-1"));
    CHECK_BYTES(back.key_list, BYTES_ARRAY(s.key_list_bytes));
    CHECK(back.not_before == SCENE_NOW - 60 && back.not_after == SCENE_NOW + 3600);
    CHECK(back.generation == 3);
    scene_close(&s);
}

static void another_identity_did_not_sign_it(void **state)
{
    (void)state;
    struct scene s;
    struct signing_key *other;
    struct statement back = { 0 };
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(signing_key_generate(&other));
    CHECK_ERR(statement_verify(buf_view(&s.key_statement), bytes_of(signing_key_public(other), 32),
                               &back),
              CRYPTO);
    CHECK_ERR(statement_verify(buf_view(&s.key_statement), (bytes){ 0 }, &back), CRYPTO);
    CHECK(back.key_list.len == 0);
    signing_key_free(other);
    scene_close(&s);
}

static void a_receipt_is_never_a_statement_nor_the_other_way_round(void **state)
{
    (void)state;
    struct scene s;
    struct cose_sign1 c;
    struct statement back;
    BUF_AUTO receipt = BUF(BUNDLE_STATEMENT_MAX);
    scene_open(&s);
    scene_make(&s);
    CHECK_OK(cose_sign1_read(buf_view(&s.key_statement), &c));
    CHECK_OK(cose_sign1_verify_ed25519(&c, identity_of(&s)));

    /* Even with a statement's payload, validly signed by the identity. */
    CHECK_OK(cose_sign1_write(&receipt, RECEIPT_HEADER, c.payload, s.identity));
    CHECK_ERR(statement_verify(buf_view(&receipt), identity_of(&s), &back), UNSUPPORTED);

    /* A statement dressed up as a receipt loses its signature. */
    c.protected_map = RECEIPT_HEADER;
    CHECK_ERR(cose_sign1_verify_ed25519(&c, identity_of(&s)), CRYPTO);
    scene_close(&s);
}

static void refuses_every_flipped_bit_and_every_prefix(void **state)
{
    (void)state;
    struct scene s;
    struct statement back;
    scene_open(&s);
    scene_make(&s);
    bytes whole = buf_view(&s.key_statement);
    for (size_t i = 0; i < whole.len * 8; i++) {
        s.key_statement.at[i / 8] ^= (uint8_t)(1U << (i % 8));
        CHECK(!err_is_ok(statement_verify(whole, identity_of(&s), &back)));
        s.key_statement.at[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t n = 0; n < whole.len; n++)
        CHECK(!err_is_ok(statement_verify(bytes_slice(whole, 0, n), identity_of(&s), &back)));
    CHECK_OK(statement_verify(whole, identity_of(&s), &back));
    scene_close(&s);
}

static void dates_must_make_sense(void **state)
{
    (void)state;
    struct scene s;
    BUF_AUTO out = BUF(BUNDLE_STATEMENT_MAX);
    scene_open(&s);
    struct statement t = s.statement;
    t.not_after = t.not_before;
    CHECK_ERR(statement_write(&out, &t, s.identity), MALFORMED);
    t.not_after = t.not_before + STATEMENT_LIFETIME_S_MAX;
    CHECK_OK(statement_write(&out, &t, s.identity));
    buf_truncate(&out, 0);
    t.not_after++;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    t = s.statement;
    t.not_after = UINT64_MAX;
    t.not_before = UINT64_MAX - 1;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    scene_close(&s);
}

static void a_key_of_ehbp_is_named_where_there_is_one(void **state)
{
    (void)state;
    static uint8_t key[STATEMENT_EHBP_KEY_MAX + 1] = { 1 };
    struct scene s;
    struct statement back;
    BUF_AUTO out = BUF(BUNDLE_STATEMENT_MAX);
    scene_open(&s);
    struct statement t = s.statement;
    t.ehbp_key = bytes_of(key, STATEMENT_EHBP_KEY_MAX);
    CHECK_OK(statement_write(&out, &t, s.identity));
    CHECK_OK(statement_verify(buf_view(&out), identity_of(&s), &back));
    CHECK_BYTES(back.ehbp_key, t.ehbp_key);
    CHECK_BYTES(back.key_list, t.key_list);
    buf_truncate(&out, 0);
    t.ehbp_key.len++;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    scene_close(&s);
}

static void refuses_lists_and_names_over_their_limits(void **state)
{
    (void)state;
    static uint8_t long_list[STATEMENT_KEY_LIST_MAX + 1];
    struct scene s;
    BUF_AUTO out = BUF(BUNDLE_STATEMENT_MAX);
    scene_open(&s);
    struct statement t = s.statement;
    t.key_list = bytes_of(long_list, STATEMENT_KEY_LIST_MAX);
    CHECK_OK(statement_write(&out, &t, s.identity));
    buf_truncate(&out, 0);
    t.key_list.len++;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    t.key_list.len = 0;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    t = s.statement;
    memset(long_list, 'w', sizeof long_list);
    t.worker = bytes_of(long_list, STATEMENT_WORKER_MAX);
    CHECK_OK(statement_write(&out, &t, s.identity));
    buf_truncate(&out, 0);
    t.worker.len++;
    CHECK_ERR(statement_write(&out, &t, s.identity), LIMIT);
    scene_close(&s);
}

static void is_current_between_its_dates_give_or_take_the_skew(void **state)
{
    (void)state;
    struct statement s = { .not_before = 1000, .not_after = 2000 };
    CHECK(statement_time(&s, 999, 0) == STATEMENT_EARLY);
    CHECK(statement_time(&s, 1000, 0) == STATEMENT_CURRENT);
    CHECK(statement_time(&s, 1999, 0) == STATEMENT_CURRENT);
    CHECK(statement_time(&s, 2000, 0) == STATEMENT_EXPIRED);
    CHECK(statement_time(&s, 939, 60) == STATEMENT_EARLY);
    CHECK(statement_time(&s, 940, 60) == STATEMENT_CURRENT);
    CHECK(statement_time(&s, 2059, 60) == STATEMENT_CURRENT);
    CHECK(statement_time(&s, 2060, 60) == STATEMENT_EXPIRED);
    CHECK(statement_time(&s, INT64_MAX, UINT32_MAX) == STATEMENT_EXPIRED);
    CHECK(statement_time(&s, INT64_MIN, UINT32_MAX) == STATEMENT_EARLY);
    CHECK((int)STATEMENT_EXPIRED == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_second_implementation),
        cmocka_unit_test(another_identity_did_not_sign_it),
        cmocka_unit_test(a_receipt_is_never_a_statement_nor_the_other_way_round),
        cmocka_unit_test(refuses_every_flipped_bit_and_every_prefix),
        cmocka_unit_test(dates_must_make_sense),
        cmocka_unit_test(a_key_of_ehbp_is_named_where_there_is_one),
        cmocka_unit_test(refuses_lists_and_names_over_their_limits),
        cmocka_unit_test(is_current_between_its_dates_give_or_take_the_skew),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
