#include "crypto/hpke_test.h"
#include "crypto/init.h"
#include "crypto/kem.h"
#include "crypto/secret.h"
#include "tests/lib/law.h"

static const struct kem *kem;

static void the_table_knows_what_it_offers_and_nothing_else(void **state)
{
    (void)state;
    size_t found = 0;
    for (unsigned id = 0; id <= UINT16_MAX; id++) {
        const struct kem *k = kem_find((uint16_t)id);
        if (k == NULL)
            continue;
        found++;
        CHECK(k->id == id);
        CHECK(k->enc_len <= KEM_ENC_MAX && k->pk_len <= KEM_PK_MAX);
        CHECK(k->sk_len <= KEM_SK_MAX && k->secret_len <= KEM_SECRET_MAX);
    }
    CHECK(found == 1);
    CHECK(kem_find(KEM_MLKEM768_X25519) == NULL);
}

static void both_ends_get_the_same_secret(void **state)
{
    (void)state;
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX], enc[KEM_ENC_MAX], other[KEM_ENC_MAX];
    uint8_t sent[KEM_SECRET_MAX], got[KEM_SECRET_MAX];
    CHECK_OK(kem_generate(kem, sk, pk));
    bytes s = bytes_of(sk, kem->sk_len), p = bytes_of(pk, kem->pk_len);
    CHECK_OK(kem_encap(kem, p, (bytes){ 0 }, enc, sent));
    CHECK_OK(kem_decap(kem, s, p, bytes_of(enc, kem->enc_len), got));
    CHECK(secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));

    CHECK_OK(kem_encap(kem, p, (bytes){ 0 }, other, got));
    CHECK(!bytes_equal(BYTES_ARRAY(enc), BYTES_ARRAY(other)));
    CHECK(!secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));
}

static void another_recipient_or_another_enc_gives_another_secret(void **state)
{
    (void)state;
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX], enc[KEM_ENC_MAX];
    uint8_t sent[KEM_SECRET_MAX], got[KEM_SECRET_MAX];
    CHECK_OK(kem_generate(kem, sk, pk));
    bytes p = bytes_of(pk, kem->pk_len);
    CHECK_OK(kem_encap(kem, p, (bytes){ 0 }, enc, sent));
    for (size_t bit = 0; bit < 8 * kem->enc_len; bit++) {
        enc[bit / 8] ^= (uint8_t)(1U << bit % 8);
        err e = kem_decap(kem, bytes_of(sk, kem->sk_len), p, bytes_of(enc, kem->enc_len), got);
        if (err_is_ok(e))
            CHECK(!secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));
        enc[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    CHECK_OK(kem_generate(kem, sk, pk));
    CHECK_OK(kem_decap(kem, bytes_of(sk, kem->sk_len), p, bytes_of(enc, kem->enc_len), got));
    CHECK(!secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));
}

/* Every point of order 1, 2, 4 and 8, on the curve and its twist, in every encoding. */
static const char *const low_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void points_of_low_order_are_refused_at_both_ends(void **state)
{
    (void)state;
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX], enc[KEM_ENC_MAX], secret[KEM_SECRET_MAX], dh[32];
    static const uint8_t zeros[32];
    CHECK_OK(kem_generate(kem, sk, pk));
    bytes p = bytes_of(pk, kem->pk_len);
    for (size_t i = 0; i < 2 * ARRAY_LEN(low_order); i++) {
        BUF_AUTO point = BUF(32);
        law_hex(&point, low_order[i / 2]);
        point.at[31] = (uint8_t)(point.at[31] | (i % 2) << 7);
        CHECK_ERR(kem_encap(kem, buf_view(&point), (bytes){ 0 }, enc, secret), CRYPTO);
        CHECK_ERR(kem_decap(kem, bytes_of(sk, kem->sk_len), p, buf_view(&point), secret), CRYPTO);
        CHECK_ERR(kem_x25519(sk, point.at, dh), CRYPTO);
        CHECK_BYTES(BYTES_ARRAY(dh), BYTES_ARRAY(zeros));
    }
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    uint8_t at[64] = { 9 }, out[KEM_PK_MAX], secret[KEM_SECRET_MAX];
    bytes right = bytes_of(at, 32);
    CHECK_OK(kem_decap(kem, right, right, right, secret));
    for (size_t len = 0; len <= sizeof at; len++) {
        bytes b = bytes_of(at, len);
        if (len == 32)
            continue;
        CHECK_ERR(kem_public(kem, b, out), CRYPTO);
        CHECK_ERR(kem_encap(kem, b, (bytes){ 0 }, out, secret), CRYPTO);
        if (len > 0)
            CHECK_ERR(kem_encap(kem, right, b, out, secret), CRYPTO);
        CHECK_ERR(kem_decap(kem, b, right, right, secret), CRYPTO);
        CHECK_ERR(kem_decap(kem, right, b, right, secret), CRYPTO);
        CHECK_ERR(kem_decap(kem, right, right, b, secret), CRYPTO);
        if (len < 32)
            CHECK_ERR(kem_derive(kem, b, secret, out), CRYPTO);
    }
}

