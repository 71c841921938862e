#include "crypto/hpke.h"
#include "crypto/hpke_test.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "tests/lib/law.h"

#define INFO BYTES_LIT("message/bhttp chunked request")
#define AAD BYTES_LIT("final")

static const uint16_t aeads[] = { AEAD_AES_128_GCM, AEAD_AES_256_GCM, AEAD_CHACHA20_POLY1305 };

static struct hpke_private_key *key;

static struct hpke_suite suite_of(uint16_t aead)
{
    return (struct hpke_suite){ KEM_X25519_HKDF_SHA256, HPKE_KDF_HKDF_SHA256, aead };
}

struct ends {
    struct hpke *sender;
    struct hpke *recipient;
    uint8_t enc[HPKE_ENC_MAX];
    size_t enc_len;
};

static void ends_open(struct ends *e, uint16_t aead)
{
    *e = (struct ends){ 0 };
    CHECK_OK(hpke_sender_new(&e->sender, suite_of(aead), hpke_key_public(key), INFO, NULL, e->enc,
                             &e->enc_len));
    CHECK_OK(
        hpke_receiver_new(&e->recipient, suite_of(aead), key, bytes_of(e->enc, e->enc_len), INFO));
}

static void ends_close(struct ends *e)
{
    hpke_free(e->sender);
    hpke_free(e->recipient);
}

/* RFC 9180 appendix A.2.1: the first ciphertext. */
#define FIRST_CT                                                                                   \
    "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"

/* RFC 9180 appendix A.2.1 (ChaCha20Poly1305): setup, first message, an export. */
static void agrees_with_rfc_9180_appendix_a_2_1(void **state)
{
    (void)state;
    struct buf b[6];
    static const char *const hex[] = {
        "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb", /* skRm */
        "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600", /* skEm */
        "4f6465206f6e2061204772656369616e2055726e",                         /* info */
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a", /* enc */
        FIRST_CT,
        "4bbd6243b8bb54cec311fac9df81841b6fd61f56538a775e7c80a9f40160606e", /* export "" */
    };
    for (size_t i = 0; i < ARRAY_LEN(hex); i++) {
        b[i] = BUF(128);
        law_hex(&b[i], hex[i]);
    }
    struct hpke_private_key *skr = NULL;
    struct hpke *s = NULL, *r = NULL;
    uint8_t enc[HPKE_ENC_MAX], out[64];
    size_t enc_len = 0;
    struct hpke_suite suite = suite_of(AEAD_CHACHA20_POLY1305);
    struct hpke_ephemeral given = { buf_view(&b[1]) };
    CHECK_OK(hpke_key_load(&skr, suite.kem, buf_view(&b[0])));
    CHECK_OK(
        hpke_sender_new(&s, suite, hpke_key_public(skr), buf_view(&b[2]), &given, enc, &enc_len));
    CHECK_BYTES(bytes_of(enc, enc_len), buf_view(&b[3]));
    bytes pt = BYTES_LIT("Beauty is truth, truth beauty");
    CHECK_OK(hpke_seal(s, BYTES_LIT("Count-0"), pt, out));
    CHECK_BYTES(bytes_of(out, pt.len + AEAD_TAG_LEN), buf_view(&b[4]));
    CHECK_OK(hpke_receiver_new(&r, suite, skr, buf_view(&b[3]), buf_view(&b[2])));
    CHECK_OK(hpke_open(r, BYTES_LIT("Count-0"), buf_view(&b[4]), out));
    CHECK_BYTES(bytes_of(out, pt.len), pt);
    CHECK_OK(hpke_export(r, (bytes){ 0 }, out, 32));
    CHECK_BYTES(bytes_of(out, 32), buf_view(&b[5]));
    hpke_free(s);
    hpke_free(r);
    hpke_key_free(skr);
    for (size_t i = 0; i < ARRAY_LEN(hex); i++)
        buf_clear(&b[i]);
}

