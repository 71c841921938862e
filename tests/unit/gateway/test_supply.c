/*
 * The recorded collateral of the vectors, played by an HTTPS server on the same loop; the clock is
 * turned to the time of the recording.
 */
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/snp_verify.h"
#include "attest/tdx_verify.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "gateway/supply.h"
#include "tests/lib/turn.h"
#include "tests/unit/attest/recorded.h"
#include "tests/unit/attest/recorded_gpu.h"
#include "tests/unit/gateway/vendor.h"

#define A_TDX "v4-b0c06f-uptodate"
#define AN_SNP "turin-v5"

#define TCB_PATH "/tdx/certification/v4/tcb?fmspc=b0c06f000000"
#define QE_PATH "/tdx/certification/v4/qe/identity"
#define PCK_CRL_PATH "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
#define DRIVER_PATH "/v1/rim/NV_GPU_DRIVER_GH100_550.90.07"
#define ROOT_CRL_PATH "/sgx/certification/v4/rootcacrl"

enum { PATIENCE_MS = 20000, ASKS = 8, SHORT_MS = 100, PATH_LEN = 512 };

static char files[64] = "/tmp/sealgate-supply-XXXXXX"; /* certificates of the server */
static char ca[128], other_ca[128];
static char folder[128]; /* where pieces are kept */
static struct recorded tdx, snp;
static struct recorded_gpu gpu;
static char vcek_path[COLLATERAL_PATH_MAX + 1];
static struct loop *loop;
static struct vendor vendor;
static struct supply *supply;

/* ---- the stage ---- */

static void play(const struct recorded *r)
{
    struct collateral_plan plan;
    struct collateral_piece pieces[COLLATERAL_NEEDS_MAX] = { 0 };
    CHECK_OK(collateral_plan_make(&plan, &r->bundle, NULL, r->at));
    CHECK(plan.n > 0);
    recorded_pieces(r, &plan, pieces);
    for (size_t i = 0; i < plan.n; i++) {
        struct vendor_route *route = vendor_route(&vendor, plan.needs[i].path, pieces[i].body);
        const char *header = collateral_header(plan.needs[i].kind);
        if (header != NULL)
            vendor_add_field(route, header, pieces[i].chain);
        if (plan.needs[i].kind == COLLATERAL_SNP_VCEK)
            memcpy(vcek_path, plan.needs[i].path, sizeof vcek_path);
    }
    collateral_plan_clear(&plan);
}

/* Manifests come as the service sends them, in JSON. */
static void play_gpu(void)
{
    struct collateral_plan plan;
    CHECK_OK(collateral_plan_make(&plan, &gpu.bundle, gpu.policy, gpu.at));
    CHECK(plan.n == RECORDED_GPU_PIECES);
    for (size_t i = 0; i < plan.n; i++) {
        const char *media;
        BUF_AUTO content = BUF(COLLATERAL_REQUEST_MAX);
        BUF_AUTO body = BUF(COLLATERAL_RIM_MAX);
        bytes piece = recorded_gpu_piece(&gpu, &plan, i);
        CHECK_OK(
            collateral_request(&content, &plan.needs[i], collateral_plan_asked(&plan, i), &media));
        if (media != NULL) {
            vendor_route_post(&vendor, plan.needs[i].path, buf_view(&content), piece);
            continue;
        }
        CHECK_OK(buf_add_str(&body, "{\"rim\":\""));
        CHECK_OK(text_base64_encode(&body, piece));
        CHECK_OK(buf_add_str(&body, "\"}"));
        vendor_route(&vendor, plan.needs[i].path, buf_view(&body));
    }
    collateral_plan_clear(&plan);
}

static struct supply_settings usual(void)
{
    return (struct supply_settings){ .folder = folder,
                                     .intel = vendor.base,
                                     .amd = vendor.base,
                                     .ocsp = vendor.base,
                                     .rim = vendor.base,
                                     .nras = vendor.base,
                                     .ca_path = ca };
}

static void restart_with(const struct supply_settings *settings)
{
    supply_close(supply);
    supply = NULL;
    CHECK_OK(supply_open(&supply, loop, settings));
}

static void restart(void)
{
    const struct supply_settings settings = usual();
    restart_with(&settings);
}

static void at_time(int64_t unix_s)
{
    clock_shift_wall_s(0);
    clock_shift_wall_s(unix_s - clock_wall_s());
}

static int open_stage(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    CHECK(mkdir(folder, 0700) == 0);
    at_time(tdx.at);
    CHECK_OK(loop_new(&loop));
    vendor_open(&vendor, loop, files);
    play(&tdx);
    play(&snp);
    play_gpu();
    supply = NULL;
    restart();
    return 0;
}

