#include "enclave-worker/responses_job.h"

#include <stdio.h>

#include "api/responses_items.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "wire/names.h"

enum { FOLLOW_MAX = 256 * 1024 }; /* bytes of events that a follower is given at a time */

struct responses_job {
    struct responses_jobs *jobs;
    struct engine *engine;
    bool *chat_known;
    struct responses_job *next, **prev;
    struct responses_work work;
    struct responses_follower *followers;
    struct buf input;   /* its items */
    struct buf context; /* the items that came before */
    char id[RESPONSES_ID_MAX + 1];
    uint8_t owner[STORE_OWNER_LEN];
    uint64_t held;     /* what it counts against the jobs' budget */
    uint64_t reserved; /* and against the store's */
    struct tab tab;
    bool forgotten; /* deleted: not to be kept, nor found */
    bool tried;     /* to be kept, beside what it holds itself */
    bool kept;
    bool busy; /* serving its followers */
};

static bool is_background(const struct responses_job *job)
{
    return job->work.ask.background;
}

/* Whether more will come of it. */
static bool is_over(const struct responses_job *job)
{
    return job->work.state >= WORK_REFUSED;
}

/* Once it is over: nothing where the engine was not reached, or refused. */
static void pay(struct responses_job *job)
{
    const struct responses_work *w = &job->work;
    struct allowance_use use = { 0 };
    bool failed = w->state == WORK_BROKEN || w->reply.status == RESPONSES_FAILED;
    if (!w->refused && (w->status != 0 || !failed))
        use = usage_sum(&w->chat.usage, w->request.len);
    tab_settle(&job->tab, w->status, &use);
}

static void free_job(struct responses_job *job)
{
    for (struct responses_follower *f = job->followers; f != NULL; f = f->next)
        f->job = NULL;
    pay(job);
    if (job->reserved > 0)
        (void)responses_store_reserve(job->jobs->store, &job->reserved, 0);
    work_clear(&job->work);
    *job->prev = job->next;
    if (job->next != NULL)
        job->next->prev = job->prev;
    job->jobs->held -= job->held;
    buf_clear(&job->input);
    buf_clear(&job->context);
    mem_free(job);
}

/* ---- keeping ---- */

static err add_items(struct buf *out, bytes items)
{
    if (out->len > 0 && items.len > 0)
        TRY(buf_add_u8(out, ','));
    return buf_add(out, items);
}

static err keep(struct responses_job *job, bytes events)
{
    const struct responses_reply *r = &job->work.reply;
    BUF_AUTO object = BUF(RESPONSES_OUT_MAX);
    BUF_AUTO output = BUF(RESPONSES_OUT_MAX);
    BUF_AUTO context = BUF(RESPONSES_OUT_MAX);
    TRY(responses_reply_write(r, &object));
    TRY(responses_reply_output(r, &output));
    TRY(buf_add(&context, buf_view(&job->context)));
    TRY(add_items(&context, buf_view(&job->input)));
    TRY(add_items(&context, buf_view(&output)));
    const bytes parts[STORE_PARTS] = {
        [STORE_OBJECT] = buf_view(&object),
        [STORE_INPUT] = buf_view(&job->input),
        [STORE_CONTEXT] = buf_view(&context),
        [STORE_EVENTS] = events,
    };
    return responses_store_put(job->jobs->store, bytes_str(job->id), job->owner, parts,
                               loop_now_ms(job->jobs->loop));
}

static bool is_to_be_kept(const struct responses_job *job)
{
    return job->work.state == WORK_OVER && job->work.ask.store && !job->forgotten && !job->kept;
}

/* What does not fit beside the job is tried again when that goes. */
static void keep_if_asked(struct responses_job *job)
{
    bytes events = is_background(job) ? buf_view(&job->work.reply.out) : (bytes){ 0 };
    if (is_to_be_kept(job))
        job->kept = keep(job, events).code == ERR_OK;
}

/* The last try: in the place of what the job had reserved, and then without its events. What does not
 * fit either is gone, as the oldest are when there is no room: a follow-up says so. */
static void keep_at_last(struct responses_job *job)
{
    if (!is_background(job) || !is_to_be_kept(job))
        return;
    (void)responses_store_reserve(job->jobs->store, &job->reserved, 0);
    keep_if_asked(job);
    if (!job->kept)
        (void)keep(job, (bytes){ 0 });
}

/* In the background: what has come of it needs room in the store. */
static void reserve(struct responses_job *job)
{
    struct responses_work *w = &job->work;
    if (!is_background(job) || is_over(job) ||
        responses_store_reserve(job->jobs->store, &job->reserved,
                                responses_reply_size(&w->reply) + w->body.cap)
                .code == ERR_OK)
        return;
    (void)work_fail(w, "The response needs more room than responses may take here.");
}

