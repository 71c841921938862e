#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/loop.h"
#include "base/mem.h"
#include "tests/lib/law.h"

/* A loop, a guard that fails the test when nothing happens, and an account of what did. */
struct fixture {
    struct loop *loop;
    struct loop_timer guard;
    struct buf account;
    uint64_t latest_ms; /* of the timers that have run */
};

static void on_guard(struct loop_timer *t)
{
    (void)t;
    fail_msg("the loop waits for something that does not come");
}

static int set_up(void **state)
{
    static struct fixture f;
    f = (struct fixture){ .account = BUF(1 << 16) };
    CHECK_OK(loop_new(&f.loop));
    loop_timer_start(f.loop, &f.guard, 20000, on_guard);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    loop_timer_stop(&f->guard);
    loop_free(f->loop);
    buf_clear(&f->account);
    return 0;
}

static void note(struct fixture *f, const char *what)
{
    CHECK_OK(buf_addf(&f->account, "%s ", what));
}

static void told(struct fixture *f, const char *want)
{
    assert_string_equal(buf_str(&f->account), want);
    buf_truncate(&f->account, 0);
}

/* ---- timers ---- */

struct alarm {
    struct loop_timer timer;
    struct fixture *f;
    const char *name;
    uint64_t due_ms;
    size_t runs;
    struct alarm *also; /* stopped when this one runs */
    bool stop, repeat;
};

static void start(struct fixture *f, struct alarm *a, uint64_t ms);

static void on_alarm(struct loop_timer *t)
{
    struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
    CHECK(!loop_timer_active(t));
    CHECK(loop_now_ms(a->f->loop) >= a->due_ms && a->due_ms >= a->f->latest_ms);
    a->f->latest_ms = a->due_ms;
    a->runs++;
    if (a->repeat)
        start(a->f, a, 0);
    if (a->name != NULL)
        note(a->f, a->name);
    if (a->also != NULL)
        loop_timer_stop(&a->also->timer);
    if (a->stop)
        loop_stop(a->f->loop);
}

static void start(struct fixture *f, struct alarm *a, uint64_t ms)
{
    a->f = f;
    loop_timer_start(f->loop, &a->timer, ms, on_alarm);
    a->due_ms = loop_now_ms(f->loop) + loop_timer_left_ms(&a->timer);
}

static void timers_run_in_the_order_of_their_time(void **state)
{
    struct fixture *f = *state;
    struct alarm a = { .name = "5" }, b = { .name = "1" }, c = { .name = "3" };
    struct alarm last = { .name = "9", .stop = true };
    start(f, &a, 5);
    start(f, &b, 1);
    start(f, &last, 9);
    start(f, &c, 3);
    loop_run(f->loop);
    told(f, "1 3 5 9 ");
}

static void a_timer_can_be_moved_and_stopped(void **state)
{
    struct fixture *f = *state;
    struct alarm moved = { .name = "moved" }, stopped = { .name = "stopped" };
    struct alarm killed = { .name = "killed" };
    struct alarm last = { .name = "last", .stop = true, .also = &killed };
    CHECK(!loop_timer_active(&stopped.timer));
    loop_timer_stop(&stopped.timer);
    start(f, &stopped, 1);
    CHECK(loop_timer_active(&stopped.timer));
    loop_timer_stop(&stopped.timer);
    loop_timer_stop(&stopped.timer);
    start(f, &moved, 1000000);
    start(f, &moved, 1);
    start(f, &last, 3);
    /* Later than `last`, or due in the same turn when the machine was slow: stopped either way. */
    start(f, &killed, 4);
    loop_run(f->loop);
    told(f, "moved last ");
    CHECK(!loop_timer_active(&killed.timer));
}

