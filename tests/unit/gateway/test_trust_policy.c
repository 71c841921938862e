/*
 * Other policies for a worker in use: trust_use_policy(). The worker is simulated and answers on the
 * gateway's own loop.
 */
#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "gateway/trust.h"
#include "tests/lib/turn.h"
#include "tests/unit/attest/scene.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/link.h"
#include "wire/names.h"

enum { PATIENCE_MS = 20000 };

static const char ANY[] = "platforms: [simulated]\nmeasurements: any\n";
static const char NOBODY[] = "platforms: [simulated]\nmeasurements: any\nworker_names: [other]\n";
static const char LATER[] = "platforms: [simulated]\nmeasurements: any\nminimum_software: 9.0\n";
static const char US[] = "platforms: [simulated]\nmeasurements: any\nworker_names: [worker-1]\n";

static struct scene scene;
static struct buf key_list;
static struct buf document; /* what receipts refer to */
static uint8_t digest[VERDICT_DIGEST_LEN];

static struct loop *loop;
static struct store *store;
static struct link_listener *worker;
static char path[128];
static struct buf body;
static unsigned looks; /* bundles that were asked for */
static struct link_stream *held;
static bool holds; /* the next bundle waits */

static struct policy *policies[8];
static size_t policies_n;
static struct trust *trust;
static struct trust_view *view; /* the latest */
static unsigned views;

/* ---- the worker ---- */

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    (void)k;
    (void)owner;
    (void)s;
    CHECK(req->path.len < sizeof path);
    memcpy(path, req->path.at, req->path.len);
    path[req->path.len] = '\0';
    buf_truncate(&body, 0);
}

static void on_data(struct link_stream *s, bytes in)
{
    link_stream_consume(s, in.len);
    CHECK_OK(buf_add(&body, in));
}

static void answer(struct link_stream *s, bytes content)
{
    CHECK_OK(link_respond(s, 200, NULL, 0, false));
    CHECK_OK(link_stream_write(s, content, true));
}

static void answer_bundle(struct link_stream *s)
{
    struct json *root = NULL;
    bytes text = { 0 };
    BUF_AUTO nonce = BUF(64);
    CHECK_OK(json_read(&root, buf_view(&body), 2));
    CHECK(json_text(json_get(root, "nonce"), &text));
    CHECK_OK(text_base64url_decode(&nonce, text));
    CHECK(nonce.len == sizeof scene.nonce);
    memcpy(scene.nonce, nonce.at, nonce.len);
    json_free(root);
    scene_make(&scene);
    looks++;
    answer(s, buf_view(&scene.bundle));
}

static void on_end(struct link_stream *s)
{
    BUF_AUTO name = BUF(256);
    if (body.len > 0 && holds) {
        held = s;
        return;
    }
    if (body.len > 0) {
        answer_bundle(s);
        return;
    }
    CHECK_OK(text_hex_encode(&name, BYTES_ARRAY(digest)));
    if (text_find(bytes_str(path), buf_view(&name)) < strlen(path)) {
        answer(s, buf_view(&document));
        return;
    }
    BUF_AUTO json = BUF(256);
    CHECK_OK(buf_addf(&json, "{\"document\":\"%s\"}", buf_str(&name)));
    answer(s, buf_view(&json));
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    (void)why;
    held = held == s ? NULL : held;
}

static const struct link_events WORKER_EVENTS = {
    .request = on_request, .data = on_data, .end = on_end, .closed = on_closed
};

static void make_worker(void)
{
    struct bundle b;
    struct sock_addr at;
    struct link_limits limits = { 0 };
    const struct key_config config =
        verdict_config(1, KEM_X25519_HKDF_SHA256, BYTES_ARRAY(verdict_x25519));
    key_list = BUF(4096);
    document = BUF(BUNDLE_MAX);
    body = BUF(4096);
    CHECK_OK(keylist_write(&key_list, &config, 1, KEYLIST_PREFIXED));
    scene_open(&scene);
    scene.quoted_at = clock_wall_s();
    scene.statement.not_before = (uint64_t)clock_wall_s() - 60;
    scene.statement.not_after = (uint64_t)clock_wall_s() + 3600;
    scene.statement.key_list = buf_view(&key_list);
    scene_make(&scene);
    CHECK_OK(buf_add(&document, buf_view(&scene.document)));
    CHECK_OK(evidence_document_read(buf_view(&document), &b));
    CHECK_OK(evidence_document_digest(&b, digest));
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(link_listen(&worker, loop, &at, NULL, &limits, &WORKER_EVENTS, NULL));
}

/* ---- the stage ---- */

static void on_published(void *owner, struct trust_view *v)
{
    CHECK(owner == &view);
    views++;
    trust_view_ref(v);
    trust_view_unref(view);
    view = v;
}

static const struct policy *read_policy(const char *yaml)
{
    BUF_AUTO message = BUF(1024);
    CHECK(policies_n < ARRAY_LEN(policies));
    if (!err_is_ok(policy_read(&policies[policies_n], bytes_str(yaml), "p", &message)))
        fail_msg("%s", buf_str(&message));
    return policies[policies_n++];
}

