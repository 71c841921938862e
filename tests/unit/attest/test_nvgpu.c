#include "attest/nvgpu.h"
#include "attest/policy.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

enum { LARGE = 256 * 1024 };

#define PCR                                                                                        \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbcc"   \
    "ddeeff"

static struct nvgpu_maker m;
static struct policy *policy;
static struct bundle bundle;
static struct buf evidence;
static struct nvgpu_means means;
static const uint8_t identity[BUNDLE_IDENTITY_LEN] = { 5 };

static void use_policy(const char *section)
{
    BUF_AUTO yaml = BUF(4096);
    policy_free(policy);
    CHECK_OK(buf_addf(&yaml, "platforms: [nitro]\nmeasurements: { pcr0: [%s] }\n%s", PCR, section));
    CHECK_OK(policy_read(&policy, buf_view(&yaml), "p", NULL));
}

static void gather(bool with_ocsp, bool with_rims)
{
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    CHECK(b != NULL);
    for (; b->devices_n < m.made_n; b->devices_n++)
        b->devices[b->devices_n] = nvgpu_maker_device(&m, &m.made[b->devices_n]);
    if (with_ocsp)
        b->ocsp[b->ocsp_n++] = buf_view(&m.ocsp);
    for (; with_rims && b->rims_n < 2; b->rims_n++)
        b->rims[b->rims_n] = buf_view(&m.rims[b->rims_n]);
    buf_truncate(&evidence, 0);
    CHECK_OK(nvgpu_bundle_write(&evidence, b));
    mem_free(b);
    bundle.gpu_evidence = buf_view(&evidence);
}

static void gives(enum verdict_status status, enum reason reason)
{
    struct verifier_outcome out = { 0 };
    const char *subject = NULL;
    CHECK_OK(nvgpu_examine(&bundle, policy, NVGPU_MAKER_NOW, &means, &out, &subject));
    if (out.status != status || out.reason != reason)
        fail_msg("%s %s (%s)", verdict_status_word(out.status), reason_word(out.reason),
                 subject != NULL ? subject : "");
}

static void evidence_and_expectation_have_to_meet(void **state)
{
    (void)state;
    bundle.gpu_evidence = (bytes){ 0 };
    use_policy("");
    gives(VERDICT_SKIP, REASON_NOT_APPLICABLE);
    gather(true, true);
    gives(VERDICT_FAIL, REASON_NO_EXPECTATION);
    use_policy("nvidia: { gpus: 1 }\n");
    gives(VERDICT_PASS, REASON_PASSED);
    bundle.gpu_evidence = (bytes){ 0 };
    gives(VERDICT_FAIL, REASON_ABSENT);
    bundle.gpu_evidence = BYTES_LIT("gpu");
    gives(VERDICT_FAIL, REASON_MALFORMED);
}

static void the_pinned_roots_are_the_default(void **state)
{
    (void)state;
    gather(true, true);
    means = (struct nvgpu_means){ 0 };
    gives(VERDICT_FAIL, REASON_BAD_CHAIN);
}

static void the_nonce_derives_from_the_bundles(void **state)
{
    (void)state;
    static const uint8_t other[BUNDLE_IDENTITY_LEN] = { 6 };
    gather(true, true);
    bundle.identity = BYTES_ARRAY(other);
    gives(VERDICT_FAIL, REASON_MISMATCH);
    bundle.identity = BYTES_ARRAY(identity);
    bundle.nonce = BYTES_LIT("0123456789abcdeX");
    gives(VERDICT_FAIL, REASON_MISMATCH);
}

static void the_policys_names_count(void **state)
{
    (void)state;
    gather(true, true);
    use_policy("nvidia: { gpus: 2 }\n");
    gives(VERDICT_FAIL, REASON_MISMATCH);
    use_policy("nvidia: { gpus: 1, models: [GB100] }\n");
    gives(VERDICT_FAIL, REASON_MISMATCH);
    use_policy("nvidia: { gpus: 1, models: [GH10] }\n");
    gives(VERDICT_FAIL, REASON_MISMATCH);
    use_policy("nvidia: { gpus: 1, models: [GB100, GH100] }\n");
    gives(VERDICT_PASS, REASON_PASSED);
    use_policy("nvidia: { gpus: 1, minimum_driver: 550.90.08 }\n");
    gives(VERDICT_FAIL, REASON_TCB_LOW);
    use_policy("nvidia: { gpus: 1, minimum_driver: 550.90.07 }\n");
    gives(VERDICT_PASS, REASON_PASSED);
}

