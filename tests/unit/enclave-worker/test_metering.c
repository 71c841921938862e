#include "enclave-worker/metering.h"
#include "enclave-worker/worker.h"
#include "tests/lib/law.h"

static void all_that_is_counted_is_shown(void **state)
{
    (void)state;
    static const char *const names[] = { "sealgate_worker_sessions_total",
                                         "sealgate_worker_sessions_in_flight",
                                         "sealgate_worker_receipts_total",
                                         "sealgate_worker_attestations_total",
                                         "sealgate_worker_engine_first_byte_seconds",
                                         "sealgate_worker_session_seconds" };
    struct worker_metrics m = { 0 };
    BUF_AUTO out = BUF(64 * 1024);
    CHECK_OK(metering_open(&m));
    metrics_add(m.block, m.sessions, WORKER_CLIENT_GONE, 0, 3);
    CHECK_OK(metrics_render(m.set, &out));
    const char *text = buf_str(&out);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        CHECK(strstr(text, names[i]) != NULL);
    CHECK(strstr(text, "sealgate_worker_sessions_total{outcome=\"client_gone\"} 3") != NULL);
    metrics_free(m.set);
}

static err open_and_drop(void *arg)
{
    struct worker_metrics m = { 0 };
    (void)arg;
    err e = metering_open(&m);
    metrics_free(m.set);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(open_and_drop, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_counted_is_shown),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