static void what_is_sealed_opens_in_the_same_order_only(void **state)
{
    (void)state;
    for (size_t a = 0; a < ARRAY_LEN(aeads); a++) {
        struct ends e;
        uint8_t ct[5][64], pt[64];
        ends_open(&e, aeads[a]);
        for (uint8_t i = 0; i < 5; i++)
            CHECK_OK(hpke_seal(e.sender, AAD, bytes_of(&i, 1), ct[i]));
        for (uint8_t i = 0; i < 5; i++) {
            for (uint8_t j = 0; j < 5; j++) {
                if (j == i)
                    continue;
                CHECK_ERR(hpke_open(e.recipient, AAD, bytes_of(ct[j], 17), pt), CRYPTO);
                CHECK(hpke_seq(e.recipient) == i);
            }
            CHECK_ERR(hpke_open(e.recipient, (bytes){ 0 }, bytes_of(ct[i], 17), pt), CRYPTO);
            CHECK_OK(hpke_open(e.recipient, AAD, bytes_of(ct[i], 17), pt));
            CHECK(pt[0] == i && hpke_seq(e.recipient) == i + 1U);
        }
        ends_close(&e);
    }
}

static void any_flipped_bit_is_refused_and_moves_nothing(void **state)
{
    (void)state;
    struct ends e;
    uint8_t ct[20 + AEAD_TAG_LEN], pt[20], zeros[20] = { 0 };
    ends_open(&e, AEAD_AES_256_GCM);
    CHECK_OK(hpke_seal(e.sender, AAD, bytes_of("twenty bytes of text", 20), ct));
    for (size_t bit = 0; bit < 8 * sizeof ct; bit++) {
        ct[bit / 8] ^= (uint8_t)(1U << bit % 8);
        memset(pt, 0x77, sizeof pt);
        CHECK_ERR(hpke_open(e.recipient, AAD, BYTES_ARRAY(ct), pt), CRYPTO);
        CHECK_BYTES(BYTES_ARRAY(pt), BYTES_ARRAY(zeros));
        CHECK(hpke_seq(e.recipient) == 0);
        ct[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    CHECK_ERR(hpke_open(e.recipient, AAD, (bytes){ 0 }, pt), CRYPTO);
    CHECK_ERR(hpke_open(e.recipient, AAD, bytes_of(ct, 15), pt), CRYPTO);
    CHECK_OK(hpke_open(e.recipient, AAD, BYTES_ARRAY(ct), pt));
    ends_close(&e);
}

static void another_info_key_suite_or_enc_does_not_open(void **state)
{
    (void)state;
    struct ends e;
    uint8_t ct[17], pt[1];
    struct hpke_private_key *other = NULL;
    struct hpke *r = NULL;
    ends_open(&e, AEAD_AES_256_GCM);
    CHECK_OK(hpke_seal(e.sender, AAD, BYTES_LIT("x"), ct));
    CHECK_OK(hpke_key_generate(&other, KEM_X25519_HKDF_SHA256));
    bytes enc = bytes_of(e.enc, e.enc_len);
    const struct {
        uint16_t aead;
        const struct hpke_private_key *key;
        bytes enc, info;
    } cases[] = {
        { AEAD_AES_256_GCM, key, enc, BYTES_LIT("message/bhttp request") },
        { AEAD_AES_256_GCM, key, enc, { 0 } },
        { AEAD_AES_256_GCM, other, enc, INFO },
        { AEAD_CHACHA20_POLY1305, key, enc, INFO },
        { AEAD_AES_128_GCM, key, enc, INFO },
        { AEAD_AES_256_GCM, key, hpke_key_public(other), INFO },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_OK(hpke_receiver_new(&r, suite_of(cases[i].aead), cases[i].key, cases[i].enc,
                                   cases[i].info));
        CHECK_ERR(hpke_open(r, AAD, BYTES_ARRAY(ct), pt), CRYPTO);
        hpke_free(r);
    }
    hpke_key_free(other);
    ends_close(&e);
}

static void the_last_sequence_number_is_usable_and_none_follows(void **state)
{
    (void)state;
    struct ends e;
    uint8_t ct[17], again[17], pt[1];
    ends_open(&e, AEAD_CHACHA20_POLY1305);
    hpke_set_seq(e.sender, UINT64_MAX - 1);
    hpke_set_seq(e.recipient, UINT64_MAX - 1);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(hpke_seal(e.sender, AAD, BYTES_LIT("x"), ct));
        CHECK_OK(hpke_open(e.recipient, AAD, BYTES_ARRAY(ct), pt));
    }
    memset(again, 0x77, sizeof again);
    CHECK_ERR(hpke_seal(e.sender, AAD, BYTES_LIT("x"), again), LIMIT);
    CHECK(again[0] == 0x77);
    CHECK_ERR(hpke_open(e.recipient, AAD, BYTES_ARRAY(ct), pt), LIMIT);
    CHECK(hpke_seq(e.sender) == UINT64_MAX);
    ends_close(&e);
}

static void nonces_differ_in_every_byte_of_the_number(void **state)
{
    (void)state;
    struct ends e;
    uint8_t base[AEAD_NONCE_LEN], n[AEAD_NONCE_LEN];
    ends_open(&e, AEAD_AES_128_GCM);
    hpke_nonce(e.sender, base);
    hpke_set_seq(e.sender, 0x0102030405060708);
    hpke_nonce(e.sender, n);
    for (size_t i = 0; i < sizeof n; i++)
        CHECK((n[i] ^ base[i]) == (i < 4 ? 0 : i - 3));
    ends_close(&e);
}

static void both_ends_export_the_same_and_contexts_differ(void **state)
{
    (void)state;
    static const uint16_t all[] = { 1, 2, 3, HPKE_AEAD_EXPORT_ONLY };
    for (size_t a = 0; a < ARRAY_LEN(all); a++) {
        struct ends e;
        static uint8_t s[HPKE_EXPORT_MAX + 1], r[HPKE_EXPORT_MAX];
        ends_open(&e, all[a]);
        CHECK_OK(hpke_export(e.sender, BYTES_LIT("response"), s, HPKE_EXPORT_MAX));
        CHECK_OK(hpke_export(e.recipient, BYTES_LIT("response"), r, HPKE_EXPORT_MAX));
        CHECK(secret_equal(bytes_of(s, HPKE_EXPORT_MAX), BYTES_ARRAY(r)));
        CHECK_OK(hpke_export(e.recipient, BYTES_LIT("another"), r, 32));
        CHECK(!secret_equal(bytes_of(s, 32), bytes_of(r, 32)));
        /* The length is part of what is derived. */
        CHECK_OK(hpke_export(e.sender, BYTES_LIT("response"), r, 32));
        CHECK(!secret_equal(bytes_of(s, 32), bytes_of(r, 32)));
        CHECK_ERR(hpke_export(e.sender, BYTES_LIT("response"), s, HPKE_EXPORT_MAX + 1), LIMIT);
        ends_close(&e);
    }
}

static void an_export_only_context_neither_seals_nor_opens(void **state)
{
    (void)state;
    struct ends e;
    uint8_t out[32] = { 0 };
    ends_open(&e, HPKE_AEAD_EXPORT_ONLY);
    CHECK_ERR(hpke_seal(e.sender, AAD, BYTES_LIT("x"), out), UNSUPPORTED);
    CHECK_ERR(hpke_open(e.recipient, AAD, BYTES_ARRAY(out), out), UNSUPPORTED);
    ends_close(&e);
}

static void a_sender_does_not_open_and_a_recipient_does_not_seal(void **state)
{
    (void)state;
    struct ends e;
    uint8_t ct[17], pt[1];
    ends_open(&e, AEAD_AES_128_GCM);
    CHECK_ERR(hpke_seal(e.recipient, AAD, BYTES_LIT("x"), ct), DENIED);
    CHECK_OK(hpke_seal(e.sender, AAD, BYTES_LIT("x"), ct));
    hpke_set_seq(e.sender, 0);
    CHECK_ERR(hpke_open(e.sender, AAD, BYTES_ARRAY(ct), pt), DENIED);
    ends_close(&e);
}

static void unknown_suites_and_bad_keys_are_refused_and_set_nothing(void **state)
{
    (void)state;
    static const struct hpke_suite unknown[] = {
        { 0, 1, 1 },      { 0x0020, 0, 1 },      { 0x0020, 1, 0 },      { 0x0020, 2, 1 },
        { 0x0020, 1, 4 }, { 0x647a, 1, 1 },      { 0x0010, 1, 1 },      { 0x0020, 3, 3 },
        { 0, 0, 0 },      { 0x0020, 1, 0xfffe }, { 0x0020, 0x10, 0x3 },
    };
    uint8_t enc[HPKE_ENC_MAX], pk[32] = { 0 };
    size_t enc_len = 0;
    struct hpke *h = NULL;
    struct hpke_private_key *k = NULL;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        CHECK(!hpke_suite_known(unknown[i]));
        CHECK_ERR(hpke_sender_new(&h, unknown[i], hpke_key_public(key), INFO, NULL, enc, &enc_len),
                  UNSUPPORTED);
        CHECK_ERR(hpke_receiver_new(&h, unknown[i], key, hpke_key_public(key), INFO), UNSUPPORTED);
    }
    struct hpke_suite suite = suite_of(AEAD_AES_128_GCM);
    CHECK(hpke_suite_known(suite) && hpke_suite_known(suite_of(HPKE_AEAD_EXPORT_ONLY)));
    CHECK_ERR(hpke_sender_new(&h, suite, BYTES_ARRAY(pk), INFO, NULL, enc, &enc_len), CRYPTO);
    CHECK_ERR(hpke_sender_new(&h, suite, bytes_of(pk, 31), INFO, NULL, enc, &enc_len), CRYPTO);
    CHECK_ERR(hpke_receiver_new(&h, suite, key, BYTES_ARRAY(pk), INFO), CRYPTO);
    CHECK_ERR(hpke_receiver_new(&h, suite, key, bytes_of(pk, 31), INFO), CRYPTO);
    CHECK_ERR(hpke_key_load(&k, suite.kem, bytes_of(pk, 31)), CRYPTO);
    CHECK_ERR(hpke_key_load(&k, 0x647a, BYTES_ARRAY(pk)), UNSUPPORTED);
    CHECK_ERR(hpke_key_generate(&k, 0x0010), UNSUPPORTED);
    CHECK(h == NULL && k == NULL && enc_len == 0);
    hpke_free(NULL);
    hpke_key_free(NULL);
}

