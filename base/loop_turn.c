/* The end of a turn: tasks in circular lists whose heads are tasks themselves, and hooks. */
#include "base/loop_private.h"

static void list_init(struct loop_task *head)
{
    head->next = head;
    head->prev = head;
}

static bool list_empty(const struct loop_task *head)
{
    return head->next == head;
}

static void list_add(struct loop_task *head, struct loop_task *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

static void list_move(struct loop_task *from, struct loop_task *to)
{
    list_init(to);
    if (list_empty(from))
        return;
    *to = (struct loop_task){ .next = from->next, .prev = from->prev };
    to->next->prev = to;
    to->prev->next = to;
    list_init(from);
}

static void defer_to(struct loop *l, struct loop_task *list, struct loop_task *t, loop_task_fn *fn)
{
    if (t->loop != NULL)
        return;
    t->loop = l;
    t->fn = fn;
    list_add(list, t);
    l->dirty = true;
}

void loop_defer(struct loop *l, struct loop_task *t, loop_task_fn *fn)
{
    defer_to(l, &l->soon, t, fn);
}

void loop_defer_last(struct loop *l, struct loop_task *t, loop_task_fn *fn)
{
    defer_to(l, &l->last, t, fn);
}

void loop_defer_cancel(struct loop_task *t)
{
    if (t->loop == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    *t = (struct loop_task){ 0 };
}

/* Those that are queued now; what they queue is for the next round. */
static void run_tasks(struct loop_task *list)
{
    struct loop_task batch;
    list_move(list, &batch);
    while (!list_empty(&batch)) {
        struct loop_task *t = batch.next;
        loop_task_fn *fn = t->fn;
        loop_defer_cancel(t);
        fn(t);
    }
}

void loop_hook_add(struct loop *l, struct loop_hook *h, int order, loop_hook_fn *fn)
{
    loop_hook_remove(h);
    *h = (struct loop_hook){ .loop = l, .fn = fn, .order = order };
    struct loop_hook **at = &l->hooks;
    while (*at != NULL && (*at)->order <= order)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
}

void loop_hook_remove(struct loop_hook *h)
{
    if (h->loop == NULL)
        return;
    struct loop_hook **at = &h->loop->hooks;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    if (h->loop->hook_next == h)
        h->loop->hook_next = h->next;
    *h = (struct loop_hook){ 0 };
}

/* Those of a round, or those that end the turn. */
static void run_hooks(struct loop *l, bool ending)
{
    for (struct loop_hook *h = l->hooks; h != NULL; h = l->hook_next) {
        l->hook_next = h->next;
        if ((h->order == LOOP_ORDER_END) == ending)
            h->fn(h);
    }
}

void loop_again(struct loop *l)
{
    l->again = true;
    l->dirty = true;
}

static void run_round(struct loop *l)
{
    l->again = false;
    run_tasks(&l->soon);
    run_hooks(l, false);
}

static void run_round_if_asked(struct loop *l)
{
    if (l->again || !list_empty(&l->soon))
        run_round(l);
}

void loop_init_turn(struct loop *l)
{
    list_init(&l->soon);
    list_init(&l->last);
}

void loop_end_turn(struct loop *l)
{
    run_round(l);
    run_round_if_asked(l);
    run_tasks(&l->last);
    run_round_if_asked(l);
    run_hooks(l, true);
    l->dirty = l->again || !list_empty(&l->soon) || !list_empty(&l->last);
}
