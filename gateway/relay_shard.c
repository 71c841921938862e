#include "gateway/relay_shard.h"

#include <netinet/in.h>
#include <pthread.h>
#include <string.h>

#include "api/error.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "gateway/relay_h1.h"
#include "gateway/relay_h2.h"
#include "gateway/setup.h"
#include "wire/names.h"

enum {
    LISTENERS_MAX = 8,
    V6_NETWORK_LEN = 8,
    DRAIN_TICK_MS = 20,
    ASKER_MAX = V6_NETWORK_LEN + ROSTER_TAG_LEN
};

struct relay_shard {
    const struct relay_common *common;
    struct loop *loop;
    struct front *front;
    struct link_listener *listeners[LISTENERS_MAX];
    size_t listeners_n;
    struct relay_host host;
    struct metrics_block *block;
    struct loop_hook log;
    struct loop_timer tick; /* while it drains */
    uint64_t drain_until_ms;
    struct loop_mail ended;
    pthread_t thread;
    bool started;
    bool draining;
    bool ready; /* and counted as such */
    bool front_gone;
};

struct workers_mail {
    struct loop_mail mail;
    struct relay_shard *shard;
    struct worker_set *workers;
};

struct drain_mail {
    struct loop_mail mail;
    struct relay_shard *shard;
};

/* ---- who may ---- */

bytes relay_address(const struct sockaddr *peer)
{
    static const uint8_t unnamed[1];
    if (peer->sa_family == AF_INET)
        return bytes_of(&((const struct sockaddr_in *)(const void *)peer)->sin_addr,
                        sizeof(struct in_addr));
    if (peer->sa_family == AF_INET6)
        return bytes_of(&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr,
                        V6_NETWORK_LEN);
    return BYTES_ARRAY(unnamed);
}

static uint64_t near_address(const struct sockaddr *peer)
{
    uint64_t near = 0;
    bytes address = relay_address(peer);
    for (size_t i = 0; i < address.len; i++)
        near = near * 31 + address.at[i];
    return near;
}

uint64_t relay_near(const struct sockaddr *peer)
{
    uint64_t near = near_address(peer);
    if (peer->sa_family == AF_INET)
        near = near * 31 + ntohs(((const struct sockaddr_in *)(const void *)peer)->sin_port);
    if (peer->sa_family == AF_INET6)
        near = near * 31 + ntohs(((const struct sockaddr_in6 *)(const void *)peer)->sin6_port);
    return near;
}

void relay_count_refused(struct relay_shard *s, enum relay_refusal why)
{
    metrics_add(s->block, s->common->metrics.refused, why, 0, 1);
}

/* The media type by every answer, and the connection's fate by each client's own protocol. */
static bool is_said_anyway(bytes name)
{
    return bytes_equal(name, BYTES_LIT(FIELD_CONTENT_TYPE)) ||
           bytes_equal(name, BYTES_LIT("connection"));
}

static void refuse(struct relay_shard *s, struct relay_pass *p, enum relay_refusal why,
                   const struct api_error *error)
{
    BUF_AUTO body = BUF(ERROR_BODY_MAX);
    struct error_field list[ERROR_FIELDS_MAX];
    struct link_field more[ERROR_FIELDS_MAX];
    size_t n = error_fields(error, list);
    size_t more_n = 0;
    relay_count_refused(s, why);
    for (size_t i = 0; i < n; i++) {
        more[more_n] = (struct link_field){ bytes_str(list[i].name), bytes_str(list[i].value) };
        more_n += !is_said_anyway(more[more_n].name);
    }
    if (error_write_body(&body, error).code != ERR_OK)
        buf_clear(&body);
    relay_pass_answer(p, error_status(error->cause), MEDIA_JSON, more, more_n, buf_view(&body));
}

