/*
 * A connection of the front, from accept to close and a little longer: hang-ups, times, lingering.
 */
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/mem.h"
#include "gateway/front_private.h"

enum {
    EVENTS_MAX = 64, /* hang-ups looked at in one go; the rest comes next turn */
    TICK_MS = 1000,
    LINGER_MS = 5000,
    LINGERS_MAX = 128,
};

/* A connection that libmicrohttpd has closed and whose client may still be sending. Reading on keeps
 * the kernel from answering that with a reset, which would take our answer away from the client. */
struct front_linger {
    struct front_watch watch;
    struct front *front;
    struct front_linger *next, **prev;
    struct loop_timer timer;
    int fd;
    uint64_t left;
};

/* ---- losing ---- */

void front_say_gone(struct front_request *r)
{
    if (r->over || !r->delivered)
        return;
    r->over = true;
    r->front->requests_n--;
    r->front->events->gone(r);
}

void front_lose(struct front_request *r)
{
    r->lost = true;
    front_say_gone(r);
}

void front_shut_reading(struct front_conn *c)
{
    c->shut = true;
    (void)shutdown(c->fd, SHUT_RD);
}

void front_break_off(const struct front_request *r)
{
    if (r->queued && r->pieces && r->old && r->total < 0)
        front_reset(r->conn->fd);
}

/* ---- hang-ups, lingering, time ---- */

void front_linger_close(struct front_linger *l)
{
    loop_timer_stop(&l->timer);
    (void)close(l->fd);
    *l->prev = l->next;
    if (l->next != NULL)
        l->next->prev = l->prev;
    l->front->lingers_n--;
    mem_free(l);
}

static void on_linger_over(struct loop_timer *t)
{
    front_linger_close(CONTAINER_OF(t, struct front_linger, timer));
}

static void linger_read(struct front_linger *l)
{
    /* MSG_TRUNC: the kernel throws the bytes away without copying them */
    ssize_t n = recv(l->fd, loop_scratch(l->front->loop), LOOP_SCRATCH_LEN, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || (uint64_t)n >= l->left)
        front_linger_close(l);
    else
        l->left -= (uint64_t)n;
}

static void linger_open(struct front_conn *c)
{
    struct front *f = c->front;
    struct front_linger *l = f->lingers_n < LINGERS_MAX ? mem_alloc(sizeof *l) : NULL;
    int fd = l != NULL ? fcntl(c->fd, F_DUPFD_CLOEXEC, 0) : -1;
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = l };
    if (fd < 0 || epoll_ctl(f->watch_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (fd >= 0)
            (void)close(fd);
        mem_free(l);
        return;
    }
    (void)shutdown(fd, SHUT_WR);
    *l = (struct front_linger){ .watch = { WATCH_LINGER },
                                .front = f,
                                .fd = fd,
                                .left = FRONT_DISCARD_MAX,
                                .next = f->lingers,
                                .prev = &f->lingers };
    if (f->lingers != NULL)
        f->lingers->prev = &l->next;
    f->lingers = l;
    f->lingers_n++;
    loop_timer_start(f->loop, &l->timer, LINGER_MS, on_linger_over);
}

static void hang_up(struct front_conn *c, uint32_t events)
{
    struct front_request *r = c->request;
    if (c->shut && (events & (EPOLLHUP | EPOLLERR)) == 0)
        return;
    c->hung_up = true;
    if (r == NULL || !r->suspended) {
        if (!c->shut)
            front_shut_reading(c);
    } else if (!front_answered(r)) {
        front_lose(r);
        front_wake(r);
    }
}

void front_on_watch(void *owner, unsigned ready)
{
    struct front *f = owner;
    struct epoll_event events[EVENTS_MAX];
    (void)ready;
    int n = epoll_wait(f->watch_fd, events, EVENTS_MAX, 0);
    /* Connections are released only while libmicrohttpd runs, so none of these pointers is stale. */
    for (int i = 0; i < n; i++) {
        struct front_watch *w = events[i].data.ptr;
        if (w->kind == WATCH_CONN)
            hang_up(CONTAINER_OF(w, struct front_conn, watch), events[i].events);
        else if (w->kind == WATCH_LINGER)
            linger_read(CONTAINER_OF(w, struct front_linger, watch));
    }
}

/* libmicrohttpd has no way to close a connection that it is
 * reading; it finds the socket shut down. */
void front_on_time_over(struct loop_timer *t)
{
    struct front_conn *c = CONTAINER_OF(t, struct front_conn, timer);
    struct front_request *r = c->request;
    struct front *f = c->front;
    if (r != NULL && r->delivered)
        front_lose(r);
    else
        f->events->refused(f->owner, 0, "the head took too long");
    (void)shutdown(c->fd, SHUT_RDWR);
    if (r != NULL)
        front_wake(r);
    front_soon(f);
}

/* ---- a connection ---- */

static void on_tick(struct loop_timer *t)
{
    struct front *f = CONTAINER_OF(t, struct front, tick);
    if (f->conns_n > 0) {
        front_soon(f);
        loop_timer_start(f->loop, &f->tick, TICK_MS, on_tick);
    }
}

struct front_conn *front_conn_open(struct front *f, struct MHD_Connection *mhd)
{
    struct front_conn *c = mem_alloc(sizeof *c);
    f->conns_n++;
    if (!loop_timer_active(&f->tick))
        loop_timer_start(f->loop, &f->tick, TICK_MS, on_tick);
    int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    if (c == NULL) {
        (void)shutdown(fd, SHUT_RDWR);
        return NULL;
    }
    *c = (struct front_conn){
        .watch = { WATCH_CONN }, .front = f, .mhd = mhd, .fd = fd, .next = f->conns
    };
    if (f->conns != NULL)
        f->conns->prev = c;
    f->conns = c;
    struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = &c->watch };
    (void)epoll_ctl(f->watch_fd, EPOLL_CTL_ADD, fd, &event);
    loop_timer_start(f->loop, &c->timer, f->head_ms, front_on_time_over);
    return c;
}

void front_conn_close(struct front *f, struct front_conn *c)
{
    f->conns_n--;
    /* libmicrohttpd stops listening when it is full, or out of files, and looks only at the start of
     * a run whether it may begin again. */
    if (f->draining || f->conns_n == 0 || f->conns_n + 1 >= f->conns_max)
        front_soon(f);
    if (c == NULL)
        return;
    loop_timer_stop(&c->timer);
    /* before libmicrohttpd closes it: a copy made for lingering would keep it in the set */
    (void)epoll_ctl(f->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->lingers)
        linger_open(c);
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        f->conns = c->next;
    mem_free(c);
}
