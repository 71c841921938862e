#include "attest/nvgpu_bundle.h"
#include "base/mem.h"
#include "tests/lib/law.h"

enum { LARGE = 64 * 1024 };

static struct nvgpu_bundle b, again;

static void fill(size_t devices, size_t certs, size_t ocsp, size_t rims)
{
    b = (struct nvgpu_bundle){ .devices_n = devices, .ocsp_n = ocsp, .rims_n = rims };
    for (size_t i = 0; i < devices && i < NVGPU_DEVICES_MAX; i++) {
        b.devices[i].kind = i % 2 == 0 ? NVGPU_GPU : NVGPU_SWITCH;
        b.devices[i].evidence = BYTES_LIT("e");
        b.devices[i].certs_n = certs;
        for (size_t k = 0; k < certs && k < NVGPU_CHAIN_MAX; k++)
            b.devices[i].certs[k] = BYTES_LIT("c");
    }
    for (size_t i = 0; i < ocsp && i < NVGPU_OCSP_MAX; i++)
        b.ocsp[i] = BYTES_LIT("o");
    for (size_t i = 0; i < rims && i < NVGPU_RIMS_MAX; i++)
        b.rims[i] = BYTES_LIT("r");
}

static err round_trip(void)
{
    BUF_AUTO out = BUF(LARGE);
    BUF_AUTO twice = BUF(LARGE);
    TRY(nvgpu_bundle_write(&out, &b));
    CHECK_OK(nvgpu_bundle_read(buf_view(&out), &again));
    CHECK(again.devices_n == b.devices_n && again.ocsp_n == b.ocsp_n && again.rims_n == b.rims_n);
    CHECK_OK(nvgpu_bundle_write(&twice, &again));
    CHECK_BYTES(buf_view(&twice), buf_view(&out));
    return OK;
}

static void what_is_written_reads_the_same_up_to_the_limits(void **state)
{
    (void)state;
    fill(1, 1, 0, 0);
    CHECK_OK(round_trip());
    fill(NVGPU_DEVICES_MAX, NVGPU_CHAIN_MAX, NVGPU_OCSP_MAX, NVGPU_RIMS_MAX);
    CHECK_OK(round_trip());
    CHECK(again.devices[1].kind == NVGPU_SWITCH && again.devices[2].kind == NVGPU_GPU);
    fill(NVGPU_DEVICES_MAX + 1, 1, 0, 0);
    CHECK_ERR(round_trip(), LIMIT);
    fill(1, NVGPU_CHAIN_MAX + 1, 0, 0);
    CHECK_ERR(round_trip(), LIMIT);
    fill(1, 1, NVGPU_OCSP_MAX + 1, 0);
    CHECK_ERR(round_trip(), LIMIT);
    fill(1, 1, 0, NVGPU_RIMS_MAX + 1);
    CHECK_ERR(round_trip(), LIMIT);
    fill(0, 0, 0, 0);
    CHECK_ERR(round_trip(), MALFORMED);
    fill(1, 0, 0, 0);
    CHECK_ERR(round_trip(), MALFORMED);
}

static err read_hex(const char *hex)
{
    BUF_AUTO in = BUF(LARGE);
    law_hex(&in, hex);
    err e = nvgpu_bundle_read(buf_view(&in), &again);
    CHECK(err_is_ok(e) || again.devices_n == 0);
    return e;
}

#define HEAD "a3646f63737080647269"
#define GOOD HEAD "6d738067646576696365738183014165814163"

static void anything_else_is_refused(void **state)
{
    (void)state;
    CHECK_OK(read_hex(GOOD));
    CHECK_ERR(read_hex(GOOD "00"), MALFORMED);
    CHECK_ERR(read_hex(HEAD "6d7380676465766963657380"), MALFORMED);
    CHECK_ERR(read_hex(HEAD "6d738067646576696365738183034165814163"), MALFORMED);
    CHECK_ERR(read_hex(HEAD "6d7380676465766963657381830140814163"), MALFORMED);
    CHECK_ERR(read_hex(HEAD "6d73806764657669636573818301416580"), MALFORMED);
    CHECK_ERR(read_hex(HEAD "6d73806764657669636573818301416581"), TRUNCATED);
    CHECK_ERR(read_hex("a2646f637370806472696d7380"), MALFORMED);
    CHECK_ERR(read_hex("a36472696d7380646f6373708067646576696365738183014165814163"), MALFORMED);
    CHECK_ERR(read_hex(""), TRUNCATED);
}

static void what_is_added_comes_behind_as_far_as_there_is_room(void **state)
{
    (void)state;
    BUF_AUTO added = BUF(LARGE);
    fill(0, 0, 2, 1);
    b.nras = BYTES_LIT("n");
    b.jwks = BYTES_LIT("j");
    CHECK_OK(nvgpu_collateral_write(&added, &b));
    fill(1, 1, NVGPU_OCSP_MAX - 2, NVGPU_RIMS_MAX - 1);
    CHECK_OK(nvgpu_collateral_add(buf_view(&added), &b));
    CHECK(b.devices_n == 1 && b.ocsp_n == NVGPU_OCSP_MAX && b.rims_n == NVGPU_RIMS_MAX);
    CHECK_BYTES(b.ocsp[NVGPU_OCSP_MAX - 1], BYTES_LIT("o"));
    CHECK_BYTES(b.nras, BYTES_LIT("n"));
    CHECK_BYTES(b.jwks, BYTES_LIT("j"));
    CHECK_ERR(nvgpu_collateral_add(buf_view(&added), &b), LIMIT);
    fill(1, 1, 3, NVGPU_RIMS_MAX);
    CHECK_ERR(nvgpu_collateral_add(buf_view(&added), &b), LIMIT);
    CHECK(b.ocsp_n == 3 && b.rims_n == NVGPU_RIMS_MAX && b.nras.len == 0 && b.jwks.len == 0);
    fill(1, 1, 0, 0);
    CHECK_OK(buf_add_u8(&added, 0));
    CHECK_ERR(nvgpu_collateral_add(buf_view(&added), &b), MALFORMED);
    CHECK(b.ocsp_n == 0 && b.rims_n == 0);
    CHECK_ERR(nvgpu_collateral_add((bytes){ 0 }, &b), TRUNCATED);
}

static void the_nonce_belongs_to_both(void **state)
{
    (void)state;
    uint8_t one[NVGPU_NONCE_LEN], two[NVGPU_NONCE_LEN];
    BUF_AUTO want = BUF(64);
    nvgpu_nonce(BYTES_LIT("ab"), BYTES_LIT("c"), one);
    nvgpu_nonce(BYTES_LIT("a"), BYTES_LIT("bc"), two);
    CHECK(!bytes_equal(BYTES_ARRAY(one), BYTES_ARRAY(two)));
    nvgpu_nonce(BYTES_LIT("0123456789abcdef"), BYTES_LIT("0123456789abcdef0123456789abcdef"), one);
    law_hex(&want, "dfb6af20aa94905b69f7033f2e0d5826ceebb353c2deb0d2f1896e54d4ced78c");
    CHECK_BYTES(BYTES_ARRAY(one), buf_view(&want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_the_same_up_to_the_limits),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(what_is_added_comes_behind_as_far_as_there_is_room),
        cmocka_unit_test(the_nonce_belongs_to_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
