/* enclave-worker/main.c - puts a worker together from its settings, and takes it down again. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "attest/claims.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/harden.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/sock.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/secret.h"
#include "crypto/tls.h"
#include "enclave-worker/engine_demo.h"
#include "enclave-worker/engine_http.h"
#include "enclave-worker/engine_plain.h"
#include "enclave-worker/engine_responses.h"
#include "enclave-worker/engine_route.h"
#include "enclave-worker/gpu.h"
#include "enclave-worker/responses_job.h"
#include "enclave-worker/secrets.h"
#include "enclave-worker/tee.h"
#include "enclave-worker/thim.h"
#include "enclave-worker/worker.h"
#include "wire/names.h"

/* FAREWELL_MS: for connections to end, so that the last bytes are not lost with a reset. */
enum { DRAIN_TICK_MS = 50, FAREWELL_MS = 1500, REPLY_MAX = 256 * 1024, USAGE_MODE = 0600 };

struct program {
    struct config config;
    struct worker_settings settings;
    struct worker worker;
    int usage_fd;
    struct engines *engines; /* NULL: only one */
    struct manifest manifest;
    struct buf manifest_file;
    struct tls_context *tls;
    struct gpu *gpu;
    struct thim *thim;
    struct responses_jobs *responses;
    struct link_listener *listeners[WORKER_LISTENERS_MAX];
    size_t listeners_n;
    struct loop_timer drain;
    struct loop_hook log_hook;
    uint64_t drain_until_ms;
    bool said_all; /* draining, and no request is under way any more */
};

static err complain(struct buf *message, const char *name, const char *what)
{
    TRY(buf_addf(message, "%s: %s", name, what));
    FAIL(CONFIG);
}

static err open_engine(struct program *p, const struct engines_entry *at, struct engine **out,
                       struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    const struct engine_demo_settings demo = { .token_ms = s->demo_pace };
    const struct engine_http_settings http = {
        .url = at->url,
        .ca_path = at->ca != NULL ? at->ca : s->engine_ca,
        .token_path = at->token_file,
        .connect_ms = s->engine_connect_timeout,
        .first_byte_ms = s->engine_first_byte_timeout,
        .idle_ms = s->engine_idle_timeout,
        .calls_max = s->engine_calls_max,
    };
    const struct engine_responses_settings responses = {
        .mode = (enum responses_mode)s->responses,
        .refuse_tools = s->responses_tools != 0,
        .jobs = p->responses,
    };
    struct engine *inner = NULL;
    err e = strcmp(at->url, "demo") == 0 ? engine_demo_new(&inner, p->worker.loop, &demo)
            : bytes_starts(bytes_str(at->url), BYTES_LIT("https://"))
                ? engine_http_new(&inner, p->worker.loop, &http)
                : engine_plain_new(&inner, p->worker.loop, &http);
    if (e.code != ERR_OK)
        return complain(message, at->name,
                        "must be demo, http://HOST:PORT, https://HOST:PORT or unix:PATH, with a "
                        "token_file that can be read");
    e = engine_responses_new(out, p->worker.loop, inner, &responses);
    if (e.code != ERR_OK)
        engine_free(inner);
    return e;
}

/* The identity's first digits lead follow-ups back to the worker that keeps what they are about. */
static err open_responses(struct program *p)
{
    const uint8_t *identity = signing_key_public(keys_identity(p->worker.keys));
    BUF_AUTO tag = BUF(RESPONSES_TAG_LEN);
    TRY(text_hex_encode(&tag, bytes_of(identity, RESPONSES_TAG_LEN / 2)));
    const struct responses_jobs_settings settings = { .store_max = p->settings.responses_store,
                                                      .store_ms = p->settings.responses_life,
                                                      .held_max = p->settings.held_max,
                                                      .tag = buf_str(&tag) };
    return responses_jobs_new(&p->responses, p->worker.loop, &settings);
}

