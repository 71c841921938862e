#include "gateway/discover.h"

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "gateway/sources.h"

const char *const discover_state_words[DISCOVER_STATES] = {
#define X(name, word) [DISCOVER_##name] = (word),
    DISCOVER_STATE_LIST(X)
#undef X
};

static const struct word STATES[DISCOVER_STATES] = {
#define X(name, word) [DISCOVER_##name] = WORD_INIT(word),
    DISCOVER_STATE_LIST(X)
#undef X
};

/* One source, and what it last said. */
struct scout {
    struct discover *all;
    size_t index; /* in the setting */
    struct source source;
    struct worker_wish *wishes;
    size_t wishes_n;
    enum discover_state state;
    int64_t since; /* of the state */
    struct loop_timer timer;
    struct dns_question *question;
    uint64_t retry_ms;
    struct file_watch watch;
};

struct discover {
    struct loop *loop;
    struct discover_settings settings;
    struct sock_addr dns_server;
    struct worker_set *set;
    size_t over; /* addresses without room, the latest time */
    size_t n;
    struct scout scouts[];
};

/* ---- what is known, together ---- */

static size_t copy_wishes(const struct discover *d, struct worker_wish *out)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        const struct scout *s = &d->scouts[i];
        if (s->wishes_n > 0)
            memcpy(&out[n], s->wishes, s->wishes_n * sizeof *out);
        n += s->wishes_n;
    }
    return n;
}

static void say_what_changed(struct discover *d, const struct worker_set *before,
                             const struct worker_change *change)
{
    struct log *log = d->settings.log;
    if (before != NULL && (change->joined > 0 || change->left > 0))
        LOG_INFO(log, "another set of workers", F_U64("workers", d->set->n),
                 F_U64("joined", change->joined), F_U64("left", change->left));
    if (change->over > 0 && change->over != d->over)
        LOG_WARN(log, "more workers than can be used", F_U64("used", d->set->n),
                 F_U64("left_out", change->over));
    d->over = change->over;
}

/* True when there is another set. */
static err gather(struct discover *d, bool *changed)
{
    struct worker_change change;
    struct worker_set *set;
    size_t most = 0;
    for (size_t i = 0; i < d->n; i++)
        most += d->scouts[i].wishes_n;
    struct worker_wish *wishes = mem_alloc((most + 1) * sizeof *wishes);
    ENSURE(wishes != NULL, NOMEM);
    err e = worker_set_next(&set, d->set, wishes, copy_wishes(d, wishes), &change);
    mem_free(wishes);
    TRY(e);
    struct worker_set *before = d->set;
    d->set = set;
    say_what_changed(d, before, &change);
    worker_set_unref(before);
    *changed = change.changed;
    return OK;
}

/* ---- after a look ---- */

static err keep(struct scout *s, const struct worker_wish *wishes, size_t n)
{
    struct worker_wish *kept = mem_alloc(n * sizeof *kept);
    ENSURE(kept != NULL, NOMEM);
    memcpy(kept, wishes, n * sizeof *kept);
    mem_free(s->wishes);
    s->wishes = kept;
    s->wishes_n = n;
    return OK;
}

static bool enter(struct scout *s, enum discover_state state)
{
    if (s->state == state)
        return false;
    s->state = state;
    s->since = clock_wall_s();
    return true;
}

/* The wishes are new. */
static void take(struct scout *s)
{
    struct discover *d = s->all;
    bool was_well = s->state == DISCOVER_WELL || s->state == DISCOVER_NOT_ASKED;
    bool noted = enter(s, DISCOVER_WELL);
    bool changed = false;
    if (!was_well)
        LOG_INFO(d->settings.log, "workers can be looked up again", F_U64("source", s->index));
    s->retry_ms = DISCOVER_RETRY_MS;
    err e = gather(d, &changed);
    if (e.code != ERR_OK)
        LOG_ERROR(d->settings.log, "workers were looked up, but cannot be used", F_ERR(e));
    if (changed)
        d->settings.changed(d->settings.owner);
    else if (noted)
        d->settings.noted(d->settings.owner);
}

