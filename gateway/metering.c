#include "gateway/metering.h"

#include "attest/policy_bundle.h"
#include "base/attr.h"
#include "gateway/account.h"
#include "gateway/discover.h"
#include "gateway/quarantine.h"

static const char *const ROUTE_WORDS[ROUTE_KINDS] = {
    [ROUTE_NONE] = "none",
    [ROUTE_CHAT_COMPLETIONS] = "chat_completions",
    [ROUTE_COMPLETIONS] = "completions",
    [ROUTE_EMBEDDINGS] = "embeddings",
    [ROUTE_RESPONSES] = "responses",
    [ROUTE_RESPONSE] = "response",
    [ROUTE_MODELS] = "models",
    [ROUTE_MODEL] = "model",
    [ROUTE_RECEIPT] = "receipt",
    [ROUTE_ATTESTATION] = "attestation",
    [ROUTE_EVIDENCE] = "evidence",
    [ROUTE_HEALTHZ] = "healthz",
    [ROUTE_READYZ] = "readyz",
    [ROUTE_METRICS] = "metrics",
    [ROUTE_OPENAPI] = "openapi",
    [ROUTE_PASS] = "pass",
};
static const char *const STATUS_WORDS[METERING_STATUSES] = { "1xx", "2xx", "3xx",       "4xx",
                                                             "5xx", "499", "broken_off" };
static const char *const RECEIPT_WORDS[METERING_RECEIPTS] = { "stored", "not_verified",
                                                              "not_stored" };

static const char *const POLICY_WORDS[POLICY_OUTCOMES] = {
#define X(name, word) [POLICY_##name] = (word),
    POLICY_OUTCOME_LIST(X)
#undef X
};

static const uint64_t LONG_US[] = { 1000,     2500,     5000,     10000,    25000,   50000,
                                    100000,   250000,   500000,   1000000,  2500000, 5000000,
                                    10000000, 30000000, 60000000, 300000000 };
static const uint64_t SHORT_US[] = { 50,   100,  200,   400,   800,   1600,
                                     3200, 6400, 12800, 25600, 51200, 102400 };

static const char *const TOKEN_WORDS[METERING_TOKENS] = { "input", "output" };

/* As OpenTelemetry's GenAI conventions say. */
static const uint64_t OPERATION_US[] = { 10000,    20000,    40000,    80000,   160000,
                                         320000,   640000,   1280000,  2560000, 5120000,
                                         10240000, 20480000, 40960000, 81920000 };
static const uint64_t TOKENS[] = { 1,     4,     16,     64,      256,     1024,     4096,
                                   16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864 };

struct row {
    size_t offset;
    struct metric_spec spec;
};

#define AT(field) .offset = offsetof(struct metering, field)
#define HISTOGRAM(list)                                                                            \
    .kind = METRIC_HISTOGRAM, .unit = METRIC_SECONDS, .buckets_us = (list),                        \
    .buckets_n = ARRAY_LEN(list)

