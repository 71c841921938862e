/*
 * gateway/settings.h - what a user can set for a gateway.
 *
 * The table in settings.c is the only list of settings: flags, environment, file, --help and the
 * example in deploy/ come from it.
 */
#pragma once

#include "base/config.h"
#include "base/log.h"

enum gateway_mode { GATEWAY_SEAL = 0, GATEWAY_RELAY };

struct gateway_settings {
    unsigned mode; /* enum gateway_mode */
    const char *listen;
    struct config_list listen_h2;
    const char *tls_cert;
    const char *tls_key;
    uint64_t shards;

    struct config_list workers;
    uint64_t workers_refresh;
    const char *dns_server;
    const char *policy;
    struct config_list policy_key;
    const char *policy_state;
    const char *worker_ca;
    const char *worker_token_file;
    uint64_t refresh;
    uint64_t worker_failures;
    uint64_t worker_out;
    uint64_t worker_out_max;
    uint64_t worker_slow_start;
    uint64_t worker_ping;
    uint64_t worker_probe;

    const char *collateral;
    const char *intel_pcs;
    const char *amd_kds;
    const char *nvidia_ocsp;
    const char *nvidia_rim;
    const char *nvidia_nras;
    const char *collateral_ca;
    bool collateral_offline;

    const char *tokens_file;
    const char *usage_log;
    const char *otlp;
    struct config_list hosts;
    struct config_list cors_origins;

    const char *receipts;
    uint64_t receipts_max;
    uint64_t receipts_age;

    uint64_t token_rate;
    uint64_t token_streams;
    uint64_t address_rate;
    uint64_t address_streams;

    uint64_t body_max;
    uint64_t held_max;
    uint64_t connections_max;
    uint64_t head_timeout;
    uint64_t body_timeout;
    uint64_t idle_timeout;
    uint64_t worker_timeout;
    uint64_t answer_timeout;
    uint64_t stall_timeout;
    uint64_t keepalive;
    uint64_t commit_after;
    uint64_t drain_timeout;
    unsigned log_level;
};

extern const struct config_program gateway_program;

/* What the table cannot check by itself. */
err gateway_settings_check(const struct config *c, const struct gateway_settings *s,
                           struct buf *message);