static void the_same_ikm_derives_the_same_pair(void **state)
{
    (void)state;
    uint8_t ikm[40] = { 3 }, sk[2][KEM_SK_MAX], pk[2][KEM_PK_MAX] = { 0 },
            again[KEM_PK_MAX] = { 0 };
    CHECK_OK(kem_derive(kem, BYTES_ARRAY(ikm), sk[0], pk[0]));
    CHECK_OK(kem_derive(kem, BYTES_ARRAY(ikm), sk[1], pk[1]));
    CHECK_BYTES(BYTES_ARRAY(pk[0]), BYTES_ARRAY(pk[1]));
    CHECK_OK(kem_public(kem, bytes_of(sk[0], kem->sk_len), again));
    CHECK_BYTES(BYTES_ARRAY(pk[0]), BYTES_ARRAY(again));
    ikm[39] ^= 1;
    CHECK_OK(kem_derive(kem, BYTES_ARRAY(ikm), sk[1], pk[1]));
    CHECK(!bytes_equal(BYTES_ARRAY(pk[0]), BYTES_ARRAY(pk[1])));
}

/* RFC 7748 section 5.2: the point and the scalar start at 9; then each result is the next scalar, and
 * the scalar the next point. */
static void x25519_agrees_with_the_iterated_test_of_rfc_7748(void **state)
{
    (void)state;
    uint8_t k[32] = { 9 }, u[32] = { 9 }, out[32];
    BUF_AUTO want = BUF(32);
    for (int i = 1; i <= 1000; i++) {
        CHECK_OK(kem_x25519(k, u, out));
        memcpy(u, k, sizeof u);
        memcpy(k, out, sizeof k);
        if (i == 1) {
            law_hex(&want, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
            CHECK_BYTES(BYTES_ARRAY(k), buf_view(&want));
        }
    }
    law_hex(&want, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    CHECK_BYTES(BYTES_ARRAY(k), buf_view(&want));
}

static void every_pooled_pair_is_used_once_and_works(void **state)
{
    (void)state;
    static uint8_t encs[HPKE_POOL_MAX + 2][KEM_ENC_MAX];
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX], sent[KEM_SECRET_MAX], got[KEM_SECRET_MAX];
    CHECK_OK(kem_generate(kem, sk, pk));
    bytes p = bytes_of(pk, kem->pk_len);
    CHECK_OK(hpke_pool_fill(HPKE_POOL_MAX));
    CHECK(hpke_pool_len() == HPKE_POOL_MAX);
    for (size_t i = 0; i < ARRAY_LEN(encs); i++) {
        CHECK_OK(kem_encap(kem, p, (bytes){ 0 }, encs[i], sent));
        CHECK_OK(
            kem_decap(kem, bytes_of(sk, kem->sk_len), p, bytes_of(encs[i], kem->enc_len), got));
        CHECK(secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));
        for (size_t j = 0; j < i; j++)
            CHECK(!bytes_equal(BYTES_ARRAY(encs[i]), BYTES_ARRAY(encs[j])));
    }
    CHECK(hpke_pool_len() == 0);
}

/* More in a row than it takes for agreements to be made ahead, then another recipient, and back. Under
 * `low` pairs the pool is filled up to `full`. */
