/*
 * A worker that serves a recorded quote without collateral, and the vendor's service beside it, both
 * on the gateway's own loop. The quote binds no key of ours, so with all collateral at hand it is
 * refused for its binding and nothing else: how far the checks came tells what was at hand.
 */
#include <stdio.h>
#include <stdlib.h>

#include "attest/claims.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/init.h"
#include "gateway/supply.h"
#include "gateway/trust.h"
#include "tests/lib/turn.h"
#include "tests/unit/attest/recorded.h"
#include "tests/unit/gateway/vendor.h"
#include "tests/unit/gateway/worker_sets.h"
#include "wire/link.h"

enum { PATIENCE_MS = 20000 };

static char files[64] = "/tmp/sealgate-trust-XXXXXX";
static char ca[128];
static struct recorded tdx;
static struct loop *loop;
static struct vendor vendor;
static struct supply *supply;
static struct store *store;
static struct link_listener *worker;
static struct buf bundle;
static unsigned looks; /* bundles that were asked for */
static struct policy *policy;
static struct trust *trust;
static struct buf page; /* the latest */

/* ---- the worker ---- */

static void make_bundle(void)
{
    static const uint8_t filler[32] = { 1 };
    BUF_AUTO claims = BUF(CLAIMS_MAX);
    CHECK_OK(claims_write(&claims, &(struct claims){ .model = BYTES_LIT("demo"),
                                                     .worker = BYTES_LIT("w1"),
                                                     .software = BYTES_LIT("0.1.0"),
                                                     .model_version = BYTES_LIT("1") }));
    bundle = BUF(BUNDLE_MAX);
    CHECK_OK(bundle_write(&bundle, &(struct bundle){ .nonce = BYTES_ARRAY(filler),
                                                     .claims = buf_view(&claims),
                                                     .version = BUNDLE_VERSION,
                                                     .evidence = tdx.bundle.evidence,
                                                     .identity = BYTES_ARRAY(filler),
                                                     .platform = tdx.bundle.platform,
                                                     .key_statement = BYTES_LIT("none") }));
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    (void)k;
    (void)owner;
    (void)s;
    CHECK_BYTES(req->method, BYTES_LIT("POST"));
}

static void on_data(struct link_stream *s, bytes in)
{
    link_stream_consume(s, in.len);
}

static void on_end(struct link_stream *s)
{
    looks++;
    CHECK_OK(link_respond(s, 200, NULL, 0, false));
    CHECK_OK(link_stream_write(s, buf_view(&bundle), true));
}

static const struct link_events WORKER_EVENTS = { .request = on_request,
                                                  .data = on_data,
                                                  .end = on_end };

/* ---- the stage ---- */

static void play(void)
{
    struct collateral_plan plan;
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    CHECK_OK(collateral_plan_make(&plan, &tdx.bundle, NULL, tdx.at));
    recorded_pieces(&tdx, &plan, pieces);
    for (size_t i = 0; i < plan.n; i++) {
        struct vendor_route *route = vendor_route(&vendor, plan.needs[i].path, pieces[i].body);
        const char *header = collateral_header(plan.needs[i].kind);
        if (header != NULL)
            vendor_add_field(route, header, pieces[i].chain);
    }
    collateral_plan_clear(&plan);
}

static int open_stage(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    struct sock_addr at;
    const struct store_settings settings = { .path = ":memory:" };
    clock_shift_wall_s(tdx.at - clock_wall_s());
    CHECK_OK(loop_new(&loop));
    vendor_open(&vendor, loop, files);
    play();
    CHECK_OK(supply_open(
        &supply, loop,
        &(struct supply_settings){ .intel = vendor.base, .amd = vendor.base, .ca_path = ca }));
    CHECK_OK(store_open(&store, &settings));
    CHECK_OK(sock_addr_read(BYTES_LIT("127.0.0.1:0"), &at));
    CHECK_OK(
        link_listen(&worker, loop, &at, NULL, &(struct link_limits){ 0 }, &WORKER_EVENTS, NULL));
    page = BUF(1024 * 1024);
    looks = 0;
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    trust_free(trust);
    trust = NULL;
    link_listener_free(worker);
    supply_close(supply);
    store_close(store);
    policy_free(policy);
    policy = NULL;
    vendor_close(&vendor);
    loop_free(loop);
    buf_clear(&page);
    clock_shift_wall_s(0);
    return 0;
}

static void on_published(void *owner, struct trust_view *view)
{
    CHECK(owner == &page && view->workers[0] == NULL);
    buf_truncate(&page, 0);
    CHECK_OK(buf_add(&page, buf_view(&view->page)));
}

static void start(const char *platform, const char *reg, struct supply *with)
{
    static char address[64];
    BUF_AUTO yaml = BUF(4096);
    BUF_AUTO message = BUF(4096);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", link_listener_addr(worker)->port);
    CHECK_OK(buf_addf(&yaml, "platforms: [%s]\nmeasurements:\n  %s: [%096d]\n", platform, reg, 1));
    err e = policy_read(&policy, buf_view(&yaml), "policy", &message);
    if (!err_is_ok(e))
        fail_msg("%s", buf_str(&message));
    struct worker_set *set = worker_set_of(NULL, (const char *const[]){ address }, 1);
    CHECK_OK(trust_new(&trust, loop,
                       &(struct trust_settings){ .workers = set,
                                                 .policy = policy,
                                                 .refresh_s = 300,
                                                 .supply = with,
                                                 .store = store,
                                                 .published = on_published,
                                                 .owner = &page }));
    worker_set_unref(set);
}

