#include "gateway/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

struct pool_worker {
    struct pool *pool;
    struct worker_entry at; /* the link borrows from it */
    size_t seat;            /* a small number; somebody else's when this one is gone */
    struct link *link; /* open while trusted, and while requests of a withdrawn one are under way */
    struct trusted *trusted;
    const struct worker_finding *finding; /* of p->findings; NULL: none */
    size_t running;
    struct loop_task idle; /* the last request of one that was withdrawn, or left, is done */
    bool leaves;           /* not in the set any more; nobody is at its place */
};

struct pool {
    struct loop *loop;
    struct pool_settings settings;
    struct link_events events;
    struct balance balance; /* of seats */
    struct trust_view *view;
    struct findings *findings;              /* NULL: none yet */
    size_t n;                               /* seats, from the first to the last that was taken */
    struct pool_worker *seats[WORKERS_MAX]; /* NULL: free */
};

enum { PING_MS = 5000 };

static uint64_t now_ms(const struct pool *p)
{
    return loop_now_ms(p->loop);
}

static void tell(struct pool *p)
{
    struct balance_change change;
    while (balance_change(&p->balance, now_ms(p), &change)) {
        const struct pool_worker *w = p->seats[change.place];
        change.place = w != NULL ? w->at.place : SIZE_MAX;
        if (p->settings.changed != NULL)
            p->settings.changed(p->settings.owner, &change);
    }
}

static void on_up(struct link *k, void *owner)
{
    struct pool_worker *w = owner;
    (void)k;
    if (w->leaves)
        return;
    balance_join(&w->pool->balance, w->seat, now_ms(w->pool));
    tell(w->pool);
    w->pool->settings.ready(w->pool->settings.owner);
}

static void on_down(struct link *k, void *owner, err why)
{
    struct pool_worker *w = owner;
    (void)k;
    (void)why;
    balance_leave(&w->pool->balance, w->seat);
    tell(w->pool);
}

err pool_new(struct pool **out, struct loop *loop, const struct pool_settings *settings)
{
    struct pool *p;
    TRY(mem_new(&p));
    p->loop = loop;
    p->settings = *settings;
    p->events = *settings->streams;
    p->events.up = on_up;
    p->events.down = on_down;
    balance_init(&p->balance, &settings->balance, settings->seed);
    *out = p;
    return OK;
}

static void shut(struct pool_worker *w)
{
    struct link *link = w->link;
    loop_defer_cancel(&w->idle);
    w->link = NULL;
    balance_leave(&w->pool->balance, w->seat);
    if (link != NULL)
        link_close(link);
    trusted_unref(w->trusted);
    w->trusted = NULL;
    w->finding = NULL;
}

static void release(struct pool_worker *w)
{
    w->pool->seats[w->seat] = NULL;
    shut(w);
    balance_forget(&w->pool->balance, w->seat);
    mem_free(w);
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->n; i++) {
        if (p->seats[i] != NULL)
            release(p->seats[i]);
    }
    trust_view_unref(p->view);
    findings_unref(p->findings);
    mem_free(p);
}

static err open_link(struct pool_worker *w)
{
    uint64_t ping_ms = w->pool->settings.ping_ms > 0 ? w->pool->settings.ping_ms : PING_MS;
    struct link_settings settings = { .redial_max_ms = POOL_REDIAL_MAX_MS,
                                      .ping_ms = ping_ms,
                                      .ping_timeout_ms = ping_ms,
                                      .streams_max = w->pool->settings.streams_max };
    worker_link(&w->at, w->pool->settings.tls, &settings);
    return link_open(&w->link, w->pool->loop, &settings, &w->pool->events, w);
}

/* Withdrawn now, or in an earlier view. */
static bool may_finish(const struct pool_worker *w)
{
    return w->running > 0 && (w->trusted == NULL || trusted_is_withdrawn(w->trusted));
}

static bool is_same(const struct trusted *a, const struct trusted *b)
{
    return a != NULL && bytes_equal(BYTES_ARRAY(a->identity), BYTES_ARRAY(b->identity));
}

/* Another process has a record of its own. */
static void start_afresh(struct pool_worker *w)
{
    balance_forget(&w->pool->balance, w->seat);
    if (w->link != NULL && link_is_up(w->link))
        balance_join(&w->pool->balance, w->seat, now_ms(w->pool));
}

/* Requests under way at a worker that showed false evidence are cut off with its connection, also when
 * it had been withdrawn before; those at one that another policy has no place for may finish. */
static void update_worker(struct pool_worker *w, struct trusted *t, bool is_false)
{
    if (t == NULL && !is_false && may_finish(w)) {
        trusted_unref(w->trusted);
        w->trusted = NULL;
        return;
    }
    if (t == NULL) {
        shut(w);
        return;
    }
    if (!is_same(w->trusted, t))
        start_afresh(w);
    trusted_ref(t);
    trusted_unref(w->trusted);
    w->trusted = t;
    if (w->link == NULL && open_link(w).code != ERR_OK)
        w->link = NULL;
}

