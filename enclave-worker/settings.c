#include "enclave-worker/settings.h"

#include "base/attr.h"
#include "base/sock.h"
#include "enclave-worker/gpu.h"
#include "enclave-worker/keys.h"
#include "enclave-worker/tee.h"
#include "wire/ohttp.h"

static const char *const SECRETS_MODES[] = { "plain", "sealed", NULL };
static const char *const RESPONSES_MODES[] = { "auto", "native", "bridge", NULL };
static const char *const RESPONSES_TOOLS[] = { "leave-out", "refuse", NULL };
static const char *const TOOL_DELTAS[] = { "pass", "mend", NULL };
static const char *const PADDINGS[] = { "off", "size", NULL };

#define ROW(field) .name = #field, .offset = offsetof(struct worker_settings, field)

static const struct config_row ROWS[] = {
    { .group = "Address",
      ROW(listen),
      .type = CONFIG_LIST,
      .fallback = "127.0.0.1:8443",
      .min = 1,
      .max = 8,
      .value = "ADDRESS",
      .help = "Where gateways and relays connect: HOST:PORT, tls://HOST:PORT, unix:PATH or "
              "vsock:CID:PORT (vsock:*:PORT for any). Speaks HTTP/2 only." },
    { ROW(name), .type = CONFIG_TEXT, .fallback = "worker",
      .help = "The worker's name: in its key statements, receipts and the authority of sealed "
              "requests." },
    { ROW(tls_cert), .type = CONFIG_PATH,
      .help = "Certificate chain (PEM) for tls:// addresses. Requests are sealed with or without "
              "it." },
    { ROW(tls_key), .type = CONFIG_PATH, .help = "Private key (PEM) of that certificate." },
    { ROW(tokens_file), .type = CONFIG_PATH,
      .help = "If set, a sealed request must carry one of these bearer tokens inside. One "
              "SHA-256 in hex per line, optionally followed by a name; or a JSON object with "
              "sha256 and, "
              "as wanted, name, models (a list, * for any text), requests_per_minute, "
              "tokens_per_minute, concurrency." },

    { ROW(usage_log), .type = CONFIG_PATH,
      .help =
          "File to which a line of JSON is added for each request: the name of its key, tokens in "
          "and out (estimated where the engine says none), status, time. No content. Whoever "
          "reads it learns who asks when: keep it from the host, or do without." },

    { .group = "Engine",
      ROW(engine),
      .type = CONFIG_TEXT,
      .fallback = "demo",
      .value = "URL",
      .help = "The model server: http://HOST:PORT, https://HOST:PORT or unix:PATH of anything that "
              "speaks /v1/chat/completions; or demo for the built-in one, which needs no model." },
    { ROW(engines), .type = CONFIG_PATH,
      .help =
          "Several model servers in place of engine: a YAML file with a list engines, each with "
          "name, url, models (names, or patterns with one *), aliases (a map from further "
          "names to models), token_file and ca. The model's name chooses the server." },
    { ROW(engine_ca), .type = CONFIG_PATH,
      .help = "Roots (PEM) to trust for an https:// engine; without it the system's." },
    { ROW(engine_token_file), .type = CONFIG_PATH,
      .help = "File with a bearer token for the engine. Without it the client's own "
              "authorization is passed on, unless tokens_file uses it up." },
    { ROW(engine_connect_timeout), .type = CONFIG_MILLIS, .fallback = "5s", .min = 1,
      .help = "How long connecting to the engine may take." },
    { ROW(engine_first_byte_timeout), .type = CONFIG_MILLIS, .fallback = "10m", .min = 1,
      .help = "How long the engine may take until its answer begins." },
    { ROW(engine_idle_timeout), .type = CONFIG_MILLIS, .fallback = "2m", .min = 1,
      .help = "How long the engine may be silent within an answer." },
    { ROW(engine_calls_max), .type = CONFIG_U64, .fallback = "2048", .min = 1, .max = 65536,
      .help = "Requests at the engine at a time; more are answered 503." },
    { ROW(cache_salt), .type = CONFIG_BOOL, .fallback = "false",
      .help =
          "Set cache_salt in requests (vLLM's prompt cache) to a secret of the caller's own key, "
          "whatever the caller wrote there, so that nobody can find out by the time of an "
          "answer what others asked. Needs tokens_file; lives as long as the process." },
    { ROW(tool_deltas), .type = CONFIG_WORD, .words = TOOL_DELTAS, .fallback = "pass",
      .help = "Tool calls in streams of chat completions. pass: every byte as the engine wrote it. "
              "mend: what clients put together wrongly is set right (index, id, type, a repeated "
              "name, arguments that are no text, finish_reason), and receipts are about what the "
              "client gets; what is right passes as it is." },
    { ROW(demo_pace), .type = CONFIG_MILLIS, .fallback = "15ms",
      .help = "Pace of the demo engine, per token." },

    { .group = "Responses API",
      ROW(responses),
      .type = CONFIG_WORD,
      .words = RESPONSES_MODES,
      .fallback = "auto",
      .help = "How /v1/responses reaches the engine: native passes it on, bridge asks for chat "
              "completions instead, auto finds out with the first request which of the two the "
              "engine knows." },
    { ROW(responses_tools), .type = CONFIG_WORD, .words = RESPONSES_TOOLS, .fallback = "leave-out",
      .help = "Bridge only: tools that a server would have to run itself, such as web_search. "
              "leave-out: the model is not told of them, and the answer names them in "
              "x-sealgate-tools-left-out; refuse: 400." },
    { ROW(responses_store), .type = CONFIG_SIZE, .fallback = "256MiB", .max = 1UL << 40,
      .help = "Bridge only: how much memory the responses may take that are kept for "
              "previous_response_id, GET and background mode, sealed under a key that only this "
              "process has, and those that are being made in the background. When it is full the "
              "oldest go. 0: none is kept." },
    { ROW(responses_life), .type = CONFIG_MILLIS, .fallback = "1h", .min = 1000,
      .help = "How long a response is kept." },

    { .group = "Attestation and receipts",
      ROW(platform),
      .type = CONFIG_WORD,
      .words = tee_words,
      .fallback = "auto",
      .help = "The TEE that proves what runs here. auto takes the one that this machine is, and "
              "the worker does not start where there is none (`sealgate detect` tells). simulated "
              "proves nothing and says so: receipts carry security_mode evaluation, and gateways "
              "refuse it unless their policy names it." },
    { ROW(gpu), .type = CONFIG_WORD, .words = gpu_words, .fallback = "auto",
      .help = "Evidence of NVIDIA GPUs beside the TEE's. auto shows it when NVIDIA's library is "
              "installed and the GPUs are in confidential mode; required does not start without; "
              "off never asks." },
    { ROW(azure_certificates), .type = CONFIG_TEXT,
      .fallback = "http://169.254.169.254/metadata/THIM/amd/certification",
      .help =
          "azure-sev-snp only: who serves the certificates of this VM's reports. Without an answer "
          "gateways fetch them from AMD. off: nobody is asked." },
    { ROW(image), .type = CONFIG_TEXT, .fallback = "sealgate-demo",
      .help = "simulated only: the text whose digests stand for the measured image." },
    { ROW(manifest), .type = CONFIG_PATH,
      .help = "The model's manifest: a JSON file with model_id, model_version, model_hash (SHA-256 "
              "in hex) and model_hash_scheme. Without it receipts say model_version "
              "unmanifested." },
    { ROW(issuer), .type = CONFIG_TEXT,
      .help = "Who issues the receipts (iss); without it the worker's name." },

    { .group = "Doors",
      ROW(door_chunked),
      .type = CONFIG_BOOL,
      .fallback = "true",
      .help = "Take requests as Chunked Oblivious HTTP (message/ohttp-chunked-req), the form that "
              "gateways send." },
    { ROW(door_plain), .type = CONFIG_BOOL, .fallback = "true",
      .help = "Take them as Oblivious HTTP (RFC 9458, message/ohttp-req), for clients that know no "
              "chunks. Answers are held until they are complete." },
    { ROW(door_discovery), .type = CONFIG_BOOL, .fallback = "true",
      .help = "Publish the key list at /.well-known/ohttp-gateway (RFC 9540). Gateways get it with "
              "the attestation; other clients, and relays of several workers, read it there." },
    { ROW(door_ehbp), .type = CONFIG_BOOL, .fallback = "false",
      .help = "Take requests in the Encrypted HTTP Body Protocol, with a key of their own at "
              "/.well-known/hpke-keys. Only bodies are sealed: whoever is on the way reads path, "
              "fields and bearer token, and can put a body of his own under that token." },

    { .group = "Secrets",
      ROW(secrets),
      .type = CONFIG_WORD,
      .words = SECRETS_MODES,
      .fallback = "plain",
      .help = "How tokens_file, engine_token_file and pool_key_file lie on the disk: plain, or all "
              "sealed to this TEE, as sealgate seal makes them." },
    { ROW(secrets_key_id), .type = CONFIG_TEXT, .fallback = "worker",
      .help = "The key id that they were sealed under." },
    { ROW(secrets_key_service), .type = CONFIG_PATH,
      .help = "Unix socket of a key service inside this TEE. tdx, nitro and azure-sev-snp need one "
              "for sealed secrets; sev-snp has a key of its own without." },
    { ROW(secrets_key_file), .type = CONFIG_PATH,
      .help = "simulated only: a file of 32 bytes in place of a TEE's key. It protects nothing." },

    { .group = "Sealing keys",
      ROW(key_life),
      .type = CONFIG_SECONDS,
      .fallback = "1h",
      .min = 2,
      .max = 86400,
      .help = "How long requests are sealed to one key. There is no forward secrecy within that "
              "time." },
    { ROW(key_ahead), .type = CONFIG_SECONDS, .fallback = "5m", .min = 1, .max = 43200,
      .help = "How long before its turn the next key is published." },
    { ROW(key_grace), .type = CONFIG_SECONDS, .fallback = "2m", .max = 86400,
      .help = "How long an expired key still opens requests; then it is wiped." },
    { ROW(date_window), .type = CONFIG_SECONDS, .fallback = "2m", .min = 1, .max = 3600,
      .help = "How far the date inside a request may be from ours." },
    { ROW(date_required), .type = CONFIG_BOOL, .fallback = "true",
      .help = "Refuse requests without a date inside." },
    { ROW(replay_max), .type = CONFIG_U64, .fallback = "4194304", .min = 1024, .max = 16777216,
      .help =
          "Requests remembered against replay, per window. When full, new ones are refused: "
          "with the default after 17000 a second for a whole window. Without date_required, and "
          "for EHBP, the window is the life of a key." },

    { .group = "Pool of workers with the same sealing keys",
      ROW(pool_key_file),
      .type = CONFIG_PATH,
      .help = "File with the pool's key, 64 hex digits in its first line. Workers that have the "
              "same one share their sealing keys, so that any of them opens any request, and one "
              "memory against replay. On a TEE it has to be sealed (secrets). Without it a worker "
              "has keys of its own." },
    { ROW(replay_keeper), .type = CONFIG_TEXT, .value = "ADDRESS",
      .help = "The worker of the pool that keeps its memory against replay: HOST:PORT, unix:PATH "
              "or vsock:CID:PORT. While it is not there, requests are refused." },
    { ROW(replay_keeper_listen), .type = CONFIG_TEXT, .value = "ADDRESS",
      .help = "In the place of replay_keeper: this worker keeps it, and listens here for the "
              "others. A restart makes new sealing keys for the whole pool." },

    { .group = "Limits",
      ROW(body_max),
      .type = CONFIG_SIZE,
      .fallback = "64MiB",
      .min = 1024,
      .max = 1UL << 30,
      .help = "Largest request content." },
    { ROW(held_max), .type = CONFIG_SIZE, .fallback = "1GiB", .min = 1024,
      .help =
          "Memory for request contents, and for answers that are held until they are complete, all "
          "together; more are answered 503. Responses that are made or read have as much of "
          "their own." },
    { ROW(streams_max), .type = CONFIG_U64, .fallback = "4096", .min = 1, .max = 65536,
      .help = "Requests at a time, per connection and in all." },
    { ROW(connections_max), .type = CONFIG_U64, .fallback = "256", .min = 1, .max = 65536,
      .help = "Connections at a time." },
    { ROW(request_timeout), .type = CONFIG_MILLIS, .fallback = "30s", .min = 100,
      .help = "How long a sealed request may take to arrive." },
    { ROW(stall_timeout), .type = CONFIG_MILLIS, .fallback = "5m", .min = 100,
      .help = "How long nothing may be read of an answer that has more; then it is given up, up to "
              "as long again later." },
    { ROW(padding), .type = CONFIG_WORD, .words = PADDINGS, .fallback = "size",
      .help = "Padding of answers against analysis of lengths: size fills every sealed chunk of a "
              "stream to a multiple of 512 bytes and whole answers to a bucket. It does not hide "
              "timing." },
    { ROW(drain_timeout), .type = CONFIG_MILLIS, .fallback = "30s",
      .help = "On SIGTERM: how long running answers may take to finish." },
    { ROW(log_level), .type = CONFIG_WORD, .words = log_level_words, .fallback = "info",
      .help = "Least level of log lines (JSON on standard error). Content is never logged." },
};

