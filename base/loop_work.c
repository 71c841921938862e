/* What may block, on libuv's threads: jobs, and names to addresses. */
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/loop_private.h"
#include "base/mem.h"
#include "base/text.h"

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
