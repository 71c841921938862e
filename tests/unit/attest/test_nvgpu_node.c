#include "attest/nvgpu_node.h"
#include "crypto/init.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

static struct nvgpu_maker m;
static struct nvgpu_device devices[NVGPU_DEVICES_MAX + 1];
static struct nvgpu_result results[NVGPU_DEVICES_MAX];
static struct nvgpu_node node;
static size_t failed_at;

static const uint8_t own[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static const uint8_t listed[] = { 8, 7, 6, 5, 4, 3, 2, 1 };
static const uint8_t gpus[] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2 };
static const uint8_t other[] = { 9, 7, 6, 5, 4, 3, 2, 1 };

static enum nvgpu_reason verify(void)
{
    enum nvgpu_reason why;
    struct nvgpu_settings settings = nvgpu_maker_settings(&m);
    for (size_t i = 0; i < m.made_n; i++)
        devices[i] = nvgpu_maker_device(&m, &m.made[i]);
    CHECK_OK(nvgpu_node_verify(&node, &settings, results, &why, &failed_at));
    return why;
}

static void expect(size_t n, size_t want_gpus, size_t want_switches)
{
    node = (struct nvgpu_node){ devices, n, want_gpus, want_switches };
}

static void set(struct nvgpu_made *d, bytes pdis, bytes gpu_pdis)
{
    d->pdis = pdis;
    d->gpu_pdis = gpu_pdis;
    nvgpu_maker_evidence(&m, d);
}

static void exactly_as_many_as_expected(void **state)
{
    (void)state;
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    expect(2, 2, 0);
    CHECK(verify() == NVGPU_OK);
    expect(2, 3, 0);
    CHECK(verify() == NVGPU_COUNT);
    expect(2, 1, 0);
    CHECK(verify() == NVGPU_COUNT);
    expect(2, 2, 1);
    CHECK(verify() == NVGPU_COUNT);
    expect(0, 0, 0);
    CHECK(verify() == NVGPU_COUNT);
    CHECK(failed_at == 0);
    expect(NVGPU_DEVICES_MAX + 1, 2, 0);
    CHECK(verify() == NVGPU_COUNT);
}

static void one_device_counts_once(void **state)
{
    (void)state;
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    devices[1] = nvgpu_maker_device(&m, &m.made[0]);
    expect(2, 2, 0);
    CHECK(verify() == NVGPU_DUPLICATE_DEVICE);
    CHECK(failed_at == 2);
}

static void a_device_that_fails_is_named(void **state)
{
    (void)state;
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    struct nvgpu_made *second = nvgpu_maker_add(&m, NVGPU_GPU);
    second->evidence.at[second->evidence.len - 1] ^= 1;
    expect(2, 2, 0);
    CHECK(verify() == NVGPU_SIGNATURE);
    CHECK(failed_at == 1);
}

static void links_have_to_agree(void **state)
{
    (void)state;
    struct nvgpu_made *a = nvgpu_maker_add(&m, NVGPU_GPU), *b = nvgpu_maker_add(&m, NVGPU_GPU);
    struct nvgpu_made *s = nvgpu_maker_add(&m, NVGPU_SWITCH);
    expect(3, 2, 1);
    CHECK(verify() == NVGPU_TOPOLOGY);
    set(a, BYTES_ARRAY(listed), (bytes){ 0 });
    set(b, BYTES_ARRAY(listed), (bytes){ 0 });
    set(s, BYTES_ARRAY(own), BYTES_ARRAY(gpus));
    CHECK(verify() == NVGPU_OK);
    set(s, BYTES_ARRAY(own), (bytes){ 0 });
    CHECK(verify() == NVGPU_TOPOLOGY);
    set(s, BYTES_ARRAY(other), BYTES_ARRAY(gpus));
    CHECK(verify() == NVGPU_TOPOLOGY);
    set(s, BYTES_ARRAY(own), BYTES_ARRAY(gpus));
    set(b, BYTES_ARRAY(other), (bytes){ 0 });
    CHECK(verify() == NVGPU_TOPOLOGY);
}

static void switches_that_are_listed_have_to_be_there(void **state)
{
    (void)state;
    uint8_t two[2 * NVGPU_PDI_LEN];
    memcpy(two, listed, NVGPU_PDI_LEN);
    memcpy(two + NVGPU_PDI_LEN, other, NVGPU_PDI_LEN);
    struct nvgpu_made *a = nvgpu_maker_add(&m, NVGPU_GPU), *b = nvgpu_maker_add(&m, NVGPU_GPU);
    struct nvgpu_made *s = nvgpu_maker_add(&m, NVGPU_SWITCH);
    set(a, BYTES_ARRAY(two), (bytes){ 0 });
    set(b, BYTES_ARRAY(two), (bytes){ 0 });
    set(s, BYTES_ARRAY(own), BYTES_ARRAY(gpus));
    expect(3, 2, 1);
    CHECK(verify() == NVGPU_TOPOLOGY);
    struct nvgpu_made *t = nvgpu_maker_add(&m, NVGPU_SWITCH);
    set(t, BYTES_ARRAY(own), BYTES_ARRAY(gpus));
    expect(4, 2, 2);
    CHECK(verify() == NVGPU_TOPOLOGY);
}

static int setup(void **state)
{
    (void)state;
    nvgpu_maker_open(&m);
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
        TEST(exactly_as_many_as_expected),
        TEST(one_device_counts_once),
        TEST(a_device_that_fails_is_named),
        TEST(links_have_to_agree),
        TEST(switches_that_are_listed_have_to_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
