#include "gateway/relay_workers.h"

#include "base/attr.h"
#include "base/mem.h"
#include "wire/keylist.h"
#include "wire/names.h"

enum { KEYLIST_MAX = 64 * 1024, REDIAL_MAX_MS = 1000, HURRY_MS = 200, LEAVE_MS = 100 };

struct published {
    uint8_t id;
    char hint[KEY_CONFIG_HINT_LEN + 1];
};

struct worker {
    struct relay_workers *all;
    struct worker_entry at; /* the link borrows from it */
    size_t seat;
    bool leaves; /* not in the set any more */
    struct link *link;
    struct published keys[RELAY_KEYS_MAX];
    size_t keys_n;
    struct worker_tag tag;  /* by its own word */
    struct relay_up reader; /* of the key list */
    bool reader_is_old;     /* it was there when the timer was last due */
    struct buf list;
    bool is_list;
};

struct relay_workers {
    struct loop *loop;
    struct loop_timer timer;
    struct loop_timer hurry;
    struct loop_timer leave; /* while somebody leaves */
    struct relay_workers_settings settings;
    struct balance balance;                  /* of seats */
    struct worker_set *set;                  /* NULL: none yet */
    size_t n;                                /* seats, from the first to the last that is taken */
    struct worker *seats[RELAY_WORKERS_MAX]; /* NULL: free */
};

/* May get requests. */
static bool is_there(const struct worker *w)
{
    return w != NULL && !w->leaves;
}

static uint64_t now_ms(const struct relay_workers *all)
{
    return loop_now_ms(all->loop);
}

static void tell(struct relay_workers *all)
{
    struct balance_change change;
    while (balance_change(&all->balance, now_ms(all), &change)) {
        const struct worker *w = all->seats[change.place];
        change.place = is_there(w) ? w->at.place : SIZE_MAX;
        if (all->settings.changed != NULL)
            all->settings.changed(all->settings.owner, &change);
    }
}

static void note(struct worker *w, enum balance_outcome outcome)
{
    balance_note(&w->all->balance, w->seat, outcome, now_ms(w->all));
    tell(w->all);
}

/* ---- the key lists ---- */

static void learn(struct worker *w)
{
    struct key_config configs[RELAY_KEYS_MAX];
    size_t n;
    if (keylist_read(buf_view(&w->list), KEYLIST_PREFIXED, configs, RELAY_KEYS_MAX, &n).code !=
        ERR_OK)
        return;
    w->keys_n = 0;
    for (size_t i = 0; i < n; i++) {
        struct published *k = &w->keys[w->keys_n];
        k->id = configs[i].id;
        if (key_config_hint(&configs[i], k->hint).code == ERR_OK)
            w->keys_n++;
    }
}

static struct worker *reader_of(struct relay_up *u)
{
    return CONTAINER_OF(u, struct worker, reader);
}

static void on_list_head(struct relay_up *u, unsigned status, const struct link_field *fields,
                         size_t n)
{
    struct worker *w = reader_of(u);
    buf_truncate(&w->list, 0);
    w->is_list = status == 200;
    if (w->is_list)
        (void)worker_tag_read(link_field(fields, n, FIELD_WORKER), &w->tag);
}

static void on_list_data(struct relay_up *u, bytes in)
{
    struct worker *w = reader_of(u);
    w->is_list = w->is_list && buf_add(&w->list, in).code == ERR_OK;
    link_stream_consume(u->stream, in.len);
}

static void on_list_end(struct relay_up *u)
{
    struct worker *w = reader_of(u);
    if (w->is_list)
        learn(w);
}

static void on_list_writable(struct relay_up *u)
{
    (void)u;
}

static void on_list_closed(struct relay_up *u, enum link_close why)
{
    (void)why;
    buf_truncate(&reader_of(u)->list, 0);
}

static const struct relay_up_ops LIST_OPS = { .head = on_list_head,
                                              .data = on_list_data,
                                              .end = on_list_end,
                                              .writable = on_list_writable,
                                              .closed = on_list_closed };

static void read_list(struct worker *w)
{
    const struct link_request request = { .method = BYTES_LIT("GET"),
                                          .path = BYTES_LIT(PATH_OHTTP_GATEWAY),
                                          .end = true };
    if (w->reader.stream == NULL && link_is_up(w->link))
        (void)relay_workers_ask(w->all, w->seat, &request, &w->reader);
}

