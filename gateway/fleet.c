#include "gateway/fleet.h"

#include <string.h>

#include "base/attr.h"
#include "base/mem.h"
#include "gateway/pool.h"
#include "wire/link.h"
#include "wire/names.h"

struct listed {
    struct worker_tag tag;
    unsigned misses;
};

/* An address, and what it says about itself. */
struct host {
    struct fleet *all;
    struct worker_entry at; /* the link borrows from it */
    struct link *link;      /* NULL: it is no relay, and asked again later */
    struct link_stream *stream;
    struct loop_timer timer; /* the next question, or the end of patience with this one */
    unsigned status;
    struct buf answer;
    struct listed listed[ROSTER_MAX];
    size_t n;
    bool serves; /* one of these is trusted */
};

struct fleet {
    struct loop *loop;
    struct fleet_settings settings;
    struct worker_set *addresses;
    struct worker_set *set;
    struct loop_task gather;
    size_t over; /* workers without room, the latest time */
    size_t n;
    struct host
        *hosts[WORKERS_MAX]; /* of addresses->at[i], but for those there was no memory for */
};

/* ---- who there is, all together ---- */

/* The i-th worker of an address: itself, unless those that it lists do, then these. */
static bool wish_of(const struct host *h, size_t i, struct worker_wish *out)
{
    size_t first = h->serves && h->n > 0 ? 0 : 1;
    if (i >= first + h->n)
        return false;
    *out = h->at.wish;
    if (i >= first)
        out->tag = h->listed[i - first].tag;
    return true;
}

/* Each address's first before anybody's second. Those over WORKERS_MAX are counted. */
static size_t list_wishes(const struct fleet *f, struct worker_wish *out, size_t *over)
{
    size_t n = 0;
    *over = 0;
    for (size_t rank = 0; rank <= ROSTER_MAX; rank++) {
        for (size_t i = 0; i < f->n; i++) {
            struct worker_wish wish;
            if (!wish_of(f->hosts[i], rank, &wish))
                continue;
            if (n < WORKERS_MAX)
                out[n++] = wish;
            else
                ++*over;
        }
    }
    return n;
}

static void say_who_is_left_out(struct fleet *f, size_t over)
{
    if (over > 0 && over != f->over)
        LOG_WARN(f->settings.log, "relays list more workers than can be used",
                 F_U64("used", f->set->n), F_U64("left_out", over));
    f->over = over;
}

static err gather(struct fleet *f, struct worker_change *change, size_t *over)
{
    struct worker_set *set;
    struct worker_wish *wishes = mem_alloc(WORKERS_MAX * sizeof *wishes);
    ENSURE(wishes != NULL, NOMEM);
    size_t n = list_wishes(f, wishes, over);
    err e = worker_set_next(&set, f->set, wishes, n, change);
    mem_free(wishes);
    TRY(e);
    worker_set_unref(f->set);
    f->set = set;
    return OK;
}

static void gather_and_tell(struct fleet *f)
{
    struct worker_change change;
    size_t over;
    loop_defer_cancel(&f->gather);
    err e = gather(f, &change, &over);
    if (e.code != ERR_OK) {
        LOG_ERROR(f->settings.log, "workers behind relays cannot be used", F_ERR(e));
        return;
    }
    say_who_is_left_out(f, over);
    if (change.changed)
        f->settings.changed(f->settings.owner);
}

static void on_gather(struct loop_task *t)
{
    struct fleet *f = CONTAINER_OF(t, struct fleet, gather);
    size_t before = f->set->next;
    gather_and_tell(f);
    LOG_INFO(f->settings.log, "relays have other workers", F_U64("workers", f->set->n),
             F_U64("joined", f->set->next - before));
}

static bool is_of(const struct host *h, const struct worker_entry *e)
{
    return worker_tag_is(&e->wish.tag) && strcmp(e->text, h->at.text) == 0 &&
           strcmp(e->wish.tls_name, h->at.wish.tls_name) == 0;
}

static bool has_trusted(const struct host *h, const struct trust_view *view)
{
    for (size_t i = 0; i < view->set->n; i++) {
        if (view->workers[i] != NULL && is_of(h, &view->set->at[i]))
            return true;
    }
    return false;
}

