#include "api/tool_deltas.h"

#include "api/tool_deltas_edit.h"
#include "base/mem.h"
#include "base/text.h"

struct tool_call {
    uint64_t choice;
    size_t index; /* among those of its choice */
    bool numbered;
    uint64_t number; /* by the engine's count, its last word */
    uint64_t event;  /* that it was in last */
    struct progress arguments;
    struct buf id; /* the engine's, escaped and cut */
    struct buf name;
};

void tool_deltas_init(struct tool_deltas *t, bytes seed)
{
    seed = bytes_slice(seed, 0, TOOL_DELTAS_SEED_MAX);
    *t = (struct tool_deltas){ .mends = true,
                               .head = BUF(TOOL_DELTAS_HEAD_MAX),
                               .out = BUF(4 * SSE_EVENT_MAX) };
    if (seed.len > 0)
        memcpy(t->seed, seed.at, seed.len);
}

void tool_deltas_clear(struct tool_deltas *t)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_clear(&t->calls[i].id);
        buf_clear(&t->calls[i].name);
    }
    mem_free(t->calls);
    buf_clear(&t->head);
    buf_clear(&t->out);
    *t = (struct tool_deltas){ 0 };
}

/* ---- which call ---- */

static struct tool_call *call_by_id(const struct tool_deltas *t, uint64_t choice, bytes id)
{
    for (size_t i = t->n; i-- > 0;) {
        struct tool_call *c = &t->calls[i];
        if (id.len > 0 && c->choice == choice && bytes_equal(buf_view(&c->id), id))
            return c;
    }
    return NULL;
}

static struct tool_call *call_by_number(const struct tool_deltas *t, uint64_t choice, uint64_t n)
{
    for (size_t i = t->n; i-- > 0;) {
        struct tool_call *c = &t->calls[i];
        if (c->choice == choice && c->numbered && c->number == n)
            return c;
    }
    return NULL;
}

static struct tool_call *last_call(const struct tool_deltas *t, uint64_t choice)
{
    for (size_t i = t->n; i-- > 0;) {
        if (t->calls[i].choice == choice)
            return &t->calls[i];
    }
    return NULL;
}

/* The call that this would go on with, if it begins none. */
static struct tool_call *call_in_hand(const struct tool_deltas *t, uint64_t choice,
                                      const struct delta *d)
{
    struct tool_call *c = call_by_id(t, choice, d->id_text);
    if (c != NULL)
        return c;
    if (d->numbered)
        c = call_by_number(t, choice, d->number);
    if (c != NULL || (d->numbered && d->id_text.len + d->name_text.len > 0))
        return c;
    return last_call(t, choice);
}

static bool begins_call(const struct tool_deltas *t, const struct tool_call *c,
                        const struct delta *d)
{
    if (c == NULL)
        return true;
    bool other_id =
        d->id_text.len > 0 && c->id.len > 0 && !bytes_equal(buf_view(&c->id), d->id_text);
    if (d->name_text.len == 0)
        return false;
    if (other_id || c->event == t->event)
        return true;
    if (bytes_equal(buf_view(&c->name), d->name_text))
        return progress_is_complete(&c->arguments) && d->has_arguments;
    /* A name that comes late, or in pieces. */
    return c->name.len > 0 &&
           (c->arguments.begun || !d->numbered || !c->numbered || c->number != d->number);
}

/* *out stays as it was when there are too many. */
static err new_call(struct tool_deltas *t, uint64_t choice, struct tool_call **out)
{
    const struct tool_call *last = last_call(t, choice);
    size_t index = last != NULL ? last->index + 1 : 0;
    if (t->n == TOOL_DELTAS_CALLS_MAX) {
        t->mends = false;
        return OK;
    }
    if (t->n == t->cap) {
        size_t cap = t->cap > 0 ? 2 * t->cap : 4;
        struct tool_call *calls = mem_realloc(t->calls, cap * sizeof *calls);
        ENSURE(calls != NULL, NOMEM);
        t->calls = calls;
        t->cap = cap;
    }
    *out = &t->calls[t->n++];
    **out = (struct tool_call){ .choice = choice,
                                .index = index,
                                .id = BUF(TOOL_DELTAS_TEXT_MAX),
                                .name = BUF(TOOL_DELTAS_TEXT_MAX) };
    t->with_calls |= UINT64_C(1) << choice;
    return OK;
}

