#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attest/bundle.h"
#include "attest/tdx.h"
#include "attest/tdx_attest.h"
#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

/* A kernel with one answer: a genuine quote, which is for the report data it was made for. */
static struct tdx_scene scene;
static uint64_t generation;
static const uint8_t *genuine_data;

static int tree_make(const struct tsm_tree *t, const char *name)
{
    (void)t;
    (void)name;
    return 0;
}

static void tree_remove(const struct tsm_tree *t, const char *name)
{
    (void)t;
    (void)name;
}

static void tree_wait(const struct tsm_tree *t, unsigned ms)
{
    (void)t;
    (void)ms;
}

static int tree_write(const struct tsm_tree *t, const char *name, const char *attribute, bytes v)
{
    (void)t;
    (void)name;
    (void)attribute;
    (void)v;
    generation++;
    return 0;
}

static int tree_read(const struct tsm_tree *t, const char *name, const char *attribute,
                     struct buf *out)
{
    (void)t;
    (void)name;
    if (strcmp(attribute, "outblob") == 0)
        return err_is_ok(buf_add(out, buf_view(&scene.files[SCENE_QUOTE]))) ? 0 : ENOMEM;
    if (strcmp(attribute, "provider") == 0)
        return err_is_ok(buf_add_str(out, "tdx_guest\n")) ? 0 : ENOMEM;
    return err_is_ok(buf_addf(out, "%llu\n", (unsigned long long)generation)) ? 0 : ENOMEM;
}

static err give_collateral(void *owner, bytes quote, int64_t now, struct buf *out)
{
    struct tdx_pck pck;
    bool processor;
    (void)owner;
    TRY(tdx_quote_platform(quote, now, &pck, &processor));
    return tdx_collateral_write(out, &scene.collateral);
}

static struct tdx_attest_settings settings(void)
{
    return (struct tdx_attest_settings){
        .tsm = { tree_make, tree_write, tree_read, tree_remove, tree_wait, "/tmp" },
        .guest = { .device = "/dev/null" },
        .collateral = give_collateral,
        .ccel = "/nowhere/ccel",
    };
}

static bool set_up(const struct tdx_sample *sample)
{
    if (!tdx_scene_open(&scene, sample))
        return false;
    tdx_scene_verify(&scene);
    genuine_data = tdx_quote_field(&scene.result->quote, TDX_REPORT_DATA).at;
    return true;
}

static err quote_for(const struct tdx_attest_settings *s, const uint8_t *data, struct buf *evidence,
                     struct buf *collateral)
{
    struct attester *a;
    TRY(tdx_attester_new(&a, s));
    err e = a->kind->quote(a, &(struct attester_ask){ .report_data = data, .now = scene.input.now },
                           evidence, collateral);
    attester_free(a);
    return e;
}

static void what_is_made_is_what_the_verifier_accepts(void **state)
{
    (void)state;
    struct tdx_attest_settings s = settings();
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    struct tdx_collateral c;
    if (!set_up(&tdx_v4))
        skip();
    CHECK_OK(quote_for(&s, genuine_data, &evidence, &collateral));
    CHECK_OK(tdx_collateral_read(buf_view(&collateral), &c));
    CHECK(c.ccel.len == 0);
    /* The zeros of the kernel's buffer are cut off. */
    CHECK(evidence.len + scene.result->quote.trailing == scene.files[SCENE_QUOTE].len);
    struct tdx_input in = { .quote = buf_view(&evidence),
                            .collateral = &c,
                            .now = scene.input.now };
    CHECK_OK(tdx_verify(&in, scene.result));
    CHECK(scene.result->accepted);
    tdx_scene_close(&scene);
}

static void a_quote_for_other_data_is_not_passed_on(void **state)
{
    (void)state;
    struct tdx_attest_settings s = settings();
    uint8_t other[64];
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    if (!set_up(&tdx_v4))
        skip();
    memcpy(other, genuine_data, sizeof other);
    other[63] ^= 1;
    CHECK_ERR(quote_for(&s, other, &evidence, &collateral), UNAVAILABLE);
    tdx_scene_close(&scene);
}

static void the_boot_log_travels_with_its_filling_cut(void **state)
{
    (void)state;
    static const struct tdx_sample with_log = { "quotes/v4-00806f-gcp-uptodate.bin",
                                                "collateral/2025-06-00806f", 1750809600 };
    struct tdx_attest_settings s = settings();
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO path = BUF(4096);
    struct tdx_collateral c;
    if (!set_up(&with_log))
        skip();
    CHECK_OK(buf_addf(&path, "%s/attest/tdx/ccel/ccel_data.bin", law_vectors()));
    s.ccel = buf_str(&path);
    CHECK_OK(quote_for(&s, genuine_data, &evidence, &collateral));
    CHECK_OK(tdx_collateral_read(buf_view(&collateral), &c));
    CHECK(c.ccel.len > 10000 && c.ccel.len < 20000);
    struct tdx_input in = { .quote = buf_view(&evidence),
                            .collateral = &c,
                            .now = scene.input.now };
    CHECK_OK(tdx_verify(&in, scene.result));
    CHECK(scene.result->accepted && scene.result->log_replayed);
    tdx_scene_close(&scene);
}