static void settle(struct responses_job *job)
{
    if (job->busy || job->followers != NULL || (is_background(job) && !is_over(job)))
        return;
    keep_at_last(job);
    free_job(job);
}

/* ---- followers ---- */

/* Of events that stay where they are as much as is taken now. */
static err take_some(struct responses_follower *f, bytes events)
{
    if (f->to->paused || f->to->out.len > 0)
        return OK;
    if (f->skips)
        f->at = responses_reply_skip(events, f->after);
    f->skips = f->skips && f->at == events.len;
    bytes some = bytes_slice(events, f->at, FOLLOW_MAX);
    TRY(buf_add(&f->to->out, some));
    f->at += some.len;
    f->to->done = f->job->work.state == WORK_OVER && f->at == events.len;
    if (f->at < events.len)
        work_tell(&f->job->work);
    return OK;
}

/* All that has come since the last time; in the foreground the events are the one follower's. */
static err take_events(struct responses_follower *f)
{
    struct responses_job *job = f->job;
    struct buf *events = &job->work.reply.out;
    handout_stream(f->to);
    if (is_background(job))
        return take_some(f, buf_view(events));
    f->to->done = job->work.state == WORK_OVER;
    TRY(buf_add(&f->to->out, buf_view(events)));
    buf_truncate(events, 0);
    return OK;
}

/* A failure that nobody was told of yet has a status of its own. */
static err take_object(const struct responses_follower *f)
{
    const struct responses_reply *r = &f->job->work.reply;
    const struct api_error error = { .cause = ERROR_UPSTREAM_MALFORMED };
    if (r->status == RESPONSES_FAILED && !is_background(f->job))
        return handout_error(f->to, &error);
    TRY(responses_reply_write(r, &f->to->out));
    handout_whole(f->to, MEDIA_JSON);
    return OK;
}

static err take_refusal(const struct responses_follower *f)
{
    const struct responses_work *w = &f->job->work;
    f->to->status = w->status;
    f->to->done = true;
    return buf_add(&f->to->out, buf_view(&w->body));
}

/* Before the engine had begun, the owner says why; afterwards it must not look as if it had not. */
static err take_break(const struct responses_follower *f)
{
    const struct responses_work *w = &f->job->work;
    err why = w->why;
    const struct api_error error = { .cause = error_from(why, true) };
    if (w->status != 0 && f->to->status == 0)
        return handout_error(f->to, &error);
    if (why.code == ERR_OK)
        why = err_raise(ERR_CLOSED, __FILE__, __func__, __LINE__);
    handout_end(f->to, why);
    return OK;
}

static err take(struct responses_follower *f)
{
    switch (f->job->work.state) {
    case WORK_ASKED:
        break;
    case WORK_RUNNING:
        return f->events ? take_events(f) : OK;
    case WORK_OVER:
        return f->events ? take_events(f) : take_object(f);
    case WORK_REFUSED:
        return take_refusal(f);
    case WORK_BROKEN:
        return take_break(f);
    }
    return OK;
}

static void on_work(void *owner, struct responses_work *w)
{
    struct responses_job *job = owner;
    struct responses_follower *next;
    if (w->status != 0 && w->status != 404 && w->status != 405 && w->status != 501)
        *job->chat_known = true;
    reserve(job);
    if (is_over(job) && !job->tried) {
        job->tried = true;
        keep_if_asked(job);
        pay(job);
    }
    job->busy = true;
    for (struct responses_follower *f = job->followers; f != NULL; f = next) {
        next = f->next;
        err e = take(f);
        if (e.code != ERR_OK)
            handout_end(f->to, e);
        handout_now(f->to);
    }
    job->busy = false;
    settle(job);
}

void responses_job_follow(struct responses_job *job, struct responses_follower *follower)
{
    follower->job = job;
    follower->next = job->followers;
    follower->prev = &job->followers;
    if (follower->next != NULL)
        follower->next->prev = &follower->next;
    job->followers = follower;
    work_tell(&job->work);
}

static err hold(struct responses_jobs *jobs, uint64_t n, uint64_t *held)
{
    ENSURE(jobs->held_max == 0 || n <= jobs->held_max - jobs->held, LIMIT);
    jobs->held += n;
    *held = n;
    return OK;
}

err responses_follower_hold(struct responses_follower *follower, struct responses_jobs *jobs,
                            uint64_t n)
{
    follower->budget = jobs;
    return hold(jobs, n, &follower->held);
}

void responses_job_leave(struct responses_follower *follower)
{
    struct responses_job *job = follower->job;
    if (follower->held > 0)
        follower->budget->held -= follower->held;
    follower->held = 0;
    if (job == NULL)
        return;
    follower->job = NULL;
    *follower->prev = follower->next;
    if (follower->next != NULL)
        follower->next->prev = follower->prev;
    settle(job);
}

