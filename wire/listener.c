#include "base/mem.h"
#include "crypto/tls.h"
#include "wire/link.h"
#include "wire/link_own.h"

/* Connections taken per turn, and the pause when the process is out of descriptors. */
enum { ACCEPTS_MAX = 64, STARVED_MS = 100 };

struct link_listener {
    struct loop *loop;
    struct sock_addr addr;
    struct tls_context *tls;
    struct conn_settings settings;
    uint32_t connections_max;
    const struct link_events *events;
    void *owner;
    int fd;
    struct loop_fd *watch;
    struct loop_timer timer;
    struct link *links;
    size_t links_n;
};

static void add(struct link_listener *n, struct link *k)
{
    k->next = n->links;
    if (k->next != NULL)
        k->next->prev = k;
    n->links = k;
    n->links_n++;
}

void link_listener_on_gone(struct link_listener *n, struct link *k)
{
    if (k->prev != NULL)
        k->prev->next = k->next;
    else
        n->links = k->next;
    if (k->next != NULL)
        k->next->prev = k->prev;
    k->listener = NULL;
    n->links_n--;
}

static err welcome(struct link_listener *n, int fd)
{
    struct link *k;
    struct conn_socket socket = { .loop = n->loop, .fd = fd };
    err e = n->links_n < n->connections_max ? OK : (err){ ERR_LIMIT };
    if (err_is_ok(e) && n->tls != NULL)
        e = tls_new(&socket.tls, n->tls, NULL);
    if (!err_is_ok(e)) {
        sock_close(&fd);
        return e;
    }
    TRY(link_accept(&k, &socket, &n->settings, n, n->events, n->owner));
    add(n, k);
    return OK;
}

static void on_rested(struct loop_timer *t)
{
    struct link_listener *n = CONTAINER_OF(t, struct link_listener, timer);
    (void)loop_fd_want(n->watch, LOOP_READ);
}

/* What waits stays waiting in the kernel's queue. */
static void rest(struct link_listener *n)
{
    (void)loop_fd_want(n->watch, 0);
    loop_timer_start(n->loop, &n->timer, STARVED_MS, on_rested);
}

static void on_waiting(void *owner, unsigned ready)
{
    (void)ready;
    struct link_listener *n = owner;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd;
        err e = sock_accept(n->fd, &fd);
        if (err_is_ok(e) && fd < 0)
            return;
        if (!err_is_ok(e)) {
            rest(n);
            return;
        }
        /* A connection that could not be taken is closed; the next one may fare better. */
        (void)welcome(n, fd);
    }
}

static uint32_t or_default(uint32_t v, uint32_t otherwise)
{
    return v != 0 ? v : otherwise;
}

static uint64_t or_ms(uint64_t v, uint64_t otherwise)
{
    return v != 0 ? v : otherwise;
}

static struct conn_settings settings_of(const struct link_limits *m)
{
    const struct h2_settings h2 = {
        .server = true,
        .streams_max = m->streams_max,
        .window = m->window,
        .heads_per_s = or_default(m->heads_per_s, LINK_HEADS_PER_S),
        .settings_per_s = or_default(m->settings_per_s, LINK_SETTINGS_PER_S),
        .pings_per_s = or_default(m->pings_per_s, LINK_PINGS_PER_S),
        .resets_per_s = or_default(m->resets_per_s, LINK_RESETS_PER_S),
        .others_per_s = or_default(m->others_per_s, LINK_OTHERS_PER_S),
    };
    return (struct conn_settings){ .h2 = h2,
                                   .hello_ms = or_ms(m->hello_ms, 10000),
                                   .ping_ms = or_ms(m->ping_ms, 15000),
                                   .ping_timeout_ms = or_ms(m->ping_timeout_ms, 5000),
                                   .head_ms = or_ms(m->head_ms, 10000),
                                   .idle_ms = m->idle_ms };
}

static err start(struct link_listener *n, bool shared)
{
    TRY(sock_listen(&n->addr, shared ? SOCK_SHARED : 0, &n->fd));
    TRY(sock_bound(n->fd, &n->addr));
    TRY(loop_fd_open(&n->watch, n->loop, n->fd, on_waiting, n));
    return loop_fd_want(n->watch, LOOP_READ);
}

/* One call at start-up; a struct would say no more. NOLINTNEXTLINE(readability-function-size) */
err link_listen(struct link_listener **out, struct loop *l, const struct sock_addr *at,
                struct tls_context *tls, const struct link_limits *limits,
                const struct link_events *events, void *owner)
{
    struct link_listener *n;
    ENSURE((tls != NULL) == at->tls, CONFIG);
    TRY(mem_new(&n));
    n->loop = l;
    n->addr = *at;
    n->tls = tls;
    n->settings = settings_of(limits);
    n->connections_max = or_default(limits->connections_max, 1024);
    n->events = events;
    n->owner = owner;
    n->fd = -1;
    err e = start(n, limits->shared);
    if (!err_is_ok(e)) {
        link_listener_free(n);
        return e;
    }
    *out = n;
    return OK;
}

const struct sock_addr *link_listener_addr(const struct link_listener *n)
{
    return &n->addr;
}

size_t link_listener_links(const struct link_listener *n)
{
    return n->links_n;
}

void link_listener_stop(struct link_listener *n)
{
    loop_timer_stop(&n->timer);
    loop_fd_close(n->watch);
    n->watch = NULL;
    sock_unlisten(&n->addr, &n->fd);
}

void link_listener_drain(struct link_listener *n)
{
    link_listener_stop(n);
    for (struct link *k = n->links; k != NULL; k = k->next)
        link_drain(k);
}

void link_listener_free(struct link_listener *n)
{
    if (n == NULL)
        return;
    link_listener_stop(n);
    while (n->links != NULL)
        link_close(n->links);
    mem_free(n);
}