/* ---- mending ---- */

static err mend_arguments(struct edits *e, const struct delta *d)
{
    if (d->arguments.kind == SCAN_NULL)
        return edits_add(e, d->arguments.value, BYTES_LIT("\"\""));
    if (d->arguments.kind == 0 || d->arguments.kind == SCAN_STRING)
        return OK;
    return edits_quote(e, d->arguments.value);
}

static err add_index(struct buf *out, const struct tool_call *c)
{
    return buf_addf(out, "%zu", c->index);
}

static err add_id(struct buf *out, const struct tool_deltas *t)
{
    return buf_addf(out, "\"call_%s%02zx\"", t->seed, t->n - 1);
}

static err mend_index(struct edits *e, const struct delta *d, const struct tool_call *c,
                      struct buf *missing)
{
    BUF_AUTO index = BUF(32);
    if (d->numbered && d->number == c->index)
        return OK;
    TRY(add_index(&index, c));
    return edits_set(e, &d->index, "index", buf_view(&index), missing);
}

/* has_id: one that is its own. */
static err mend_first(const struct tool_deltas *t, struct edits *e, const struct delta *d,
                      bool has_id, struct buf *missing)
{
    BUF_AUTO id = BUF(128);
    if (!has_id && t->seed[0] != '\0') {
        TRY(add_id(&id, t));
        TRY(edits_set(e, &d->id, "id", buf_view(&id), missing));
    }
    if (d->type.kind != SCAN_STRING || d->type.text.len == 0)
        TRY(edits_set(e, &d->type, "type", BYTES_LIT("\"function\""), missing));
    return OK;
}

static err mend_next(struct edits *e, const struct delta *d, const struct tool_call *c)
{
    if (place_is_set(&d->id))
        TRY(edits_remove(e, d->object, &d->id));
    bool again = d->name.kind == SCAN_STRING &&
                 (d->name_text.len == 0 || bytes_equal(d->name_text, buf_view(&c->name)));
    return again ? edits_remove(e, d->function.value, &d->name) : OK;
}

static err note(struct tool_deltas *t, struct tool_call *c, const struct delta *d)
{
    c->event = t->event;
    if (d->numbered) {
        c->numbered = true;
        c->number = d->number;
    }
    if (c->id.len == 0)
        TRY(buf_add(&c->id, d->id_text));
    if (!bytes_equal(buf_view(&c->name), d->name_text))
        TRY(buf_add(&c->name, bytes_slice(d->name_text, 0, c->name.max - c->name.len)));
    progress_follow(&c->arguments, d);
    return OK;
}

static err mend_delta(struct tool_deltas *t, uint64_t choice, const struct delta *d,
                      struct edits *e)
{
    BUF_AUTO missing = BUF(256);
    struct tool_call *c = call_in_hand(t, choice, d);
    bool has_id = d->id_text.len > 0 && call_by_id(t, choice, d->id_text) == NULL;
    bool first = begins_call(t, c, d);
    if (first) {
        c = NULL;
        TRY(new_call(t, choice, &c));
    }
    if (c == NULL)
        return OK;
    TRY(mend_index(e, d, c, &missing));
    TRY(first ? mend_first(t, e, d, has_id, &missing) : mend_next(e, d, c));
    TRY(edits_put(e, d->object, &missing));
    TRY(mend_arguments(e, d));
    return note(t, c, d);
}

/* ---- events ---- */

static err mend_calls(struct tool_deltas *t, uint64_t choice, bytes delta, struct edits *e)
{
    struct place calls = { 0 };
    struct scan array;
    struct delta d;
    bytes object;
    const struct want wants[] = { { "tool_calls", &calls } };
    if (!places_find(delta, wants, 1) || !places_begin(&array, calls.value))
        return OK;
    while (places_next(&array, &object)) {
        if (delta_read(&d, object))
            TRY(mend_delta(t, choice, &d, e));
    }
    return OK;
}

