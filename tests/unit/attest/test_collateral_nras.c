/* A recorded answer of NVIDIA's service about a genuine GPU: asked for, checked, joined. */
#include "attest/collateral_parts.h"
#include "attest/nvgpu_nras.h"
#include "attest/nvgpu_policy.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/recorded_gpu.h"

enum { LARGE = 1024 * 1024, HOUR_S = 3600, NONCE_AT = 4 };

static struct recorded_gpu gpu;
static struct buf answer, jwks;
static struct collateral_plan plan;

#define NEEDS_VECTORS()                                                                            \
    (void)state;                                                                                   \
    if (law_vectors() == NULL)                                                                     \
    skip()

static void make_plan(void)
{
    collateral_plan_clear(&plan);
    CHECK_OK(collateral_plan_make(&plan, &gpu.bundle, gpu.policy, gpu.at));
}

static void needs_keys_and_then_an_answer(void **state)
{
    NEEDS_VECTORS();
    make_plan();
    CHECK(plan.n == 2 && plan.cpu_n == 0);
    CHECK(plan.needs[0].kind == COLLATERAL_NVGPU_JWKS && plan.needs[0].issuer == -1);
    assert_string_equal(plan.needs[0].path, "/.well-known/jwks.json");
    CHECK(plan.needs[1].kind == COLLATERAL_NVGPU_NRAS && plan.needs[1].issuer == 0);
    assert_string_equal(plan.needs[1].path, "/v4/attest/gpu");
    CHECK(bytes_starts(bytes_str(plan.needs[1].key), BYTES_LIT("nvgpu-nras-1-931d8dd0add203ac")));
    CHECK(collateral_is_fleeting(COLLATERAL_NVGPU_JWKS) &&
          collateral_is_fleeting(COLLATERAL_NVGPU_NRAS) &&
          !collateral_is_fleeting(COLLATERAL_NVGPU_OCSP));
    gpu.policy->nvidia->nras = false;
    make_plan();
    CHECK(plan.n == 0);
    gpu.policy->nvidia->nras = true;
}

static bytes text_of(const struct json *value)
{
    bytes text = { 0 };
    CHECK(json_text(value, &text));
    return text;
}

/* The question says what the evidence says, and carries it and its certificates. */
static void asks_with_the_evidence(void **state)
{
    NEEDS_VECTORS();
    struct json *root;
    struct pem_certs certs;
    const char *media = NULL;
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    BUF_AUTO question = BUF(COLLATERAL_REQUEST_MAX);
    BUF_AUTO evidence = BUF(LARGE);
    BUF_AUTO chain = BUF(LARGE);
    CHECK(b != NULL);
    CHECK_OK(nvgpu_bundle_read(gpu.bundle.gpu_evidence, b));
    make_plan();
    CHECK_OK(
        collateral_request(&question, &plan.needs[1], collateral_plan_asked(&plan, 1), &media));
    assert_string_equal(media, "application/json");
    CHECK_OK(json_read(&root, buf_view(&question), JSON_DEPTH_MAX));
    CHECK_BYTES(text_of(json_get(root, "arch")), BYTES_LIT("HOPPER"));
    CHECK_BYTES(text_of(json_get(root, "claims_version")), BYTES_LIT("3.0"));
    CHECK_BYTES(text_of(json_get(root, "nonce")),
                BYTES_LIT("931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"));
    const struct json *list = json_get(root, "evidence_list");
    CHECK(json_len(list) == 1);
    CHECK_OK(text_base64_decode(&evidence, text_of(json_get(json_at(list, 0), "evidence"))));
    CHECK_BYTES(buf_view(&evidence), b->devices[0].evidence);
    CHECK_OK(text_base64_decode(&chain, text_of(json_get(json_at(list, 0), "certificate"))));
    CHECK_OK(pem_read_certs(&certs, buf_view(&chain)));
    CHECK(certs.n == b->devices[0].certs_n);
    for (size_t i = 0; i < certs.n; i++)
        CHECK_BYTES(certs.certs[i], b->devices[0].certs[i]);
    pem_clear(&certs);
    json_free(root);
    mem_free(b);
}

static err check_answer(bytes body, bytes keys, int64_t at)
{
    int64_t expires = 0;
    const struct collateral_piece piece = { .body = body };
    err e = collateral_check(&plan.needs[1], &piece, keys, at, &expires);
    CHECK(!err_is_ok(e) || expires == at + COLLATERAL_FLEETING_S);
    return e;
}

static void takes_an_answer_to_this_question_only(void **state)
{
    NEEDS_VECTORS();
    make_plan();
    bytes good = buf_view(&answer), keys = buf_view(&jwks);
    CHECK_OK(check_answer(good, keys, gpu.at));
    CHECK_ERR(check_answer(good, keys, gpu.at + 2 * HOUR_S), STALE);
    CHECK_ERR(check_answer(good, keys, gpu.at - 2 * HOUR_S), STALE);
    CHECK_ERR(check_answer(good, BYTES_LIT("{\"keys\":[]}"), gpu.at), UNTRUSTED);
    CHECK_ERR(check_answer(good, BYTES_LIT("<html>"), gpu.at), MALFORMED);
    CHECK_ERR(check_answer(BYTES_LIT("<html>"), keys, gpu.at), MALFORMED);
    char *digit = &plan.needs[1].key[sizeof "nvgpu-nras-1-" - 1];
    *digit = *digit == '0' ? '1' : '0';
    CHECK_ERR(check_answer(good, keys, gpu.at), UNTRUSTED);
    memcpy(plan.needs[1].key, "x", 2);
    CHECK_ERR(check_answer(good, keys, gpu.at), UNTRUSTED);
}

