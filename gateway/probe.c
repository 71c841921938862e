#include "gateway/probe.h"

#include "base/attr.h"
#include "base/clock.h"
#include "base/httpdate.h"
#include "base/mem.h"
#include "base/text.h"
#include "crypto/secret.h"
#include "gateway/blame.h"
#include "gateway/pool.h"
#include "gateway/seal.h"
#include "wire/link.h"
#include "wire/names.h"

enum { SEALED_MAX = 64 * 1024, ID_LEN = 12 };

/* A worker, and what is known of it. */
struct watch {
    struct probe *probe;
    struct worker_entry at; /* the link borrows from it */
    struct trusted *trusted;
    struct link *link;
    struct loop_timer timer; /* the next question, or the end of patience with this one */

    struct link_stream *stream; /* NULL: nothing is asked now */
    struct seal *seal;
    unsigned status; /* of the sealed answer; 0: none yet */
    enum balance_outcome outcome;
    bool complete;
    struct buf body;

    unsigned failures; /* in succession */
    struct worker_finding finding;
};

struct probe {
    struct loop *loop;
    struct probe_settings settings;
    struct watch *watches[WORKERS_MAX]; /* NULL: free */
};

/* ---- telling ---- */

static err gather(const struct probe *p, struct findings *f)
{
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        if (p->watches[i] != NULL)
            TRY(findings_add(f, &p->watches[i]->finding));
    }
    return OK;
}

/* Without memory the shards stay with what they know. */
static void tell(struct probe *p)
{
    struct findings *f;
    if (findings_new(&f).code != ERR_OK)
        return;
    if (gather(p, f).code == ERR_OK)
        p->settings.found(p->settings.owner, f);
    findings_unref(f);
}

size_t probe_sick(const struct probe *p)
{
    size_t sick = 0;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        sick += p->watches[i] != NULL && p->watches[i]->finding.sick;
    return sick;
}

/* ---- a question's end ---- */

static void on_timer(struct loop_timer *t);

static void ask_later(struct watch *w)
{
    loop_timer_start(w->probe->loop, &w->timer, w->probe->settings.every_ms, on_timer);
}

static void end_question(struct watch *w)
{
    if (w->stream != NULL)
        link_stream_reset(w->stream, LINK_CANCEL);
    w->stream = NULL;
    seal_free(w->seal);
    w->seal = NULL;
    ask_later(w);
}

static void set_sick(struct watch *w, bool sick)
{
    if (w->finding.sick == sick)
        return;
    w->finding.sick = sick;
    if (sick)
        LOG_WARN(w->probe->settings.log, "worker does not do its work",
                 F_U64("worker", w->at.place));
    else
        LOG_INFO(w->probe->settings.log, "worker does its work again",
                 F_U64("worker", w->at.place));
    tell(w->probe);
}

static void failed(struct watch *w)
{
    end_question(w);
    w->failures++;
    if (w->failures >= PROBE_FAILURES)
        set_sick(w, true);
}

static void learn(struct watch *w)
{
    struct model_list fresh = { 0 };
    if (w->status == 200 && model_list_read(&fresh, buf_view(&w->body)).code != ERR_OK)
        fresh = (struct model_list){ 0 };
    bool same = model_list_equal(&fresh, &w->finding.models);
    model_list_clear(&w->finding.models);
    w->finding.models = fresh;
    if (!same)
        tell(w->probe);
}

/* What an engine says by itself is an answer, whatever it is. */
static void answered(struct watch *w)
{
    if (w->outcome == BALANCE_FAILED) {
        failed(w);
        return;
    }
    end_question(w);
    w->failures = 0;
    learn(w);
    set_sick(w, false);
}

/* ---- a question ---- */

static err on_head(void *owner, const struct bhttp_head *head)
{
    struct watch *w = owner;
    w->status = head->status;
    w->outcome = blame_head(head);
    return OK;
}

static err on_content(void *owner, bytes piece)
{
    struct watch *w = owner;
    return buf_add(&w->body, piece);
}

