/* gateway/main.c - puts a gateway together from its settings, and takes it down again. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/harden.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/sock.h"
#include "crypto/init.h"
#include "crypto/tls.h"
#include "gateway/account.h"
#include "gateway/census.h"
#include "gateway/fleet.h"
#include "gateway/keeper.h"
#include "gateway/probe.h"
#include "gateway/relay.h"
#include "gateway/setup.h"
#include "gateway/shards.h"
#include "gateway/supply.h"
#include "gateway/tracer.h"
#include "gateway/trust.h"

enum { AGE_EVERY_MS = 1000, REPLY_MAX = 256 * 1024 };

struct program {
    struct config config;
    struct gateway_settings settings;
    struct loop *loop;
    struct log *log;
    struct log *usage;
    struct tracer *tracer;
    int usage_fd;
    struct loop_hook log_hook;
    struct metering metering;
    struct metrics_block *block;
    struct admit *admit; /* the latest */
    struct keeper *keeper;
    struct store *store;
    struct tls_context *worker_tls;
    struct buf worker_authorization;
    struct shard_common common;
    struct discover *discover;
    struct fleet *fleet;
    struct supply *supply;
    struct probe *probe;
    struct trust *trust;
    struct trust_view *view; /* the latest */
    struct loop_timer age;
    struct clock_watch clock;
    struct shards shards;
};

/* Who may ask, as tokens_file says now. Callers that were known keep what they have used. */
static err read_admit(struct program *p, struct admit **out, struct buf *message)
{
    const struct gateway_settings *s = &p->settings;
    struct token_set tokens = { 0 };
    TRY(setup_tokens(&tokens, s, message));
    err e = admit_new(out, &s->hosts, &s->cors_origins, &tokens);
    if (e.code == ERR_OK && p->admit != NULL)
        token_set_inherit(&(*out)->tokens, &p->admit->tokens);
    token_set_clear(&tokens);
    return e;
}

static err read_tokens(struct program *p, struct buf *message)
{
    const struct gateway_settings *s = &p->settings;
    BUF_AUTO token = BUF(4096);
    p->worker_authorization = BUF(8192);
    TRY(read_admit(p, &p->admit, message));
    if (s->worker_token_file != NULL) {
        err e = file_read_line(&token, s->worker_token_file);
        if (e.code != ERR_OK)
            return file_complain(message, s->worker_token_file, "worker_token_file", e);
        if (token.len == 0)
            return setup_complain(message, s->worker_token_file, "has no token in its first line");
        TRY(buf_add_str(&p->worker_authorization, "Bearer "));
        TRY(buf_add(&p->worker_authorization, buf_view(&token)));
    }
    return OK;
}

static err open_store(struct program *p, struct buf *message)
{
    const struct store_settings settings = { .path = p->settings.receipts,
                                             .max_bytes = p->settings.receipts_max,
                                             .max_age_s = p->settings.receipts_age };
    if (p->settings.receipts == NULL)
        return setup_complain(message, "receipts", "needs a path, or :memory:");
    if (store_open(&p->store, &settings).code != ERR_OK)
        return setup_complain(
            message, p->settings.receipts,
            "cannot be opened as the database of receipts; is it writable, and not "
            "in use by another gateway?");
    return OK;
}

static err open_tracer(struct program *p)
{
    const struct tracer_settings settings = { .url = p->settings.otlp,
                                              .service = "sealgate-gateway",
                                              .log = p->log };
    return settings.url != NULL ? tracer_new(&p->tracer, p->loop, &settings) : OK;
}