static int close_stage(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    supply_close(supply);
    vendor_close(&vendor);
    loop_free(loop);
    clock_shift_wall_s(0);
    vendor_remove(folder);
    return 0;
}

/* ---- asking ---- */

struct asking {
    struct supply_ask ask;
    bool done;
    err e;
    struct buf collateral;
    struct buf gpu;
};

static struct asking askings[ASKS];

static void on_done(struct supply_ask *ask, err e, bytes collateral, bytes for_gpu)
{
    struct asking *a = CONTAINER_OF(ask, struct asking, ask);
    CHECK(!a->done);
    a->done = true;
    a->e = e;
    CHECK_OK(buf_add(&a->collateral, collateral));
    CHECK_OK(buf_add(&a->gpu, for_gpu));
}

static void begin(struct asking *a, const struct bundle *b)
{
    buf_clear(&a->collateral);
    buf_clear(&a->gpu);
    *a =
        (struct asking){ .collateral = BUF(BUNDLE_COLLATERAL_MAX), .gpu = BUF(COLLATERAL_GPU_MAX) };
    CHECK_OK(supply_ask(supply, &a->ask, b, gpu.policy, on_done));
    CHECK(!a->done);
}

static err ask(const struct recorded *r)
{
    struct asking *a = &askings[0];
    begin(a, &r->bundle);
    TURN_UNTIL(loop, PATIENCE_MS, a->done);
    return a->e;
}

/* Nothing that was begun is still under way. */
static void settle(void)
{
    TURN_UNTIL(loop, PATIENCE_MS, supply_under_way(supply) == 0);
}

static struct vendor_route *route(const char *path)
{
    for (size_t i = 0; i < vendor.routes_n; i++) {
        if (strcmp(vendor.routes[i].path, path) == 0)
            return &vendor.routes[i];
    }
    fail_msg("no route %s", path);
    return NULL;
}

static size_t files_kept(void)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    for (struct dirent *f; (f = readdir(d)) != NULL;)
        n += f->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static const char *kept(const char *key)
{
    static char path[PATH_LEN];
    (void)snprintf(path, sizeof path, "%s/%s.cbor", folder, key);
    return path;
}

static void tdx_holds(void)
{
    struct tdx_collateral c;
    struct tdx_result *result;
    CHECK_OK(tdx_collateral_read(buf_view(&askings[0].collateral), &c));
    CHECK_OK(mem_new(&result));
    CHECK_OK(tdx_verify(
        &(struct tdx_input){ .quote = buf_view(&tdx.evidence), .collateral = &c, .now = tdx.at },
        result));
    CHECK(result->accepted);
    mem_free(result);
}

static void snp_holds(void)
{
    struct snp_collateral c = { 0 };
    struct snp_policy lax = snp_policy_default;
    struct snp_result result;
    lax.reported = (struct snp_minimum){ 0 };
    CHECK_OK(snp_collateral_read(&c, buf_view(&askings[0].collateral)));
    CHECK_OK(snp_verify(buf_view(&snp.evidence), &c,
                        &(struct snp_settings){ .policy = &lax, .now = snp.at }, &result));
    CHECK(result.accepted);
    snp_collateral_clear(&c);
}

#define NEEDS_VECTORS()                                                                            \
    (void)state;                                                                                   \
    if (law_vectors() == NULL)                                                                     \
    skip()

/* ---- when all is well ---- */

static void gives_what_a_quote_needs(void **state)
{
    NEEDS_VECTORS();
    struct stat about;
    CHECK_OK(ask(&tdx));
    tdx_holds();
    CHECK(vendor.asked == 4 && supply_requests(supply) == 4 && files_kept() == 4);
    CHECK(stat(kept("tdx-root-crl"), &about) == 0 && (about.st_mode & 0777) == 0600);
}

static void gives_what_a_report_needs(void **state)
{
    NEEDS_VECTORS();
    at_time(snp.at);
    CHECK_OK(ask(&snp));
    snp_holds();
    CHECK(vendor.asked == 3 && files_kept() == 3);
}

static void asks_nobody_for_what_is_at_hand(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask(&tdx));
    for (int i = 0; i < 5; i++)
        CHECK_OK(ask(&tdx));
    tdx_holds();
    settle();
    CHECK(vendor.asked == 4);
}

static void fetches_once_for_all_who_ask(void **state)
{
    NEEDS_VECTORS();
    for (int i = 0; i < ASKS; i++)
        begin(&askings[i], &tdx.bundle);
    for (int i = 0; i < ASKS; i++)
        TURN_UNTIL(loop, PATIENCE_MS, askings[i].done);
    for (int i = 0; i < ASKS; i++) {
        CHECK_OK(askings[i].e);
        CHECK_BYTES(buf_view(&askings[i].collateral), buf_view(&askings[0].collateral));
    }
    tdx_holds();
    CHECK(vendor.asked == 4);
}