static int open_stage(void **state)
{
    static char address[64];
    const struct store_settings settings = { .path = ":memory:" };
    (void)state;
    CHECK_OK(loop_new(&loop));
    CHECK_OK(store_open(&store, &settings));
    make_worker();
    looks = views = 0;
    holds = false;
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", link_listener_addr(worker)->port);
    struct worker_set *set = worker_set_of(NULL, (const char *const[]){ address }, 1);
    CHECK_OK(trust_new(&trust, loop,
                       &(struct trust_settings){ .workers = set,
                                                 .policy = read_policy(ANY),
                                                 .refresh_s = 300,
                                                 .store = store,
                                                 .published = on_published,
                                                 .owner = &view }));
    worker_set_unref(set);
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    trust_free(trust);
    trust = NULL;
    trust_view_unref(view);
    view = NULL;
    link_listener_free(worker);
    held = NULL;
    store_close(store);
    loop_free(loop);
    scene_close(&scene);
    buf_clear(&key_list);
    buf_clear(&document);
    buf_clear(&body);
    while (policies_n > 0)
        policy_free(policies[--policies_n]);
    return 0;
}

static struct trusted *in_use(void)
{
    return view != NULL ? view->workers[0] : NULL;
}

static bool page_says(const char *text)
{
    return view != NULL && text_find(buf_view(&view->page), bytes_str(text)) < view->page.len;
}

/* ---- */

static void a_worker_that_fits_stays_in_use_and_is_looked_at_again(void **state)
{
    (void)state;
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
    struct trusted *before = in_use();
    trust_use_policy(trust, read_policy(US));
    CHECK(in_use() == before && !trusted_is_withdrawn(before));
    CHECK(page_says("{\"rule\":\"worker_names\",\"status\":\"pass\""));
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != before);
    CHECK(in_use() != NULL && looks == 2);
}

static void a_worker_that_does_not_fit_is_out_when_the_call_returns(void **state)
{
    (void)state;
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
    struct trusted *before = trusted_ref(in_use());
    trust_use_policy(trust, read_policy(NOBODY));
    CHECK(in_use() == NULL && trusted_is_withdrawn(before) && looks == 1);
    CHECK(page_says("{\"rule\":\"worker_names\",\"status\":\"fail\""));
    trusted_unref(before);
    TURN_UNTIL(loop, PATIENCE_MS, looks == 2);
    unsigned seen = views;
    TURN_UNTIL(loop, PATIENCE_MS, views > seen);
    CHECK(in_use() == NULL);
}

static void one_that_was_refused_is_asked_again_at_once(void **state)
{
    (void)state;
    trust_use_policy(trust, read_policy(LATER));
    TURN_UNTIL(loop, PATIENCE_MS, page_says("{\"rule\":\"minimum_software\",\"status\":\"fail\""));
    CHECK(in_use() == NULL);
    trust_use_policy(trust, read_policy(ANY));
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
}

static void without_a_policy_nobody_is_used_or_asked(void **state)
{
    (void)state;
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
    struct trusted *before = trusted_ref(in_use());
    trust_use_policy(trust, NULL);
    CHECK(in_use() == NULL && trusted_is_withdrawn(before) && looks == 1);
    trusted_unref(before);
    trust_hurry(trust, 0);
    uint64_t until = clock_steady_ms() + 700; /* longer than any look is put off */
    while (clock_steady_ms() < until) {
        turn_once(loop);
        (void)poll(NULL, 0, 5);
    }
    CHECK(in_use() == NULL && looks == 1);
    trust_use_policy(trust, read_policy(ANY));
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
    CHECK(looks == 2);
}

static void what_was_asked_for_one_policy_is_not_judged_by_another(void **state)
{
    (void)state;
    holds = true;
    TURN_UNTIL(loop, PATIENCE_MS, held != NULL);
    trust_use_policy(trust, read_policy(NOBODY));
    TURN_UNTIL(loop, PATIENCE_MS, held == NULL); /* it was given up */
    holds = false;
    TURN_UNTIL(loop, PATIENCE_MS,
               looks == 1 && page_says("{\"rule\":\"worker_names\",\"status\":\"fail\""));
    CHECK(in_use() == NULL);
}

static void a_document_that_no_longer_fits_ends_its_worker(void **state)
{
    (void)state;
    TURN_UNTIL(loop, PATIENCE_MS, in_use() != NULL);
    struct trusted *before = trusted_ref(in_use());
    document.at[document.len - 1] ^= 1; /* what is fetched again is another one */
    trust_use_policy(trust, read_policy(US));
    CHECK(in_use() == before);
    TURN_UNTIL(loop, PATIENCE_MS, in_use() == NULL);
    CHECK(trusted_is_withdrawn(before));
    trusted_unref(before);
}

static int init(void **state)
{
    (void)state;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_worker_that_fits_stays_in_use_and_is_looked_at_again),
        TEST(a_worker_that_does_not_fit_is_out_when_the_call_returns),
        TEST(one_that_was_refused_is_asked_again_at_once),
        TEST(without_a_policy_nobody_is_used_or_asked),
        TEST(what_was_asked_for_one_policy_is_not_judged_by_another),
        TEST(a_document_that_no_longer_fits_ends_its_worker),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}
