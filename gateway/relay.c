#include "gateway/relay.h"

#include <signal.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "base/sock.h"
#include "crypto/tls.h"
#include "gateway/relay_shard.h"
#include "gateway/setup.h"

struct relay {
    struct relay_common common;
    struct loop_hook log_hook;
    struct discover *discover;
    struct metrics_block *block; /* the control thread's */
    atomic_size_t ready;         /* shards */
    size_t told;                 /* the place after those whose address was said */
    struct relay_shard *shards[SETUP_SHARDS_MAX];
    size_t shards_n;
    size_t running;
};

/* ---- what is counted ---- */

static const char *const KIND_WORDS[RELAY_KINDS] = {
    [RELAY_REFUSED] = "unsealed", [RELAY_UNKNOWN] = "unknown",   [RELAY_WRONG_METHOD] = "method",
    [RELAY_SEALED] = "sealed",    [RELAY_ASK] = "ask",           [RELAY_PROOF] = "proof",
    [RELAY_EHBP] = "ehbp",        [RELAY_EVIDENCE] = "evidence", [RELAY_HEALTH] = "healthz",
    [RELAY_READY] = "readyz",     [RELAY_METRICS] = "metrics",   [RELAY_ROSTER] = "workers",
};
static const char *const END_WORDS[] = { [RELAY_UNDER_WAY] = "under_way",
                                         [RELAY_COMPLETE] = "complete",
                                         [RELAY_BROKEN] = "broken_off",
                                         [RELAY_LEFT] = "client_left" };
static const char *const REFUSAL_WORDS[RELAY_REFUSALS] = { "not_sealed", "token", "quota",
                                                           "not_http", "draining" };
static const char *const WAY_WORDS[] = { "in", "out" };

static err open_metrics(struct relay_metrics *m)
{
    const struct metric_spec requests = { .name = "sealgate_relay_requests_total",
                                          .help = "Requests by what was asked and how it ended.",
                                          .labels = {
                                              { "kind", KIND_WORDS, RELAY_KINDS },
                                              { "end", END_WORDS, ARRAY_LEN(END_WORDS) } } };
    const struct metric_spec in_flight = { .name = "sealgate_relay_requests_in_flight",
                                           .help = "Requests being passed on now.",
                                           .kind = METRIC_GAUGE };
    const struct metric_spec refused = { .name = "sealgate_relay_refused_total",
                                         .help = "Requests that were not passed on, by cause.",
                                         .labels = { { "cause", REFUSAL_WORDS, RELAY_REFUSALS } } };
    const struct metric_spec traffic = { .name = "sealgate_relay_bytes_total",
                                         .help = "Bytes of bodies, from clients (in) and to them.",
                                         .labels = { { "way", WAY_WORDS, ARRAY_LEN(WAY_WORDS) } } };
    const struct metric_spec workers = { .name = "sealgate_relay_workers",
                                         .help = "Workers that the setting names now.",
                                         .kind = METRIC_GAUGE };
    const struct metric_spec sources = {
        .name = "sealgate_relay_worker_sources",
        .help = "What the setting names, by what became of the latest look at it.",
        .kind = METRIC_GAUGE,
        .labels = { { "state", discover_state_words, DISCOVER_STATES } }
    };
    TRY(metrics_new(&m->set));
    TRY(metrics_register(m->set, &requests, &m->requests));
    TRY(metrics_register(m->set, &in_flight, &m->in_flight));
    TRY(metrics_register(m->set, &refused, &m->refused));
    TRY(metrics_register(m->set, &workers, &m->workers));
    TRY(metrics_register(m->set, &sources, &m->sources));
    TRY(standing_register(m->set, &m->standing));
    return metrics_register(m->set, &traffic, &m->bytes);
}

/* ---- opening ---- */

/* What a relay could not keep to is not taken. */
static err read_tokens(struct relay_common *c, struct buf *message)
{
    TRY(setup_tokens(&c->tokens, c->settings, message));
    for (size_t i = 0; i < c->tokens.n; i++) {
        if (token_has_rules(&c->tokens.at[i]))
            return setup_complain(message, c->settings->tokens_file,
                                  "a relay cannot read requests, so it cannot keep to a key's own "
                                  "rules; leave them to the worker, and set token_rate and "
                                  "token_streams");
    }
    return OK;
}