static void asks_nobody_after_a_restart(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask(&tdx));
    restart();
    CHECK_OK(ask(&tdx));
    tdx_holds();
    settle();
    CHECK(vendor.asked == 4 && supply_requests(supply) == 0);
}

static void keeps_nothing_without_a_folder(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    settings.folder = NULL;
    restart_with(&settings);
    CHECK_OK(ask(&tdx));
    CHECK(files_kept() == 0);
    restart_with(&settings);
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 8);
}

static void needs_nothing_for_other_platforms(void **state)
{
    NEEDS_VECTORS();
    const struct bundle b = { .platform = BYTES_LIT("simulated"), .evidence = BYTES_LIT("x") };
    begin(&askings[0], &b);
    TURN_UNTIL(loop, PATIENCE_MS, askings[0].done);
    CHECK_OK(askings[0].e);
    CHECK(askings[0].collateral.len == 0 && vendor.asked == 0);
}

static void works_in_the_clear_with_a_cache_nearby(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    vendor_close(&vendor);
    vendor_open(&vendor, loop, NULL);
    play(&tdx);
    settings.intel = vendor.base;
    settings.ca_path = NULL;
    restart_with(&settings);
    CHECK_OK(ask(&tdx));
    tdx_holds();
}

/* ---- what is kept is checked ---- */

static void fetches_anew_what_was_changed_on_disk(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO file = BUF(COLLATERAL_ENTRY_MAX);
    CHECK_OK(ask(&tdx));
    CHECK_OK(file_read(&file, kept("tdx-pck-crl-platform")));
    file.at[file.len / 2] ^= 1;
    CHECK_OK(file_write(kept("tdx-pck-crl-platform"), buf_view(&file)));
    CHECK_OK(file_write(kept("tdx-qe-identity"), BYTES_LIT("garbage")));
    restart();
    CHECK_OK(ask(&tdx));
    tdx_holds();
    CHECK(vendor.asked == 6);
    restart();
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 6);
}

static void takes_no_file_for_another(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO file = BUF(COLLATERAL_ENTRY_MAX);
    CHECK_OK(ask(&tdx));
    CHECK_OK(file_read(&file, kept("tdx-root-crl")));
    CHECK_OK(file_write(kept("tdx-pck-crl-platform"), buf_view(&file)));
    restart();
    CHECK_OK(ask(&tdx));
    tdx_holds();
    CHECK(vendor.asked == 5);
}

static void works_where_it_cannot_write(void **state)
{
    NEEDS_VECTORS();
    CHECK(mkdir(kept("tdx-qe-identity"), 0700) == 0);
    CHECK_OK(ask(&tdx));
    tdx_holds();
    CHECK(files_kept() == 4);
    restart();
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 5);
}

/* ---- when something is wrong ---- */

/* The ask fails so, nothing wrong is kept, and nobody is asked again at once. */
static void fails_with(enum err_code code, const char *key)
{
    err e = ask(&tdx);
    if (e.code != code)
        fail_msg("got %s", err_word(e));
    settle();
    unsigned asked = vendor.asked;
    CHECK(access(kept(key), F_OK) != 0);
    CHECK(ask(&tdx).code == code);
    settle();
    CHECK(vendor.asked == asked);
}

static void refuses_a_document_for_another_platform(void **state)
{
    NEEDS_VECTORS();
    struct recorded other;
    recorded_open(&other, "tdx", "v4-00806f-gcp-uptodate");
    struct vendor_route *r =
        vendor_route(&vendor, TCB_PATH, buf_view(&other.body[COLLATERAL_TCB_INFO]));
    vendor_add_field(r, "TCB-Info-Issuer-Chain", buf_view(&other.chain));
    recorded_close(&other);
    fails_with(ERR_UNTRUSTED, "tdx-tcb-info-b0c06f000000");
}

static void refuses_a_page_of_a_captive_portal(void **state)
{
    NEEDS_VECTORS();
    vendor_route(&vendor, ROOT_CRL_PATH, BYTES_LIT("<html>please log in</html>"));
    fails_with(ERR_MALFORMED, "tdx-root-crl");
}

static void refuses_a_flipped_bit(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(QE_PATH);
    r->body.at[r->body.len / 2] ^= 1;
    err e = ask(&tdx);
    CHECK(e.code == ERR_CRYPTO || e.code == ERR_MALFORMED);
    fails_with(e.code, "tdx-qe-identity");
}

