#include <pthread.h>
#include <string.h>

#include "base/metrics.h"
#include "tests/lib/law.h"

enum { THREADS = 4, ROUNDS = 2000 };

static const char *const ROUTES[] = { "chat", "a\"b\\c\nd" };
static const char *const RESULTS[] = { "ok", "failed", "gone" };
static const uint64_t BUCKETS[] = { 500, 1000, 2500000 };

static const struct metric_spec COUNTER = {
    .name = "demo_requests_total",
    .help = "Requests; a \\ and a\nline feed.",
    .labels = { { "route", ROUTES, ARRAY_LEN(ROUTES) }, { "result", RESULTS, ARRAY_LEN(RESULTS) } },
};
static const struct metric_spec GAUGE = { .name = "demo_open",
                                          .help = "Open.",
                                          .kind = METRIC_GAUGE };
static const struct metric_spec AGE = {
    .name = "demo_age_seconds", .help = "Age.", .kind = METRIC_GAUGE, .unit = METRIC_SECONDS
};
static const struct metric_spec TIMES = {
    .name = "demo_seconds",
    .help = "Times.",
    .kind = METRIC_HISTOGRAM,
    .unit = METRIC_SECONDS,
    .labels = { { "route", ROUTES, 1 } },
    .buckets_us = BUCKETS,
    .buckets_n = ARRAY_LEN(BUCKETS),
};

static void check_text(const struct metrics *m, const char *want)
{
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metrics_render(m, &text));
    assert_string_equal(buf_str(&text), want);
}

static void renders_counters_with_labels(void **state)
{
    (void)state;
    struct metrics *m;
    struct metric requests;
    struct metrics_block *block;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &COUNTER, &requests));
    CHECK_OK(metrics_block(m, &block));
    metrics_add(block, requests, 0, 1, 2);
    metrics_add(block, requests, 1, 2, 5);
    metrics_add(block, requests, 1, 2, 1);
    check_text(m,
               "# HELP demo_requests_total Requests; a \\\\ and a\\nline feed.\n"
               "# TYPE demo_requests_total counter\n"
               "demo_requests_total{route=\"chat\",result=\"ok\"} 0\n"
               "demo_requests_total{route=\"chat\",result=\"failed\"} 2\n"
               "demo_requests_total{route=\"chat\",result=\"gone\"} 0\n"
               "demo_requests_total{route=\"a\\\"b\\\\c\\nd\",result=\"ok\"} 0\n"
               "demo_requests_total{route=\"a\\\"b\\\\c\\nd\",result=\"failed\"} 0\n"
               "demo_requests_total{route=\"a\\\"b\\\\c\\nd\",result=\"gone\"} 6\n");
    metrics_free(m);
}

static void renders_gauges_as_the_sum_of_all_blocks(void **state)
{
    (void)state;
    struct metrics *m;
    struct metric open, age;
    struct metrics_block *a, *b;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &GAUGE, &open));
    CHECK_OK(metrics_register(m, &AGE, &age));
    CHECK_OK(metrics_block(m, &a));
    CHECK_OK(metrics_block(m, &b));
    metrics_gauge_add(a, open, 0, 0, 3);
    metrics_gauge_add(b, open, 0, 0, -5);
    metrics_gauge_set(a, age, 0, 0, 1);
    metrics_gauge_set(a, age, 0, 0, -1250000);
    check_text(m,
               "# HELP demo_open Open.\n# TYPE demo_open gauge\ndemo_open -2\n"
               "# HELP demo_age_seconds Age.\n# TYPE demo_age_seconds gauge\n"
               "demo_age_seconds -1.25\n");
    metrics_free(m);
}

static void renders_histograms_cumulatively(void **state)
{
    (void)state;
    struct metrics *m;
    struct metric times;
    struct metrics_block *a, *b;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &TIMES, &times));
    CHECK_OK(metrics_block(m, &a));
    CHECK_OK(metrics_block(m, &b));
    metrics_observe_us(a, times, 0, 0, 500);
    metrics_observe_us(a, times, 0, 0, 501);
    metrics_observe_us(b, times, 0, 0, 2500000);
    metrics_observe_us(b, times, 0, 0, 2500001);
    check_text(m,
               "# HELP demo_seconds Times.\n# TYPE demo_seconds histogram\n"
               "demo_seconds_bucket{route=\"chat\",le=\"0.0005\"} 1\n"
               "demo_seconds_bucket{route=\"chat\",le=\"0.001\"} 2\n"
               "demo_seconds_bucket{route=\"chat\",le=\"2.5\"} 3\n"
               "demo_seconds_bucket{route=\"chat\",le=\"+Inf\"} 4\n"
               "demo_seconds_sum{route=\"chat\"} 5.001002\n"
               "demo_seconds_count{route=\"chat\"} 4\n");
    metrics_free(m);
}

