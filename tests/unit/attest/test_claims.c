#include "attest/claims.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/scene.h"

/* From tests/unit/attest/second_opinion.py. */
#define ENCODED                                                                                    \
    "a6656d6f64656c6464656d6f66776f726b657268776f726b65722d3168736f66747761726565302e312e306c6f"   \
    "70657261746f725f6b657958201111111111111111111111111111111111111111111111111111111111111111"   \
    "6d6d6f64656c5f76657273696f6e61316f6d616e69666573745f64696765737458202222222222222222222222"   \
    "222222222222222222222222222222222222222222"

static void agrees_with_a_second_implementation(void **state)
{
    (void)state;
    struct scene s;
    BUF_AUTO want = BUF(CLAIMS_MAX);
    BUF_AUTO out = BUF(CLAIMS_MAX);
    struct claims back;
    scene_open(&s);
    law_hex(&want, ENCODED);
    CHECK_OK(claims_write(&out, &s.claims));
    CHECK_BYTES(buf_view(&out), buf_view(&want));
    CHECK_OK(claims_read(buf_view(&want), &back));
    CHECK_BYTES(back.worker, BYTES_LIT("worker-1"));
    CHECK_BYTES(back.software, BYTES_LIT("0.1.0"));
    CHECK_BYTES(back.manifest_digest, BYTES_ARRAY(s.manifest_digest));
    CHECK_BYTES(back.operator_key, BYTES_ARRAY(s.operator_key));
    scene_close(&s);
}

static void goes_without_operator_and_manifest(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(CLAIMS_MAX);
    struct claims back;
    struct claims c = { .model = BYTES_LIT("org/model:7b"),
                        .model_version = BYTES_LIT("unmanifested"),
                        .worker = BYTES_LIT("w"),
                        .software = BYTES_LIT("1") };
    CHECK_OK(claims_write(&out, &c));
    CHECK_OK(claims_read(buf_view(&out), &back));
    CHECK(back.operator_key.len == 0 && back.manifest_digest.len == 0);
}

static void refuses_what_is_over_a_limit(void **state)
{
    (void)state;
    static uint8_t letters[CLAIMS_MAX + 1];
    memset(letters, 'a', sizeof letters);
    BUF_AUTO out = BUF(CLAIMS_MAX);
    struct claims full = { .model = bytes_of(letters, CLAIMS_MODEL_MAX),
                           .model_version = bytes_of(letters, CLAIMS_MODEL_VERSION_MAX),
                           .worker = bytes_of(letters, CLAIMS_WORKER_MAX),
                           .software = bytes_of(letters, CLAIMS_SOFTWARE_MAX),
                           .operator_key = bytes_of(letters, CLAIMS_KEY_LEN),
                           .manifest_digest = bytes_of(letters, CLAIMS_DIGEST_LEN) };
    CHECK_OK(claims_write(&out, &full));
    struct claims bad[] = { full, full, full, full, full, full };
    bad[0].model.len++;
    bad[1].model_version.len++;
    bad[2].worker.len++;
    bad[3].software.len++;
    bad[4].operator_key.len++;
    bad[5].manifest_digest.len--;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_truncate(&out, 0);
        CHECK_ERR(claims_write(&out, &bad[i]), LIMIT);
    }
    struct claims c;
    CHECK_ERR(claims_read(bytes_of(letters, CLAIMS_MAX + 1), &c), LIMIT);
    CHECK_ERR(claims_read(bytes_of(letters, CLAIMS_MAX), &c), MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_second_implementation),
        cmocka_unit_test(goes_without_operator_and_manifest),
        cmocka_unit_test(refuses_what_is_over_a_limit),
    };
    return cmocka_run_group_tests(tests, scene_init_crypto, NULL);
}
