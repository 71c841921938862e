#include "crypto/init.h"
#include "crypto/sign.h"
#include "tests/lib/law.h"

static bytes view(struct buf *b, const char *hex)
{
    law_hex(b, hex);
    return buf_view(b);
}

/* RFC 8032 section 7.1, tests 1 to 3. */
static const struct ed25519_case {
    const char *seed, *pk, *msg, *sig;
} ed25519_cases[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b4"
      "6bd25bf5f0595bbe24655141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
      "1d"
      "8c387b2eaeb4302aeeb00d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
      "c6"
      "594a7c15e9716ed28dc027beceea1ec40a" },
};

static void ed25519_agrees_with_rfc_8032(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ed25519_cases); i++) {
        const struct ed25519_case *c = &ed25519_cases[i];
        BUF_AUTO seed = BUF(64);
        BUF_AUTO pk = BUF(64);
        BUF_AUTO msg = BUF(64);
        BUF_AUTO want = BUF(64);
        uint8_t sig[ED25519_SIG_LEN];
        struct signing_key *key = NULL;
        CHECK_OK(signing_key_from_seed(&key, view(&seed, c->seed)));
        CHECK_BYTES(bytes_of(signing_key_public(key), ED25519_PK_LEN), view(&pk, c->pk));
        CHECK_OK(sign_ed25519(key, view(&msg, c->msg), sig));
        CHECK_BYTES(BYTES_ARRAY(sig), view(&want, c->sig));
        CHECK_OK(verify_ed25519(buf_view(&pk), buf_view(&msg), BYTES_ARRAY(sig)));
        signing_key_free(key);
    }
}

static void flip(uint8_t *at, size_t bit)
{
    at[bit / 8] ^= (uint8_t)(1U << bit % 8);
}

static void any_flipped_bit_of_an_ed25519_signature_key_or_message_is_refused(void **state)
{
    (void)state;
    uint8_t sig[ED25519_SIG_LEN], pk[ED25519_PK_LEN], msg[] = "what was said";
    struct signing_key *key = NULL;
    CHECK_OK(signing_key_generate(&key));
    memcpy(pk, signing_key_public(key), sizeof pk);
    CHECK_OK(sign_ed25519(key, BYTES_ARRAY(msg), sig));
    const struct {
        uint8_t *at;
        size_t len;
    } parts[] = { { sig, sizeof sig }, { pk, sizeof pk }, { msg, sizeof msg } };
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        for (size_t bit = 0; bit < 8 * parts[p].len; bit++) {
            flip(parts[p].at, bit);
            CHECK_ERR(verify_ed25519(BYTES_ARRAY(pk), BYTES_ARRAY(msg), BYTES_ARRAY(sig)), CRYPTO);
            flip(parts[p].at, bit);
        }
    }
    CHECK_OK(verify_ed25519(BYTES_ARRAY(pk), BYTES_ARRAY(msg), BYTES_ARRAY(sig)));
    signing_key_free(key);
}

