/* What a worker says to anybody, in the clear. */
#include "attest/policy.h"
#include "attest/verify.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "enclave-worker/page.h"
#include "tests/unit/enclave-worker/stage.h"
#include "wire/names.h"

#define NONCE "AAECAwQFBgcICQoLDA0ODw" /* 16 bytes */

static void get(struct stage *s, struct stage_ask *ask, const char *path)
{
    stage_get(s, ask, "GET", path, (bytes){ 0 });
    stage_answer(s, ask);
    CHECK(ask->ended);
}

static void check_page(struct stage *s, const char *path, unsigned status, const char *media,
                       bytes body)
{
    struct stage_ask ask;
    get(s, &ask, path);
    CHECK(ask.outer == status);
    assert_string_equal(ask.media, media);
    CHECK_BYTES(buf_view(&ask.clear), body);
    stage_ask_clear(&ask);
}

static void check_refusal(struct stage *s, const char *method, const char *path, bytes body,
                          unsigned status, const char *word)
{
    struct stage_ask ask;
    stage_get(s, &ask, method, path, body);
    stage_answer(s, &ask);
    CHECK(ask.outer == status && ask.ended);
    CHECK(text_find(buf_view(&ask.clear), bytes_str(word)) < ask.clear.len);
    stage_ask_clear(&ask);
}

static void publishes_its_keys_in_both_forms(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    check_page(&s, PATH_OHTTP_GATEWAY, 200, MEDIA_OHTTP_KEYS, keys_list(s.worker.keys));
    check_page(&s, PATH_OHTTP_GATEWAY "?" QUERY_FORMAT_BARE, 200, MEDIA_OHTTP_KEYS,
               keys_list_bare(s.worker.keys));
    check_page(&s, PATH_OHTTP_GATEWAY "?format=other", 200, MEDIA_OHTTP_KEYS,
               keys_list(s.worker.keys));
    stage_close(&s);
}

/* With its key list and nowhere else: relays ask for that. */
static void says_how_its_identity_begins_with_its_keys(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    BUF_AUTO want = BUF(64);
    stage_open(&s, NULL);
    CHECK_OK(text_hex_encode(&want, bytes_of(signing_key_public(keys_identity(s.worker.keys)), 8)));
    get(&s, &ask, PATH_OHTTP_GATEWAY);
    CHECK(want.len == 16);
    CHECK_BYTES(bytes_str(ask.tag), buf_view(&want));
    stage_ask_clear(&ask);
    get(&s, &ask, PATH_ATTESTATION);
    CHECK(ask.outer == 200 && ask.tag[0] == '\0');
    stage_ask_clear(&ask);
    stage_close(&s);
}

/* Each door has its key only while it is open; the one for EHBP is another than all others. */
static void shows_the_keys_of_open_doors_only(void **state)
{
    (void)state;
    static const char *const turned[] = { "--door-ehbp", "--no-door-discovery", NULL };
    struct stage s;
    struct key_config ehbp, ohttp;
    size_t n;
    stage_open(&s, NULL);
    check_refusal(&s, "GET", PATH_HPKE_KEYS, (bytes){ 0 }, 404, "unknown_url");
    CHECK(keys_ehbp_config(s.worker.keys).len == 0);
    stage_close(&s);
    stage_open(&s, turned);
    check_refusal(&s, "GET", PATH_OHTTP_GATEWAY, (bytes){ 0 }, 404, "unknown_url");
    check_page(&s, PATH_HPKE_KEYS, 200, MEDIA_OHTTP_KEYS, keys_ehbp_config(s.worker.keys));
    check_refusal(&s, "GET", PATH_HPKE_KEYS "?x", (bytes){ 0 }, 404, "unknown_url");
    CHECK(keys_ehbp_config(s.worker.keys).len == 41);
    CHECK_OK(keylist_read(keys_ehbp_config(s.worker.keys), KEYLIST_BARE, &ehbp, 1, &n));
    CHECK(ehbp.id == 0 && ehbp.suites_n == 1);
    CHECK_OK(keylist_read(keys_list(s.worker.keys), KEYLIST_PREFIXED, &ohttp, 1, &n));
    CHECK(!bytes_equal(ehbp.public_key, ohttp.public_key));
    stage_close(&s);
}

static void says_whether_it_lives_and_takes_requests(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    check_page(&s, PATH_HEALTHZ, 200, MEDIA_JSON, BYTES_LIT("{\"status\":\"ok\"}"));
    check_page(&s, PATH_READYZ, 200, MEDIA_JSON, BYTES_LIT("{\"ready\":true}"));
    s.worker.draining = true;
    check_page(&s, PATH_READYZ, 503, MEDIA_JSON, BYTES_LIT("{\"ready\":false}"));
    stage_close(&s);
}

