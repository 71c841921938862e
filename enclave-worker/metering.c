#include "enclave-worker/metering.h"

#include "base/attr.h"
#include "enclave-worker/worker.h"

static const char *const OUTCOME_WORDS[WORKER_OUTCOMES] = { "answered", "refused", "engine_failed",
                                                            "client_gone" };
static const uint64_t BUCKETS_US[] = { 1000,     5000,     10000,     25000,    50000,   100000,
                                       250000,   500000,   1000000,   2500000,  5000000, 10000000,
                                       30000000, 60000000, 120000000, 300000000 };

err metering_open(struct worker_metrics *m)
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
