#include "gateway/workers.h"

#include <string.h>

#include "base/mem.h"
#include "wire/link.h"

err worker_wish_read(bytes text, struct worker_wish *out)
{
    struct worker_wish w = { .weight = 1 };
    TRY(sock_addr_read(text, &w.addr));
    *out = w;
    return OK;
}

void worker_wish_follow(struct worker_wish *w, const struct worker_wish *now)
{
    w->priority = now->priority;
    w->weight = now->weight;
}

static err write_text(struct worker_entry *e)
{
    BUF_AUTO text = BUF(SOCK_TEXT_MAX);
    TRY(sock_addr_write(&e->wish.addr, &text));
    memcpy(e->text, text.at, text.len);
    return OK;
}

static bool is_same(const struct worker_entry *a, const struct worker_entry *b)
{
    return strcmp(a->text, b->text) == 0 && strcmp(a->wish.tls_name, b->wish.tls_name) == 0 &&
           worker_tag_equal(&a->wish.tag, &b->wish.tag);
}

static struct worker_entry *find_same(struct worker_entry *at, size_t n,
                                      const struct worker_entry *e)
{
    for (size_t i = 0; i < n; i++) {
        if (is_same(&at[i], e))
            return &at[i];
    }
    return NULL;
}

/* Of those that are in `s` already, which wishes are for; the others leave. */
static err keep(struct worker_set *s, const struct worker_set *before,
                const struct worker_wish *wishes, size_t n)
{
    bool wished[WORKERS_MAX] = { false };
    for (size_t i = 0; i < before->n; i++)
        s->at[i] = before->at[i];
    for (size_t i = 0; i < n; i++) {
        struct worker_entry e = { .wish = wishes[i] };
        TRY(write_text(&e));
        struct worker_entry *same = find_same(s->at, before->n, &e);
        if (same == NULL || wished[same - s->at])
            continue;
        worker_wish_follow(&same->wish, &wishes[i]);
        wished[same - s->at] = true;
    }
    for (size_t i = 0; i < before->n; i++) {
        if (wished[i])
            s->at[s->n++] = s->at[i];
    }
    return OK;
}

static err join(struct worker_set *s, const struct worker_wish *wish, struct worker_change *change)
{
    struct worker_entry e = { .wish = *wish };
    TRY(write_text(&e));
    if (find_same(s->at, s->n, &e) != NULL)
        return OK;
    if (s->n == WORKERS_MAX) {
        change->over++;
        return OK;
    }
    e.place = s->next++;
    s->at[s->n++] = e;
    change->joined++;
    return OK;
}

static bool has_changed(const struct worker_wish *w, const struct worker_wish *now)
{
    return w->priority != now->priority || w->weight != now->weight;
}

/* Of those that stay, priorities or weights. */
static bool has_others(const struct worker_set *s, const struct worker_set *before)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct worker_entry *was = worker_set_find(before, s->at[i].place);
        if (was != NULL && has_changed(&was->wish, &s->at[i].wish))
            return true;
    }
    return false;
}

static err fill(struct worker_set *s, const struct worker_set *before,
                const struct worker_wish *wishes, size_t n, struct worker_change *change)
{
    if (before != NULL) {
        TRY(keep(s, before, wishes, n));
        s->next = before->next;
        change->left = before->n - s->n;
    }
    for (size_t i = 0; i < n; i++)
        TRY(join(s, &wishes[i], change));
    change->changed =
        before == NULL || change->joined > 0 || change->left > 0 || has_others(s, before);
    return OK;
}

err worker_set_next(struct worker_set **out, const struct worker_set *before,
                    const struct worker_wish *wishes, size_t n, struct worker_change *change)
{
    struct worker_set *s;
    TRY(mem_new(&s));
    atomic_init(&s->refs, 1);
    *change = (struct worker_change){ 0 };
    err e = fill(s, before, wishes, n, change);
    if (e.code != ERR_OK) {
        worker_set_unref(s);
        return e;
    }
    *out = s;
    return OK;
}

struct worker_set *worker_set_ref(struct worker_set *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void worker_set_unref(struct worker_set *s)
{
    if (s != NULL && atomic_fetch_sub(&s->refs, 1) == 1)
        mem_free(s);
}

const struct worker_entry *worker_set_find(const struct worker_set *s, size_t place)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->at[i].place == place)
            return &s->at[i];
    }
    return NULL;
}

void worker_link(const struct worker_entry *e, struct tls_context *tls, struct link_settings *out)
{
    out->addr = e->wish.addr;
    out->tls = e->wish.addr.tls ? tls : NULL;
    out->server_name = e->wish.tls_name[0] != '\0' ? e->wish.tls_name : NULL;
}
