#include "enclave-worker/door.h"

#include "enclave-worker/door_ehbp.h"
#include "enclave-worker/door_ohttp.h"

typedef err door_new_fn(struct door **out, struct worker *w, enum door_kind kind,
                        const struct link_request *req);

static door_new_fn *const NEW[DOOR_KINDS] = {
    [DOOR_OHTTP_CHUNKED] = door_ohttp_new,
    [DOOR_OHTTP_PLAIN] = door_ohttp_new,
    [DOOR_EHBP] = door_ehbp_new,
};

err door_new(struct door **out, struct worker *w, enum door_kind kind,
             const struct link_request *req)
{
    return NEW[kind](out, w, kind, req);
}

void door_free(struct door *d)
{
    if (d == NULL)
        return;
    kept_clear(&d->request);
    buf_clear(&d->content);
    buf_clear(&d->whole);
    d->worker->held -= d->held;
    d->ops->free(d);
}

err door_fits(const struct door *d, size_t n)
{
    ENSURE(n <= d->worker->settings->body_max - d->content.len, LIMIT);
    return OK;
}

err door_count(struct door *d)
{
    struct worker *w = d->worker;
    uint64_t now = d->content.cap + d->whole.cap + d->ops->own(d);
    bool grows = now > d->held;
    w->held = w->held - d->held + now;
    d->held = now;
    ENSURE(!grows || w->held <= w->settings->held_max, UNAVAILABLE);
    return OK;
}

void door_let_go(struct door *d)
{
    buf_clear(&d->content);
    (void)door_count(d);
}

err door_keep(struct door *d, bytes plain)
{
    TRY(buf_add(&d->whole, plain));
    err e = door_count(d);
    return d->whole.len > DOOR_SMALL ? e : OK;
}

err door_respond(struct door *d, struct link_stream *s, unsigned status,
                 const struct link_field *fields, size_t n)
{
    if (d->responded)
        return OK;
    d->responded = true;
    return link_respond(s, status, fields, n, false);
}

err door_pass_whole(struct door *d, struct link_stream *s, struct buf *sealed)
{
    buf_clear(&d->whole);
    return door_pass(d, s, sealed, true);
}

err door_pass(struct door *d, struct link_stream *s, struct buf *sealed, bool end)
{
    d->sent += sealed->len;
    return link_stream_take(s, sealed, end);
}
