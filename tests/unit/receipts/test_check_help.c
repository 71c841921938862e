#include "receipts/check.h"
#include "tests/lib/law.h"

static void every_code_is_explained(void **state)
{
    static const char *const CODES[] = { "RECEIPT_TOO_LARGE",
                                         "COSE_DECODE_FAILED",
                                         "NON_EMPTY_UNPROTECTED",
                                         "BAD_ALG",
                                         "BAD_CONTENT_TYPE",
                                         "MISSING_PAYLOAD",
                                         "PAYLOAD_NOT_MAP",
                                         "NOT_DETERMINISTIC",
                                         "BAD_SIG_LENGTH",
                                         "SIG_FAILED",
                                         "BAD_CTI_LENGTH",
                                         "ZERO_MODEL_HASH",
                                         "BAD_MEASUREMENT_LENGTH",
                                         "UNKNOWN_MTYPE:x",
                                         "UNKNOWN_MODEL_HASH_SCHEME:x",
                                         "UNKNOWN_SECURITY_MODE:x",
                                         "CLOCK_ERROR",
                                         "TIMESTAMP_FUTURE",
                                         "TIMESTAMP_STALE",
                                         "MODEL_HASH_MISMATCH",
                                         "REQUEST_HASH_MISMATCH",
                                         "RESPONSE_HASH_MISMATCH",
                                         "ATTESTATION_DOC_HASH_MISMATCH",
                                         "MODEL_ID_MISMATCH",
                                         "SECURITY_MODE_MISMATCH",
                                         "EVALUATION_MODE_REJECTED",
                                         "PLATFORM_MISMATCH",
                                         "NONCE_MISMATCH",
                                         "NONCE_MISSING",
                                         "REPLAY_CTI",
                                         "ZERO_ATTESTATION_DOC_HASH",
                                         "ZERO_REQUEST_HASH",
                                         "ZERO_MEASUREMENTS" };
    (void)state;
    for (size_t i = 0; i < sizeof CODES / sizeof CODES[0]; i++) {
        const struct finding_help *help = finding_help(CODES[i]);
        CHECK(bytes_starts(bytes_str(CODES[i]), bytes_str(help->code)) && help->code[0] != '\0');
        CHECK(strlen(help->why) > 10 && strlen(help->fix) > 10);
    }
    CHECK(finding_help("NO_SUCH_CODE") != NULL);
}

static void an_unknown_code_has_a_text_too(void **state)
{
    (void)state;
    CHECK(strlen(finding_help("NO_SUCH_CODE")->why) > 0);
    CHECK(strlen(finding_help("")->fix) > 0);
    CHECK(finding_help("SIG_FAILE") == finding_help("NO_SUCH_CODE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_is_explained),
        cmocka_unit_test(an_unknown_code_has_a_text_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