static void a_timer_knows_what_is_left_of_its_time(void **state)
{
    struct fixture *f = *state;
    struct alarm far = { 0 }, last = { .stop = true };
    CHECK(loop_timer_left_ms(&far.timer) == 0);
    start(f, &far, 1000000);
    CHECK(loop_timer_left_ms(&far.timer) == 1000000);
    start(f, &last, 2);
    loop_run(f->loop);
    CHECK(loop_timer_left_ms(&last.timer) == 0);
    CHECK(loop_now_ms(f->loop) + loop_timer_left_ms(&far.timer) == far.due_ms);
    loop_timer_stop(&far.timer);
    CHECK(loop_timer_left_ms(&far.timer) == 0);
}

static void a_timer_may_start_itself_again_without_starving_others(void **state)
{
    struct fixture *f = *state;
    struct alarm a = { .repeat = true }, last = { .stop = true };
    start(f, &a, 0);
    start(f, &last, 3);
    loop_run(f->loop);
    CHECK(a.runs >= 1 && last.runs == 1);
    loop_timer_stop(&a.timer);
}

enum { MANY = 2000 };

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Against a model: after any mixture of starts and stops the rest run once each, in order. */
static void many_timers_keep_their_order(void **state)
{
    struct fixture *f = *state;
    static struct alarm alarms[MANY];
    uint32_t seed = 1;
    size_t want = 0, ran = 0;
    for (size_t i = 0; i < MANY; i++)
        alarms[i] = (struct alarm){ 0 };
    for (size_t i = 0; i < (size_t)5 * MANY; i++) {
        struct alarm *a = &alarms[next_random(&seed) % MANY];
        if (next_random(&seed) % 3 == 0)
            loop_timer_stop(&a->timer);
        else
            start(f, a, next_random(&seed) % 20);
    }
    for (size_t i = 0; i < MANY; i++)
        want += loop_timer_active(&alarms[i].timer) ? 1 : 0;
    struct alarm last = { .stop = true };
    start(f, &last, 30);
    loop_run(f->loop);
    for (size_t i = 0; i < MANY; i++) {
        CHECK(alarms[i].runs <= 1 && !loop_timer_active(&alarms[i].timer));
        ran += alarms[i].runs;
    }
    CHECK(want > 0 && ran == want);
}

/* ---- the end of a turn ---- */

struct worker {
    struct loop_task task;
    struct loop_hook hook;
    struct fixture *f;
    const char *name;
    struct worker *next; /* deferred by this one */
    struct worker *cancels;
    bool again, last, remove;
};

static void on_task(struct loop_task *t)
{
    struct worker *w = CONTAINER_OF(t, struct worker, task);
    note(w->f, w->name);
    if (w->next != NULL && w->next->last)
        loop_defer_last(w->f->loop, &w->next->task, on_task);
    else if (w->next != NULL)
        loop_defer(w->f->loop, &w->next->task, on_task);
    if (w->cancels != NULL)
        loop_defer_cancel(&w->cancels->task);
}

static void on_hook(struct loop_hook *h)
{
    struct worker *w = CONTAINER_OF(h, struct worker, hook);
    note(w->f, w->name);
    if (w->again)
        loop_again(w->f->loop);
    w->again = false;
    if (w->next != NULL)
        loop_defer(w->f->loop, &w->next->task, on_task);
    w->next = NULL;
    if (w->cancels != NULL)
        loop_hook_remove(&w->cancels->hook);
    if (w->remove)
        loop_hook_remove(h);
}

/* One turn that does not wait. */
static void turn(struct fixture *f)
{
    loop_stop(f->loop);
    loop_run(f->loop);
}