static err open_quota(struct quota **out, uint64_t rate, uint64_t at_once)
{
    return rate > 0 || at_once > 0 ? quota_new(out, rate, at_once) : OK;
}

static err open_tls(struct relay_common *c, struct buf *message)
{
    const struct gateway_settings *s = c->settings;
    const struct tls_settings worker = { .ca_path = s->worker_ca, .alpn = "h2" };
    const struct tls_settings listen = { .cert_path = s->tls_cert,
                                         .key_path = s->tls_key,
                                         .alpn = "h2" };
    TRY(setup_tls_files(s, message));
    if (setup_uses_tls(&s->workers) &&
        tls_context_new(&c->worker_tls, &worker, false).code != ERR_OK)
        return setup_complain(message, "worker_ca", "has no certificates (PEM) in it");
    if (setup_uses_tls(&s->listen_h2) &&
        tls_context_new(&c->listen_tls, &listen, true).code != ERR_OK)
        return setup_complain(message, "tls_cert", SETUP_BAD_CERTIFICATE);
    return OK;
}

static void count_workers(struct relay *r)
{
    const struct relay_metrics *m = &r->common.metrics;
    metrics_gauge_set(r->block, m->workers, 0, 0, (int64_t)r->common.workers->n);
    for (unsigned i = 0; i < DISCOVER_STATES; i++)
        metrics_gauge_set(r->block, m->sources, i, 0, (int64_t)discover_count(r->discover, i));
}

/* Whose number is whose in all other lines. */
static void tell_addresses(struct relay *r)
{
    const struct worker_set *set = r->common.workers;
    for (size_t i = 0; i < set->n; i++) {
        if (set->at[i].place >= r->told)
            LOG_INFO(r->common.log, "worker found", F_U64("worker", set->at[i].place),
                     F_ADDR("address", &set->at[i].wish.addr));
    }
    r->told = set->next;
}

static void on_workers(void *owner)
{
    struct relay *r = owner;
    r->common.workers = discover_set(r->discover);
    tell_addresses(r);
    for (size_t i = 0; i < r->shards_n; i++)
        relay_shard_post_workers(r->shards[i], r->common.workers);
    count_workers(r);
}

/* Sources that are read at the start come before there is anything to count. */
static void on_sources_noted(void *owner)
{
    struct relay *r = owner;
    if (r->discover != NULL)
        count_workers(r);
}

static err open_discover(struct relay *r, struct buf *message)
{
    struct relay_common *c = &r->common;
    struct discover_settings settings = {
        .log = c->log, .changed = on_workers, .noted = on_sources_noted, .owner = r
    };
    TRY(metrics_block(c->metrics.set, &r->block));
    TRY(setup_discover(&r->discover, c->control, c->settings, &settings, message));
    c->workers = discover_set(r->discover);
    tell_addresses(r);
    count_workers(r);
    return OK;
}

static err open_shards(struct relay *r, struct buf *message)
{
    const struct gateway_settings *s = r->common.settings;
    TRY(setup_address(s->listen, message));
    for (size_t i = 0; i < s->listen_h2.n; i++)
        TRY(setup_address(s->listen_h2.at[i], message));
    for (r->common.shards = setup_shards(s); r->shards_n < r->common.shards; r->shards_n++) {
        err e = relay_shard_new(&r->shards[r->shards_n], &r->common);
        if (e.code == ERR_CONFIG)
            return setup_complain(message, "tls_cert", SETUP_BAD_CERTIFICATE);
        if (e.code != ERR_OK)
            return setup_complain(message, "an address of listen or listen_h2",
                                  sock_listen_advice(e));
    }
    return OK;
}

static void on_shard_ended(void *owner)
{
    struct relay *r = owner;
    r->running--;
    if (r->running == 0)
        loop_stop(r->common.control);
}

