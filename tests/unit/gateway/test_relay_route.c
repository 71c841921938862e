#include <string.h>

#include "gateway/relay_route.h"
#include "tests/lib/law.h"
#include "wire/names.h"

static void check_route(const char *method, const char *target, bool has_key, enum relay_kind kind)
{
    bool keys = strcmp(target, PATH_HPKE_KEYS) == 0;
    struct relay_route r = relay_route_find(bytes_str(method), bytes_str(target), has_key);
    if (r.kind != kind)
        fail_msg("%s %s: %d", method, target, (int)r.kind);
    CHECK((r.allow != NULL) == (r.kind == RELAY_WRONG_METHOD));
    CHECK(r.by_address == (r.kind == RELAY_EHBP || (keys && r.kind == RELAY_ASK)));
}

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
        { "GET", "/.well-known/sealgate-workers", RELAY_ROSTER },
        { "POST", "/.well-known/sealgate-workers", RELAY_WRONG_METHOD },
        { "POST", "/v1/chat/completions", RELAY_REFUSED },
        { "GET", "/v1/models", RELAY_REFUSED },
        { "GET", "/.well-known/hpke-keys", RELAY_ASK },
        { "POST", "/v1/ohttp/", RELAY_REFUSED },
        { "POST", "/v1/", RELAY_UNKNOWN },
        { "GET", "/", RELAY_UNKNOWN },
        { "OPTIONS", "*", RELAY_UNKNOWN },
        { "POST", "http://host/v1/ohttp", RELAY_UNKNOWN },
        { "POST", "/../v1/ohttp", RELAY_UNKNOWN },
        { "", "", RELAY_UNKNOWN },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_route(rows[i].method, rows[i].target, false, rows[i].kind);
}

static void one_with_a_key_is_sealed_where_the_api_is(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        enum relay_kind kind;
    } rows[] = {
        { "POST", "/v1/chat/completions", RELAY_EHBP },
        { "POST", "/v1/chat/completions?x=1", RELAY_EHBP },
        { "GET", "/v1/models", RELAY_REFUSED },
        { "POST", "/v1/ohttp", RELAY_SEALED },
        { "POST", "/attestation", RELAY_PROOF },
        { "POST", "/", RELAY_UNKNOWN },
        { "POST", "/.well-known/hpke-keys", RELAY_WRONG_METHOD },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_route(rows[i].method, rows[i].target, true, rows[i].kind);
}

static void only_fields_of_the_sealed_hop_cross(void **state)
{
    (void)state;
    static const enum relay_kind kinds[] = { RELAY_SEALED, RELAY_ASK, RELAY_EHBP };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        bool ehbp = kinds[i] == RELAY_EHBP;
        CHECK(relay_route_asks(kinds[i], BYTES_LIT(FIELD_CONTENT_TYPE)));
        CHECK(relay_route_asks(kinds[i], BYTES_LIT(FIELD_OHTTP_KEY)));
        CHECK(relay_route_asks(kinds[i], BYTES_LIT(FIELD_AUTHORIZATION)) == ehbp);
        CHECK(relay_route_asks(kinds[i], BYTES_LIT(FIELD_EHBP_KEY)) == ehbp);
        CHECK(!relay_route_asks(kinds[i], BYTES_LIT("cookie")));
        CHECK(!relay_route_asks(kinds[i], BYTES_LIT("x-forwarded-for")));
        CHECK(!relay_route_asks(kinds[i], BYTES_LIT(FIELD_CALLER)));
        CHECK(!relay_route_asks(kinds[i], BYTES_LIT("")));
        CHECK(relay_route_answers(kinds[i], BYTES_LIT(FIELD_CACHE_CONTROL)));
        CHECK(relay_route_answers(kinds[i], BYTES_LIT(FIELD_EHBP_NONCE)) == ehbp);
        CHECK(relay_route_answers(kinds[i], BYTES_LIT("x-ratelimit-limit-requests")) == ehbp);
        CHECK(!relay_route_answers(kinds[i], BYTES_LIT("set-cookie")));
        CHECK(!relay_route_answers(kinds[i], BYTES_LIT("x-ratelimi")));
    }
    for (size_t i = 0; relay_route_fields[i] != NULL; i++)
        CHECK(relay_route_asks(RELAY_EHBP, bytes_str(relay_route_fields[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_is_what_its_head_says),
        cmocka_unit_test(one_with_a_key_is_sealed_where_the_api_is),
        cmocka_unit_test(only_fields_of_the_sealed_hop_cross),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