static void revocation_needs_good_answers(void **state)
{
    (void)state;
    gather(false, true);
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
    use_policy("nvidia: { gpus: 1, revocation: false }\n");
    gives(VERDICT_PASS, REASON_PASSED);
    use_policy("nvidia: { gpus: 1 }\n");
    nvgpu_maker_ocsp(&m, 1);
    gather(true, true);
    gives(VERDICT_FAIL, REASON_REVOKED);
    nvgpu_maker_ocsp(&m, 2);
    gather(true, true);
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
}

static void manifests_have_to_be_there_and_to_hold(void **state)
{
    (void)state;
    gather(true, false);
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
    use_policy("nvidia: { gpus: 1, manifests: false }\n");
    gives(VERDICT_PASS, REASON_PASSED);
    use_policy("nvidia: { gpus: 1 }\n");
    m.made[0].digests[0][0] ^= 1;
    nvgpu_maker_evidence(&m, &m.made[0]);
    gather(true, true);
    gives(VERDICT_FAIL, REASON_MISMATCH);
    m.rims[0].at[m.rims[0].len / 4] ^= 1;
    gather(true, true);
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
}

/* With what was fetched beside a bundle that carries none of it. */
static void what_is_missing_may_come_from_elsewhere(void **state)
{
    (void)state;
    BUF_AUTO fetched = BUF(LARGE);
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    CHECK(b != NULL);
    b->ocsp[b->ocsp_n++] = buf_view(&m.ocsp);
    for (; b->rims_n < 2; b->rims_n++)
        b->rims[b->rims_n] = buf_view(&m.rims[b->rims_n]);
    CHECK_OK(nvgpu_collateral_write(&fetched, b));
    mem_free(b);
    gather(false, false);
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
    means.collateral = buf_view(&fetched);
    gives(VERDICT_PASS, REASON_PASSED);
    means.collateral.len--;
    gives(VERDICT_FAIL, REASON_MALFORMED);
    means.collateral.len++;
    nvgpu_maker_ocsp(&m, 1); /* the bundle says revoked, what was fetched says good */
    gather(true, false);
    gives(VERDICT_FAIL, REASON_REVOKED);
}

/* Its word is only asked for by a policy, and then it has to be there and for this nonce. */
static void the_service_has_its_say_where_the_policy_wants_it(void **state)
{
    (void)state;
    BUF_AUTO fetched = BUF(LARGE);
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    CHECK(b != NULL);
    gather(true, true);
    use_policy("nvidia: { gpus: 1, nras: true }\n");
    gives(VERDICT_FAIL, REASON_NO_COLLATERAL);
    b->nras = BYTES_LIT("[[\"JWT\",\"a.b.c\"],{}]");
    b->jwks = BYTES_LIT("{\"keys\":[]}");
    CHECK_OK(nvgpu_collateral_write(&fetched, b));
    mem_free(b);
    means.collateral = buf_view(&fetched);
    gives(VERDICT_FAIL, REASON_MISMATCH);
    use_policy("nvidia: { gpus: 1 }\n");
    gives(VERDICT_PASS, REASON_PASSED);
}

static err examine_once(void *arg)
{
    (void)arg;
    struct verifier_outcome out = { 0 };
    const char *subject = NULL;
    TRY(nvgpu_examine(&bundle, policy, NVGPU_MAKER_NOW, &means, &out, &subject));
    CHECK(out.status == VERDICT_PASS);
    return OK;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    gather(true, true);
    law_every_allocation_fails_once(examine_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    nvgpu_maker_open(&m);
    evidence = BUF(LARGE);
    bundle = (struct bundle){ .nonce = BYTES_LIT("0123456789abcdef"),
                              .identity = BYTES_ARRAY(identity) };
    means = (struct nvgpu_means){ .device = &m.pin, .rim = &m.pin };
    nvgpu_nonce(bundle.nonce, bundle.identity, m.nonce);
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    nvgpu_maker_ocsp(&m, 0);
    nvgpu_maker_rims(&m);
    use_policy("nvidia: { gpus: 1 }\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    policy_free(policy);
    policy = NULL;
    buf_clear(&evidence);
    nvgpu_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(evidence_and_expectation_have_to_meet),
        TEST(the_pinned_roots_are_the_default),
        TEST(the_nonce_derives_from_the_bundles),
        TEST(the_policys_names_count),
        TEST(revocation_needs_good_answers),
        TEST(manifests_have_to_be_there_and_to_hold),
        TEST(the_service_has_its_say_where_the_policy_wants_it),
        TEST(what_is_missing_may_come_from_elsewhere),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
