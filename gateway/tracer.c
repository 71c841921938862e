#include "gateway/tracer.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "gateway/fetch.h"
#include "wire/names.h"

enum { ANSWER_MAX = 64 * 1024, CONNECT_MS = 2000, WHOLE_MS = 10000 };

struct span_mail {
    struct loop_mail mail;
    struct tracer *tracer;
    struct span_mail *next;
    struct otlp_span span;
    char id[LOG_ID_MAX + 1];
};

struct tracer {
    struct loop *loop;
    struct log *log;
    const char *service;
    struct buf url;
    struct fetcher *fetcher;
    struct fetch *fetch; /* under way */
    size_t sent;         /* spans in it */
    struct span_mail *first, **last;
    struct loop_timer timer;
    _Atomic uint32_t held; /* posted, and not sent yet */
    _Atomic uint64_t dropped;
    bool failing;
    struct otlp_span batch[OTLP_SPANS_MAX];
};

/* ---- on the control thread ---- */

static void drop(struct tracer *t, size_t n)
{
    (void)atomic_fetch_add_explicit(&t->dropped, n, memory_order_relaxed);
}

static void take_first(struct tracer *t)
{
    struct span_mail *m = t->first;
    t->first = m->next;
    if (t->first == NULL)
        t->last = &t->first;
    (void)atomic_fetch_sub_explicit(&t->held, 1, memory_order_relaxed);
    mem_free(m);
}

static void on_due(struct loop_timer *timer);

static void send_later(struct tracer *t)
{
    if (t->first != NULL && t->fetch == NULL && !loop_timer_active(&t->timer))
        loop_timer_start(t->loop, &t->timer, TRACER_DELAY_MS, on_due);
}

/* A line when it begins and when it is over, not one for each try. */
static void note_result(struct tracer *t, bool good)
{
    if (good && t->failing)
        LOG_INFO(t->log, "collector takes spans again", F_U64("dropped", tracer_dropped(t)));
    if (!good && !t->failing)
        LOG_WARN(t->log, "collector takes no spans");
    t->failing = !good;
}

static void on_sent(void *owner, err e, const struct fetch_answer *answer)
{
    struct tracer *t = owner;
    bool good = e.code == ERR_OK && answer->status >= 200 && answer->status < 300;
    t->fetch = NULL;
    if (!good)
        drop(t, t->sent);
    note_result(t, good);
    send_later(t);
}

static err send(struct tracer *t, const struct otlp_span *spans, size_t n)
{
    BUF_AUTO body = BUF(FETCH_SENT_MAX);
    TRY(otlp_write(&body, t->service, spans, n));
    const struct fetch_request request = { .url = buf_str(&t->url),
                                           .body_max = ANSWER_MAX,
                                           .media = MEDIA_JSON,
                                           .content = buf_view(&body) };
    return fetch_start(&t->fetch, t->fetcher, &request, on_sent, t);
}

/* A batch of texts that stay in the mail until it is written. */
static void on_due(struct loop_timer *timer)
{
    struct tracer *t = CONTAINER_OF(timer, struct tracer, timer);
    size_t n = 0;
    for (struct span_mail *m = t->first; m != NULL && n < OTLP_SPANS_MAX; m = m->next)
        t->batch[n++] = m->span;
    err e = n > 0 ? send(t, t->batch, n) : OK;
    t->sent = n;
    if (e.code != ERR_OK) {
        drop(t, n);
        note_result(t, false);
    }
    while (n-- > 0)
        take_first(t);
    send_later(t);
}

static void on_mail(struct loop_mail *mail)
{
    struct span_mail *m = CONTAINER_OF(mail, struct span_mail, mail);
    struct tracer *t = m->tracer;
    m->next = NULL;
    *t->last = m;
    t->last = &m->next;
    send_later(t);
}

/* ---- from anywhere ---- */

static void keep_ids(struct span_mail *m)
{
    for (size_t i = 0; i < m->span.attributes_n; i++) {
        struct otlp_attribute *a = &m->span.attributes[i];
        struct log_id id = { 0 };
        if (a->text == NULL || strcmp(a->key, ACCOUNT_REQUEST_ID) != 0)
            continue;
        (void)log_id_set(&id, bytes_str(a->text));
        memcpy(m->id, id.text, sizeof m->id);
        a->text = m->id;
    }
}

void tracer_post(struct tracer *t, const struct otlp_span *span)
{
    struct span_mail *m;
    uint32_t held = atomic_fetch_add_explicit(&t->held, 1, memory_order_relaxed);
    if (held >= TRACER_QUEUE_MAX || mem_new(&m).code != ERR_OK) {
        (void)atomic_fetch_sub_explicit(&t->held, 1, memory_order_relaxed);
        drop(t, 1);
        return;
    }
    m->mail.deliver = on_mail;
    m->tracer = t;
    m->span = *span;
    keep_ids(m);
    loop_post(t->loop, &m->mail);
}

uint64_t tracer_dropped(const struct tracer *t)
{
    return atomic_load_explicit(&t->dropped, memory_order_relaxed);
}

/* ---- the whole ---- */

static err open_sender(struct tracer *t, const char *url)
{
    const struct fetcher_settings settings = { .connect_ms = CONNECT_MS, .whole_ms = WHOLE_MS };
    bytes base = bytes_str(url);
    ENSURE(fetch_is_base(url), CONFIG);
    while (bytes_ends(base, BYTES_LIT("/")))
        base.len--;
    TRY(buf_add(&t->url, base));
    TRY(buf_add_str(&t->url, OTLP_PATH));
    return fetcher_new(&t->fetcher, t->loop, &settings);
}

err tracer_new(struct tracer **out, struct loop *control, const struct tracer_settings *settings)
{
    struct tracer *t;
    TRY(mem_new(&t));
    t->loop = control;
    t->log = settings->log;
    t->service = settings->service;
    t->url = BUF(FETCH_URL_MAX);
    t->last = &t->first;
    err e = open_sender(t, settings->url);
    if (e.code != ERR_OK) {
        tracer_free(t);
        return e;
    }
    *out = t;
    return OK;
}

void tracer_free(struct tracer *t)
{
    if (t == NULL)
        return;
    loop_timer_stop(&t->timer);
    fetcher_free(t->fetcher);
    while (t->first != NULL)
        take_first(t);
    buf_clear(&t->url);
    mem_free(t);
}