static void ignores_what_was_not_registered(void **state)
{
    (void)state;
    struct metrics *m;
    struct metric open, times;
    const struct metric none = { 0 };
    struct metrics_block *block;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &GAUGE, &open));
    CHECK_OK(metrics_register(m, &TIMES, &times));
    CHECK_OK(metrics_block(m, &block));
    BUF_AUTO before = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metrics_render(m, &before));
    metrics_add(NULL, open, 0, 0, 1);
    metrics_add(block, none, 0, 0, 1);
    metrics_add(block, open, 1, 0, 1);
    metrics_add(block, open, 0, 1, 1);
    metrics_add(block, open, 0xffffffff, 0, 1);
    metrics_add(block, times, 0, 0, 1);
    metrics_gauge_set(block, times, 0, 0, 1);
    metrics_observe_us(block, open, 0, 0, 1);
    metrics_observe_us(block, times, 1, 0, 1);
    check_text(m, buf_str(&before));
    metrics_free(m);
}

static void refuses_what_prometheus_would(void **state)
{
    (void)state;
    static const uint64_t falling[] = { 2, 1 };
    static const char *const bad_value[] = { "\xff" };
    struct metric_spec specs[9];
    struct metrics *m;
    struct metric out;
    for (size_t i = 0; i < ARRAY_LEN(specs); i++)
        specs[i] = TIMES;
    specs[0].name = "1x";
    specs[1].name = "a-b";
    specs[2].name = "";
    specs[3].help = "\xff";
    specs[4].labels[0].name = "le";
    specs[5].labels[0].n = 0;
    specs[6].labels[0].values = bad_value;
    specs[7].buckets_us = falling;
    specs[7].buckets_n = 2;
    specs[8].kind = METRIC_COUNTER;
    CHECK_OK(metrics_new(&m));
    for (size_t i = 0; i < ARRAY_LEN(specs); i++)
        CHECK_ERR(metrics_register(m, &specs[i], &out), CONFIG);
    CHECK_OK(metrics_register(m, &TIMES, &out));
    CHECK_ERR(metrics_register(m, &TIMES, &out), EXISTS);
    metrics_free(m);
}

static void bounds_labels(void **state)
{
    (void)state;
    char name[METRICS_LABEL_MAX + 2] = { 0 };
    char value[METRICS_LABEL_MAX + 2] = { 0 };
    const char *const values[] = { value };
    struct metric_spec spec = GAUGE;
    struct metrics *m;
    struct metric out;
    memset(name, 'n', METRICS_LABEL_MAX);
    memset(value, '"', METRICS_LABEL_MAX);
    spec.labels[0] = (struct metric_label){ name, values, 1 };
    spec.labels[1] = (struct metric_label){ name, values, 1 };
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &spec, &out));
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metrics_render(m, &text));
    value[METRICS_LABEL_MAX] = 'v';
    spec.name = "other";
    CHECK_ERR(metrics_register(m, &spec, &out), LIMIT);
    value[METRICS_LABEL_MAX] = 0;
    name[METRICS_LABEL_MAX] = 'n';
    CHECK_ERR(metrics_register(m, &spec, &out), LIMIT);
    name[METRICS_LABEL_MAX] = 0;
    metrics_free(m);
}

static void bounds_metrics_and_buckets(void **state)
{
    (void)state;
    static char names[METRICS_MAX + 1][16];
    uint64_t buckets[METRICS_BUCKETS_MAX + 1];
    struct metrics *m;
    struct metric out;
    for (size_t i = 0; i <= METRICS_BUCKETS_MAX; i++)
        buckets[i] = i + 1;
    CHECK_OK(metrics_new(&m));
    struct metric_spec times = TIMES;
    times.buckets_us = buckets;
    times.buckets_n = METRICS_BUCKETS_MAX + 1;
    CHECK_ERR(metrics_register(m, &times, &out), LIMIT);
    times.buckets_n = METRICS_BUCKETS_MAX;
    CHECK_OK(metrics_register(m, &times, &out));
    for (size_t i = 1; i <= METRICS_MAX; i++) {
        struct metric_spec spec = GAUGE;
        BUF_AUTO name = BUF(15);
        CHECK_OK(buf_addf(&name, "m%zu", i));
        memcpy(names[i], buf_str(&name), name.len);
        spec.name = names[i];
        if (i < METRICS_MAX)
            CHECK_OK(metrics_register(m, &spec, &out));
        else
            CHECK_ERR(metrics_register(m, &spec, &out), LIMIT);
    }
    metrics_free(m);
}

