#include "enclave-worker/pool_keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "crypto/tls.h"

enum {
    TICK_MS = 1000,
    WELCOME_TICKS = 10, /* between two that only carry the time */
    PING_MS = 5000,
    STREAMS_MAX = 2 /* of one worker: one, and one that takes its place */
};

/* A worker that asks; the owner of its stream. */
struct member {
    struct pool_keeper *keeper;
    struct link_stream *stream;
    struct pool_frame_reader reader;
    struct buf answers;
    bool lost; /* could not be told something: its stream is ended when nobody works on it */
    struct member *next, *prev;
};

struct pool_keeper {
    struct loop *loop;
    struct log *log;
    struct pool_set *set;
    struct tls_context *tls;
    struct link_listener *listener;
    struct loop_timer timer;
    unsigned ticks;
    struct member *first;
    size_t members_n;
    pool_welcome_fn *welcome;
    void *owner;
};

/* ---- what is said to workers ---- */

static err send_welcome(const struct member *m, const struct pool_welcome *w)
{
    struct buf frame = BUF(POOL_FRAME_WELCOME_LEN);
    err e = pool_welcome_write(&frame, w);
    if (e.code == ERR_OK)
        e = link_stream_take(m->stream, &frame, false);
    buf_clear(&frame);
    return e;
}

static void member_free(struct member *m)
{
    struct pool_keeper *k = m->keeper;
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        k->first = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
    k->members_n--;
    pool_frame_clear(&m->reader);
    buf_clear(&m->answers);
    mem_free(m);
}

static void drop(struct member *m)
{
    link_stream_reset(m->stream, LINK_INTERNAL);
    member_free(m);
}

static void welcome_all(struct pool_keeper *k)
{
    SECRET(struct pool_welcome, w);
    pool_set_welcome(k->set, &w);
    k->welcome(k->owner, &w);
    for (struct member *m = k->first; m != NULL; m = m->next)
        m->lost = m->lost || send_welcome(m, &w).code != ERR_OK;
}

static void drop_lost(struct pool_keeper *k)
{
    struct member *next;
    for (struct member *m = k->first; m != NULL; m = next) {
        next = m->next;
        if (m->lost)
            drop(m);
    }
}

/* ---- time ---- */

static void tick(struct pool_keeper *k)
{
    switch (pool_set_tick(k->set, clock_wall_s(), clock_steady_ms() / 1000)) {
    case POOL_TICK_SAME:
        return;
    case POOL_TICK_LEAP:
        LOG_WARN(k->log, "pool: the clock was set ahead");
        break;
    case POOL_TICK_ANEW:
        LOG_WARN(k->log, "pool: the clock was set back or far ahead; all keys are new");
        break;
    }
    welcome_all(k);
}

static void on_timer(struct loop_timer *t)
{
    struct pool_keeper *k = CONTAINER_OF(t, struct pool_keeper, timer);
    tick(k);
    if (++k->ticks % WELCOME_TICKS == 0)
        welcome_all(k);
    drop_lost(k);
    loop_timer_start(k->loop, t, TICK_MS, on_timer);
}

enum pool_verdict pool_keeper_judge(struct pool_keeper *k, const struct pool_ask *ask)
{
    tick(k);
    return pool_set_judge(k->set, ask);
}

/* ---- what workers ask ---- */

static err on_ask(void *owner, const struct pool_ask *ask)
{
    struct member *m = owner;
    const struct pool_answer answer = { .number = ask->number,
                                        .verdict = pool_set_judge(m->keeper->set, ask) };
    return pool_answer_write(&m->answers, &answer);
}

static const struct pool_frame_events FRAMES = { .ask = on_ask };

/* All that came together is answered together. */
static err answer(struct member *m, bytes in)
{
    TRY(pool_frame_put(&m->reader, in, &FRAMES, m));
    if (m->answers.len == 0)
        return OK;
    TRY(link_stream_take(m->stream, &m->answers, false));
    m->answers = BUF(LINK_QUEUE_MAX);
    return OK;
}

