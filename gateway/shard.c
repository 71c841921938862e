#include "gateway/shard.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/text.h"
#include "crypto/hpke.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "gateway/exchange.h"
#include "gateway/guest.h"
#include "gateway/page.h"
#include "gateway/setup.h"
#include "wire/names.h"

enum {
    TARGET_MAX = 16 * 1024,
    KEYS_STEP = 16, /* ephemeral key pairs made at once, when so many are missing */
};

struct shard_thread {
    struct shard shard; /* first: what others see */
    pthread_t thread;
    bool started;
    struct loop_timer drain;
    struct loop_hook log;
    struct loop_mail ended;
};

struct view_mail {
    struct loop_mail mail;
    struct shard *shard;
    struct trust_view *view;
};

struct findings_mail {
    struct loop_mail mail;
    struct shard *shard;
    struct findings *findings;
};

struct admit_mail {
    struct loop_mail mail;
    struct shard *shard;
    struct admit *admit;
};

struct drain_mail {
    struct loop_mail mail;
    struct shard *shard;
};

struct stale_mail {
    struct loop_mail mail;
    const struct shard_common *common;
    size_t place;
};

static struct shard_thread *thread_of(struct shard *s)
{
    return CONTAINER_OF(s, struct shard_thread, shard);
}

/* ---- requests ---- */

static err match_route(struct front_request *r, struct buf *target, struct route_match *match)
{
    TRY(buf_add(target, front_path(r)));
    if (front_query(r).len > 0) {
        TRY(buf_add_u8(target, '?'));
        TRY(buf_add(target, front_query(r)));
    }
    route_find(front_method(r), buf_view(target), match);
    return OK;
}

static bool is_open_to_all(enum route_kind kind)
{
    return kind == ROUTE_HEALTHZ || kind == ROUTE_READYZ || kind == ROUTE_OPENAPI;
}

/* ERROR_CAUSES when there is nothing against it. */
static enum error_cause objection(const struct shard *s, struct front_request *r,
                                  const struct route_match *match, const struct token **key)
{
    const struct admit *admit = s->admit;
    if (!admit_host(admit, front_header(r, "host")))
        return ERROR_HOST_NOT_ALLOWED;
    if (match->verdict == ROUTE_UNKNOWN)
        return ERROR_UNKNOWN_URL;
    if (match->verdict == ROUTE_WRONG_METHOD)
        return ERROR_METHOD;
    if (is_open_to_all(match->kind))
        return ERROR_CAUSES;
    bytes api_key = front_header(r, "api-key");
    if (api_key.len == 0)
        api_key = front_header(r, "x-api-key");
    switch (admit_token(admit, front_header(r, FIELD_AUTHORIZATION), api_key, key)) {
    case ADMIT_NO_TOKEN:
        return ERROR_NO_API_KEY;
    case ADMIT_BAD_TOKEN:
        return ERROR_BAD_API_KEY;
    case ADMIT_WELCOME:
        break;
    }
    bool is_work = route_is_sealed(match->kind) || match->kind == ROUTE_EVIDENCE;
    if (is_work && !bytes_equal(front_method(r), BYTES_LIT("GET")) && !front_is_head(r) &&
        !admit_work(admit, front_header(r, "origin")))
        return ERROR_ORIGIN_NOT_ALLOWED;
    return s->draining ? ERROR_SHUTTING_DOWN : ERROR_CAUSES;
}

static void refuse(struct shard *s, struct front_request *r, const struct route_match *match,
                   enum error_cause cause)
{
    BUF_AUTO about = BUF(TARGET_MAX);
    (void)buf_add(&about, front_method(r));
    (void)buf_add_u8(&about, ' ');
    (void)buf_add(&about, front_path(r));
    const struct api_error error = {
        .cause = cause, .about = buf_view(&about), .allow = match->allow, .retry_after_s = 1
    };
    page_refuse(s, r, match, &error);
}

static void on_request(void *owner, struct front_request *r)
{
    struct shard *s = owner;
    struct route_match match = { 0 };
    const struct token *key = NULL;
    BUF_AUTO target = BUF(TARGET_MAX);
    (void)match_route(r, &target, &match);
    bool preflight = bytes_equal(front_method(r), BYTES_LIT("OPTIONS")) &&
                     front_header(r, "access-control-request-method").len > 0;
    enum error_cause cause = objection(s, r, &match, &key);
    if (preflight && cause != ERROR_HOST_NOT_ALLOWED)
        page_preflight(s, r, &match);
    else if (cause != ERROR_CAUSES)
        refuse(s, r, &match, cause);
    else if (route_is_sealed(match.kind))
        exchange_start(s, r, &match, key);
    else
        page_start(s, r, &match);
}

