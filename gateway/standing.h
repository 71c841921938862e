/*
 * gateway/standing.h - what a shard thinks of its workers (gateway/balance.h), for whoever operates it: as
 * numbers and as lines in the log. The same in both modes.
 */
#pragma once

#include "base/metrics.h"
#include "gateway/balance.h"

struct log;

struct standing {
    struct metric connections; /* to workers, by enum balance_state */
    struct metric outs;        /* workers taken out, by enum balance_state */
};

/* Errors of metrics_register(). */
err standing_register(struct metrics *set, struct standing *out);

/* A change of balance_change(), with the worker's number for its place; SIZE_MAX when nobody is there any
 * more. Nothing is logged of who is sick, nor of connections that come and go. */
void standing_tell(const struct standing *s, const struct balance_change *change,
                   struct metrics_block *block, struct log *log);
