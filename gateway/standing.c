#include "gateway/standing.h"

#include "base/log.h"

static const char *const STATE_WORDS[BALANCE_STATES] = {
    [BALANCE_GONE] = "gone",           [BALANCE_IN_USE] = "in_use",   [BALANCE_OPEN] = "open",
    [BALANCE_HALF_OPEN] = "half_open", [BALANCE_EJECTED] = "ejected", [BALANCE_SICK] = "sick",
};

static const struct metric_spec CONNECTIONS = {
    .name = "sealgate_worker_connections",
    .help = "Connections to workers, of all shards, by what is thought of the worker.",
    .kind = METRIC_GAUGE,
    .labels = { { "state", STATE_WORDS, BALANCE_STATES } }
};

static const struct metric_spec OUTS = {
    .name = "sealgate_worker_outs_total",
    .help =
        "How often a shard took a worker out: open after failures, ejected for doing worse "
        "than the others, sick by a probe's word.",
    .labels = { { "state", STATE_WORDS, BALANCE_STATES } }
};

err standing_register(struct metrics *set, struct standing *out)
{
    TRY(metrics_register(set, &CONNECTIONS, &out->connections));
    return metrics_register(set, &OUTS, &out->outs);
}

static bool is_out(enum balance_state state)
{
    return state == BALANCE_OPEN || state == BALANCE_EJECTED || state == BALANCE_SICK;
}

/* Who was out when the connection was lost is still out when it is back. */
static bool is_taken_out(const struct balance_change *c)
{
    return is_out(c->to) && c->from != BALANCE_GONE;
}

static const struct word OUT_WORDS[BALANCE_STATES] = {
    [BALANCE_OPEN] = WORD_INIT("failures"), [BALANCE_EJECTED] = WORD_INIT("worse than others")
};

static void count(const struct standing *s, const struct balance_change *c,
                  struct metrics_block *block)
{
    if (c->from != BALANCE_GONE)
        metrics_gauge_add(block, s->connections, c->from, 0, -1);
    if (c->to != BALANCE_GONE)
        metrics_gauge_add(block, s->connections, c->to, 0, 1);
    if (is_taken_out(c))
        metrics_add(block, s->outs, c->to, 0, 1);
}

void standing_tell(const struct standing *s, const struct balance_change *change,
                   struct metrics_block *block, struct log *log)
{
    count(s, change, block);
    /* What a probe found is told where it was found. */
    if (change->to == BALANCE_SICK || change->from == BALANCE_SICK)
        return;
    if (is_taken_out(change))
        LOG_WARN(log, "worker taken out", F_U64("worker", change->place),
                 F_WORD_OF("for", OUT_WORDS[change->to]));
    else if (change->to == BALANCE_IN_USE && change->from != BALANCE_GONE)
        LOG_INFO(log, "worker in use again", F_U64("worker", change->place));
}