static void fail(struct scout *s, enum discover_state state, size_t line)
{
    struct discover *d = s->all;
    if (!enter(s, state))
        return;
    LOG_WARN(d->settings.log, "workers cannot be looked up", F_U64("source", s->index),
             F_WORD_OF("why", STATES[state]), F_U64("line", line), F_U64("kept", s->wishes_n));
    d->settings.noted(d->settings.owner);
}

/* ---- names ---- */

static void on_ask(struct loop_timer *t);

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t until_next_ms(const struct scout *s, uint32_t ttl_s)
{
    uint64_t ttl_ms = (uint64_t)ttl_s * 1000;
    return smaller(ttl_ms > DISCOVER_TTL_MIN_MS ? ttl_ms : DISCOVER_TTL_MIN_MS,
                   s->all->settings.refresh_ms);
}

static enum discover_state state_of(err e)
{
    if (e.code == ERR_NOT_FOUND)
        return DISCOVER_NOTHING;
    return e.code == ERR_MALFORMED ? DISCOVER_MALFORMED : DISCOVER_UNAVAILABLE;
}

static void ask_later(struct scout *s, err e)
{
    loop_timer_start(s->all->loop, &s->timer, smaller(s->retry_ms, s->all->settings.refresh_ms),
                     on_ask);
    s->retry_ms = smaller(s->retry_ms * 2, s->all->settings.refresh_ms);
    fail(s, state_of(e), 0);
}

static err keep_answer(struct scout *s, const struct dns_answer *answer)
{
    struct source_wishes *fresh;
    TRY(mem_new(&fresh));
    source_read_answer(&s->source, answer, fresh);
    err e = fresh->n > 0 ? keep(s, fresh->at, fresh->n)
                         : err_raise(ERR_NOT_FOUND, __FILE__, __func__, __LINE__);
    mem_free(fresh);
    return e;
}

static void on_answer(void *owner, err e, const struct dns_answer *answer)
{
    struct scout *s = owner;
    s->question = NULL;
    if (e.code == ERR_OK)
        e = keep_answer(s, answer);
    if (e.code != ERR_OK) {
        ask_later(s, e);
        return;
    }
    loop_timer_start(s->all->loop, &s->timer, until_next_ms(s, answer->ttl_s), on_ask);
    take(s);
}

static void ask(struct scout *s)
{
    const struct sock_addr *server = &s->all->dns_server;
    const struct dns_ask asked = {
        .wanted = s->source.kind == SOURCE_SERVICE ? DNS_SERVICES : DNS_ADDRESSES,
        .name = s->source.name,
        .server = server->kind != SOCK_KIND_NONE ? server->host : NULL,
        .server_port = (uint16_t)server->port,
    };
    if (s->question != NULL)
        return;
    loop_timer_stop(&s->timer);
    err e = dns_ask(&s->question, s->all->loop, &asked, on_answer, s);
    if (e.code != ERR_OK)
        ask_later(s, e);
}

static void on_ask(struct loop_timer *t)
{
    ask(CONTAINER_OF(t, struct scout, timer));
}

/* ---- files ---- */

static enum discover_state keep_file(struct scout *s, bytes file, struct source_wishes *fresh,
                                     size_t *line)
{
    if (source_read_file(file, fresh, line).code != ERR_OK)
        return DISCOVER_MALFORMED;
    if (fresh->n == 0)
        return DISCOVER_NOTHING;
    return keep(s, fresh->at, fresh->n).code == ERR_OK ? DISCOVER_WELL : DISCOVER_UNREADABLE;
}

static enum discover_state read_file(struct scout *s, size_t *line)
{
    BUF_AUTO file = BUF(SOURCE_FILE_MAX);
    struct source_wishes *fresh;
    *line = 0;
    file_watch_read(&s->watch);
    if (file_read(&file, s->source.path).code != ERR_OK || mem_new(&fresh).code != ERR_OK)
        return DISCOVER_UNREADABLE;
    enum discover_state state = keep_file(s, buf_view(&file), fresh, line);
    mem_free(fresh);
    return state;
}