static err mend_finish(struct tool_deltas *t, uint64_t choice, const struct place *finish,
                       struct edits *e)
{
    uint64_t bit = UINT64_C(1) << choice;
    if (finish->kind != SCAN_STRING || finish->text.len == 0 || !(t->with_calls & bit))
        return OK;
    t->finished |= bit;
    return bytes_equal(finish->text, BYTES_LIT("stop"))
               ? edits_add(e, finish->value, BYTES_LIT("\"tool_calls\""))
               : OK;
}

static err mend_choice(struct tool_deltas *t, bytes object, struct edits *e)
{
    struct place index = { 0 };
    struct place delta = { 0 };
    struct place finish = { 0 };
    const struct want wants[] = { { "index", &index },
                                  { "delta", &delta },
                                  { "finish_reason", &finish } };
    uint64_t choice = 0;
    if (!places_find(object, wants, ARRAY_LEN(wants)))
        return OK;
    if (index.kind != 0 && (!text_u64(index.value, &choice) || choice >= PEEK_CHOICES_MAX))
        return OK;
    TRY(mend_calls(t, choice, delta.value, e));
    return mend_finish(t, choice, &finish, e);
}

/* Of the first event with a call: what an event of ours says as all others do. */
static err keep_head(struct tool_deltas *t, const struct place *places, const struct want *wants,
                     size_t n)
{
    if (t->head.len > 0 || t->with_calls == 0)
        return OK;
    TRY(buf_add_u8(&t->head, '{'));
    for (size_t i = 0; i < n; i++) {
        bytes value = places[i].value;
        if (places[i].kind != 0 && value.len <= TOOL_DELTAS_HEAD_MAX / 4)
            TRY(buf_addf(&t->head, "\"%s\":%.*s,", wants[i].name, (int)value.len,
                         (const char *)value.at));
    }
    return OK;
}

static err mend_event(struct tool_deltas *t, bytes data, struct edits *e)
{
    struct place p[4] = { 0 };
    struct scan array;
    bytes object;
    const struct want wants[] = {
        { "id", &p[0] }, { "created", &p[1] }, { "model", &p[2] }, { "choices", &p[3] }
    };
    if (!places_find(data, wants, ARRAY_LEN(wants)) || !places_begin(&array, p[3].value))
        return OK;
    while (places_next(&array, &object))
        TRY(mend_choice(t, object, e));
    return keep_head(t, p, wants, 3);
}

static err mend(struct tool_deltas *t, const struct sse_event *event, bytes *wire)
{
    struct edits e;
    edits_init(&e);
    err why = mend_event(t, event->data, &e);
    t->mends = t->mends && !e.overflow;
    if (why.code == ERR_OK && e.n > 0 && t->mends) {
        why = edits_write(&e, event->wire, &t->out);
        *wire = buf_view(&t->out);
    }
    edits_clear(&e);
    return why;
}

/* In front of the end: what choices with calls have not said. */
static err finish(struct tool_deltas *t, const struct sse_event *event, bytes *wire)
{
    for (uint64_t i = 0; i < PEEK_CHOICES_MAX; i++) {
        if (!((t->with_calls & ~t->finished) >> i & 1))
            continue;
        TRY(buf_add_str(&t->out, "data: "));
        TRY(buf_add(&t->out, buf_view(&t->head)));
        TRY(buf_addf(&t->out,
                     "\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":%u,\"delta\":{},"
                     "\"finish_reason\":\"tool_calls\"}]}\n\n",
                     (unsigned)i));
    }
    t->finished |= t->with_calls;
    if (t->out.len == 0)
        return OK;
    TRY(buf_add(&t->out, event->wire));
    *wire = buf_view(&t->out);
    return OK;
}

err tool_deltas_put(struct tool_deltas *t, const struct sse_event *event, bytes *wire)
{
    *wire = event->wire;
    if (!t->mends)
        return OK;
    buf_truncate(&t->out, 0);
    t->event++;
    if (event->flags & SSE_DONE)
        return finish(t, event, wire);
    /* Before a first call there is nothing to do for what has none. */
    if (event->answer == NULL || event->answer->choices == 0 || event->wire.len == 0)
        return OK;
    bool has_calls = text_find(event->data, BYTES_LIT("tool_calls")) < event->data.len;
    if (!has_calls && !((event->flags & SSE_FINISH) && t->with_calls != 0))
        return OK;
    return mend(t, event, wire);
}
