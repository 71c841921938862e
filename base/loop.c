/*
 * libuv does the waiting. What is ours: timers in one pairing heap over a single uv_timer (thousands
 * are re-armed per second and must cost no system call and no allocation), the end of the turn, and
 * mail without a lock.
 *
 * libuv runs timers, then `prepare`, then waits, then reports descriptors, then `check`. The end of
 * a turn therefore runs in `check`, and in `prepare` as well when a timer or somebody outside has
 * left something to do: nothing may wait with work undone. When even then something is left, an
 * idle handle keeps libuv from waiting.
 *
 * Handles close asynchronously: the memory of a uv_poll is released in its close callback and
 * nowhere else. A closed loop_fd is usually not closed but parked for the next owner of the same
 * descriptor number, which saves four system calls per connection of an HTTP client.
 */
#include "base/loop.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"

enum { PARKED_N = 256, FREE_ROUNDS_MAX = 64 };

struct signal_slot {
    uv_signal_t handle;
    loop_signal_fn *fn;
    void *owner;
};

struct loop {
    uv_loop_t uv;
    uv_timer_t alarm;
    uv_async_t bell;
    uv_prepare_t before;
    uv_check_t after;
    uv_idle_t hurry;

    struct loop_timer *timers; /* root of the heap: the earliest */
    bool timers_running;

    struct loop_task soon, last; /* heads of circular lists */
    struct loop_hook *hooks, *hook_next;
    bool dirty; /* the end of the turn has something to do */
    bool again;
    bool running, stopping;

    _Atomic(struct loop_mail *) mail; /* newest first */

    struct loop_fd *parked[PARKED_N];
    struct signal_slot signals[LOOP_SIGNALS_MAX];
    size_t signals_n;
    uint8_t *scratch;
};

/* ---- tasks and hooks ---- */

static void list_init(struct loop_task *head)
{
    head->next = head;
    head->prev = head;
}

static bool list_empty(const struct loop_task *head)
{
    return head->next == head;
}

