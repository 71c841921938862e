#include "crypto/labeled.h"
#include "tests/lib/law.h"

#define SUITE BYTES_LIT("HPKE\x00\x20\x00\x01\x00\x02")

/* The hash of an empty psk_id, which RFC 9180's contexts of base mode begin with. */
static void agrees_with_the_psk_id_hashes_of_rfc_9180(void **state)
{
    (void)state;
    static const char *const want[] = {
        "725611c9d98c07c03f60095cd32d400d8347d45ed67097bbad50fc56da742d07",
        "4ce5472ecdd5093ba0aecb8f871ff13f1fbc90ee76f0e18ace1a1b7e565bafa3",
        "431df6cd95e11ff49d7013563baf7f11588c75a6611ee2a4404a49306ae4cfc5",
    };
    for (uint8_t i = 0; i < ARRAY_LEN(want); i++) {
        BUF_AUTO hash = BUF(HKDF_PRK_LEN);
        const uint8_t suite[] = { 'H', 'P', 'K', 'E', 0, 0x20, 0, 1, 0, (uint8_t)(i + 1) };
        uint8_t prk[HKDF_PRK_LEN];
        law_hex(&hash, want[i]);
        labeled_extract(BYTES_ARRAY(suite), (bytes){ 0 }, BYTES_LIT("psk_id_hash"), (bytes){ 0 },
                        prk);
        CHECK_BYTES(BYTES_ARRAY(prk), buf_view(&hash));
    }
}

static void extract_is_hkdf_over_the_joined_parts(void **state)
{
    (void)state;
    BUF_AUTO joined = BUF(128);
    uint8_t labeled[HKDF_PRK_LEN], plain[HKDF_PRK_LEN];
    CHECK_OK(buf_add_str(&joined, "HPKE-v1"));
    CHECK_OK(buf_add(&joined, SUITE));
    CHECK_OK(buf_add_str(&joined, "secretikm"));
    labeled_extract(SUITE, BYTES_LIT("salt"), BYTES_LIT("secret"), BYTES_LIT("ikm"), labeled);
    hkdf_extract(BYTES_LIT("salt"), buf_view(&joined), plain);
    CHECK_BYTES(BYTES_ARRAY(labeled), BYTES_ARRAY(plain));
}

static void expand_is_hkdf_over_the_length_and_the_joined_parts(void **state)
{
    (void)state;
    static uint8_t labeled[HKDF_OUT_MAX], plain[HKDF_OUT_MAX];
    static const size_t lens[] = { 0, 1, 12, 32, 255, 256, HKDF_OUT_MAX };
    const struct labeled what = { SUITE, BYTES_LIT("key"), BYTES_LIT("context") };
    uint8_t prk[HKDF_PRK_LEN] = { 1 };
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        BUF_AUTO joined = BUF(128);
        CHECK_OK(buf_add_u16be(&joined, (uint16_t)lens[i]));
        CHECK_OK(buf_add_str(&joined, "HPKE-v1"));
        CHECK_OK(buf_add(&joined, SUITE));
        CHECK_OK(buf_add_str(&joined, "keycontext"));
        CHECK_OK(labeled_expand(prk, &what, labeled, lens[i]));
        CHECK_OK(hkdf_expand(prk, buf_view(&joined), plain, lens[i]));
        CHECK_BYTES(bytes_of(labeled, lens[i]), bytes_of(plain, lens[i]));
    }
}

static void more_than_hkdf_can_give_is_refused(void **state)
{
    (void)state;
    uint8_t prk[HKDF_PRK_LEN] = { 1 }, out[1] = { 0x77 };
    const struct labeled what = { SUITE, BYTES_LIT("key"), { 0 } };
    CHECK_ERR(labeled_expand(prk, &what, out, HKDF_OUT_MAX + 1), LIMIT);
    CHECK(out[0] == 0x77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_psk_id_hashes_of_rfc_9180),
        cmocka_unit_test(extract_is_hkdf_over_the_joined_parts),
        cmocka_unit_test(expand_is_hkdf_over_the_length_and_the_joined_parts),
        cmocka_unit_test(more_than_hkdf_can_give_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