static void read_lists(struct relay_workers *all)
{
    for (size_t i = 0; i < all->n; i++) {
        if (is_there(all->seats[i]))
            read_list(all->seats[i]);
    }
}

/* What was not answered since the last time will not be. */
static void give_up_reader(struct worker *w)
{
    if (w->reader.stream != NULL && w->reader_is_old) {
        note(w, BALANCE_FAILED);
        link_stream_reset(w->reader.stream, LINK_CANCEL);
        w->reader.stream = NULL;
    }
    w->reader_is_old = w->reader.stream != NULL;
}

static void on_timer(struct loop_timer *t)
{
    struct relay_workers *all = CONTAINER_OF(t, struct relay_workers, timer);
    for (size_t i = 0; i < all->n; i++) {
        if (all->seats[i] != NULL)
            give_up_reader(all->seats[i]);
    }
    tell(all); /* a time out may be over */
    read_lists(all);
    loop_timer_start(all->loop, t, RELAY_KEYS_MS, on_timer);
}

/* At most once per HURRY_MS, whoever asks. */
static void on_hurry(struct loop_timer *t)
{
    (void)t;
}

static void hurry(struct relay_workers *all)
{
    if (loop_timer_active(&all->hurry))
        return;
    read_lists(all);
    loop_timer_start(all->loop, &all->hurry, HURRY_MS, on_hurry);
}

/* ---- the links ---- */

static void on_up(struct link *k, void *owner)
{
    struct worker *w = owner;
    (void)k;
    if (w->leaves)
        return;
    balance_join(&w->all->balance, w->seat, now_ms(w->all));
    tell(w->all);
    read_list(w);
}

static void on_down(struct link *k, void *owner, err why)
{
    struct worker *w = owner;
    (void)k;
    (void)why;
    balance_leave(&w->all->balance, w->seat);
    tell(w->all);
    w->keys_n = 0;
    w->tag = (struct worker_tag){ 0 };
}

/* As gateway/blame.h has it, where a worker says in the clear what it would say sealed. */
static enum balance_outcome blame(unsigned status, const struct link_field *fields, size_t n)
{
    if (status < 500)
        return BALANCE_WELL;
    bool engines = status != 503 && link_field(fields, n, FIELD_RECEIPT_ID).len > 0;
    return engines ? BALANCE_POOR : BALANCE_FAILED;
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    struct relay_up *u = link_stream_owner(s);
    note(u->worker, blame(status, fields, n));
    u->ops->head(u, status, fields, n);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct relay_up *u = link_stream_owner(s);
    u->ops->data(u, in);
}

static void on_end(struct link_stream *s)
{
    struct relay_up *u = link_stream_owner(s);
    u->ops->end(u);
}

static void on_writable(struct link_stream *s)
{
    struct relay_up *u = link_stream_owner(s);
    u->ops->writable(u);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct relay_up *u = link_stream_owner(s);
    u->stream = NULL;
    if (why == LINK_LOST || why == LINK_RESET)
        note(u->worker, BALANCE_FAILED);
    u->ops->closed(u, why);
}

static const struct link_events EVENTS = { .up = on_up,
                                           .down = on_down,
                                           .head = on_head,
                                           .data = on_data,
                                           .end = on_end,
                                           .writable = on_writable,
                                           .closed = on_closed };

/* ---- who there is ---- */

static void close_worker(struct worker *w)
{
    if (w->reader.stream != NULL)
        link_stream_reset(w->reader.stream, LINK_CANCEL);
    link_close(w->link);
    buf_clear(&w->list);
    mem_free(w);
}

static err open_worker(struct worker **out, struct relay_workers *all,
                       const struct worker_entry *at)
{
    struct link_settings link = { .redial_max_ms = REDIAL_MAX_MS,
                                  .ping_ms = all->settings.ping_ms,
                                  .ping_timeout_ms = all->settings.ping_ms };
    struct worker *w;
    TRY(mem_new(&w));
    w->all = all;
    w->at = *at;
    w->reader.ops = &LIST_OPS;
    w->list = BUF(KEYLIST_MAX);
    worker_link(&w->at, all->settings.tls, &link);
    err e = link_open(&w->link, all->loop, &link, &EVENTS, w);
    if (e.code != ERR_OK) {
        close_worker(w);
        return e;
    }
    *out = w;
    return OK;
}