static void list_add(struct loop_task *head, struct loop_task *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

static void list_move(struct loop_task *from, struct loop_task *to)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = (struct loop_task){ .next = from->next, .prev = from->prev };
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

static void defer_to(struct loop *l, struct loop_task *list, struct loop_task *t, loop_task_fn *fn)
{
    if (t->loop != NULL)
        return;
    t->loop = l;
    t->fn = fn;
    list_add(list, t);
    l->dirty = true;
}

void loop_defer(struct loop *l, struct loop_task *t, loop_task_fn *fn)
{
    defer_to(l, &l->soon, t, fn);
}

void loop_defer_last(struct loop *l, struct loop_task *t, loop_task_fn *fn)
{
    defer_to(l, &l->last, t, fn);
}

void loop_defer_cancel(struct loop_task *t)
{
    if (t->loop == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    *t = (struct loop_task){ 0 };
}

/* Those that are queued now; what they queue is for the next round. */
static void run_tasks(struct loop_task *list)
{
    struct loop_task batch;
    list_move(list, &batch);
    while (!list_empty(&batch)) {
        struct loop_task *t = batch.next;
        loop_task_fn *fn = t->fn;
        loop_defer_cancel(t);
        fn(t);
    }
}

void loop_hook_add(struct loop *l, struct loop_hook *h, int order, loop_hook_fn *fn)
{
    loop_hook_remove(h);
    *h = (struct loop_hook){ .loop = l, .fn = fn, .order = order };
    struct loop_hook **at = &l->hooks;
    while (*at != NULL && (*at)->order <= order)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
}

void loop_hook_remove(struct loop_hook *h)
{
    if (h->loop == NULL)
        return;
    struct loop_hook **at = &h->loop->hooks;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    if (h->loop->hook_next == h)
        h->loop->hook_next = h->next;
    *h = (struct loop_hook){ 0 };
}

/* Those of a round, or those that end the turn. */
static void run_hooks(struct loop *l, bool ending)
{
    for (struct loop_hook *h = l->hooks; h != NULL; h = l->hook_next) {
        l->hook_next = h->next;
        if ((h->order == LOOP_ORDER_END) == ending)
            h->fn(h);
    }
}

void loop_again(struct loop *l)
{
    l->again = true;
    l->dirty = true;
}

static void run_round(struct loop *l)
{
    l->again = false;
    run_tasks(&l->soon);
    run_hooks(l, false);
}

static void run_round_if_asked(struct loop *l)
{
    if (l->again || !list_empty(&l->soon))
        run_round(l);
}

static void end_turn(struct loop *l)
{
    run_round(l);
    run_round_if_asked(l);
    run_tasks(&l->last);
    run_round_if_asked(l);
    run_hooks(l, true);
    l->dirty = l->again || !list_empty(&l->soon) || !list_empty(&l->last);
}

/* ---- timers: a pairing heap whose nodes are the timers themselves ---- */

/* Of two roots the later becomes the first child of the earlier. */
static struct loop_timer *heap_meld(struct loop_timer *a, struct loop_timer *b)
{
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (b->at_ms < a->at_ms) {
        struct loop_timer *earlier = b;
        b = a;
        a = earlier;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL)
        b->next->prev = b;
    a->child = b;
    return a;
}

static struct loop_timer *heap_cut_first(struct loop_timer **list)
{
    struct loop_timer *t = *list;
    if (t == NULL)
        return NULL;
    *list = t->next;
    t->next = NULL;
    t->prev = NULL;
    return t;
}

/* The children of a removed root become one heap: in pairs from the left, then all together. */
static struct loop_timer *heap_join(struct loop_timer *children)
{
    struct loop_timer *pairs = NULL;
    while (children != NULL) {
        struct loop_timer *a = heap_cut_first(&children);
        struct loop_timer *b = heap_cut_first(&children);
        struct loop_timer *pair = heap_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct loop_timer *root = NULL;
    while (pairs != NULL)
        root = heap_meld(root, heap_cut_first(&pairs));
    return root;
}

/* `prev` is the elder sibling, or the parent of a first child; the root has none. */
static void heap_remove(struct loop_timer **root, struct loop_timer *t)
{
    struct loop_timer *children = heap_join(t->child);
    if (t == *root) {
        *root = children;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next != NULL)
            t->next->prev = t->prev;
        *root = heap_meld(*root, children);
    }
    t->child = NULL;
    t->next = NULL;
    t->prev = NULL;
}

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
    *t = (struct loop_timer){ .loop = l, .fn = fn, .at_ms = at_ms };
    l->timers = heap_meld(l->timers, t);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (t->loop == NULL)
        return;
    heap_remove(&t->loop->timers, t);
    t->loop = NULL;
}

bool loop_timer_active(const struct loop_timer *t)
{
    return t->loop != NULL;
}

static void on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    uint64_t now = uv_now(&l->uv);
    l->dirty = true;
    l->timers_running = true;
    for (struct loop_timer *t; (t = l->timers) != NULL && t->at_ms <= now;) {
        loop_timer_stop(t);
        t->fn(t);
    }
    l->timers_running = false;
}

static void set_alarm(struct loop *l)
{
    if (l->timers == NULL) {
        (void)uv_timer_stop(&l->alarm);
        return;
    }
    uint64_t now = uv_now(&l->uv);
    uint64_t wait_ms = l->timers->at_ms > now ? l->timers->at_ms - now : 0;
    (void)uv_timer_start(&l->alarm, on_alarm, wait_ms, 0);
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
        end_turn(l);
    if (l->dirty)
        (void)uv_idle_start(&l->hurry, on_idle);
    set_alarm(l);
}