static err read_engines(struct program *p, struct buf *message)
{
    const char *path = p->settings.engines;
    BUF_AUTO text = BUF(YAML_INPUT_MAX);
    if (path == NULL)
        return OK;
    if (file_read(&text, path).code != ERR_OK)
        return complain(message, path, "cannot be read (engines)");
    TRY(engines_read(&p->engines, buf_view(&text), path, message));
    for (size_t i = 0; i < p->engines->entries_n; i++) {
        if (p->engines->entries[i].token_file != NULL && p->settings.secrets == SECRETS_SEALED)
            return complain(message, path, "a token_file here cannot be sealed yet");
    }
    return OK;
}

static err join_engines(struct program *p, struct engine *const *engines)
{
    const struct engine_route_settings settings = { .table = p->engines,
                                                    .engines = engines,
                                                    .salt = p->settings.cache_salt };
    if (settings.table != NULL || p->settings.tokens_file != NULL)
        return engine_route_new(&p->worker.engine, p->worker.loop, &settings);
    p->worker.engine = engines[0];
    return OK;
}

static err open_engines(struct program *p, struct buf *message)
{
    const struct engines_entry only = { .name = "engine", .url = p->settings.engine };
    struct engine *engines[ENGINES_MAX] = { 0 };
    TRY(read_engines(p, message));
    const struct engines_entry *entries = p->engines != NULL ? p->engines->entries : &only;
    size_t n = p->engines != NULL ? p->engines->entries_n : 1;
    err e = OK;
    for (size_t i = 0; i < n && e.code == ERR_OK; i++)
        e = open_engine(p, &entries[i], &engines[i], message);
    if (e.code == ERR_OK)
        e = join_engines(p, engines);
    for (size_t i = 0; i < n && e.code != ERR_OK; i++)
        engine_free(engines[i]);
    return e;
}

static err read_manifest(struct program *p, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    p->manifest_file = BUF(MANIFEST_MAX);
    if (s->manifest == NULL)
        return OK;
    if (file_read(&p->manifest_file, s->manifest).code != ERR_OK)
        return complain(message, s->manifest, "cannot be read (manifest)");
    return manifest_read(&p->manifest, buf_view(&p->manifest_file), message);
}

static err read_engine_token(struct program *p, const struct secrets *secrets, struct buf *message)
{
    const char *path = p->settings.engine_token_file;
    BUF_AUTO token = BUF(4096);
    if (path == NULL)
        return OK;
    TRY(secrets_read_line(secrets, path, &token, message));
    if (token.len == 0)
        return complain(message, path, "has no token in its first line");
    TRY(buf_add_str(&p->worker.engine_authorization, "Bearer "));
    return buf_add(&p->worker.engine_authorization, buf_view(&token));
}

static err read_tokens(struct program *p, const struct secrets *secrets, struct buf *message)
{
    const char *path = p->settings.tokens_file;
    BUF_AUTO tokens = BUF(TOKEN_FILE_MAX);
    if (path == NULL)
        return OK;
    TRY(secrets_read(secrets, path, &tokens, message));
    return token_set_read(&p->worker.tokens, buf_view(&tokens), message);
}

/* Which key it is does not change with the platform, so whoever holds the disk must not have it. */
static err read_pool_key(struct program *p, const struct secrets *secrets, struct pool_key *key,
                         struct buf *message)
{
    const char *path = p->settings.pool_key_file;
    bool protects = prove_verdict(p->worker.prove)->trust != TRUST_SIMULATED;
    BUF_AUTO text = BUF(4096);
    if (p->settings.secrets != SECRETS_SEALED && protects)
        return complain(message, path, "must be sealed to this TEE; set secrets");
    TRY(secrets_read_line(secrets, path, &text, message));
    if (pool_key_read(buf_view(&text), key).code != ERR_OK)
        return complain(message, path, "must have 64 hex digits in its first line");
    return OK;
}