/* S + L verifies in the equation and is refused, as it is a second spelling. */
static void an_s_above_the_group_order_is_refused(void **state)
{
    (void)state;
    static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                       0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                       0,    0,    0,    0,    0,    0,    0,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0x10 };
    uint8_t sig[ED25519_SIG_LEN];
    struct signing_key *key = NULL;
    CHECK_OK(signing_key_generate(&key));
    bytes pk = bytes_of(signing_key_public(key), ED25519_PK_LEN);
    CHECK_OK(sign_ed25519(key, BYTES_LIT("m"), sig));
    unsigned carry = 0;
    for (size_t i = 0; i < sizeof order; i++) {
        carry += (unsigned)sig[32 + i] + order[i];
        sig[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    CHECK_ERR(verify_ed25519(pk, BYTES_LIT("m"), BYTES_ARRAY(sig)), CRYPTO);
    signing_key_free(key);
}

/* With the neutral element as key and as R, S = 0 satisfies the equation for every message. */
static void a_key_of_small_order_is_refused(void **state)
{
    (void)state;
    uint8_t pk[ED25519_PK_LEN] = { 1 }, sig[ED25519_SIG_LEN] = { 1 };
    CHECK_ERR(verify_ed25519(BYTES_ARRAY(pk), BYTES_LIT("m"), BYTES_ARRAY(sig)), CRYPTO);
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    uint8_t sig[ED25519_SIG_LEN + 1] = { 0 }, seed[33] = { 1 };
    struct signing_key *key = NULL;
    CHECK_ERR(signing_key_from_seed(&key, bytes_of(seed, 31)), CRYPTO);
    CHECK_ERR(signing_key_from_seed(&key, bytes_of(seed, 33)), CRYPTO);
    CHECK(key == NULL);
    CHECK_OK(signing_key_from_seed(&key, bytes_of(seed, 32)));
    bytes pk = bytes_of(signing_key_public(key), ED25519_PK_LEN);
    CHECK_OK(sign_ed25519(key, BYTES_LIT("m"), sig));
    CHECK_OK(verify_ed25519(pk, BYTES_LIT("m"), bytes_of(sig, 64)));
    CHECK_ERR(verify_ed25519(pk, BYTES_LIT("m"), bytes_of(sig, 63)), CRYPTO);
    CHECK_ERR(verify_ed25519(pk, BYTES_LIT("m"), bytes_of(sig, 65)), CRYPTO);
    CHECK_ERR(verify_ed25519(bytes_of(pk.at, 31), BYTES_LIT("m"), bytes_of(sig, 64)), CRYPTO);
    CHECK_ERR(verify_ed25519((bytes){ 0 }, BYTES_LIT("m"), bytes_of(sig, 64)), CRYPTO);
    CHECK_ERR(verify_ed25519(pk, BYTES_LIT("m"), (bytes){ 0 }), CRYPTO);
    signing_key_free(key);
    signing_key_free(NULL);
}

static void two_generated_keys_differ(void **state)
{
    (void)state;
    struct signing_key *a = NULL, *b = NULL;
    CHECK_OK(signing_key_generate(&a));
    CHECK_OK(signing_key_generate(&b));
    CHECK(!bytes_equal(bytes_of(signing_key_public(a), ED25519_PK_LEN),
                       bytes_of(signing_key_public(b), ED25519_PK_LEN)));
    signing_key_free(a);
    signing_key_free(b);
}

/* Made with an independent implementation; the message is MESSAGE. */
#define MESSAGE BYTES_LIT("sealed and signed")
static const struct ecdsa_case {
    enum ec_curve curve;
    const char *spki_prefix, *point, *der, *raw;
} ecdsa_cases[] = {
    { EC_P256, "3059301306072a8648ce3d020106082a8648ce3d030107034200",
      "04f9ebe464147cc102d92324d099d927c1a50e42d57a08a116ffec0a29819d8c6570baf7d12888902a6a0c1d67ad"
      "d103123c859ab69bf8e9431c9384930d4b7eee",
      "304502207b442d5ca0146f2fdc5184b2097eb01635d32319ff7d7e3ad1e4337178d3c1b20221009bb9b929fc7192"
      "b8320951a72f87a9dd3d3fe2d241cc8070fbdc0c676f046278",
      "7b442d5ca0146f2fdc5184b2097eb01635d32319ff7d7e3ad1e4337178d3c1b29bb9b929fc7192b8320951a72f87"
      "a9dd3d3fe2d241cc8070fbdc0c676f046278" },
    { EC_P384, "3076301006072a8648ce3d020106052b81040022036200",
      "04bfd152465458e5b9f1a903eafef03095ebfd52c5f9ea97be74de9194355fcfb40ec097315adf6afdefba21f44b"
      "625b4817058eff9a1ad175a4675e9c730cb028ec76aec544f7a56d58164d8cfc0402b489c4e74c918dc3a77f5c21"
      "9d31b8e245",
      "306502300d5d333f64451261643acad9cf445eea1fcbd55f731b74a97cfd6657dd1732cba672af6dadbec46c3e16"
      "b529815f99fe023100db2a7529eaf9323811511c8d72681baff70baecec7838497619b5074905bb713609b11b045"
      "5d4b287d88cc76bcc41344",
      "0d5d333f64451261643acad9cf445eea1fcbd55f731b74a97cfd6657dd1732cba672af6dadbec46c3e16b529815f"
      "99fedb2a7529eaf9323811511c8d72681baff70baecec7838497619b5074905bb713609b11b0455d4b287d88cc76"
      "bcc41344" },
};

static void ecdsa_verifies_in_every_form_of_key_and_signature(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ecdsa_cases); i++) {
        const struct ecdsa_case *c = &ecdsa_cases[i];
        BUF_AUTO point = BUF(128);
        BUF_AUTO spki = BUF(128);
        BUF_AUTO der = BUF(128);
        BUF_AUTO raw = BUF(128);
        bytes pk = view(&point, c->point);
        CHECK(pk.len == ec_point_len(c->curve));
        law_hex(&spki, c->spki_prefix);
        CHECK_OK(buf_add(&spki, pk));
        bytes sig = view(&der, c->der), rs = view(&raw, c->raw);
        CHECK_OK(verify_ecdsa(c->curve, pk, MESSAGE, sig, ECDSA_DER));
        CHECK_OK(verify_ecdsa(c->curve, pk, MESSAGE, rs, ECDSA_RAW));
        CHECK_OK(verify_ecdsa(c->curve, buf_view(&spki), MESSAGE, sig, ECDSA_DER));
        CHECK_OK(verify_ecdsa(c->curve, buf_view(&spki), MESSAGE, rs, ECDSA_RAW));
        CHECK_ERR(verify_ecdsa(c->curve, pk, MESSAGE, rs, ECDSA_DER), CRYPTO);
        CHECK_ERR(verify_ecdsa(c->curve, pk, MESSAGE, sig, ECDSA_RAW), CRYPTO);
        CHECK_ERR(verify_ecdsa(c->curve, pk, BYTES_LIT("other"), sig, ECDSA_DER), CRYPTO);
    }
}

