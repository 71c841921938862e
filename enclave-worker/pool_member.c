/*
 * AWAY (no connection, or none that holds) -> CALLING (the stream is open, no welcome yet) -> JOINED.
 * Whatever goes wrong leads back to AWAY, and every question that waits gets its answer: none.
 */
#include "enclave-worker/pool_member.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/secret.h"
#include "crypto/tls.h"

enum {
    CONNECT_MS = 2000,
    REDIAL_MAX_MS = 500,
    RETRY_MS = 200, /* for a stream, while the connection is there */
    PING_MS = 2000
};

enum state { AWAY = 0, CALLING, JOINED };

struct pool_member {
    struct loop *loop;
    struct log *log;
    enum state state;
    struct tls_context *tls;
    struct link *link;
    struct link_stream *stream; /* NULL when away */
    struct pool_frame_reader reader;
    struct loop_timer retry;
    struct loop_timer patience; /* for a welcome, or for the first answer that is awaited */
    struct loop_task send;
    struct buf asks;
    uint64_t number;
    struct pool_question *first, *last; /* in the order of asking */
    size_t questions_n;
    pool_welcome_fn *welcome;
    void *owner;
    uint32_t key_life_s, key_grace_s, date_window_s;
    bool differs; /* its times are not ours; said once */
};

/* ---- questions ---- */

static void unlink_question(struct pool_question *q)
{
    struct pool_member *m = q->member;
    if (q->prev != NULL)
        q->prev->next = q->next;
    else
        m->first = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    else
        m->last = q->prev;
    q->member = NULL;
    q->next = q->prev = NULL;
    m->questions_n--;
}

void pool_question_forget(struct pool_question *q)
{
    if (q->member != NULL)
        unlink_question(q);
}

static void settle(struct pool_question *q, enum pool_verdict verdict)
{
    unlink_question(q);
    q->fn(q, verdict);
}

static void retry_later(struct pool_member *m);
static void on_impatient(struct loop_timer *t);

/* What is asked while this goes on is refused, so there is an end. */
static void go_away(struct pool_member *m)
{
    if (m->stream != NULL)
        link_stream_reset(m->stream, LINK_CANCEL);
    if (m->state == JOINED)
        LOG_WARN(m->log, "pool: the keeper is gone; requests are refused",
                 F_U64("waiting", m->questions_n));
    m->stream = NULL;
    m->state = AWAY;
    loop_timer_stop(&m->patience);
    loop_defer_cancel(&m->send);
    buf_truncate(&m->asks, 0);
    pool_frame_clear(&m->reader);
    while (m->first != NULL)
        settle(m->first, POOL_NOTHING);
    retry_later(m);
}

/* One timer, for the oldest question: it is looked at again when it is due. */
static void wait_for_first(struct pool_member *m)
{
    if (m->first != NULL && !loop_timer_active(&m->patience))
        loop_timer_start(m->loop, &m->patience, POOL_ANSWER_MS, on_impatient);
}

static void on_impatient(struct loop_timer *t)
{
    struct pool_member *m = CONTAINER_OF(t, struct pool_member, patience);
    uint64_t now = clock_steady_us();
    if (m->state == CALLING) {
        go_away(m);
        return;
    }
    if (m->first == NULL)
        return;
    uint64_t waited_ms = (now - m->first->asked_us) / 1000;
    if (waited_ms >= POOL_ANSWER_MS)
        go_away(m);
    else
        loop_timer_start(m->loop, t, POOL_ANSWER_MS - waited_ms, on_impatient);
}

/* All questions of a turn leave together. */
static void on_send(struct loop_task *t)
{
    struct pool_member *m = CONTAINER_OF(t, struct pool_member, send);
    if (link_stream_take(m->stream, &m->asks, false).code != ERR_OK) {
        go_away(m);
        return;
    }
    m->asks = BUF(LINK_QUEUE_MAX);
}

err pool_member_ask(struct pool_member *m, struct pool_question *q, struct pool_ask *ask,
                    pool_answer_fn *fn)
{
    ENSURE(m->state == JOINED && m->questions_n < POOL_QUESTIONS_MAX, UNAVAILABLE);
    ask->number = ++m->number;
    size_t before = m->asks.len;
    err e = pool_ask_write(&m->asks, ask);
    if (e.code != ERR_OK) {
        buf_truncate(&m->asks, before);
        FAIL(UNAVAILABLE);
    }
    *q = (struct pool_question){
        .member = m, .fn = fn, .number = ask->number, .asked_us = clock_steady_us(), .prev = m->last
    };
    if (m->last != NULL)
        m->last->next = q;
    else
        m->first = q;
    m->last = q;
    m->questions_n++;
    wait_for_first(m);
    loop_defer(m->loop, &m->send, on_send);
    return OK;
}

/* ---- what the keeper says ---- */

