/*
 * gateway/census.h - how many workers there are, in use or why not, and how old what is known of them
 * is: gauges that the control thread sets.
 */
#pragma once

#include "gateway/metering.h"
#include "gateway/trusted.h"

/* All workers, those in use, and the others by reason. */
void census_workers(const struct metering *m, struct metrics_block *block,
                    const struct trust_view *view);

/* The age of the oldest verdict in use; 0 when there is none. now: Unix seconds. */
void census_age(const struct metering *m, struct metrics_block *block,
                const struct trust_view *view, int64_t now);
