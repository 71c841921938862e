#include "enclave-worker/manifest.h"
#include "tests/lib/law.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define GOOD                                                                                       \
    "{\"model_id\":\"m/x\",\"model_version\":\"1\",\"model_hash\":\"" HASH                         \
    "\",\"model_hash_scheme\":\"sha256-single\",\"extra\":[1]}"

static void reads_a_manifest(void **state)
{
    (void)state;
    struct manifest m;
    BUF_AUTO message = BUF(512);
    CHECK_OK(manifest_read(&m, BYTES_LIT(GOOD), &message));
    CHECK(m.present && m.model_hash[1] == 0x11);
    CHECK_BYTES(buf_view(&m.model_id), BYTES_LIT("m/x"));
    CHECK_BYTES(buf_view(&m.scheme), BYTES_LIT("sha256-single"));
    manifest_clear(&m);
    CHECK(!m.present);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        { "[]", "model_id" },
        { "{", "not a JSON object" },
        { "{\"model_id\":\"\"}", "model_id" },
        { "{\"model_id\":\"m\"}", "model_version" },
        { "{\"model_id\":\"m\",\"model_version\":\"1\",\"model_hash_scheme\":\"md5\"}",
          "model_hash_scheme" },
        { "{\"model_id\":\"m\",\"model_version\":\"1\",\"model_hash_scheme\":\"sha256-single\","
          "\"model_hash\":\"00\"}",
          "model_hash must" },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct manifest m;
        BUF_AUTO message = BUF(512);
        CHECK_ERR(manifest_read(&m, bytes_str(bad[i][0]), &message), CONFIG);
        CHECK(strstr(buf_str(&message), bad[i][1]) != NULL);
        CHECK(!m.present);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_manifest),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests_name("enclave-worker/manifest", tests, NULL, NULL);
}
