#include "attest/nvgpu_bundle.h"
#include "attest/nvml.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

enum { LARGE = 256 * 1024 };

static struct nvgpu_maker m;
static struct buf chain;
static struct nvml *lib;
static unsigned gpus;
static int report_status;
static uint32_t report_size, feature, dev_tools;
static size_t shut_down;

static int start(void)
{
    return 0;
}

static int fail_to_start(void)
{
    return 9;
}

static int stop(void)
{
    shut_down++;
    return 0;
}

static int count(unsigned *n)
{
    *n = gpus;
    return 0;
}

static int handle(unsigned index, void **device)
{
    *device = &m.made[index % 2];
    return 0;
}

static int report(void *device, struct nvml_report *out)
{
    struct nvgpu_made *d = device;
    memcpy(m.nonce, out->nonce, NVML_NONCE_LEN);
    nvgpu_maker_evidence(&m, d);
    memcpy(out->report, d->evidence.at, d->evidence.len);
    out->size = report_size > 0 ? report_size : (uint32_t)d->evidence.len;
    return report_status;
}

static int certificate(void *device, struct nvml_certificate *out)
{
    const struct nvgpu_made *d = device;
    const bytes certs[] = { pki_der(d->leaf), pki_der(m.issuer), pki_der(m.root) };
    buf_truncate(&chain, 0);
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(buf_add_str(&chain, "-----BEGIN CERTIFICATE-----\n"));
        CHECK_OK(text_base64_encode(&chain, certs[i]));
        CHECK_OK(buf_add_str(&chain, "\n-----END CERTIFICATE-----\n"));
    }
    memcpy(out->attestation_chain, chain.at, chain.len);
    out->attestation_size = (uint32_t)chain.len;
    return 0;
}

static int get_settings(struct nvml_settings *out)
{
    CHECK(out->version == (sizeof *out | 1U << 24));
    out->feature = feature;
    out->dev_tools = dev_tools;
    return 0;
}

static const struct nvml_calls calls = { start,  stop,        count,       handle,
                                         report, certificate, get_settings };

static const uint8_t nonce[NVML_NONCE_LEN] = { 1, 2, 3 };

static void what_is_collected_verifies(void **state)
{
    (void)state;
    struct nvgpu_bundle *b = mem_alloc(sizeof *b);
    struct nvgpu_result *results = mem_alloc_array(NVGPU_DEVICES_MAX, sizeof *results);
    enum nvgpu_reason why;
    size_t at;
    BUF_AUTO out = BUF(LARGE);
    bytes ocsp = BYTES_LIT("o"), rim = BYTES_LIT("r");
    struct nvml_extras extras = { &ocsp, 1, &rim, 1 };
    gpus = 2;
    CHECK(b != NULL && results != NULL);
    CHECK_OK(nvml_collect(lib, BYTES_ARRAY(nonce), &extras, &out));
    CHECK_OK(nvgpu_bundle_read(buf_view(&out), b));
    CHECK(b->devices_n == 2 && b->ocsp_n == 1 && b->rims_n == 1);
    struct nvgpu_settings s = nvgpu_maker_settings(&m);
    s.nonce = BYTES_ARRAY(nonce);
    struct nvgpu_node node = { b->devices, 2, 2, 0 };
    CHECK_OK(nvgpu_node_verify(&node, &s, results, &why, &at));
    CHECK(why == NVGPU_OK);
    mem_free(results);
    mem_free(b);
}

static void a_machine_that_is_open_is_not_attested(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(LARGE);
    CHECK_OK(nvml_check(lib));
    dev_tools = 1;
    CHECK_ERR(nvml_check(lib), DENIED);
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), DENIED);
    dev_tools = 0;
    feature = 0;
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), DENIED);
    CHECK(out.len == 0);
}

static void a_library_that_fails_or_lies_is_an_error(void **state)
{
    (void)state;
    BUF_AUTO out = BUF(LARGE);
    report_status = 1;
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), UNAVAILABLE);
    report_status = 0;
    report_size = NVML_REPORT_MAX + 1;
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), MALFORMED);
    report_size = 0;
    gpus = 0;
    CHECK_ERR(nvml_check(lib), UNAVAILABLE);
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), UNAVAILABLE);
    gpus = NVML_GPUS_MAX;
    CHECK_OK(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out));
    gpus = NVML_GPUS_MAX + 1;
    CHECK_ERR(nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out), LIMIT);
}

static void no_library_is_said_so(void **state)
{
    (void)state;
    struct nvml *none = NULL;
    struct nvml_calls bad = calls;
    CHECK_ERR(nvml_open(&none, "/nonexistent/libnvidia-ml.so.1"), UNAVAILABLE);
    bad.init = fail_to_start;
    CHECK_ERR(nvml_open_with(&none, &bad), UNAVAILABLE);
    CHECK(none == NULL);
    nvml_close(NULL);
}

static err collect_once(void *arg)
{
    (void)arg;
    BUF_AUTO out = BUF(LARGE);
    return nvml_collect(lib, BYTES_ARRAY(nonce), NULL, &out);
}

/* The fake device allocates too, so its buffers are made large beforehand. */
static void every_allocation_fails_once(void **state)
{
    (void)state;
    CHECK_OK(collect_once(NULL));
    unsigned long before = mem_requests();
    CHECK_OK(collect_once(NULL));
    CHECK(mem_requests() > before);
    mem_fail_at(0);
    CHECK_ERR(collect_once(NULL), NOMEM);
    mem_fail_at(-1);
}

static int setup(void **state)
{
    (void)state;
    nvgpu_maker_open(&m);
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    chain = BUF(LARGE);
    gpus = 1;
    report_status = 0;
    report_size = 0;
    feature = 1;
    dev_tools = 0;
    CHECK_OK(nvml_open_with(&lib, &calls));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    size_t before = shut_down;
    nvml_close(lib);
    CHECK(shut_down == before + 1);
    buf_clear(&chain);
    nvgpu_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_collected_verifies),
        TEST(a_machine_that_is_open_is_not_attested),
        TEST(a_library_that_fails_or_lies_is_an_error),
        TEST(no_library_is_said_so),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