static void gives_the_document_by_its_digest_only(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO path = BUF(256);
    stage_open(&s, NULL);
    CHECK_OK(buf_add_str(&path, PATH_ATTESTATION "/"));
    CHECK_OK(text_hex_encode(&path, bytes_of(prove_digest(s.worker.prove), VERDICT_DIGEST_LEN)));
    check_page(&s, buf_str(&path), 200, MEDIA_CBOR, prove_document(s.worker.prove));
    path.at[path.len - 1] ^= 1;
    check_refusal(&s, "GET", buf_str(&path), (bytes){ 0 }, 404, "not_found");
    check_refusal(&s, "GET", PATH_ATTESTATION "/", (bytes){ 0 }, 404, "not_found");
    stage_close(&s);
}

static void names_the_document_that_receipts_refer_to(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    struct json *root;
    bytes hex;
    BUF_AUTO want = BUF(128);
    stage_open(&s, NULL);
    get(&s, &ask, PATH_ATTESTATION);
    CHECK_OK(json_read(&root, buf_view(&ask.clear), 4));
    CHECK(json_text(json_get(root, "document"), &hex));
    CHECK_OK(text_hex_encode(&want, bytes_of(prove_digest(s.worker.prove), VERDICT_DIGEST_LEN)));
    CHECK_BYTES(hex, buf_view(&want));
    json_free(root);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void gives_evidence_that_verifies_for_that_nonce_and_no_other(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    struct policy *policy;
    struct verdict verdict;
    BUF_AUTO nonce = BUF(64);
    BUF_AUTO message = BUF(1024);
    CHECK_OK(text_base64url_decode(&nonce, BYTES_LIT(NONCE)));
    CHECK_OK(policy_read(&policy, BYTES_LIT("platforms: [simulated]\nmeasurements: any\n"), "here",
                         &message));
    stage_open(&s, NULL);
    stage_get(&s, &ask, "POST", PATH_ATTESTATION, BYTES_LIT("{\"nonce\":\"" NONCE "\"}"));
    stage_answer(&s, &ask);
    CHECK(ask.outer == 200);
    struct verify_settings settings = { .policy = policy,
                                        .now = clock_wall_s(),
                                        .nonce = buf_view(&nonce) };
    CHECK_OK(attest_verify(buf_view(&ask.clear), &settings, &verdict));
    CHECK(verdict.accepted);
    verdict_clear(&verdict);
    nonce.at[0] ^= 1;
    CHECK_OK(attest_verify(buf_view(&ask.clear), &settings, &verdict));
    CHECK(!verdict.accepted);
    verdict_clear(&verdict);
    stage_ask_clear(&ask);
    stage_close(&s);
    policy_free(policy);
}

static void refuses_questions_that_are_none(void **state)
{
    (void)state;
    struct stage s;
    static const char *const wrong[] = {
        "{}", "[]", "x", "{\"nonce\":7}", "{\"nonce\":\"AAAA\"}", "{\"nonce\":\"!\"}"
    };
    static char big[PAGE_BODY_MAX + 1];
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        check_refusal(&s, "POST", PATH_ATTESTATION, bytes_str(wrong[i]), 400, "nonce");
    memset(big, ' ', sizeof big);
    check_refusal(&s, "POST", PATH_ATTESTATION, bytes_of(big, sizeof big - 1), 400, "nonce");
    check_refusal(&s, "POST", PATH_ATTESTATION, bytes_of(big, sizeof big), 413, "too long");
    stage_close(&s);
}

static void limits_how_often_it_is_asked(void **state)
{
    (void)state;
    struct stage s;
    static struct stage_ask asks[2 * PROVE_PER_SECOND];
    size_t refused = 0;
    stage_open(&s, NULL);
    for (size_t i = 0; i < ARRAY_LEN(asks); i++)
        stage_get(&s, &asks[i], "POST", PATH_ATTESTATION, BYTES_LIT("{\"nonce\":\"" NONCE "\"}"));
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        stage_answer(&s, &asks[i]);
        CHECK(asks[i].outer == 200 || asks[i].outer == 429);
        refused += asks[i].outer == 429;
        stage_ask_clear(&asks[i]);
    }
    CHECK(refused > 0 && refused < ARRAY_LEN(asks));
    stage_close(&s);
}

