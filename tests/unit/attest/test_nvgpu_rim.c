#include <stdio.h>

#include "attest/nvgpu_rim.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/init.h"
#include "crypto/pem.h"
#include "tests/lib/law.h"
#include "tests/unit/attest/nvgpu_maker.h"

enum { LARGE = 128 * 1024 };

static struct nvgpu_maker m;
static struct nvgpu_settings settings;
static struct nvgpu_result device;
static struct nvgpu_rim rims[2];

static void verify_made(void)
{
    for (size_t i = 0; i < 2; i++) {
        nvgpu_rim_clear(&rims[i]);
        CHECK_OK(nvgpu_rim_verify(buf_view(&m.rims[i]), &settings, &rims[i]));
        CHECK(rims[i].accepted);
    }
}

static void verify_device(void)
{
    struct nvgpu_device d = nvgpu_maker_device(&m, &m.made[0]);
    CHECK_OK(nvgpu_verify(&d, &settings, &device));
    CHECK(device.accepted);
}

static void signed_values_are_compared_with_the_device(void **state)
{
    (void)state;
    size_t index = 99;
    verify_made();
    assert_string_equal(rims[0].version, "550.90.07");
    assert_string_equal(rims[0].product, "GH100");
    CHECK(rims[0].active_n == 2 && rims[1].active_n == 1 && rims[1].active[0].index == 2);
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, &index) == NVGPU_OK);
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 1, NULL) == NVGPU_RIM);
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims + 1, 1, NULL) == NVGPU_RIM);
    CHECK(nvgpu_rim_compare(&device, NVGPU_SWITCH, rims + 1, 1, NULL) == NVGPU_OK);
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 0, NULL) == NVGPU_RIM);

    m.made[0].digests[1][0] ^= 1;
    nvgpu_maker_evidence(&m, &m.made[0]);
    verify_device();
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, &index) == NVGPU_MEASUREMENT);
    CHECK(index == 1);
}

static void manifests_of_others_do_not_count(void **state)
{
    (void)state;
    verify_made();
    rims[0].product[0] = 'X';
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, NULL) == NVGPU_RIM);
    rims[0].product[0] = 'G';
    rims[0].version[0] = '6';
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, NULL) == NVGPU_RIM);
    rims[0].version[0] = '5';
    rims[0].accepted = false;
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, NULL) == NVGPU_RIM);
    rims[0].accepted = true;
    rims[0].active[0].index = 2;
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, NULL) == NVGPU_RIM);
}

static enum nvgpu_reason compare_as(const char *model, const char *product)
{
    (void)snprintf(device.model, sizeof device.model, "%s A01 FSP FMC LF", model);
    (void)snprintf(rims[1].product, sizeof rims[1].product, "%s", product);
    return nvgpu_rim_compare(&device, NVGPU_SWITCH, rims + 1, 1, NULL);
}

static void a_switch_may_be_spelt_without_its_line(void **state)
{
    (void)state;
    verify_made();
    CHECK(compare_as("LS_10", "LS_10") == NVGPU_OK);
    CHECK(compare_as("LS_10", "LS10") == NVGPU_OK);
    CHECK(compare_as("LS_10", "LS1") == NVGPU_RIM);
    CHECK(compare_as("LS_10", "LS100") == NVGPU_RIM);
    CHECK(compare_as("LS10", "LS_10") == NVGPU_RIM);
    CHECK(compare_as("GH100", "GB100") == NVGPU_RIM);
}

static bool accepts(const struct buf *xml)
{
    struct nvgpu_rim *rim = mem_alloc(sizeof *rim);
    CHECK(rim != NULL);
    CHECK_OK(nvgpu_rim_verify(buf_view(xml), &settings, rim));
    bool accepted = rim->accepted;
    nvgpu_rim_clear(rim);
    mem_free(rim);
    return accepted;
}

/* What may change without changing what is signed or who signs it: nothing, but for white space in
 * tags and around base64, quotes, and empty elements written in short, none of which is one bit
 * away here. Case of base64 digits behind the last byte does not exist in this encoding. */
