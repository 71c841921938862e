#include "enclave-worker/worker.h"

#include "enclave-worker/page.h"
#include "enclave-worker/session.h"
#include "wire/names.h"

static bool is_door(bytes path)
{
    return bytes_equal(path, BYTES_LIT(PATH_OHTTP_GATEWAY)) ||
           bytes_equal(path, BYTES_LIT(PATH_OHTTP));
}

static err open_door(struct worker *w, struct link_stream *s, const struct link_request *req)
{
    bytes media = link_field(req->fields, req->fields_n, FIELD_CONTENT_TYPE);
    if (w->streams_n >= w->settings->streams_max || w->draining)
        return worker_refuse(s, 503, "about:blank", "too many requests; try another worker");
    if (bytes_equal(media, BYTES_LIT(MEDIA_OHTTP_CHUNKED_REQ)))
        return session_start(w, s, DOOR_OHTTP_CHUNKED, req);
    if (bytes_equal(media, BYTES_LIT(MEDIA_OHTTP_REQ)))
        return session_start(w, s, DOOR_OHTTP_PLAIN, req);
    return worker_refuse(s, 415, "about:blank",
                         "send " MEDIA_OHTTP_CHUNKED_REQ " or " MEDIA_OHTTP_REQ);
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    struct worker *w = owner;
    (void)k;
    bool door = is_door(req->path) && bytes_equal(req->method, BYTES_LIT("POST"));
    err e = door ? open_door(w, s, req) : page_start(w, s, req);
    if (e.code != ERR_OK)
        link_stream_reset(s, LINK_REFUSE);
}

/* A stream that was answered at once has no visit. */
static void on_data(struct link_stream *s, bytes in)
{
    struct visit *v = link_stream_owner(s);
    if (v != NULL)
        v->ops->data(v, in);
    else
        link_stream_consume(s, in.len);
}

static void on_end(struct link_stream *s)
{
    struct visit *v = link_stream_owner(s);
    if (v != NULL)
        v->ops->end(v);
}

static void on_writable(struct link_stream *s)
{
    struct visit *v = link_stream_owner(s);
    if (v != NULL)
        v->ops->writable(v);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct visit *v = link_stream_owner(s);
    if (v != NULL)
        v->ops->closed(v, why);
}

const struct link_events worker_link_events = {
    .request = on_request,
    .data = on_data,
    .end = on_end,
    .writable = on_writable,
    .closed = on_closed,
};