static void survives_those_who_leave_before_their_evidence(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    for (int i = 0; i < 10; i++) {
        stage_get(&s, &ask, "POST", PATH_ATTESTATION, BYTES_LIT("{\"nonce\":\"" NONCE "\"}"));
        if (i % 2 == 0)
            stage_turns(&s);
        stage_ask_clear(&ask);
    }
    stage_turns(&s);
    check_page(&s, PATH_HEALTHZ, 200, MEDIA_JSON, BYTES_LIT("{\"status\":\"ok\"}"));
    stage_close(&s);
}

static void refuses_what_ought_to_be_sealed_and_knows_nothing_else(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL);
    check_refusal(&s, "POST", "/v1/chat/completions", BYTES_LIT("{\"model\":\"m\"}"), 403,
                  "seal_required");
    check_refusal(&s, "GET", "/v1/models", (bytes){ 0 }, 403, "seal_required");
    check_refusal(&s, "GET", "/", (bytes){ 0 }, 404, "unknown_url");
    check_refusal(&s, "GET", "/healthz/x", (bytes){ 0 }, 404, "unknown_url");
    check_refusal(&s, "GET", "/metricsx", (bytes){ 0 }, 404, "unknown_url");
    check_refusal(&s, "DELETE", PATH_ATTESTATION, (bytes){ 0 }, 404, "unknown_url");
    CHECK(s.starts == 0);
    stage_close(&s);
}

static void gives_up_on_questions_that_do_not_come(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    static const char *const flags[] = { "--request-timeout=100ms", NULL };
    static const struct stage_request nothing = { .body = BYTES_LIT("{}") };
    static const struct link_request question = { .method = BYTES_LIT("POST"),
                                                  .authority = BYTES_LIT("w1"),
                                                  .path = BYTES_LIT(PATH_ATTESTATION) };
    stage_open(&s, flags);
    stage_seal(&s, &ask, OHTTP_CHUNKED, &nothing);
    CHECK_OK(link_submit(s.link, &question, &ask.stream, &ask));
    stage_answer(&s, &ask);
    CHECK(ask.outer == 408);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static void shows_its_metrics(void **state)
{
    (void)state;
    struct stage s;
    struct stage_ask ask;
    stage_open(&s, NULL);
    get(&s, &ask, PATH_METRICS);
    CHECK(ask.outer == 200);
    stage_ask_clear(&ask);
    stage_close(&s);
}

static bool is_closed(struct stage *s, void *arg)
{
    const struct stage_ask *ask = arg;
    (void)s;
    return ask->closed;
}

/* Whoever asks and does not read takes only so much, whatever he asks for, and only over his own
 * connection. */
static void holds_so_much_for_one_that_does_not_read(void **state)
{
    (void)state;
    enum { UNREAD = PAGES_UNREAD_MAX / PAGE_COST };
    static struct stage_ask asks[UNREAD];
    struct stage s;
    struct stage_ask more;
    stage_open(&s, NULL);
    stage_redial(&s, 1);
    for (size_t i = 0; i < UNREAD; i++)
        stage_get(&s, &asks[i], i % 2 == 0 ? "POST" : "GET", "/v1/models", (bytes){ 0 });
    for (size_t i = 0; i < UNREAD; i++)
        asks[i].holds = true;
    stage_get(&s, &more, "GET", PATH_HEALTHZ, (bytes){ 0 });
    stage_until(&s, is_closed, &more);
    CHECK(more.outer == 0 && more.why == LINK_RESET);
    stage_ask_clear(&more);
    for (size_t i = 0; i < UNREAD; i++) {
        CHECK(asks[i].outer == 403 && !asks[i].ended);
        stage_ask_clear(&asks[i]);
    }
    stage_turns(&s);
    check_page(&s, PATH_HEALTHZ, 200, MEDIA_JSON, BYTES_LIT("{\"status\":\"ok\"}"));
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_its_keys_in_both_forms),
        cmocka_unit_test(says_how_its_identity_begins_with_its_keys),
        cmocka_unit_test(shows_the_keys_of_open_doors_only),
        cmocka_unit_test(says_whether_it_lives_and_takes_requests),
        cmocka_unit_test(gives_the_document_by_its_digest_only),
        cmocka_unit_test(names_the_document_that_receipts_refer_to),
        cmocka_unit_test(gives_evidence_that_verifies_for_that_nonce_and_no_other),
        cmocka_unit_test(refuses_questions_that_are_none),
        cmocka_unit_test(limits_how_often_it_is_asked),
        cmocka_unit_test(survives_those_who_leave_before_their_evidence),
        cmocka_unit_test(refuses_what_ought_to_be_sealed_and_knows_nothing_else),
        cmocka_unit_test(gives_up_on_questions_that_do_not_come),
        cmocka_unit_test(shows_its_metrics),
        cmocka_unit_test(holds_so_much_for_one_that_does_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
