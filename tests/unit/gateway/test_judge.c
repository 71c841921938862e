#include "base/mem.h"
#include "crypto/init.h"
#include "gateway/judge.h"
#include "tests/lib/law.h"

enum { JOBS = JUDGE_WAITING_MAX + 2 };

static struct loop *loop;
static struct judge judge;
static struct judge_job jobs[JOBS];
static struct judge_job *done[JOBS];
static size_t done_n;
static size_t wanted;

static void on_done(struct judge_job *job)
{
    done[done_n++] = job;
    if (done_n == wanted)
        loop_stop(loop);
}

static void fill(struct judge_job *job, const char *body)
{
    *job = (struct judge_job){ .body = BUF(EVIDENCE_BODY_MAX), .now = 1, .done = on_done };
    CHECK_OK(buf_add_str(&job->body, body));
}

static int open_loop(void **state)
{
    (void)state;
    judge = (struct judge){ 0 };
    done_n = 0;
    CHECK_OK(loop_new(&loop));
    for (size_t i = 0; i < JOBS; i++)
        fill(&jobs[i], i % 2 == 0 ? "{\"evidence\":\"AAAA\"}" : "{}");
    return 0;
}

static int close_loop(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS; i++)
        judge_job_clear(&jobs[i]);
    loop_free(loop);
    return 0;
}

static void questions_are_answered_in_their_order_and_one_too_many_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS - 1; i++)
        CHECK_OK(judge_start(&judge, loop, &jobs[i]));
    CHECK_ERR(judge_start(&judge, loop, &jobs[JOBS - 1]), LIMIT);
    wanted = JOBS - 1;
    loop_run(loop);
    CHECK(done_n == wanted);
    for (size_t i = 0; i < wanted; i++) {
        CHECK(done[i] == &jobs[i]);
        CHECK(jobs[i].fine == (i % 2 == 0));
        CHECK(i % 2 != 0 || jobs[i].findings.len > 0);
        CHECK(i % 2 == 0 || jobs[i].error.cause == ERROR_MISSING_FIELD);
    }
    CHECK_OK(judge_start(&judge, loop, &jobs[JOBS - 1]));
    wanted++;
    loop_run(loop);
    CHECK(done_n == JOBS && judge.running == NULL && judge.waiting == 0);
}

static void on_the_way_down_every_owner_gets_its_job_back(void **state)
{
    (void)state;
    wanted = SIZE_MAX;
    for (size_t i = 0; i < 3; i++)
        CHECK_OK(judge_start(&judge, loop, &jobs[i]));
    judge_end(&judge);
    CHECK(done_n == 2 && done[0] == &jobs[1] && done[1] == &jobs[2]);
    CHECK(!jobs[1].fine && jobs[1].error.cause == ERROR_SHUTTING_DOWN);
    loop_deliver(loop);
    CHECK(done_n == 3 && done[2] == &jobs[0] && jobs[0].fine);
    CHECK_ERR(judge_start(&judge, loop, &jobs[3]), SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            questions_are_answered_in_their_order_and_one_too_many_is_refused, open_loop,
            close_loop),
        cmocka_unit_test_setup_teardown(on_the_way_down_every_owner_gets_its_job_back, open_loop,
                                        close_loop),
    };
    CHECK_OK(crypto_init());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