static void refuses_a_document_without_its_issuer_chain(void **state)
{
    NEEDS_VECTORS();
    route(TCB_PATH)->fields[0] = '\0';
    fails_with(ERR_MALFORMED, "tdx-tcb-info-b0c06f000000");
}

static void refuses_a_stale_answer(void **state)
{
    NEEDS_VECTORS();
    at_time(tdx.at + INT64_C(60) * 86400);
    fails_with(ERR_STALE, "tdx-tcb-info-b0c06f000000");
}

static void refuses_a_huge_answer(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(TCB_PATH);
    CHECK_OK(buf_add_zeros(&r->body, 2 * (size_t)COLLATERAL_BODY_MAX));
    fails_with(ERR_LIMIT, "tdx-tcb-info-b0c06f000000");
    restart();
    r->manner = VENDOR_STREAMS;
    fails_with(ERR_LIMIT, "tdx-tcb-info-b0c06f000000");
}

static void refuses_a_cut_answer(void **state)
{
    NEEDS_VECTORS();
    route(PCK_CRL_PATH)->manner = VENDOR_CUTS;
    fails_with(ERR_CLOSED, "tdx-pck-crl-platform");
}

static void gives_up_on_a_slow_answer(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    settings.whole_ms = SHORT_MS;
    restart_with(&settings);
    route(PCK_CRL_PATH)->manner = VENDOR_HANGS;
    fails_with(ERR_TIMEOUT, "tdx-pck-crl-platform");
}

static void goes_to_no_other_host(void **state)
{
    NEEDS_VECTORS();
    static struct vendor elsewhere;
    vendor_open(&elsewhere, loop, files);
    struct vendor_route *r = route(TCB_PATH);
    r->status = 302;
    (void)snprintf(r->fields, sizeof r->fields, "Location: %s/x\r\n", elsewhere.base);
    fails_with(ERR_UNAVAILABLE, "tdx-tcb-info-b0c06f000000");
    CHECK(elsewhere.asked == 0);
    vendor_close(&elsewhere);
}

static void says_when_the_service_knows_nothing(void **state)
{
    NEEDS_VECTORS();
    route(TCB_PATH)->status = 404;
    fails_with(ERR_NOT_FOUND, "tdx-tcb-info-b0c06f000000");
}

static void trusts_only_servers_of_the_given_roots(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    settings.ca_path = other_ca;
    restart_with(&settings);
    fails_with(ERR_UNTRUSTED, "tdx-tcb-info-b0c06f000000");
    CHECK(vendor.asked == 0);
}

static void keeps_no_leaf_of_another_chip(void **state)
{
    NEEDS_VECTORS();
    struct recorded other;
    at_time(snp.at);
    recorded_open(&other, "sev-snp", "milan-v2");
    vendor_route(&vendor, vcek_path, buf_view(&other.body[COLLATERAL_SNP_VCEK]));
    recorded_close(&other);
    CHECK_ERR(ask(&snp), UNTRUSTED);
    CHECK(files_kept() == 2);
    CHECK_ERR(ask(&snp), UNTRUSTED);
    CHECK(vendor.asked == 3);
}

/* ---- overload ---- */

static void leaves_a_service_alone_for_as_long_as_it_asks(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(TCB_PATH);
    r->status = 429;
    (void)snprintf(r->fields, sizeof r->fields, "Retry-After: 3600\r\n");
    CHECK_ERR(ask(&tdx), UNAVAILABLE);
    settle();
    unsigned asked = vendor.asked;
    /* The others had been asked for at the same time; nothing new goes there. */
    for (int i = 0; i < 5; i++)
        CHECK_ERR(ask(&tdx), UNAVAILABLE);
    settle();
    CHECK(vendor.asked == asked && r->asked == 1);
    /* The other vendor is another service. */
    at_time(snp.at);
    CHECK_OK(ask(&snp));
}

static void comes_back_when_the_time_is_over(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(TCB_PATH);
    r->status = 503;
    (void)snprintf(r->fields, sizeof r->fields, "Retry-After: 1\r\n");
    CHECK_ERR(ask(&tdx), UNAVAILABLE);
    play(&tdx);
    uint64_t give_up = clock_steady_ms() + PATIENCE_MS;
    while (!err_is_ok(ask(&tdx))) {
        CHECK(clock_steady_ms() < give_up);
        (void)poll(NULL, 0, 10);
    }
    tdx_holds();
    CHECK(r->asked == 2 && vendor.asked == 5);
}

/* ---- renewal ---- */

static void renews_ahead_while_the_present_serves(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 4);
    at_time(tdx.at + 13 * 3600);
    CHECK_OK(ask(&tdx));
    tdx_holds();
    settle();
    CHECK(vendor.asked == 8);
    CHECK_OK(ask(&tdx));
    settle();
    CHECK(vendor.asked == 8);
    restart();
    CHECK_OK(ask(&tdx));
    settle();
    CHECK(vendor.asked == 8);
}

