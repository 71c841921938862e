#include "gateway/relay_route.h"
#include "tests/lib/law.h"
#include "wire/names.h"

static void each_request_is_what_its_head_says(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        enum relay_kind kind;
    } rows[] = {
        { "POST", "/.well-known/ohttp-gateway", RELAY_SEALED },
        { "POST", "/v1/ohttp", RELAY_SEALED },
        { "POST", "/v1/ohttp?x=1", RELAY_SEALED },
        { "GET", "/.well-known/ohttp-gateway", RELAY_ASK },
        { "GET", "/.well-known/ohttp-gateway?format=bare", RELAY_ASK },
        { "GET", "/v1/ohttp", RELAY_WRONG_METHOD },
        { "PUT", "/.well-known/ohttp-gateway", RELAY_WRONG_METHOD },
        { "POST", "/attestation", RELAY_PROOF },
        { "GET", "/attestation", RELAY_ASK },
        { "GET", "/attestation/00ff", RELAY_EVIDENCE },
        { "POST", "/attestation/00ff", RELAY_WRONG_METHOD },
        { "GET", "/attestation/", RELAY_UNKNOWN },
        { "GET", "/healthz", RELAY_HEALTH },
        { "HEAD", "/readyz", RELAY_READY },
        { "GET", "/metrics", RELAY_METRICS },
        { "POST", "/v1/chat/completions", RELAY_REFUSED },
        { "GET", "/v1/models", RELAY_REFUSED },
        { "POST", "/v1/ohttp/", RELAY_REFUSED },
        { "POST", "/v1/", RELAY_UNKNOWN },
        { "GET", "/", RELAY_UNKNOWN },
        { "OPTIONS", "*", RELAY_UNKNOWN },
        { "POST", "http://host/v1/ohttp", RELAY_UNKNOWN },
        { "POST", "/../v1/ohttp", RELAY_UNKNOWN },
        { "", "", RELAY_UNKNOWN },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct relay_route r =
            relay_route_find(bytes_str(rows[i].method), bytes_str(rows[i].target));
        if (r.kind != rows[i].kind)
            fail_msg("%s %s: %d", rows[i].method, rows[i].target, (int)r.kind);
        CHECK((r.allow != NULL) == (r.kind == RELAY_WRONG_METHOD));
    }
}

static void only_fields_of_the_sealed_hop_cross(void **state)
{
    (void)state;
    CHECK(relay_route_asks(BYTES_LIT(FIELD_CONTENT_TYPE)));
    CHECK(relay_route_asks(BYTES_LIT(FIELD_OHTTP_KEY)));
    CHECK(!relay_route_asks(BYTES_LIT(FIELD_AUTHORIZATION)));
    CHECK(!relay_route_asks(BYTES_LIT("cookie")));
    CHECK(!relay_route_asks(BYTES_LIT("x-forwarded-for")));
    CHECK(!relay_route_asks(BYTES_LIT("")));
    CHECK(relay_route_answers(BYTES_LIT(FIELD_CACHE_CONTROL)));
    CHECK(!relay_route_answers(BYTES_LIT("set-cookie")));
    for (size_t i = 0; relay_route_fields[i] != NULL; i++)
        CHECK(relay_route_asks(bytes_str(relay_route_fields[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_what_its_head_says),
        cmocka_unit_test(only_fields_of_the_sealed_hop_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