static void tasks_run_before_hooks_and_last_tasks_after(void **state)
{
    struct fixture *f = *state;
    struct worker t1 = { .f = f, .name = "t1" }, t2 = { .f = f, .name = "t2" };
    struct worker last = { .f = f, .name = "last" };
    struct worker h1 = { .f = f, .name = "h1" }, h2 = { .f = f, .name = "h2" };
    struct worker h3 = { .f = f, .name = "h3" };
    loop_hook_add(f->loop, &h2.hook, 2, on_hook);
    loop_hook_add(f->loop, &h1.hook, 1, on_hook);
    loop_hook_add(f->loop, &h3.hook, 2, on_hook);
    loop_defer_last(f->loop, &last.task, on_task);
    loop_defer(f->loop, &t1.task, on_task);
    loop_defer(f->loop, &t2.task, on_task);
    loop_defer(f->loop, &t1.task, on_task);
    turn(f);
    told(f, "t1 t2 h1 h2 h3 last ");
    /* Nothing is left of it. */
    turn(f);
    told(f, "");
    loop_hook_remove(&h1.hook);
    loop_hook_remove(&h1.hook);
    loop_defer(f->loop, &t1.task, on_task);
    turn(f);
    told(f, "t1 h2 h3 ");
    loop_hook_remove(&h2.hook);
    loop_hook_remove(&h3.hook);
}

static void a_hook_of_the_end_runs_once_after_all_else(void **state)
{
    struct fixture *f = *state;
    struct worker t = { .f = f, .name = "t" }, last = { .f = f, .name = "last" };
    struct worker h = { .f = f, .name = "h", .again = true };
    struct worker end = { .f = f, .name = "end" };
    loop_hook_add(f->loop, &end.hook, LOOP_ORDER_END, on_hook);
    loop_hook_add(f->loop, &h.hook, LOOP_ORDER_END - 1, on_hook);
    loop_defer(f->loop, &t.task, on_task);
    loop_defer_last(f->loop, &last.task, on_task);
    turn(f);
    told(f, "t h h last end ");
    turn(f);
    told(f, "");
    /* What it defers belongs to the next turn, which comes at once. */
    end.next = &t;
    loop_defer_last(f->loop, &last.task, on_task);
    turn(f);
    told(f, "h last end t h end ");
    loop_hook_remove(&h.hook);
    loop_hook_remove(&end.hook);
}

static void what_a_hook_asks_for_happens_in_a_second_round(void **state)
{
    struct fixture *f = *state;
    struct worker after = { .f = f, .name = "after" };
    struct worker h = { .f = f, .name = "h", .next = &after };
    struct worker t = { .f = f, .name = "t" };
    loop_hook_add(f->loop, &h.hook, 0, on_hook);
    loop_defer(f->loop, &t.task, on_task);
    turn(f);
    told(f, "t h after h ");
    h.again = true;
    loop_defer(f->loop, &t.task, on_task);
    turn(f);
    told(f, "t h h ");
    loop_hook_remove(&h.hook);
}

static void what_is_left_comes_in_the_next_turn_at_once(void **state)
{
    struct fixture *f = *state;
    struct worker a = { .f = f, .name = "a" };
    struct alarm stop = { .stop = true };
    /* It defers itself for ever: were the loop to wait, the guard would fail the test. */
    a.next = &a;
    loop_defer(f->loop, &a.task, on_task);
    start(f, &stop, 2);
    loop_run(f->loop);
    CHECK(f->account.len >= 4);
    loop_defer_cancel(&a.task);

    buf_truncate(&f->account, 0);
    struct worker last = { .f = f, .name = "last", .last = true };
    last.next = &last;
    loop_defer_last(f->loop, &last.task, on_task);
    start(f, &stop, 2);
    loop_run(f->loop);
    CHECK(f->account.len >= 10);
    loop_defer_cancel(&last.task);
}