/* Nobody finds it any more; what it has under way may finish, whatever is found out about it. */
static void leave(struct pool_worker *w)
{
    if (w->running == 0) {
        release(w);
        return;
    }
    w->leaves = true;
    balance_leave(&w->pool->balance, w->seat);
    trusted_unref(w->trusted);
    w->trusted = NULL;
}

static void part_with_who_left(struct pool *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct pool_worker *w = p->seats[i];
        if (w != NULL && !w->leaves && worker_set_find(p->view->set, w->at.place) == NULL)
            leave(w);
    }
}

static struct pool_worker *worker_at(const struct pool *p, size_t place)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->seats[i] != NULL && !p->seats[i]->leaves && p->seats[i]->at.place == place)
            return p->seats[i];
    }
    return NULL;
}

/* NULL: no memory, or somebody who leaves has the seat still; then it joins with a later view. */
static struct pool_worker *join(struct pool *p, const struct worker_entry *at)
{
    struct pool_worker *w;
    size_t seat = 0;
    while (seat < p->n && p->seats[seat] != NULL)
        seat++;
    if (seat == WORKERS_MAX || mem_new(&w).code != ERR_OK)
        return NULL;
    w->pool = p;
    w->at = *at;
    w->seat = seat;
    p->seats[seat] = w;
    p->n = seat < p->n ? p->n : seat + 1;
    return w;
}

static void update_place(struct pool *p, size_t i)
{
    const struct worker_entry *at = &p->view->set->at[i];
    struct pool_worker *w = worker_at(p, at->place);
    if (w == NULL)
        w = join(p, at);
    if (w == NULL)
        return;
    worker_wish_follow(&w->at.wish, &at->wish);
    balance_set_weight(&p->balance, w->seat, at->wish.weight);
    update_worker(w, p->view->workers[i], (p->view->is_false >> i & 1) != 0);
}

static void update_findings(struct pool *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct pool_worker *w = p->seats[i];
        if (w == NULL)
            continue;
        w->finding = NULL;
        if (w->trusted != NULL)
            w->finding = findings_of(p->findings, w->at.place, w->trusted->identity);
        balance_set_sick(&p->balance, i, w->finding != NULL && w->finding->sick, now_ms(p));
    }
}

static void update_all(struct pool *p)
{
    part_with_who_left(p);
    for (size_t i = 0; i < p->view->set->n; i++)
        update_place(p, i);
    update_findings(p);
}

void pool_use_findings(struct pool *p, struct findings *findings)
{
    findings_ref(findings);
    findings_unref(p->findings);
    p->findings = findings;
    update_findings(p);
    tell(p);
    p->settings.ready(p->settings.owner);
}

void pool_update(struct pool *p, struct trust_view *view)
{
    trust_view_ref(view);
    trust_view_unref(p->view);
    p->view = view;
    update_all(p);
    tell(p);
    p->settings.ready(p->settings.owner);
}

const struct trust_view *pool_view(const struct pool *p)
{
    return p->view;
}

static bool is_trusted(const struct pool_worker *w, int64_t now)
{
    return w->trusted != NULL && !trusted_is_withdrawn(w->trusted) && now < w->trusted->not_after;
}

static bool is_connected(const struct pool_worker *w, int64_t now)
{
    return is_trusted(w, now) && w->link != NULL && link_is_up(w->link);
}

static bool is_usable(const struct pool_worker *w, int64_t now)
{
    return is_connected(w, now) && link_room(w->link) > 0;
}

static uint64_t bit(size_t seat)
{
    return (uint64_t)1 << seat;
}

static uint64_t usable_seats(const struct pool *p)
{
    int64_t now = clock_wall_s();
    uint64_t seats = 0;
    for (size_t i = 0; i < p->n; i++)
        seats |= p->seats[i] != NULL && is_usable(p->seats[i], now) ? bit(i) : 0;
    return seats;
}

/* Of these, the well ones that come first (RFC 2782), and do not owe a sign of life; all, when there is
 * no such. */
static uint64_t first_seats(const struct pool *p, uint64_t seats)
{
    uint64_t first = 0;
    unsigned best = UINT32_MAX;
    for (size_t i = 0; i < p->n; i++) {
        if ((seats & bit(i)) == 0 || !balance_is_well(&p->balance, i, now_ms(p)) ||
            link_is_silent(p->seats[i]->link))
            continue;
        unsigned priority = p->seats[i]->at.wish.priority;
        if (priority < best)
            first = 0;
        if (priority <= best)
            first |= bit(i);
        best = priority < best ? priority : best;
    }
    return first != 0 ? first : seats;
}

static uint64_t seat_of(const struct pool *p, size_t place)
{
    const struct pool_worker *w = worker_at(p, place);
    return w != NULL ? bit(w->seat) : 0;
}

static const struct model_list *list_of(const struct pool_worker *w)
{
    const struct worker_finding *f = w != NULL ? w->finding : NULL;
    return f != NULL && f->models.known ? &f->models : NULL;
}

/* Of these seats, those that may have the model. */
static uint64_t seats_with(const struct pool *p, uint64_t seats, bytes model)
{
    uint64_t having = 0;
    uint64_t unknown = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct model_list *list = list_of(p->seats[i]);
        if (list == NULL)
            unknown |= bit(i);
        else if (model_list_has(list, model))
            having |= bit(i);
    }
    return having != 0 ? seats & (having | unknown) : seats;
}

