/*
 * enclave-worker/settings.h - what an operator can set for a worker.
 *
 * The table in settings.c is the only list of settings: flags, environment, file, --help and the
 * example in deploy/ come from it. The digest of the effective settings goes into every receipt.
 */
#pragma once

#include "base/config.h"
#include "base/log.h"

enum padding_mode { PADDING_OFF = 0, PADDING_SIZE };
enum tool_deltas_mode { TOOL_DELTAS_PASS = 0, TOOL_DELTAS_MEND };
enum secrets_mode { SECRETS_PLAIN = 0, SECRETS_SEALED };

struct worker_settings {
    struct config_list listen;
    const char *name;
    const char *tls_cert;
    const char *tls_key;
    const char *tokens_file;
    const char *usage_log;

    const char *engine;
    const char *engines;
    const char *engine_ca;
    const char *engine_token_file;
    uint64_t engine_connect_timeout;
    uint64_t engine_first_byte_timeout;
    uint64_t engine_idle_timeout;
    uint64_t engine_calls_max;
    bool cache_salt;
    unsigned tool_deltas;
    uint64_t demo_pace;
    unsigned responses;
    unsigned responses_tools;
    uint64_t responses_store;
    uint64_t responses_life;

    unsigned platform;
    unsigned gpu;
    const char *azure_certificates;
    const char *image;
    const char *manifest;
    const char *issuer;

    bool door_chunked;
    bool door_plain;
    bool door_discovery;
    bool door_ehbp;

    unsigned secrets;
    const char *secrets_key_id;
    const char *secrets_key_service;
    const char *secrets_key_file;

    uint64_t key_life;
    uint64_t key_ahead;
    uint64_t key_grace;
    uint64_t date_window;
    bool date_required;
    uint64_t replay_max;

    const char *pool_key_file;
    const char *replay_keeper;
    const char *replay_keeper_listen;

    uint64_t body_max;
    uint64_t held_max;
    uint64_t streams_max;
    uint64_t connections_max;
    uint64_t request_timeout;
    uint64_t stall_timeout;
    unsigned padding;
    uint64_t drain_timeout;
    unsigned log_level;
};

extern const struct config_program worker_program;

/* What the table cannot check by itself. */
err worker_settings_check(const struct config *c, const struct worker_settings *s,
                          struct buf *message);

/* For how many seconds a request with a date in it is to be remembered, from its first byte on: as long
 * as its date allows, in either direction, as the clock may go back unnoticed, and as the rest of it may
 * take to arrive, since its date is looked at when all is there. */
uint32_t worker_settings_memory_s(const struct worker_settings *s);