static bool has_seat(const struct relay_workers *all, size_t place)
{
    for (size_t i = 0; i < all->n; i++) {
        if (is_there(all->seats[i]) && all->seats[i]->at.place == place)
            return true;
    }
    return false;
}

static size_t free_seat(const struct relay_workers *all)
{
    size_t i = 0;
    while (i < all->n && all->seats[i] != NULL)
        i++;
    return i;
}

/* True when all have a seat. */
static bool seat_who_joined(struct relay_workers *all)
{
    for (size_t i = 0; i < all->set->n; i++) {
        size_t seat = free_seat(all);
        if (has_seat(all, all->set->at[i].place))
            continue;
        if (seat == RELAY_WORKERS_MAX ||
            open_worker(&all->seats[seat], all, &all->set->at[i]).code != ERR_OK)
            return false;
        all->seats[seat]->seat = seat;
        balance_set_weight(&all->balance, seat, all->set->at[i].wish.weight);
        all->n = seat < all->n ? all->n : seat + 1;
    }
    return true;
}

static void follow_who_stays(struct relay_workers *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct worker *w = all->seats[i];
        const struct worker_entry *now =
            is_there(w) ? worker_set_find(all->set, w->at.place) : NULL;
        if (now == NULL)
            continue;
        worker_wish_follow(&w->at.wish, &now->wish);
        balance_set_weight(&all->balance, i, now->wish.weight);
    }
}

static void mark_who_left(struct relay_workers *all)
{
    for (size_t i = 0; i < all->n; i++) {
        struct worker *w = all->seats[i];
        if (!is_there(w) || worker_set_find(all->set, w->at.place) != NULL)
            continue;
        w->leaves = true;
        balance_leave(&all->balance, i);
        w->reader_is_old = true;
        give_up_reader(w);
    }
}

/* True when nobody is left that leaves. */
static bool part_with_who_is_done(struct relay_workers *all)
{
    bool gone = true;
    for (size_t i = 0; i < all->n; i++) {
        struct worker *w = all->seats[i];
        if (w == NULL || !w->leaves)
            continue;
        if (link_streams(w->link) == 0) {
            close_worker(w);
            all->seats[i] = NULL;
            balance_forget(&all->balance, i);
        } else {
            gone = false;
        }
    }
    while (all->n > 0 && all->seats[all->n - 1] == NULL)
        all->n--;
    return gone;
}

/* A stream that a pass has given up tells nobody that it is over, so they are counted. */
static void on_leave(struct loop_timer *t)
{
    struct relay_workers *all = CONTAINER_OF(t, struct relay_workers, leave);
    bool gone = part_with_who_is_done(all);
    if (!seat_who_joined(all) || !gone)
        loop_timer_start(all->loop, t, LEAVE_MS, on_leave);
}

void relay_workers_use(struct relay_workers *all, struct worker_set *set)
{
    worker_set_ref(set);
    worker_set_unref(all->set);
    all->set = set;
    mark_who_left(all);
    tell(all);
    follow_who_stays(all);
    on_leave(&all->leave);
}

/* ---- the whole ---- */

err relay_workers_new(struct relay_workers **out, struct loop *loop,
                      const struct relay_workers_settings *settings)
{
    struct relay_workers *all;
    TRY(mem_new(&all));
    all->loop = loop;
    all->settings = *settings;
    balance_init(&all->balance, &settings->balance, settings->seed);
    loop_timer_start(loop, &all->timer, RELAY_KEYS_MS, on_timer);
    *out = all;
    return OK;
}

void relay_workers_free(struct relay_workers *all)
{
    if (all == NULL)
        return;
    loop_timer_stop(&all->timer);
    loop_timer_stop(&all->hurry);
    loop_timer_stop(&all->leave);
    for (size_t i = 0; i < all->n; i++) {
        if (all->seats[i] != NULL)
            close_worker(all->seats[i]);
    }
    worker_set_unref(all->set);
    mem_free(all);
}

size_t relay_workers_count(const struct relay_workers *all)
{
    return all->set != NULL ? all->set->n : 0;
}

size_t relay_workers_up(const struct relay_workers *all)
{
    size_t up = 0;
    for (size_t i = 0; i < all->n; i++)
        up += is_there(all->seats[i]) && link_is_up(all->seats[i]->link);
    return up;
}

