#include "enclave-worker/setup.h"

#include <string.h>

#include "base/file.h"
#include "base/sock.h"
#include "crypto/secret.h"
#include "enclave-worker/engine_demo.h"
#include "enclave-worker/engine_http.h"
#include "enclave-worker/engine_plain.h"
#include "enclave-worker/engine_responses.h"
#include "enclave-worker/engine_route.h"
#include "enclave-worker/secrets.h"

err setup_complain(struct buf *message, const char *name, const char *what)
{
    TRY(buf_addf(message, "%s: %s", name, what));
    FAIL(CONFIG);
}

/* ---- engines ---- */

static err open_inner(const struct setup_engines *with, const struct engines_entry *at,
                      struct engine **out)
{
    const struct worker_settings *s = with->settings;
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
    if (strcmp(at->url, "demo") == 0)
        return engine_demo_new(out, with->loop, &demo);
    if (bytes_starts(bytes_str(at->url), BYTES_LIT("https://")))
        return engine_http_new(out, with->loop, &http);
    return engine_plain_new(out, with->loop, &http);
}

static err open_engine(const struct setup_engines *with, const struct engines_entry *at,
                       struct engine **out, struct buf *message)
{
    const struct engine_responses_settings responses = {
        .mode = (enum responses_mode)with->settings->responses,
        .refuse_tools = with->settings->responses_tools != 0,
        .jobs = with->jobs,
    };
    struct engine *inner;
    if (open_inner(with, at, &inner).code != ERR_OK)
        return setup_complain(
            message, at->name,
            "must be demo, http://HOST:PORT, https://HOST:PORT or unix:PATH, with a "
            "token_file that can be read");
    err e = engine_responses_new(out, with->loop, inner, &responses);
    if (e.code != ERR_OK)
        engine_free(inner);
    return e;
}

static err read_table(const struct worker_settings *s, struct engines **out, struct buf *message)
{
    BUF_AUTO text = BUF(YAML_INPUT_MAX);
    if (s->engines == NULL)
        return OK;
    err e = file_read(&text, s->engines);
    if (e.code != ERR_OK)
        return file_complain(message, s->engines, "engines", e);
    TRY(engines_read(out, buf_view(&text), s->engines, message));
    for (size_t i = 0; i < (*out)->entries_n; i++) {
        if ((*out)->entries[i].token_file != NULL && s->secrets == SECRETS_SEALED)
            return setup_complain(message, s->engines, "a token_file here cannot be sealed yet");
    }
    return OK;
}

static err join_engines(const struct setup_engines *with, const struct engines *table,
                        struct engine *const *engines, struct engine **out)
{
    const struct engine_route_settings settings = { .table = table,
                                                    .engines = engines,
                                                    .salt = with->settings->cache_salt };
    if (table != NULL || with->settings->tokens_file != NULL)
        return engine_route_new(out, with->loop, &settings);
    *out = engines[0];
    return OK;
}

err setup_engines(const struct setup_engines *with, struct engine **out, struct engines **table,
                  struct buf *message)
{
    const struct engines_entry only = { .name = "engine", .url = with->settings->engine };
    struct engine *engines[ENGINES_MAX] = { 0 };
    TRY(read_table(with->settings, table, message));
    const struct engines_entry *entries = *table != NULL ? (*table)->entries : &only;
    size_t n = *table != NULL ? (*table)->entries_n : 1;
    err e = OK;
    for (size_t i = 0; i < n && e.code == ERR_OK; i++)
        e = open_engine(with, &entries[i], &engines[i], message);
    if (e.code == ERR_OK)
        e = join_engines(with, *table, engines, out);
    for (size_t i = 0; i < n && e.code != ERR_OK; i++)
        engine_free(engines[i]);
    return e;
}

/* ---- secrets, and what takes them ---- */

static err read_engine_token(struct worker *w, const struct secrets *secrets, struct buf *message)
{
    const char *path = w->settings->engine_token_file;
    BUF_AUTO token = BUF(4096);
    if (path == NULL)
        return OK;
    TRY(secrets_read_line(secrets, path, &token, message));
    if (token.len == 0)
        return setup_complain(message, path, "has no token in its first line");
    TRY(buf_add_str(&w->engine_authorization, "Bearer "));
    return buf_add(&w->engine_authorization, buf_view(&token));
}

static err read_tokens(struct worker *w, const struct secrets *secrets, struct buf *message)
{
    const char *path = w->settings->tokens_file;
    BUF_AUTO tokens = BUF(TOKEN_FILE_MAX);
    if (path == NULL)
        return OK;
    TRY(secrets_read(secrets, path, &tokens, message));
    TRY(buf_addf(message, "%s:", path));
    TRY(token_set_read(&w->tokens, buf_view(&tokens), message));
    buf_truncate(message, 0);
    return OK;
}

/* Which key it is does not change with the platform, so whoever holds the disk must not have it. */
static err read_pool_key(struct worker *w, const struct secrets *secrets, struct pool_key *key,
                         struct buf *message)
{
    const char *path = w->settings->pool_key_file;
    bool protects = prove_verdict(w->prove)->trust != TRUST_SIMULATED;
    BUF_AUTO text = BUF(4096);
    if (w->settings->secrets != SECRETS_SEALED && protects)
        return setup_complain(message, path, "must be sealed to this TEE; set secrets");
    TRY(secrets_read_line(secrets, path, &text, message));
    if (pool_key_read(buf_view(&text), key).code != ERR_OK)
        return setup_complain(message, path, "must have 64 hex digits in its first line");
    return OK;
}

static err open_pool(struct worker *w, const struct secrets *secrets, struct buf *message)
{
    const struct worker_settings *s = w->settings;
    const char *address = s->replay_keeper != NULL ? s->replay_keeper : s->replay_keeper_listen;
    struct sock_addr addr;
    SECRET(struct pool_key, key);
    if (s->pool_key_file == NULL)
        return OK;
    TRY(read_pool_key(w, secrets, &key, message));
    TRY(sock_addr_read(bytes_str(address), &addr));
    TRY(keys_share(w->keys, &key));
    const struct pool_settings settings = {
        .set = { .key = &key,
                 .key_life_s = (uint32_t)s->key_life,
                 .key_grace_s = (uint32_t)s->key_grace,
                 .date_window_s = (uint32_t)s->date_window,
                 .entries_max = s->replay_max },
        .listen = s->replay_keeper_listen != NULL ? &addr : NULL,
        .keeper = s->replay_keeper != NULL ? &addr : NULL,
        .keys = w->keys,
        .log = w->log,
    };
    if (pool_new(&w->pool, w->loop, &settings).code != ERR_OK)
        return setup_complain(message, address,
                              "cannot be used for the pool; is it in use, or not ours?");
    return OK;
}

err setup_secrets(struct worker *w, struct buf *message)
{
    const struct worker_settings *s = w->settings;
    const struct secrets_settings settings = {
        .sealed = s->secrets == SECRETS_SEALED,
        .platform = prove_verdict(w->prove)->platform,
        .key_id = s->secrets_key_id,
        .key_service = s->secrets_key_service,
        .key_file = s->secrets_key_file,
    };
    struct secrets *secrets = NULL;
    TRY(secrets_open(&secrets, &settings, message));
    w->engine_authorization = BUF(8192);
    err e = read_tokens(w, secrets, message);
    if (e.code == ERR_OK)
        e = read_engine_token(w, secrets, message);
    if (e.code == ERR_OK)
        e = open_pool(w, secrets, message);
    secrets_close(secrets);
    return e;
}