/* Called out of whoever uses the set, so it is not replaced here. */
void fleet_note(struct fleet *f, const struct trust_view *view)
{
    bool changed = false;
    for (size_t i = 0; i < f->n; i++) {
        bool serves = has_trusted(f->hosts[i], view);
        changed |= serves != f->hosts[i]->serves;
        f->hosts[i]->serves = serves;
    }
    if (changed)
        loop_defer(f->loop, &f->gather, on_gather);
}

/* ---- what an address says ---- */

/* Those it lists, and those it listed until lately, stay in their order. True: somebody has left. */
static bool keep_listed(struct host *h, const struct roster *roster)
{
    size_t before = h->n;
    h->n = 0;
    for (size_t i = 0; i < before; i++) {
        struct listed l = h->listed[i];
        l.misses = roster_has(roster, &l.tag) ? 0 : l.misses + 1;
        if (l.misses < FLEET_MISSES_MAX)
            h->listed[h->n++] = l;
    }
    return h->n != before;
}

static bool is_listed(const struct host *h, const struct worker_tag *tag)
{
    for (size_t i = 0; i < h->n; i++) {
        if (worker_tag_equal(&h->listed[i].tag, tag))
            return true;
    }
    return false;
}

static bool add_listed(struct host *h, const struct roster *roster)
{
    size_t before = h->n;
    for (size_t i = 0; i < roster->n && h->n < ROSTER_MAX; i++) {
        if (!is_listed(h, &roster->tags[i]))
            h->listed[h->n++] = (struct listed){ .tag = roster->tags[i] };
    }
    return h->n != before;
}

static void learn(struct host *h, const struct roster *roster)
{
    bool left = keep_listed(h, roster);
    bool joined = add_listed(h, roster);
    if (left || joined)
        loop_defer(h->all->loop, &h->all->gather, on_gather);
}

static void on_timer(struct loop_timer *t);

static void ask_in(struct host *h, uint64_t ms)
{
    loop_timer_start(h->all->loop, &h->timer, ms, on_timer);
}

/* No connection is kept to one that is no relay. */
static void rest(struct host *h)
{
    link_close(h->link);
    h->link = NULL;
    ask_in(h, h->all->settings.again_ms);
}

/* A worker, or a relay of another version, knows no such path, and so lists nobody. Something on the way
 * that cannot reach it, or is asked too often, says nothing about it. */
static void take_answer(struct host *h)
{
    struct roster roster = { 0 };
    bool is_roster = h->status == 200 && roster_read(buf_view(&h->answer), &roster).code == ERR_OK;
    bool is_busy = h->status == 429 || h->status >= 500;
    if (is_roster || h->status == 404)
        learn(h, &roster);
    if (is_roster || is_busy || h->n > 0)
        ask_in(h, h->all->settings.ask_ms);
    else
        rest(h);
}

/* ---- asking ---- */

static err ask(struct host *h)
{
    static const struct link_request request = { .method = BYTES_LIT("GET"),
                                                 .authority = BYTES_LIT("relay"),
                                                 .path = BYTES_LIT(PATH_WORKERS),
                                                 .end = true };
    buf_truncate(&h->answer, 0);
    h->status = 0;
    return link_submit(h->link, &request, &h->stream, h);
}

static void ask_now(struct host *h)
{
    if (!link_is_up(h->link))
        return; /* on_up() asks */
    bool asked = ask(h).code == ERR_OK;
    ask_in(h, asked ? FLEET_PATIENCE_MS : h->all->settings.ask_ms);
}

static void on_up(struct link *k, void *owner)
{
    struct host *h = owner;
    (void)k;
    if (h->stream == NULL)
        ask_now(h);
}

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    struct host *h = link_stream_owner(s);
    (void)fields;
    (void)n;
    h->status = status;
}

static void give_up(struct host *h)
{
    link_stream_reset(h->stream, LINK_CANCEL);
    h->stream = NULL;
    ask_in(h, h->all->settings.ask_ms);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct host *h = link_stream_owner(s);
    link_stream_consume(s, in.len);
    if (h->status == 200 && buf_add(&h->answer, in).code != ERR_OK)
        h->status = 0; /* longer than any roster */
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct host *h = link_stream_owner(s);
    h->stream = NULL;
    if (why == LINK_DONE)
        take_answer(h);
    else
        ask_in(h, h->all->settings.ask_ms);
}