static void keeps_the_present_when_the_new_one_is_wrong(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask(&tdx));
    for (size_t i = 0; i < vendor.routes_n; i++)
        vendor.routes[i].body.at[vendor.routes[i].body.len / 2] ^= 1;
    at_time(tdx.at + 13 * 3600);
    CHECK_OK(ask(&tdx));
    settle();
    CHECK_OK(ask(&tdx));
    tdx_holds();
    settle();
    CHECK(vendor.asked == 8);
    restart();
    CHECK_OK(ask(&tdx));
    tdx_holds();
}

static void uses_nothing_after_its_end(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask(&tdx));
    at_time(tdx.at + INT64_C(60) * 86400);
    for (size_t i = 0; i < vendor.routes_n; i++)
        vendor.routes[i].status = 500;
    err e = ask(&tdx);
    CHECK(e.code == ERR_UNAVAILABLE || e.code == ERR_STALE);
    CHECK(askings[0].collateral.len == 0);
}

/* ---- offline ---- */

static void lives_on_the_folder_when_offline(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    settings.offline = true;
    restart_with(&settings);
    CHECK_ERR(ask(&tdx), NOT_FOUND);
    restart();
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 4);
    restart_with(&settings);
    CHECK_OK(ask(&tdx));
    tdx_holds();
    at_time(tdx.at + 13 * 3600);
    CHECK_OK(ask(&tdx));
    at_time(tdx.at + INT64_C(60) * 86400);
    CHECK_ERR(ask(&tdx), STALE);
    settle();
    CHECK(vendor.asked == 4 && files_kept() == 4);
}

static void sees_what_is_put_into_the_folder_when_offline(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO file = BUF(COLLATERAL_ENTRY_MAX);
    struct supply_settings settings = usual();
    CHECK_OK(ask(&tdx));
    CHECK_OK(file_read(&file, kept("tdx-root-crl")));
    CHECK(unlink(kept("tdx-root-crl")) == 0);
    settings.offline = true;
    restart_with(&settings);
    CHECK_ERR(ask(&tdx), NOT_FOUND);
    CHECK_OK(file_write(kept("tdx-root-crl"), buf_view(&file)));
    CHECK_OK(ask(&tdx));
}

/* ---- GPUs ---- */

static err ask_gpu(void)
{
    at_time(gpu.at);
    begin(&askings[0], &gpu.bundle);
    TURN_UNTIL(loop, PATIENCE_MS, askings[0].done);
    return askings[0].e;
}

static void gpu_holds(void)
{
    struct collateral_plan plan;
    struct nvgpu_bundle *whole;
    struct bundle b = gpu.bundle;
    BUF_AUTO evidence = BUF(COLLATERAL_GPU_MAX);
    CHECK_OK(mem_new(&whole));
    CHECK_OK(nvgpu_bundle_read(gpu.bundle.gpu_evidence, whole));
    CHECK_OK(nvgpu_collateral_add(buf_view(&askings[0].gpu), whole));
    CHECK_OK(nvgpu_bundle_write(&evidence, whole));
    mem_free(whole);
    b.gpu_evidence = buf_view(&evidence);
    CHECK_OK(collateral_plan_make(&plan, &b, gpu.policy, gpu.at));
    CHECK(plan.n == 0 && askings[0].collateral.len == 0);
    collateral_plan_clear(&plan);
}

static void gives_what_a_gpu_needs(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask_gpu());
    gpu_holds();
    CHECK(vendor.asked == RECORDED_GPU_PIECES && files_kept() == RECORDED_GPU_PIECES);
    restart();
    CHECK_OK(ask_gpu());
    gpu_holds();
    CHECK(vendor.asked == RECORDED_GPU_PIECES);
}

/* Both kinds of evidence in one bundle: each gets its own. */
static void gives_what_a_cpu_and_its_gpu_need(void **state)
{
    NEEDS_VECTORS();
    struct bundle b = gpu.bundle;
    b.platform = snp.bundle.platform;
    b.evidence = snp.bundle.evidence;
    at_time(gpu.at);
    struct collateral_plan plan;
    CHECK_OK(collateral_plan_make(&plan, &b, gpu.policy, gpu.at));
    CHECK(plan.cpu_n == 3 && plan.n == 3 + RECORDED_GPU_PIECES);
    collateral_plan_clear(&plan);
    CHECK_OK(ask_gpu());
    begin(&askings[1], &b);
    TURN_UNTIL(loop, PATIENCE_MS, askings[1].done);
    if (err_is_ok(askings[1].e)) {
        CHECK(askings[1].collateral.len > 0);
        CHECK_BYTES(buf_view(&askings[1].gpu), buf_view(&askings[0].gpu));
    } else {
        CHECK(askings[1].e.code == ERR_STALE); /* the recorded list is of another time */
    }
    CHECK(route(DRIVER_PATH)->asked == 1);
}

