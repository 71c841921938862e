#include "attest/nvgpu_bundle.h"
#include "base/text.h"
#include "crypto/init.h"
#include "enclave-worker/gpu.h"
#include "tests/lib/law.h"

/* A library with one GPU. What certificates say is not looked at here, so one byte does for one. */
static unsigned gpus;
static uint32_t feature, dev_tools;
static int report_status;
static size_t shut_down;
static uint8_t asked[NVML_NONCE_LEN];

static int start(void)
{
    return 0;
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
    (void)index;
    *device = &gpus;
    return 0;
}

static int report(void *device, struct nvml_report *out)
{
    CHECK(device == &gpus);
    memcpy(asked, out->nonce, sizeof asked);
    memcpy(out->report, asked, sizeof asked);
    out->size = sizeof asked;
    return report_status;
}

static int certificate(void *device, struct nvml_certificate *out)
{
    static const char pem[] = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    (void)device;
    memcpy(out->attestation_chain, pem, sizeof pem - 1);
    out->attestation_size = sizeof pem - 1;
    return 0;
}

static int get_settings(struct nvml_settings *out)
{
    out->feature = feature;
    out->dev_tools = dev_tools;
    return 0;
}

static const struct nvml_calls calls = { start,  stop,        count,       handle,
                                         report, certificate, get_settings };

static int reset(void **state)
{
    (void)state;
    gpus = 1;
    feature = 1;
    dev_tools = 0;
    report_status = 0;
    shut_down = 0;
    return err_is_ok(crypto_init()) ? 0 : -1;
}

static const uint8_t nonce[32] = { 1 };
static const uint8_t identity[32] = { 2 };

static void a_gpu_in_confidential_mode_is_asked_for_the_nonce_of_this_bundle(void **state)
{
    (void)state;
    struct gpu *g;
    enum gpu_found found;
    uint8_t expected[NVGPU_NONCE_LEN];
    static struct nvgpu_bundle b; /* large */
    BUF_AUTO message = BUF(1024);
    BUF_AUTO out = BUF(64 * 1024);
    CHECK_OK(gpu_open(&g, GPU_AUTO, &calls, &found, &message));
    CHECK(g != NULL && found == GPU_PRIVATE);
    CHECK_OK(gpu_evidence(g, BYTES_ARRAY(nonce), BYTES_ARRAY(identity), &out));
    nvgpu_nonce(BYTES_ARRAY(nonce), BYTES_ARRAY(identity), expected);
    CHECK_BYTES(BYTES_ARRAY(asked), BYTES_ARRAY(expected));
    CHECK_OK(nvgpu_bundle_read(buf_view(&out), &b));
    CHECK(b.devices_n == 1 && b.ocsp_n == 0 && b.rims_n == 0);
    gpu_close(g);
    CHECK(shut_down == 1);
}

/* GPU_AUTO goes without, GPU_REQUIRED refuses and says what is missing. */
static void check_absent(enum gpu_found expected, const char *word)
{
    struct gpu *g = NULL;
    enum gpu_found found;
    BUF_AUTO message = BUF(1024);
    CHECK_OK(gpu_open(&g, GPU_AUTO, &calls, &found, &message));
    CHECK(g == NULL && found == expected && message.len == 0);
    CHECK_ERR(gpu_open(&g, GPU_REQUIRED, &calls, &found, &message), CONFIG);
    CHECK(g == NULL && text_find(buf_view(&message), bytes_str(word)) < message.len);
}

static void gpus_that_are_not_private_are_not_shown(void **state)
{
    (void)state;
    feature = 0;
    check_absent(GPU_NOT_PRIVATE, "confidential mode");
    feature = 1;
    dev_tools = 1;
    check_absent(GPU_NOT_PRIVATE, "DevTools");
    dev_tools = 0;
    gpus = 0;
    check_absent(GPU_NONE, NVML_LIBRARY);
}

static void off_asks_nobody(void **state)
{
    (void)state;
    struct gpu *g;
    enum gpu_found found;
    BUF_AUTO message = BUF(1024);
    BUF_AUTO out = BUF(1024);
    CHECK_OK(gpu_open(&g, GPU_OFF, &calls, &found, &message));
    CHECK(g == NULL && found == GPU_NONE && shut_down == 0);
    CHECK_OK(gpu_evidence(g, BYTES_ARRAY(nonce), BYTES_ARRAY(identity), &out));
    CHECK(out.len == 0);
    gpu_close(g);
}

/* What was there at start is not left out later. */
static void a_gpu_that_stops_answering_fails_the_question(void **state)
{
    (void)state;
    struct gpu *g;
    enum gpu_found found;
    BUF_AUTO message = BUF(1024);
    BUF_AUTO out = BUF(64 * 1024);
    CHECK_OK(gpu_open(&g, GPU_REQUIRED, &calls, &found, &message));
    report_status = 1;
    CHECK_ERR(gpu_evidence(g, BYTES_ARRAY(nonce), BYTES_ARRAY(identity), &out), UNAVAILABLE);
    report_status = 0;
    feature = 0;
    CHECK_ERR(gpu_evidence(g, BYTES_ARRAY(nonce), BYTES_ARRAY(identity), &out), DENIED);
    gpu_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_gpu_in_confidential_mode_is_asked_for_the_nonce_of_this_bundle,
                               reset),
        cmocka_unit_test_setup(gpus_that_are_not_private_are_not_shown, reset),
        cmocka_unit_test_setup(off_asks_nobody, reset),
        cmocka_unit_test_setup(a_gpu_that_stops_answering_fails_the_question, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