static void on_after(uv_check_t *after)
{
    struct loop *l = after->data;
    if (l->dirty)
        end_turn(l);
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

/* ---- descriptors ---- */

struct loop_fd {
    uv_poll_t poll;
    struct loop *loop;
    loop_fd_fn *fn;
    void *owner;
    int fd;
    unsigned want;
};

_Static_assert(LOOP_READ == (unsigned)UV_READABLE && LOOP_WRITE == (unsigned)UV_WRITABLE &&
                   LOOP_HANGUP == (unsigned)UV_DISCONNECT,
               "our events are libuv's");

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct loop_fd *f = poll->data;
    f->loop->dirty = true;
    unsigned ready = (unsigned)events & f->want;
    if (status < 0) {
        /* libuv stops watching on an error; level-triggered means that it is told again. */
        ready = f->want;
        (void)uv_poll_start(&f->poll, (int)f->want, on_ready);
    }
    if (ready != 0)
        f->fn(f->owner, ready);
}

static void on_fd_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct loop_fd **parking_place(struct loop *l, int fd)
{
    return &l->parked[(unsigned)fd % PARKED_N];
}

static struct loop_fd *unpark(struct loop *l, int fd)
{
    struct loop_fd **place = parking_place(l, fd);
    struct loop_fd *f = *place;
    if (f == NULL || f->fd != fd)
        return NULL;
    *place = NULL;
    return f;
}

static err make_fd(struct loop_fd **out, struct loop *l, int fd)
{
    struct loop_fd *f;
    TRY(mem_new(&f));
    f->loop = l;
    f->fd = fd;
    if (uv_poll_init(&l->uv, &f->poll, fd) != 0) {
        mem_free(f);
        FAIL(SYSTEM);
    }
    f->poll.data = f;
    *out = f;
    return OK;
}

err loop_fd_open(struct loop_fd **out, struct loop *l, int fd, loop_fd_fn *fn, void *owner)
{
    struct loop_fd *f = unpark(l, fd);
    if (f == NULL)
        TRY(make_fd(&f, l, fd));
    f->fn = fn;
    f->owner = owner;
    *out = f;
    return OK;
}

err loop_fd_want(struct loop_fd *f, unsigned events)
{
    if (events == f->want)
        return OK;
    int failed =
        events == 0 ? uv_poll_stop(&f->poll) : uv_poll_start(&f->poll, (int)events, on_ready);
    ENSURE(failed == 0, SYSTEM);
    f->want = events;
    return OK;
}

void loop_fd_close(struct loop_fd *f)
{
    if (f == NULL)
        return;
    (void)uv_poll_stop(&f->poll);
    f->want = 0;
    struct loop_fd **place = parking_place(f->loop, f->fd);
    if (*place != NULL)
        uv_close((uv_handle_t *)&(*place)->poll, on_fd_closed);
    *place = f;
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop *l = handle->loop->data;
    const struct signal_slot *slot = handle->data;
    l->dirty = true;
    slot->fn(slot->owner, signum);
}

static struct signal_slot *signal_slot(struct loop *l, int signum)
{
    for (size_t i = 0; i < l->signals_n; i++)
        if (l->signals[i].handle.signum == signum)
            return &l->signals[i];
    return NULL;
}