static err open_supply(struct program *p, struct buf *message)
{
    const struct supply_settings settings = { .folder = p->settings.collateral,
                                              .intel = p->settings.intel_pcs,
                                              .amd = p->settings.amd_kds,
                                              .ocsp = p->settings.nvidia_ocsp,
                                              .rim = p->settings.nvidia_rim,
                                              .nras = p->settings.nvidia_nras,
                                              .ca_path = p->settings.collateral_ca,
                                              .offline = p->settings.collateral_offline,
                                              .log = p->log };
    err e = supply_open(&p->supply, p->loop, &settings);
    if (e.code == ERR_CONFIG)
        return setup_complain(
            message, "collateral",
            "the folder or collateral_ca cannot be used; offline the folder has to be "
            "there");
    return e;
}

/* ---- control ---- */

/* Evidence is judged by its dates. When the clock was set, or the machine slept, what was accepted may
 * have ended, and who was refused for them need not wait for his next turn. */
static void look_at_clock(struct program *p)
{
    if (!clock_watch_was_set(&p->clock))
        return;
    LOG_WARN(p->log, "the clock was set: verifying all workers anew");
    trust_use_policy(p->trust, keeper_policy(p->keeper));
}

static void on_age(struct loop_timer *t)
{
    struct program *p = CONTAINER_OF(t, struct program, age);
    look_at_clock(p);
    if (p->view != NULL)
        census_age(&p->metering, p->block, p->view, clock_wall_s());
    if (p->tracer != NULL)
        metrics_gauge_set(p->block, p->metering.spans_dropped, 0, 0,
                          (int64_t)tracer_dropped(p->tracer));
    loop_timer_start(p->loop, t, AGE_EVERY_MS, on_age);
}

static void on_published(void *owner, struct trust_view *view)
{
    struct program *p = owner;
    trust_view_ref(view);
    trust_view_unref(p->view);
    p->view = view;
    census_workers(&p->metering, p->block, view);
    for (unsigned i = 0; i < DISCOVER_STATES; i++)
        metrics_gauge_set(p->block, p->metering.sources, i, 0,
                          (int64_t)discover_count(p->discover, i));
    shards_post_view(&p->shards, view);
    fleet_note(p->fleet, view);
    probe_update(p->probe, view);
    metrics_gauge_set(p->block, p->metering.sick, 0, 0, (int64_t)probe_sick(p->probe));
}

static void on_found(void *owner, struct findings *findings)
{
    struct program *p = owner;
    metrics_gauge_set(p->block, p->metering.sick, 0, 0, (int64_t)probe_sick(p->probe));
    shards_post_findings(&p->shards, findings);
}

static err open_probe(struct program *p)
{
    const struct probe_settings settings = { .every_ms = p->settings.worker_probe,
                                             .tls = p->worker_tls,
                                             .authorization = buf_view(&p->worker_authorization),
                                             .log = p->log,
                                             .found = on_found,
                                             .owner = p };
    return probe_new(&p->probe, p->loop, &settings);
}

static void on_policy(void *owner, const struct policy *policy)
{
    struct program *p = owner;
    trust_use_policy(p->trust, policy);
}

static void on_policy_noted(void *owner)
{
    struct program *p = owner;
    trust_publish(p->trust);
}

static void describe_policy(void *owner, struct json_out *j)
{
    struct program *p = owner;
    keeper_write(p->keeper, j);
    discover_write(p->discover, j);
}

static err open_keeper(struct program *p, struct buf *message)
{
    const struct keeper_settings settings = { .path = p->settings.policy,
                                              .keys = &p->settings.policy_key,
                                              .state = p->settings.policy_state,
                                              .log = p->log,
                                              .metering = &p->metering,
                                              .block = p->block,
                                              .changed = on_policy,
                                              .noted = on_policy_noted,
                                              .owner = p };
    return keeper_open(&p->keeper, p->loop, &settings, message);
}

static void on_stale(void *owner, size_t place)
{
    struct program *p = owner;
    if (p->trust != NULL)
        trust_hurry(p->trust, place);
}

static void on_shard_ended(void *owner)
{
    struct program *p = owner;
    if (shards_end_one(&p->shards))
        loop_stop(p->loop);
}

static void on_turn_end(struct loop_hook *h)
{
    log_flush(CONTAINER_OF(h, struct program, log_hook)->log);
}

