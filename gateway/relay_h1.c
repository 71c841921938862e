#include "gateway/relay_h1.h"

#include "base/attr.h"
#include "base/mem.h"
#include "gateway/relay_shard.h"
#include "wire/names.h"

enum { TARGET_MAX = 8 * 1024 };

struct h1 {
    struct relay_pass pass;
    struct relay_caller caller;
    struct relay_shard *shard;
    struct front_request *request;
    size_t untaken; /* bytes of the body that are not on their way */
    bool paused;
};

static struct h1 *h1_of(const struct relay_pass *p)
{
    return CONTAINER_OF(p, struct h1, pass);
}

/* ---- what the pass asks for ---- */

static err respond(struct relay_pass *p, unsigned status, const struct link_field *fields, size_t n)
{
    struct front_field all[RELAY_FIELDS_MAX];
    size_t k = 0;
    for (size_t i = 0; i < n && k < RELAY_FIELDS_MAX; i++)
        all[k++] = (struct front_field){ fields[i].name, fields[i].value };
    return front_begin(h1_of(p)->request, status, all, k, FRONT_CHUNKED);
}

static err write_more(struct relay_pass *p, bytes data, bool end)
{
    struct front_request *r = h1_of(p)->request;
    if (data.len > 0)
        TRY(front_write(r, data));
    return end ? front_end(r, NULL, 0) : OK;
}

static size_t queued(const struct relay_pass *p)
{
    return front_queued(h1_of(p)->request);
}

static void on_taken(struct relay_pass *p, size_t n)
{
    struct h1 *h = h1_of(p);
    h->untaken -= n;
    if (h->untaken == 0 && h->paused) {
        h->paused = false;
        front_body_resume(h->request);
    }
}

static void break_off(struct relay_pass *p)
{
    front_abort(h1_of(p)->request);
}

static void release(struct relay_pass *p)
{
    struct h1 *h = h1_of(p);
    relay_leave(h->shard, &h->caller);
    mem_free(h);
}

static const struct relay_client_ops OPS = { .respond = respond,
                                             .write = write_more,
                                             .queued = queued,
                                             .taken = on_taken,
                                             .abort = break_off,
                                             .free = release };

/* ---- what the front tells ---- */

/* Path and query as they were sent. */
static bytes target_of(const struct front_request *r, struct buf *target)
{
    bytes query = front_query(r);
    err e = buf_add(target, front_path(r));
    if (e.code == ERR_OK && query.len > 0)
        e = buf_add_u8(target, '?');
    if (e.code == ERR_OK)
        e = buf_add(target, query);
    return e.code == ERR_OK ? buf_view(target) : (bytes){ 0 };
}

static size_t fields_of(const struct front_request *r, struct link_field out[RELAY_FIELDS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; relay_route_fields[i] != NULL && n < RELAY_FIELDS_MAX; i++) {
        bytes value = front_header(r, relay_route_fields[i]);
        if (value.len > 0)
            out[n++] = (struct link_field){ bytes_str(relay_route_fields[i]), value };
    }
    return n;
}

static void on_request(void *owner, struct front_request *r)
{
    struct h1 *h;
    struct link_field fields[RELAY_FIELDS_MAX];
    BUF_AUTO target = BUF(TARGET_MAX);
    bool known;
    if (mem_new(&h).code != ERR_OK) {
        front_set_owner(r, NULL);
        front_abort(r);
        return;
    }
    h->shard = owner;
    h->request = r;
    h->pass.client = &OPS;
    h->caller.authorization = front_header(r, FIELD_AUTHORIZATION);
    h->caller.peer = front_peer(r);
    front_set_owner(r, h);
    const struct link_request request = {
        .method = front_method(r),
        .path = target_of(r, &target),
        .fields = fields,
        .fields_n = fields_of(r, fields),
        .end = front_content_length(r, &known) == 0 && known,
    };
    relay_enter(h->shard, &h->pass, &h->caller, &request);
}

static void on_body(struct front_request *r, bytes piece)
{
    struct h1 *h = front_owner(r);
    if (h == NULL)
        return;
    h->untaken += piece.len;
    relay_pass_body(&h->pass, piece);
    if (h->untaken > 0 && !h->paused) {
        h->paused = true;
        front_body_pause(r);
    }
}

static void on_body_end(struct front_request *r)
{
    struct h1 *h = front_owner(r);
    if (h != NULL)
        relay_pass_body_end(&h->pass);
}

static void on_writable(struct front_request *r)
{
    struct h1 *h = front_owner(r);
    if (h != NULL)
        relay_pass_writable(&h->pass);
}

static void on_gone(struct front_request *r)
{
    struct h1 *h = front_owner(r);
    if (h != NULL)
        relay_pass_gone(&h->pass, false);
}

static void on_done(struct front_request *r)
{
    struct h1 *h = front_owner(r);
    if (h != NULL)
        relay_pass_gone(&h->pass, true);
}

static void on_refused(void *owner, unsigned status, const char *reason)
{
    (void)status;
    (void)reason;
    relay_count_refused(owner, RELAY_NOT_HTTP);
}

const struct front_events relay_h1_events = { .request = on_request,
                                              .body = on_body,
                                              .body_end = on_body_end,
                                              .writable = on_writable,
                                              .gone = on_gone,
                                              .done = on_done,
                                              .refused = on_refused,
                                              .drained = relay_on_front_drained };
