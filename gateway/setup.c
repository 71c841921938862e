#include "gateway/setup.h"

#include <unistd.h>

#include "base/file.h"
#include "base/sock.h"
#include "gateway/sources.h"

err setup_complain(struct buf *message, const char *name, const char *what)
{
    TRY(buf_addf(message, "%s: %s", name, what));
    FAIL(CONFIG);
}

err setup_address(const char *address, struct buf *message)
{
    struct sock_addr addr;
    TRY(sock_addr_read(bytes_str(address), &addr));
    err e = sock_unused(&addr);
    return e.code == ERR_OK ? OK : setup_complain(message, address, sock_listen_advice(e));
}

err setup_tls_files(const struct gateway_settings *s, struct buf *message)
{
    TRY(file_check(message, s->tls_cert, "tls_cert"));
    TRY(file_check(message, s->tls_key, "tls_key"));
    return file_check(message, s->worker_ca, "worker_ca");
}

size_t setup_shards(const struct gateway_settings *s)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = s->shards > 0 ? s->shards : cores > 0 ? (size_t)cores : 1;
    return n < SETUP_SHARDS_MAX ? n : SETUP_SHARDS_MAX;
}

bool setup_uses_tls(const struct config_list *addresses)
{
    for (size_t i = 0; i < addresses->n; i++) {
        struct source source;
        if (source_read(addresses->at[i], &source).code == ERR_OK && source_may_use_tls(&source))
            return true;
    }
    return false;
}

err setup_discover(struct discover **out, struct loop *loop, const struct gateway_settings *s,
                   struct discover_settings *settings, struct buf *message)
{
    settings->sources = &s->workers;
    settings->dns_server = s->dns_server;
    settings->refresh_ms = s->workers_refresh;
    return discover_new(out, loop, settings, message);
}

struct balance_settings setup_balance(const struct gateway_settings *s)
{
    return (struct balance_settings){ .failures = s->worker_failures,
                                      .out_ms = s->worker_out,
                                      .out_max_ms = s->worker_out_max,
                                      .slow_ms = s->worker_slow_start };
}

err setup_tokens(struct token_set *out, const struct gateway_settings *s, struct buf *message)
{
    BUF_AUTO text = BUF(TOKEN_FILE_MAX);
    if (s->tokens_file == NULL)
        return OK;
    err e = file_read(&text, s->tokens_file);
    if (e.code != ERR_OK)
        return file_complain(message, s->tokens_file, "tokens_file", e);
    TRY(buf_addf(message, "%s:", s->tokens_file));
    TRY(token_set_read(out, buf_view(&text), message));
    buf_truncate(message, 0);
    return OK;
}

err setup_front(struct front **out, struct loop *loop, const struct gateway_settings *s,
                const struct front_events *events, void *owner)
{
    struct sock_addr addr;
    TRY(sock_addr_read(bytes_str(s->listen), &addr));
    const struct front_settings settings = {
        .listen = &addr,
        .listen_fd = -1,
        .tls_cert_path = s->tls_cert,
        .tls_key_path = s->tls_key,
        .body_max = s->body_max,
        .connections_max = (uint32_t)s->connections_max,
        .idle_ms = (unsigned)s->idle_timeout,
        .head_ms = (unsigned)s->head_timeout,
        .body_ms = (unsigned)s->body_timeout,
    };
    return front_new(out, loop, &settings, events, owner);
}