/* All or nothing: a file with a mistake changes nothing. */
static void reload_tokens(struct program *p)
{
    struct admit *fresh;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    if (p->settings.tokens_file == NULL)
        return;
    err e = read_admit(p, &fresh, &message);
    if (e.code != ERR_OK) {
        LOG_ERROR(p->log, "tokens_file cannot be used; the keys of before stay", F_ERR(e));
        return;
    }
    admit_unref(p->admit);
    p->admit = fresh;
    e = shards_post_admit(&p->shards, fresh);
    if (e.code != ERR_OK)
        LOG_ERROR(p->log, "some threads keep the keys of before; send SIGHUP again", F_ERR(e));
    LOG_INFO(p->log, "keys read anew", F_U64("keys", fresh->tokens.n));
}

static void on_reload(void *owner, int signum)
{
    struct program *p = owner;
    (void)signum;
    reload_tokens(p);
    keeper_reload(p->keeper);
    discover_reload(p->discover);
}

static void on_signal(void *owner, int signum)
{
    struct program *p = owner;
    (void)signum;
    LOG_INFO(p->log, "draining");
    notify_manager(NOTIFY_STOPPING);
    shards_drain(&p->shards);
}

/* ---- together ---- */

static err open_shards(struct program *p, struct buf *message)
{
    p->common = (struct shard_common){
        .settings = &p->settings,
        .admit = p->admit,
        .log = p->log,
        .usage = p->usage,
        .tracer = p->tracer,
        .metering = &p->metering,
        .store = p->store,
        .worker_tls = p->worker_tls,
        .worker_authorization = buf_view(&p->worker_authorization),
        .control = p->loop,
        .stale = on_stale,
        .ended = on_shard_ended,
        .owner = p,
    };
    return shards_open(&p->shards, &p->common, message);
}

static void on_addresses(void *owner)
{
    struct program *p = owner;
    fleet_use(p->fleet, discover_set(p->discover));
}

static void on_workers(void *owner)
{
    struct program *p = owner;
    trust_use_workers(p->trust, fleet_set(p->fleet));
}

/* Sources that are read at the start come before there is anything to show. */
static void on_sources_noted(void *owner)
{
    struct program *p = owner;
    if (p->trust != NULL)
        trust_publish(p->trust);
}

static err open_discover(struct program *p, struct buf *message)
{
    struct discover_settings settings = {
        .log = p->log, .changed = on_addresses, .noted = on_sources_noted, .owner = p
    };
    return setup_discover(&p->discover, p->loop, &p->settings, &settings, message);
}

static err open_fleet(struct program *p)
{
    const struct fleet_settings settings = { .addresses = discover_set(p->discover),
                                             .tls = p->worker_tls,
                                             .log = p->log,
                                             .changed = on_workers,
                                             .owner = p };
    return fleet_new(&p->fleet, p->loop, &settings);
}

static err open_trust(struct program *p)
{
    const struct trust_settings settings = {
        .workers = fleet_set(p->fleet),
        .tls = p->worker_tls,
        .policy = keeper_policy(p->keeper),
        .refresh_s = p->settings.refresh,
        .supply = p->supply,
        .store = p->store,
        .log = p->log,
        .published = on_published,
        .describe = describe_policy,
        .owner = p,
    };
    TRY(trust_new(&p->trust, p->loop, &settings));
    trust_publish(p->trust); /* whom there is to verify */
    return OK;
}