/* A request without a guest is one there was no memory for; it is being broken off. */
static void on_body(struct front_request *r, bytes piece)
{
    struct guest *g = front_owner(r);
    if (g != NULL)
        g->ops->body(g, piece);
}

static void on_body_end(struct front_request *r)
{
    struct guest *g = front_owner(r);
    if (g != NULL)
        g->ops->body_end(g);
}

static void on_writable(struct front_request *r)
{
    struct guest *g = front_owner(r);
    if (g != NULL)
        g->ops->writable(g);
}

static void on_gone(struct front_request *r)
{
    struct guest *g = front_owner(r);
    if (g != NULL)
        g->ops->gone(g);
}

static void on_done(struct front_request *r)
{
    struct guest *g = front_owner(r);
    if (g != NULL)
        g->ops->done(g);
}

static void on_refused(void *owner, unsigned status, const char *reason)
{
    struct shard *s = owner;
    (void)reason;
    metrics_add(s->block, s->common->metering->refused, 0, 0, 1);
    LOG_WARN(s->common->log, "request refused", F_U64("status", status));
}

static void on_drained(void *owner)
{
    struct shard *s = owner;
    loop_stop(s->loop);
}

static const struct front_events FRONT_EVENTS = { .request = on_request,
                                                  .body = on_body,
                                                  .body_end = on_body_end,
                                                  .writable = on_writable,
                                                  .gone = on_gone,
                                                  .done = on_done,
                                                  .refused = on_refused,
                                                  .drained = on_drained };

static void on_worker_ready(void *owner)
{
    exchange_wake(owner);
}

static void on_worker_changed(void *owner, const struct balance_change *change)
{
    struct shard *s = owner;
    standing_tell(&s->common->metering->standing, change, s->block, s->common->log);
}

/* ---- making one ---- */

/* One connection to a worker is enough for all clients that a shard may have. */
static uint32_t streams_of(const struct gateway_settings *set)
{
    return set->connections_max > LINK_STREAMS_DEFAULT ? (uint32_t)set->connections_max
                                                       : LINK_STREAMS_DEFAULT;
}

static err open_pool(struct shard *s)
{
    const struct gateway_settings *set = s->common->settings;
    struct pool_settings settings = {
        .tls = s->common->worker_tls,
        .streams = &exchange_link_events,
        .balance = setup_balance(set),
        .ping_ms = set->worker_ping,
        .streams_max = streams_of(set),
        .ready = on_worker_ready,
        .changed = on_worker_changed,
        .owner = s,
    };
    TRY(crypto_random(&settings.seed, sizeof settings.seed));
    return pool_new(&s->pool, s->loop, &settings);
}

/* Behind all that the turn had to send, so that few requests wait for their ephemeral key. Requests
 * come in bursts, as receipts are stored in batches, so many are held; a turn makes a few of them, not
 * to keep the next one waiting. */
static void make_keys(void)
{
    size_t wanted = hpke_pool_len() + KEYS_STEP;
    if (wanted <= HPKE_POOL_MAX)
        (void)hpke_pool_fill(wanted); /* without them, each is made when it is needed */
}

static void on_turn_end(struct loop_hook *h)
{
    make_keys();
    log_flush(CONTAINER_OF(h, struct shard_thread, log)->shard.common->usage);
    log_flush(CONTAINER_OF(h, struct shard_thread, log)->shard.common->log);
}

err shard_new(struct shard **out, const struct shard_common *common)
{
    struct shard_thread *t;
    TRY(mem_new(&t));
    struct shard *s = &t->shard;
    s->common = common;
    s->admit = admit_ref(common->admit);
    err e = loop_new(&s->loop);
    if (e.code == ERR_OK)
        e = metrics_block(common->metering->set, &s->block);
    if (e.code == ERR_OK)
        e = open_pool(s);
    if (e.code == ERR_OK)
        e = setup_front(&s->front, s->loop, s->common->settings, &FRONT_EVENTS, s);
    if (e.code != ERR_OK) {
        shard_free(s);
        return e;
    }
    loop_hook_add(s->loop, &t->log, LOOP_ORDER_END, on_turn_end);
    *out = s;
    return OK;
}

