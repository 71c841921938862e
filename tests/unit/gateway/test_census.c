#include <string.h>

#include "gateway/census.h"
#include "tests/unit/gateway/verdicts.h"
#include "tests/unit/gateway/worker_sets.h"

struct fixture {
    struct metering metering;
    struct metrics_block *block;
    struct worker_set *set;
    struct trust_view *view;
    struct buf shown;
};

static int set_up(void **state)
{
    static struct fixture f;
    static const char *const addresses[] = { "a:1", "b:1", "c:1" };
    f = (struct fixture){ .shown = BUF(1 << 18) };
    CHECK_OK(metering_init(&f.metering));
    CHECK_OK(metrics_block(f.metering.set, &f.block));
    f.set = worker_set_of(NULL, addresses, 3);
    CHECK_OK(trust_view_new(&f.view, f.set));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    trust_view_unref(f->view);
    worker_set_unref(f->set);
    metering_clear(&f->metering);
    buf_clear(&f->shown);
    return 0;
}

static void trust(struct fixture *f, size_t place, int64_t since)
{
    static const uint8_t document[VERDICT_DIGEST_LEN] = { 1 };
    struct verdict v;
    verdict_plain(&v, 100);
    CHECK_OK(trusted_new(&f->view->workers[place], place, &v, document, since));
    verdict_clear(&v);
}

static void shows(struct fixture *f, const char *line)
{
    buf_truncate(&f->shown, 0);
    CHECK_OK(metrics_render(f->metering.set, &f->shown));
    CHECK_OK(buf_add_u8(&f->shown, 0));
    if (strstr((const char *)f->shown.at, line) == NULL)
        fail_msg("not shown: %s", line);
}

static void workers_are_in_use_or_out_for_a_reason(void **state)
{
    struct fixture *f = *state;
    trust(f, 1, 1000);
    f->view->quarantine[0] = QUARANTINE_UNREACHABLE;
    f->view->quarantine[2] = QUARANTINE_TIMEOUT;
    census_workers(&f->metering, f->block, f->view);
    shows(f, "\nsealgate_workers 3\n");
    shows(f, "\nsealgate_workers_trusted 1\n");
    shows(f, "\nsealgate_workers_quarantined{reason=\"unreachable\"} 1\n");
    shows(f, "\nsealgate_workers_quarantined{reason=\"timeout\"} 1\n");
    shows(f, "\nsealgate_workers_quarantined{reason=\"malformed\"} 0\n");
    f->view->quarantine[2] = QUARANTINE_UNREACHABLE;
    census_workers(&f->metering, f->block, f->view);
    shows(f, "\nsealgate_workers_quarantined{reason=\"unreachable\"} 2\n");
    shows(f, "\nsealgate_workers_quarantined{reason=\"timeout\"} 0\n");
}

static void the_oldest_verdict_in_use_tells_the_age(void **state)
{
    struct fixture *f = *state;
    census_age(&f->metering, f->block, f->view, 1100);
    shows(f, "\nsealgate_attestation_age_seconds 0\n");
    trust(f, 0, 1040);
    trust(f, 2, 1010);
    census_age(&f->metering, f->block, f->view, 1100);
    shows(f, "\nsealgate_attestation_age_seconds 90\n");
    /* The clock was set back: nothing is younger than new. */
    census_age(&f->metering, f->block, f->view, 500);
    shows(f, "\nsealgate_attestation_age_seconds 0\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(workers_are_in_use_or_out_for_a_reason),
        TEST(the_oldest_verdict_in_use_tells_the_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
