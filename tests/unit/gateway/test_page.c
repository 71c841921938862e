/* What a gateway answers by itself, and whom it refuses, seen from outside. */
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "gateway/page.h"
#include "tests/unit/gateway/stage.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"
#include "tests/unit/receipts/golden.h"

#define TOKEN "d0c04f4b1951e4aeaaec8223ed2039e542f3aae805a6fa7f6d794e5afff5d272" /* of "sesame" */
#define RECEIPT "/v1/receipts/" ID
#define ID "0102030405060708090a0b0c0d0e0f10"

/* ---- who is refused ---- */

static void hosts_that_are_not_ours_see_nothing(void **state)
{
    (void)state;
    struct stage s;
    static const char *const paths[] = { "/healthz", "/metrics", "/v1/models", "/nowhere" };
    stage_open(&s, NULL, NULL);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        stage_ask(&s, "GET", paths[i], "Host: evil.example\r\n");
        CHECK(s.status == 403 && stage_says(&s, "host_not_allowed"));
        stage_ask(&s, "OPTIONS", paths[i],
                  "Host: evil.example\r\nOrigin: https://evil.example\r\n"
                  "Access-Control-Request-Method: POST\r\n");
        CHECK(s.status == 403);
    }
    stage_close(&s);
}

static void a_token_opens_everything_but_health(void **state)
{
    (void)state;
    struct stage s;
    static const char *const closed[] = { "/metrics", "/v1/attestation", RECEIPT, "/v1/models" };
    stage_open(&s, NULL, TOKEN);
    for (size_t i = 0; i < ARRAY_LEN(closed); i++) {
        stage_ask(&s, "GET", closed[i], "");
        CHECK(s.status == 401 && stage_header(&s, "www-authenticate").len > 0);
        stage_ask(&s, "GET", closed[i], "Authorization: Bearer sesam\r\n");
        CHECK(s.status == 401);
    }
    stage_ask(&s, "GET", "/healthz", "");
    CHECK(s.status == 200);
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(s.status == 503);
    stage_ask(&s, "GET", "/metrics", "Authorization: Bearer sesame\r\n");
    CHECK(s.status == 200);
    stage_ask(&s, "GET", "/metrics", "Api-Key: sesame\r\n");
    CHECK(s.status == 200);
    stage_close(&s);
}

static void who_is_leaving_takes_nothing_new(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL, NULL);
    s.shard->draining = true;
    stage_ask(&s, "GET", "/v1/models", "");
    CHECK(s.status == 503 && stage_says(&s, "server_shutting_down"));
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(s.status == 503);
    stage_close(&s);
}

/* ---- preflights ---- */

static void a_preflight_grants_listed_origins_what_they_ask_for(void **state)
{
    (void)state;
    struct stage s;
    static const char *const flags[] = { "--cors-origins=https://chat.example", NULL };
    stage_open(&s, flags, TOKEN);
    stage_ask(&s, "OPTIONS", "/v1/chat/completions",
              "Origin: https://chat.example\r\nAccess-Control-Request-Method: POST\r\n"
              "Access-Control-Request-Headers: authorization, x-stainless-lang\r\n");
    CHECK(s.status == 204 && stage_body(&s).len == 0);
    CHECK_BYTES(stage_header(&s, "access-control-allow-origin"), BYTES_LIT("https://chat.example"));
    CHECK_BYTES(stage_header(&s, "access-control-allow-headers"),
                BYTES_LIT("authorization, x-stainless-lang"));
    CHECK(stage_header(&s, "access-control-max-age").len > 0);
    stage_ask(&s, "OPTIONS", "/v1/chat/completions",
              "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n"
              "Access-Control-Request-Headers: authorization\r\n");
    CHECK(stage_header_count(&s, "access-control-allow-origin") == 0);
    CHECK(stage_header_count(&s, "access-control-allow-headers") == 0);
    stage_close(&s);
}

/* ---- workers ---- */

static const struct link_events NOTHING = { 0 };

