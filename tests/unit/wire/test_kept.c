#include "tests/lib/law.h"
#include "wire/kept.h"

static const struct bhttp_field FIELDS[] = {
    { BYTES_LIT("content-type"), BYTES_LIT("application/json") },
    { BYTES_LIT("x-empty"), BYTES_LIT("") },
    { BYTES_LIT("content-type"), BYTES_LIT("second") },
};
static const struct bhttp_head HEAD = { .is_request = true,
                                        .method = BYTES_LIT("POST"),
                                        .scheme = BYTES_LIT("https"),
                                        .path = BYTES_LIT("/v1/x"),
                                        .fields = FIELDS,
                                        .fields_n = ARRAY_LEN(FIELDS),
                                        .content_known = true,
                                        .content_len = 7 };

static void keeps_a_copy_of_everything(void **state)
{
    (void)state;
    struct kept k = { 0 };
    CHECK_OK(kept_head(&k, &HEAD));
    CHECK_OK(kept_head(&k, &k.head));
    CHECK(k.head.path.at != HEAD.path.at && k.head.fields != FIELDS);
    CHECK_BYTES(k.head.method, HEAD.method);
    CHECK_BYTES(k.head.path, HEAD.path);
    CHECK(k.head.fields_n == 3 && k.head.content_known && k.head.content_len == 7);
    CHECK_BYTES(kept_field(&k, "content-type"), BYTES_LIT("application/json"));
    CHECK_BYTES(kept_field(&k, "x-empty"), BYTES_LIT(""));
    CHECK(kept_field(&k, "content").len == 0);
    kept_clear(&k);
    CHECK(kept_field(&k, "content-type").len == 0);
}

static err keep_and_clear(void *arg)
{
    (void)arg;
    struct kept k = { 0 };
    err e = kept_head(&k, &HEAD);
    kept_clear(&k);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(keep_and_clear, NULL);
}

static void stops_what_tells_of_the_client(void **state)
{
    (void)state;
    static const char *const stopped[] = {
        "cookie", "x-stainless-os",  "authorization", "sec-fetch-mode", "proxy-authorization",
        "te",     "x-forwarded-for", "traceparent",   "tracestate",     "sealgate-caller"
    };
    static const char *const passes[] = { "content-type", "accept",   "openai-beta",    "trace",
                                          "test",         "x-custom", "idempotency-key" };
    for (size_t i = 0; i < ARRAY_LEN(stopped); i++)
        CHECK(!kept_passes(bytes_str(stopped[i])));
    for (size_t i = 0; i < ARRAY_LEN(passes); i++)
        CHECK(kept_passes(bytes_str(passes[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_a_copy_of_everything),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(stops_what_tells_of_the_client),
    };
    return cmocka_run_group_tests_name("wire/kept", tests, NULL, NULL);
}
