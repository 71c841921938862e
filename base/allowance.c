#include "base/allowance.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/mem.h"

#define MINUTE_NS UINT64_C(60000000000)
#define DEBT_NS (60 * MINUTE_NS)

enum { CONCURRENCY_RETRY_US = 1000000 };

/* full_at: when the bucket is full again. */
struct window {
    _Atomic uint64_t full_at_ns;
    _Atomic uint64_t limit;
};

enum count { REQUESTS = 0, REFUSED, ESTIMATED, PROMPT, ANSWER, COUNTS };

struct allowance {
    _Atomic uint32_t refs;
    _Atomic uint32_t running;
    _Atomic uint64_t concurrency;
    struct window requests;
    struct window tokens;
    _Atomic uint64_t counts[COUNTS];
    char name[ALLOWANCE_NAME_MAX + 1];
};

static uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static void store(_Atomic uint64_t *at, uint64_t v)
{
    atomic_store_explicit(at, v, memory_order_relaxed);
}

static void count(struct allowance *q, enum count what, uint64_t n)
{
    (void)atomic_fetch_add_explicit(&q->counts[what], n, memory_order_relaxed);
}

err allowance_new(struct allowance **out, bytes name, const struct allowance_limits *limits)
{
    struct allowance *q;
    TRY(mem_new(&q));
    bytes kept = bytes_slice(name, 0, ALLOWANCE_NAME_MAX);
    if (kept.len > 0)
        memcpy(q->name, kept.at, kept.len);
    atomic_store(&q->refs, 1);
    allowance_set(q, limits);
    *out = q;
    return OK;
}