static void tasks_and_hooks_may_cancel_each_other(void **state)
{
    struct fixture *f = *state;
    struct worker b = { .f = f, .name = "b" }, c = { .f = f, .name = "c" };
    struct worker a = { .f = f, .name = "a", .cancels = &b };
    struct worker h2 = { .f = f, .name = "h2" };
    struct worker h1 = { .f = f, .name = "h1", .cancels = &h2, .remove = true };
    struct worker h3 = { .f = f, .name = "h3", .remove = true };
    loop_hook_add(f->loop, &h1.hook, 1, on_hook);
    loop_hook_add(f->loop, &h2.hook, 2, on_hook);
    loop_hook_add(f->loop, &h3.hook, 3, on_hook);
    loop_defer(f->loop, &a.task, on_task);
    loop_defer(f->loop, &b.task, on_task);
    loop_defer(f->loop, &c.task, on_task);
    turn(f);
    told(f, "a c h1 h3 ");
    loop_defer(f->loop, &c.task, on_task);
    turn(f);
    told(f, "c ");
}

static void what_is_deferred_still_runs_when_the_loop_goes(void **state)
{
    struct fixture *f = *state;
    struct loop *doomed;
    CHECK_OK(loop_new(&doomed));
    struct fixture g = { .loop = doomed, .account = f->account };
    struct worker b = { .f = &g, .name = "b", .last = true };
    struct worker a = { .f = &g, .name = "a", .next = &b };
    loop_defer(doomed, &a.task, on_task);
    loop_free(doomed);
    f->account = g.account;
    told(f, "a b ");
}

/* ---- descriptors ---- */

struct watcher {
    struct fixture *f;
    struct loop_fd *watch;
    int ends[2];
    unsigned ready;
    size_t calls, stop_at;
    struct watcher *closes;
};

static void on_ready(void *owner, unsigned ready)
{
    struct watcher *w = owner;
    w->ready = ready;
    if (++w->calls == w->stop_at)
        loop_stop(w->f->loop);
    if (w->closes != NULL) {
        loop_fd_close(w->closes->watch);
        w->closes->watch = NULL;
    }
}

static void open_watch(struct fixture *f, struct watcher *w, unsigned want)
{
    w->f = f;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->ends), 0);
    CHECK_OK(loop_fd_open(&w->watch, f->loop, w->ends[0], on_ready, w));
    CHECK_OK(loop_fd_want(w->watch, want));
}

static void close_watch(struct watcher *w)
{
    loop_fd_close(w->watch);
    (void)close(w->ends[0]);
    (void)close(w->ends[1]);
}

static void readiness_is_told_for_as_long_as_it_lasts(void **state)
{
    struct fixture *f = *state;
    struct watcher w = { .stop_at = 3 };
    uint8_t byte;
    open_watch(f, &w, LOOP_READ);
    turn(f);
    CHECK(w.calls == 0);
    assert_int_equal(write(w.ends[1], "x", 1), 1);
    loop_run(f->loop);
    CHECK(w.calls == 3 && w.ready == LOOP_READ);
    assert_int_equal(read(w.ends[0], &byte, 1), 1);
    turn(f);
    CHECK(w.calls == 3);
    CHECK_OK(loop_fd_want(w.watch, LOOP_READ | LOOP_WRITE));
    w.stop_at = 4;
    loop_run(f->loop);
    CHECK(w.ready == LOOP_WRITE);
    CHECK_OK(loop_fd_want(w.watch, 0));
    turn(f);
    CHECK(w.calls == 4);
    close_watch(&w);
}

static void a_hangup_is_told_to_who_asks(void **state)
{
    struct fixture *f = *state;
    struct watcher w = { .stop_at = 1 };
    open_watch(f, &w, LOOP_HANGUP);
    assert_int_equal(write(w.ends[1], "x", 1), 1);
    turn(f);
    CHECK(w.calls == 0);
    assert_int_equal(shutdown(w.ends[1], SHUT_WR), 0);
    loop_run(f->loop);
    CHECK(w.ready == LOOP_HANGUP);
    close_watch(&w);
}