/* The word at that place of the page about the worker, in the named check if there is one. */
static bool page_says(const char *check, const char *key, const char *value)
{
    struct json *root = NULL;
    bytes text = { 0 };
    if (page.len == 0)
        return false;
    CHECK_OK(json_read(&root, buf_view(&page), JSON_DEPTH_MAX));
    const struct json *at = json_at(json_get(root, "data"), 0);
    const struct json *checks = json_get(json_get(at, "verdict"), "checks");
    for (size_t i = 0; check != NULL && i < json_len(checks); i++) {
        at = json_at(checks, i);
        if (json_text(json_get(at, "check"), &text) && bytes_equal(text, bytes_str(check)))
            break;
    }
    bool says = json_text(json_get(at, key), &text) &&
                (value == NULL || bytes_equal(text, bytes_str(value)));
    json_free(root);
    return says;
}

#define NEEDS_VECTORS()                                                                            \
    (void)state;                                                                                   \
    if (law_vectors() == NULL)                                                                     \
    skip()

/* ---- */

static void judges_with_collateral_that_the_worker_lacks(void **state)
{
    NEEDS_VECTORS();
    start("tdx", "mrtd", supply);
    TURN_UNTIL(loop, PATIENCE_MS, page_says("binding", "status", "fail"));
    CHECK(page_says("form", "status", "pass") && page_says("signature", "status", "pass"));
    CHECK(page_says(NULL, "quarantine", NULL) && !page_says(NULL, "quarantine", "not_asked"));
    CHECK(vendor.asked == 4 && looks == 1);
}

static void asks_no_vendor_for_another_look(void **state)
{
    NEEDS_VECTORS();
    start("tdx", "mrtd", supply);
    TURN_UNTIL(loop, PATIENCE_MS, page_says("binding", "status", "fail"));
    buf_truncate(&page, 0);
    trust_hurry(trust, 0);
    TURN_UNTIL(loop, PATIENCE_MS, looks == 2 && page_says("binding", "status", "fail"));
    CHECK(vendor.asked == 4);
}

static void refuses_without_a_supply(void **state)
{
    NEEDS_VECTORS();
    start("tdx", "mrtd", NULL);
    TURN_UNTIL(loop, PATIENCE_MS, page_says("form", "status", "fail"));
    CHECK(vendor.asked == 0);
}

static void asks_no_vendor_about_a_platform_nobody_accepts(void **state)
{
    NEEDS_VECTORS();
    start("sev-snp", "measurement", supply);
    TURN_UNTIL(loop, PATIENCE_MS, page_says("form", "status", "fail"));
    CHECK(vendor.asked == 0);
}

static void has_no_verdict_when_the_vendor_fails(void **state)
{
    NEEDS_VECTORS();
    for (size_t i = 0; i < vendor.routes_n; i++)
        vendor.routes[i].status = 503;
    start("tdx", "mrtd", supply);
    TURN_UNTIL(loop, PATIENCE_MS, page_says(NULL, "trouble", NULL));
    CHECK(!page_says("form", "status", NULL));
    CHECK(page_says(NULL, "quarantine", NULL) && !page_says(NULL, "quarantine", "not_asked"));
    /* When it is there again, so is the verdict. */
    play();
    TURN_UNTIL(loop, PATIENCE_MS, page_says("binding", "status", "fail"));
}

static void is_freed_while_it_waits_for_the_vendor(void **state)
{
    NEEDS_VECTORS();
    for (size_t i = 0; i < vendor.routes_n; i++)
        vendor.routes[i].manner = VENDOR_SILENT;
    start("tdx", "mrtd", supply);
    TURN_UNTIL(loop, PATIENCE_MS, vendor.asked > 0);
    trust_free(trust);
    trust = NULL;
    for (int i = 0; i < 10; i++)
        turn_once(loop);
}

static int open_recorded(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    recorded_open(&tdx, "tdx", "v4-b0c06f-uptodate");
    make_bundle();
    return 0;
}

static int close_recorded(void **state)
{
    (void)state;
    recorded_close(&tdx);
    buf_clear(&bundle);
    return 0;
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(judges_with_collateral_that_the_worker_lacks),
        ON_STAGE(asks_no_vendor_for_another_look),
        ON_STAGE(refuses_without_a_supply),
        ON_STAGE(asks_no_vendor_about_a_platform_nobody_accepts),
        ON_STAGE(has_no_verdict_when_the_vendor_fails),
        ON_STAGE(is_freed_while_it_waits_for_the_vendor),
    };
    if (!err_is_ok(crypto_init()) || mkdtemp(files) == NULL)
        return 1;
    vendor_make_files(files);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", files);
    int failed = cmocka_run_group_tests(tests, open_recorded, close_recorded);
    vendor_remove(files);
    return failed;
}