struct allowance *allowance_ref(struct allowance *q)
{
    if (q != NULL)
        (void)atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

void allowance_unref(struct allowance *q)
{
    if (q != NULL && atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
        mem_free(q);
}

const char *allowance_name(const struct allowance *q)
{
    return q->name;
}

struct allowance_limits allowance_limits_of(const struct allowance *q)
{
    return (struct allowance_limits){ .requests_per_minute = load(&q->requests.limit),
                                      .tokens_per_minute = load(&q->tokens.limit),
                                      .concurrency = load(&q->concurrency) };
}

bool allowance_limits_running(const struct allowance *q)
{
    return load(&q->tokens.limit) > 0 || load(&q->concurrency) > 0;
}

void allowance_set(struct allowance *q, const struct allowance_limits *limits)
{
    store(&q->requests.limit, limits->requests_per_minute);
    store(&q->tokens.limit, limits->tokens_per_minute);
    store(&q->concurrency, limits->concurrency);
}

/* ---- windows ---- */

static uint64_t cost_of_one(uint64_t limit)
{
    return MINUTE_NS / limit;
}

static uint64_t used_ns(uint64_t full_at, uint64_t now)
{
    return full_at > now ? full_at - now : 0;
}

static struct allowance_window view_of(const struct window *w, uint64_t now)
{
    uint64_t limit = load(&w->limit);
    if (limit == 0)
        return (struct allowance_window){ 0 };
    uint64_t used = used_ns(load(&w->full_at_ns), now);
    uint64_t left = used < MINUTE_NS ? (MINUTE_NS - used) / cost_of_one(limit) : 0;
    return (struct allowance_window){ .limit = limit,
                                      .remaining = left < limit ? left : limit,
                                      .reset_us = used / 1000 };
}

/* Nanoseconds until one fits; 0: it does now. */
static uint64_t wait_for_one(const struct window *w, uint64_t now)
{
    uint64_t limit = load(&w->limit);
    if (limit == 0)
        return 0;
    uint64_t after = used_ns(load(&w->full_at_ns), now) + cost_of_one(limit);
    return after > MINUTE_NS ? after - MINUTE_NS : 0;
}

/* may_owe: what does not fit is owed. Returns how long to wait, with nothing taken, or 0. */
static uint64_t take(struct window *w, uint64_t now, uint64_t n, bool may_owe)
{
    uint64_t limit = load(&w->limit);
    uint64_t before = load(&w->full_at_ns);
    uint64_t used;
    if (limit == 0)
        return 0;
    uint64_t cost = cost_of_one(limit);
    uint64_t more = n < DEBT_NS / cost ? n * cost : DEBT_NS;
    do {
        used = used_ns(before, now) + more;
        if (!may_owe && used > MINUTE_NS)
            return used - MINUTE_NS;
        if (used > DEBT_NS)
            used = DEBT_NS;
    } while (!atomic_compare_exchange_weak_explicit(&w->full_at_ns, &before, now + used,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

/* ---- requests ---- */

static bool take_place(struct allowance *q)
{
    uint64_t limit = load(&q->concurrency);
    uint32_t before = atomic_fetch_add_explicit(&q->running, 1, memory_order_relaxed);
    if (limit == 0 || before < limit)
        return true;
    allowance_leave(q);
    return false;
}

bool allowance_enter(struct allowance *q, uint64_t now_us, struct allowance_view *view)
{
    uint64_t now = now_us * 1000;
    bool placed = take_place(q);
    uint64_t wait = placed ? wait_for_one(&q->tokens, now) : 0;
    if (placed && wait == 0)
        wait = take(&q->requests, now, 1, false);
    bool in = placed && wait == 0;
    if (placed && !in)
        allowance_leave(q);
    count(q, in ? REQUESTS : REFUSED, 1);
    *view = (struct allowance_view){ .requests = view_of(&q->requests, now),
                                     .tokens = view_of(&q->tokens, now),
                                     .retry_us = in       ? 0
                                                 : placed ? wait / 1000 + 1
                                                          : CONCURRENCY_RETRY_US };
    return in;
}

void allowance_leave(struct allowance *q)
{
    (void)atomic_fetch_sub_explicit(&q->running, 1, memory_order_relaxed);
}

void allowance_charge(struct allowance *q, uint64_t now_us, const struct allowance_use *use)
{
    uint64_t all = use->prompt_tokens + use->answer_tokens;
    (void)take(&q->tokens, now_us * 1000, all < ALLOWANCE_LIMIT_MAX ? all : ALLOWANCE_LIMIT_MAX,
               true);
    count(q, PROMPT, use->prompt_tokens);
    count(q, ANSWER, use->answer_tokens);
    count(q, ESTIMATED, use->estimated);
}

/* ---- metrics ---- */

struct family {
    const char *name;
    const char *help;
    const char *type;
    struct {
        const char *label;
        enum count count;
    } series[2];
};

static const struct family FAMILIES[] = {
    { "sealgate_key_requests_total",
      "Requests that were let in, by key.",
      "counter",
      { { "", REQUESTS } } },
    { "sealgate_key_refused_total",
      "Requests over a key's limits.",
      "counter",
      { { "", REFUSED } } },
    { "sealgate_key_estimated_total",
      "Requests whose tokens were guessed, by key.",
      "counter",
      { { "", ESTIMATED } } },
    { "sealgate_key_tokens_total",
      "Tokens, by key.",
      "counter",
      { { ",type=\"input\"", PROMPT }, { ",type=\"output\"", ANSWER } } },
};

static err put(struct buf *out, const char *name, const struct allowance *q, const char *label,
               uint64_t v)
{
    return buf_addf(out, "%s{key=\"%s\"%s} %" PRIu64 "\n", name, q->name, label, v);
}

static err put_head(struct buf *out, const char *name, const char *help, const char *type)
{
    return buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static err put_family(const struct family *f, struct allowance *const *allowances, size_t n,
                      struct buf *out)
{
    TRY(put_head(out, f->name, f->help, f->type));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 2 && f->series[k].label != NULL; k++)
            TRY(put(out, f->name, allowances[i], f->series[k].label,
                    load(&allowances[i]->counts[f->series[k].count])));
    }
    return OK;
}

err allowance_render(struct allowance *const *allowances, size_t n, struct buf *out)
{
    static const char running[] = "sealgate_key_requests_in_flight";
    for (size_t i = 0; i < sizeof FAMILIES / sizeof FAMILIES[0] && n > 0; i++)
        TRY(put_family(&FAMILIES[i], allowances, n, out));
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            TRY(put_head(out, running, "Requests being answered now, by key.", "gauge"));
        TRY(put(out, running, allowances[i], "",
                atomic_load_explicit(&allowances[i]->running, memory_order_relaxed)));
    }
    return OK;
}