/* A refused connection is POLLERR, after which libuv itself would fall silent. */
static void an_error_is_told_as_everything_wanted_again_and_again(void **state)
{
    struct fixture *f = *state;
    struct watcher w = { .f = f, .stop_at = 3 };
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof a;
    int closed = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(closed, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(closed, (struct sockaddr *)&a, &len), 0);
    w.ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    w.ends[1] = closed;
    (void)connect(w.ends[0], (struct sockaddr *)&a, len);
    CHECK_OK(loop_fd_open(&w.watch, f->loop, w.ends[0], on_ready, &w));
    CHECK_OK(loop_fd_want(w.watch, LOOP_READ | LOOP_WRITE));
    loop_run(f->loop);
    CHECK(w.calls == 3 && w.ready == (LOOP_READ | LOOP_WRITE));
    close_watch(&w);
}

static void after_closing_nothing_is_told_even_if_it_is_ready(void **state)
{
    struct fixture *f = *state;
    struct watcher a = { 0 }, b = { 0 };
    open_watch(f, &a, LOOP_READ);
    open_watch(f, &b, LOOP_READ);
    a.closes = &b;
    b.closes = &a;
    assert_int_equal(write(a.ends[1], "x", 1), 1);
    assert_int_equal(write(b.ends[1], "x", 1), 1);
    turn(f);
    CHECK(a.calls + b.calls == 1);
    turn(f);
    CHECK(a.calls + b.calls <= 2 && (a.calls == 0 || b.calls == 0));
    close_watch(&a);
    close_watch(&b);
}

static void a_descriptor_number_may_come_again(void **state)
{
    struct fixture *f = *state;
    static struct watcher w[300];
    /* More than the loop keeps places for closed ones. */
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(w); i++) {
            w[i].calls = 0;
            open_watch(f, &w[i], LOOP_READ);
            assert_int_equal(write(w[i].ends[1], "x", 1), 1);
        }
        turn(f);
        for (size_t i = 0; i < ARRAY_LEN(w); i++)
            CHECK(w[i].calls == 1);
        for (size_t i = 0; i < ARRAY_LEN(w); i++)
            close_watch(&w[i]);
    }
}

/* ---- mail ---- */

enum { SENDERS = 4, LETTERS = 20000 };

struct letter {
    struct loop_mail mail;
    struct box *box;
    unsigned sender, number;
};

struct box {
    struct loop *loop;
    unsigned next[SENDERS];
    size_t got;
    struct letter letters[SENDERS][LETTERS];
};

struct sender {
    struct box *box;
    unsigned id;
};

static void on_letter(struct loop_mail *m)
{
    struct letter *t = CONTAINER_OF(m, struct letter, mail);
    struct box *box = t->box;
    CHECK(t->number == box->next[t->sender]);
    box->next[t->sender]++;
    if (++box->got == (size_t)SENDERS * LETTERS)
        loop_stop(box->loop);
}

static void *send_letters(void *arg)
{
    const struct sender *s = arg;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *t = &s->box->letters[s->id][i];
        *t = (struct letter){
            .mail.deliver = on_letter, .box = s->box, .sender = s->id, .number = i
        };
        loop_post(s->box->loop, &t->mail);
    }
    return NULL;
}

static void mail_of_many_threads_arrives_once_and_in_order(void **state)
{
    struct fixture *f = *state;
    static struct box box;
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    box.loop = f->loop;
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &box, i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_letters, &senders[i]), 0);
    }
    loop_run(f->loop);
    for (unsigned i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    CHECK(box.got == (size_t)SENDERS * LETTERS);
}

static void mail_can_be_fetched_without_running(void **state)
{
    struct fixture *f = *state;
    static struct box box;
    struct letter a = { .mail.deliver = on_letter, .box = &box };
    struct letter b = { .mail.deliver = on_letter, .box = &box, .number = 1 };
    box.loop = f->loop;
    loop_deliver(f->loop);
    loop_post(f->loop, &a.mail);
    loop_post(f->loop, &b.mail);
    loop_deliver(f->loop);
    CHECK(box.got == 2);
}

/* ---- signals ---- */

