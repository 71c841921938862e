#include "crypto/init.h"
#include "tests/unit/attest/tdx_scene.h"

static const struct tdx_sample with_log = { "quotes/v4-00806f-gcp-uptodate.bin",
                                            "collateral/2025-06-00806f", 1750809600 };

static void a_boot_log_that_replays_is_accepted_and_another_is_not(void **state)
{
    (void)state;
    struct tdx_scene s;
    struct buf log;
    if (!tdx_scene_open(&s, &with_log))
        skip();
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    s.collateral.ccel = buf_view(&log);
    tdx_scene_accepts(&s);
    CHECK(s.result->log_replayed);
    log.at[200] ^= 1;
    tdx_scene_verify(&s);
    CHECK(!s.result->accepted && !s.result->log_replayed);
    buf_clear(&log);
    tdx_scene_close(&s);
}

static void expected_digests_of_the_boot_log_have_to_be_in_it(void **state)
{
    (void)state;
    struct tdx_scene s;
    struct buf log;
    struct buf digest = BUF(48);
    if (!tdx_scene_open(&s, &with_log))
        skip();
    CHECK_OK(buf_add_zeros(&digest, 48));
    s.policy.boot_digests[1] = (struct policy_list){ &digest, 1 };
    tdx_scene_refuses(&s, TDX_FAULT_LOG_ABSENT);
    tdx_scene_read(&log, "ccel/ccel_data.bin");
    s.collateral.ccel = buf_view(&log);
    tdx_scene_refuses(&s, TDX_FAULT_LOG_EVENT);
    buf_clear(&digest);
    buf_clear(&log);
    tdx_scene_close(&s);
}

/* Genuine, but without collateral of its time: what the log says shows all the same. */
static const struct tdx_sample dstack = { "dstack/quote_ratls.bin", "collateral/2025-06-b0c06f",
                                          1751328000 };

static bool log_fault(const struct tdx_scene *s)
{
    return tdx_fault_of(&s->result->faults, TDX_CHECK_EVENT_LOG) != TDX_FAULTS;
}

static void expected_events_of_dstack_have_to_be_there_once(void **state)
{
    (void)state;
    struct tdx_scene s;
    struct buf log;
    struct buf hash = BUF(32);
    if (!tdx_scene_open(&s, &dstack))
        skip();
    tdx_scene_read(&log, "dstack/event_log.json");
    law_hex(&hash, "62dd36d22b7d704aaa4d598226801ed4e6a3bfd17dde762b2efd9876768be800");
    memcpy(s.policy.events[0].name, "compose-hash", 12);
    s.policy.events[0].payloads = (struct policy_list){ &hash, 1 };
    s.policy.events_n = 1;
    tdx_scene_refuses(&s, TDX_FAULT_LOG_ABSENT);
    s.collateral.dstack_log = buf_view(&log);
    tdx_scene_verify(&s);
    CHECK(!log_fault(&s) && s.result->log_replayed);
    hash.at[0] ^= 1;
    tdx_scene_refuses(&s, TDX_FAULT_LOG_EVENT);
    buf_clear(&hash);
    buf_clear(&log);
    tdx_scene_close(&s);
}

static void edited_logs_of_dstack_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum tdx_fault fault;
    } rows[] = { { "dstack/neg-event-payload-edited.json", TDX_FAULT_LOG_DIGEST },
                 { "dstack/neg-event-appended.json", TDX_FAULT_LOG_REPLAY },
                 { "dstack/neg-event-removed.json", TDX_FAULT_LOG_REPLAY } };
    struct tdx_scene s;
    if (!tdx_scene_open(&s, &dstack))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf log;
        tdx_scene_read(&log, rows[i].path);
        s.collateral.dstack_log = buf_view(&log);
        tdx_scene_refuses(&s, rows[i].fault);
        CHECK(!s.result->log_replayed);
        buf_clear(&log);
    }
    tdx_scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_boot_log_that_replays_is_accepted_and_another_is_not),
        cmocka_unit_test(expected_digests_of_the_boot_log_have_to_be_in_it),
        cmocka_unit_test(expected_events_of_dstack_have_to_be_there_once),
        cmocka_unit_test(edited_logs_of_dstack_are_refused),
    };
    if (!err_is_ok(crypto_init()))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
