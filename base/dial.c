#include "base/dial.h"

#include <sys/socket.h>

#include "base/mem.h"

struct attempt {
    struct dial *dial;
    int fd; /* -1: over, or not begun */
    struct loop_fd *watch;
};

struct dial {
    struct loop *loop;
    dial_fn *done;
    void *owner;
    struct sock_addr at;
    struct sockaddr_storage addrs[LOOP_ADDRS_MAX];
    struct attempt attempts[LOOP_ADDRS_MAX];
    size_t n, begun, under_way;
    err why; /* the latest failure */
    struct loop_timer next;
    struct loop_timer end;
};

void dial_alternate(struct sockaddr_storage *addrs, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t from = i;
        while (from < n && addrs[from].ss_family == addrs[i - 1].ss_family)
            from++;
        if (from == n)
            return;
        struct sockaddr_storage other = addrs[from];
        for (; from > i; from--)
            addrs[from] = addrs[from - 1];
        addrs[i] = other;
    }
}

static void close_attempt(struct attempt *a)
{
    if (a->watch != NULL) {
        loop_fd_close(a->watch);
        a->dial->under_way--;
    }
    a->watch = NULL;
    sock_close(&a->fd);
}

static void dial_free(struct dial *d)
{
    loop_timer_stop(&d->next);
    loop_timer_stop(&d->end);
    for (size_t i = 0; i < d->begun; i++)
        close_attempt(&d->attempts[i]);
    mem_free(d);
}

static void finish(struct dial *d, err e, int fd)
{
    dial_fn *done = d->done;
    void *owner = d->owner;
    dial_free(d);
    done(owner, e, fd);
}

static void on_ready(void *owner, unsigned ready);

static err begin(struct dial *d)
{
    const bool is_host = d->at.kind == SOCK_KIND_TCP;
    struct attempt *a = &d->attempts[d->begun];
    *a = (struct attempt){ .dial = d, .fd = -1 };
    TRY(sock_connect(&d->at, is_host ? &d->addrs[d->begun] : NULL, &a->fd));
    TRY(loop_fd_open(&a->watch, d->loop, a->fd, on_ready, a));
    d->under_way++;
    return loop_fd_want(a->watch, LOOP_WRITE);
}

static void on_next(struct loop_timer *t);

/* The next ones, until one is under way. */
static void begin_next(struct dial *d)
{
    err e = { ERR_UNAVAILABLE };
    while (d->begun < d->n && !err_is_ok(e)) {
        e = begin(d);
        if (!err_is_ok(e)) {
            d->why = e;
            close_attempt(&d->attempts[d->begun]);
        }
        d->begun++;
    }
    if (d->begun < d->n)
        loop_timer_start(d->loop, &d->next, DIAL_NEXT_MS, on_next);
    else
        loop_timer_stop(&d->next);
}

static void on_next(struct loop_timer *t)
{
    begin_next(CONTAINER_OF(t, struct dial, next));
}

static void on_end(struct loop_timer *t)
{
    finish(CONTAINER_OF(t, struct dial, end), err_raise(ERR_TIMEOUT, __FILE__, __func__, __LINE__),
           -1);
}

static void on_ready(void *owner, unsigned ready)
{
    struct attempt *a = owner;
    struct dial *d = a->dial;
    (void)ready;
    err e = sock_connected(a->fd);
    if (err_is_ok(e)) {
        int fd = a->fd;
        loop_fd_close(a->watch);
        a->watch = NULL;
        a->fd = -1;
        finish(d, OK, fd);
        return;
    }
    d->why = e;
    close_attempt(a);
    begin_next(d);
    if (d->under_way == 0)
        finish(d, d->why, -1);
}

err dial_start(struct dial **out, struct loop *l, const struct dial_target *target, dial_fn *done,
               void *owner)
{
    const bool is_host = target->at->kind == SOCK_KIND_TCP;
    struct dial *d;
    ENSURE(!is_host || (target->n > 0 && target->n <= LOOP_ADDRS_MAX), INTERNAL);
    TRY(mem_new(&d));
    d->loop = l;
    d->done = done;
    d->owner = owner;
    d->at = *target->at;
    d->n = is_host ? target->n : 1;
    for (size_t i = 0; is_host && i < d->n; i++)
        d->addrs[i] = target->addrs[i];
    dial_alternate(d->addrs, d->n);
    begin_next(d);
    if (d->under_way == 0) {
        err why = d->why;
        dial_free(d);
        return why;
    }
    loop_timer_start(l, &d->end, target->within_ms, on_end);
    *out = d;
    return OK;
}

void dial_cancel(struct dial *d)
{
    if (d != NULL)
        dial_free(d);
}