static void send_to_two(size_t low, size_t full)
{
    enum { ROUNDS = 5, IN_A_ROW = 40 };
    uint8_t sk[2][KEM_SK_MAX], pk[2][KEM_PK_MAX];
    uint8_t enc[KEM_ENC_MAX], sent[KEM_SECRET_MAX], got[KEM_SECRET_MAX];
    for (size_t who = 0; who < 2; who++)
        CHECK_OK(kem_generate(kem, sk[who], pk[who]));
    for (size_t i = 0; i < ROUNDS * IN_A_ROW; i++) {
        size_t who = i / IN_A_ROW % 2;
        bytes p = bytes_of(pk[who], kem->pk_len);
        if (hpke_pool_len() < low)
            CHECK_OK(hpke_pool_fill(full));
        CHECK_OK(kem_encap(kem, p, (bytes){ 0 }, enc, sent));
        CHECK_OK(
            kem_decap(kem, bytes_of(sk[who], kem->sk_len), p, bytes_of(enc, kem->enc_len), got));
        CHECK(secret_equal(BYTES_ARRAY(sent), BYTES_ARRAY(got)));
    }
    crypto_thread_end();
}

static void agreements_made_ahead_are_for_their_recipient_alone(void **state)
{
    (void)state;
    send_to_two(4, 12);
}

/* So many pairs that not all have their agreement made at once. */
static void some_of_a_full_pool_may_have_agreements_and_others_none(void **state)
{
    (void)state;
    send_to_two(HPKE_POOL_MAX - 15, HPKE_POOL_MAX);
    send_to_two(HPKE_POOL_MAX - 31, HPKE_POOL_MAX);
    send_to_two(2, HPKE_POOL_MAX);
}

/* A key of low order gives no agreement, made ahead or not. */
static void a_recipient_of_low_order_is_refused_with_a_full_pool_too(void **state)
{
    (void)state;
    static const uint8_t zero[32];
    uint8_t enc[KEM_ENC_MAX], secret[KEM_SECRET_MAX];
    for (size_t i = 0; i < 40; i++) {
        CHECK_OK(hpke_pool_fill(8));
        CHECK_ERR(kem_encap(kem, BYTES_ARRAY(zero), (bytes){ 0 }, enc, secret), CRYPTO);
    }
    crypto_thread_end();
}

static void the_pool_never_holds_more_than_its_limit_and_ends_with_the_thread(void **state)
{
    (void)state;
    CHECK_OK(hpke_pool_fill(3));
    CHECK_OK(hpke_pool_fill(2));
    CHECK(hpke_pool_len() == 3);
    CHECK_OK(hpke_pool_fill(HPKE_POOL_MAX + 1));
    CHECK(hpke_pool_len() == HPKE_POOL_MAX);
    crypto_thread_end();
    CHECK(hpke_pool_len() == 0);
    CHECK_OK(hpke_pool_fill(1));
    CHECK(hpke_pool_len() == 1);
    crypto_thread_end();
}

/* A given ephemeral key is used as it is, and leaves the pool alone. */
static void a_given_ephemeral_key_decides_the_enc(void **state)
{
    (void)state;
    uint8_t sk[KEM_SK_MAX], pk[KEM_PK_MAX], enc[KEM_ENC_MAX], secret[KEM_SECRET_MAX];
    CHECK_OK(kem_generate(kem, sk, pk));
    CHECK_OK(hpke_pool_fill(1));
    bytes p = bytes_of(pk, kem->pk_len);
    CHECK_OK(kem_encap(kem, p, bytes_of(sk, kem->ephemeral_len), enc, secret));
    CHECK_BYTES(bytes_of(enc, kem->enc_len), p);
    CHECK(hpke_pool_len() == 1);
    crypto_thread_end();
}

static int setup(void **state)
{
    (void)state;
    kem = kem_find(KEM_X25519_HKDF_SHA256);
    return kem != NULL && err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_knows_what_it_offers_and_nothing_else),
        cmocka_unit_test(both_ends_get_the_same_secret),
        cmocka_unit_test(another_recipient_or_another_enc_gives_another_secret),
        cmocka_unit_test(points_of_low_order_are_refused_at_both_ends),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(the_same_ikm_derives_the_same_pair),
        cmocka_unit_test(x25519_agrees_with_the_iterated_test_of_rfc_7748),
        cmocka_unit_test(every_pooled_pair_is_used_once_and_works),
        cmocka_unit_test(agreements_made_ahead_are_for_their_recipient_alone),
        cmocka_unit_test(some_of_a_full_pool_may_have_agreements_and_others_none),
        cmocka_unit_test(a_recipient_of_low_order_is_refused_with_a_full_pool_too),
        cmocka_unit_test(the_pool_never_holds_more_than_its_limit_and_ends_with_the_thread),
        cmocka_unit_test(a_given_ephemeral_key_decides_the_enc),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