/* A token that is asked for is one for the relay: it is not passed on. */
static bool admits_token(struct relay_shard *s, struct relay_pass *p, struct relay_caller *c)
{
    if (s->common->tokens.n == 0)
        return true;
    const struct token *token =
        token_set_find(&s->common->tokens, token_of_authorization(c->authorization));
    const struct api_error error = { .cause = c->authorization.len == 0 ? ERROR_NO_API_KEY
                                                                        : ERROR_BAD_API_KEY };
    if (token == NULL) {
        refuse(s, p, RELAY_NO_TOKEN, &error);
        return false;
    }
    c->token = token->digest;
    return true;
}

static void leave_quotas(const struct relay_common *common, struct relay_caller *c)
{
    quota_leave(common->by_address, c->by_address);
    quota_leave(common->by_token, c->by_token);
    quota_leave(common->by_asker, c->by_asker);
}

static bool enter(struct quota *q, bytes who, uint64_t now_ms, uint64_t *ticket)
{
    bool fine = quota_enter(q, who, now_ms, ticket) == QUOTA_FINE;
    if (!fine)
        *ticket = 0; /* there is nothing to give back */
    return fine;
}

/* All that there are for it, or none. asker: empty for what costs no evidence. */
static bool enter_quotas(const struct relay_common *common, bytes asker, struct relay_caller *c)
{
    bytes address = relay_address(c->peer);
    bytes token = c->token != NULL ? bytes_of(c->token, SHA256_LEN) : (bytes){ 0 };
    uint64_t now = clock_steady_us() / 1000;
    bool fine = enter(common->by_address, address, now, &c->by_address) &&
                enter(c->token != NULL ? common->by_token : NULL, token, now, &c->by_token) &&
                enter(asker.len > 0 ? common->by_asker : NULL, asker, now, &c->by_asker);
    if (!fine)
        leave_quotas(common, c);
    return fine;
}

static bool is_listed(const struct relay_shard *s, const struct worker_tag *tag)
{
    struct roster roster;
    relay_workers_roster(s->host.workers, &roster);
    return worker_tag_is(tag) && roster_has(&roster, tag);
}

/* Each address has a share of each worker that it names: a gateway asks them all. */
static err name_asker(const struct relay_shard *s, const struct relay_pass *p,
                      const struct relay_caller *c, struct buf *out)
{
    if (p->kind != RELAY_PROOF)
        return OK;
    TRY(buf_add(out, relay_address(c->peer)));
    return is_listed(s, &p->tag) ? buf_add_str(out, p->tag.text) : OK;
}

static bool admits_quota(struct relay_shard *s, struct relay_pass *p, struct relay_caller *c)
{
    const struct api_error error = { .cause = ERROR_RATE_LIMIT, .retry_after_s = 1 };
    BUF_AUTO asker = BUF(ASKER_MAX);
    c->admitted =
        name_asker(s, p, c, &asker).code == ERR_OK && enter_quotas(s->common, buf_view(&asker), c);
    if (!c->admitted)
        refuse(s, p, RELAY_TOO_MANY, &error);
    return c->admitted;
}

/* ---- pages of our own ---- */

static void answer_metrics(struct relay_shard *s, struct relay_pass *p)
{
    BUF_AUTO text = BUF(METRICS_TEXT_MAX);
    if (metrics_render(s->common->metrics.set, &text).code == ERR_OK)
        relay_pass_answer(p, 200, MEDIA_METRICS, NULL, 0, buf_view(&text));
    else
        relay_pass_problem(p, 503, "out of memory");
}

static void count_ready(struct relay_shard *s)
{
    bool ready = !s->draining && relay_workers_up(s->host.workers) > 0;
    if (ready && !s->ready)
        atomic_fetch_add(s->common->ready, 1);
    if (!ready && s->ready)
        atomic_fetch_sub(s->common->ready, 1);
    s->ready = ready;
}