const struct config_program worker_program = {
    .name = "sealgate-worker",
    .summary =
        "Opens sealed requests inside a TEE, asks the model server beside it, seals the "
        "answers and signs a receipt for each.",
    .env_prefix = "SEALGATE_WORKER_",
    .rows = ROWS,
    .rows_n = ARRAY_LEN(ROWS),
};

static err check_pool_address(const struct config *c, const char *name, const char *address,
                              struct buf *message)
{
    struct sock_addr addr;
    if (address == NULL)
        return OK;
    if (sock_addr_read(bytes_str(address), &addr).code == ERR_OK && !addr.tls)
        return OK;
    return config_refuse(c, &worker_program, name, message,
                         "\"%s\" is not an address; write HOST:PORT, unix:PATH or vsock:CID:PORT "
                         "(there is always TLS)",
                         address);
}

static err check_pool(const struct config *c, const struct worker_settings *s, struct buf *message)
{
    bool either = s->replay_keeper != NULL || s->replay_keeper_listen != NULL;
    bool both = s->replay_keeper != NULL && s->replay_keeper_listen != NULL;
    TRY(check_pool_address(c, "replay_keeper", s->replay_keeper, message));
    TRY(check_pool_address(c, "replay_keeper_listen", s->replay_keeper_listen, message));
    if ((s->pool_key_file != NULL) != either || both)
        return config_refuse(c, &worker_program, "pool_key_file", message,
                             "needs replay_keeper or replay_keeper_listen, one of them, and they "
                             "need it");
    if (s->pool_key_file != NULL && s->door_ehbp)
        return config_refuse(c, &worker_program, "door_ehbp", message,
                             "cannot be on in a pool: nothing dates such a request");
    if (s->pool_key_file != NULL && !s->date_required)
        return config_refuse(c, &worker_program, "date_required", message,
                             "cannot be off in a pool: its memory goes by the dates");
    return OK;
}

