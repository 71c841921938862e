/* One genuine GPU: what it needs is planned, checked, joined, and is what nvgpu_examine() lacked. */
#include "attest/collateral_parts.h"
#include "attest/nvgpu_policy.h"
#include "attest/nvgpu_rim.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/recorded_gpu.h"

enum { LARGE = 1024 * 1024, ANSWERS = 3, MANIFESTS = 2, HOUR_S = 3600, DAY_S = 86400 };

static struct recorded_gpu gpu;
static struct collateral_plan plan;
static struct collateral_piece pieces[COLLATERAL_NEEDS_MAX];

#define NEEDS_VECTORS()                                                                            \
    (void)state;                                                                                   \
    if (law_vectors() == NULL)                                                                     \
    skip()

static void make_plan(void)
{
    collateral_plan_clear(&plan);
    CHECK_OK(collateral_plan_make(&plan, &gpu.bundle, gpu.policy, gpu.at));
}

static void names_what_is_missing(void **state)
{
    NEEDS_VECTORS();
    make_plan();
    CHECK(plan.n == RECORDED_GPU_PIECES && plan.cpu_n == 0);
    for (size_t i = 0; i < ANSWERS; i++) {
        CHECK(plan.needs[i].kind == COLLATERAL_NVGPU_OCSP);
        CHECK(strcmp(plan.needs[i].path, "/") == 0 && plan.needs[i].asked_len > 0);
        CHECK(strlen(plan.needs[i].key) == strlen("nvgpu-ocsp-") + 64);
    }
    CHECK(strcmp(plan.needs[3].path, "/v1/rim/NV_GPU_VBIOS_1010_0200_882_96009F0001") == 0);
    CHECK(strcmp(plan.needs[3].key, "nvgpu-rim-nv-gpu-vbios-1010-0200-882-96009f0001") == 0);
    CHECK(strcmp(plan.needs[4].path, "/v1/rim/NV_GPU_DRIVER_GH100_550.90.07") == 0);
    CHECK(strcmp(plan.needs[4].key, "nvgpu-rim-nv-gpu-driver-gh100-550-90-07") == 0);
}

static void manifests_are_named(enum nvgpu_kind kind, const char *device, size_t n,
                                const char *vbios, const char *driver)
{
    struct collateral_plan other;
    recorded_gpu_use(&gpu, kind, device);
    gpu.policy->nvidia->revocation = false;
    CHECK_OK(collateral_plan_make(&other, &gpu.bundle, gpu.policy, gpu.at));
    CHECK(other.n == n);
    assert_string_equal(other.needs[0].path, vbios);
    if (driver != NULL)
        assert_string_equal(other.needs[1].path, driver);
    collateral_plan_clear(&other);
    gpu.policy->nvidia->revocation = true;
    recorded_gpu_use(&gpu, NVGPU_GPU, "gpu/gh100-550.90.07");
}

/* As NVIDIA's own tools name them. */
static void names_manifests_of_other_devices(void **state)
{
    NEEDS_VECTORS();
    manifests_are_named(NVGPU_GPU, "gpu/gb100-590.48.01", 2,
                        "/v1/rim/NV_GPU_VBIOS_G525_0220_886_9700E40011",
                        "/v1/rim/NV_GPU_CC_DRIVER_GB100_590.48.01");
    manifests_are_named(NVGPU_SWITCH, "switch/ls10-nvswitch", 1,
                        "/v1/rim/NV_SWITCH_BIOS_5612_0002_890_9610550001", NULL);
}

static void finds_a_genuine_piece_for_every_need(void **state)
{
    NEEDS_VECTORS();
    make_plan();
    for (size_t i = 0; i < plan.n; i++) {
        int64_t expires;
        pieces[i].body = recorded_gpu_piece(&gpu, &plan, i);
        CHECK(pieces[i].body.len > 0);
        CHECK_OK(collateral_check(&plan.needs[i], &pieces[i], collateral_plan_issuer(&plan, i),
                                  gpu.at, &expires));
        CHECK(expires > gpu.at);
        CHECK(plan.needs[i].kind == COLLATERAL_NVGPU_RIM || expires <= gpu.at + DAY_S);
    }
}

static enum nvgpu_reason compare(const struct nvgpu_bundle *b)
{
    struct nvgpu_rim *rims = mem_alloc(MANIFESTS * sizeof *rims);
    struct nvgpu_result *device = mem_alloc(sizeof *device);
    struct nvgpu_settings s = { .at_s = gpu.at };
    CHECK(rims != NULL && device != NULL && b->rims_n == MANIFESTS);
    for (size_t i = 0; i < MANIFESTS; i++)
        CHECK_OK(nvgpu_rim_verify(b->rims[i], &s, &rims[i]));
    CHECK(nvgpu_parse(b->devices[0].evidence, &device->report));
    s.nonce = device->report.request_nonce;
    CHECK_OK(nvgpu_verify(&b->devices[0], &s, device));
    enum nvgpu_reason why = nvgpu_rim_compare(device, NVGPU_GPU, rims, MANIFESTS, NULL);
    for (size_t i = 0; i < MANIFESTS; i++)
        nvgpu_rim_clear(&rims[i]);
    mem_free(device);
    mem_free(rims);
    return why;
}

