#include "gateway/judge.h"

#include "crypto/init.h"

static void on_judged(struct loop_mail *mail);

static void *run(void *arg)
{
    struct judge_job *job = arg;
    job->fine = evidence_answer(buf_view(&job->body), job->now, &job->findings, &job->error);
    crypto_thread_end();
    loop_post(job->loop, &job->mail);
    return NULL;
}

static err start(struct judge *j, struct judge_job *job)
{
    j->running = job;
    if (pthread_create(&job->thread, NULL, run, job) == 0)
        return OK;
    j->running = NULL;
    FAIL(SYSTEM);
}

static void give_up(struct judge_job *job, enum error_cause cause)
{
    job->fine = false;
    job->error = (struct api_error){ .cause = cause };
    job->done(job);
}

static struct judge_job *take_first(struct judge *j)
{
    struct judge_job *job = j->first;
    if (job == NULL)
        return NULL;
    j->first = job->next;
    j->waiting--;
    return job;
}

static void start_next(struct judge *j)
{
    while (!j->ending && j->running == NULL && j->first != NULL) {
        struct judge_job *job = take_first(j);
        if (start(j, job).code != ERR_OK)
            give_up(job, ERROR_INTERNAL);
    }
}

static void join(struct judge_job *job)
{
    if (!job->joined)
        (void)pthread_join(job->thread, NULL);
    job->joined = true;
}

static void on_judged(struct loop_mail *mail)
{
    struct judge_job *job = CONTAINER_OF(mail, struct judge_job, mail);
    struct judge *j = job->judge;
    join(job);
    j->running = NULL;
    job->done(job);
    start_next(j);
}

err judge_start(struct judge *j, struct loop *loop, struct judge_job *job)
{
    struct judge_job **end = &j->first;
    job->loop = loop;
    job->judge = j;
    job->next = NULL;
    job->joined = false;
    job->mail.deliver = on_judged;
    job->findings = BUF(EVIDENCE_BODY_MAX);
    ENSURE(!j->ending, SYSTEM);
    if (j->running == NULL)
        return start(j, job);
    ENSURE(j->waiting < JUDGE_WAITING_MAX, LIMIT);
    while (*end != NULL)
        end = &(*end)->next;
    *end = job;
    j->waiting++;
    return OK;
}

void judge_end(struct judge *j)
{
    struct judge_job *job;
    j->ending = true;
    if (j->running != NULL)
        join(j->running);
    while ((job = take_first(j)) != NULL)
        give_up(job, ERROR_SHUTTING_DOWN);
}

void judge_job_clear(struct judge_job *job)
{
    buf_clear(&job->body);
    buf_clear(&job->findings);
}
