/*
 * base/metrics.h - counters, gauges and histograms, shown as Prometheus text.
 *
 * First every metric is registered, with closed sets of label values. Then each thread takes a
 * block of its own and counts there: an addition is a load and a store of one word that no other
 * thread writes, with no lock and no allocation. metrics_render() may run in any thread at any
 * time and adds up the blocks.
 *
 * Labels hold no model output, no key, no user id: the sets are literals of the program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum {
    METRICS_MAX = 128,              /* metrics of one set */
    METRICS_LABEL_MAX = 64,         /* bytes of a label's name, and of each value */
    METRICS_LABELS_MAX = 2,         /* labels of one metric */
    METRICS_BUCKETS_MAX = 32,       /* buckets of one histogram, without +Inf */
    METRICS_CELLS_MAX = 16384,      /* words of one block */
    METRICS_TEXT_MAX = 1024 * 1024, /* a good limit for the buf of metrics_render() */
};

enum metric_kind {
    METRIC_COUNTER = 0,
    METRIC_GAUGE, /* the sum over all blocks */
    METRIC_HISTOGRAM,
};

enum metric_unit {
    METRIC_NUMBER = 0,
    METRIC_SECONDS, /* counted in microseconds, shown in seconds */
};

/* A label and all the values it can have. No name: no such label. */
struct metric_label {
    const char *name;
    const char *const *values;
    size_t n;
};

/* All pointers are borrowed until metrics_free(): make it of literals. */
struct metric_spec {
    const char *name; /* [a-zA-Z_:][a-zA-Z0-9_:]* */
    const char *help;
    enum metric_kind kind;
    enum metric_unit unit;
    struct metric_label labels[METRICS_LABELS_MAX];
    const uint64_t *buckets_us; /* histograms: upper bounds, rising; of seconds in microseconds */
    size_t buckets_n;
};

/* A registered metric; copied about. Zero is none: counting on it does nothing. */
struct metric {
    uint32_t cell;
    uint32_t series; /* products of label values */
    uint32_t inner;  /* values of the second label, or 1 */
    uint32_t buckets_n;
    const uint64_t *buckets_us;
};

struct metrics;
struct metrics_block;

err metrics_new(struct metrics **out);

/* Also releases all blocks: no thread may count any more. */
void metrics_free(struct metrics *m);

/*
 * Before the first block is taken, else ERR_INTERNAL. ERR_EXISTS for a second one of that name,
 * ERR_LIMIT above a limit, ERR_CONFIG for a name, label or bucket list that is not allowed.
 */
err metrics_register(struct metrics *m, const struct metric_spec *spec, struct metric *out);

/* A block for the calling thread. Owned by m; a thread that ends leaves its counts behind. */
err metrics_block(struct metrics *m, struct metrics_block **out);

/* `a` and `b` are the places of the label values in their lists, 0 where there is no such label.
 * A place outside its list, a NULL block and a metric that is none are ignored. */
void metrics_add(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                 uint64_t n);
void metrics_gauge_add(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                       int64_t n);
void metrics_gauge_set(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                       int64_t v);
/* Of a histogram of numbers, us is the number. */
void metrics_observe_us(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                        uint64_t us);

/* Appends everything in the text format 0.0.4 (METRICS_MEDIA_TYPE). */
err metrics_render(const struct metrics *m, struct buf *out);

#define METRICS_MEDIA_TYPE "text/plain; version=0.0.4; charset=utf-8"