static err open_pool(struct program *p, const struct secrets *secrets, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    const char *address = s->replay_keeper != NULL ? s->replay_keeper : s->replay_keeper_listen;
    struct sock_addr addr;
    SECRET(struct pool_key, key);
    if (s->pool_key_file == NULL)
        return OK;
    TRY(read_pool_key(p, secrets, &key, message));
    TRY(sock_addr_read(bytes_str(address), &addr));
    TRY(keys_share(p->worker.keys, &key));
    const struct pool_settings settings = {
        .set = { .key = &key,
                 .key_life_s = (uint32_t)s->key_life,
                 .key_grace_s = (uint32_t)s->key_grace,
                 .date_window_s = (uint32_t)s->date_window,
                 .entries_max = s->replay_max },
        .listen = s->replay_keeper_listen != NULL ? &addr : NULL,
        .keeper = s->replay_keeper != NULL ? &addr : NULL,
        .keys = p->worker.keys,
        .log = p->worker.log,
    };
    if (pool_new(&p->worker.pool, p->worker.loop, &settings).code != ERR_OK)
        return complain(message, address,
                        "cannot be used for the pool; is it in use, or not ours?");
    return OK;
}

/* Once it is known which TEE this is. */
static err read_secrets(struct program *p, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    const struct secrets_settings settings = {
        .sealed = s->secrets == SECRETS_SEALED,
        .platform = prove_verdict(p->worker.prove)->platform,
        .key_id = s->secrets_key_id,
        .key_service = s->secrets_key_service,
        .key_file = s->secrets_key_file,
    };
    struct secrets *secrets = NULL;
    TRY(secrets_open(&secrets, &settings, message));
    p->worker.engine_authorization = BUF(8192);
    err e = read_tokens(p, secrets, message);
    if (e.code == ERR_OK)
        e = read_engine_token(p, secrets, message);
    if (e.code == ERR_OK)
        e = open_pool(p, secrets, message);
    secrets_close(secrets);
    return e;
}

static err open_keys(struct program *p)
{
    const struct worker_settings *s = &p->settings;
    const struct keys_settings settings = { .worker_name = s->name,
                                            .life_s = (uint32_t)s->key_life,
                                            .ahead_s = (uint32_t)s->key_ahead,
                                            .grace_s = (uint32_t)s->key_grace,
                                            .ehbp = s->door_ehbp,
                                            .pooled = s->pool_key_file != NULL };
    uint32_t arrival_s = (uint32_t)(s->request_timeout / 1000 + 1);
    TRY(keys_new(&p->worker.keys, p->worker.loop, &settings));
    /* Nothing dates an EHBP request: its key is remembered for as long as ours opens it. */
    uint32_t undated_s = keys_span_s(&settings) + arrival_s;
    if (s->door_ehbp)
        TRY(replay_new(&p->worker.ehbp_replay, undated_s, s->replay_max));
    uint32_t dated_s = worker_settings_memory_s(s);
    return replay_new(&p->worker.replay, s->date_required ? dated_s : undated_s, s->replay_max);
}

static err open_thim(struct program *p, struct buf *message)
{
    const char *url = p->settings.azure_certificates;
    if (url == NULL || bytes_equal(bytes_str(url), BYTES_LIT("off")))
        return OK;
    err e = thim_new(&p->thim, url, p->worker.log);
    if (e.code != ERR_CONFIG)
        return e;
    return complain(message, "azure_certificates", "off, or a URL that begins with http://");
}

static err open_gpu(struct program *p, struct buf *message)
{
    enum gpu_found found;
    TRY(gpu_open(&p->gpu, (enum gpu_use)p->settings.gpu, NULL, &found, message));
    if (found == GPU_PRIVATE)
        LOG_INFO(p->worker.log, "showing evidence of GPUs");
    if (found == GPU_NOT_PRIVATE)
        LOG_WARN(p->worker.log, "GPUs are not in confidential mode, so evidence leaves them out");
    return OK;
}