static err on_welcome(void *owner, const struct pool_welcome *w)
{
    struct pool_member *m = owner;
    bool same = w->key_life_s == m->key_life_s && w->key_grace_s == m->key_grace_s &&
                w->date_window_s == m->date_window_s;
    if (!same && !m->differs)
        LOG_ERROR(m->log, "pool: key_life, key_grace or date_window is not as at the keeper");
    m->differs = !same;
    ENSURE(same, CONFIG);
    m->welcome(m->owner, w);
    if (m->state == JOINED)
        return OK;
    m->state = JOINED;
    loop_timer_stop(&m->patience);
    LOG_INFO(m->log, "pool: joined", F_U64("epoch", w->epoch));
    return OK;
}

/* Answers come in the order of the questions; those to forgotten ones mean nothing. */
static err on_answer(void *owner, const struct pool_answer *a)
{
    struct pool_member *m = owner;
    ENSURE(m->state == JOINED && a->number <= m->number, MALFORMED);
    if (m->first == NULL || a->number < m->first->number)
        return OK;
    ENSURE(a->number == m->first->number, MALFORMED);
    settle(m->first, a->verdict);
    return OK;
}

static const struct pool_frame_events FRAMES = { .welcome = on_welcome, .answer = on_answer };

static void on_head(struct link_stream *s, unsigned status, const struct link_field *fields,
                    size_t n)
{
    struct pool_member *m = link_stream_owner(s);
    (void)fields;
    (void)n;
    if (status != 200)
        go_away(m);
}

static void on_data(struct link_stream *s, bytes in)
{
    struct pool_member *m = link_stream_owner(s);
    link_stream_consume(s, in.len);
    if (pool_frame_put(&m->reader, in, &FRAMES, m).code != ERR_OK)
        go_away(m);
}

static void on_end(struct link_stream *s)
{
    go_away(link_stream_owner(s));
}

static void on_closed(struct link_stream *s, enum link_close why)
{
    struct pool_member *m = link_stream_owner(s);
    (void)why;
    m->stream = NULL;
    go_away(m);
}

/* ---- the connection ---- */

static void call(struct pool_member *m)
{
    const struct link_request request = { .method = BYTES_LIT("POST"),
                                          .path = BYTES_LIT(POOL_PATH) };
    if (m->state != AWAY || !link_is_up(m->link))
        return;
    if (link_submit(m->link, &request, &m->stream, m).code != ERR_OK) {
        m->stream = NULL;
        retry_later(m);
        return;
    }
    m->state = CALLING;
    loop_timer_start(m->loop, &m->patience, POOL_ANSWER_MS, on_impatient);
}

static void on_retry(struct loop_timer *t)
{
    call(CONTAINER_OF(t, struct pool_member, retry));
}

static void retry_later(struct pool_member *m)
{
    loop_timer_start(m->loop, &m->retry, RETRY_MS, on_retry);
}

static void on_up(struct link *k, void *owner)
{
    (void)k;
    call(owner);
}

static const struct link_events EVENTS = {
    .up = on_up, .head = on_head, .data = on_data, .end = on_end, .closed = on_closed
};

static err connect_to(struct pool_member *m, const struct pool_member_settings *settings)
{
    SECRET_BYTES(psk, POOL_KEY_LEN);
    pool_key_psk(settings->key, psk);
    const struct tls_settings tls = { .psk = BYTES_ARRAY(psk), .alpn = "h2" };
    struct link_settings link = { .addr = *settings->keeper,
                                  .connect_ms = CONNECT_MS,
                                  .redial_max_ms = REDIAL_MAX_MS,
                                  .ping_ms = PING_MS,
                                  .ping_timeout_ms = PING_MS };
    TRY(tls_context_new(&m->tls, &tls, false));
    link.addr.tls = true;
    link.tls = m->tls;
    return link_open(&m->link, m->loop, &link, &EVENTS, m);
}

err pool_member_new(struct pool_member **out, struct loop *loop,
                    const struct pool_member_settings *settings)
{
    struct pool_member *m;
    TRY(mem_new(&m));
    *m = (struct pool_member){ .loop = loop,
                               .log = settings->log,
                               .welcome = settings->welcome,
                               .owner = settings->owner,
                               .key_life_s = settings->key_life_s,
                               .key_grace_s = settings->key_grace_s,
                               .date_window_s = settings->date_window_s,
                               .asks = BUF(LINK_QUEUE_MAX) };
    err e = connect_to(m, settings);
    if (e.code != ERR_OK) {
        pool_member_free(m);
        return e;
    }
    *out = m;
    return OK;
}

void pool_member_free(struct pool_member *m)
{
    if (m == NULL)
        return;
    if (m->stream != NULL)
        link_stream_reset(m->stream, LINK_CANCEL);
    link_close(m->link);
    tls_context_free(m->tls);
    loop_timer_stop(&m->retry);
    loop_timer_stop(&m->patience);
    loop_defer_cancel(&m->send);
    buf_clear(&m->asks);
    pool_frame_clear(&m->reader);
    mem_free(m);
}

bool pool_member_ready(const struct pool_member *m)
{
    return m->state == JOINED;
}
