/*
 * Readiness of descriptors. Handles close asynchronously: the memory of a uv_poll is released in its
 * close callback and nowhere else. A closed loop_fd is usually not closed but parked for the next
 * owner of the same descriptor number, which saves four system calls per connection of an HTTP
 * client.
 */
#include "base/loop_private.h"
#include "base/mem.h"

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

void loop_on_fd_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct loop_fd **parking_place(struct loop *l, int fd)
{
    return &l->parked[(unsigned)fd % LOOP_PARKED_N];
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
        uv_close((uv_handle_t *)&(*place)->poll, loop_on_fd_closed);
    *place = f;
}