static void any_flipped_bit_is_refused(void **state)
{
    (void)state;
    struct buf *xml = &m.rims[1];
    CHECK(accepts(xml));
    for (size_t i = 0; i < xml->len; i++) {
        xml->at[i] ^= (uint8_t)(1U << (i % 8));
        if (accepts(xml))
            fail_msg("byte %zu does not count: %c", i, xml->at[i]);
        xml->at[i] ^= (uint8_t)(1U << (i % 8));
    }
}

static void replace(struct buf *xml, const char *old, const char *by)
{
    BUF_AUTO copy = BUF(LARGE);
    bytes all = buf_view(xml);
    size_t at = text_find(all, bytes_str(old));
    CHECK(at < all.len);
    CHECK_OK(buf_add(&copy, bytes_slice(all, 0, at)));
    CHECK_OK(buf_add_str(&copy, by));
    CHECK_OK(buf_add(&copy, bytes_slice(all, at + strlen(old), all.len)));
    buf_truncate(xml, 0);
    CHECK_OK(buf_add(xml, buf_view(&copy)));
}

static bool accepts_with(const char *old, const char *by)
{
    nvgpu_maker_rims(&m);
    replace(&m.rims[0], old, by);
    return accepts(&m.rims[0]);
}

static void only_this_form_of_a_signature_is_taken(void **state)
{
    (void)state;
    CHECK(accepts_with("<Payload>", "<Payload >"));
    CHECK(accepts_with("<Payload>", "<!-- x --><Payload>"));
    CHECK(!accepts_with("<Payload>", "<Payload> "));
    CHECK(!accepts_with("URI=\"\"", "URI=\"#x\""));
    CHECK(!accepts_with("#enveloped-signature", "#base64"));
    CHECK(!accepts_with("<ds:KeyInfo>", "<ds:Object></ds:Object>"));
    CHECK(!accepts_with("<Payload>", "<Payload/><Payload>"));
    CHECK(!accepts_with("<ds:Signature ",
                        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/"
                        "xmldsig#\"></ds:Signature><ds:Signature "));
    CHECK(!accepts_with("<SoftwareIdentity", "<!DOCTYPE a><SoftwareIdentity"));
}

static bool accepts_resources(const char *resources)
{
    nvgpu_maker_rim(&m, "1", resources, &m.rims[0]);
    return accepts(&m.rims[0]);
}

#define HEX48                                                                                      \
    "000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c"   \
    "0d0e0f"
#define RESOURCE(active, n, index, type, value)                                                    \
    "<Resource active=\"" active "\" alternatives=\"" n "\" index=\"" index "\" type=\"" type      \
    "\" h:Hash0=\"" value "\"></Resource>"

static void resources_are_read_strictly(void **state)
{
    (void)state;
    CHECK(accepts_resources(RESOURCE("True", "1", "127", "Measurement", HEX48)));
    CHECK(accepts_resources(RESOURCE("False", "1", "0", "Measurement", "")));
    CHECK(!accepts_resources(""));
    CHECK(!accepts_resources(RESOURCE("True", "1", "128", "Measurement", HEX48)));
    CHECK(!accepts_resources(RESOURCE("True", "0", "1", "Measurement", HEX48)));
    CHECK(!accepts_resources(RESOURCE("True", "2", "1", "Measurement", HEX48)));
    CHECK(!accepts_resources(RESOURCE("True", "17", "1", "Measurement", HEX48)));
    CHECK(!accepts_resources(RESOURCE("true", "1", "1", "Measurement", HEX48)));
    CHECK(!accepts_resources(RESOURCE("True", "1", "1", "Other", HEX48)));
    CHECK(!accepts_resources(RESOURCE("True", "1", "1", "Measurement", "00")));
    CHECK(!accepts_resources(RESOURCE("True", "1", "1", "Measurement", HEX48)
                                 RESOURCE("True", "1", "1", "Measurement", HEX48)));
}

static void another_root_or_time_is_refused(void **state)
{
    (void)state;
    settings.at_s = NVGPU_MAKER_NOW + 2 * 86400;
    CHECK(!accepts(&m.rims[0]));
    settings.at_s = NVGPU_MAKER_NOW;
    settings.roots_n = 0;
    CHECK(!accepts(&m.rims[0]));
}

/* --- genuine ones ------------------------------------------------------------------------------ */