static void any_flipped_bit_of_an_ecdsa_signature_or_key_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ecdsa_cases); i++) {
        const struct ecdsa_case *c = &ecdsa_cases[i];
        BUF_AUTO pk = BUF(128);
        BUF_AUTO der = BUF(128);
        BUF_AUTO raw = BUF(128);
        law_hex(&pk, c->point);
        law_hex(&der, c->der);
        law_hex(&raw, c->raw);
        struct buf *parts[] = { &pk, &der, &raw };
        for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
            for (size_t bit = 0; bit < 8 * parts[p]->len; bit++) {
                flip(parts[p]->at, bit);
                bool is_raw = parts[p] == &raw;
                CHECK_ERR(verify_ecdsa(c->curve, buf_view(&pk), MESSAGE,
                                       is_raw ? buf_view(&raw) : buf_view(&der),
                                       is_raw ? ECDSA_RAW : ECDSA_DER),
                          CRYPTO);
                flip(parts[p]->at, bit);
            }
        }
    }
}

static void every_cut_or_lengthened_ecdsa_input_is_refused(void **state)
{
    (void)state;
    const struct ecdsa_case *c = &ecdsa_cases[0];
    BUF_AUTO pk = BUF(128);
    BUF_AUTO der = BUF(128);
    BUF_AUTO raw = BUF(128);
    CHECK(view(&pk, c->point).len && view(&der, c->der).len && view(&raw, c->raw).len);
    CHECK_OK(buf_add_u8(&pk, 0));
    CHECK_OK(buf_add_u8(&der, 0));
    CHECK_OK(buf_add_u8(&raw, 0));
    bytes k = bytes_of(pk.at, pk.len - 1), d = bytes_of(der.at, der.len - 1);
    for (size_t len = 0; len <= der.len; len++) {
        if (len != d.len)
            CHECK_ERR(verify_ecdsa(c->curve, k, MESSAGE, bytes_of(der.at, len), ECDSA_DER), CRYPTO);
    }
    for (size_t len = 0; len <= raw.len; len++) {
        if (len != raw.len - 1)
            CHECK_ERR(verify_ecdsa(c->curve, k, MESSAGE, bytes_of(raw.at, len), ECDSA_RAW), CRYPTO);
    }
    for (size_t len = 0; len <= pk.len; len++) {
        if (len != k.len)
            CHECK_ERR(verify_ecdsa(c->curve, bytes_of(pk.at, len), MESSAGE, d, ECDSA_DER), CRYPTO);
    }
}

static void ecdsa_numbers_of_zero_and_keys_of_another_curve_are_refused(void **state)
{
    (void)state;
    BUF_AUTO p256 = BUF(128);
    BUF_AUTO p384 = BUF(128);
    BUF_AUTO sig = BUF(128);
    static const uint8_t zeros[96];
    bytes pk = view(&p256, ecdsa_cases[0].point);
    CHECK_ERR(verify_ecdsa(EC_P256, pk, MESSAGE, bytes_of(zeros, 64), ECDSA_RAW), CRYPTO);
    CHECK_ERR(verify_ecdsa(EC_P256, view(&p384, ecdsa_cases[1].point), MESSAGE,
                           view(&sig, ecdsa_cases[0].der), ECDSA_DER),
              CRYPTO);
    CHECK_ERR(verify_ecdsa((enum ec_curve)0, pk, MESSAGE, buf_view(&sig), ECDSA_DER), UNSUPPORTED);
    CHECK_ERR(verify_ecdsa(EC_P256, pk, MESSAGE, buf_view(&sig), (enum ecdsa_form)0), UNSUPPORTED);
    CHECK(ec_point_len(EC_P256) == 65 && ec_point_len(EC_P384) == EC_POINT_MAX);
    CHECK(ec_point_len((enum ec_curve)3) == 0);
}

static int setup(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ed25519_agrees_with_rfc_8032),
        cmocka_unit_test(any_flipped_bit_of_an_ed25519_signature_key_or_message_is_refused),
        cmocka_unit_test(an_s_above_the_group_order_is_refused),
        cmocka_unit_test(a_key_of_small_order_is_refused),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(two_generated_keys_differ),
        cmocka_unit_test(ecdsa_verifies_in_every_form_of_key_and_signature),
        cmocka_unit_test(any_flipped_bit_of_an_ecdsa_signature_or_key_is_refused),
        cmocka_unit_test(every_cut_or_lengthened_ecdsa_input_is_refused),
        cmocka_unit_test(ecdsa_numbers_of_zero_and_keys_of_another_curve_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