/* Joined, it is all that the verifier looks for; carried, nothing is missing any more. */
static void joins_to_what_the_verifier_takes(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO cpu = BUF(LARGE);
    BUF_AUTO joined = BUF(LARGE);
    BUF_AUTO carrying = BUF(LARGE);
    struct bundle b = gpu.bundle;
    struct nvgpu_bundle *whole = mem_alloc(sizeof *whole);
    CHECK(whole != NULL);
    finds_a_genuine_piece_for_every_need(state);
    CHECK_OK(collateral_join(&cpu, &plan, &gpu.bundle, pieces));
    CHECK(cpu.len == 0);
    CHECK_OK(collateral_join_gpu(&joined, &plan, pieces));
    CHECK_OK(nvgpu_bundle_read(gpu.bundle.gpu_evidence, whole));
    CHECK_OK(nvgpu_collateral_add(buf_view(&joined), whole));
    CHECK(whole->ocsp_n == ANSWERS && compare(whole) == NVGPU_OK);
    CHECK_OK(nvgpu_bundle_write(&carrying, whole));
    mem_free(whole);
    b.gpu_evidence = buf_view(&carrying);
    collateral_plan_clear(&plan);
    CHECK_OK(collateral_plan_make(&plan, &b, gpu.policy, gpu.at));
    CHECK(plan.n == 0);
    buf_truncate(&joined, 0);
    CHECK_OK(collateral_join_gpu(&joined, &plan, pieces));
    CHECK(joined.len == 0);
}

static size_t needs_of(const struct bundle *b, int64_t now)
{
    struct collateral_plan other;
    CHECK_OK(collateral_plan_make(&other, b, gpu.policy, now));
    size_t n = other.n;
    collateral_plan_clear(&other);
    return n;
}

static void asks_only_what_the_policy_wants(void **state)
{
    NEEDS_VECTORS();
    gpu.policy->nvidia->revocation = false;
    CHECK(needs_of(&gpu.bundle, gpu.at) == MANIFESTS);
    gpu.policy->nvidia->manifests = false;
    CHECK(needs_of(&gpu.bundle, gpu.at) == 0);
    gpu.policy->nvidia->revocation = true;
    CHECK(needs_of(&gpu.bundle, gpu.at) == ANSWERS);
    gpu.policy->nvidia->manifests = true;
    struct collateral_plan other;
    CHECK_OK(collateral_plan_make(&other, &gpu.bundle, NULL, gpu.at));
    CHECK(other.n == 0);
    collateral_plan_clear(&other);
}

/* Whatever is wrong with the device, NVIDIA hears nothing of it. */
static void asks_nothing_about_a_device_that_is_not_genuine(void **state)
{
    NEEDS_VECTORS();
    struct bundle b = gpu.bundle;
    BUF_AUTO evidence = BUF(LARGE);
    CHECK_OK(buf_add(&evidence, gpu.bundle.gpu_evidence));
    b.gpu_evidence = buf_view(&evidence);
    CHECK(needs_of(&b, gpu.at) == RECORDED_GPU_PIECES);
    for (size_t i = 1; i < evidence.len; i += 97) {
        evidence.at[i] ^= 1;
        size_t n = needs_of(&b, gpu.at);
        /* The root comes as it is: a pinned one takes its place. */
        if (n != 0 && n != RECORDED_GPU_PIECES)
            fail_msg("byte %zu: %zu needs", i, n);
        evidence.at[i] ^= 1;
    }
    CHECK(needs_of(&b, 0) == 0);
    gpu.policy->nvidia->gpus = 0;
    CHECK(needs_of(&b, gpu.at) == 0);
    gpu.policy->nvidia->gpus = 1;
}

static err check(size_t need, bytes body, int64_t at)
{
    int64_t expires;
    const struct collateral_piece piece = { .body = body };
    return collateral_check(&plan.needs[need], &piece, collateral_plan_issuer(&plan, need), at,
                            &expires);
}

