#include "attest/nvgpu_verify.h"
#include "crypto/init.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

enum { LARGE = 64 * 1024 };

static struct nvgpu_maker m;
static struct nvgpu_made *gpu;
static struct nvgpu_settings settings;
static struct nvgpu_result result;

static enum nvgpu_reason verify(const struct nvgpu_device *d)
{
    CHECK_OK(nvgpu_verify(d, &settings, &result));
    CHECK(result.accepted == (result.reason == NVGPU_OK));
    return result.reason;
}

static void a_device_under_a_root_that_is_named_is_accepted(void **state)
{
    (void)state;
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu);
    CHECK(verify(&d) == NVGPU_OK);
    assert_string_equal(result.model, "GH100 A01 GSP FMC LF");
    settings.roots_n = 0;
    CHECK(verify(&d) == NVGPU_UNTRUSTED_ROOT);
    CHECK(result.checks[NVGPU_CHECK_SIGNATURE].status == VERDICT_SKIP);
}

static void the_nonce_is_compared_in_full(void **state)
{
    (void)state;
    uint8_t other[NVGPU_NONCE_LEN + 1] = { 0 };
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu);
    memcpy(other, m.nonce, NVGPU_NONCE_LEN);
    settings.nonce = bytes_of(other, NVGPU_NONCE_LEN - 1);
    CHECK(verify(&d) == NVGPU_NONCE);
    settings.nonce = BYTES_ARRAY(other);
    CHECK(verify(&d) == NVGPU_NONCE);
    settings.nonce = (bytes){ 0 };
    CHECK(verify(&d) == NVGPU_NONCE);
}

static void only_the_one_path_leaf_first_is_taken(void **state)
{
    (void)state;
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu), other = d;
    other.certs[0] = d.certs[2];
    other.certs[2] = d.certs[0];
    CHECK(verify(&other) == NVGPU_CHAIN);
    other = d;
    other.certs[1] = d.certs[2];
    other.certs[2] = d.certs[1];
    CHECK(verify(&other) == NVGPU_CHAIN);
    other = d;
    other.certs[3] = d.certs[1];
    other.certs_n = 4;
    CHECK(verify(&other) == NVGPU_CHAIN);
    other.certs_n = 2;
    CHECK(verify(&other) == NVGPU_UNTRUSTED_ROOT);
    other.certs_n = 0;
    CHECK(verify(&other) == NVGPU_CHAIN);
}

static void a_switch_does_not_stand_for_a_gpu(void **state)
{
    (void)state;
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu);
    d.kind = NVGPU_SWITCH;
    CHECK(verify(&d) == NVGPU_TYPE);
    d = nvgpu_maker_device(&m, nvgpu_maker_add(&m, NVGPU_SWITCH));
    CHECK(verify(&d) == NVGPU_OK);
    d.kind = NVGPU_GPU;
    CHECK(verify(&d) == NVGPU_TYPE);
}

static void the_chain_of_another_device_is_refused(void **state)
{
    (void)state;
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu);
    d.certs[0] = pki_der(nvgpu_maker_add(&m, NVGPU_GPU)->leaf);
    CHECK(verify(&d) == NVGPU_SIGNATURE);
}

/* All of it is signed, or is the signature, or part of the form. */
static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct nvgpu_device d = nvgpu_maker_device(&m, gpu);
    for (size_t i = 0; i < gpu->evidence.len; i++) {
        gpu->evidence.at[i] ^= (uint8_t)(1U << (i % 8));
        if (verify(&d) == NVGPU_OK)
            fail_msg("byte %zu does not count", i);
        gpu->evidence.at[i] ^= (uint8_t)(1U << (i % 8));
    }
}

static void load(struct buf *out, const char *name)
{
    BUF_AUTO path = BUF(4096);
    CHECK_OK(buf_addf(&path, "%s/attest/nvidia/%s", law_vectors(), name));
    law_read_file(out, buf_str(&path));
}

/* Of a genuine report, with its FWID. One bit of every byte; the leaf's certificate likewise. */
static void any_flipped_bit_of_genuine_evidence_is_refused(void **state)
{
    (void)state;
    struct pem_certs pem;
    BUF_AUTO evidence = BUF(LARGE);
    BUF_AUTO chain = BUF(LARGE);
    BUF_AUTO leaf = BUF(LARGE);
    if (law_vectors() == NULL)
        skip();
    load(&evidence, "gpu/gb100-590.48.01.evidence.bin");
    load(&chain, "gpu/gb100-590.48.01.chain.pem");
    CHECK_OK(pem_read_certs(&pem, buf_view(&chain)));
    CHECK_OK(buf_add(&leaf, pem.certs[0]));
    struct nvgpu_device d = { .kind = NVGPU_GPU, .evidence = buf_view(&evidence) };
    for (; d.certs_n < pem.n; d.certs_n++)
        d.certs[d.certs_n] = pem.certs[d.certs_n];
    d.certs[0] = buf_view(&leaf);
    settings = (struct nvgpu_settings){ .nonce = bytes_of(evidence.at + 4, NVGPU_NONCE_LEN),
                                        .at_s = NVGPU_MAKER_NOW };
    uint8_t nonce[NVGPU_NONCE_LEN];
    memcpy(nonce, evidence.at + 4, sizeof nonce);
    settings.nonce = BYTES_ARRAY(nonce);
    CHECK(verify(&d) == NVGPU_OK);
    CHECK(result.fwid_extensions == NVGPU_FWID_TCB_INFO);
    for (size_t i = 0; i < evidence.len; i += 3) {
        evidence.at[i] ^= (uint8_t)(1U << (i % 8));
        CHECK(verify(&d) != NVGPU_OK);
        evidence.at[i] ^= (uint8_t)(1U << (i % 8));
    }
    for (size_t i = 0; i < leaf.len; i++) {
        leaf.at[i] ^= (uint8_t)(1U << (i % 8));
        CHECK(verify(&d) != NVGPU_OK);
        leaf.at[i] ^= (uint8_t)(1U << (i % 8));
    }
    pem_clear(&pem);
}

static void reasons_and_checks_have_their_words(void **state)
{
    (void)state;
    assert_string_equal(nvgpu_reason_word(NVGPU_DUPLICATE_DEVICE), "duplicate-device");
    assert_string_equal(nvgpu_reason_word((enum nvgpu_reason)1000), "unchecked");
    assert_string_equal(nvgpu_check_name(NVGPU_CHECK_FWID), "fwid");
}

static int setup(void **state)
{
    (void)state;
    nvgpu_maker_open(&m);
    gpu = nvgpu_maker_add(&m, NVGPU_GPU);
    settings = nvgpu_maker_settings(&m);
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    nvgpu_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_device_under_a_root_that_is_named_is_accepted),
        TEST(the_nonce_is_compared_in_full),
        TEST(only_the_one_path_leaf_first_is_taken),
        TEST(a_switch_does_not_stand_for_a_gpu),
        TEST(the_chain_of_another_device_is_refused),
        TEST(any_flipped_bit_is_refused),
        TEST(any_flipped_bit_of_genuine_evidence_is_refused),
        TEST(reasons_and_checks_have_their_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
