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
#include "crypto/tls.h"
#include "enclave-worker/gpu.h"
#include "enclave-worker/metering.h"
#include "enclave-worker/responses_job.h"
#include "enclave-worker/setup.h"
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

static err open_engine(struct program *p, struct buf *message)
{
    const struct setup_engines with = { .settings = &p->settings,
                                        .loop = p->worker.loop,
                                        .jobs = p->responses };
    return setup_engines(&with, &p->worker.engine, &p->engines, message);
}

static err read_manifest(struct program *p, struct buf *message)
{
    const struct worker_settings *s = &p->settings;
    p->manifest_file = BUF(MANIFEST_MAX);
    if (s->manifest == NULL)
        return OK;
    err e = file_read(&p->manifest_file, s->manifest);
    if (e.code != ERR_OK)
        return file_complain(message, s->manifest, "manifest", e);
    TRY(buf_addf(message, "%s: ", s->manifest));
    TRY(manifest_read(&p->manifest, buf_view(&p->manifest_file), message));
    buf_truncate(message, 0);
    return OK;
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
    return setup_complain(message, "azure_certificates", "off, or a URL that begins with http://");
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
        return setup_complain(message, "platform", "the TEE is there, but gives no evidence now");
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
        return setup_complain(
            message, "platform",
            "receipts have no form yet for what this TEE measures, and nothing is "
            "answered without a receipt");
    return e;
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
    TRY(file_check(message, s->tls_cert, "tls_cert"));
    TRY(file_check(message, s->tls_key, "tls_key"));
    if (open_tls(p).code != ERR_OK)
        return setup_complain(message, "tls_cert",
                              "is no chain of certificates (PEM), or tls_key is not its key");
    for (size_t i = 0; i < s->listen.n; i++) {
        struct sock_addr addr;
        TRY(sock_addr_read(bytes_str(s->listen.at[i]), &addr));
        err e = link_listen(&p->listeners[p->listeners_n], p->worker.loop, &addr,
                            addr.tls ? p->tls : NULL, &limits, &worker_link_events, &p->worker);
        if (e.code != ERR_OK)
            return setup_complain(message, s->listen.at[i], sock_listen_advice(e));
        LOG_INFO(p->worker.log, "listening",
                 F_ADDR("address", link_listener_addr(p->listeners[p->listeners_n])));
        p->listeners_n++;
    }
    return OK;
}

static void on_signal(void *owner, int signum);

static err open_usage(struct program *p, struct buf *message)
{
    const char *path = p->settings.usage_log;
    if (path == NULL)
        return OK;
    p->usage_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, USAGE_MODE);
    if (p->usage_fd < 0)
        return setup_complain(message, "usage_log", "cannot be written");
    return log_open(&p->worker.usage, p->usage_fd, LOG_LEVEL_INFO);
}

/* Who can reach us can also tell us to end: signals are heard before anything listens. */
static err open_all(struct program *p, struct buf *message)
{
    struct worker *w = &p->worker;
    w->settings = &p->settings;
    TRY(log_open(&w->log, STDERR_FILENO, (enum log_level)p->settings.log_level));
    TRY(open_usage(p, message));
    TRY(loop_new(&w->loop));
    TRY(loop_on_signal(w->loop, SIGTERM, on_signal, p));
    TRY(loop_on_signal(w->loop, SIGINT, on_signal, p));
    TRY(metering_open(&w->metrics));
    TRY(read_manifest(p, message));
    TRY(open_keys(p));
    TRY(open_responses(p));
    TRY(open_engine(p, message));
    TRY(open_proof(p, message));
    TRY(setup_secrets(w, message));
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