static struct vendor_route *answer_route(void)
{
    for (size_t i = 0; i < vendor.routes_n; i++) {
        if (vendor.routes[i].content.len > 0)
            return &vendor.routes[i];
    }
    fail_msg("no route for OCSP");
    return NULL;
}

static void gpu_fails_with(enum err_code code)
{
    err e = ask_gpu();
    if (e.code != code)
        fail_msg("got %s", err_word(e));
    settle();
    unsigned asked = vendor.asked;
    CHECK(ask_gpu().code == code && files_kept() <= RECORDED_GPU_PIECES - 1);
    settle();
    CHECK(vendor.asked == asked);
}

static void refuses_wrong_answers_about_gpus(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO other = BUF(COLLATERAL_OCSP_MAX);
    struct vendor_route *r = answer_route();
    CHECK_OK(buf_add(&other, buf_view(&(r + 1)->body)));
    buf_truncate(&r->body, 0);
    CHECK_OK(buf_add(&r->body, buf_view(&other)));
    gpu_fails_with(ERR_UNTRUSTED);
}

static void refuses_an_unsigned_try_later(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = answer_route();
    buf_truncate(&r->body, 0);
    CHECK_OK(buf_add(&r->body, BYTES_LIT("\x30\x03\x0a\x01\x03")));
    gpu_fails_with(ERR_UNTRUSTED);
}

static void refuses_a_huge_manifest(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(DRIVER_PATH);
    CHECK_OK(buf_add_zeros(&r->body, COLLATERAL_RIM_MAX));
    gpu_fails_with(ERR_LIMIT);
}

static void refuses_a_changed_manifest(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = route(DRIVER_PATH);
    r->body.at[r->body.len / 3] ^= 1;
    err e = ask_gpu();
    CHECK(e.code == ERR_CRYPTO || e.code == ERR_MALFORMED);
    gpu_fails_with(e.code);
}

static void does_without_gpus_when_manifests_are_slow(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    settings.whole_ms = SHORT_MS;
    restart_with(&settings);
    route(DRIVER_PATH)->manner = VENDOR_SILENT;
    CHECK_ERR(ask_gpu(), TIMEOUT);
    at_time(tdx.at);
    CHECK_OK(ask(&tdx));
    tdx_holds();
}

static void asks_about_gpus_again_before_answers_end(void **state)
{
    NEEDS_VECTORS();
    CHECK_OK(ask_gpu());
    unsigned asked = vendor.asked;
    at_time(gpu.at + INT64_C(16) * 3600);
    begin(&askings[0], &gpu.bundle);
    TURN_UNTIL(loop, PATIENCE_MS, askings[0].done);
    CHECK_OK(askings[0].e);
    settle();
    CHECK(vendor.asked == asked + 3);
    at_time(gpu.at + INT64_C(30) * 3600); /* the recorded answers are over */
    begin(&askings[0], &gpu.bundle);
    TURN_UNTIL(loop, PATIENCE_MS, askings[0].done);
    CHECK_ERR(askings[0].e, STALE);
}

/* ---- NVIDIA's service ---- */

static struct recorded_gpu served;
static struct buf nras_answer, nras_keys;

static struct vendor_route *play_service(void)
{
    struct collateral_plan plan;
    const char *media;
    BUF_AUTO content = BUF(COLLATERAL_REQUEST_MAX);
    CHECK(recorded_gpu_open(&served));
    recorded_gpu_use_nras(&served, &nras_answer, &nras_keys);
    CHECK_OK(collateral_plan_make(&plan, &served.bundle, served.policy, served.at));
    CHECK(plan.n == 2);
    CHECK_OK(collateral_request(&content, &plan.needs[1], collateral_plan_asked(&plan, 1), &media));
    vendor_route(&vendor, plan.needs[0].path, buf_view(&nras_keys));
    struct vendor_route *r =
        vendor_route_post(&vendor, plan.needs[1].path, buf_view(&content), buf_view(&nras_answer));
    collateral_plan_clear(&plan);
    at_time(served.at);
    return r;
}

static void stop_service(void)
{
    buf_clear(&nras_answer);
    buf_clear(&nras_keys);
    recorded_gpu_close(&served);
}

