#include "gateway/relay_h2.h"

#include "base/attr.h"
#include "base/mem.h"
#include "gateway/relay_shard.h"
#include "wire/names.h"

struct h2_client {
    struct relay_pass pass;
    struct relay_caller caller;
    struct relay_shard *shard;
    struct link_stream *stream; /* NULL once it is over */
    struct link *link;
    uint64_t cost;           /* of that connection's tally */
    struct loop_task broken; /* after we gave the stream up, which tells nobody */
};

static struct h2_client *h2_of(const struct relay_pass *p)
{
    return CONTAINER_OF(p, struct h2_client, pass);
}

/* ---- what the pass asks for ---- */

static err respond(struct relay_pass *p, unsigned status, const struct link_field *fields, size_t n)
{
    ENSURE(h2_of(p)->stream != NULL, CLOSED);
    return link_respond(h2_of(p)->stream, status, fields, n, false);
}

static err write_more(struct relay_pass *p, bytes data, bool end)
{
    ENSURE(h2_of(p)->stream != NULL, CLOSED);
    return link_stream_write(h2_of(p)->stream, data, end);
}

static size_t queued(const struct relay_pass *p)
{
    return h2_of(p)->stream != NULL ? link_stream_queued(h2_of(p)->stream) : 0;
}

static void on_taken(struct relay_pass *p, size_t n)
{
    if (h2_of(p)->stream != NULL)
        link_stream_consume(h2_of(p)->stream, n);
}

static void on_broken(struct loop_task *t)
{
    relay_pass_gone(&CONTAINER_OF(t, struct h2_client, broken)->pass, false);
}

/* While there is a stream: its connection may be gone afterwards. */
static void forget_cost(struct h2_client *h)
{
    *link_tally(h->link) -= h->cost;
    h->cost = 0;
}

static void break_off(struct relay_pass *p)
{
    struct h2_client *h = h2_of(p);
    if (h->stream == NULL)
        return;
    forget_cost(h);
    link_stream_reset(h->stream, LINK_INTERNAL);
    h->stream = NULL;
    loop_defer(p->host->loop, &h->broken, on_broken);
}

static void release(struct relay_pass *p)
{
    struct h2_client *h = h2_of(p);
    loop_defer_cancel(&h->broken);
    relay_leave(h->shard, &h->caller);
    mem_free(h);
}

static const struct relay_client_ops OPS = { .respond = respond,
                                             .write = write_more,
                                             .queued = queued,
                                             .taken = on_taken,
                                             .abort = break_off,
                                             .free = release };

/* ---- what the listener tells ---- */

/* Answers that nobody had to be asked for cost us alone, and may never be read. */
static void count_own(struct h2_client *h)
{
    if (!h->pass.answered || h->stream == NULL)
        return;
    h->cost = RELAY_PAGE_COST + link_stream_queued(h->stream);
    *link_tally(h->link) += h->cost;
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *request)
{
    struct h2_client *h;
    if (*link_tally(k) >= RELAY_UNREAD_MAX || mem_new(&h).code != ERR_OK) {
        link_stream_reset(s, LINK_REFUSE);
        return;
    }
    h->link = k;
    h->shard = owner;
    h->stream = s;
    h->pass.client = &OPS;
    h->caller.authorization = link_field(request->fields, request->fields_n, FIELD_AUTHORIZATION);
    h->caller.peer = link_peer(k);
    link_stream_set_owner(s, h);
    relay_enter(h->shard, &h->pass, &h->caller, request);
    count_own(h);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct h2_client *h = link_stream_owner(s);
    relay_pass_body(&h->pass, in);
}

static void on_end(struct link_stream *s)
{
    struct h2_client *h = link_stream_owner(s);
    relay_pass_body_end(&h->pass);
}

static void on_writable(struct link_stream *s)
{
    struct h2_client *h = link_stream_owner(s);
    relay_pass_writable(&h->pass);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct h2_client *h = link_stream_owner(s);
    h->stream = NULL;
    forget_cost(h);
    relay_pass_gone(&h->pass, why == LINK_DONE);
}

const struct link_events relay_h2_events = { .request = on_request,
                                             .data = on_data,
                                             .end = on_end,
                                             .writable = on_writable,
                                             .closed = on_closed };