static const struct link_events EVENTS = {
    .up = on_up, .head = on_head, .data = on_data, .closed = on_closed
};

static err open_link(struct host *h)
{
    struct link_settings settings = { .redial_max_ms = POOL_REDIAL_MAX_MS };
    worker_link(&h->at, h->all->settings.tls, &settings);
    return link_open(&h->link, h->all->loop, &settings, &EVENTS, h);
}

static void on_timer(struct loop_timer *t)
{
    struct host *h = CONTAINER_OF(t, struct host, timer);
    if (h->stream != NULL)
        give_up(h);
    else if (h->link != NULL)
        ask_now(h);
    else if (open_link(h).code != ERR_OK)
        ask_in(h, h->all->settings.again_ms);
}

/* ---- which addresses ---- */

static void host_free(struct host *h)
{
    loop_timer_stop(&h->timer);
    if (h->stream != NULL)
        link_stream_reset(h->stream, LINK_CANCEL);
    link_close(h->link);
    buf_clear(&h->answer);
    mem_free(h);
}

static err host_new(struct host **out, struct fleet *f, const struct worker_entry *at)
{
    struct host *h;
    TRY(mem_new(&h));
    h->all = f;
    h->at = *at;
    h->answer = BUF(ROSTER_TEXT_MAX);
    err e = open_link(h);
    if (e.code != ERR_OK) {
        host_free(h);
        return e;
    }
    *out = h;
    return OK;
}

static void forget_who_left(struct fleet *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct host *h = f->hosts[i];
        const struct worker_entry *stays = worker_set_find(f->addresses, h->at.place);
        if (stays == NULL) {
            host_free(h);
            continue;
        }
        worker_wish_follow(&h->at.wish, &stays->wish);
        f->hosts[kept++] = h;
    }
    f->n = kept;
}

static bool is_known(const struct fleet *f, size_t place)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->hosts[i]->at.place == place)
            return true;
    }
    return false;
}

/* Goes on after a failure, so that one address does not cost the others. */
static err meet_who_joined(struct fleet *f)
{
    err worst = OK;
    for (size_t i = 0; i < f->addresses->n; i++) {
        if (is_known(f, f->addresses->at[i].place))
            continue;
        err e = host_new(&f->hosts[f->n], f, &f->addresses->at[i]);
        f->n += e.code == ERR_OK;
        worst = e.code == ERR_OK ? worst : e;
    }
    return worst;
}

void fleet_use(struct fleet *f, struct worker_set *addresses)
{
    worker_set_ref(addresses);
    worker_set_unref(f->addresses);
    f->addresses = addresses;
    forget_who_left(f);
    err e = meet_who_joined(f);
    if (e.code != ERR_OK)
        LOG_ERROR(f->settings.log, "an address that joined cannot be used", F_ERR(e));
    gather_and_tell(f);
}

/* ---- the whole ---- */

static err begin(struct fleet *f)
{
    struct worker_change change;
    size_t over;
    TRY(meet_who_joined(f));
    return gather(f, &change, &over);
}

err fleet_new(struct fleet **out, struct loop *loop, const struct fleet_settings *settings)
{
    struct fleet *f;
    TRY(mem_new(&f));
    f->loop = loop;
    f->settings = *settings;
    if (settings->ask_ms == 0)
        f->settings.ask_ms = FLEET_ASK_MS;
    if (settings->again_ms == 0)
        f->settings.again_ms = FLEET_AGAIN_MS;
    f->addresses = worker_set_ref(settings->addresses);
    err e = begin(f);
    if (e.code != ERR_OK) {
        fleet_free(f);
        return e;
    }
    *out = f;
    return OK;
}

void fleet_free(struct fleet *f)
{
    if (f == NULL)
        return;
    loop_defer_cancel(&f->gather);
    for (size_t i = 0; i < f->n; i++)
        host_free(f->hosts[i]);
    worker_set_unref(f->addresses);
    worker_set_unref(f->set);
    mem_free(f);
}

struct worker_set *fleet_set(const struct fleet *f)
{
    return f->set;
}