/* Who can reach us can also tell us to end: signals are heard before anything listens. */
static err open_all(struct program *p, struct buf *message)
{
    const struct tls_settings tls = { .ca_path = p->settings.worker_ca, .alpn = "h2" };
    TRY(log_open(&p->log, STDERR_FILENO, (enum log_level)p->settings.log_level));
    if (p->settings.usage_log != NULL &&
        account_log_open(&p->usage, &p->usage_fd, p->settings.usage_log).code != ERR_OK)
        return setup_complain(message, "usage_log", "cannot be written");
    TRY(loop_new(&p->loop));
    TRY(loop_on_signal(p->loop, SIGTERM, on_signal, p));
    TRY(loop_on_signal(p->loop, SIGINT, on_signal, p));
    TRY(metering_init(&p->metering));
    TRY(metrics_block(p->metering.set, &p->block));
    TRY(open_keeper(p, message));
    TRY(setup_tls_files(&p->settings, message));
    TRY(read_tokens(p, message));
    if (setup_uses_tls(&p->settings.workers) &&
        tls_context_new(&p->worker_tls, &tls, false).code != ERR_OK)
        return setup_complain(message, "worker_ca", "has no certificates (PEM) in it");
    TRY(open_store(p, message));
    TRY(open_tracer(p));
    TRY(open_shards(p, message));
    TRY(open_supply(p, message));
    TRY(open_discover(p, message));
    TRY(open_fleet(p));
    TRY(open_probe(p));
    return open_trust(p);
}

static err run(struct program *p)
{
    struct sock_addr addr;
    TRY(sock_addr_read(bytes_str(p->settings.listen), &addr));
    TRY(loop_on_signal(p->loop, SIGHUP, on_reload, p));
    TRY(shards_start(&p->shards));
    clock_watch_begin(&p->clock);
    on_age(&p->age);
    LOG_INFO(p->log, "ready", F_ADDR("listen", &addr), F_U64("shards", p->shards.n));
    notify_manager(NOTIFY_READY);
    log_batch(p->log, true);
    log_batch(p->usage, true);
    loop_hook_add(p->loop, &p->log_hook, LOOP_ORDER_END, on_turn_end);
    loop_run(p->loop);
    log_batch(p->log, false);
    LOG_INFO(p->log, "stopped");
    return OK;
}

static void close_all(struct program *p)
{
    fleet_free(p->fleet);
    trust_free(p->trust);
    p->trust = NULL;
    probe_free(p->probe);
    discover_free(p->discover);
    supply_close(p->supply);
    trust_view_unref(p->view);
    loop_timer_stop(&p->age);
    store_close(p->store); /* delivers what is stored to the shards' loops */
    shards_free(&p->shards);
    if (p->loop != NULL)
        loop_deliver(p->loop);
    tracer_free(p->tracer);
    tls_context_free(p->worker_tls);
    keeper_close(p->keeper);
    admit_unref(p->admit);
    buf_clear(&p->worker_authorization);
    loop_free(p->loop);
    metering_clear(&p->metering);
    log_close(p->log);
    if (p->usage != NULL) {
        log_close(p->usage);
        (void)close(p->usage_fd);
    }
    crypto_thread_end();
}

static err start(struct program *p, int argc, char **argv, struct buf *message)
{
    BUF_AUTO reply = BUF(REPLY_MAX);
    TRY(harden_process());
    TRY(harden_allow_files());
    mem_tune();
    TRY(crypto_init());
    TRY(config_load(&p->config, &gateway_program, &p->settings, argc, argv, environ, message));
    if (config_reply(&p->config, &gateway_program, &p->settings, &reply)) {
        (void)fputs(buf_str(&reply), stdout);
        return OK;
    }
    TRY(gateway_settings_check(&p->config, &p->settings, message));
    if (p->settings.mode == GATEWAY_RELAY)
        return relay_run(&p->settings, message);
    TRY(open_all(p, message));
    return run(p);
}

int main(int argc, char **argv)
{
    static struct program program;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    err e = start(&program, argc, argv, &message);
    if (e.code != ERR_OK)
        (void)fprintf(stderr, "sealgate-gateway: %s%s\n",
                      message.len > 0 ? buf_str(&message) : "cannot start: ",
                      message.len > 0 ? "" : err_text(e));
    close_all(&program);
    config_clear(&program.config);
    return e.code == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