static err ask_service(void)
{
    struct asking *a = &askings[0];
    buf_clear(&a->collateral);
    buf_clear(&a->gpu);
    *a =
        (struct asking){ .collateral = BUF(BUNDLE_COLLATERAL_MAX), .gpu = BUF(COLLATERAL_GPU_MAX) };
    CHECK_OK(supply_ask(supply, &a->ask, &served.bundle, served.policy, on_done));
    TURN_UNTIL(loop, PATIENCE_MS, a->done);
    return a->e;
}

/* It belongs to one look: used by whoever asks within it, not kept, and gone when nobody does. */
static void asks_the_service_at_each_look(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = play_service();
    CHECK_OK(ask_service());
    CHECK(text_find(buf_view(&askings[0].gpu), buf_view(&nras_answer)) < askings[0].gpu.len);
    CHECK(vendor.asked == 2 && files_kept() == 0 && supply_pieces(supply) == 1);
    CHECK_OK(ask_service());
    CHECK(r->asked == 2 && vendor.asked == 3);
    at_time(served.at + COLLATERAL_FLEETING_S + 5);
    CHECK_OK(ask_service());
    CHECK(r->asked == 3 && vendor.asked == 5);
    stop_service();
}

static void refuses_what_the_service_did_not_sign(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = play_service();
    r->body.at[r->body.len / 2] ^= 1;
    err e = ask_service();
    CHECK(e.code == ERR_CRYPTO || e.code == ERR_MALFORMED);
    unsigned asked = vendor.asked;
    CHECK(ask_service().code == e.code);
    CHECK(vendor.asked == asked && files_kept() == 0);
    stop_service();
}

static void leaves_an_overloaded_service_alone(void **state)
{
    NEEDS_VECTORS();
    struct vendor_route *r = play_service();
    r->status = 429;
    vendor_add_field(r, "Retry-After", BYTES_LIT("60"));
    CHECK_ERR(ask_service(), UNAVAILABLE);
    unsigned asked = vendor.asked;
    CHECK_ERR(ask_service(), UNAVAILABLE);
    CHECK(vendor.asked == asked);
    stop_service();
}

static void knows_no_service_when_offline(void **state)
{
    NEEDS_VECTORS();
    struct supply_settings settings = usual();
    (void)play_service();
    CHECK_OK(ask_service());
    settings.offline = true;
    restart_with(&settings);
    CHECK_ERR(ask_service(), NOT_FOUND);
    stop_service();
}

/* ---- bounds, and going ---- */

static void forgets_who_cancels(void **state)
{
    NEEDS_VECTORS();
    begin(&askings[0], &tdx.bundle);
    supply_cancel(&askings[0].ask);
    begin(&askings[1], &tdx.bundle);
    TURN_UNTIL(loop, PATIENCE_MS, vendor.asked > 0);
    if (!askings[1].done)
        supply_cancel(&askings[1].ask);
    supply_cancel(&askings[1].ask);
    settle();
    CHECK(!askings[0].done);
    /* What was on its way serves the next. */
    CHECK_OK(ask(&tdx));
    CHECK(vendor.asked == 4);
}

static void is_closed_in_the_middle(void **state)
{
    NEEDS_VECTORS();
    route(TCB_PATH)->manner = VENDOR_SILENT;
    begin(&askings[0], &tdx.bundle);
    begin(&askings[1], &tdx.bundle);
    TURN_UNTIL(loop, PATIENCE_MS, route(TCB_PATH)->asked > 0);
    supply_close(supply);
    supply = NULL;
    CHECK(!askings[0].done && !askings[1].done);
    restart();
}

/* Reports of many chips, which nobody has signed: each costs one request and no memory for ever. */
static void bounds_what_it_remembers(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO report = BUF(SNP_REPORT_LEN);
    struct bundle b = snp.bundle;
    at_time(snp.at);
    CHECK_OK(buf_add(&report, snp.bundle.evidence));
    b.evidence = buf_view(&report);
    for (unsigned i = 0; i < SUPPLY_PIECES_MAX + 8; i++) {
        report.at[0x1a0] = (uint8_t)i;
        report.at[0x1a1] = (uint8_t)(0x80U | i >> 8);
        begin(&askings[0], &b);
        TURN_UNTIL(loop, PATIENCE_MS, askings[0].done);
        CHECK_ERR(askings[0].e, NOT_FOUND);
    }
    CHECK(supply_pieces(supply) == SUPPLY_PIECES_MAX);
    CHECK(files_kept() == 2);
    CHECK_OK(ask(&snp));
}