static void on_data(struct link_stream *s, bytes in)
{
    struct member *m = link_stream_owner(s);
    link_stream_consume(s, in.len);
    if (m == NULL)
        return;
    struct pool_keeper *k = m->keeper;
    tick(k);
    if (m->lost || answer(m, in).code != ERR_OK) {
        LOG_WARN(k->log, "pool: a worker's stream was ended");
        drop(m);
    }
}

static void on_end(struct link_stream *s)
{
    struct member *m = link_stream_owner(s);
    if (m != NULL)
        drop(m);
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct member *m = link_stream_owner(s);
    (void)why;
    if (m != NULL)
        member_free(m);
}

static err admit(struct pool_keeper *k, struct link_stream *s)
{
    SECRET(struct pool_welcome, w);
    struct member *m;
    ENSURE(k->members_n < POOL_MEMBERS_MAX, LIMIT);
    TRY(link_respond(s, 200, NULL, 0, false));
    TRY(mem_new(&m));
    *m = (struct member){
        .keeper = k, .stream = s, .answers = BUF(LINK_QUEUE_MAX), .next = k->first
    };
    if (k->first != NULL)
        k->first->prev = m;
    k->first = m;
    k->members_n++;
    pool_set_welcome(k->set, &w);
    err e = send_welcome(m, &w);
    if (e.code == ERR_OK)
        link_stream_set_owner(s, m);
    else
        member_free(m);
    return e;
}

static void on_request(struct link *link, void *owner, struct link_stream *s,
                       const struct link_request *req)
{
    struct pool_keeper *k = owner;
    (void)link;
    tick(k);
    bool known = bytes_equal(req->path, BYTES_LIT(POOL_PATH)) &&
                 bytes_equal(req->method, BYTES_LIT("POST")) && !req->end;
    if (!known || admit(k, s).code != ERR_OK)
        link_stream_reset(s, LINK_REFUSE);
}

static const struct link_events EVENTS = {
    .request = on_request, .data = on_data, .end = on_end, .closed = on_closed
};

/* ---- life ---- */

static err listen_for_members(struct pool_keeper *k, const struct pool_keeper_settings *settings)
{
    SECRET_BYTES(psk, POOL_KEY_LEN);
    struct sock_addr addr = *settings->listen;
    pool_key_psk(settings->set.key, psk);
    const struct tls_settings tls = { .psk = BYTES_ARRAY(psk), .alpn = "h2" };
    const struct link_limits limits = { .connections_max = POOL_MEMBERS_MAX,
                                        .streams_max = STREAMS_MAX,
                                        .ping_ms = PING_MS };
    addr.tls = true;
    TRY(tls_context_new(&k->tls, &tls, true));
    return link_listen(&k->listener, k->loop, &addr, k->tls, &limits, &EVENTS, k);
}

err pool_keeper_new(struct pool_keeper **out, struct loop *loop,
                    const struct pool_keeper_settings *settings)
{
    struct pool_keeper *k;
    TRY(mem_new(&k));
    k->loop = loop;
    k->log = settings->log;
    k->welcome = settings->welcome;
    k->owner = settings->owner;
    err e = pool_set_new(&k->set, &settings->set, clock_wall_s());
    if (e.code == ERR_OK)
        e = listen_for_members(k, settings);
    if (e.code != ERR_OK) {
        pool_keeper_free(k);
        return e;
    }
    loop_timer_start(loop, &k->timer, TICK_MS, on_timer);
    welcome_all(k);
    *out = k;
    return OK;
}

void pool_keeper_free(struct pool_keeper *k)
{
    if (k == NULL)
        return;
    loop_timer_stop(&k->timer);
    while (k->first != NULL)
        drop(k->first);
    link_listener_free(k->listener);
    tls_context_free(k->tls);
    pool_set_free(k->set);
    mem_free(k);
}

size_t pool_keeper_members(const struct pool_keeper *k)
{
    return k->members_n;
}

size_t pool_keeper_entries(const struct pool_keeper *k)
{
    return pool_set_count(k->set);
}