static err open_proof(struct program *p, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    struct prove_settings proof = { .identity = keys_identity(p->worker.keys) };
    BUF_AUTO encoded = BUF(CLAIMS_MAX);
    const struct claims claims = {
        .model = p->manifest.present ? buf_view(&p->manifest.model_id) : BYTES_LIT("unspecified"),
        .worker = bytes_str(s->name),
        .software = BYTES_LIT(SEALGATE_VERSION),
        .model_version =
            p->manifest.present ? buf_view(&p->manifest.model_version) : BYTES_LIT("unmanifested"),
        .manifest_digest = p->manifest.present ? BYTES_ARRAY(p->manifest.digest) : (bytes){ 0 },
    };
    TRY(claims_write(&encoded, &claims));
    proof.claims = buf_view(&encoded);
    TRY(open_gpu(p, message));
    proof.gpu = p->gpu;
    TRY(open_thim(p, message));
    TRY(tee_open(&proof.attester, tee_words[s->platform], s->image, p->thim, message));
    LOG_INFO(p->worker.log, "making evidence",
             F_WORD_OF("platform", tee_log_word(proof.attester->kind->platform)));
    err e = prove_new(&p->worker.prove, p->worker.loop, &proof, message);
    if (e.code != ERR_OK && message->len == 0)
        return complain(message, "platform", "the TEE is there, but gives no evidence now");
    return e;
}

static err open_issuer(struct program *p, struct buf *message)
{
    BUF_AUTO effective = BUF(256 * 1024);
    uint8_t digest[SHA256_LEN];
    TRY(config_print(&worker_program, &p->settings, &effective));
    sha256_of(buf_view(&effective), digest);
    const struct issuer_settings settings = {
        .identity = keys_identity(p->worker.keys),
        .evidence = prove_verdict(p->worker.prove),
        .manifest = &p->manifest,
        .issuer = p->settings.issuer ? p->settings.issuer : p->settings.name,
        .settings_digest = digest,
        .engine = engine_describe(p->worker.engine),
    };
    err e = issuer_new(&p->worker.issuer, &settings);
    if (e.code == ERR_UNSUPPORTED)
        return complain(message, "platform",
                        "receipts have no form yet for what this TEE measures, and nothing is "
                        "answered without a receipt");
    return e;
}

static const char *const OUTCOME_WORDS[WORKER_OUTCOMES] = { "answered", "refused", "engine_failed",
                                                            "client_gone" };
static const uint64_t BUCKETS_US[] = { 1000,     5000,     10000,     25000,    50000,   100000,
                                       250000,   500000,   1000000,   2500000,  5000000, 10000000,
                                       30000000, 60000000, 120000000, 300000000 };

static err open_metrics(struct worker_metrics *m)
{
    const struct metric_spec sessions = { .name = "sealgate_worker_sessions_total",
                                          .help = "Sealed requests by how they ended.",
                                          .labels = {
                                              { "outcome", OUTCOME_WORDS, WORKER_OUTCOMES } } };
    const struct metric_spec in_flight = { .name = "sealgate_worker_sessions_in_flight",
                                           .help = "Sealed requests being served now.",
                                           .kind = METRIC_GAUGE };
    const struct metric_spec receipts = { .name = "sealgate_worker_receipts_total",
                                          .help = "Receipts signed." };
    const struct metric_spec attestations = { .name = "sealgate_worker_attestations_total",
                                              .help = "Attestation bundles given out." };
    const struct metric_spec first = { .name = "sealgate_worker_engine_first_byte_seconds",
                                       .help =
                                           "From a sealed request's arrival to the engine's "
                                           "first byte.",
                                       .kind = METRIC_HISTOGRAM,
                                       .unit = METRIC_SECONDS,
                                       .buckets_us = BUCKETS_US,
                                       .buckets_n = ARRAY_LEN(BUCKETS_US) };
    struct metric_spec duration = first;
    duration.name = "sealgate_worker_session_seconds";
    duration.help = "From a sealed request's arrival to the end of its answer.";
    TRY(metrics_new(&m->set));
    TRY(metrics_register(m->set, &sessions, &m->sessions));
    TRY(metrics_register(m->set, &in_flight, &m->in_flight));
    TRY(metrics_register(m->set, &receipts, &m->receipts));
    TRY(metrics_register(m->set, &attestations, &m->attestations));
    TRY(metrics_register(m->set, &first, &m->first_byte));
    TRY(metrics_register(m->set, &duration, &m->duration));
    TRY(pool_metrics_register(m->set, &m->pool));
    return metrics_block(m->set, &m->block);
}