/* For all shards, since nobody knows which one a request will come to. */
static void answer_ready(struct relay_shard *s, struct relay_pass *p)
{
    if (atomic_load(s->common->ready) == s->common->shards)
        relay_pass_answer(p, 200, MEDIA_JSON, NULL, 0, BYTES_LIT("{\"ready\":true}"));
    else if (s->draining)
        relay_pass_answer(p, 503, MEDIA_JSON, NULL, 0,
                          BYTES_LIT("{\"ready\":false,\"reason\":\"draining\"}"));
    else
        relay_pass_answer(p, 503, MEDIA_JSON, NULL, 0,
                          BYTES_LIT("{\"ready\":false,\"reason\":\"no worker is connected to "
                                    "some shard, or to any\"}"));
}

static void answer_roster(struct relay_shard *s, struct relay_pass *p)
{
    struct roster roster;
    BUF_AUTO text = BUF(ROSTER_TEXT_MAX);
    relay_workers_roster(s->host.workers, &roster);
    if (roster_write(&text, &roster).code == ERR_OK)
        relay_pass_answer(p, 200, MEDIA_ROSTER, NULL, 0, buf_view(&text));
    else
        relay_pass_problem(p, 503, "out of memory");
}

static void answer_error(struct relay_shard *s, struct relay_pass *p, enum error_cause cause,
                         const struct link_request *request, const char *allow)
{
    BUF_AUTO about = BUF(RELAY_HEAD_MAX);
    (void)buf_add(&about, request->method);
    (void)buf_add_u8(&about, ' ');
    (void)buf_add(&about, request->path);
    const struct api_error error = { .cause = cause, .about = buf_view(&about), .allow = allow };
    refuse(s, p, RELAY_NOT_SEALED, &error);
}

/* ---- coming and going ---- */

static bool is_local(enum relay_kind kind)
{
    return kind == RELAY_HEALTH || kind == RELAY_READY;
}

static void serve(struct relay_shard *s, struct relay_pass *p, const struct relay_route *route,
                  const struct link_request *request)
{
    switch (route->kind) {
    case RELAY_REFUSED:
    case RELAY_KINDS:
        answer_error(s, p, ERROR_SEAL_REQUIRED, request, NULL);
        break;
    case RELAY_UNKNOWN:
        answer_error(s, p, ERROR_UNKNOWN_URL, request, NULL);
        break;
    case RELAY_WRONG_METHOD:
        answer_error(s, p, ERROR_METHOD, request, route->allow);
        break;
    case RELAY_HEALTH:
        relay_pass_answer(p, 200, MEDIA_JSON, NULL, 0, BYTES_LIT("{\"status\":\"ok\"}"));
        break;
    case RELAY_READY:
        answer_ready(s, p);
        break;
    case RELAY_METRICS:
        answer_metrics(s, p);
        break;
    case RELAY_ROSTER:
        answer_roster(s, p);
        break;
    case RELAY_SEALED:
    case RELAY_EHBP:
    case RELAY_ASK:
    case RELAY_PROOF:
    case RELAY_EVIDENCE:
        relay_pass_start(p, request);
        break;
    }
}

void relay_enter(struct relay_shard *s, struct relay_pass *p, struct relay_caller *caller,
                 const struct link_request *request)
{
    const struct relay_route route =
        relay_route_find(request->method, request->path,
                         link_field(request->fields, request->fields_n, FIELD_EHBP_KEY).len > 0);
    const struct api_error leaving = { .cause = ERROR_SHUTTING_DOWN, .retry_after_s = 1 };
    p->host = &s->host;
    p->kind = route.kind;
    (void)worker_tag_read(link_field(request->fields, request->fields_n, FIELD_WORKER), &p->tag);
    p->near = route.by_address ? near_address(caller->peer) : relay_near(caller->peer);
    metrics_gauge_add(s->block, s->common->metrics.in_flight, 0, 0, 1);
    if (is_local(route.kind))
        serve(s, p, &route, request);
    else if (s->draining)
        refuse(s, p, RELAY_DRAINING, &leaving);
    else if (admits_token(s, p, caller) && admits_quota(s, p, caller))
        serve(s, p, &route, request);
}

