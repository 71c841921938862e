#include "base/text.h"
#include "gateway/metering.h"
#include "tests/lib/law.h"

static void statuses_have_a_class_each(void **state)
{
    (void)state;
    CHECK(metering_status(100) == METERING_1XX && metering_status(199) == METERING_1XX);
    CHECK(metering_status(200) == METERING_2XX && metering_status(299) == METERING_2XX);
    CHECK(metering_status(300) == METERING_3XX && metering_status(499) == METERING_4XX);
    CHECK(metering_status(500) == METERING_5XX && metering_status(599) == METERING_5XX);
    /* What cannot be is ours to be ashamed of. */
    CHECK(metering_status(0) == METERING_5XX && metering_status(99) == METERING_5XX &&
          metering_status(600) == METERING_5XX);
}

static bool shows(bytes text, const char *line)
{
    return text_find(text, bytes_str(line)) < text.len;
}

static void every_metric_is_shown_with_its_labels(void **state)
{
    (void)state;
    struct metering m = { 0 };
    struct metrics_block *block;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metering_init(&m));
    CHECK_OK(metrics_block(m.set, &block));
    for (unsigned route = 0; route < ROUTE_KINDS; route++)
        metrics_add(block, m.requests, route, METERING_CUT, route + 1);
    metrics_add(block, m.receipts, METERING_NOT_VERIFIED, 0, 3);
    metrics_gauge_add(block, m.in_flight, 0, 0, 2);
    metrics_gauge_set(block, m.age, 0, 0, 77);
    metrics_gauge_set(block, m.trusted, 0, 0, 4);
    metrics_add(block, m.refused, 0, 0, 5);
    metrics_add(block, m.resent, 0, 0, 6);
    metrics_observe_us(block, m.first, 0, 0, 1500);
    metrics_observe_us(block, m.gap, 0, 0, 1500);
    metrics_observe_us(block, m.overhead, 0, 0, 60);
    metrics_observe_us(block, m.duration, 0, 0, 1500);
    CHECK_OK(metrics_render(m.set, &text));
    bytes all = buf_view(&text);
    CHECK(shows(all, "sealgate_requests_total{route=\"none\",status=\"broken_off\"} 1\n"));
    CHECK(shows(all, "sealgate_requests_total{route=\"pass\",status=\"broken_off\"} "));
    CHECK(shows(all, "sealgate_receipts_total{outcome=\"not_verified\"} 3\n"));
    CHECK(shows(all, "sealgate_requests_in_flight 2\n"));
    CHECK(shows(all, "sealgate_attestation_age_seconds 77\n"));
    CHECK(shows(all, "sealgate_workers_trusted 4\n"));
    CHECK(shows(all, "sealgate_connections_refused_total 5\n"));
    CHECK(shows(all, "sealgate_requests_resent_total 6\n"));
    CHECK(shows(all, "sealgate_time_to_first_token_seconds_count 1\n"));
    CHECK(shows(all, "sealgate_inter_token_gap_seconds_count 1\n"));
    CHECK(shows(all, "sealgate_overhead_seconds_bucket{le=\"0.0001\"} 1\n"));
    CHECK(shows(all, "sealgate_request_seconds_count 1\n"));
    metering_clear(&m);
    metering_clear(&m);
}

static err make(void *arg)
{
    struct metering m = { 0 };
    (void)arg;
    err e = metering_init(&m);
    metering_clear(&m);
    return e;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    law_every_allocation_fails_once(make, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_have_a_class_each),
        cmocka_unit_test(every_metric_is_shown_with_its_labels),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