static err on_complete(void *owner, bytes receipt)
{
    struct watch *w = owner;
    (void)receipt;
    w->complete = true;
    return OK;
}

static const struct seal_events SEAL_EVENTS = { .head = on_head,
                                                .content = on_content,
                                                .complete = on_complete };

static err make_seal(struct watch *w)
{
    uint8_t random[ID_LEN];
    char date[HTTPDATE_LEN + 1];
    BUF_AUTO id = BUF(2 * ID_LEN + 8);
    TRY(crypto_random(random, sizeof random));
    TRY(buf_add_str(&id, "req_"));
    TRY(text_hex_encode(&id, BYTES_ARRAY(random)));
    httpdate_write(clock_wall_s(), date);
    const struct bhttp_field fields[] = {
        { BYTES_LIT(FIELD_DATE), bytes_str(date) },
        { BYTES_LIT(FIELD_REQUEST_ID), buf_view(&id) },
        { BYTES_LIT(FIELD_AUTHORIZATION), w->probe->settings.authorization },
    };
    size_t n = w->probe->settings.authorization.len > 0 ? 3 : 2;
    const struct seal_request request = {
        .method = BYTES_LIT("GET"), .path = BYTES_LIT("/v1/models"), .fields = fields, .fields_n = n
    };
    return seal_new(&w->seal, w->trusted, &request, &SEAL_EVENTS, w);
}

static err send(struct watch *w)
{
    struct buf sealed = BUF(SEALED_MAX);
    bool done = false;
    err e = OK;
    while (e.code == ERR_OK && !done)
        e = seal_next(w->seal, SEALED_MAX / 4, &sealed, &done);
    if (e.code == ERR_OK)
        e = link_stream_take(w->stream, &sealed, true);
    buf_clear(&sealed);
    return e;
}

static err ask(struct watch *w)
{
    buf_truncate(&w->body, 0);
    w->status = 0;
    w->outcome = BALANCE_NOTHING;
    w->complete = false;
    TRY(make_seal(w));
    TRY(seal_submit(w->trusted, w->link, &w->stream, w));
    return send(w);
}

/* Nothing is sealed to a key that is over or withdrawn; the next view brings another. */
static bool may_ask(const struct watch *w)
{
    return w->stream == NULL && link_is_up(w->link) && !trusted_is_withdrawn(w->trusted) &&
           clock_wall_s() < w->trusted->not_after;
}

static void ask_now(struct watch *w)
{
    if (may_ask(w) && ask(w).code == ERR_OK)
        loop_timer_start(w->probe->loop, &w->timer, PROBE_PATIENCE_MS, on_timer);
    else
        end_question(w);
}

static void on_timer(struct loop_timer *t)
{
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    if (w->stream != NULL)
        failed(w);
    else
        ask_now(w);
}

/* ---- the link ---- */

static void on_up(struct link *k, void *owner)
{
    struct watch *w = owner;
    (void)k;
    if (w->stream == NULL)
        ask_now(w);
}

static void on_answer(struct link_stream *s, unsigned status, const struct link_field *fields,
                      size_t n)
{
    struct watch *w = link_stream_owner(s);
    bytes type = link_field(fields, n, FIELD_CONTENT_TYPE);
    if (status == 200 && bytes_equal(type, BYTES_LIT(MEDIA_OHTTP_CHUNKED_RES)))
        return;
    if (status == 503 || status == 429)
        failed(w);
    else
        end_question(w); /* a key that is over; whoever sends requests finds that out */
}

static void on_data(struct link_stream *s, bytes in)
{
    struct watch *w = link_stream_owner(s);
    link_stream_consume(s, in.len);
    if (seal_open(w->seal, in, false).code != ERR_OK)
        failed(w);
}

static void on_end(struct link_stream *s)
{
    struct watch *w = link_stream_owner(s);
    if (seal_open(w->seal, (bytes){ 0 }, true).code == ERR_OK && w->complete)
        answered(w);
    else
        failed(w);
}