void relay_leave(struct relay_shard *s, struct relay_caller *caller)
{
    const struct relay_common *common = s->common;
    metrics_gauge_add(s->block, common->metrics.in_flight, 0, 0, -1);
    if (!caller->admitted)
        return;
    leave_quotas(common, caller);
}

static void on_settled(void *owner, const struct relay_pass *p)
{
    struct relay_shard *s = owner;
    const struct relay_metrics *m = &s->common->metrics;
    metrics_add(s->block, m->requests, p->kind, p->end, 1);
    metrics_add(s->block, m->bytes, 0, 0, p->in);
    metrics_add(s->block, m->bytes, 1, 0, p->out);
    LOG_INFO(s->common->log, "request", F_U64("status", p->status),
             F_BOOL("broken_off", p->end == RELAY_BROKEN), F_BOOL("left", p->end == RELAY_LEFT),
             F_U64("in", p->in), F_U64("out", p->out));
}

static void on_workers(struct loop_mail *mail)
{
    struct workers_mail *m = CONTAINER_OF(mail, struct workers_mail, mail);
    relay_workers_use(m->shard->host.workers, m->workers);
    worker_set_unref(m->workers);
    mem_free(m);
}

void relay_shard_post_workers(struct relay_shard *s, struct worker_set *workers)
{
    struct workers_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_workers;
    m->shard = s;
    m->workers = worker_set_ref(workers);
    loop_post(s->loop, &m->mail);
}

/* ---- the end ---- */

void relay_on_front_drained(void *owner)
{
    struct relay_shard *s = owner;
    s->front_gone = true;
}

/* A connection that never came to a request tells nobody when it is gone: they are counted. */
static void on_drain_tick(struct loop_timer *t)
{
    struct relay_shard *s = CONTAINER_OF(t, struct relay_shard, tick);
    size_t links = 0;
    for (size_t i = 0; i < s->listeners_n; i++)
        links += link_listener_links(s->listeners[i]);
    if ((s->front_gone && links == 0) || loop_now_ms(s->loop) >= s->drain_until_ms)
        loop_stop(s->loop);
    else
        loop_timer_start(s->loop, t, DRAIN_TICK_MS, on_drain_tick);
}

static void on_drain(struct loop_mail *mail)
{
    struct drain_mail *m = CONTAINER_OF(mail, struct drain_mail, mail);
    struct relay_shard *s = m->shard;
    mem_free(m);
    if (s->draining) {
        loop_stop(s->loop);
        return;
    }
    s->draining = true;
    count_ready(s);
    s->drain_until_ms = loop_now_ms(s->loop) + s->common->settings->drain_timeout;
    front_drain(s->front);
    for (size_t i = 0; i < s->listeners_n; i++)
        link_listener_drain(s->listeners[i]);
    on_drain_tick(&s->tick);
}

void relay_shard_post_drain(struct relay_shard *s)
{
    struct drain_mail *m;
    if (mem_new(&m).code != ERR_OK)
        return;
    m->mail.deliver = on_drain;
    m->shard = s;
    loop_post(s->loop, &m->mail);
}

/* ---- making one ---- */

static err open_listeners(struct relay_shard *s)
{
    const struct gateway_settings *set = s->common->settings;
    const struct link_limits limits = { .connections_max = (uint32_t)set->connections_max,
                                        .idle_ms = set->idle_timeout,
                                        .shared = true };
    for (size_t i = 0; i < set->listen_h2.n && i < LISTENERS_MAX; i++) {
        struct sock_addr addr;
        TRY(sock_addr_read(bytes_str(set->listen_h2.at[i]), &addr));
        TRY(link_listen(&s->listeners[i], s->loop, &addr, addr.tls ? s->common->listen_tls : NULL,
                        &limits, &relay_h2_events, s));
        s->listeners_n++;
    }
    return OK;
}