err loop_on_signal(struct loop *l, int signum, loop_signal_fn *fn, void *owner)
{
    struct signal_slot *slot = signal_slot(l, signum);
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

/* ---- jobs ---- */

struct job_request {
    uv_work_t request;
    struct loop_job *job;
};

static void on_job(uv_work_t *request)
{
    struct job_request *r = request->data;
    r->job->work(r->job);
}

static void on_job_done(uv_work_t *request, int status)
{
    struct job_request *r = request->data;
    struct loop *l = request->loop->data;
    struct loop_job *job = r->job;
    (void)status; /* nothing is cancelled */
    l->dirty = true;
    mem_free(r);
    job->done(job);
}

err loop_start_job(struct loop *l, struct loop_job *j)
{
    struct job_request *r;
    TRY(mem_new(&r));
    r->request.data = r;
    r->job = j;
    if (uv_queue_work(&l->uv, &r->request, on_job, on_job_done) != 0) {
        mem_free(r);
        FAIL(SYSTEM);
    }
    return OK;
}

/* ---- look-ups ---- */

struct loop_lookup {
    uv_getaddrinfo_t request;
    struct loop_task task; /* a numeric host's answer */
    struct sockaddr_storage numeric;
    loop_lookup_fn *done;
    void *owner;
    bool cancelled;
};

static bool read_numeric(const char *host, uint16_t port, struct sockaddr_storage *out)
{
    union {
        struct sockaddr_storage any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = { 0 };
    bool known = uv_ip4_addr(host, port, &a.v4) == 0 || uv_ip6_addr(host, port, &a.v6) == 0;
    *out = a.any;
    return known;
}

static void on_numeric(struct loop_task *task)
{
    struct loop_lookup *k = CONTAINER_OF(task, struct loop_lookup, task);
    k->done(k->owner, OK, &k->numeric, 1);
    mem_free(k);
}

static size_t copy_addrs(const struct addrinfo *found, struct sockaddr_storage *out)
{
    size_t n = 0;
    for (; found != NULL && n < LOOP_ADDRS_MAX; found = found->ai_next)
        if (found->ai_addrlen <= sizeof out[0])
            memcpy(&out[n++], found->ai_addr, found->ai_addrlen);
    return n;
}

static err lookup_outcome(int status, size_t n)
{
    ENSURE(status != UV_EAI_NONAME && status != UV_EAI_NODATA, NOT_FOUND);
    ENSURE(status == 0 && n > 0, UNAVAILABLE);
    return OK;
}

static void on_looked_up(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct loop_lookup *k = request->data;
    struct loop *l = request->loop->data;
    struct sockaddr_storage addrs[LOOP_ADDRS_MAX];
    l->dirty = true;
    size_t n = status == 0 ? copy_addrs(found, addrs) : 0;
    uv_freeaddrinfo(found);
    if (!k->cancelled)
        k->done(k->owner, lookup_outcome(status, n), addrs, n);
    mem_free(k);
}

static err start_lookup(struct loop_lookup *k, struct loop *l, const char *host, const char *port)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
    /* RFC 6761 section 6.3: localhost is here, whatever a file or a name server says or lacks. No
     * name at all is how getaddrinfo() is asked for it. */
    const char *name = text_equal_nocase(bytes_str(host), BYTES_LIT("localhost")) ? NULL : host;
    uint64_t number;
    ENSURE(text_u64(bytes_str(port), &number) && number <= UINT16_MAX, CONFIG);
    if (read_numeric(host, (uint16_t)number, &k->numeric)) {
        loop_defer(l, &k->task, on_numeric);
        return OK;
    }
    k->request.data = k;
    ENSURE(uv_getaddrinfo(&l->uv, &k->request, on_looked_up, name, port, &hints) == 0, UNAVAILABLE);
    return OK;
}

err loop_resolve(struct loop_lookup **out, struct loop *l, const char *host, const char *port,
                 loop_lookup_fn *done, void *owner)
{
    struct loop_lookup *k;
    TRY(mem_new(&k));
    k->done = done;
    k->owner = owner;
    err e = start_lookup(k, l, host, port);
    if (!err_is_ok(e)) {
        mem_free(k);
        return e;
    }
    *out = k;
    return OK;
}

void loop_resolve_cancel(struct loop_lookup *k)
{
    if (k == NULL)
        return;
    if (k->task.loop != NULL) {
        loop_defer_cancel(&k->task);
        mem_free(k);
        return;
    }
    k->cancelled = true;
    (void)uv_cancel((uv_req_t *)&k->request);
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
    list_init(&l->soon);
    list_init(&l->last);
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
        uv_close(handle, handle->type == UV_POLL ? on_fd_closed : NULL);
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    for (int i = 0; i < FREE_ROUNDS_MAX && l->dirty; i++)
        end_turn(l);
    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->uv);
    mem_free(l->scratch);
    mem_free(l);
}