static void on_ended(struct loop_mail *mail)
{
    struct shard_thread *t = CONTAINER_OF(mail, struct shard_thread, ended);
    t->shard.common->ended(t->shard.common->owner);
}

static void *run(void *arg)
{
    struct shard_thread *t = arg;
    loop_run(t->shard.loop);
    t->ended.deliver = on_ended;
    loop_post(t->shard.common->control, &t->ended);
    crypto_thread_end();
    return NULL;
}

err shard_start(struct shard *s)
{
    struct shard_thread *t = thread_of(s);
    ENSURE(pthread_create(&t->thread, NULL, run, t) == 0, SYSTEM);
    t->started = true;
    return OK;
}

void shard_free(struct shard *s)
{
    if (s == NULL)
        return;
    struct shard_thread *t = thread_of(s);
    if (t->started) {
        (void)pthread_join(t->thread, NULL);
        loop_deliver(s->common->control); /* its last word is kept in *t */
    }
    if (s->front != NULL)
        front_free(s->front);
    judge_end(&s->judge);
    if (s->loop != NULL)
        loop_deliver(s->loop); /* records that were stored; views, which the pool wants */
    pool_free(s->pool);
    if (s->loop != NULL) {
        /* One more turn, for streams that were closed. */
        loop_timer_stop(&t->drain);
        loop_defer_cancel(&s->wake);
        loop_defer_cancel(&s->proved);
        loop_stop(s->loop);
        loop_run(s->loop);
    }
    loop_free(s->loop);
    admit_unref(s->admit);
    mem_free(t);
}

/* ---- mail ---- */

static void on_view(struct loop_mail *mail)
{
    struct view_mail *m = CONTAINER_OF(mail, struct view_mail, mail);
    pool_update(m->shard->pool, m->view);
    trust_view_unref(m->view);
    mem_free(m);
}

void shard_post_view(struct shard *s, struct trust_view *view)
{
    struct view_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_view;
    m->shard = s;
    m->view = trust_view_ref(view);
    loop_post(s->loop, &m->mail);
}

static void on_findings(struct loop_mail *mail)
{
    struct findings_mail *m = CONTAINER_OF(mail, struct findings_mail, mail);
    pool_use_findings(m->shard->pool, m->findings);
    findings_unref(m->findings);
    mem_free(m);
}

void shard_post_findings(struct shard *s, struct findings *findings)
{
    struct findings_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_findings;
    m->shard = s;
    m->findings = findings_ref(findings);
    loop_post(s->loop, &m->mail);
}

static void on_admit(struct loop_mail *mail)
{
    struct admit_mail *m = CONTAINER_OF(mail, struct admit_mail, mail);
    admit_unref(m->shard->admit);
    m->shard->admit = m->admit;
    mem_free(m);
}

err shard_post_admit(struct shard *s, struct admit *admit)
{
    struct admit_mail *m;
    TRY(mem_new(&m));
    m->mail.deliver = on_admit;
    m->shard = s;
    m->admit = admit_ref(admit);
    loop_post(s->loop, &m->mail);
    return OK;
}

static void on_patience_over(struct loop_timer *timer)
{
    loop_stop(CONTAINER_OF(timer, struct shard_thread, drain)->shard.loop);
}

static void on_drain(struct loop_mail *mail)
{
    struct drain_mail *m = CONTAINER_OF(mail, struct drain_mail, mail);
    struct shard *s = m->shard;
    mem_free(m);
    if (s->draining) {
        loop_stop(s->loop);
        return;
    }
    s->draining = true;
    loop_timer_start(s->loop, &thread_of(s)->drain, s->common->settings->drain_timeout,
                     on_patience_over);
    front_drain(s->front);
}

void shard_post_drain(struct shard *s)
{
    struct drain_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_drain;
    m->shard = s;
    loop_post(s->loop, &m->mail);
}

static void on_stale(struct loop_mail *mail)
{
    struct stale_mail *m = CONTAINER_OF(mail, struct stale_mail, mail);
    m->common->stale(m->common->owner, m->place);
    mem_free(m);
}

void shard_report_stale(struct shard *s, size_t place)
{
    struct stale_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_stale;
    m->common = s->common;
    m->place = place;
    loop_post(s->common->control, &m->mail);
}