void responses_job_pause(const struct responses_follower *follower, bool pause)
{
    struct responses_job *job = follower->job;
    if (job != NULL && !is_background(job))
        work_pause(&job->work, pause);
    else if (job != NULL && !pause)
        work_tell(&job->work);
}

/* ---- jobs ---- */

static err fill(struct responses_job *job, const struct job_settings *settings,
                struct responses_ask *ask, struct buf *chat)
{
    const struct work_settings work = { .loop = job->jobs->loop,
                                        .engine = job->engine,
                                        .fields = settings->fields,
                                        .fields_n = settings->fields_n,
                                        .id = job->id,
                                        .created_at = clock_wall_s() };
    /* A job in the background outlives the request that it came with, and with the context of a small
     * one may be large: neither is bounded by what sessions hold. The input is no longer than the
     * request that was made of it. */
    uint64_t n = chat->len + (ask->store ? chat->len + settings->context.len : 0);
    TRY(hold(job->jobs, n, &job->held));
    job->input = BUF(RESPONSES_OUT_MAX);
    job->context = BUF(RESPONSES_OUT_MAX);
    if (ask->store) {
        TRY(responses_items_write(&job->input, responses_ask_input(ask), job->id));
        TRY(buf_add(&job->context, settings->context));
    }
    return work_start(&job->work, &work, ask, chat, on_work, job);
}

err responses_job_start(struct responses_jobs *jobs, const struct job_settings *settings,
                        struct responses_ask *ask, struct buf *chat,
                        struct responses_follower *follower, struct responses_job **out)
{
    struct responses_job *job;
    TRY(mem_new(&job));
    job->jobs = jobs;
    job->engine = settings->engine;
    job->chat_known = settings->chat_known;
    memcpy(job->owner, settings->owner, sizeof job->owner);
    (void)snprintf(job->id, sizeof job->id, "%s", settings->id);
    job->next = jobs->list;
    job->prev = &jobs->list;
    if (job->next != NULL)
        job->next->prev = &job->next;
    jobs->list = job;
    err e = fill(job, settings, ask, chat);
    if (e.code != ERR_OK) {
        free_job(job);
        return e;
    }
    if (is_background(job) && settings->tab != NULL)
        job->tab = tab_take(settings->tab);
    if (follower != NULL)
        responses_job_follow(job, follower);
    *out = job;
    return OK;
}

struct responses_job *responses_job_find(const struct responses_jobs *jobs, bytes id,
                                         const uint8_t owner[static STORE_OWNER_LEN])
{
    for (struct responses_job *job = jobs->list; job != NULL; job = job->next) {
        if (is_background(job) && !job->forgotten && bytes_equal(bytes_str(job->id), id) &&
            secret_equal(BYTES_ARRAY(job->owner), bytes_of(owner, STORE_OWNER_LEN)))
            return job;
    }
    return NULL;
}

const struct responses_work *responses_job_work(const struct responses_job *job)
{
    return &job->work;
}

void responses_job_items(const struct responses_job *job, bytes *input)
{
    *input = buf_view(&job->input);
}

err responses_job_cancel(struct responses_job *job, bool forget)
{
    job->forgotten = forget;
    return work_cancel(&job->work);
}

/* ---- what they share ---- */

err responses_jobs_new(struct responses_jobs **out, struct loop *loop,
                       const struct responses_jobs_settings *settings)
{
    struct responses_jobs *jobs;
    const struct responses_store_settings store = { .size_max = settings->store_max,
                                                    .life_ms = settings->store_ms };
    TRY(mem_new(&jobs));
    jobs->loop = loop;
    jobs->held_max = settings->held_max;
    (void)snprintf(jobs->tag, sizeof jobs->tag, "%s", settings->tag);
    err e = settings->store_max > 0 ? responses_store_new(&jobs->store, &store) : OK;
    if (e.code != ERR_OK) {
        mem_free(jobs);
        return e;
    }
    *out = jobs;
    return OK;
}

void responses_jobs_free(struct responses_jobs *jobs)
{
    if (jobs == NULL)
        return;
    while (jobs->list != NULL)
        free_job(jobs->list);
    responses_store_free(jobs->store);
    mem_free(jobs);
}

void responses_jobs_end(struct responses_jobs *jobs, const struct engine *engine)
{
    struct responses_job *next;
    for (struct responses_job *job = jobs->list; job != NULL; job = next) {
        next = job->next;
        if (job->engine == engine)
            free_job(job);
    }
}

bool responses_jobs_named(const struct responses_jobs *jobs, bytes id)
{
    static const char prefix[] = "resp_";
    bytes tail = bytes_slice(id, sizeof prefix - 1, id.len);
    return bytes_starts(id, bytes_str(prefix)) && bytes_starts(tail, bytes_str(jobs->tag));
}