static void refuses_settings_it_cannot_use(void **state)
{
    NEEDS_VECTORS();
    struct supply *s;
    struct supply_settings settings = { .offline = true };
    CHECK_ERR(supply_open(&s, loop, &settings), CONFIG);
    settings = (struct supply_settings){ .folder = ca };
    CHECK_ERR(supply_open(&s, loop, &settings), CONFIG);
    settings = (struct supply_settings){ .intel = "ftp://x" };
    CHECK_ERR(supply_open(&s, loop, &settings), CONFIG);
    settings = (struct supply_settings){ .amd = "kdsintf.amd.com" };
    CHECK_ERR(supply_open(&s, loop, &settings), CONFIG);
    settings = (struct supply_settings){ .ca_path = "/does/not/exist" };
    CHECK_ERR(supply_open(&s, loop, &settings), CONFIG);
    settings = (struct supply_settings){ 0 };
    CHECK_OK(supply_open(&s, loop, &settings));
    supply_close(s);
}

static int open_recorded(void **state)
{
    (void)state;
    if (law_vectors() == NULL)
        return 0;
    recorded_open(&tdx, "tdx", A_TDX);
    recorded_open(&snp, "sev-snp", AN_SNP);
    CHECK(recorded_gpu_open(&gpu));
    return 0;
}

static int close_recorded(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASKS; i++) {
        buf_clear(&askings[i].collateral);
        buf_clear(&askings[i].gpu);
    }
    recorded_gpu_close(&gpu);
    recorded_close(&tdx);
    recorded_close(&snp);
    return 0;
}

#define ON_STAGE(test) cmocka_unit_test_setup_teardown(test, open_stage, close_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STAGE(gives_what_a_quote_needs),
        ON_STAGE(gives_what_a_report_needs),
        ON_STAGE(asks_nobody_for_what_is_at_hand),
        ON_STAGE(fetches_once_for_all_who_ask),
        ON_STAGE(asks_nobody_after_a_restart),
        ON_STAGE(keeps_nothing_without_a_folder),
        ON_STAGE(needs_nothing_for_other_platforms),
        ON_STAGE(works_in_the_clear_with_a_cache_nearby),
        ON_STAGE(fetches_anew_what_was_changed_on_disk),
        ON_STAGE(takes_no_file_for_another),
        ON_STAGE(works_where_it_cannot_write),
        ON_STAGE(refuses_a_document_for_another_platform),
        ON_STAGE(refuses_a_page_of_a_captive_portal),
        ON_STAGE(refuses_a_flipped_bit),
        ON_STAGE(refuses_a_document_without_its_issuer_chain),
        ON_STAGE(refuses_a_stale_answer),
        ON_STAGE(refuses_a_huge_answer),
        ON_STAGE(refuses_a_cut_answer),
        ON_STAGE(gives_up_on_a_slow_answer),
        ON_STAGE(goes_to_no_other_host),
        ON_STAGE(says_when_the_service_knows_nothing),
        ON_STAGE(trusts_only_servers_of_the_given_roots),
        ON_STAGE(keeps_no_leaf_of_another_chip),
        ON_STAGE(leaves_a_service_alone_for_as_long_as_it_asks),
        ON_STAGE(comes_back_when_the_time_is_over),
        ON_STAGE(renews_ahead_while_the_present_serves),
        ON_STAGE(keeps_the_present_when_the_new_one_is_wrong),
        ON_STAGE(uses_nothing_after_its_end),
        ON_STAGE(lives_on_the_folder_when_offline),
        ON_STAGE(sees_what_is_put_into_the_folder_when_offline),
        ON_STAGE(gives_what_a_gpu_needs),
        ON_STAGE(gives_what_a_cpu_and_its_gpu_need),
        ON_STAGE(refuses_wrong_answers_about_gpus),
        ON_STAGE(refuses_an_unsigned_try_later),
        ON_STAGE(refuses_a_huge_manifest),
        ON_STAGE(refuses_a_changed_manifest),
        ON_STAGE(does_without_gpus_when_manifests_are_slow),
        ON_STAGE(asks_about_gpus_again_before_answers_end),
        ON_STAGE(asks_the_service_at_each_look),
        ON_STAGE(refuses_what_the_service_did_not_sign),
        ON_STAGE(leaves_an_overloaded_service_alone),
        ON_STAGE(knows_no_service_when_offline),
        ON_STAGE(forgets_who_cancels),
        ON_STAGE(is_closed_in_the_middle),
        ON_STAGE(bounds_what_it_remembers),
        ON_STAGE(refuses_settings_it_cannot_use),
    };
    if (!err_is_ok(crypto_init()) || mkdtemp(files) == NULL)
        return 1;
    vendor_make_files(files);
    (void)snprintf(ca, sizeof ca, "%s/ca.pem", files);
    (void)snprintf(other_ca, sizeof other_ca, "%s/other.pem", files);
    (void)snprintf(folder, sizeof folder, "%s/kept", files);
    int failed = cmocka_run_group_tests(tests, open_recorded, close_recorded);
    vendor_remove(files);
    return failed;
}
