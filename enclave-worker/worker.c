#include "enclave-worker/worker.h"

#include "enclave-worker/page.h"
#include "enclave-worker/session.h"
#include "wire/names.h"

static bool is_door(bytes path)
{
    return bytes_equal(path, BYTES_LIT(PATH_OHTTP_GATEWAY)) ||
           bytes_equal(path, BYTES_LIT(PATH_OHTTP));
}

/* Which door a request stands at, if it is open. */
static bool find_door(const struct worker *w, const struct link_request *req, enum door_kind *kind)
{
    const struct worker_settings *set = w->settings;
    bytes media = link_field(req->fields, req->fields_n, FIELD_CONTENT_TYPE);
    if (!is_door(req->path))
        *kind = DOOR_EHBP;
    else
        *kind =
            bytes_equal(media, BYTES_LIT(MEDIA_OHTTP_REQ)) ? DOOR_OHTTP_PLAIN : DOOR_OHTTP_CHUNKED;
    switch (*kind) {
    case DOOR_OHTTP_CHUNKED:
        return set->door_chunked && bytes_equal(media, BYTES_LIT(MEDIA_OHTTP_CHUNKED_REQ));
    case DOOR_OHTTP_PLAIN:
        return set->door_plain;
    case DOOR_EHBP:
        return set->door_ehbp;
    case DOOR_KINDS:
        break;
    }
    return false;
}

static err start(struct worker *w, struct link_stream *s, enum door_kind kind,
                 const struct link_request *req)
{
    err e = session_start(w, s, kind, req);
    if (e.code == ERR_MALFORMED || e.code == ERR_CRYPTO)
        return page_refuse(w, s, 400, "about:blank", "the sealed request cannot be opened");
    return e;
}

static err open_door(struct worker *w, struct link_stream *s, const struct link_request *req)
{
    enum door_kind kind;
    if (w->streams_n >= w->settings->streams_max || w->draining)
        return page_refuse(w, s, 503, "about:blank", "too many requests; try another worker");
    if (w->pool != NULL && !pool_ready(w->pool))
        return page_refuse(w, s, 503, "about:blank", "the keeper of this worker's pool is gone");
    if (find_door(w, req, &kind))
        return start(w, s, kind, req);
    return page_refuse(w, s, 415, "about:blank",
                       "send " MEDIA_OHTTP_CHUNKED_REQ " or " MEDIA_OHTTP_REQ
                       ", as far as this worker takes them");
}

/* Sealed: by its path, or because it brings a key that its body is sealed with. */
static bool is_sealed(const struct worker *w, const struct link_request *req)
{
    if (!bytes_equal(req->method, BYTES_LIT("POST")))
        return false;
    return is_door(req->path) || (w->settings->door_ehbp &&
                                  link_field(req->fields, req->fields_n, FIELD_EHBP_KEY).len > 0);
}

static void on_request(struct link *k, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    struct worker *w = owner;
    (void)k;
    err e = is_sealed(w, req) ? open_door(w, s, req) : page_start(w, s, req);
    if (e.code != ERR_OK)
        link_stream_reset(s, LINK_REFUSE);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct visit *v = link_stream_owner(s);
    if (v != NULL)
        v->ops->data(v, in);
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
