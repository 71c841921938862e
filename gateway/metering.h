/*
 * gateway/metering.h - what a gateway counts; the names are in metering.c.
 *
 * Labels are closed sets: a route, a class of status, an outcome. Never a key, a model or an id.
 */
#pragma once

#include "api/route.h"
#include "base/metrics.h"
#include "gateway/standing.h"

enum metering_status {
    METERING_1XX = 0,
    METERING_2XX,
    METERING_3XX,
    METERING_4XX,
    METERING_5XX,
    METERING_GONE,
    METERING_CUT,
    METERING_STATUSES
};

enum metering_receipt {
    METERING_STORED = 0,
    METERING_NOT_VERIFIED,
    METERING_NOT_STORED,
    METERING_RECEIPTS
};

enum metering_tokens { METERING_INPUT = 0, METERING_OUTPUT, METERING_TOKENS };

struct metering {
    struct metrics *set;
    struct metric requests; /* by route and status */
    struct metric in_flight;
    struct metric refused; /* what never became a request */
    struct metric resent;
    struct metric first;    /* to the first byte of content */
    struct metric gap;      /* between two pieces of a stream */
    struct metric overhead; /* our own part of a request's time */
    struct metric duration;
    struct metric receipts; /* by outcome */
    struct metric age;      /* of the oldest verdict in use; set by the control thread */
    struct metric workers;
    struct metric sources;       /* by state */
    struct metric trusted;       /* workers in use; set by the control thread */
    struct metric quarantined;   /* the others, by reason; likewise */
    struct metric sick;          /* workers that do not answer probes; by the control thread */
    struct standing standing;    /* by shards */
    struct metric spans_dropped; /* set by the control thread */
    struct metric operation;     /* whole requests, by operation and how they ended */
    struct metric first_chunk;   /* by operation */
    struct metric tokens;        /* of requests, by operation and enum metering_tokens */
    struct metric policy_loads;  /* by outcome; these four by the control thread */
    struct metric policy_in_force;
    struct metric policy_version;
    struct metric policy_expires;
};

err metering_init(struct metering *m);
void metering_clear(struct metering *m);

enum metering_status metering_status(unsigned status);