/* A connection that breaks is no secret to those who have their own. */
static void on_closed(struct link_stream *s, enum link_close why)
{
    struct watch *w = link_stream_owner(s);
    (void)why;
    w->stream = NULL;
    end_question(w);
}

static const struct link_events EVENTS = {
    .up = on_up, .head = on_answer, .data = on_data, .end = on_end, .closed = on_closed
};

/* ---- who is asked ---- */

static void watch_free(struct watch *w)
{
    if (w == NULL)
        return;
    loop_timer_stop(&w->timer);
    if (w->stream != NULL)
        link_stream_reset(w->stream, LINK_CANCEL);
    seal_free(w->seal);
    link_close(w->link);
    trusted_unref(w->trusted);
    buf_clear(&w->body);
    model_list_clear(&w->finding.models);
    mem_free(w);
}

static err watch_new(struct watch **out, struct probe *p, const struct worker_entry *at,
                     struct trusted *trusted)
{
    struct watch *w = mem_alloc(sizeof *w);
    struct link_settings settings = { .redial_max_ms = POOL_REDIAL_MAX_MS };
    ENSURE(w != NULL, NOMEM);
    w->probe = p;
    w->at = *at;
    w->trusted = trusted_ref(trusted);
    w->body = BUF(FINDINGS_LIST_MAX);
    w->finding.place = at->place;
    memcpy(w->finding.identity, trusted->identity, sizeof w->finding.identity);
    worker_link(&w->at, p->settings.tls, &settings);
    err e = link_open(&w->link, p->loop, &settings, &EVENTS, w);
    if (e.code != ERR_OK) {
        watch_free(w);
        return e;
    }
    *out = w;
    return OK;
}

static struct trusted *trusted_at(const struct trust_view *view, size_t place)
{
    for (size_t i = 0; i < view->set->n; i++) {
        if (view->set->at[i].place == place)
            return view->workers[i];
    }
    return NULL;
}

/* With other keys it is the same worker. True: it is not asked any more. */
static bool is_over(struct watch *w, const struct trust_view *view)
{
    struct trusted *t = trusted_at(view, w->at.place);
    if (t == NULL || !bytes_equal(BYTES_ARRAY(t->identity), BYTES_ARRAY(w->finding.identity)))
        return true;
    trusted_ref(t);
    trusted_unref(w->trusted);
    w->trusted = t;
    return false;
}

static bool is_watched(const struct probe *p, size_t place)
{
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        if (p->watches[i] != NULL && p->watches[i]->at.place == place)
            return true;
    }
    return false;
}

static void add(struct probe *p, const struct worker_entry *at, struct trusted *trusted)
{
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        if (p->watches[i] != NULL)
            continue;
        if (watch_new(&p->watches[i], p, at, trusted).code != ERR_OK)
            p->watches[i] = NULL; /* the next view will do */
        return;
    }
}

static size_t count_trusted(const struct trust_view *view)
{
    size_t n = 0;
    for (size_t i = 0; i < view->set->n; i++)
        n += view->workers[i] != NULL;
    return n;
}

void probe_update(struct probe *p, const struct trust_view *view)
{
    bool wanted = p->settings.every_ms > 0 && count_trusted(view) > 1;
    bool changed = false;
    for (size_t i = 0; i < WORKERS_MAX; i++) {
        struct watch *w = p->watches[i];
        if (w == NULL || (wanted && !is_over(w, view)))
            continue;
        p->watches[i] = NULL;
        watch_free(w);
        changed = true;
    }
    for (size_t i = 0; wanted && i < view->set->n; i++) {
        if (view->workers[i] != NULL && !is_watched(p, view->set->at[i].place))
            add(p, &view->set->at[i], view->workers[i]);
    }
    if (changed)
        tell(p);
}

err probe_new(struct probe **out, struct loop *loop, const struct probe_settings *settings)
{
    struct probe *p;
    TRY(mem_new(&p));
    p->loop = loop;
    p->settings = *settings;
    *out = p;
    return OK;
}

void probe_free(struct probe *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < WORKERS_MAX; i++)
        watch_free(p->watches[i]);
    mem_free(p);
}