static void ask_until(struct stage *s, unsigned status)
{
    uint64_t until = clock_steady_ms() + 20000;
    do {
        stage_ask(s, "GET", "/readyz", "");
        CHECK(clock_steady_ms() < until);
    } while (s->status != status);
}

static void is_ready_only_with_a_worker_that_is_trusted_and_connected(void **state)
{
    (void)state;
    struct stage s;
    struct sock_addr at;
    struct link_listener *worker;
    struct trust_view *view;
    char address[64], flag[80];
    const char *const flags[] = { flag, NULL };
    const struct link_limits limits = { 0 };
    static const uint8_t document[VERDICT_DIGEST_LEN] = { 1 };
    (void)snprintf(address, sizeof address, "unix:/tmp/sealgate-page-%ld", (long)getpid());
    (void)snprintf(flag, sizeof flag, "--workers=%s", address);
    struct worker_set *set = worker_set_of(NULL, (const char *const[]){ address }, 1);
    stage_open(&s, flags, NULL);
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(s.status == 503);
    stage_ask(&s, "GET", "/v1/attestation", "");
    CHECK_BYTES(stage_body(&s), BYTES_LIT("{\"object\":\"list\",\"data\":[]}"));

    CHECK_OK(trust_view_new(&view, set));
    CHECK_OK(buf_add_str(&view->page, "{\"object\":\"list\",\"data\":[1]}"));
    struct verdict v;
    verdict_plain(&v, 100);
    CHECK_OK(trusted_new(&view->workers[0], 0, &v, document, clock_wall_s()));
    verdict_clear(&v);
    pool_update(s.shard->pool, view);
    trust_view_unref(view);
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(s.status == 503);
    CHECK_OK(sock_addr_read(bytes_str(address), &at));
    CHECK_OK(link_listen(&worker, s.shard->loop, &at, NULL, &limits, &NOTHING, NULL));
    ask_until(&s, 200);
    stage_ask(&s, "GET", "/v1/attestation", "");
    CHECK_BYTES(stage_body(&s), BYTES_LIT("{\"object\":\"list\",\"data\":[1]}"));

    CHECK_OK(trust_view_new(&view, set));
    pool_update(s.shard->pool, view);
    trust_view_unref(view);
    stage_ask(&s, "GET", "/readyz", "");
    CHECK(s.status == 503);
    link_listener_free(worker);
    worker_set_unref(set);
    stage_close(&s);
    (void)unlink(address + sizeof "unix:" - 1);
}

/* ---- receipts ---- */

static void on_stored(struct loop_mail *m)
{
    struct store_record *r = CONTAINER_OF(m, struct store_record, mail);
    store_record_free(r);
}

/* A receipt that the store has, and its evidence if there is any. */
static void put(struct stage *s, struct buf *receipt, const char *evidence)
{
    struct store_record *r;
    struct signing_key *key = golden_key(1);
    struct air_claims claims = golden_claims();
    CHECK_OK(air_write(receipt, &claims, key));
    CHECK_OK(store_record_new(&r));
    r->mail.deliver = on_stored;
    memcpy(r->receipt_id, ID, sizeof ID);
    CHECK(store_id_set(r->request_id, BYTES_LIT("req_1")));
    CHECK(store_id_set(r->completion_id, BYTES_LIT("chatcmpl-1")));
    memcpy(r->key, signing_key_public(key), sizeof r->key);
    CHECK_OK(buf_add(&r->receipt, buf_view(receipt)));
    if (evidence != NULL)
        CHECK_OK(store_put_evidence(s->store, bytes_str(evidence), r->evidence_hash));
    store_put(s->store, r);
    store_wake(s->store);
    signing_key_free(key);
}