static void on_signal(void *owner, int signum)
{
    struct relay *r = owner;
    (void)signum;
    LOG_INFO(r->common.log, "draining");
    notify_manager(NOTIFY_STOPPING);
    for (size_t i = 0; i < r->shards_n; i++)
        relay_shard_post_drain(r->shards[i]);
}

/* Which would end it otherwise. */
static void on_reload(void *owner, int signum)
{
    struct relay *r = owner;
    (void)signum;
    LOG_WARN(r->common.log,
             "a relay looks for workers again, but reads its other files at its start "
             "only; start it anew");
    discover_reload(r->discover);
}

/* Who can reach us can also tell us to end: signals are heard before anything listens. */
static err open_all(struct relay *r, struct buf *message)
{
    struct relay_common *c = &r->common;
    const struct gateway_settings *s = c->settings;
    c->ended = on_shard_ended;
    c->owner = r;
    c->ready = &r->ready;
    TRY(log_open(&c->log, STDERR_FILENO, (enum log_level)s->log_level));
    TRY(loop_new(&c->control));
    TRY(loop_on_signal(c->control, SIGTERM, on_signal, r));
    TRY(loop_on_signal(c->control, SIGINT, on_signal, r));
    TRY(loop_on_signal(c->control, SIGHUP, on_reload, r));
    TRY(open_metrics(&c->metrics));
    TRY(read_tokens(c, message));
    TRY(open_quota(&c->by_token, s->token_rate, s->token_streams));
    TRY(open_quota(&c->by_address, s->address_rate, s->address_streams));
    TRY(open_quota(&c->by_asker, RELAY_PROOFS_PER_SECOND, 0));
    TRY(open_tls(c, message));
    TRY(open_discover(r, message));
    return open_shards(r, message);
}

/* ---- running ---- */

static void on_turn_end(struct loop_hook *h)
{
    log_flush(CONTAINER_OF(h, struct relay, log_hook)->common.log);
}

/* All or none: those that run already are told to end, twice, which is at once. */
static err start_shards(struct relay *r)
{
    err e = OK;
    while (r->running < r->shards_n && e.code == ERR_OK) {
        e = relay_shard_start(r->shards[r->running]);
        r->running += e.code == ERR_OK;
    }
    for (size_t i = 0; e.code != ERR_OK && i < r->running; i++) {
        relay_shard_post_drain(r->shards[i]);
        relay_shard_post_drain(r->shards[i]);
    }
    return e;
}

static err serve(struct relay *r)
{
    struct relay_common *c = &r->common;
    struct sock_addr addr;
    TRY(sock_addr_read(bytes_str(c->settings->listen), &addr));
    TRY(start_shards(r));
    LOG_INFO(c->log, "ready", F_WORD("mode", "relay"), F_ADDR("listen", &addr),
             F_U64("shards", r->shards_n));
    notify_manager(NOTIFY_READY);
    log_batch(c->log, true);
    loop_hook_add(c->control, &r->log_hook, LOOP_ORDER_END, on_turn_end);
    loop_run(c->control);
    log_batch(c->log, false);
    LOG_INFO(c->log, "stopped");
    return OK;
}

static void close_all(struct relay *r)
{
    struct relay_common *c = &r->common;
    for (size_t i = 0; i < r->shards_n; i++)
        relay_shard_free(r->shards[i]);
    if (c->control != NULL)
        loop_deliver(c->control);
    discover_free(r->discover);
    tls_context_free(c->worker_tls);
    tls_context_free(c->listen_tls);
    quota_free(c->by_token);
    quota_free(c->by_address);
    quota_free(c->by_asker);
    token_set_clear(&c->tokens);
    loop_free(c->control);
    metrics_free(c->metrics.set);
    log_close(c->log);
}

err relay_run(const struct gateway_settings *settings, struct buf *message)
{
    struct relay r = { .common = { .settings = settings } };
    err e = open_all(&r, message);
    if (e.code == ERR_OK)
        e = serve(&r);
    close_all(&r);
    return e;
}
