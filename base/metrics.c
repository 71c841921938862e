/*
 * A metric owns a run of cells: for each series one cell, or for a histogram one per bucket, one for
 * +Inf and one for the sum. A block is an array of all cells, written by one thread only. So an
 * addition needs no locked instruction: a relaxed load, and a relaxed store that a reader may see a
 * little later. What was given up for it: two metrics read in one rendering may be of slightly
 * different moments. A histogram is still consistent in itself, since its count is made of its
 * buckets as read.
 */
#include "base/metrics.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { US_PER_S = 1000000, HISTOGRAM_EXTRA = 2, LABELS_TEXT_MAX = 1024 };

typedef _Atomic uint64_t cell;

struct metrics_block {
    struct metrics_block *next;
    cell cells[];
};

struct metrics {
    struct metric_spec specs[METRICS_MAX];
    struct metric metrics[METRICS_MAX];
    size_t n;
    uint32_t cells_n;
    _Atomic(struct metrics_block *) blocks;
};

err metrics_new(struct metrics **out)
{
    struct metrics *m;
    TRY(mem_new(&m));
    /* Cell 0 belongs to nobody, so that a zero struct metric is none. */
    m->cells_n = 1;
    *out = m;
    return OK;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    struct metrics_block *b = atomic_load(&m->blocks);
    while (b != NULL) {
        struct metrics_block *next = b->next;
        mem_free(b);
        b = next;
    }
    mem_free(m);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(const char *name, bool colons)
{
    if (name == NULL || name[0] == 0)
        return false;
    for (size_t i = 0; name[i] != 0; i++) {
        bool digit = name[i] >= '0' && name[i] <= '9' && i > 0;
        if (!is_letter(name[i]) && !digit && !(colons && name[i] == ':'))
            return false;
    }
    return true;
}

static err check_values(const struct metric_label *l)
{
    for (size_t v = 0; v < l->n; v++) {
        bytes value = bytes_str(l->values[v]);
        ENSURE(value.at != NULL && text_is_utf8(value), CONFIG);
        ENSURE(value.len <= METRICS_LABEL_MAX, LIMIT);
    }
    return OK;
}

static err check_labels(const struct metric_spec *spec)
{
    bool ended = false;
    for (size_t i = 0; i < METRICS_LABELS_MAX; i++) {
        const struct metric_label *l = &spec->labels[i];
        ended = ended || l->name == NULL;
        ENSURE(!ended || l->name == NULL, CONFIG);
        if (ended)
            continue;
        ENSURE(is_name(l->name, false) && strcmp(l->name, "le") != 0, CONFIG);
        ENSURE(l->n > 0 && l->values != NULL, CONFIG);
        ENSURE(l->n <= METRICS_CELLS_MAX && strlen(l->name) <= METRICS_LABEL_MAX, LIMIT);
        TRY(check_values(l));
    }
    return OK;
}

static err check_buckets(const struct metric_spec *spec)
{
    if (spec->kind != METRIC_HISTOGRAM) {
        ENSURE(spec->buckets_n == 0, CONFIG);
        return OK;
    }
    ENSURE(spec->buckets_n <= METRICS_BUCKETS_MAX, LIMIT);
    ENSURE(spec->buckets_n > 0, CONFIG);
    for (size_t i = 1; i < spec->buckets_n; i++)
        ENSURE(spec->buckets_us[i - 1] < spec->buckets_us[i], CONFIG);
    return OK;
}

static err check_spec(const struct metrics *m, const struct metric_spec *spec)
{
    ENSURE(is_name(spec->name, true), CONFIG);
    ENSURE(spec->help != NULL && text_is_utf8(bytes_str(spec->help)), CONFIG);
    TRY(check_labels(spec));
    TRY(check_buckets(spec));
    for (size_t i = 0; i < m->n; i++)
        ENSURE(strcmp(m->specs[i].name, spec->name) != 0, EXISTS);
    return OK;
}

static uint32_t values_of(const struct metric_label *l)
{
    return l->name == NULL ? 1 : (uint32_t)l->n;
}

/* Cells of one series. */
static uint32_t stride(const struct metric *metric)
{
    return metric->buckets_n > 0 ? metric->buckets_n + HISTOGRAM_EXTRA : 1;
}

err metrics_register(struct metrics *m, const struct metric_spec *spec, struct metric *out)
{
    ENSURE(atomic_load(&m->blocks) == NULL, INTERNAL);
    ENSURE(m->n < METRICS_MAX, LIMIT);
    TRY(check_spec(m, spec));
    struct metric metric = {
        .cell = m->cells_n,
        .inner = values_of(&spec->labels[1]),
        .buckets_n = (uint32_t)spec->buckets_n,
        .buckets_us = spec->buckets_us,
    };
    uint64_t series = (uint64_t)values_of(&spec->labels[0]) * metric.inner;
    uint64_t cells = series * stride(&metric);
    ENSURE(cells <= METRICS_CELLS_MAX - m->cells_n, LIMIT);
    metric.series = (uint32_t)series;
    m->cells_n += (uint32_t)cells;
    m->specs[m->n] = *spec;
    m->metrics[m->n++] = metric;
    *out = metric;
    return OK;
}

err metrics_block(struct metrics *m, struct metrics_block **out)
{
    struct metrics_block *b = mem_alloc(sizeof *b + m->cells_n * sizeof b->cells[0]);
    ENSURE(b != NULL, NOMEM);
    b->next = atomic_load(&m->blocks);
    while (!atomic_compare_exchange_weak(&m->blocks, &b->next, b))
        continue;
    *out = b;
    return OK;
}

/* The first cell of a series; NULL when there is none such. */
static cell *find(struct metrics_block *block, const struct metric *metric, unsigned a, unsigned b)
{
    if (block == NULL || metric->cell == 0 || b >= metric->inner)
        return NULL;
    uint64_t series = (uint64_t)a * metric->inner + b;
    if (series >= metric->series)
        return NULL;
    return &block->cells[metric->cell + series * stride(metric)];
}

/* Only the owner of the block writes, so nothing is lost between the load and the store. */
static void bump(cell *at, uint64_t n)
{
    uint64_t v = atomic_load_explicit(at, memory_order_relaxed);
    atomic_store_explicit(at, v + n, memory_order_relaxed);
}

void metrics_add(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                 uint64_t n)
{
    cell *at = find(block, &metric, a, b);
    if (at != NULL && metric.buckets_n == 0)
        bump(at, n);
}

void metrics_gauge_add(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                       int64_t n)
{
    metrics_add(block, metric, a, b, (uint64_t)n);
}

void metrics_gauge_set(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                       int64_t v)
{
    cell *at = find(block, &metric, a, b);
    if (at != NULL && metric.buckets_n == 0)
        atomic_store_explicit(at, (uint64_t)v, memory_order_relaxed);
}

void metrics_observe_us(struct metrics_block *block, struct metric metric, unsigned a, unsigned b,
                        uint64_t us)
{
    cell *at = find(block, &metric, a, b);
    if (at == NULL || metric.buckets_n == 0)
        return;
    uint32_t i = 0;
    while (i < metric.buckets_n && us > metric.buckets_us[i])
        i++;
    bump(&at[i], 1);
    bump(&at[metric.buckets_n + 1], us);
}

static uint64_t total(const struct metrics *m, uint64_t at)
{
    uint64_t sum = 0;
    for (struct metrics_block *b = atomic_load(&m->blocks); b != NULL; b = b->next)
        sum += atomic_load_explicit(&b->cells[at], memory_order_relaxed);
    return sum;
}

/* Of a label's value also the quotes; of help only the backslash and the line feed. */
static err put_escaped(struct buf *out, const char *text, bool quotes)
{
    for (; *text != 0; text++) {
        if (*text == '\n')
            TRY(buf_add_str(out, "\\n"));
        else if (*text == '\\' || (quotes && *text == '"'))
            TRY(buf_addf(out, "\\%c", *text));
        else
            TRY(buf_add_u8(out, (uint8_t)*text));
    }
    return OK;
}

static err put_label(struct buf *out, const char *name, const char *value)
{
    TRY(buf_addf(out, "%s%s=\"", out->len > 0 ? "," : "", name));
    TRY(put_escaped(out, value, true));
    return buf_add_u8(out, '"');
}

/* name="value",name="value" of one series. */
static err put_labels(struct buf *out, const struct metric_spec *spec, const struct metric *metric,
                      uint32_t series)
{
    const uint32_t place[METRICS_LABELS_MAX] = { series / metric->inner, series % metric->inner };
    for (size_t i = 0; i < METRICS_LABELS_MAX && spec->labels[i].name != NULL; i++)
        TRY(put_label(out, spec->labels[i].name, spec->labels[i].values[place[i]]));
    return OK;
}

/* Microseconds as seconds, exactly, without zeros at the end. */
static err put_seconds(struct buf *out, uint64_t us)
{
    TRY(buf_addf(out, "%llu", (unsigned long long)(us / US_PER_S)));
    unsigned rest = (unsigned)(us % US_PER_S);
    if (rest == 0)
        return OK;
    int digits = 6;
    for (; rest % 10 == 0; rest /= 10)
        digits--;
    return buf_addf(out, ".%0*u", digits, rest);
}

static err put_number(struct buf *out, const struct metric_spec *spec, uint64_t v)
{
    return spec->unit == METRIC_SECONDS ? put_seconds(out, v)
                                        : buf_addf(out, "%llu", (unsigned long long)v);
}

static err put_value(struct buf *out, const struct metric_spec *spec, uint64_t v)
{
    bool negative = spec->kind == METRIC_GAUGE && (int64_t)v < 0;
    if (negative) {
        TRY(buf_add_u8(out, '-'));
        v = 0 - v;
    }
    TRY(put_number(out, spec, v));
    return buf_add_u8(out, '\n');
}

static err put_plain(const struct metrics *m, size_t i, struct buf *labels, struct buf *out)
{
    const struct metric_spec *spec = &m->specs[i];
    const struct metric *metric = &m->metrics[i];
    for (uint32_t s = 0; s < metric->series; s++) {
        buf_truncate(labels, 0);
        TRY(put_labels(labels, spec, metric, s));
        TRY(buf_add_str(out, spec->name));
        if (labels->len > 0)
            TRY(buf_addf(out, "{%.*s}", (int)labels->len, (const char *)labels->at));
        TRY(buf_add_u8(out, ' '));
        TRY(put_value(out, spec, total(m, metric->cell + s)));
    }
    return OK;
}

static err put_bucket(struct buf *out, const struct metric_spec *spec, bytes labels,
                      const uint64_t *bound)
{
    TRY(buf_addf(out, "%s_bucket{", spec->name));
    TRY(buf_add(out, labels));
    TRY(buf_addf(out, "%sle=\"", labels.len > 0 ? "," : ""));
    if (bound != NULL)
        TRY(put_number(out, spec, *bound));
    else
        TRY(buf_add_str(out, "+Inf"));
    return buf_add_str(out, "\"} ");
}

static err put_end(struct buf *out, const char *name, const char *part, bytes labels)
{
    TRY(buf_addf(out, "%s_%s", name, part));
    if (labels.len > 0)
        TRY(buf_addf(out, "{%.*s}", (int)labels.len, (const char *)labels.at));
    return buf_add_u8(out, ' ');
}

static err put_series(const struct metrics *m, size_t i, uint32_t series, bytes labels,
                      struct buf *out)
{
    const struct metric *metric = &m->metrics[i];
    const char *name = m->specs[i].name;
    uint64_t at = metric->cell + (uint64_t)series * stride(metric);
    uint64_t count = 0;
    for (uint32_t k = 0; k <= metric->buckets_n; k++) {
        const uint64_t *bound = k < metric->buckets_n ? &metric->buckets_us[k] : NULL;
        count += total(m, at + k);
        TRY(put_bucket(out, &m->specs[i], labels, bound));
        TRY(buf_addf(out, "%llu\n", (unsigned long long)count));
    }
    TRY(put_end(out, name, "sum", labels));
    TRY(put_number(out, &m->specs[i], total(m, at + metric->buckets_n + 1)));
    TRY(buf_add_u8(out, '\n'));
    TRY(put_end(out, name, "count", labels));
    return buf_addf(out, "%llu\n", (unsigned long long)count);
}

static err put_histogram(const struct metrics *m, size_t i, struct buf *labels, struct buf *out)
{
    for (uint32_t s = 0; s < m->metrics[i].series; s++) {
        buf_truncate(labels, 0);
        TRY(put_labels(labels, &m->specs[i], &m->metrics[i], s));
        TRY(put_series(m, i, s, buf_view(labels), out));
    }
    return OK;
}

static const char *kind_word(enum metric_kind kind)
{
    switch (kind) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

err metrics_render(const struct metrics *m, struct buf *out)
{
    BUF_AUTO labels = BUF(LABELS_TEXT_MAX);
    for (size_t i = 0; i < m->n; i++) {
        const struct metric_spec *spec = &m->specs[i];
        TRY(buf_addf(out, "# HELP %s ", spec->name));
        TRY(put_escaped(out, spec->help, false));
        TRY(buf_addf(out, "\n# TYPE %s %s\n", spec->name, kind_word(spec->kind)));
        if (spec->kind == METRIC_HISTOGRAM)
            TRY(put_histogram(m, i, &labels, out));
        else
            TRY(put_plain(m, i, &labels, out));
    }
    return OK;
}