/* A gateway says where it verifies workers that it cannot reach one; here nobody else would. */
static void tell_connection(struct log *log, const struct balance_change *change)
{
    if (change->from == BALANCE_GONE)
        LOG_INFO(log, "worker connected", F_U64("worker", change->place));
    else if (change->to == BALANCE_GONE && change->place != SIZE_MAX)
        LOG_WARN(log, "worker's connection lost", F_U64("worker", change->place));
}

static void on_worker_changed(void *owner, const struct balance_change *change)
{
    struct relay_shard *s = owner;
    const struct relay_common *c = s->common;
    standing_tell(&c->metrics.standing, change, s->block, c->log);
    tell_connection(c->log, change);
    count_ready(s);
}

static err open_workers(struct relay_shard *s)
{
    struct relay_workers_settings settings = { .tls = s->common->worker_tls,
                                               .balance = setup_balance(s->common->settings),
                                               .ping_ms = s->common->settings->worker_ping,
                                               .changed = on_worker_changed,
                                               .owner = s };
    TRY(crypto_random(&settings.seed, sizeof settings.seed));
    TRY(relay_workers_new(&s->host.workers, s->loop, &settings));
    relay_workers_use(s->host.workers, s->common->workers);
    return OK;
}

static void on_turn_end(struct loop_hook *h)
{
    log_flush(CONTAINER_OF(h, struct relay_shard, log)->common->log);
}

static err open_all(struct relay_shard *s)
{
    TRY(loop_new(&s->loop));
    s->host = (struct relay_host){ .loop = s->loop,
                                   .body_max = s->common->settings->body_max,
                                   .idle_ms = s->common->settings->answer_timeout,
                                   .takes_tokens = s->common->tokens.n > 0,
                                   .settled = on_settled,
                                   .owner = s };
    TRY(metrics_block(s->common->metrics.set, &s->block));
    TRY(open_workers(s));
    TRY(setup_front(&s->front, s->loop, s->common->settings, &relay_h1_events, s));
    return open_listeners(s);
}

err relay_shard_new(struct relay_shard **out, const struct relay_common *common)
{
    struct relay_shard *s;
    TRY(mem_new(&s));
    s->common = common;
    err e = open_all(s);
    if (e.code != ERR_OK) {
        relay_shard_free(s);
        return e;
    }
    loop_hook_add(s->loop, &s->log, LOOP_ORDER_END, on_turn_end);
    *out = s;
    return OK;
}

static void on_ended(struct loop_mail *mail)
{
    struct relay_shard *s = CONTAINER_OF(mail, struct relay_shard, ended);
    s->common->ended(s->common->owner);
}

static void *run(void *arg)
{
    struct relay_shard *s = arg;
    loop_run(s->loop);
    s->ended.deliver = on_ended;
    loop_post(s->common->control, &s->ended);
    crypto_thread_end();
    return NULL;
}

err relay_shard_start(struct relay_shard *s)
{
    ENSURE(pthread_create(&s->thread, NULL, run, s) == 0, SYSTEM);
    s->started = true;
    return OK;
}

void relay_shard_free(struct relay_shard *s)
{
    if (s == NULL)
        return;
    if (s->started) {
        (void)pthread_join(s->thread, NULL);
        loop_deliver(s->common->control); /* its last word is kept in *s */
    }
    if (s->front != NULL)
        front_free(s->front);
    for (size_t i = 0; i < s->listeners_n; i++)
        link_listener_free(s->listeners[i]);
    if (s->loop != NULL) {
        /* One more turn: streams that were closed above tell their passes. */
        loop_timer_stop(&s->tick);
        loop_deliver(s->loop);
        loop_stop(s->loop);
        loop_run(s->loop);
    }
    relay_workers_free(s->host.workers);
    loop_free(s->loop);
    mem_free(s);
}