static uint64_t seats_with_most(const struct pool *p, uint64_t seats)
{
    uint64_t having = 0;
    size_t most = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct model_list *list = (seats & bit(i)) != 0 ? list_of(p->seats[i]) : NULL;
        if (list == NULL || list->n < most)
            continue;
        having = list->n > most ? bit(i) : having | bit(i);
        most = list->n;
    }
    return having != 0 ? having : seats;
}

static uint64_t wanted_seats(const struct pool *p, const struct pool_want *want)
{
    uint64_t seats = usable_seats(p);
    if (want->model.len > 0)
        return seats_with(p, seats, want->model);
    return want->all_models ? seats_with_most(p, seats) : seats;
}

struct pool_worker *pool_choose(struct pool *p, const struct pool_want *wanted)
{
    uint64_t usable = wanted_seats(p, wanted);
    uint64_t avoided = seat_of(p, wanted->avoid);
    if ((usable & ~avoided) != 0)
        usable &= ~avoided;
    const struct balance_want want = { .usable = first_seats(p, usable), .avoid = avoided };
    size_t seat = balance_choose(&p->balance, &want, now_ms(p));
    return seat < p->n ? p->seats[seat] : NULL;
}

bool pool_has_room(const struct pool *p)
{
    return usable_seats(p) != 0;
}

static bool has_tag(const struct trusted *t, bytes tag)
{
    BUF_AUTO identity = BUF(2 * sizeof t->identity);
    return tag.len >= POOL_TAG_LEN &&
           text_hex_encode(&identity, BYTES_ARRAY(t->identity)).code == ERR_OK &&
           bytes_starts(buf_view(&identity), tag);
}

static unsigned rank_of(const struct pool_worker *w, size_t avoid, int64_t now)
{
    if (!is_usable(w, now))
        return 1;
    return w->at.place == avoid ? 2 : 3;
}

struct pool_worker *pool_find(struct pool *p, bytes tag, size_t avoid)
{
    int64_t now = clock_wall_s();
    struct pool_worker *best = NULL;
    for (size_t i = 0; i < p->n; i++) {
        struct pool_worker *w = p->seats[i];
        if (w == NULL || !is_trusted(w, now) || !has_tag(w->trusted, tag))
            continue;
        if (best == NULL || rank_of(w, avoid, now) > rank_of(best, avoid, now))
            best = w;
    }
    return best;
}

bool pool_worker_usable(const struct pool_worker *w)
{
    return is_usable(w, clock_wall_s());
}

bool pool_worker_is_well(const struct pool_worker *w)
{
    return balance_is_well(&w->pool->balance, w->seat, now_ms(w->pool));
}

struct link *pool_worker_link(const struct pool_worker *w)
{
    return w->link;
}

struct trusted *pool_worker_trusted(const struct pool_worker *w)
{
    return w->trusted;
}

static void on_idle(struct loop_task *task)
{
    struct pool_worker *w = CONTAINER_OF(task, struct pool_worker, idle);
    if (w->running > 0 || w->trusted != NULL)
        return;
    struct pool *p = w->pool;
    if (w->leaves) {
        release(w);
        update_all(p); /* somebody may wait for the seat */
    } else {
        shut(w);
    }
    tell(p);
}

void pool_worker_add(struct pool_worker *w, int n)
{
    w->running = (size_t)((int64_t)w->running + n);
    if (n > 0)
        balance_begin(&w->pool->balance, w->seat, now_ms(w->pool));
    else
        balance_end(&w->pool->balance, w->seat);
    if (w->running == 0 && w->trusted == NULL && (w->link != NULL || w->leaves))
        loop_defer(w->pool->loop, &w->idle, on_idle);
}

void pool_worker_note(struct pool_worker *w, enum balance_outcome outcome)
{
    balance_note(&w->pool->balance, w->seat, outcome, now_ms(w->pool));
    tell(w->pool);
}

bool pool_is_ready(const struct pool *p)
{
    int64_t now = clock_wall_s();
    for (size_t i = 0; i < p->n; i++) {
        if (p->seats[i] != NULL && is_connected(p->seats[i], now))
            return true;
    }
    return false;
}

bool pool_is_full(const struct pool *p)
{
    int64_t now = clock_wall_s();
    bool full = false;
    for (size_t i = 0; i < p->n; i++) {
        const struct pool_worker *w = p->seats[i];
        if (w != NULL && is_usable(w, now))
            return false;
        full = full || (w != NULL && is_connected(w, now));
    }
    return full;
}

bool pool_has_expired(const struct pool *p, size_t *place)
{
    int64_t now = clock_wall_s();
    for (size_t i = 0; i < p->n; i++) {
        const struct trusted *t = p->seats[i] != NULL ? p->seats[i]->trusted : NULL;
        if (t == NULL || trusted_is_withdrawn(t) || now < t->not_after)
            continue;
        *place = p->seats[i]->at.place;
        return true;
    }
    return false;
}