static void sealing_in_place_gives_the_same_bytes(void **state)
{
    (void)state;
    struct ends e;
    uint8_t apart[30 + AEAD_TAG_LEN], same[30 + AEAD_TAG_LEN] = "thirty bytes that are sealed";
    ends_open(&e, AEAD_AES_256_GCM);
    CHECK_OK(hpke_seal(e.sender, AAD, bytes_of(same, 30), apart));
    hpke_set_seq(e.sender, 0);
    CHECK_OK(hpke_seal(e.sender, AAD, bytes_of(same, 30), same));
    CHECK_BYTES(BYTES_ARRAY(same), BYTES_ARRAY(apart));
    CHECK_OK(hpke_open(e.recipient, AAD, BYTES_ARRAY(same), same));
    CHECK_BYTES(bytes_of(same, 28), BYTES_LIT("thirty bytes that are sealed"));
    ends_close(&e);
}

static void a_refused_message_over_the_limit_moves_nothing(void **state)
{
    (void)state;
    struct ends e;
    uint8_t out[1];
    ends_open(&e, AEAD_AES_256_GCM);
    bytes huge = bytes_of(out, (size_t)AEAD_INPUT_MAX + 1);
    CHECK_ERR(hpke_seal(e.sender, AAD, huge, out), LIMIT);
    CHECK(hpke_seq(e.sender) == 0);
    ends_close(&e);
}