static void load(struct buf *out, const char *name)
{
    BUF_AUTO path = BUF(4096);
    CHECK_OK(buf_addf(&path, "%s/attest/nvidia/%s", law_vectors(), name));
    law_read_file(out, buf_str(&path));
}

static void load_device(struct buf *evidence, struct buf *chain)
{
    struct pem_certs pem;
    load(evidence, "gpu/gh100-550.90.07.evidence.bin");
    load(chain, "gpu/gh100-550.90.07.chain.pem");
    CHECK_OK(pem_read_certs(&pem, buf_view(chain)));
    struct nvgpu_device d = { .kind = NVGPU_GPU, .evidence = buf_view(evidence) };
    for (; d.certs_n < pem.n; d.certs_n++)
        d.certs[d.certs_n] = pem.certs[d.certs_n];
    struct nvgpu_settings s = { .nonce = bytes_of(evidence->at + 4, NVGPU_NONCE_LEN),
                                .at_s = NVGPU_MAKER_NOW };
    CHECK_OK(nvgpu_verify(&d, &s, &device));
    CHECK(device.accepted);
    pem_clear(&pem);
}

static void a_genuine_device_is_as_its_genuine_manifests_say(void **state)
{
    (void)state;
    static const char *const names[] = { "rim/driver-gh100-550.90.07.xml",
                                         "rim/vbios-1010-0200-882-96009f0001.xml" };
    BUF_AUTO evidence = BUF(LARGE);
    BUF_AUTO chain = BUF(LARGE);
    struct nvgpu_settings s = { .at_s = 1717294109 };
    size_t index = 99;
    if (law_vectors() == NULL)
        skip();
    load_device(&evidence, &chain);
    for (size_t i = 0; i < 2; i++) {
        BUF_AUTO xml = BUF(LARGE);
        load(&xml, names[i]);
        nvgpu_rim_clear(&rims[i]);
        CHECK_OK(nvgpu_rim_verify(buf_view(&xml), &s, &rims[i]));
        CHECK(rims[i].accepted);
    }
    CHECK(rims[0].active_n + rims[1].active_n == 33);
    CHECK(nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, &index) == NVGPU_OK);
    for (size_t r = 0; r < 2; r++) {
        for (size_t i = 0; i < rims[r].active_n; i++) {
            struct buf *values = &rims[r].active[i].values;
            for (size_t at = 0; at < values->len; at += NVGPU_DIGEST_LEN)
                values->at[at] ^= 1;
            enum nvgpu_reason why = nvgpu_rim_compare(&device, NVGPU_GPU, rims, 2, &index);
            CHECK(rims[r].active[i].index == 35 ? why == NVGPU_OK : why == NVGPU_MEASUREMENT);
            CHECK(why == NVGPU_OK || index == rims[r].active[i].index);
            for (size_t at = 0; at < values->len; at += NVGPU_DIGEST_LEN)
                values->at[at] ^= 1;
        }
    }
}

static err verify_once(void *arg)
{
    (void)arg;
    err e = nvgpu_rim_verify(buf_view(&m.rims[0]), &settings, &rims[0]);
    CHECK(!err_is_ok(e) || rims[0].accepted);
    nvgpu_rim_clear(&rims[0]);
    return e;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    law_every_allocation_fails_once(verify_once, NULL);
}

static int setup(void **state)
{
    (void)state;
    CHECK_OK(crypto_init());
    nvgpu_maker_open(&m);
    (void)nvgpu_maker_add(&m, NVGPU_GPU);
    settings = nvgpu_maker_settings(&m);
    nvgpu_maker_rims(&m);
    verify_device();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nvgpu_rim_clear(&rims[0]);
    nvgpu_rim_clear(&rims[1]);
    nvgpu_maker_close(&m);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(signed_values_are_compared_with_the_device),
        TEST(manifests_of_others_do_not_count),
        TEST(a_switch_may_be_spelt_without_its_line),
        TEST(any_flipped_bit_is_refused),
        TEST(only_this_form_of_a_signature_is_taken),
        TEST(resources_are_read_strictly),
        TEST(another_root_or_time_is_refused),
        TEST(a_genuine_device_is_as_its_genuine_manifests_say),
        TEST(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
