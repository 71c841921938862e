#include "enclave-worker/responses_handout.h"

#include <stdio.h>

#include "wire/names.h"

void handout_init(struct handout *h, struct engine *engine, struct loop *loop,
                  const struct engine_events *events, void *owner,
                  void (*release)(struct handout *h))
{
    *h = (struct handout){ .base = { engine },
                           .loop = loop,
                           .events = events,
                           .owner = owner,
                           .release = release,
                           .out = BUF(HANDOUT_MAX) };
}

void handout_clear(struct handout *h)
{
    loop_defer_cancel(&h->task);
    buf_clear(&h->out);
}

void handout_enter(struct handout *h)
{
    h->busy = true;
}

bool handout_leave(struct handout *h)
{
    h->busy = false;
    if (!h->dead)
        return !h->paused;
    h->release(h);
    return false;
}

/* ---- handing out ---- */

static bool tell_head(struct handout *h)
{
    struct engine_field fields[ENGINE_FIELDS_MAX];
    size_t n = 0;
    for (; n < h->fields_n; n++)
        fields[n] =
            (struct engine_field){ bytes_str(h->fields[n].name), bytes_str(h->fields[n].value) };
    if (h->add_fields != NULL)
        n = h->add_fields(h, fields, n);
    h->begun = true;
    handout_enter(h);
    h->events->head(h->owner, h->status, fields, n, h->done ? (int64_t)h->out.len : -1);
    return handout_leave(h);
}

static void drop_body(struct handout *h)
{
    buf_clear(&h->out);
    h->at = 0;
}

/* False when that was not the last of it, or the owner takes no more. Nothing is filled in meanwhile. */
static bool tell_body(struct handout *h)
{
    bytes piece = bytes_slice(buf_view(&h->out), h->at, HANDOUT_PIECE);
    h->at += piece.len;
    handout_enter(h);
    h->events->body(h->owner, piece);
    if (h->at == h->out.len)
        drop_body(h);
    bool last = h->out.len == 0;
    if (!handout_leave(h))
        return false;
    if (!last)
        handout_later(h);
    return last;
}

static void tell_end(struct handout *h)
{
    const struct engine_events *events = h->events;
    void *owner = h->owner;
    err why = h->why;
    h->release(h);
    events->end(owner, why);
}

void handout_now(struct handout *h)
{
    if (h->paused)
        return;
    if (h->status != 0 && !h->begun && !tell_head(h))
        return;
    if (h->out.len > 0 && !tell_body(h))
        return;
    if (h->done)
        tell_end(h);
}

static void on_task(struct loop_task *t)
{
    handout_now(CONTAINER_OF(t, struct handout, task));
}

void handout_later(struct handout *h)
{
    loop_defer(h->loop, &h->task, on_task);
}

/* ---- filling ---- */

static void set_type(struct handout *h, const char *type)
{
    h->status = 200;
    h->fields_n = 1;
    h->fields[0].name = FIELD_CONTENT_TYPE;
    (void)snprintf(h->fields[0].value, sizeof h->fields[0].value, "%s", type);
}

void handout_whole(struct handout *h, const char *type)
{
    set_type(h, type);
    h->done = true;
    handout_later(h);
}

err handout_error(struct handout *h, const struct api_error *error)
{
    h->status = error_status(error->cause);
    h->fields_n = error_fields(error, h->fields);
    h->done = true;
    drop_body(h);
    TRY(error_write_body(&h->out, error));
    handout_later(h);
    return OK;
}

void handout_end(struct handout *h, err why)
{
    h->done = true;
    h->why = why;
    handout_later(h);
}

void handout_stream(struct handout *h)
{
    if (h->status == 0)
        set_type(h, MEDIA_SSE "; charset=utf-8");
}

/* ---- the owner ---- */

void handout_pause(struct handout *h)
{
    h->paused = true;
}

void handout_resume(struct handout *h)
{
    if (!h->paused)
        return;
    h->paused = false;
    handout_later(h);
}

void handout_cancel(struct handout *h)
{
    if (h->busy)
        h->dead = true;
    else
        h->release(h);
}