static void check_view(struct stage *s, bytes receipt, const char *evidence)
{
    struct json *root;
    bytes text;
    BUF_AUTO raw = BUF(65536);
    CHECK(s->status == 200);
    CHECK_OK(json_read(&root, stage_body(s), 16));
    CHECK(json_text(json_get(root, "id"), &text));
    CHECK_BYTES(text, BYTES_LIT(ID));
    CHECK(json_text(json_get(root, "request_id"), &text));
    CHECK_BYTES(text, BYTES_LIT("req_1"));
    CHECK(json_text(json_get(root, "receipt"), &text));
    CHECK_OK(text_base64_decode(&raw, text));
    CHECK_BYTES(buf_view(&raw), receipt);
    CHECK(json_get(root, "claims") != NULL);
    buf_truncate(&raw, 0);
    CHECK(json_text(json_get(root, "evidence"), &text) == (evidence != NULL));
    if (evidence != NULL) {
        CHECK_OK(text_base64_decode(&raw, text));
        CHECK_BYTES(buf_view(&raw), bytes_str(evidence));
    }
    json_free(root);
}

static void a_receipt_is_found_by_any_of_its_ids(void **state)
{
    (void)state;
    static const char *const evidences[] = { NULL, "evidence" };
    static const char *const paths[] = { RECEIPT, "/v1/receipts/req_1", "/v1/receipts/chatcmpl-1",
                                         "/v1/receipts/chatcmpl%2D1" };
    for (size_t e = 0; e < ARRAY_LEN(evidences); e++) {
        struct stage s;
        BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
        stage_open(&s, NULL, NULL);
        put(&s, &receipt, evidences[e]);
        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
            stage_ask(&s, "GET", paths[i], "");
            check_view(&s, buf_view(&receipt), evidences[e]);
        }
        stage_ask(&s, "GET", paths[0], "Accept: application/eat+cwt\r\n");
        CHECK(s.status == 200);
        CHECK_BYTES(stage_header(&s, "content-type"), BYTES_LIT("application/eat+cwt"));
        CHECK_BYTES(stage_body(&s), buf_view(&receipt));
        stage_close(&s);
    }
}

static void ids_that_nobody_has_are_404(void **state)
{
    (void)state;
    struct stage s;
    static const char *const ids[] = { "nobody", "%00", "%0d%0aX-Evil:1", "a%20b", "..", "'--" };
    BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
    stage_open(&s, NULL, NULL);
    put(&s, &receipt, NULL);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        BUF_AUTO path = BUF(256);
        CHECK_OK(buf_addf(&path, "/v1/receipts/%s", ids[i]));
        stage_ask(&s, "GET", buf_str(&path), "");
        CHECK(s.status == 404 && stage_header_count(&s, "x-evil") == 0);
    }
    stage_close(&s);
}

static void who_leaves_during_a_look_up_hurts_nobody(void **state)
{
    (void)state;
    struct stage s;
    BUF_AUTO receipt = BUF(AIR_RECEIPT_MAX);
    stage_open(&s, NULL, NULL);
    put(&s, &receipt, NULL);
    for (int i = 0; i < 20; i++)
        stage_ask_and_leave(&s, "GET", RECEIPT);
    stage_ask(&s, "GET", RECEIPT, "");
    check_view(&s, buf_view(&receipt), NULL);
    stage_close(&s);
}

static void metrics_are_shown(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s, NULL, NULL);
    stage_ask(&s, "GET", "/metrics", "");
    CHECK(s.status == 200 && stage_says(&s, "sealgate_requests_in_flight 1\n"));
    CHECK_BYTES(stage_header(&s, "content-type"), bytes_str(METRICS_MEDIA_TYPE));
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_that_are_not_ours_see_nothing),
        cmocka_unit_test(a_token_opens_everything_but_health),
        cmocka_unit_test(who_is_leaving_takes_nothing_new),
        cmocka_unit_test(a_preflight_grants_listed_origins_what_they_ask_for),
        cmocka_unit_test(is_ready_only_with_a_worker_that_is_trusted_and_connected),
        cmocka_unit_test(a_receipt_is_found_by_any_of_its_ids),
        cmocka_unit_test(ids_that_nobody_has_are_404),
        cmocka_unit_test(who_leaves_during_a_look_up_hurts_nobody),
        cmocka_unit_test(metrics_are_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
