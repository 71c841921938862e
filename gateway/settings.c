#include "gateway/settings.h"

#include <arpa/inet.h>

#include "attest/collateral.h"
#include "attest/policy_bundle.h"
#include "base/attr.h"
#include "base/sock.h"
#include "gateway/fetch.h"
#include "gateway/sources.h"

#define ROW(field) .name = #field, .offset = offsetof(struct gateway_settings, field)

static const char *const MODES[] = { "seal", "relay", NULL };

static const struct config_row ROWS[] = {
    { .group = "What it is",
      ROW(mode),
      .type = CONFIG_WORD,
      .words = MODES,
      .fallback = "seal",
      .help = "seal: an OpenAI endpoint on the client's side, which verifies workers and seals "
              "requests to them. relay: the host's front, which passes sealed requests on, has no "
              "key, and refuses everything else." },

    { .group = "Clients",
      ROW(listen),
      .type = CONFIG_TEXT,
      .fallback = "127.0.0.1:8080",
      .value = "HOST:PORT",
      .help = "Where OpenAI clients connect. What arrives here is in the clear (or in TLS with "
              "tls_cert), so keep it on this machine or in a network you trust." },
    { ROW(listen_h2), .type = CONFIG_LIST, .max = 8, .value = "ADDRESS",
      .help = "relay only: where gateways connect, with HTTP/2 and prior knowledge: HOST:PORT, "
              "tls://HOST:PORT or unix:PATH." },
    { ROW(tls_cert), .type = CONFIG_PATH, .help = "Certificate chain (PEM): listen with TLS." },
    { ROW(tls_key), .type = CONFIG_PATH, .help = "Private key (PEM) of that certificate." },
    { ROW(tokens_file), .type = CONFIG_PATH,
      .help = "If set, clients must send one of these bearer tokens. One SHA-256 in hex per line, "
              "optionally followed by a name, or a JSON object with rules, as README.md says. The "
              "token is then not passed on to the worker." },
    { ROW(usage_log), .type = CONFIG_PATH,
      .help =
          "File to which a line of JSON is added for each request: the name of its key, tokens in "
          "and out (estimated where the engine says none), status, time. No content, no "
          "model's name." },
    { ROW(otlp), .type = CONFIG_TEXT, .value = "URL",
      .help = "A collector of OpenTelemetry, such as http://127.0.0.1:4318: each request becomes a "
              "span "
              "there (OTLP over HTTP, JSON), without content. What it does not take is dropped." },
    { ROW(hosts), .type = CONFIG_LIST,
      .help = "Further names clients may use for this gateway in Host. Addresses and localhost are "
              "always allowed; other names are refused, against DNS rebinding." },
    { ROW(cors_origins), .type = CONFIG_LIST, .value = "ORIGIN",
      .help = "Web origins whose pages may call this gateway, such as https://chat.example; * for "
              "all." },

    { .group = "Workers",
      ROW(workers),
      .type = CONFIG_LIST,
      .fallback = "127.0.0.1:8443",
      .min = 1,
      .max = 64,
      .value = "ADDRESS",
      .help =
          "Workers to verify and use: HOST:PORT, tls://HOST:PORT, unix:PATH or vsock:CID:PORT; "
          "or where to find them while running: dns://NAME:PORT (each address of the name), "
          "srv://NAME (each service behind it), both also as dns+tls:// and srv+tls://, "
          "file:///PATH (one address per line). Behind a relay's address all of its workers are "
          "used. At most 64 at a time." },
    { ROW(workers_refresh), .type = CONFIG_MILLIS, .fallback = "30s", .min = 100, .max = 86400000,
      .help = "How often at least names in workers are looked up again; sooner when their time to "
              "live is shorter." },
    { ROW(dns_server), .type = CONFIG_TEXT, .value = "IP:PORT",
      .help =
          "The name server for names in workers, such as 10.0.0.53:53 or [fd00::53]:53; without "
          "it those of /etc/resolv.conf." },
    { ROW(policy), .type = CONFIG_TEXT, .value = "FILE",
      .help = "Which evidence to accept: a policy file, or the word simulated to accept any "
              "simulated worker (no protection; for trying out). Without a policy no worker is "
              "accepted. Read again on SIGHUP and when the file changes." },
    { ROW(policy_key), .type = CONFIG_LIST, .max = POLICY_BUNDLE_SIGNATURES_MAX, .value = "HEX",
      .help = "Public keys (Ed25519, in hex) of which each must have signed the policy: see "
              "sealgate policy sign. A policy without these signatures is then refused." },
    { ROW(policy_state), .type = CONFIG_PATH, .fallback = "policy.state",
      .help = "File in which the highest version of a signed policy is remembered, so that an "
              "earlier one is refused for ever. Needed for signed policies only." },
    { ROW(worker_ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for tls:// workers; without it the system's. Requests are sealed with "
              "or without TLS." },
    { ROW(worker_token_file), .type = CONFIG_PATH,
      .help = "File with a bearer token that workers ask for; it travels sealed. Without it the "
              "client's own authorization is passed on, unless tokens_file uses it up." },
    { ROW(refresh), .type = CONFIG_SECONDS, .fallback = "5m", .min = 1, .max = 86400,
      .help = "How often workers are verified anew, in the background." },

    { .group = "Several workers",
      ROW(worker_failures),
      .type = CONFIG_U64,
      .fallback = "3",
      .min = 1,
      .max = 1000,
      .help = "Failures in a row, of a worker or of the way to it, after which others are asked "
              "instead, if there are any." },
    { ROW(worker_out), .type = CONFIG_MILLIS, .fallback = "1s", .min = 10, .max = 3600000,
      .help = "For how long, the first time. Then one request tries it; each time in succession is "
              "twice as long." },
    { ROW(worker_out_max), .type = CONFIG_MILLIS, .fallback = "30s", .min = 10, .max = 3600000,
      .help = "For how long at the most." },
    { ROW(worker_slow_start), .type = CONFIG_MILLIS, .fallback = "10s", .max = 3600000,
      .help =
          "How long a worker that has just come, or come back, gets less than its share; 0: not "
          "at all." },
    { ROW(worker_ping), .type = CONFIG_MILLIS, .fallback = "5s", .min = 100, .max = 600000,
      .help = "Silence after which a worker is asked for a sign. Without one for as long again its "
              "connection counts as lost, and what it was asked fails." },
    { ROW(worker_probe), .type = CONFIG_MILLIS, .fallback = "10s", .max = 3600000,
      .help =
          "How often each of several workers is asked for its models, which also tells whether it "
          "does its work; 0: never." },

    { .group = "Collateral",
      ROW(collateral),
      .type = CONFIG_PATH,
      .fallback = "collateral",
      .help = "Folder in which revocation lists, TCB levels, certificates and manifests that "
              "Intel, AMD and NVIDIA publish are kept over a restart. They are fetched in the "
              "background for workers whose evidence comes without them, and checked whenever "
              "they are used." },
    { ROW(intel_pcs), .type = CONFIG_TEXT, .value = "URL", .fallback = COLLATERAL_INTEL_BASE,
      .help =
          "Where Intel's are fetched: Intel itself, which then sees the platform models in use, "
          "or a caching service (PCCS) of your own." },
    { ROW(amd_kds), .type = CONFIG_TEXT, .value = "URL", .fallback = COLLATERAL_AMD_BASE,
      .help =
          "Where AMD's are fetched: AMD itself, which then sees the chips in use, or a cache." },
    { ROW(nvidia_ocsp), .type = CONFIG_TEXT, .value = "URL",
      .fallback = COLLATERAL_NVIDIA_OCSP_BASE,
      .help = "Where NVIDIA is asked whether certificates of GPUs were revoked: NVIDIA itself, "
              "which then sees the GPUs in use, or a cache. The answers are signed." },
    { ROW(nvidia_rim), .type = CONFIG_TEXT, .value = "URL", .fallback = COLLATERAL_NVIDIA_RIM_BASE,
      .help = "Where the signed manifests of GPU drivers and firmware are fetched: NVIDIA itself, "
              "or a cache." },
    { ROW(nvidia_nras), .type = CONFIG_TEXT, .value = "URL",
      .fallback = COLLATERAL_NVIDIA_NRAS_BASE,
      .help = "NVIDIA's Remote Attestation Service, asked only for policies that say so "
              "(`nras: true`); it then sees the GPUs' evidence." },
    { ROW(collateral_ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) for these services; without it the system's." },
    { ROW(collateral_offline), .type = CONFIG_BOOL, .fallback = "false",
      .help = "Fetch nothing: only what is in the folder is used, such as a copy of another "
              "gateway's." },

    { .group = "Receipts",
      ROW(receipts),
      .type = CONFIG_PATH,
      .fallback = "receipts.db",
      .help = "Database of receipts (SQLite). An answer is released only when its receipt is "
              "durable here. :memory: keeps them until the gateway ends." },
    { ROW(receipts_max), .type = CONFIG_SIZE, .fallback = "1GiB", .min = 1024 * 1024,
      .help = "Size of the database above which the oldest receipts go." },
    { ROW(receipts_age), .type = CONFIG_SECONDS, .fallback = "90d", .min = 60,
      .help = "Age at which receipts go." },

    { .group = "Relay",
      ROW(token_rate),
      .type = CONFIG_U64,
      .fallback = "0",
      .max = 1000000,
      .help = "relay only: requests per second of one token of tokens_file; 0 for any." },
    { ROW(token_streams), .type = CONFIG_U64, .fallback = "0", .max = 1000000,
      .help = "relay only: requests under way of one token; 0 for any." },
    { ROW(address_rate), .type = CONFIG_U64, .fallback = "0", .max = 1000000,
      .help = "relay only: requests per second of one IPv4 address or IPv6 network (/64); 0 for "
              "any." },
    { ROW(address_streams), .type = CONFIG_U64, .fallback = "0", .max = 1000000,
      .help = "relay only: requests under way of one of these; 0 for any." },

    { .group = "Limits",
      ROW(shards),
      .type = CONFIG_U64,
      .fallback = "0",
      .max = 256,
      .help = "Threads that serve clients; 0 for one per core." },
    { ROW(body_max), .type = CONFIG_SIZE, .fallback = "64MiB", .min = 1024, .max = 1UL << 30,
      .help = "Largest request body; 413 above." },
    { ROW(held_max), .type = CONFIG_SIZE, .fallback = "2GiB", .min = 1024,
      .help = "Request bodies held at a time, all together; more are answered 503. Each shard has "
              "an equal share, and room for one body at least." },
    { ROW(connections_max), .type = CONFIG_U64, .fallback = "2000", .min = 1, .max = 100000,
      .help = "Client connections per shard." },
    { ROW(head_timeout), .type = CONFIG_MILLIS, .fallback = "10s", .min = 100,
      .help = "How long a client may take to send the head of a request." },
    { ROW(body_timeout), .type = CONFIG_MILLIS, .fallback = "5m", .min = 100,
      .help = "How long a client may take to send the body." },
    { ROW(idle_timeout), .type = CONFIG_MILLIS, .fallback = "2m", .min = 1000,
      .help = "How long a connection may be idle." },
    { ROW(worker_timeout), .type = CONFIG_MILLIS, .fallback = "5s",
      .help = "How long a request waits for a verified worker before it is answered 503." },
    { ROW(answer_timeout), .type = CONFIG_MILLIS, .fallback = "10m", .min = 100,
      .help = "How long a worker may take until its answer begins." },
    { ROW(stall_timeout), .type = CONFIG_MILLIS, .fallback = "5m", .min = 100,
      .help = "How long a worker may be silent within an answer." },
    { ROW(keepalive), .type = CONFIG_MILLIS, .fallback = "15s", .min = 100,
      .help = "Silence in a stream after which the client gets a comment line." },
    { ROW(commit_after), .type = CONFIG_MILLIS, .fallback = "10s", .min = 100,
      .help = "How long the status of a stream waits for the worker's; then it is 200 and errors "
              "come in the stream." },
    { ROW(drain_timeout), .type = CONFIG_MILLIS, .fallback = "30s",
      .help = "On SIGTERM: how long running answers may take to finish." },
    { ROW(log_level), .type = CONFIG_WORD, .words = log_level_words, .fallback = "info",
      .help = "Least level of log lines (JSON on standard error). Content is never logged." },
};

const struct config_program gateway_program = {
    .name = "sealgate-gateway",
    .summary =
        "An OpenAI endpoint that verifies a worker in a TEE, seals every request to it, and "
        "keeps a signed receipt of every answer.",
    .env_prefix = "SEALGATE_GATEWAY_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

static err check_base(const struct config *c, const char *name, const char *url,
                      struct buf *message)
{
    if (url != NULL && fetch_is_base(url))
        return OK;
    return config_refuse(c, &gateway_program, name, message,
                         "is not an address; write https://HOST[:PORT][/PATH]");
}

static bool is_ip(const char *text)
{
    struct sock_addr addr;
    struct in6_addr room;
    return sock_addr_read(bytes_str(text), &addr).code == ERR_OK && addr.kind == SOCK_KIND_TCP &&
           !addr.tls && addr.port > 0 &&
           (inet_pton(AF_INET, addr.host, &room) == 1 ||
            inet_pton(AF_INET6, addr.host, &room) == 1);
}

static err check_mode(const struct config *c, const struct gateway_settings *s, struct buf *message)
{
    struct sock_addr addr;
    if (s->mode == GATEWAY_SEAL && s->listen_h2.n > 0)
        return config_refuse(c, &gateway_program, "listen_h2", message, "goes with mode: relay");
    for (size_t i = 0; i < s->listen_h2.n; i++) {
        if (sock_addr_read(bytes_str(s->listen_h2.at[i]), &addr).code != ERR_OK ||
            addr.kind == SOCK_KIND_VSOCK)
            return config_refuse(c, &gateway_program, "listen_h2", message,
                                 "\"%s\" is not an address; write HOST:PORT, tls://HOST:PORT or "
                                 "unix:PATH",
                                 s->listen_h2.at[i]);
        if (addr.tls && s->tls_cert == NULL)
            return config_refuse(c, &gateway_program, "listen_h2", message,
                                 "\"%s\" needs tls_cert and tls_key", s->listen_h2.at[i]);
    }
    if ((s->token_rate > 0 || s->token_streams > 0) && s->tokens_file == NULL)
        return config_refuse(c, &gateway_program, "token_rate", message, "needs tokens_file");
    return OK;
}

err gateway_settings_check(const struct config *c, const struct gateway_settings *s,
                           struct buf *message)
{
    struct sock_addr addr;
    if (s->listen == NULL || sock_addr_read(bytes_str(s->listen), &addr).code != ERR_OK || addr.tls)
        return config_refuse(c, &gateway_program, "listen", message,
                             "is not an address; write HOST:PORT or unix:PATH");
    for (size_t i = 0; i < s->workers.n; i++) {
        struct source source;
        if (source_read(s->workers.at[i], &source).code != ERR_OK)
            return config_refuse(c, &gateway_program, "workers", message,
                                 "\"%s\" is not an address; write HOST:PORT, tls://HOST:PORT, "
                                 "unix:PATH, vsock:CID:PORT, dns://NAME:PORT, srv://NAME or "
                                 "file:///PATH",
                                 s->workers.at[i]);
    }
    if (s->dns_server != NULL && !is_ip(s->dns_server))
        return config_refuse(c, &gateway_program, "dns_server", message,
                             "is not an address; write IP:PORT");
    if ((s->tls_cert == NULL) != (s->tls_key == NULL))
        return config_refuse(c, &gateway_program, "tls_cert", message,
                             "tls_cert and tls_key go together");
    TRY(check_base(c, "intel_pcs", s->intel_pcs, message));
    TRY(check_base(c, "amd_kds", s->amd_kds, message));
    TRY(check_base(c, "nvidia_ocsp", s->nvidia_ocsp, message));
    TRY(check_base(c, "nvidia_rim", s->nvidia_rim, message));
    TRY(check_base(c, "nvidia_nras", s->nvidia_nras, message));
    if (s->otlp != NULL)
        TRY(check_base(c, "otlp", s->otlp, message));
    if (s->collateral_offline && s->collateral == NULL)
        return config_refuse(c, &gateway_program, "collateral_offline", message,
                             "needs the folder collateral");
    TRY(check_mode(c, s, message));
    if (s->mode == GATEWAY_SEAL && s->policy == NULL)
        return config_refuse(c, &gateway_program, "policy", message,
                             "is not set, so no worker would be accepted; name a policy file, or "
                             "write simulated to try things out without any protection");
    return OK;
}