static err open_tls(struct program *p)
{
    const struct worker_settings *s = &p->settings;
    const struct tls_settings settings = { .cert_path = s->tls_cert,
                                           .key_path = s->tls_key,
                                           .alpn = "h2" };
    return s->tls_cert != NULL ? tls_context_new(&p->tls, &settings, true) : OK;
}

static err listen_all(struct program *p, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    const struct link_limits limits = {
        .streams_max = (uint32_t)s->streams_max,
        .connections_max = (uint32_t)s->connections_max,
    };
    if (open_tls(p).code != ERR_OK)
        return complain(message, "tls_cert", "the certificate or key cannot be used");
    for (size_t i = 0; i < s->listen.n; i++) {
        struct sock_addr addr;
        TRY(sock_addr_read(bytes_str(s->listen.at[i]), &addr));
        err e = link_listen(&p->listeners[p->listeners_n], p->worker.loop, &addr,
                            addr.tls ? p->tls : NULL, &limits, &worker_link_events, &p->worker);
        if (e.code != ERR_OK)
            return complain(message, s->listen.at[i], sock_listen_advice(e));
        LOG_INFO(p->worker.log, "listening",
                 F_ADDR("address", link_listener_addr(p->listeners[p->listeners_n])));
        p->listeners_n++;
    }
    return OK;
}

static void on_signal(void *owner, int signum);

/* Who can reach us can also tell us to end: signals are heard before anything listens. */
static err open_usage(struct program *p, struct buf *message)
{
    const char *path = p->settings.usage_log;
    if (path == NULL)
        return OK;
    p->usage_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, USAGE_MODE);
    if (p->usage_fd < 0)
        return complain(message, "usage_log", "cannot be written");
    return log_open(&p->worker.usage, p->usage_fd, LOG_LEVEL_INFO);
}

static err open_all(struct program *p, struct buf *message)
{
    struct worker *w = &p->worker;
    w->settings = &p->settings;
    TRY(log_open(&w->log, STDERR_FILENO, (enum log_level)p->settings.log_level));
    TRY(open_usage(p, message));
    TRY(loop_new(&w->loop));
    TRY(loop_on_signal(w->loop, SIGTERM, on_signal, p));
    TRY(loop_on_signal(w->loop, SIGINT, on_signal, p));
    TRY(open_metrics(&w->metrics));
    TRY(read_manifest(p, message));
    TRY(open_keys(p));
    TRY(open_responses(p));
    TRY(open_engines(p, message));
    TRY(open_proof(p, message));
    TRY(read_secrets(p, message));
    TRY(open_issuer(p, message));
    return listen_all(p, message);
}

static void turn_once(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_stop(loop);
    loop_run(loop);
}

static void close_all(struct program *p)
{
    struct worker *w = &p->worker;
    for (size_t i = 0; i < p->listeners_n; i++)
        link_listener_free(p->listeners[i]);
    loop_timer_stop(&p->drain);
    /* One more turn each: streams that were closed tell their sessions, and those go before the pool. */
    turn_once(w->loop);
    pool_free(w->pool);
    turn_once(w->loop);
    issuer_free(w->issuer);
    prove_free(w->prove);
    gpu_close(p->gpu);
    thim_free(p->thim);
    if (w->loop != NULL)
        loop_deliver(w->loop);
    replay_free(w->replay);
    replay_free(w->ehbp_replay);
    keys_free(w->keys);
    engine_free(w->engine);
    responses_jobs_free(p->responses);
    engines_free(p->engines);
    token_set_clear(&w->tokens);
    buf_clear(&w->engine_authorization);
    manifest_clear(&p->manifest);
    buf_clear(&p->manifest_file);
    tls_context_free(p->tls);
    loop_free(w->loop);
    metrics_free(w->metrics.set);
    log_close(w->log);
    log_close(w->usage);
    if (p->usage_fd > 0)
        (void)close(p->usage_fd);
    crypto_thread_end();
}

