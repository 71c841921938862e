#include "base/curl_loop.h"

#include <curl/curl.h>
#include <pthread.h>

#include "base/attr.h"
#include "base/loop.h"
#include "base/mem.h"

/* A socket that libcurl waits for. */
struct watch {
    struct curl_loop *owner;
    struct loop_fd *fd;
    curl_socket_t socket;
    struct watch *next;
    struct watch **prev;
};

struct curl_loop {
    struct loop *loop;
    curl_loop_done_fn *done;
    CURLM *multi;
    bool inside; /* libcurl is at work */
    struct loop_timer timer;
    struct loop_task kick;
    struct watch *watches;
};

/* ---- libcurl at work ---- */

static void reap(struct curl_loop *l)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(l->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE)
            continue;
        char *transfer = NULL;
        CURLcode result = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &transfer);
        l->done(transfer, (int)result);
    }
}

static void act(struct curl_loop *l, curl_socket_t socket, int ready)
{
    int running;
    l->inside = true;
    (void)curl_multi_socket_action(l->multi, socket, ready, &running);
    l->inside = false;
    reap(l);
}

static void on_ready(void *owner, unsigned ready)
{
    struct watch *w = owner;
    int bits = 0;
    if (ready & (LOOP_READ | LOOP_HANGUP))
        bits |= CURL_CSELECT_IN;
    if (ready & LOOP_WRITE)
        bits |= CURL_CSELECT_OUT;
    act(w->owner, w->socket, bits);
}

static void on_time(struct loop_timer *t)
{
    act(CONTAINER_OF(t, struct curl_loop, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void on_kick(struct loop_task *t)
{
    act(CONTAINER_OF(t, struct curl_loop, kick), CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(CURLM *multi, long timeout_ms, void *owner)
{
    (void)multi;
    struct curl_loop *l = owner;
    loop_timer_stop(&l->timer);
    loop_defer_cancel(&l->kick);
    if (timeout_ms == 0)
        loop_defer(l->loop, &l->kick, on_kick);
    else if (timeout_ms > 0)
        loop_timer_start(l->loop, &l->timer, (uint64_t)timeout_ms, on_time);
    return 0;
}

static void close_watch(struct watch *w)
{
    loop_fd_close(w->fd);
    *w->prev = w->next;
    if (w->next != NULL)
        w->next->prev = w->prev;
    mem_free(w);
}

static struct watch *open_watch(struct curl_loop *l, curl_socket_t socket)
{
    struct watch *w = mem_alloc(sizeof *w);
    if (w == NULL)
        return NULL;
    *w = (struct watch){ .owner = l, .socket = socket };
    if (loop_fd_open(&w->fd, l->loop, socket, on_ready, w).code != ERR_OK) {
        mem_free(w);
        return NULL;
    }
    w->next = l->watches;
    w->prev = &l->watches;
    if (w->next != NULL)
        w->next->prev = &w->next;
    l->watches = w;
    (void)curl_multi_assign(l->multi, socket, w);
    return w;
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *owner, void *at)
{
    (void)easy;
    struct watch *w = at;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            close_watch(w);
        return 0;
    }
    if (w == NULL)
        w = open_watch(owner, socket);
    if (w == NULL)
        return -1;
    unsigned want = 0;
    if (what & CURL_POLL_IN)
        want |= LOOP_READ;
    if (what & CURL_POLL_OUT)
        want |= LOOP_WRITE;
    return loop_fd_want(w->fd, want).code == ERR_OK ? 0 : -1;
}

/* ---- transfers ---- */

bool curl_loop_is_inside(const struct curl_loop *l)
{
    return l->inside;
}

err curl_loop_add(struct curl_loop *l, void *easy)
{
    ENSURE(curl_multi_add_handle(l->multi, easy) == CURLM_OK, NOMEM);
    return OK;
}

void curl_loop_remove(struct curl_loop *l, void *easy)
{
    (void)curl_multi_remove_handle(l->multi, easy);
}

void curl_loop_resume(struct curl_loop *l, void *easy)
{
    l->inside = true;
    (void)curl_easy_pause(easy, CURLPAUSE_CONT);
    l->inside = false;
}

/* ---- life ---- */

static void *alloc_for_curl(size_t n, size_t size)
{
    return mem_alloc_array(n, size);
}

static char *strdup_for_curl(const char *text)
{
    return mem_strdup(text);
}

static CURLcode global_result;

static void init_once(void)
{
    global_result = curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, mem_realloc,
                                         strdup_for_curl, alloc_for_curl);
}

static err init_curl(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ENSURE(pthread_once(&once, init_once) == 0 && global_result == CURLE_OK, SYSTEM);
    return OK;
}

static err set_multi(struct curl_loop *l, const struct curl_loop_settings *s)
{
    l->multi = curl_multi_init();
    ENSURE(l->multi != NULL, NOMEM);
    long pipelining = s->multiplexes ? (long)CURLPIPE_MULTIPLEX : (long)CURLPIPE_NOTHING;
    bool good =
        curl_multi_setopt(l->multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_PIPELINING, pipelining) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_MAXCONNECTS, (long)s->kept_max) == CURLM_OK &&
        curl_multi_setopt(l->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)s->host_max) == CURLM_OK;
    ENSURE(good, INTERNAL);
    return OK;
}

static err set_up(struct curl_loop *l, const struct curl_loop_settings *s)
{
    TRY(init_curl());
    return set_multi(l, s);
}

err curl_loop_new(struct curl_loop **out, struct loop *loop,
                  const struct curl_loop_settings *settings)
{
    struct curl_loop *l;
    TRY(mem_new(&l));
    l->loop = loop;
    l->done = settings->done;
    err e = set_up(l, settings);
    if (e.code != ERR_OK) {
        curl_loop_free(l);
        return e;
    }
    *out = l;
    return OK;
}

void curl_loop_free(struct curl_loop *l)
{
    if (l == NULL)
        return;
    if (l->multi != NULL)
        (void)curl_multi_cleanup(l->multi);
    while (l->watches != NULL)
        close_watch(l->watches);
    loop_timer_stop(&l->timer);
    loop_defer_cancel(&l->kick);
    mem_free(l);
}