static err one_exchange(void *arg)
{
    uint8_t enc[HPKE_ENC_MAX];
    size_t enc_len;
    struct hpke *s = NULL, *r = NULL;
    (void)arg;
    crypto_thread_end();
    err e = hpke_sender_new(&s, suite_of(AEAD_AES_256_GCM), hpke_key_public(key), INFO, NULL, enc,
                            &enc_len);
    if (err_is_ok(e))
        e = hpke_receiver_new(&r, suite_of(AEAD_AES_256_GCM), key, bytes_of(enc, enc_len), INFO);
    hpke_free(s);
    hpke_free(r);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(one_exchange, NULL);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) && err_is_ok(hpke_key_generate(&key, KEM_X25519_HKDF_SHA256))
               ? 0
               : -1;
}

static int teardown(void **state)
{
    (void)state;
    hpke_key_free(key);
    crypto_thread_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_rfc_9180_appendix_a_2_1),
        cmocka_unit_test(what_is_sealed_opens_in_the_same_order_only),
        cmocka_unit_test(any_flipped_bit_is_refused_and_moves_nothing),
        cmocka_unit_test(another_info_key_suite_or_enc_does_not_open),
        cmocka_unit_test(the_last_sequence_number_is_usable_and_none_follows),
        cmocka_unit_test(nonces_differ_in_every_byte_of_the_number),
        cmocka_unit_test(both_ends_export_the_same_and_contexts_differ),
        cmocka_unit_test(an_export_only_context_neither_seals_nor_opens),
        cmocka_unit_test(a_sender_does_not_open_and_a_recipient_does_not_seal),
        cmocka_unit_test(unknown_suites_and_bad_keys_are_refused_and_set_nothing),
        cmocka_unit_test(sealing_in_place_gives_the_same_bytes),
        cmocka_unit_test(a_refused_message_over_the_limit_moves_nothing),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