static bool is_connected(const struct program *p)
{
    for (size_t i = 0; i < p->listeners_n; i++) {
        if (link_listener_links(p->listeners[i]) > 0)
            return true;
    }
    return false;
}

static void on_drain_tick(struct loop_timer *t)
{
    struct program *p = CONTAINER_OF(t, struct program, drain);
    uint64_t now_ms = loop_now_ms(p->worker.loop);
    bool quiet = p->worker.sessions_n == 0;
    if (quiet && !p->said_all && p->drain_until_ms > now_ms + FAREWELL_MS)
        p->drain_until_ms = now_ms + FAREWELL_MS;
    p->said_all = p->said_all || quiet;
    if ((quiet && !is_connected(p)) || now_ms >= p->drain_until_ms)
        loop_stop(p->worker.loop);
    else
        loop_timer_start(p->worker.loop, t, DRAIN_TICK_MS, on_drain_tick);
}

/* The first signal lets what runs finish; the second ends at once. */
static void on_signal(void *owner, int signum)
{
    struct program *p = owner;
    (void)signum;
    if (p->worker.draining) {
        loop_stop(p->worker.loop);
        return;
    }
    p->worker.draining = true;
    p->drain_until_ms = loop_now_ms(p->worker.loop) + p->settings.drain_timeout;
    LOG_INFO(p->worker.log, "draining", F_U64("sessions", p->worker.sessions_n));
    notify_manager(NOTIFY_STOPPING);
    for (size_t i = 0; i < p->listeners_n; i++)
        link_listener_drain(p->listeners[i]);
    on_drain_tick(&p->drain);
}

static void on_turn_end(struct loop_hook *h)
{
    const struct worker *w = &CONTAINER_OF(h, struct program, log_hook)->worker;
    log_flush(w->usage);
    log_flush(w->log);
}

static err run(struct program *p)
{
    if (prove_verdict(p->worker.prove)->trust == TRUST_SIMULATED)
        LOG_WARN(p->worker.log,
                 "SIMULATED TEE: nothing protects this worker; receipts say evaluation");
    LOG_INFO(p->worker.log, "ready");
    notify_manager(NOTIFY_READY);
    log_batch(p->worker.log, true);
    log_batch(p->worker.usage, true);
    loop_hook_add(p->worker.loop, &p->log_hook, LOOP_ORDER_END, on_turn_end);
    loop_run(p->worker.loop);
    log_batch(p->worker.log, false);
    LOG_INFO(p->worker.log, "stopped");
    return OK;
}

static err start(struct program *p, int argc, char **argv, struct buf *message)
{
    BUF_AUTO reply = BUF(REPLY_MAX);
    TRY(harden_process());
    TRY(harden_allow_files());
    mem_tune();
    TRY(crypto_init());
    TRY(config_load(&p->config, &worker_program, &p->settings, argc, argv, environ, message));
    if (config_reply(&p->config, &worker_program, &p->settings, &reply)) {
        (void)fputs(buf_str(&reply), stdout);
        return OK;
    }
    TRY(worker_settings_check(&p->config, &p->settings, message));
    TRY(open_all(p, message));
    return run(p);
}

int main(int argc, char **argv)
{
    static struct program program;
    BUF_AUTO message = BUF(CONFIG_MESSAGE_MAX);
    err e = start(&program, argc, argv, &message);
    if (e.code != ERR_OK)
        (void)fprintf(stderr, "sealgate-worker: %s%s%s\n", message.len > 0 ? buf_str(&message) : "",
                      message.len > 0 ? "" : "cannot start: ", message.len > 0 ? "" : err_text(e));
    close_all(&program);
    config_clear(&program.config);
    return e.code == ERR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