static const struct row ROWS[] = {
    { AT(requests),
      { .name = "sealgate_requests_total",
        .help = "Requests by route and status; 499 is a client that left, broken_off an answer "
                "that could not be completed.",
        .labels = { { "route", ROUTE_WORDS, ROUTE_KINDS },
                    { "status", STATUS_WORDS, METERING_STATUSES } } } },
    { AT(in_flight),
      { .name = "sealgate_requests_in_flight",
        .help = "Requests being served now.",
        .kind = METRIC_GAUGE } },
    { AT(refused),
      { .name = "sealgate_connections_refused_total",
        .help = "What was not HTTP as it should be, or too slow, or too big." } },
    { AT(resent),
      { .name = "sealgate_requests_resent_total",
        .help = "Requests sealed a second time, because the first was not processed." } },
    { AT(first),
      { .name = "sealgate_time_to_first_token_seconds",
        .help = "From a request's head to the first byte of content for the client.",
        HISTOGRAM(LONG_US) } },
    { AT(gap),
      { .name = "sealgate_inter_token_gap_seconds",
        .help = "Between two pieces of a stream.",
        HISTOGRAM(LONG_US) } },
    { AT(overhead),
      { .name = "sealgate_overhead_seconds",
        .help = "From a request's last byte until it was sealed and handed to the connection.",
        HISTOGRAM(SHORT_US) } },
    { AT(duration),
      { .name = "sealgate_request_seconds",
        .help = "From a request's head to the end of its answer.",
        HISTOGRAM(LONG_US) } },
    { AT(receipts),
      { .name = "sealgate_receipts_total",
        .help = "Receipts by what became of them.",
        .labels = { { "outcome", RECEIPT_WORDS, METERING_RECEIPTS } } } },
    { AT(age),
      { .name = "sealgate_attestation_age_seconds",
        .help = "Age of the oldest verdict in use.",
        .kind = METRIC_GAUGE } },
    { AT(workers),
      { .name = "sealgate_workers",
        .help = "Workers that the setting names now, or that what it names does.",
        .kind = METRIC_GAUGE } },
    { AT(sources),
      { .name = "sealgate_worker_sources",
        .help = "What the setting names, by what became of the latest look at it.",
        .labels = { { "state", discover_state_words, DISCOVER_STATES } },
        .kind = METRIC_GAUGE } },
    { AT(trusted),
      { .name = "sealgate_workers_trusted",
        .help = "Workers that are verified and in use.",
        .kind = METRIC_GAUGE } },
    { AT(quarantined),
      { .name = "sealgate_workers_quarantined",
        .help =
            "Workers that are not in use, by the reason: a check of the evidence that failed, or "
            "why there is no evidence.",
        .kind = METRIC_GAUGE,
        .labels = { { "reason", quarantine_words, QUARANTINE_REASONS } } } },
    { AT(sick),
      { .name = "sealgate_workers_sick",
        .help = "Workers that are verified, and do not do their work by a probe's word.",
        .kind = METRIC_GAUGE } },
    { AT(spans_dropped),
      { .name = "sealgate_spans_dropped",
        .help = "Spans that no collector took.",
        .kind = METRIC_GAUGE } },
    { AT(operation),
      { .name = "gen_ai_client_operation_duration_seconds",
        .help = "GenAI operation duration.",
        .labels = { { "gen_ai_operation_name", account_operation_words, ACCOUNT_OPERATIONS },
                    { "error_type", account_end_words, ACCOUNT_ENDS } },
        HISTOGRAM(OPERATION_US) } },
    { AT(first_chunk),
      { .name = "gen_ai_client_operation_time_to_first_chunk_seconds",
        .help = "Time to the first chunk of an answer.",
        .labels = { { "gen_ai_operation_name", account_operation_words, ACCOUNT_OPERATIONS } },
        HISTOGRAM(OPERATION_US) } },
    { AT(tokens),
      { .name = "gen_ai_client_token_usage",
        .help = "Number of input and output tokens used.",
        .labels = { { "gen_ai_operation_name", account_operation_words, ACCOUNT_OPERATIONS },
                    { "gen_ai_token_type", TOKEN_WORDS, METERING_TOKENS } },
        .kind = METRIC_HISTOGRAM,
        .buckets_us = TOKENS,
        .buckets_n = ARRAY_LEN(TOKENS) } },
    { AT(policy_loads),
      { .name = "sealgate_policy_loads_total",
        .help = "Policies read while running, by what became of them.",
        .labels = { { "outcome", POLICY_WORDS, POLICY_OUTCOMES } } } },
    { AT(policy_in_force),
      { .name = "sealgate_policy_in_force",
        .help = "1, or 0 when the policy has expired and no worker is accepted.",
        .kind = METRIC_GAUGE } },
    { AT(policy_version),
      { .name = "sealgate_policy_version",
        .help = "Version of the latest signed policy in force; 0 for one without a signature.",
        .kind = METRIC_GAUGE } },
    { AT(policy_expires),
      { .name = "sealgate_policy_expires_timestamp_seconds",
        .help = "When it expires, in Unix time; 0 for never.",
        .kind = METRIC_GAUGE } },
};

err metering_init(struct metering *m)
{
    TRY(metrics_new(&m->set));
    for (size_t i = 0; i < ARRAY_LEN(ROWS); i++) {
        struct metric *to = (struct metric *)(void *)((char *)m + ROWS[i].offset);
        TRY(metrics_register(m->set, &ROWS[i].spec, to));
    }
    return standing_register(m->set, &m->standing);
}

void metering_clear(struct metering *m)
{
    metrics_free(m->set);
    *m = (struct metering){ 0 };
}

enum metering_status metering_status(unsigned status)
{
    return status >= 100 && status < 600 ? (enum metering_status)(status / 100 - 1) : METERING_5XX;
}