static void on_signal(void *owner, int signum)
{
    struct fixture *f = owner;
    CHECK_OK(buf_addf(&f->account, "signal %d ", signum));
    loop_stop(f->loop);
}

static void on_other_signal(void *owner, int signum)
{
    note(owner, "other");
    on_signal(owner, signum);
}

static void signals_arrive_in_a_turn(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(loop_on_signal(f->loop, SIGUSR1, on_signal, f));
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(f->loop);
    told(f, "signal 10 ");
    CHECK_OK(loop_on_signal(f->loop, SIGUSR1, on_other_signal, f));
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(f->loop);
    told(f, "other signal 10 ");
}

static void only_so_many_signals_are_heard(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < LOOP_SIGNALS_MAX; i++)
        CHECK_OK(loop_on_signal(f->loop, SIGRTMIN + i, on_signal, f));
    CHECK_ERR(loop_on_signal(f->loop, SIGRTMIN + LOOP_SIGNALS_MAX, on_signal, f), LIMIT);
}

/* ---- jobs ---- */

struct errand {
    struct loop_job job;
    struct fixture *f;
    pthread_t worked;
    unsigned done;
};

static void on_work(struct loop_job *j)
{
    CONTAINER_OF(j, struct errand, job)->worked = pthread_self();
}

static void on_work_done(struct loop_job *j)
{
    struct errand *a = CONTAINER_OF(j, struct errand, job);
    a->done++;
    loop_stop(a->f->loop);
}

static void a_job_works_elsewhere_and_is_done_here(void **state)
{
    struct fixture *f = *state;
    struct errand a = { .job = { on_work, on_work_done }, .f = f, .worked = pthread_self() };
    CHECK_OK(loop_start_job(f->loop, &a.job));
    CHECK(a.done == 0);
    loop_run(f->loop);
    CHECK(a.done == 1 && !pthread_equal(a.worked, pthread_self()));
}

static void a_loop_that_is_freed_waits_for_its_jobs(void **state)
{
    (void)state;
    struct fixture own = { 0 };
    struct errand a = { .job = { on_work, on_work_done }, .f = &own };
    CHECK_OK(loop_new(&own.loop));
    CHECK_OK(loop_start_job(own.loop, &a.job));
    loop_free(own.loop);
    CHECK(a.done == 1);
}

/* ---- look-ups ---- */

struct answer {
    struct fixture *f;
    err e;
    size_t n, calls;
    struct sockaddr_storage first;
};

static void on_answer(void *owner, err e, const struct sockaddr_storage *addrs, size_t n)
{
    struct answer *a = owner;
    a->calls++;
    a->e = e;
    a->n = n;
    if (n > 0)
        a->first = addrs[0];
    loop_stop(a->f->loop);
}

static void numeric_hosts_are_answered_in_a_turn(void **state)
{
    struct fixture *f = *state;
    struct answer a = { .f = f };
    struct loop_lookup *k;
    CHECK_OK(loop_resolve(&k, f->loop, "127.0.0.1", "8080", on_answer, &a));
    CHECK(a.calls == 0);
    loop_run(f->loop);
    struct sockaddr_in v4;
    memcpy(&v4, &a.first, sizeof v4);
    CHECK(a.calls == 1 && a.n == 1 && v4.sin_family == AF_INET && ntohs(v4.sin_port) == 8080);
    CHECK_OK(loop_resolve(&k, f->loop, "::1", "65535", on_answer, &a));
    loop_run(f->loop);
    CHECK(a.first.ss_family == AF_INET6);
    CHECK_ERR(loop_resolve(&k, f->loop, "::1", "65536", on_answer, &a), CONFIG);
    CHECK_ERR(loop_resolve(&k, f->loop, "::1", "http", on_answer, &a), CONFIG);
}

static void names_are_looked_up_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct answer a = { .f = f };
    struct loop_lookup *k;
    CHECK_OK(loop_resolve(&k, f->loop, "localhost", "1", on_answer, &a));
    loop_run(f->loop);
    CHECK_OK(a.e);
    CHECK(a.n >= 1);
}

