#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "gateway/evidence.h"
#include "tests/lib/law.h"

/* Of the document below, by the list beside it. */
#define WHEN "1766668538"
#define DOCUMENT "prod-2025-12-us-east-1.cbor"

static struct buf out;
static struct api_error error;

static bool ask(const char *body)
{
    buf_clear(&out);
    out = BUF(EVIDENCE_BODY_MAX);
    return evidence_answer(bytes_str(body), 1750000000, &out, &error);
}

static void refuses(const char *body, enum error_cause cause, const char *param)
{
    CHECK(!ask(body));
    CHECK(error.cause == cause);
    CHECK_BYTES(error.param, bytes_str(param));
}

static void what_is_not_understood_is_refused_by_name(void **state)
{
    (void)state;
    refuses("", ERROR_INVALID_JSON, NULL);
    refuses("[]", ERROR_NOT_OBJECT, NULL);
    refuses("{\"evidence\":\"AA==\",\"collateral\":[[[]]]}", ERROR_INVALID_JSON, NULL);
    refuses("{}", ERROR_MISSING_FIELD, "evidence");
    refuses("{\"evidence\":null}", ERROR_MISSING_FIELD, "evidence");
    refuses("{\"evidence\":1}", ERROR_INVALID_TYPE, "evidence");
    refuses("{\"evidence\":\"A\"}", ERROR_INVALID_VALUE, "evidence");
    refuses("{\"evidence\":\"AA==\",\"userdata\":\"AA==\"}", ERROR_UNSUPPORTED_PARAMETER,
            "userdata");
    refuses("{\"evidence\":\"AA==\",\"user_data\":\"!\"}", ERROR_INVALID_VALUE, "user_data");
    refuses("{\"evidence\":\"AA==\",\"platform\":\"sgx\"}", ERROR_INVALID_VALUE, "platform");
    refuses("{\"evidence\":\"AA==\",\"platform\":[]}", ERROR_INVALID_TYPE, "platform");
    refuses("{\"evidence\":\"AA==\",\"collateral\":7}", ERROR_INVALID_TYPE, "collateral");
    refuses("{\"evidence\":\"AA==\",\"collateral\":[\"AA\"]}", ERROR_INVALID_VALUE, "collateral");
    refuses("{\"evidence\":\"AA==\",\"at\":\"today\"}", ERROR_INVALID_VALUE, "at");
    refuses("{\"evidence\":\"AA==\",\"at\":-1}", ERROR_INVALID_VALUE, "at");
    refuses("{\"evidence\":\"AA==\",\"at\":1.5}", ERROR_INVALID_TYPE, "at");
    refuses("{\"evidence\":\"AA==\",\"max_age\":-1}", ERROR_INVALID_VALUE, "max_age");
    refuses("{\"evidence\":\"AA==\",\"max_age\":\"1h\"}", ERROR_INVALID_TYPE, "max_age");
    buf_clear(&out);
}

static void collateral_has_its_limit(void **state)
{
    (void)state;
    for (size_t n = APPRAISE_COLLATERAL_MAX; n <= APPRAISE_COLLATERAL_MAX + 1; n++) {
        BUF_AUTO body = BUF(4096);
        CHECK_OK(buf_add_str(&body, "{\"evidence\":\"AA==\",\"collateral\":["));
        for (size_t i = 0; i < n; i++)
            CHECK_OK(buf_addf(&body, "%s\"AA==\"", i > 0 ? "," : ""));
        CHECK_OK(buf_add_str(&body, "]}"));
        CHECK(ask(buf_str(&body)) == (n == APPRAISE_COLLATERAL_MAX));
    }
    CHECK(error.cause == ERROR_INVALID_VALUE);
    buf_clear(&out);
}

static bool says(const char *key, const char *word)
{
    struct json *j;
    bytes text;
    CHECK_OK(json_read(&j, buf_view(&out), 8));
    bool same = json_text(json_get(j, key), &text) && bytes_equal(text, bytes_str(word));
    json_free(j);
    return same;
}

static void bytes_that_are_no_evidence_are_not_decided(void **state)
{
    (void)state;
    CHECK(
        ask("{\"evidence\":\"AAAA\",\"platform\":null,\"collateral\":null,\"user_data\":null,"
            "\"at\":null,\"max_age\":null}"));
    CHECK(says("outcome", "not_decided"));
    CHECK(ask("{\"evidence\":\"AAAA\",\"platform\":\"nitro\"}"));
    CHECK(says("outcome", "refused"));
    buf_clear(&out);
}

static bool ask_about(bytes document, const char *more)
{
    BUF_AUTO body = BUF(EVIDENCE_BODY_MAX);
    CHECK_OK(buf_add_str(&body, "{\"evidence\":\""));
    CHECK_OK(text_base64_encode(&body, document));
    CHECK_OK(buf_addf(&body, "\"%s}", more));
    return ask(buf_str(&body));
}

static void genuine_evidence_is_verified_as_of_its_time_only(void **state)
{
    (void)state;
    BUF_AUTO path = BUF(4096);
    BUF_AUTO document = BUF(64 * 1024);
    if (law_vectors() == NULL) {
        print_message("SKIPPED: NO VECTORS, NO GENUINE EVIDENCE WAS LOOKED AT\n");
        skip();
    }
    CHECK_OK(buf_addf(&path, "%s/attest/nitro/docs/" DOCUMENT, law_vectors()));
    law_read_file(&document, buf_str(&path));
    bytes in = buf_view(&document);
    CHECK(ask_about(in, ",\"at\":" WHEN));
    CHECK(says("outcome", "verified") && says("platform", "nitro"));
    CHECK(ask_about(in, ",\"platform\":\"nitro\",\"at\":\"2025-12-25T13:15:38Z\",\"max_age\":60"));
    CHECK(says("outcome", "verified"));
    CHECK(ask_about(in, ",\"at\":" WHEN ",\"user_data\":\"AA==\""));
    CHECK(says("outcome", "refused"));
    CHECK(ask_about(in, ""));
    CHECK(says("outcome", "refused"));
    document.at[document.len / 2] ^= 1;
    CHECK(ask_about(in, ",\"at\":" WHEN));
    CHECK(says("outcome", "refused"));
    buf_clear(&out);
}

static err ask_once(void *arg)
{
    const char *body = arg;
    if (ask(body))
        return OK;
    CHECK(error.cause == ERROR_INTERNAL);
    FAIL(NOMEM);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    char body[] = "{\"evidence\":\"AAAA\",\"user_data\":\"AA==\",\"collateral\":[\"AA==\"]}";
    law_every_allocation_fails_once(ask_once, body);
    buf_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_understood_is_refused_by_name),
        cmocka_unit_test(collateral_has_its_limit),
        cmocka_unit_test(bytes_that_are_no_evidence_are_not_decided),
        cmocka_unit_test(genuine_evidence_is_verified_as_of_its_time_only),
        cmocka_unit_test(every_allocation_may_fail),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