void relay_workers_roster(const struct relay_workers *all, struct roster *out)
{
    *out = (struct roster){ 0 };
    for (size_t i = 0; i < all->n; i++) {
        if (is_there(all->seats[i]))
            roster_add(out, &all->seats[i]->tag);
    }
}

/* ---- which ---- */

enum fit { FIT_ANY = 0, FIT_ID, FIT_HINT, FIT_TAG };

static enum fit fit_of(const struct worker *w, const struct relay_want *want)
{
    enum fit best = FIT_ANY;
    if (worker_tag_is(&want->tag) && worker_tag_equal(&want->tag, &w->tag))
        return FIT_TAG;
    for (size_t i = 0; i < w->keys_n; i++) {
        if (want->hint.len > 0 && bytes_equal(want->hint, bytes_str(w->keys[i].hint)))
            return FIT_HINT;
        if (want->key_id == w->keys[i].id)
            best = FIT_ID;
    }
    return best;
}

static uint64_t bit(size_t seat)
{
    return (uint64_t)1 << seat;
}

/* The seats that fit best. */
static uint64_t fitting(const struct relay_workers *all, const struct relay_want *want,
                        enum fit *best)
{
    uint64_t seats = 0;
    *best = FIT_ANY;
    for (size_t i = 0; i < all->n; i++) {
        const struct worker *w = all->seats[i];
        if ((want->avoid & bit(i)) != 0 || !is_there(w) || link_room(w->link) == 0)
            continue;
        enum fit fit = fit_of(w, want);
        if (fit > *best)
            seats = 0;
        if (fit >= *best)
            seats |= bit(i);
        *best = fit > *best ? fit : *best;
    }
    return seats;
}

/* The first one from there on, of those that are well; of all, when none is. */
static size_t choose_near(const struct relay_workers *all, uint64_t seats, uint64_t near)
{
    size_t last = SIZE_MAX;
    for (size_t n = 0; n < all->n; n++) {
        size_t i = (size_t)((near + n) % all->n);
        if ((seats & bit(i)) == 0)
            continue;
        if (balance_is_well(&all->balance, i, now_ms(all)))
            return i;
        last = last == SIZE_MAX ? i : last;
    }
    return last;
}

static size_t choose_best(struct relay_workers *all, uint64_t seats, uint64_t avoid)
{
    const struct balance_want want = { .usable = seats, .avoid = avoid };
    for (size_t i = 0; i < all->n; i++) {
        if ((seats & bit(i)) != 0)
            balance_set_load(&all->balance, i, link_streams(all->seats[i]->link));
    }
    return balance_choose(&all->balance, &want, now_ms(all));
}

/* Of these, the well ones that come first (RFC 2782); all, when none is well. */
static uint64_t first_of(const struct relay_workers *all, uint64_t seats)
{
    uint64_t first = 0;
    uint16_t least = UINT16_MAX;
    for (size_t i = 0; i < all->n; i++) {
        bool is_well = (seats & bit(i)) != 0 && balance_is_well(&all->balance, i, now_ms(all));
        if (is_well && all->seats[i]->at.wish.priority < least)
            least = all->seats[i]->at.wish.priority;
    }
    for (size_t i = 0; i < all->n; i++) {
        if ((seats & bit(i)) != 0 && balance_is_well(&all->balance, i, now_ms(all)) &&
            all->seats[i]->at.wish.priority == least)
            first |= bit(i);
    }
    return first != 0 ? first : seats;
}

size_t relay_workers_choose(struct relay_workers *all, const struct relay_want *want)
{
    enum fit best;
    uint64_t seats = fitting(all, want, &best);
    if (best == FIT_ANY && (want->hint.len > 0 || want->key_id >= 0))
        hurry(all);
    if (worker_tag_is(&want->tag) && best != FIT_TAG)
        return SIZE_MAX;
    seats = best == FIT_ANY ? first_of(all, seats) : seats;
    return want->sticky ? choose_near(all, seats, want->near)
                        : choose_best(all, seats, want->avoid);
}

err relay_workers_ask(struct relay_workers *all, size_t seat, const struct link_request *request,
                      struct relay_up *u)
{
    ENSURE(seat < all->n && all->seats[seat] != NULL, UNAVAILABLE);
    u->worker = all->seats[seat];
    balance_begin(&all->balance, seat, now_ms(all));
    return link_submit(all->seats[seat]->link, request, &u->stream, u);
}