static void localhost_is_this_machine(void **state)
{
    struct fixture *f = *state;
    struct loop_lookup *k;
    const char *const names[] = { "localhost", "LocalHost" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct answer a = { .f = f };
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        CHECK_OK(loop_resolve(&k, f->loop, names[i], "80", on_answer, &a));
        loop_run(f->loop);
        CHECK_OK(a.e);
        memcpy(&v4, &a.first, sizeof v4);
        memcpy(&v6, &a.first, sizeof v6);
        CHECK(v4.sin_family == AF_INET ? ntohl(v4.sin_addr.s_addr) == INADDR_LOOPBACK
                                       : IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr));
        CHECK(ntohs(v4.sin_port) == 80);
    }
}

static void a_cancelled_look_up_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct answer numeric = { .f = f }, name = { .f = f }, last = { .f = f };
    struct loop_lookup *k;
    loop_resolve_cancel(NULL);
    CHECK_OK(loop_resolve(&k, f->loop, "127.0.0.1", "1", on_answer, &numeric));
    loop_resolve_cancel(k);
    CHECK_OK(loop_resolve(&k, f->loop, "localhost", "1", on_answer, &name));
    loop_resolve_cancel(k);
    CHECK_OK(loop_resolve(&k, f->loop, "localhost", "1", on_answer, &last));
    loop_run(f->loop);
    CHECK(numeric.calls == 0 && name.calls == 0 && last.calls == 1);
}

/* ---- life ---- */

static void stops_and_runs_again(void **state)
{
    struct fixture *f = *state;
    struct alarm a = { .stop = true };
    for (size_t i = 1; i <= 3; i++) {
        start(f, &a, 1);
        loop_run(f->loop);
        CHECK(a.runs == i);
    }
}

static err make_and_drop(void *arg)
{
    (void)arg;
    struct loop *l;
    TRY(loop_new(&l));
    loop_free(l);
    return OK;
}

static void making_one_survives_failing_allocations(void **state)
{
    (void)state;
    loop_free(NULL);
    law_every_allocation_fails_once(make_and_drop, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_run_in_the_order_of_their_time),
        TEST(a_timer_can_be_moved_and_stopped),
        TEST(a_timer_knows_what_is_left_of_its_time),
        TEST(a_timer_may_start_itself_again_without_starving_others),
        TEST(many_timers_keep_their_order),
        TEST(tasks_run_before_hooks_and_last_tasks_after),
        TEST(a_hook_of_the_end_runs_once_after_all_else),
        TEST(what_a_hook_asks_for_happens_in_a_second_round),
        TEST(what_is_left_comes_in_the_next_turn_at_once),
        TEST(tasks_and_hooks_may_cancel_each_other),
        TEST(what_is_deferred_still_runs_when_the_loop_goes),
        TEST(readiness_is_told_for_as_long_as_it_lasts),
        TEST(a_hangup_is_told_to_who_asks),
        TEST(an_error_is_told_as_everything_wanted_again_and_again),
        TEST(after_closing_nothing_is_told_even_if_it_is_ready),
        TEST(a_descriptor_number_may_come_again),
        TEST(mail_of_many_threads_arrives_once_and_in_order),
        TEST(mail_can_be_fetched_without_running),
        TEST(signals_arrive_in_a_turn),
        TEST(only_so_many_signals_are_heard),
        TEST(numeric_hosts_are_answered_in_a_turn),
        TEST(names_are_looked_up_elsewhere),
        TEST(a_job_works_elsewhere_and_is_done_here),
        TEST(a_loop_that_is_freed_waits_for_its_jobs),
        TEST(localhost_is_this_machine),
        TEST(a_cancelled_look_up_is_not_answered),
        TEST(stops_and_runs_again),
        TEST(making_one_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