static void refuses_wrong_pieces(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO body = BUF(COLLATERAL_RIM_MAX);
    finds_a_genuine_piece_for_every_need(state);
    for (size_t i = 0; i < plan.n; i++) {
        bool rim = plan.needs[i].kind == COLLATERAL_NVGPU_RIM;
        for (size_t k = 0; k < plan.n; k++) {
            if (k != i)
                CHECK(!err_is_ok(check(i, pieces[k].body, gpu.at)));
        }
        int64_t late_s = (int64_t)(rim ? 2000 : 2) * DAY_S;
        CHECK_ERR(check(i, pieces[i].body, gpu.at + late_s), STALE);
        CHECK(!err_is_ok(check(i, pieces[i].body, 0)));
        for (size_t at = 0; at < pieces[i].body.len; at += rim ? 997 : 41) {
            buf_truncate(&body, 0);
            CHECK_OK(buf_add(&body, pieces[i].body));
            body.at[at] ^= 4;
            if (err_is_ok(check(i, buf_view(&body), gpu.at)))
                fail_msg("need %zu, byte %zu", i, at);
        }
    }
    CHECK_ERR(check(0, BYTES_LIT("\x30\x03\x0a\x01\x03"), gpu.at), UNTRUSTED); /* tryLater */
}

/* That somebody revoked a certificate is for the verifier to see; that nobody knows it is no answer. */
static void an_answer_is_bound_to_its_certificate(void **state)
{
    NEEDS_VECTORS();
    int64_t expires;
    finds_a_genuine_piece_for_every_need(state);
    struct collateral_need other = plan.needs[0];
    bytes pair = collateral_plan_issuer(&plan, 0);
    other.key[sizeof "nvgpu-ocsp-"] ^= 1;
    CHECK_ERR(collateral_check(&other, &pieces[0], pair, gpu.at, &expires), UNTRUSTED);
    pair.len--;
    CHECK(!err_is_ok(collateral_check(&plan.needs[0], &pieces[0], pair, gpu.at, &expires)));
    CHECK_ERR(collateral_check(&plan.needs[0], &pieces[0], (bytes){ 0 }, gpu.at, &expires),
              MALFORMED);
}

static void only_ocsp_is_posted(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO content = BUF(COLLATERAL_REQUEST_MAX);
    const char *media = "";
    make_plan();
    CHECK_OK(collateral_request(&content, &plan.needs[3], (bytes){ 0 }, &media));
    CHECK(media == NULL && content.len == 0);
    CHECK_OK(collateral_request(&content, &plan.needs[0], collateral_plan_asked(&plan, 0), &media));
    CHECK(strcmp(media, "application/ocsp-request") == 0 && content.len > 100);
    CHECK_ERR(collateral_request(&content, &plan.needs[0], BYTES_LIT("\x30\x00"), &media),
              MALFORMED);
}

static err take(const char *body, struct buf *out)
{
    BUF_AUTO chain = BUF(16);
    buf_truncate(out, 0);
    return collateral_take(COLLATERAL_NVGPU_RIM, bytes_str(body), (bytes){ 0 }, out, &chain);
}

static void takes_a_manifest_out_of_its_json(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(COLLATERAL_RIM_MAX);
    CHECK_OK(take("{\"id\":\"X\",\"rim\":\"PHg+PC94Pg==\",\"sha256\":\"00\"}", &out));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("<x></x>"));
    CHECK_OK(take("<x></x>", &out));
    CHECK_BYTES(buf_view(&out), BYTES_LIT("<x></x>"));
    CHECK_ERR(take("{\"id\":\"X\"}", &out), MALFORMED);
    CHECK_ERR(take("{\"rim\":7}", &out), MALFORMED);
    CHECK_ERR(take("{\"rim\":\"***\"}", &out), MALFORMED);
    CHECK(!err_is_ok(take("not found", &out)));
}

static err plan_and_join(void *arg)
{
    struct collateral_plan made;
    BUF_AUTO joined = BUF(LARGE);
    (void)arg;
    err e = collateral_plan_make(&made, &gpu.bundle, gpu.policy, gpu.at);
    CHECK(!err_is_ok(e) || made.n == RECORDED_GPU_PIECES);
    if (err_is_ok(e))
        e = collateral_join_gpu(&joined, &made, pieces);
    collateral_plan_clear(&made);
    return e;
}

static void survives_every_failed_allocation(void **state)
{
    NEEDS_VECTORS();
    finds_a_genuine_piece_for_every_need(state);
    law_every_allocation_fails_once(plan_and_join, NULL);
}

static int open_all(void **state)
{
    (void)state;
    (void)recorded_gpu_open(&gpu);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    collateral_plan_clear(&plan);
    recorded_gpu_close(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_is_missing),
        cmocka_unit_test(names_manifests_of_other_devices),
        cmocka_unit_test(finds_a_genuine_piece_for_every_need),
        cmocka_unit_test(joins_to_what_the_verifier_takes),
        cmocka_unit_test(asks_only_what_the_policy_wants),
        cmocka_unit_test(asks_nothing_about_a_device_that_is_not_genuine),
        cmocka_unit_test(refuses_wrong_pieces),
        cmocka_unit_test(an_answer_is_bound_to_its_certificate),
        cmocka_unit_test(only_ocsp_is_posted),
        cmocka_unit_test(takes_a_manifest_out_of_its_json),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, open_all, close_all);
}