/* That the service covers fewer GPUs than there are is for the verifier to see. */
static void what_the_service_found_is_not_for_here(void **state)
{
    NEEDS_VECTORS();
    make_plan();
    plan.needs[1].key[sizeof "nvgpu-nras-" - 1] = '2';
    CHECK_OK(check_answer(buf_view(&answer), buf_view(&jwks), gpu.at));
}

static void any_changed_byte_is_refused(void **state)
{
    NEEDS_VECTORS();
    BUF_AUTO body = BUF(NRAS_ANSWER_MAX);
    make_plan();
    CHECK_OK(buf_add(&body, buf_view(&answer)));
    for (size_t i = 0; i < body.len; i += 7) {
        body.at[i] ^= 1;
        if (err_is_ok(check_answer(buf_view(&body), buf_view(&jwks), gpu.at)))
            fail_msg("byte %zu does not count", i);
        body.at[i] ^= 1;
    }
}

static void keys_are_a_set_of_keys(void **state)
{
    NEEDS_VECTORS();
    int64_t expires = 0;
    make_plan();
    struct collateral_piece piece = { .body = buf_view(&jwks) };
    CHECK_OK(collateral_check(&plan.needs[0], &piece, (bytes){ 0 }, 5, &expires));
    CHECK(expires == 5 + COLLATERAL_FLEETING_S);
    piece.body = BYTES_LIT("{\"keys\":7}");
    CHECK_ERR(collateral_check(&plan.needs[0], &piece, (bytes){ 0 }, 5, &expires), MALFORMED);
}

/* What the verifier gets says what the service said of this nonce. */
static void joins_answer_and_keys(void **state)
{
    NEEDS_VECTORS();
    struct nras_result result;
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    BUF_AUTO joined = BUF(LARGE);
    const struct collateral_piece pieces[] = { { .body = buf_view(&jwks) },
                                               { .body = buf_view(&answer) } };
    CHECK(b != NULL);
    make_plan();
    CHECK_OK(collateral_join_gpu(&joined, &plan, pieces));
    CHECK_OK(nvgpu_bundle_read(gpu.bundle.gpu_evidence, b));
    CHECK_OK(nvgpu_collateral_add(buf_view(&joined), b));
    const struct nras_query query = { .answer = b->nras,
                                      .jwks = b->jwks,
                                      .issuer = BYTES_LIT(NRAS_SERVICE),
                                      .nonce = bytes_slice(b->devices[0].evidence, NONCE_AT,
                                                           NRAS_NONCE_LEN),
                                      .at_s = gpu.at,
                                      .expected_gpus = 1 };
    CHECK_OK(nras_verify(&query, &result));
    CHECK(result.reason == NRAS_OK);
    nras_clear(&result);
    mem_free(b);
}

/* A chip that the service has no name for is not asked about. */
static void asks_only_about_chips_it_can_name(void **state)
{
    NEEDS_VECTORS();
    struct collateral_plan other = { .asked = BUF(COLLATERAL_ASKED_MAX) };
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    static const uint8_t nonce[NRAS_NONCE_LEN];
    CHECK(b != NULL);
    CHECK_ERR(collateral_plan_nras(&other, b, BYTES_LIT("AD102"), BYTES_ARRAY(nonce)), UNSUPPORTED);
    CHECK_OK(collateral_plan_nras(&other, b, BYTES_LIT("GB100 A01"), BYTES_ARRAY(nonce)));
    CHECK(text_find(buf_view(&other.asked), BYTES_LIT("BLACKWELL")) < other.asked.len);
    collateral_plan_clear(&other);
    mem_free(b);
}

static err plan_once(void *arg)
{
    struct collateral_plan made;
    (void)arg;
    err e = collateral_plan_make(&made, &gpu.bundle, gpu.policy, gpu.at);
    CHECK(!err_is_ok(e) || made.n == 2);
    collateral_plan_clear(&made);
    return e;
}

static void survives_every_failed_allocation(void **state)
{
    NEEDS_VECTORS();
    law_every_allocation_fails_once(plan_once, NULL);
}

static int open_all(void **state)
{
    (void)state;
    if (recorded_gpu_open(&gpu))
        recorded_gpu_use_nras(&gpu, &answer, &jwks);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    collateral_plan_clear(&plan);
    buf_clear(&answer);
    buf_clear(&jwks);
    recorded_gpu_close(&gpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_keys_and_then_an_answer),
        cmocka_unit_test(asks_with_the_evidence),
        cmocka_unit_test(takes_an_answer_to_this_question_only),
        cmocka_unit_test(what_the_service_found_is_not_for_here),
        cmocka_unit_test(any_changed_byte_is_refused),
        cmocka_unit_test(keys_are_a_set_of_keys),
        cmocka_unit_test(joins_answer_and_keys),
        cmocka_unit_test(asks_only_about_chips_it_can_name),
        cmocka_unit_test(survives_every_failed_allocation),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, open_all, close_all);
}