err worker_settings_check(const struct config *c, const struct worker_settings *s,
                          struct buf *message)
{
    for (size_t i = 0; i < s->listen.n; i++) {
        struct sock_addr addr;
        if (sock_addr_read(bytes_str(s->listen.at[i]), &addr).code != ERR_OK)
            return config_refuse(c, &worker_program, "listen", message,
                                 "\"%s\" is not an address; write HOST:PORT, tls://HOST:PORT, "
                                 "unix:PATH or vsock:CID:PORT",
                                 s->listen.at[i]);
        if (addr.tls && (s->tls_cert == NULL || s->tls_key == NULL))
            return config_refuse(c, &worker_program, "listen", message,
                                 "a tls:// address needs tls_cert and tls_key");
    }
    if (s->engines != NULL && config_given(c, &worker_program, "engine"))
        return config_refuse(c, &worker_program, "engines", message,
                             "goes in the place of engine; set one of them");
    if (s->engines != NULL && s->manifest != NULL)
        return config_refuse(c, &worker_program, "manifest", message,
                             "is of one model, and engines names several; receipts would be wrong");
    if (s->cache_salt && s->tokens_file == NULL)
        return config_refuse(c, &worker_program, "cache_salt", message,
                             "needs tokens_file: callers are told apart by their keys");
    if (!s->door_chunked && !s->door_plain && !s->door_ehbp)
        return config_refuse(c, &worker_program, "door_chunked", message,
                             "leave door_chunked, door_plain or door_ehbp on: nobody could ask");
    if (s->name == NULL || strlen(s->name) > 64)
        return config_refuse(c, &worker_program, "name", message,
                             "must be 1 to 64 characters long");
    TRY(check_pool(c, s, message));
    if (s->key_ahead >= s->key_life)
        return config_refuse(c, &worker_program, "key_ahead", message,
                             "must be shorter than key_life");
    if (s->key_grace / (s->key_life - s->key_ahead) > OHTTP_KEYS_MAX - 3)
        return config_refuse(c, &worker_program, "key_grace", message,
                             "is too long for so short a key_life: at most %d keys are kept",
                             OHTTP_KEYS_MAX);
    return OK;
}

uint32_t worker_settings_memory_s(const struct worker_settings *s)
{
    return (uint32_t)(2 * s->date_window + KEYS_SET_BACK_S + 1 + s->request_timeout / 1000 + 1);
}
