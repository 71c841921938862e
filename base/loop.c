/*
 * libuv does the waiting. What is ours: timers in one heap over a single uv_timer (thousands are
 * re-armed per second and must cost no system call and no allocation), the end of the turn, and mail
 * without a lock.
 *
 * libuv runs timers, then `prepare`, then waits, then reports descriptors, then `check`. The end of
 * a turn therefore runs in `check`, and in `prepare` as well when a timer or somebody outside has
 * left something to do: nothing may wait with work undone. When even then something is left, an
 * idle handle keeps libuv from waiting.
 */
#include "base/loop.h"

#include <stdatomic.h>
#include <uv.h>

#include "base/attr.h"
#include "base/heap.h"
#include "base/loop_private.h"
#include "base/mem.h"

enum { FREE_ROUNDS_MAX = 64 };

/* ---- timers ---- */

void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t delay_ms, loop_timer_fn *fn)
{
    loop_timer_stop(t);
    if (!l->running)
        uv_update_time(&l->uv);
    /* A timer that re-arms itself with no delay must not keep the others and the I/O waiting. */
    if (delay_ms == 0 && l->timers_running)
        delay_ms = 1;
    uint64_t now = uv_now(&l->uv);
    uint64_t at_ms = delay_ms < UINT64_MAX - now ? now + delay_ms : UINT64_MAX;
    *t = (struct loop_timer){ .loop = l, .fn = fn, .due.rank = at_ms };
    heap_add(&l->timers, &t->due);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->loop == NULL)
        return;
    heap_remove(&t->loop->timers, &t->due);
    t->loop = NULL;
}

bool loop_timer_active(const struct loop_timer *t)
{
    return t->loop != NULL;
}

static uint64_t left_ms(const struct loop *l, const struct heap_node *due)
{
    uint64_t now = uv_now(&l->uv);
    return due->rank > now ? due->rank - now : 0;
}

uint64_t loop_timer_left_ms(const struct loop_timer *t)
{
    return t->loop != NULL ? left_ms(t->loop, &t->due) : 0;
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    uint64_t now = uv_now(&l->uv);
    l->dirty = true;
    l->timers_running = true;
    for (struct heap_node *first; (first = l->timers.first) != NULL && first->rank <= now;) {
        struct loop_timer *t = CONTAINER_OF(first, struct loop_timer, due);
        loop_timer_stop(t);
        t->fn(t);
    }
    l->timers_running = false;
}

static void set_alarm(struct loop *l)
{
    const struct heap_node *first = l->timers.first;
    if (first == NULL) {
        (void)uv_timer_stop(&l->alarm);
        return;
    }
    (void)uv_timer_start(&l->alarm, on_alarm, left_ms(l, first), 0);
}

/* ---- the turn ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)uv_idle_stop(idle);
}

static void on_before(uv_prepare_t *before)
{
    struct loop *l = before->data;
    if (l->dirty)
        loop_end_turn(l);
    if (l->dirty)
        (void)uv_idle_start(&l->hurry, on_idle);
    set_alarm(l);
}

static void on_after(uv_check_t *after)
{
    struct loop *l = after->data;
    if (l->dirty)
        loop_end_turn(l);
}

void loop_run(struct loop *l)
{
    l->running = true;
    (void)uv_run(&l->uv, l->stopping ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
    l->running = false;
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
    if (l->running)
        uv_stop(&l->uv);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

uint8_t *loop_scratch(struct loop *l)
{
    return l->scratch;
}

/* ---- mail ---- */

void loop_post(struct loop *l, struct loop_mail *m)
{
    struct loop_mail *top = atomic_load_explicit(&l->mail, memory_order_relaxed);
    do {
        m->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&l->mail, &top, m, memory_order_release,
                                                    memory_order_relaxed));
    /* Who finds the box empty rings; the others' mail is taken along. */
    if (top == NULL)
        (void)uv_async_send(&l->bell);
}

void loop_deliver(struct loop *l)
{
    struct loop_mail *newest = atomic_exchange_explicit(&l->mail, NULL, memory_order_acquire);
    struct loop_mail *oldest = NULL;
    while (newest != NULL) {
        struct loop_mail *m = newest;
        newest = m->next;
        m->next = oldest;
        oldest = m;
    }
    while (oldest != NULL) {
        struct loop_mail *m = oldest;
        oldest = m->next;
        m->next = NULL;
        m->deliver(m);
    }
}

static void on_bell(uv_async_t *bell)
{
    struct loop *l = bell->data;
    l->dirty = true;
    loop_deliver(l);
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop *l = handle->loop->data;
    const struct loop_signal *slot = handle->data;
    l->dirty = true;
    slot->fn(slot->owner, signum);
}

static struct loop_signal *signal_slot(struct loop *l, int signum)
{
    for (size_t i = 0; i < l->signals_n; i++)
        if (l->signals[i].handle.signum == signum)
            return &l->signals[i];
    return NULL;
}

err loop_on_signal(struct loop *l, int signum, loop_signal_fn *fn, void *owner)
{
    struct loop_signal *slot = signal_slot(l, signum);
    if (slot != NULL) {
        slot->fn = fn;
        slot->owner = owner;
        return OK;
    }
    ENSURE(l->signals_n < LOOP_SIGNALS_MAX, LIMIT);
    slot = &l->signals[l->signals_n];
    ENSURE(uv_signal_init(&l->uv, &slot->handle) == 0, SYSTEM);
    l->signals_n++;
    slot->handle.data = slot;
    slot->fn = fn;
    slot->owner = owner;
    ENSURE(uv_signal_start(&slot->handle, on_signal, signum) == 0, SYSTEM);
    return OK;
}

/* ---- life ---- */

static err start_handles(struct loop *l)
{
    /* None of these fails but the async handle, which needs a descriptor. */
    ENSURE(uv_async_init(&l->uv, &l->bell, on_bell) == 0, SYSTEM);
    (void)uv_timer_init(&l->uv, &l->alarm);
    (void)uv_idle_init(&l->uv, &l->hurry);
    (void)uv_prepare_init(&l->uv, &l->before);
    (void)uv_prepare_start(&l->before, on_before);
    (void)uv_check_init(&l->uv, &l->after);
    (void)uv_check_start(&l->after, on_after);
    l->alarm.data = l->before.data = l->after.data = l->bell.data = l;
    return OK;
}

static err init_loop(struct loop *l)
{
    loop_init_turn(l);
    ENSURE(uv_loop_init(&l->uv) == 0, SYSTEM);
    l->uv.data = l;
    err e = start_handles(l);
    if (!err_is_ok(e))
        (void)uv_loop_close(&l->uv);
    return e;
}

err loop_new(struct loop **out)
{
    struct loop *l;
    TRY(mem_new(&l));
    l->scratch = mem_alloc(LOOP_SCRATCH_LEN);
    err e = l->scratch == NULL ? err_raise(ERR_NOMEM, __FILE__, __func__, __LINE__) : init_loop(l);
    if (!err_is_ok(e)) {
        mem_free(l->scratch);
        mem_free(l);
        return e;
    }
    *out = l;
    return OK;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, handle->type == UV_POLL ? loop_on_fd_closed : NULL);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    for (int i = 0; i < FREE_ROUNDS_MAX && l->dirty; i++)
        loop_end_turn(l);
    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->uv);
    mem_free(l->scratch);
    mem_free(l);
}
