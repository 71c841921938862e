#include "api/tool_deltas_edit.h"

#include "base/text.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static const uint8_t *skip_space(const uint8_t *at)
{
    while (is_space(*at))
        at++;
    return at;
}

void edits_init(struct edits *e)
{
    e->n = 0;
    e->overflow = false;
    e->text = BUF(4 * SSE_EVENT_MAX);
}

void edits_clear(struct edits *e)
{
    buf_clear(&e->text);
}

/* In the order of their places; what is put in at one goes in front of what replaces from there on. */
static bool is_behind(const struct edit *edit, bytes what)
{
    return edit->from > what.at || (edit->from == what.at && what.len == 0 && edit->to > what.at);
}

/* The text from `at` on takes the place of `what`. */
static void insert(struct edits *e, bytes what, size_t at)
{
    size_t i = e->n;
    if (i == TOOL_DELTAS_EDITS_MAX) {
        e->overflow = true;
        return;
    }
    for (; i > 0 && is_behind(&e->list[i - 1], what); i--)
        e->list[i] = e->list[i - 1];
    e->list[i] = (struct edit){ what.at, what.at + what.len, at, e->text.len - at };
    e->n++;
}

err edits_add(struct edits *e, bytes what, bytes by)
{
    size_t at = e->text.len;
    TRY(buf_add(&e->text, by));
    insert(e, what, at);
    return OK;
}

err edits_quote(struct edits *e, bytes value)
{
    size_t at = e->text.len;
    TRY(text_json_quote(&e->text, value));
    insert(e, value, at);
    return OK;
}

err edits_remove(struct edits *e, bytes object, const struct place *member)
{
    const uint8_t *from = member->key;
    const uint8_t *to = skip_space(member->value.at + member->value.len);
    if (*to == ',') {
        to++;
    } else {
        while (is_space(from[-1]))
            from--;
        if (from[-1] == ',')
            from--;
    }
    ENSURE(from > object.at && to < object.at + object.len, INTERNAL);
    return edits_add(e, bytes_of(from, (size_t)(to - from)), (bytes){ 0 });
}

err edits_set(struct edits *e, const struct place *p, const char *name, bytes value,
              struct buf *missing)
{
    if (p->kind != 0)
        return edits_add(e, p->value, value);
    TRY(buf_addf(missing, "\"%s\":", name));
    TRY(buf_add(missing, value));
    return buf_add_u8(missing, ',');
}

/* Without members, or without those that are left when the edits so far are done. */
static bool is_left_empty(const struct edits *e, bytes object)
{
    const uint8_t *at = skip_space(object.at + 1);
    for (size_t i = 0; i < e->n; i++) {
        if (e->list[i].len == 0 && e->list[i].from <= at && at < e->list[i].to)
            at = skip_space(e->list[i].to);
    }
    return *at == '}';
}

err edits_put(struct edits *e, bytes object, const struct buf *missing)
{
    bytes text = buf_view(missing);
    if (text.len > 0 && is_left_empty(e, object))
        text.len--;
    return text.len > 0 ? edits_add(e, bytes_of(object.at + 1, 0), text) : OK;
}

err edits_write(const struct edits *e, bytes in, struct buf *out)
{
    const uint8_t *copied = in.at;
    for (size_t i = 0; i < e->n; i++) {
        const struct edit *edit = &e->list[i];
        TRY(buf_add(out, bytes_of(copied, (size_t)(edit->from - copied))));
        TRY(buf_add(out, bytes_slice(buf_view(&e->text), edit->at, edit->len)));
        copied = edit->to;
    }
    return buf_add(out, bytes_of(copied, (size_t)(in.at + in.len - copied)));
}