static void look_at_file(struct scout *s)
{
    size_t line;
    enum discover_state state = read_file(s, &line);
    if (state == DISCOVER_WELL)
        take(s);
    else
        fail(s, state, state == DISCOVER_MALFORMED ? line : 0);
}

static void on_look(struct loop_timer *t)
{
    struct scout *s = CONTAINER_OF(t, struct scout, timer);
    loop_timer_start(s->all->loop, t, DISCOVER_LOOK_MS, on_look);
    if (file_watch_changed(&s->watch))
        look_at_file(s);
}

/* ---- the whole ---- */

static void begin_file(struct scout *s, size_t *line)
{
    s->watch.path = s->source.path;
    enum discover_state state = read_file(s, line);
    if (state == DISCOVER_WELL)
        (void)enter(s, state);
    else
        fail(s, state, *line);
    loop_timer_start(s->all->loop, &s->timer, DISCOVER_LOOK_MS, on_look);
}

static err begin(struct scout *s, const char *text, struct buf *message)
{
    size_t line = 0;
    TRY(source_read(text, &s->source));
    s->retry_ms = DISCOVER_RETRY_MS;
    switch (s->source.kind) {
    case SOURCE_ADDRESS:
        TRY(keep(s, &s->source.wish, 1));
        (void)enter(s, DISCOVER_WELL);
        break;
    case SOURCE_FILE:
        begin_file(s, &line);
        if (s->state == DISCOVER_MALFORMED) {
            TRY(buf_addf(message, "%s:%zu: is not an address, or one too many", s->source.path,
                         line));
            FAIL(CONFIG);
        }
        break;
    case SOURCE_NAME:
    case SOURCE_SERVICE:
        ask(s);
        break;
    }
    return OK;
}

static err begin_all(struct discover *d, struct buf *message)
{
    const struct config_list *sources = d->settings.sources;
    bool changed;
    if (d->settings.dns_server != NULL)
        TRY(sock_addr_read(bytes_str(d->settings.dns_server), &d->dns_server));
    for (; d->n < sources->n; d->n++) {
        struct scout *s = &d->scouts[d->n];
        *s = (struct scout){ .all = d, .index = d->n };
        err e = begin(s, sources->at[d->n], message);
        if (e.code != ERR_OK) {
            d->n++;
            return e;
        }
    }
    return gather(d, &changed);
}

err discover_new(struct discover **out, struct loop *loop, const struct discover_settings *settings,
                 struct buf *message)
{
    struct discover *d = mem_alloc(sizeof *d + settings->sources->n * sizeof d->scouts[0]);
    ENSURE(d != NULL, NOMEM);
    d->loop = loop;
    d->settings = *settings;
    err e = begin_all(d, message);
    if (e.code != ERR_OK) {
        discover_free(d);
        return e;
    }
    *out = d;
    return OK;
}

void discover_free(struct discover *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n; i++) {
        loop_timer_stop(&d->scouts[i].timer);
        dns_cancel(d->scouts[i].question);
        mem_free(d->scouts[i].wishes);
    }
    worker_set_unref(d->set);
    mem_free(d);
}

struct worker_set *discover_set(const struct discover *d)
{
    return d->set;
}

void discover_reload(struct discover *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct scout *s = &d->scouts[i];
        if (s->source.kind == SOURCE_FILE)
            look_at_file(s);
        else if (s->source.kind != SOURCE_ADDRESS)
            ask(s);
    }
}

size_t discover_count(const struct discover *d, enum discover_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->scouts[i].state == state;
    return n;
}

void discover_write(const struct discover *d, struct json_out *j)
{
    json_begin_array(j, "sources");
    for (size_t i = 0; i < d->n; i++) {
        const struct scout *s = &d->scouts[i];
        json_begin_object(j, NULL);
        json_put_str(j, "source", d->settings.sources->at[i]);
        json_put_str(j, "state", discover_state_words[s->state]);
        json_put_i64(j, "since", s->since);
        json_put_u64(j, "workers", s->wishes_n);
        json_close(j);
    }
    json_close(j);
}