static void without_a_source_only_the_boot_log_travels(void **state)
{
    (void)state;
    struct tdx_attest_settings s = settings();
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    BUF_AUTO path = BUF(4096);
    struct tdx_collateral c;
    if (!set_up(&tdx_v4))
        skip();
    s.collateral = NULL;
    CHECK_OK(quote_for(&s, genuine_data, &evidence, &collateral));
    CHECK(evidence.len > 0 && collateral.len == 0);
    CHECK_OK(buf_addf(&path, "%s/attest/tdx/ccel/ccel_data.bin", law_vectors()));
    s.ccel = buf_str(&path);
    buf_truncate(&evidence, 0);
    CHECK_OK(quote_for(&s, genuine_data, &evidence, &collateral));
    CHECK(collateral.len > 10000);
    CHECK(!err_is_ok(tdx_collateral_read(buf_view(&collateral), &c)));
    tdx_scene_close(&scene);
}

static err no_collateral(void *owner, bytes quote, int64_t now, struct buf *out)
{
    (void)owner;
    (void)quote;
    (void)now;
    (void)out;
    FAIL(UNAVAILABLE);
}

static void without_collateral_there_is_no_evidence(void **state)
{
    (void)state;
    struct tdx_attest_settings s = settings();
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    if (!set_up(&tdx_v4))
        skip();
    s.collateral = no_collateral;
    CHECK_ERR(quote_for(&s, genuine_data, &evidence, &collateral), UNAVAILABLE);
    tdx_scene_close(&scene);
}

/* --- by the device --------------------------------------------------------------------------- */

static int guest_control(int fd, unsigned long code, void *argument)
{
    uint8_t *r = argument;
    (void)fd;
    (void)code;
    r[64] = 0x81;
    memcpy(r + 64 + 128, r, 64);
    return 0;
}

static int guest_connect(uint32_t port)
{
    int ends[2];
    bytes quote = buf_view(&scene.files[SCENE_QUOTE]);
    uint32_t size = 24 + (uint32_t)quote.len;
    struct buf answer = BUF(64 * 1024);
    const uint32_t words[] = { 1, 1, size, 0, 0, (uint32_t)quote.len };
    CHECK(port == 4050);
    CHECK_OK(buf_add_u32be(&answer, size));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        for (unsigned shift = 0; shift < 32; shift += 8)
            CHECK_OK(buf_add_u8(&answer, (uint8_t)(words[i] >> shift)));
    }
    CHECK_OK(buf_add(&answer, quote));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(write(ends[1], answer.at, answer.len) == (ssize_t)answer.len);
    buf_clear(&answer);
    /* The other end stays open: this program ends soon. */
    return ends[0];
}

static void without_the_tree_the_device_and_the_service_are_asked(void **state)
{
    (void)state;
    struct tdx_attest_settings s = settings();
    BUF_AUTO evidence = BUF(BUNDLE_EVIDENCE_MAX);
    BUF_AUTO collateral = BUF(BUNDLE_COLLATERAL_MAX);
    if (!set_up(&tdx_v4))
        skip();
    s.tsm.base = "/nowhere/tsm";
    s.guest = (struct tdx_guest){
        .device = "/dev/null", .control = guest_control, .port = 4050, .connect = guest_connect
    };
    CHECK(tdx_attest_way(&s) == TDX_WAY_GUEST);
    CHECK_OK(quote_for(&s, genuine_data, &evidence, &collateral));
    CHECK(evidence.len > 4000 && collateral.len > 4000);
    tdx_scene_close(&scene);
}

static void what_is_no_td_is_told(void **state)
{
    (void)state;
    struct attester *a;
    struct tdx_attest_settings s = settings();
    CHECK(tdx_attest_way(&s) == TDX_WAY_TSM);
    s.guest.device = "/nowhere/tdx_guest";
    CHECK(tdx_attest_way(&s) == TDX_WAY_NONE);
    CHECK_ERR(tdx_attester_new(&a, &s), UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_what_the_verifier_accepts),
        cmocka_unit_test(a_quote_for_other_data_is_not_passed_on),
        cmocka_unit_test(the_boot_log_travels_with_its_filling_cut),
        cmocka_unit_test(without_a_source_only_the_boot_log_travels),
        cmocka_unit_test(without_collateral_there_is_no_evidence),
        cmocka_unit_test(without_the_tree_the_device_and_the_service_are_asked),
        cmocka_unit_test(what_is_no_td_is_told),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
