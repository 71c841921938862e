#include "attest/nvgpu_bundle.h"
#include "attest/nvgpu_summary.h"
#include "crypto/hash.h"
#include "tests/lib/law.h"

enum { LARGE = 16 * 1024 };

static void write_devices(struct buf *out, size_t gpus, size_t switches)
{
    static struct nvgpu_bundle b;
    b = (struct nvgpu_bundle){ .devices_n = gpus + switches };
    for (size_t i = 0; i < b.devices_n; i++) {
        b.devices[i] = (struct nvgpu_device){ .kind = i < gpus ? NVGPU_GPU : NVGPU_SWITCH,
                                              .evidence = BYTES_LIT("e"),
                                              .certs = { BYTES_LIT("c") },
                                              .certs_n = 1 };
    }
    buf_truncate(out, 0);
    CHECK_OK(nvgpu_bundle_write(out, &b));
}

static void devices_are_counted_by_kind(void **state)
{
    (void)state;
    struct verdict_gpu s;
    uint8_t digest[SHA256_LEN];
    BUF_AUTO evidence = BUF(LARGE);
    write_devices(&evidence, 8, 4);
    CHECK_OK(nvgpu_summary(buf_view(&evidence), &s));
    sha256_of(buf_view(&evidence), digest);
    CHECK(s.gpus == 8 && s.switches == 4);
    CHECK_BYTES(BYTES_ARRAY(s.digest), BYTES_ARRAY(digest));
    write_devices(&evidence, NVGPU_DEVICES_MAX, 0);
    CHECK_OK(nvgpu_summary(buf_view(&evidence), &s));
    CHECK(s.gpus == NVGPU_DEVICES_MAX && s.switches == 0);
}

static void nothing_and_switches_alone_are_zeros(void **state)
{
    (void)state;
    static const struct verdict_gpu zero;
    struct verdict_gpu s;
    BUF_AUTO evidence = BUF(LARGE);
    memset(&s, 1, sizeof s);
    CHECK_OK(nvgpu_summary((bytes){ 0 }, &s));
    assert_memory_equal(&s, &zero, sizeof s);
    write_devices(&evidence, 0, 3);
    CHECK_OK(nvgpu_summary(buf_view(&evidence), &s));
    assert_memory_equal(&s, &zero, sizeof s);
    CHECK_ERR(nvgpu_summary(BYTES_LIT("\xa0"), &s), MALFORMED);
    assert_memory_equal(&s, &zero, sizeof s);
}

static err once(void *arg)
{
    struct verdict_gpu s;
    return nvgpu_summary(buf_view(arg), &s);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    BUF_AUTO evidence = BUF(LARGE);
    write_devices(&evidence, 1, 0);
    law_every_allocation_fails_once(once, &evidence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_counted_by_kind),
        cmocka_unit_test(nothing_and_switches_alone_are_zeros),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("attest/nvgpu_summary", tests, NULL, NULL);
}