static void bounds_cells(void **state)
{
    (void)state;
    static const char *values[METRICS_CELLS_MAX];
    struct metric_spec spec = GAUGE;
    struct metrics *m;
    struct metric out;
    for (size_t i = 0; i < METRICS_CELLS_MAX; i++)
        values[i] = "v";
    spec.labels[0] = (struct metric_label){ "l", values, METRICS_CELLS_MAX };
    CHECK_OK(metrics_new(&m));
    CHECK_ERR(metrics_register(m, &spec, &out), LIMIT);
    spec.labels[0].n = METRICS_CELLS_MAX - 1;
    CHECK_OK(metrics_register(m, &spec, &out));
    metrics_free(m);
}

static void registers_nothing_once_counting_has_begun(void **state)
{
    (void)state;
    struct metrics *m;
    struct metric out;
    struct metrics_block *block;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_block(m, &block));
    CHECK_ERR(metrics_register(m, &GAUGE, &out), INTERNAL);
    metrics_free(m);
    metrics_free(NULL);
}

struct counting {
    struct metrics *m;
    struct metric requests;
    struct metric times;
};

static void *count(void *arg)
{
    const struct counting *c = arg;
    struct metrics_block *block = NULL;
    if (!err_is_ok(metrics_block(c->m, &block)))
        return NULL;
    for (unsigned i = 0; i < ROUNDS; i++) {
        metrics_add(block, c->requests, 0, 0, 1);
        metrics_observe_us(block, c->times, 0, 0, 600);
    }
    return block;
}

static void loses_nothing_between_threads(void **state)
{
    (void)state;
    struct counting c;
    pthread_t threads[THREADS];
    void *counted;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    CHECK_OK(metrics_new(&c.m));
    CHECK_OK(metrics_register(c.m, &COUNTER, &c.requests));
    CHECK_OK(metrics_register(c.m, &TIMES, &c.times));
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, count, &c) == 0);
    for (size_t i = 0; i < 20; i++) {
        buf_truncate(&text, 0);
        CHECK_OK(metrics_render(c.m, &text));
    }
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], &counted) == 0 && counted != NULL);
    buf_truncate(&text, 0);
    CHECK_OK(metrics_render(c.m, &text));
    CHECK(strstr(buf_str(&text), "{route=\"chat\",result=\"ok\"} 8000\n") != NULL);
    CHECK(strstr(buf_str(&text), "demo_seconds_sum{route=\"chat\"} 4.8\n") != NULL);
    CHECK(strstr(buf_str(&text), "demo_seconds_count{route=\"chat\"} 8000\n") != NULL);
    metrics_free(c.m);
}

static err register_and_render(void *arg)
{
    (void)arg;
    struct metrics *m;
    struct metric out;
    struct metrics_block *block;
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    TRY(metrics_new(&m));
    err e = metrics_register(m, &COUNTER, &out);
    if (err_is_ok(e))
        e = metrics_block(m, &block);
    if (err_is_ok(e))
        e = metrics_render(m, &text);
    metrics_free(m);
    return e;
}

static void survives_every_failing_allocation(void **state)
{
    (void)state;
    law_every_allocation_fails_once(register_and_render, NULL);
}

static void renders_histograms_of_numbers(void **state)
{
    (void)state;
    static const uint64_t bounds[] = { 1, 1048576 };
    const struct metric_spec spec = { .name = "demo_tokens",
                                      .help = "Tokens.",
                                      .kind = METRIC_HISTOGRAM,
                                      .buckets_us = bounds,
                                      .buckets_n = ARRAY_LEN(bounds) };
    struct metrics *m;
    struct metric tokens;
    struct metrics_block *block;
    CHECK_OK(metrics_new(&m));
    CHECK_OK(metrics_register(m, &spec, &tokens));
    CHECK_OK(metrics_block(m, &block));
    metrics_observe_us(block, tokens, 0, 0, 1);
    metrics_observe_us(block, tokens, 0, 0, 1500000);
    check_text(m,
               "# HELP demo_tokens Tokens.\n"
               "# TYPE demo_tokens histogram\n"
               "demo_tokens_bucket{le=\"1\"} 1\n"
               "demo_tokens_bucket{le=\"1048576\"} 1\n"
               "demo_tokens_bucket{le=\"+Inf\"} 2\n"
               "demo_tokens_sum 1500001\n"
               "demo_tokens_count 2\n");
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(renders_counters_with_labels),
        cmocka_unit_test(renders_gauges_as_the_sum_of_all_blocks),
        cmocka_unit_test(renders_histograms_of_numbers),
        cmocka_unit_test(renders_histograms_cumulatively),
        cmocka_unit_test(ignores_what_was_not_registered),
        cmocka_unit_test(refuses_what_prometheus_would),
        cmocka_unit_test(bounds_labels),
        cmocka_unit_test(bounds_metrics_and_buckets),
        cmocka_unit_test(bounds_cells),
        cmocka_unit_test(registers_nothing_once_counting_has_begun),
        cmocka_unit_test(loses_nothing_between_threads),
        cmocka_unit_test(survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("base/metrics", tests, NULL, NULL);
}
